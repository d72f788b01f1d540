"""Programs of aggregation in exact rational arithmetic, by enumeration of supports: no code is
shared with the package, and nothing but square roots is rounded, to 200 bits."""

import itertools
import math
from fractions import Fraction

import numpy as np


def rational(values):
    return [[Fraction(float(v)) for v in row] for row in np.atleast_2d(np.asarray(values, float))]


def dot(a, b):
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def combine(weights, rows):
    return [dot(weights, column) for column in zip(*rows, strict=True)]


def gram(rows):
    return [[dot(a, b) for b in rows] for a in rows]


def root(square):
    """Square root of a rational number >= 0, to 200 bits."""
    if square <= 0:
        return Fraction(0)
    n, d = square.numerator, square.denominator
    shift = max(0, 200 - (n.bit_length() + d.bit_length()) // 2 + d.bit_length())
    return Fraction(math.isqrt(n * d << (2 * shift)), d << shift)


def solve(matrix, right):
    """A solution of a square rational system and whether it is the only one; None if none."""
    size = len(right)
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    pivots = []
    for k in range(size):
        at = next((i for i in range(len(pivots), size) if rows[i][k] != 0), None)
        if at is None:
            continue
        here = len(pivots)
        rows[here], rows[at] = rows[at], rows[here]
        rows[here] = [value / rows[here][k] for value in rows[here]]
        for i in range(size):
            if i != here and rows[i][k] != 0:
                rows[i] = [a - rows[i][k] * b for a, b in zip(rows[i], rows[here], strict=True)]
        pivots.append(k)
    if any(row[-1] != 0 for row in rows[len(pivots) :]):
        return None
    x = [Fraction(0)] * size
    for row, k in zip(rows, pivots, strict=False):
        x[k] = row[-1]
    return x, len(pivots) == size


def on_support(g, support, right):
    """x with G_PP x_P = right_P and 0 elsewhere; None where rows of P are dependent."""
    found = solve([[g[a][b] for b in support] for a in support], [right[a] for a in support])
    if found is None or not found[1]:
        return None
    x = [Fraction(0)] * len(g)
    for at, value in zip(support, found[0], strict=True):
        x[at] = value
    return x


def supports(size, least=0):
    return itertools.chain.from_iterable(
        itertools.combinations(range(size), k) for k in range(least, size + 1)
    )


def projection(rows, start):
    """The nearest direction to J'u that hurts none: J'v of least norm with v >= u."""
    g = gram(rows)
    q = [dot(row, start) for row in g]
    for support in supports(len(rows)):
        x = on_support(g, support, [-value for value in q])
        if x is not None and min(x) >= 0:
            if all(dot(row, x) + value >= 0 for row, value in zip(g, q, strict=True)):
                return combine([a + b for a, b in zip(start, x, strict=True)], rows)
    raise AssertionError("no support fits")


def least_norm(rows):
    """The shortest convex combination of the rows."""
    g, size = gram(rows), len(rows)
    for support in supports(size, 1):
        # Weights and the common product with the rows of the support.
        bordered = [[*(g[a][b] for b in support), Fraction(-1)] for a in support]
        bordered.append([*(Fraction(1) for _ in support), Fraction(0)])
        found = solve(bordered, [Fraction(0)] * len(support) + [Fraction(1)])
        if found is None or not found[1] or min(found[0][:-1]) < 0:
            continue
        d = combine(found[0][:-1], [rows[a] for a in support])
        if all(dot(row, d) >= found[0][-1] for row in rows):
            return d
    raise AssertionError("no support fits")


def worst_case(rows, c):
    """CAGrad's d for the mean; None where the best margin is 0 and d = 0 attains it."""
    size = len(rows)
    g, b, ones = gram(rows), [Fraction(1, size)] * size, [Fraction(1)] * size
    mean = combine(b, rows)
    q = [dot(row, b) for row in g]
    square = Fraction(float(c)) ** 2 * dot(mean, mean)
    if square == 0:
        return mean
    for support in supports(size, 1):
        alpha, beta = on_support(g, support, ones), on_support(g, support, q)
        if alpha is None or beta is None:
            continue
        second = sum(alpha)
        first, zeroth = dot(alpha, q), dot(beta, q)
        under = first**2 - second * (zeroth - square)
        if under < 0:
            continue
        margin = (first + root(under)) / second
        x = [margin * s - t for s, t in zip(alpha, beta, strict=True)]
        if min(x) < 0:
            continue
        d = combine([u + v for u, v in zip(x, b, strict=True)], rows)
        slack = abs(margin) / 10**30
        if all(dot(row, d) >= margin - slack for row in rows):
            return d
    return None


def equal_products(rows, unit):
    """The direction of the rows' span with g_t.d = |g_t| for all (``unit``), weights of it."""
    lengths = [root(dot(row, row)) for row in rows]
    g = gram(rows)
    # The shortest solution of G w = |g| is w = G y with G G y = |g|, if there is one.
    y = solve([[dot(a, b) for b in g] for a in g], lengths)
    if y is None:
        return None
    found = [dot(row, y[0]) for row in g]
    d = combine(found, rows)
    if unit:  # ConFIG: the sum of the projections, along the unit direction
        factor = sum(lengths) / dot(d, d)
    else:  # IMTL-G: weights that sum to 1
        total = sum(found)
        if total == 0:
            return None
        factor = 1 / total
    return [factor * value for value in d]
