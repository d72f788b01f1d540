"""Methods by name: options in names, methods of one's own, and where names are taken."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxmtl.aggregation as ag
from jaxmtl.aggregation.known import as_scalarizer, known_names, read_name
from jaxmtl.methods.study.arms import find_arm
from jaxmtl.training.phased.combining import aggregators, check_combining, method_of

GRADS = jnp.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])


@pytest.fixture
def own():
    """Registers for one test."""
    names = []

    def register(name, factory, **options):
        ag.register(name, factory, **options)
        names.append(name)

    yield register
    for name in set(names):
        ag.forget(name)


def weights(method, **given):
    return method.weights(ag.gram_matrix(GRADS), **given).tolist()


def shared(share: float = 0.5, squared: bool = False) -> ag.Aggregator:
    def rule(gram, state, context):
        factor = share**2 if squared else share
        return ag.Weighed(factor * context.present.astype(gram.dtype), state)

    return ag.from_rule(rule, needs_gram=False)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("cagrad(c=0.4)", {"c": 0.4}),
        (" aligned_mtl ( scale = 'rmse' ,preferences=[1, -2.5] ) ", None),
        ("nash_mtl(max_norm=None)", {"max_norm": None}),
        ("sand_mask(k=1e+1, rescale=False)", {"k": 10.0, "rescale": False}),
        ("mgda()", {}),
        ("gls", {}),
    ],
)
def test_options_in_a_name_are_those_of_the_factory(text, options):
    expected = {"scale": "rmse", "preferences": [1, -2.5]} if options is None else options
    found = read_name(text)
    assert found.options == expected
    assert read_name(str(found)) == found
    assert isinstance(ag.make(text), ag.Aggregator)


def test_options_reach_the_method():
    assert weights(ag.make("constant(weights=(1, -0.5))")) == [1.0, -0.5]
    inside = "cr_mogm(aggregator='constant(weights=[3, 4])')"
    assert weights(ag.make(inside)) == [3.0, 4.0]
    losses = jnp.array([1.0, 2.0])
    assert weights(ag.make("linear(weights=[2, 1])"), losses=losses) == [2.0, 1.0]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cagrid(c=1)", "there is no method 'cagrid' .did you mean 'cagrad'"),
        ("cagrad(d=1)", "cagrad has no option 'd'; it has c, rescale, preferences"),
        ("cagrad(preference=[1])", "no option 'preference' .did you mean 'preferences'"),
        ("mgda(c=1)", "mgda has no option 'c'; it has none"),
        ("uncertainty(optimizer=1)", "no option 'optimizer'; it has initial, learning_rate"),
        ("cagrad(0.4)", "options by name with literal values"),
        ("cagrad(c=__import__('os'))", "options by name with literal values"),
        ("cagrad(c=1), mgda(c=2)", "options by name with literal values"),
        ("cagrad(**{'c': 1})", "options by name with literal values"),
        ("cagrad(c=1e999)", "options by name with literal values"),
        ("cagrad(c=[[1]])", "options by name with literal values"),
        ("cagrad(c=" + "(" * 900, "expected a name, or one with options"),
        ("cagrad(c=" + "(" * 400 + ")" * 401, "options by name with literal values"),
        ("cagrad(c=1", "expected a name, or one with options"),
        ("c" * 2000, "expected a name, or one with options"),
        ("cagrad(c='big')", "cagrad: c: expected a number, got 'big'"),
        ("cagrad(c=-1)", "cagrad: c: expected a number >= 0, got -1"),
        ("krum(num_selected=1.5)", "krum: num_selected: expected a whole number"),
        ("constant", r"constant has one weight a task, as in 'constant\(weights="),
    ],
)
def test_what_is_wrong_with_a_name_is_one_sentence(text, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        ag.make(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_method_of_ones_own_is_known_everywhere(own):
    own("shared", shared)
    assert weights(ag.make("shared(share=0.25)")) == [0.25, 0.25]
    assert "shared" in ag.REGISTRY
    assert "shared" in aggregators()
    assert find_arm("mmoe+shared(squared=True)").name == "mmoe+shared(squared=True)"
    found = check_combining("shared(share=0.25)")
    assert found is check_combining("shared( share=0.25 )")  # one program for both
    own("scaled", lambda: ag.linear([2.0, 1.0]))
    assert weights(ag.make("scaled"), losses=jnp.ones(2)) == [2.0, 1.0]
    assert "scaled" in ag.LOSS_METHODS


def test_a_name_is_replaced_only_if_told_and_comes_back(own):
    before, names = weights(ag.make("mgda")), known_names()
    with pytest.raises(ValueError, match="there is a method 'mgda' already; pass replace=True"):
        ag.register("mgda", shared)
    assert method_of(check_combining("mgda"), 2).rule is not None
    for factory, expected in ((shared, [0.5, 0.5]), (lambda: ag.linear([3, 1]), [3.0, 1.0])):
        own("mgda", factory, replace=True)
        found = check_combining("mgda")  # the method itself: a name would stand for the first one
        made = found if isinstance(found, ag.Aggregator) else ag.from_losses(found)
        assert weights(made, losses=jnp.ones(2)) == expected
    assert "mgda" not in ag.REGISTRY
    ag.forget("mgda")
    assert weights(ag.make("mgda")) == before
    assert known_names() == names
    own("mgda", ag.mgda, replace=True)


@pytest.mark.parametrize(
    ("name", "factory", "sentence"),
    [
        ("my method", shared, "expected a word as the name"),
        (shared, shared, "expected a word as the name"),
        (
            "mine",
            shared(),
            "mine: expected a function that makes an aggregator or loss method, got",
        ),
        ("mine", lambda c: shared(c), "without arguments, got .* missing 1 required"),
        ("mine", lambda: "upgrad", "got one that makes 'upgrad'"),
        ("mine", lambda: ag.cagrad(c=-1), "c: expected a number >= 0"),
    ],
)
def test_what_is_no_method_is_not_registered(name, factory, sentence):
    with pytest.raises(ValueError, match=sentence):
        ag.register(name, factory)
    assert "mine" not in known_names()


def test_the_tables_are_read_only():
    for table in (ag.REGISTRY, ag.LOSS_METHODS):
        with pytest.raises(TypeError, match="does not support item assignment"):
            table["mine"] = ag.REGISTRY["mgda"]


def losses_of(params, batch):
    return jnp.stack([((params - batch) ** 2).sum(), ((params + batch) ** 2).sum()])


def split_loss():
    def of_heads(params, features, batch):
        return losses_of(features, batch)

    return ag.SplitLoss(lambda params, batch: params * batch, of_heads)


ENGINES = {
    "aggregated": lambda m: ag.aggregated_step(losses_of, m, optax.sgd(0.1)),
    "gramian": lambda m: ag.gramian_step(losses_of, m, optax.sgd(0.1)),
    "feature": lambda m: ag.feature_step(split_loss(), m, optax.sgd(0.1), head_gradients="plain"),
    "parallel": lambda m: ag.data_parallel_step(
        losses_of, m, optax.sgd(0.1), jax.make_mesh((1,), ("data",))
    ),
    "optax": lambda m: ag.as_optax(m, 2),
    "grouped": lambda m: ag.aggregated_step(losses_of, ag.grouped(m), optax.sgd(0.1)),
    "preferred": lambda m: ag.aggregated_step(losses_of, ag.preferred(m, [1, 2]), optax.sgd(0.1)),
    "recon": lambda m: ag.aggregated_step(losses_of, ag.recon(m), optax.sgd(0.1)),
    "heads": lambda m: ag.aggregated_step(
        losses_of, ag.with_heads(m, lambda tree: True, "plain"), optax.sgd(0.1)
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_takes_names_and_loss_methods(engine):
    params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.5])

    def after(method):
        made = ENGINES[engine](method)
        if engine == "optax":
            return made.update(GRADS[:, :2], made.init(params), params, losses=jnp.ones(2))[0]
        start = (params, params) if engine == "feature" else params
        return made.step(start, made.init(start, batch), batch)[0]

    same = {
        "gradnorm(alpha=1.2)": ag.gradnorm(1.2),
        "linear(weights=[1, 0.5])": ag.linear([1, 0.5]),
    }
    for text, made in same.items():
        ours, theirs = (
            jax.make_jaxpr(lambda m=text: after(m))(),
            jax.make_jaxpr(lambda m=made: after(m))(),
        )
        assert [e.primitive for e in ours.eqns] == [e.primitive for e in theirs.eqns]


def test_loss_methods_are_named_where_aggregators_are_not_taken():
    params, batch = jnp.array([1.0, 1.0]), jnp.array([1.0, 0.5])
    init, step = ag.scalarized_step(losses_of, "linear(weights=[1, 0])", optax.sgd(0.25))
    np.testing.assert_allclose(step(params, init(params, batch), batch)[0], [1.0, 0.75])
    for wrong in ("mgda", ag.mgda()):
        with pytest.raises(ValueError, match="expected a loss method, as 'equal', which sums"):
            as_scalarizer(wrong)
    with pytest.raises(ValueError, match="auto_lambda needs the batch that follows"):
        ag.grouped("auto_lambda")
