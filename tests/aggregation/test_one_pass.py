"""Methods that spare backward passes: the numbers of their twins, and passes really spared."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from aggregation.cases import TASKS, example
from aggregation.twins import WRAPPED, Solved, coloured, known, rows_times
from some_cases import some

import jaxmtl
import jaxmtl.aggregation as ag

STEPS, RATE = 7, 0.1
RNG = np.random.default_rng(0)
PARAMS = {
    "heads": jnp.asarray(RNG.normal(size=(5, TASKS)), jnp.float32),
    "trunk": jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32),
}
X = jnp.asarray(RNG.normal(size=(STEPS, 6, 3)), jnp.float32)
Y = jnp.asarray(RNG.normal(size=(STEPS, 6, TASKS)), jnp.float32)
PRESENT = jnp.ones((STEPS, TASKS), bool).at[0, 1].set(False).at[3, 2].set(False)
SHARED = {"heads": False, "trunk": True}


def loss_fn(params, batch, mean, key):
    """Centred by what runs on, with dropout; and what runs on."""
    z = batch[0] @ params["trunk"]
    mean = 0.9 * mean + 0.1 * z.mean(axis=0)
    kept = jax.random.bernoulli(key, 0.9, z.shape)
    z = jnp.where(kept, jnp.tanh(z - mean[None]), 0)
    return ((z @ params["heads"] - batch[1]) ** 2).mean(axis=0) + 0.1, mean


def trained(step, state):
    """Parameters, weights and what runs on, after all batches, in one compiled loop."""

    def body(carry, given):
        (params, state, mean), (batch, present) = carry, given
        params, state, info = step(params, state, batch, mean, present=present)
        return (params, state, info.aux), (info.losses, info.weights)

    def all_steps(state):
        start = PARAMS, state, jnp.zeros(5)
        (params, _, mean), found = jax.lax.scan(body, start, ((X, Y), PRESENT))
        return params, mean, found

    return jax.jit(all_steps)(state)


def by_engine(make, method, **given):
    made = make(loss_fn, method, optax.sgd(RATE), has_aux=True, **given)
    first = (X[0], Y[0])
    state = made.init(PARAMS, first, jnp.zeros(5), key=jax.random.key(5))
    params, mean, (losses, weights) = trained(made.step, state)
    return (params, mean, losses), weights


def by_hand(twin, heads=None, part=None):
    """The same with the twin's update, a plain descent, and the gradients of all tasks."""
    split = functools.partial(ours, heads)
    gradients = jaxmtl.task_gradients(loss_fn, has_aux=True)

    def step(params, state, batch, mean, present, key):
        of_loss, of_method = jax.random.split(key)
        (losses, after), rows = gradients(params, batch, mean, of_loss)
        looked_at = rows
        if part is not None:
            looked_at = gradients(params, part(batch), mean, jax.random.clone(of_loss))[1]
        mean = after
        combined, state, weights = twin.update(
            split(looked_at), state, losses=losses, key=of_method, present=present
        )
        if part is not None:
            combined = rows_times(jnp.where(present, weights, 0), known(split(rows), present))
        if heads is not None:
            own = present.astype(losses.dtype) if heads == "plain" else weights * present
            combined["heads"] = rows_times(own, known(rows["heads"], present))
        params = jax.tree.map(lambda p, g: p - RATE * g, params, combined)
        return params, state, mean, losses

    step, rows = jax.jit(step), jax.tree.map(lambda p: jnp.stack([p] * TASKS), PARAMS)
    params, state, mean, losses = PARAMS, twin.init(split(rows)), jnp.zeros(5), []
    for number in range(STEPS):
        key = jax.random.fold_in(jax.random.key(5), number)
        batch = X[number], Y[number]
        params, state, mean, found = step(params, state, batch, mean, PRESENT[number], key)
        losses.append(found)
    return params, mean, jnp.stack(losses)


def ours(heads, rows):
    return dict(rows) if heads is None else {"trunk": rows["trunk"]}


def close(found, expected, atol=2e-5):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=atol)


def cases():
    for kind in WRAPPED:
        for name in sorted(ag.REGISTRY):
            if kind == "cyclic" or example(name).weighted:
                yield f"{kind} {name}"


@pytest.mark.parametrize("case", some(cases(), "every gradnorm", "fixed upgrad", "cyclic graddrop"))
def test_a_step_of_one_pass_is_its_twin_beside_every_method(case):
    kind, name = case.split()
    wrap, twin = WRAPPED[kind]
    found, _ = by_engine(ag.aggregated_step, wrap(example(name)))
    # A direction of about a sign is far off where a number is almost 0.
    close(found, by_hand(twin(example(name))), 2e-3 if kind == "cyclic" else 2e-5)


