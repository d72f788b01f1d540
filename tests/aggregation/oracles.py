"""The methods once more, in float64 NumPy and literally: vectors of full length, enumeration of
supports, loops over tasks. No code is shared with the package."""

import itertools

import numpy as np


def supports(size, *, empty=False):
    for number in range(0 if empty else 1, size + 1):
        yield from (list(s) for s in itertools.combinations(range(size), number))


def nonnegative_qp(c, q):
    """min x'Cx/2 + q'x over x >= 0: the support whose conditions hold best."""
    best, best_violation = None, np.inf
    for support in supports(len(q), empty=True):
        x = np.zeros(len(q))
        if support:
            x[support] = np.linalg.lstsq(c[np.ix_(support, support)], -q[support], rcond=1e-12)[0]
        violation = max(0, -x.min(), -(c @ x + q).min(), np.abs((c @ x + q) * x).max())
        if violation < best_violation:
            best, best_violation = x, violation
    return best


def dual_cone(j, u):
    """Weights of the projection of J'u onto {d: Jd >= 0}: rows are scaled, the result is not."""
    norms = np.linalg.norm(j, axis=1)
    safe = np.where(norms > 0, norms, 1)
    unit = j / safe[:, None]
    c = unit @ unit.T
    size = max((u * norms).max(), 1e-300)
    return u + size * nonnegative_qp(c, c @ (u * norms / size)) / safe


def upgrad(j, p=None):
    p = np.full(len(j), 1 / len(j)) if p is None else p
    return sum(dual_cone(j, row) for row in np.diag(p)) @ j


def dualproj(j):
    return dual_cone(j, np.full(len(j), 1 / len(j))) @ j


def mgda(j):
    """The shortest of the feasible affine minima over all supports."""
    best, best_norm = None, np.inf
    for support in supports(len(j)):
        rows = j[support]
        # Weights (1 - sum v, v): the shortest point of the affine hull, by least squares.
        edges = (rows[1:] - rows[0]).T
        v = np.linalg.lstsq(edges, -rows[0], rcond=1e-13)[0] if edges.size else np.zeros(0)
        w = np.concatenate([[1 - v.sum()], v])
        norm = np.linalg.norm(w @ rows)
        if w.min() >= -1e-12 and norm < best_norm:
            best, best_norm = w @ rows, norm
    return best


def cagrad(j, c):
    """Of all points of the sphere around g0 that equalise some rows, the one of best worst case."""
    g0 = j.mean(axis=0)
    radius = c * np.linalg.norm(g0)
    best, best_value = g0, (j @ g0).min() if radius == 0 else -np.inf
    for support in supports(len(j)):
        rows = j[support]
        # d = g0 + rows' s with rows d = mu: s = mu a - b, and |rows' s| = radius.
        gram = rows @ rows.T
        a = np.linalg.lstsq(gram, np.ones(len(rows)), rcond=1e-13)[0] @ rows
        b = np.linalg.lstsq(gram, rows @ g0, rcond=1e-13)[0] @ rows
        for mu in np.roots([a @ a, -2 * a @ b, b @ b - radius**2]):
            if abs(mu.imag) < 1e-12:
                d = g0 + mu.real * a - b
                if (j @ d).min() > best_value:
                    best, best_value = d, (j @ d).min()
    return best


def fair_residual(j, w, alpha):
    """Largest |(G w)_t w_t^(1/alpha) - 1|: 0 at the solution, which is unique."""
    return np.abs((j @ (j.T @ w)) * w ** (1 / alpha) - 1).max()


def imtl_g(j):
    """The paper's closed form for independent rows."""
    unit = j / np.linalg.norm(j, axis=1)[:, None]
    differences, u = j[0] - j[1:], unit[0] - unit[1:]
    rest = j[0] @ u.T @ np.linalg.inv(differences @ u.T)
    return np.concatenate([[1 - rest.sum()], rest]) @ j


