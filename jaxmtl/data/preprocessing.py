"""The way from original units to what a network takes, and back; it is saved with the model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxmtl.data._errors import TableError
from jaxmtl.data.feature_range import FeatureRange
from jaxmtl.data.reading.tables import Table
from jaxmtl.data.scaling import Scaler


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessing:
    """Scaling and filling of columns, as fitted on training rows.

    Attributes:
        features: names of the feature columns.
        targets: names of the target columns.
        feature_scaler: scaling of the features.
        target_scaler: scaling of the targets.
        fill: what a missing feature is replaced by, in original units; None refuses missing ones.
        dtype: of the scaled arrays.
        feature_range: of the training rows, in original units; None where that is not known.

    Example:
        >>> coding = Preprocessing(
        ...     features=("CO",), targets=("PM2.5",), fill=np.array([1.0]),
        ...     feature_scaler=Scaler(np.array([0.0]), np.array([4.0])),
        ...     target_scaler=Scaler(np.array([10.0]), np.array([100.0])))
        >>> coding.encode(np.array([[2.0], [np.nan]])).tolist()
        [[0.5], [0.25]]
        >>> coding.decode(np.array([[0.5]])).tolist()
        [[60.0]]
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    feature_scaler: Scaler
    target_scaler: Scaler
    fill: Float[np.ndarray, " features"] | None = None
    dtype: np.dtype = np.dtype(np.float32)
    feature_range: FeatureRange | None = None

    @property
    def scales_targets(self) -> bool:
        """Whether errors of coded targets are in other units than those of the table."""
        offset, scale = self.target_scaler
        return bool((np.asarray(offset) != 0).any() or (np.asarray(scale) != 1).any())

    @property
    def target_names(self) -> tuple[str, ...]:
        """Names of the targets."""
        return self.targets

    def encode(
        self, table: Table | Float[np.ndarray, "rows features"]
    ) -> Float[np.ndarray, "rows features"]:
        """Scales features, after filling the missing ones.

        Args:
            table: a table with the same features, or their values in original units.

        Returns:
            Scaled features, in ``dtype``.

        Raises:
            TableError: a value is missing and none was fitted to replace it, a value does not fit
                into ``dtype`` once scaled, or the columns are other ones.
        """
        if isinstance(table, Table):
            if table.features != self.features:
                raise TableError(
                    f"{table.source}: expected the features {', '.join(self.features)}, got "
                    f"{', '.join(table.features)}; read the table with these"
                )
            x = table.x
        else:
            x = np.asarray(table, dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise TableError(
                f"features: expected an array of shape (rows, {len(self.features)}), got {x.shape}"
            )
        missing = np.isnan(x)
        if self.fill is not None:
            x = np.where(missing, self.fill, x)
        elif missing.any():
            row, column = np.argwhere(missing)[0]
            raise TableError(
                f"{self._place(table, column, row)}: the first of {missing.sum()} missing values; "
                "fill these cells, leave their rows out, or train with missing features replaced "
                "by the mean"
            )
        scaled = to_dtype(self.feature_scaler.transform(x), self.dtype)
        if not np.isfinite(scaled).all():
            row, column = np.argwhere(~np.isfinite(scaled))[0]
            raise TableError(
                f"{self._place(table, column, row)}: expected a value that fits into {self.dtype} "
                f"once scaled, got {x[row, column]}; correct it"
            )
        return scaled

    def decode(
        self, y: Float[np.ndarray | jax.Array, "rows targets"]
    ) -> Float[np.ndarray, "rows targets"]:
        """Brings scaled targets, such as predictions, back to original units, in float64."""
        return np.asarray(self.target_scaler.inverse(np.asarray(y, dtype=np.float64)))

    def to_dict(self) -> dict[str, Any]:
        """Everything as lists, texts and numbers that JSON keeps exactly."""
        return {
            "features": list(self.features),
            "targets": list(self.targets),
            "feature_scaler": _scaler_to_dict(self.feature_scaler),
            "target_scaler": _scaler_to_dict(self.target_scaler),
            "fill": None if self.fill is None else self.fill.tolist(),
            "dtype": self.dtype.name,
            "feature_range": None
            if self.feature_range is None
            else [end.tolist() for end in self.feature_range],
        }

    @staticmethod
    def from_dict(saved: Mapping[str, Any]) -> "Preprocessing":
        """The preprocessing that `to_dict` was called on.

        Args:
            saved: what `to_dict` returned, perhaps by way of JSON.

        Returns:
            A preprocessing that encodes and decodes to the same bits.
        """
        fill, ends = saved["fill"], saved.get("feature_range")
        return Preprocessing(
            features=tuple(saved["features"]),
            targets=tuple(saved["targets"]),
            feature_scaler=_scaler_from_dict(saved["feature_scaler"]),
            target_scaler=_scaler_from_dict(saved["target_scaler"]),
            fill=None if fill is None else np.array(fill, dtype=np.float64),
            dtype=np.dtype(saved["dtype"]),
            feature_range=None
            if ends is None
            else FeatureRange(*(np.array(end, dtype=np.float64) for end in ends)),
        )

    def _place(self, table: Table | np.ndarray, column: int, row: int) -> str:
        name = self.features[column]
        if isinstance(table, Table):
            return table.place(name, row)
        return f"features, column {name!r}, row {row} from 0"


def to_dtype(values: Any, dtype: np.dtype) -> np.ndarray:
    """Values in another dtype; those beyond its range become infinite, without a warning."""
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype)


def _scaler_to_dict(scaler: Scaler) -> dict[str, list[float]]:
    return {
        "offset": np.asarray(scaler.offset).tolist(),
        "scale": np.asarray(scaler.scale).tolist(),
    }


def _scaler_from_dict(saved: Mapping[str, Any]) -> Scaler:
    offset, scale = (np.array(saved[name], dtype=np.float64) for name in ("offset", "scale"))
    return Scaler(offset, scale)