ENGINES = {
    "rows, plain": ("every", ag.aggregated_step, "plain"),
    "rows, weighted": ("every", ag.aggregated_step, "weighted"),
    "rows, fixed": ("fixed", ag.aggregated_step, "weighted"),
    "gram": ("every", ag.gramian_step, None),
    "gram, plain": ("every", ag.gramian_step, "plain"),
    "gram, weighted": ("every", ag.gramian_step, "weighted"),
}


@pytest.mark.parametrize("case", some(ENGINES, "gram, plain"))
def test_engines_and_heads(case):
    kind, make, heads = ENGINES[case]
    wrap, twin = WRAPPED[kind]
    method = wrap(ag.upgrad())
    if heads is not None:
        method = ag.with_heads(method, SHARED, heads)
    close(by_engine(make, method)[0], by_hand(twin(ag.upgrad()), heads))


def half(batch):
    return jax.tree.map(lambda leaf: leaf[:3], batch)


@pytest.mark.parametrize("heads", some([None, "plain", "weighted"], None, "weighted"))
@pytest.mark.parametrize("kind", some(["every", "solved"], "every"))
def test_weights_of_a_part_of_the_batch(kind, heads):
    wrap, twin = WRAPPED["every"] if kind == "every" else (lambda m: m, Solved)
    method = wrap(ag.upgrad())
    if heads is not None:
        method = ag.with_heads(method, SHARED, heads)
    found = by_engine(ag.gramian_step, method, solve_on=half)[0]
    close(found, by_hand(twin(ag.upgrad()), heads, half))


def test_weights_are_kept_and_what_is_longer_is_shortened():
    _, weights = by_engine(ag.aggregated_step, ag.nash_mtl(None, update_every=3))
    # A newcomer at the second step asks for a solution at once; an absent task has no weight.
    solved = [0, 1, 4]
    for step in range(STEPS):
        last = max(s for s in solved if s <= step)
        kept = jnp.where(PRESENT[step], weights[last], 0)
        np.testing.assert_allclose(weights[step], kept, rtol=1e-6)
    assert np.abs(np.diff(weights[jnp.array(solved)], axis=0)).max() > 1e-3
    rows = {"w": jnp.asarray(RNG.normal(size=(3, 8)), jnp.float32)}
    limited = ag.nash_mtl(0.1, update_every=2)
    update, state = jax.jit(limited.update), limited.init(rows)
    for factor in (1.0, 3.0):
        scaled = jax.tree.map(lambda leaf, f=factor: f * leaf, rows)
        combined, state, info = update(scaled, state)
        assert optax.tree.norm(combined) == pytest.approx(0.1, rel=1e-5)
        np.testing.assert_allclose(combined["w"], info.weights @ scaled["w"], rtol=1e-5, atol=1e-7)
        by_gram = limited.weights(ag.gram_matrix(scaled))
        np.testing.assert_allclose(by_gram, info.weights, rtol=1e-4)


METHODS = {
    "every": lambda: ag.every(2, ag.upgrad(), max_norm=1.0),
    "fixed": lambda: ag.fixed_weights_from(None, 2),
    "cyclic": lambda: ag.cyclic(ag.mgda()),
    "colours": lambda: ag.colour_schedule(refresh=2),
}


@pytest.mark.parametrize("name", METHODS)
def test_types_and_the_stricter_modes(name):
    made = ag.aggregated_step(loss_fn, METHODS[name](), optax.sgd(RATE), has_aux=True)

    def types(tree):
        return jax.tree.map(lambda leaf: leaf.dtype, tree)

    for dtype, promotion in ((jnp.bfloat16, "standard"), (jnp.float32, "strict")):
        given = PARAMS, (X[0], Y[0]), jnp.zeros(5)
        params, batch, mean = jax.tree.map(lambda leaf, d=dtype: leaf.astype(d), given)
        state = made.init(params, batch, mean, key=jax.random.key(0))
        with jax.numpy_dtype_promotion(promotion):
            after, following, _ = jax.eval_shape(made.step, params, state, batch, mean)
        assert types(after) == types(params)
        assert types(following) == types(state)


