"""Weighted means of models, with weights of its own for every task."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
from jaxtyping import Float

from jaxmtl._words import short
from jaxmtl.methods.method import Model
from jaxmtl.methods.saved import check_arrays, check_fields, described, with_prefix
from jaxmtl.plain.mixture import disagreement, weighted_mean
from jaxmtl.tasks import Task, output_widths

MOST_MODELS = 1000
_ROUNDING = 1e-6  # of the sum of weights


class ReadModel(Protocol):
    """``model_of``, which reads mixtures by this file and so cannot be imported by it."""

    def __call__(
        self,
        kind: Any,
        spec: Any,
        arrays: Mapping[str, np.ndarray],
        *,
        features: int,
        outputs: int,
    ) -> Model:
        """The model of any kind."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MixtureModel:
    """The weighted mean of what models predict: of numbers, and of probabilities.

    Attributes:
        models: none of them a mixture; ``mixed`` makes one of any models.
        weights: of every model for every task; those of a task have the sum 1.
        widths: columns of every task in the outputs.

    Example:
        >>> from jaxmtl.methods import ConstantModel
        >>> models = [ConstantModel(outputs=np.array([value, value])) for value in (0.0, 1.0)]
        >>> mixture = MixtureModel(models=tuple(models), widths=(1, 1),
        ...                        weights=np.array([[0.5, 1.0], [0.5, 0.0]]))
        >>> mixture.predict(np.zeros((1, 3))).tolist()
        [[0.5, 0.0]]
    """

    kind: ClassVar[str] = "mixture"

    models: tuple[Model, ...]
    weights: Float[np.ndarray, "models tasks"]
    widths: tuple[int, ...]

    def predict(self, x: Float[np.ndarray, "rows features"]) -> Float[np.ndarray, "rows outputs"]:
        """Outputs for coded features."""
        return self._mean((model.predict(x) for model in self.models), len(x))

    def with_disagreement(
        self, x: Float[np.ndarray, "rows features"]
    ) -> tuple[Float[np.ndarray, "rows outputs"], Float[np.ndarray, "rows tasks"]]:
        """Outputs, and how far the models are apart.

        Args:
            x: coded features.

        Returns:
            What ``predict`` gives, and ``disagreement`` of the same models.
        """
        each = [model.predict(x) for model in self.models]
        mean = self._mean(each, len(x))
        return mean, disagreement(each, self.weights, mean, self.widths)

    def _mean(self, each: Iterable[np.ndarray], rows: int) -> np.ndarray:
        return weighted_mean(each, self.weights, self.widths, rows)

    def spec(self) -> dict[str, Any]:
        """Kinds and specs of the models, and the widths."""
        models = [described(model) for model in self.models]
        return {"models": models, "widths": list(self.widths)}

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights, and the arrays of every model under its number."""
        found = {"weights": self.weights}
        for number, model in enumerate(self.models):
            found |= {f"{number}/{name}": array for name, array in model.arrays().items()}
        return found


def mixed(
    models: Sequence[Model], weights: Float[np.ndarray, "models tasks"], tasks: Sequence[Task]
) -> Model:
    """The model that predicts the weighted mean of others.

    Args:
        models: perhaps mixtures themselves, of the same tasks.
        weights: 0 or more; those of a task are divided by their sum.
        tasks: in the order of the outputs.

    Returns:
        A mixture of those models that have a weight, or the only such model itself.

    Raises:
        ValueError: weights of another shape, below 0, or all 0 for a task.

    Example:
        >>> from jaxmtl.methods import ConstantModel
        >>> from jaxmtl.tasks import number_tasks
        >>> models = [ConstantModel(outputs=np.array([value])) for value in (0.0, 1.0)]
        >>> mixed(models, np.array([[0.0], [2.0]]), number_tasks(["CO"])).outputs.tolist()
        [1.0]
    """
    weights = np.asarray(weights, float)
    shape = (len(models), len(tasks))
    if weights.shape != shape or not len(models):
        raise ValueError(
            f"weights: expected (models, tasks), {shape} and at least one, got {weights.shape}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(f"weights: expected numbers of 0 or more, got {weights.min()}")
    sums = weights.sum(axis=0)
    if (sums <= 0).any():
        name = tasks[int(np.argmin(sums))].name
        raise ValueError(f"weights: expected a model for {name!r}, got 0 for all of them")
    members: list[tuple[Model, np.ndarray]] = []
    for model, own in zip(models, weights / sums, strict=True):
        if isinstance(model, MixtureModel):
            members += zip(model.models, model.weights * own, strict=True)
        else:
            members.append((model, own))
    members = [(model, own) for model, own in members if (own > 0).any()]
    if len(members) == 1:
        return members[0][0]
    return MixtureModel(
        models=tuple(model for model, _ in members),
        weights=np.stack([own for _, own in members]),
        widths=output_widths(tasks),
    )


def mixture_model_of(
    spec: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    read: ReadModel,
    *,
    features: int,
    outputs: int,
) -> MixtureModel:
    """Reads what ``spec`` and ``arrays`` gave, the models by ``read``."""
    what = "model of kind mixture"
    check_fields(what, spec, {"models", "widths"})
    widths, members = spec["widths"], spec["models"]
    whole = isinstance(widths, list) and all(type(w) is int and w > 0 for w in widths)
    if not whole or sum(widths) != outputs:
        raise ValueError(
            f"{what}: expected widths of {outputs} outputs together, got {short(widths)}"
        )
    if not isinstance(members, list) or not 0 < len(members) <= MOST_MODELS:
        raise ValueError(f"{what}: expected 1 to {MOST_MODELS} models, got {short(members)}")
    rest, models = dict(arrays), []
    for number, member in enumerate(members):
        check_fields(f"{what}: model {number}", member, {"kind", "spec"})
        if member["kind"] == MixtureModel.kind:
            raise ValueError(f"{what}: expected models of other kinds, got a mixture in it")
        own = with_prefix(arrays, f"{number}/")
        rest = {name: a for name, a in rest.items() if not name.startswith(f"{number}/")}
        try:
            models.append(
                read(member["kind"], member["spec"], own, features=features, outputs=outputs)
            )
        except ValueError as error:
            raise ValueError(f"{what}: model {number}: {error}") from error
    check_arrays(rest, {"weights": ((len(models), len(widths)), np.dtype(float))})
    weights = rest["weights"]
    if (weights < 0).any() or (abs(weights.sum(axis=0) - 1) > _ROUNDING).any():
        raise ValueError(
            f"{what}: expected weights of 0 or more, for each task with the sum 1, got "
            f"{weights.min():g} as the least and sums of {short(weights.sum(axis=0).tolist())}"
        )
    return MixtureModel(models=tuple(models), weights=weights, widths=tuple(widths))