def aligned_mtl(j, scale):
    """By the singular values of J itself."""
    u, s, vt = np.linalg.svd(j, full_matrices=False)
    kept = s**2 > len(j) * np.finfo(float).eps * s[0] ** 2
    u, s, vt = u[:, kept], s[kept], vt[kept]
    size = {"min": s[-1] ** 2, "median": np.sort(s**2)[(len(s) - 1) // 2], "rmse": (s**2).mean()}
    return np.sqrt(size[scale]) * (np.full(len(j), 1 / len(j)) @ u) @ vt


def config(j):
    unit = j / np.linalg.norm(j, axis=1)[:, None]
    best = np.linalg.pinv(unit) @ np.ones(len(j))
    best /= np.linalg.norm(best)
    return (j @ best).sum() * best


def pcgrad(j, order):
    total = np.zeros(j.shape[1])
    for task, visits in enumerate(order):
        g = j[task].copy()
        for other in visits:
            if other != task and g @ j[other] < 0:
                g -= (g @ j[other]) / (j[other] @ j[other]) * j[other]
        total += g
    return total


def gradvac(j, order, target, beta=0.5):
    """One step; returns the sum and the targets after it."""
    target, total = target.copy(), np.zeros(j.shape[1])
    for task, visits in enumerate(order):
        g = j[task].copy()
        for other in visits:
            if other == task:
                continue
            size, length = np.linalg.norm(g), np.linalg.norm(j[other])
            cosine, aim = g @ j[other] / (size * length), target[task, other]
            if cosine < aim:
                turn = aim * np.sqrt(1 - cosine**2) - cosine * np.sqrt(1 - aim**2)
                g = g + size * turn / (length * np.sqrt(1 - aim**2)) * j[other]
            target[task, other] = (1 - beta) * aim + beta * cosine
        total += g
    return total, target


def pcd(j, tau):
    """First step: rows of length 1, the nearest point to the first that serves the others."""
    unit = j / np.sqrt((j**2).sum(axis=1) + 1e-8)[:, None]
    gram = unit[1:] @ unit[1:].T
    x = nonnegative_qp(gram, unit[1:] @ unit[0] - tau * np.diag(gram))
    d = unit[0] + x @ unit[1:]
    return d * np.linalg.norm(j[0]) / np.linalg.norm(d)


def krum(j, byzantine, selected, power=1):
    scores = []
    for row in j:
        distances = np.sort(np.linalg.norm(j - row, axis=1) ** power)[1:]
        scores.append(distances[: len(j) - byzantine - 2].sum())
    return j[np.argsort(scores, kind="stable")[:selected]].mean(axis=0)


def trimmed_mean(j, trim):
    return np.sort(j, axis=0)[trim : len(j) - trim].mean(axis=0)


def project_simplex(v):
    """By enumeration of the support: the feasible point nearest to v."""
    best, best_distance = None, np.inf
    for support in supports(len(v)):
        w = np.zeros(len(v))
        w[support] = v[support] - (v[support].sum() - 1) / len(support)
        if w.min() >= 0 and np.linalg.norm(w - v) < best_distance:
            best, best_distance = w, np.linalg.norm(w - v)
    return best


def excess_mtl(steps, step_size=1.0):
    """Weights after each of a list of matrices."""
    squares, weights, first, found = 0, np.full(len(steps[0]), 1 / len(steps[0])), None, []
    for j in steps:
        squares = squares + j**2
        risk = (j**2 / np.sqrt(squares + 1e-7)).sum(axis=1)
        if first is None:
            first, excess = risk, risk
        else:
            excess = risk / (first + 1e-7)
        weights = weights * np.exp(step_size * excess)
        weights = weights / weights.sum()
        found.append(weights)
    return found


def moco(steps, losses, *, normalize):
    y, w = np.zeros_like(steps[0]), np.full(len(steps[0]), 1 / len(steps[0]))
    for k, (j, loss) in enumerate(zip(steps, losses, strict=True), start=1):
        h = j / np.linalg.norm(j, axis=1)[:, None] * loss[:, None] if normalize else j
        y = y - 0.5 / np.sqrt(k) * (y - h)
        w = project_simplex(w - 0.1 / np.sqrt(k) * (y @ y.T @ w))
    return w @ y


def db_mtl(steps, losses, beta=0.9):
    y = np.zeros_like(steps[0])
    for j, loss in zip(steps, losses, strict=True):
        h = j / (loss + 1e-8)[:, None]
        y = h + beta * (y - h)
    norms = np.linalg.norm(y, axis=1)
    return (norms.max() / norms) @ y


def gradnorm(steps, losses, alpha=1.5, rate=0.025):
    """Results of all steps."""
    w, found = np.ones(len(steps[0])), []
    for j, loss in zip(steps, losses, strict=True):
        found.append(w @ j)
        relative = loss / losses[0]
        relative = relative / relative.mean()
        norms = np.linalg.norm(j, axis=1)
        target = (w * norms).mean() * relative**alpha
        w = w - rate * norms * np.sign(w * norms - target)
        w = np.maximum(w, 0)
        w = w / w.sum() * len(w)
    return found


def sdmgrad(a, w, lam=0.3, rate=10.0, momentum=0.5, iterations=20):
    """Weights of the gradients, and w itself."""
    even = np.full(len(w), 1 / len(w))
    a = a / (np.sqrt(np.maximum(np.diag(a), 0)).mean() ** 2 + 1e-8)
    velocity = np.zeros(len(w))
    for _ in range(iterations):
        velocity = momentum * velocity + a @ (w + lam * even)
        w = project_simplex(w - rate * velocity)
    return (w + lam * even) / (1 + lam), w


def modo(a, w, gamma=0.1, rho=0.1):
    return project_simplex(w - gamma * (a @ w + rho * w))


def and_mask(j, tau=1.0):
    kept = np.abs(np.sign(j).mean(axis=0)) >= tau
    return j.mean(axis=0) * kept / max(kept.mean(), 1e-10)


def sand_mask(j, tau=0.5, k=10.0):
    agreement = np.abs(np.sign(j).mean(axis=0))
    mask = np.maximum(np.tanh(k / j.var(axis=0, ddof=1) * (agreement - tau)), 0)
    return mask * j.mean(axis=0) / max(mask.mean(), 1e-10)


def graddrop_outcomes(j):
    """At each coordinate: probability of the positive part, that part, the negative part."""
    positive, negative = np.maximum(j, 0).sum(axis=0), np.minimum(j, 0).sum(axis=0)
    return 0.5 * (1 + j.sum(axis=0) / np.abs(j).sum(axis=0)), positive, negative
