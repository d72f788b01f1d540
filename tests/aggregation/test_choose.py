"""``choose``: one of several methods, by a number that may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from aggregation.cases import TASKS, arguments, random_rows, stacked

import jaxmtl.aggregation as ag

pytestmark = pytest.mark.few_optimizations
# With a state, without one weight a task and by a key, a loss method.
METHODS = [ag.gradnorm(), "graddrop(leak=0.2)", ag.gls()]
GIVEN = arguments()


def close(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def trained(method):
    """Gradients and info of two updates, and the state."""
    rows = [stacked(random_rows(seed)) for seed in range(2)]

    def update(state, grads):
        grads, state, info = method.update(grads, state, **arguments())
        return state, (grads, info._replace(weights=None))

    return jax.lax.scan(
        update, method.init(rows[0]), jax.tree.map(lambda *two: jnp.stack(two), *rows)
    )


def alone(method):
    if isinstance(method, str):
        return ag.make(method)
    return ag.from_losses(method) if isinstance(method, ag.Scalarizer) else method


def test_each_member_is_the_method_alone():
    # Under vmap every method is computed, and one state is selected: keys in it count as used.
    with jax.debug_key_reuse(False):
        _each_member_is_the_method_alone()


def _each_member_is_the_method_alone():
    mapped = jax.jit(jax.vmap(lambda i: trained(ag.choose(i, METHODS))))
    found, made = mapped(jnp.arange(len(METHODS))), [alone(method) for method in METHODS]
    literal = jax.jit(lambda: [trained(method) for method in made])()
    for number, (state, seen) in enumerate(literal):
        states, ours = jax.tree.map(lambda leaf, number=number: leaf[number], found)
        close(ours, seen)
        close(states[number], state)
        for other, kept in enumerate(states):
            if other != number:
                close(kept, made[other].init(stacked(random_rows(0))))


def test_a_loop_may_change_its_method_and_each_goes_on_where_it_was():
    losses, key = GIVEN["losses"], GIVEN["key"]
    methods = [ag.famo(), "uncertainty", ag.equal()]

    @jax.jit
    def turns(numbers):
        def turn(state, number):
            method = ag.choose(number, methods)
            loss, state, weights = method.scalarize(losses, state, key=key)
            return method.observe(0.5 * losses, state), (loss, weights)

        return jax.lax.scan(turn, ag.choose(0, methods).init(TASKS), numbers)

    state, (loss, weights) = turns(jnp.array([0, 1, 2, 1, 0]))
    method = ag.uncertainty()
    first = method.scalarize(losses, method.init(TASKS))
    second = method.scalarize(losses, first[1])
    close((loss[1], loss[3]), (first[0], second[0]))
    close(state[1], second[1])
    np.testing.assert_array_equal(weights[2], np.ones(TASKS))


def test_what_all_methods_have_the_choice_has():
    gram = ag.gram_matrix(stacked(random_rows(0)))
    method = ag.choose(1, ["mean", "sum"])
    assert method.weights(gram).tolist() == [1.0] * TASKS
    assert method.weighted
    assert ag.choose(0, ["mean", "graddrop"]).rule is None
    assert not ag.choose(0, ["mean", "graddrop"]).weighted
    assert isinstance(ag.choose(0, ["gls", ag.equal()]), ag.Scalarizer)
    assert isinstance(ag.choose(0, ["gls", "mean"]), ag.Aggregator)
    info = ag.choose(0, ["mean", "graddrop"]).update(
        stacked(random_rows(0)), ((), ()), key=GIVEN["key"]
    )[2]
    assert info.weights is None


@pytest.mark.parametrize(
    ("index", "methods", "sentence"),
    [
        (2, ["mean", "sum"], "choose: expected a whole number from 0 to 1, got 2"),
        (0.0, ["mean"], "choose: expected a whole number from 0 to 0, got 0.0"),
        (jnp.zeros(2, int), ["mean"], "choose: expected a whole number"),
        (0, [], "choose: expected a list of methods, got"),
        (0, "mean", "choose: expected a list of methods, got 'mean'"),
        (0, ["maen"], "methods: there is no method 'maen' .did you mean 'mean'"),
        (0, ["auto_lambda"], "auto_lambda needs the batch that follows"),
    ],
)
def test_bad_choices_are_one_sentence(index, methods, sentence):
    with pytest.raises(ValueError, match=sentence):
        ag.choose(index, methods)


def test_infos_of_another_layout_are_refused():
    grads = stacked(random_rows(0))
    method = ag.choose(0, [ag.grouped("mgda"), "mgda"])
    with pytest.raises(ValueError, match=r"one for each of the same groups, got .*\(2,\), \(\)"):
        method.update(grads, method.init(grads))
    with pytest.raises(ValueError, match="whole number from 0 to 1, got float32"):
        jax.eval_shape(lambda i: ag.choose(i, ["mean", "sum"]) and 0, jnp.ones(()))
