"""Shared bottom: one trunk for all tasks, and a tower for each."""

from jaxtyping import Array, Float

from jaxmtl.models._parts import TaskNetwork, Towers, Trunk


class SharedBottom(TaskNetwork):
    """One trunk for all tasks, and a tower and an output layer for each: hard parameter sharing.

    ``h = trunk(x)``, ``y_t = output_t(tower_t(h))``; the outputs stand side by side. With a bank of
    nodes that can be duplicated, it is ``HardSharing``.

    The fields are those of every architecture; training takes ``SharedBottom`` as it takes any
    other: ``jaxmtl.fit(model, data, ...)``.

    Attributes:
        trunk: sizes of the dense layers that all tasks share, an activation after each; or a
            hashable flax module from inputs to (batch, features), such as ``ConvTrunk()``, which
            brings its own activation, initial values and dtypes.
        towers: hidden sizes of every tower; or one row of sizes a task. May be empty.
        outputs: output width of each task; its length is the number of tasks.
        activation: of all hidden layers, a name or a function.
        output_activation: of the outputs; None for linear.
        initializer: see ``dense_initializers``.
        dtype: of the computation; None: promoted from inputs and parameters.
        param_dtype: of the parameters.

    Example:
        Three classes and two classes out of ten features; the classes of a single row:

        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.models import split_outputs
        >>> model = SharedBottom(trunk=(64, 32, 16), towers=(32,), outputs=(3, 2))
        >>> variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 10)))
        >>> row = jnp.ones((1, 10))
        >>> scores = split_outputs(model.apply(variables, row), model.outputs)
        >>> [task.shape for task in scores], [int(task.argmax()) < 3 for task in scores]
        ([(1, 3), (1, 2)], [True, True])

    References:
        Caruana (1997), Multitask Learning, Machine Learning 28, 41-75.
    """

    trunk: Trunk = (64, 32, 16)
    towers: Towers = (32,)

    def setup(self) -> None:
        """Declares the layers."""
        super().setup()
        self.heads = self.make_heads(self.towers)

    def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch outputs"]:
        """Predictions of all tasks side by side, (batch, sum of outputs)."""
        return self.heads(self.shared(x))