def test_one_bad_batch_is_seen_and_solved_anew():
    rows = jnp.asarray(RNG.normal(size=(3, 5)), jnp.float32)
    for method in (ag.every(3, ag.mgda()), ag.cyclic(ag.mgda()), ag.colour_schedule(refresh=3)):
        update, state = jax.jit(method.update), method.init(rows)
        _, state, _ = update(rows, state)
        if not isinstance(state, tuple) or not hasattr(state, "next"):
            for _ in range(2):
                _, state, _ = update(rows, state)
        found, after, _ = update(rows.at[:, 2].set(jnp.nan), state)
        assert np.isnan(found).any()
        for leaf in jax.tree.leaves(after):
            assert np.isfinite(leaf).all()
        assert np.isfinite(update(rows, after)[0]).all()


def test_turns_follow_the_colours_of_the_mean_gradients():
    rows = np.random.default_rng(2).normal(size=(STEPS, TASKS, 3)).astype(np.float32)
    method = ag.colour_schedule(refresh=3, threshold=0.1, rate=0.5)
    state, update = method.init(jnp.asarray(rows[0])), jax.jit(method.update)
    means, colours, numbers = None, None, set()
    for number in range(STEPS):
        if number % 3 == 0:
            means = rows[number] if means is None else (means + rows[number]) / 2
            colours = np.array(coloured(means, 0.1))
        combined, state, info = update(jnp.asarray(rows[number]), state)
        turn = colours == number % (colours.max() + 1)
        numbers.add(colours.max() + 1)
        np.testing.assert_array_equal(info.weights, turn)
        np.testing.assert_allclose(combined, turn @ rows[number], rtol=1e-5, atol=1e-6)
    assert max(numbers) > 1


def test_no_pass_is_hidden_in_the_branch_without():
    """Of the program's branches one has all tasks' gradients, the other those of a plain loss."""

    def of(params, batch):
        return ((jnp.tanh(batch[0] @ params["trunk"]) @ params["heads"] - batch[1]) ** 2).mean(0)

    made = ag.aggregated_step(of, ag.every(4, ag.mgda()), optax.sgd(RATE))
    batch = X[0], Y[0]
    jaxpr = jax.make_jaxpr(made.step)(PARAMS, made.init(PARAMS, batch), batch)
    branches = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "cond"]
    products = [
        [count_products(branch.jaxpr) for branch in eqn.params["branches"]] for eqn in branches
    ]
    plain = jax.make_jaxpr(jax.grad(lambda p: of(p, batch).sum()))(PARAMS)
    assert count_products(plain.jaxpr) in products[0]
    assert max(products[0]) > TASKS * min(products[0]) / 2
    assert count_products(jaxpr.jaxpr, inside=False) == 0


def test_the_means_of_all_tasks_move_in_place():
    def of(params, batch):
        return ((jnp.tanh(batch @ params[0]) @ params[1]) ** 2).mean(axis=0)

    params = jnp.ones((32, 64)), jnp.ones((64, 16))
    batch, tasks = jnp.ones((4, 32)), 16
    made = ag.aggregated_step(of, ag.cyclic(ag.sum()), optax.sgd(RATE))
    jitted = jax.jit(lambda *given: made.step(*given)[:2], donate_argnums=(0, 1))
    plan = jitted.lower(params, made.init(params, batch), batch).compile().memory_analysis()
    if plan is not None:
        assert plan.temp_size_in_bytes < tasks * 4 * 32 * 64


def count_products(jaxpr, inside=True):
    """Multiplications of all matrix products, in the program and what it calls."""
    total = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "dot_general":
            total += np.prod(eqn.outvars[0].aval.shape) * eqn.invars[0].aval.size
        elif inside or eqn.primitive.name != "cond":
            for sub in jax.tree.leaves(eqn.params, is_leaf=lambda v: hasattr(v, "jaxpr")):
                if hasattr(sub, "jaxpr"):
                    total += count_products(sub.jaxpr, inside)
    return total


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ag.every(0, ag.mgda()), "n: expected"),
        (
            lambda: ag.every(2, ag.graddrop()),
            "every: expected a method whose result",
        ),
        (
            lambda: ag.every(2, ag.with_heads(ag.mgda(), SHARED, "plain")),
            r"wrap with_heads\(every\(\.\.\.\)",
        ),
        (lambda: ag.every(2, ag.mgda(), max_norm=0.0), "max_norm: expected"),
        (lambda: ag.fixed_weights_from(ag.mgda(), 0), "steps: expected"),
        (lambda: ag.cyclic(ag.mgda(), decay=1.0), r"decay: expected a number in \[0, 1\)"),
        (lambda: ag.colour_schedule(threshold=2.0), "threshold: expected"),
        (lambda: ag.colour_schedule(rate=0.0), "rate: expected"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
