import jax
import jax.numpy as jnp
import numpy as np
import pytest
from drawn import drawn_parameters

from jaxmtl import HardSharing, node_deltas, sample_task_gradients, task_gradients


def mlp_loss(params, batch):
    x, y = batch
    h = jnp.tanh(x @ params["w"] + params["b"][None])
    return ((h @ params["v"] - y) ** 2).mean(axis=0)


def problem(tasks=3, batch=5):
    keys = jax.random.split(jax.random.key(0), 4)
    params = {
        "w": jax.random.normal(keys[0], (4, 6)),
        "b": jnp.linspace(-1, 1, 6),
        "v": jax.random.normal(keys[1], (6, tasks)),
    }
    return params, (
        jax.random.normal(keys[2], (batch, 4)),
        jax.random.normal(keys[3], (batch, tasks)),
    )


def numpy_gradients(params, batch):
    """By hand, float64: (samples, tasks, *shape)."""
    p = {k: np.asarray(v, np.float64) for k, v in params.items()}
    x, y = (np.asarray(leaf, np.float64) for leaf in batch)
    h = np.tanh(x @ p["w"] + p["b"])
    error = 2 * (h @ p["v"] - y)  # (n, t)
    back = error[:, :, None] * p["v"].T[None] * (1 - h**2)[:, None]  # (n, t, nodes)
    tasks = np.eye(y.shape[1])
    return {
        "w": x[:, None, :, None] * back[:, :, None, :],
        "b": back,
        "v": h[:, None, :, None] * (error[:, :, None] * tasks[None])[:, :, None, :],
    }


def test_task_gradients_equal_the_derivation_by_hand():
    params, batch = problem()
    losses, grads = jax.jit(task_gradients(mlp_loss))(params, batch)
    np.testing.assert_allclose(losses, mlp_loss(params, batch), rtol=1e-6)
    for name, expected in numpy_gradients(params, batch).items():
        np.testing.assert_allclose(grads[name], expected.mean(axis=0), rtol=2e-5, atol=5e-6)


def test_sample_task_gradients_equal_the_derivation_by_hand():
    params, batch = problem()
    grads = jax.jit(sample_task_gradients(mlp_loss))(params, batch)
    for name, expected in numpy_gradients(params, batch).items():
        assert grads[name].shape == (5, 3, *params[name].shape)
        np.testing.assert_allclose(grads[name], expected, rtol=2e-5, atol=5e-6)


@pytest.mark.few_optimizations
def test_mean_over_samples_is_the_gradient_of_the_batch():
    params, batch = problem()
    _, whole = jax.jit(task_gradients(mlp_loss))(params, batch)
    each = jax.jit(sample_task_gradients(mlp_loss))(params, batch)
    for name in params:
        np.testing.assert_allclose(each[name].mean(axis=0), whole[name], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.few_optimizations
def test_vmap_over_parameters_equals_a_loop():
    _, batch = problem()
    many = [jax.tree.map(lambda leaf, s=s: leaf * s, problem()[0]) for s in (0.5, 1.0, 2.0)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
    gradients = jax.jit(lambda p: task_gradients(mlp_loss)(p, batch)[1])
    together = jax.vmap(gradients)(stacked)
    for i, params in enumerate(many):
        alone = gradients(params)
        for name in params:
            np.testing.assert_allclose(together[name][i], alone[name], rtol=1e-5, atol=1e-6)


@pytest.mark.few_optimizations
def test_node_deltas_factorise_the_kernel_gradient():
    params, batch = problem()
    x, y = batch

    def head_losses(z):
        return (jnp.tanh(z) @ params["v"] - y) ** 2

    losses, deltas = jax.jit(node_deltas(head_losses))(x @ params["w"] + params["b"][None])
    each = jax.jit(sample_task_gradients(mlp_loss))(params, batch)
    np.testing.assert_allclose(losses.mean(axis=0), mlp_loss(params, batch), rtol=1e-6)
    np.testing.assert_allclose(deltas, each["b"], rtol=1e-5, atol=1e-5)
    products = x[:, None, :, None] * deltas[:, :, None, :]
    np.testing.assert_allclose(products, each["w"], rtol=1e-5, atol=1e-5)


@pytest.mark.few_optimizations
@pytest.mark.parametrize(
    ("tasks", "activation"), [(2, "sigmoid"), pytest.param(4, "relu", marks=pytest.mark.slow)]
)
def test_taps_of_hard_sharing_hold_every_tasks_delta(tasks, activation):
    """One backward pass through taps equals the literal per-sample, per-task bank gradients."""
    model = HardSharing(outputs=(1,) * tasks, towers=(5,), activation=activation)
    x = jax.random.normal(jax.random.key(0), (6, 4))
    y = jax.random.uniform(jax.random.key(1), (6, tasks))
    variables = drawn_parameters(model, x)
    index = jnp.array([[0, 3, 2]] + [[0, 1, 2]] * (tasks - 1))

    def loss_fn(params, batch):
        return ((model.apply({"params": params}, batch[0], index) - batch[1]) ** 2).mean(axis=0)

    literal = jax.jit(sample_task_gradients(loss_fn))(variables["params"], (x, y))["bank"]["bias"]
    inputs = jax.jit(lambda v: model.apply(v, x, method="trunk"))(variables)

    def summed(taps):
        return ((model.apply(variables, inputs, index, taps, method="heads") - y) ** 2).sum()

    slots = jax.jit(jax.grad(summed))(jnp.zeros((6, tasks, 3)))
    for t in range(tasks):
        np.testing.assert_allclose(slots[:, t], literal[:, t, index[t]], rtol=1e-5, atol=1e-7)
        others = np.setdiff1d(np.arange(literal.shape[-1]), np.asarray(index[t]))
        assert not np.asarray(literal[:, t, others]).any()  # exactly 0 where it does not read


@pytest.mark.few_optimizations
def test_bad_losses_are_refused():
    params, batch = problem()
    scalar = lambda p, b: mlp_loss(p, b).sum()  # noqa: E731
    with pytest.raises(ValueError, match=r"loss_fn: expected a vector .* got shape \(\)"):
        task_gradients(scalar)(params, batch)
    with pytest.raises(ValueError, match="loss_fn: expected a vector"):
        sample_task_gradients(scalar)(params, batch)
    with pytest.raises(ValueError, match=r"common leading sample axis, got lengths \[4, 5\]"):
        sample_task_gradients(mlp_loss)(params, (batch[0], batch[1][:4]))
    with pytest.raises(ValueError, match=r"head_losses: expected losses of shape"):
        node_deltas(lambda z: z.sum(axis=1))(jnp.ones((3, 2)))
