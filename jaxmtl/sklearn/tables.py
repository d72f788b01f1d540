"""What all estimators share: tables from arrays and frames, and the predictor."""

import numbers
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, column_or_1d, validate_data

from jaxmtl._words import short
from jaxmtl.data import CellTable, Coding, infer_columns, table_of_cells
from jaxmtl.data.reading.cell_table import is_nothing
from jaxmtl.methods import TABLE_FAMILIES
from jaxmtl.prediction.calibration import Bounds
from jaxmtl.prediction.fit_table import Plan, fit_table
from jaxmtl.prediction.predictor import ByFold, Predictor
from jaxmtl.prediction.save import load_predictor, save_predictor
from jaxmtl.statistics.conformal import check_level

FEWEST_ROWS = 4
_SAVED = "saved_predictor"
_OPTION = re.compile(r"--kinds ('?)([^=]+)=([\w<]+)\1")


class TableEstimator(BaseEstimator):
    """What all of them share: tables from arrays and frames, and the predictor."""

    _kind: str | None = None  # of the targets; None: found out

    def __init__(
        self,
        *,
        families: Sequence[str] | None = None,
        folds: int | None = None,
        kinds: Mapping[str, str] | None = None,
        time_limit: float | None = None,
        random_state: Any = None,
    ) -> None:
        """Keeps its arguments; ``fit`` looks at them."""
        self.families = families
        self.folds = folds
        self.kinds = kinds
        self.time_limit = time_limit
        self.random_state = random_state

    def _learn(self, X: Any, targets: Mapping[str, Any]) -> None:
        self._check_parameters()
        rows = len(next(iter(targets.values())))
        folds = self.folds or Plan().folds
        least = max(FEWEST_ROWS, folds or 0)
        if rows < least:
            raise ValueError(f"expected {least} rows or more, got n_samples={rows}")
        features = self._features(X, reset=True)
        taken = dict(targets)
        clash = set(features) & set(taken)
        if clash:
            raise ValueError(f"y: expected names that X has not, got {sorted(clash)[0]!r} in both")
        table = table_of_cells(features | taken)
        kinds = dict(self.kinds or {})
        if self._kind is not None:
            kinds |= {name: self._kind for name in taken if name not in kinds}
        try:
            columns = infer_columns(table, targets=list(taken), kinds=kinds)
        except ValueError as error:
            raise ValueError(_as_argument(str(error))) from None
        chosen: dict[str, Any] = {}
        if self.families is not None:
            chosen["families"] = tuple(self.families)
        plan = Plan(
            folds=self.folds,
            seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
            seconds=self.time_limit,
            **chosen,
        )
        found = fit_table(table, columns, plan)
        self.predictor_ = found.predictor
        self.leaderboard_ = {
            line.name: dict(zip(taken, line.scores.relative.tolist(), strict=True))
            for line in found.leaderboard
        }
        self.importance_ = found.importance
        self.coverage_ = found.coverage
        self.notes_ = tuple(map(_as_argument, (*columns.notes, *found.notes)))

    def _check_parameters(self) -> None:
        """Raises ValueError for one of another type or out of range."""
        names = self.families
        if names is not None and (isinstance(names, str) or not {*names} <= {*TABLE_FAMILIES}):
            known = ", ".join(TABLE_FAMILIES)
            raise ValueError(f"families: expected a list of some of {known}, got {names!r}")
        whole = isinstance(self.folds, numbers.Integral)
        if self.folds is not None and not (whole and self.folds >= 2):
            raise ValueError(f"folds: expected None or 2 or more, got {self.folds!r}")
        kinds = self.kinds
        texts = isinstance(kinds, Mapping) and all(
            isinstance(part, str) for pair in kinds.items() for part in pair
        )
        if kinds is not None and not texts:
            raise ValueError(
                "kinds: expected None or kinds by the name of the column, such as "
                f"{{'city': 'category'}}, got {short(kinds)}"
            )
        limit = self.time_limit
        if limit is not None and not (isinstance(limit, numbers.Real) and limit > 0):
            raise ValueError(f"time_limit: expected None or seconds above 0, got {limit!r}")

    def _features(self, X: Any, *, reset: bool) -> dict[str, Any]:
        """Columns by the names of the frame that was learned from, of others by their numbers."""
        if hasattr(X, "columns"):
            unique_names(X.columns, "X")
            # Cells of any kind: only names and their number are checked.
            validate_data(self, X, reset=reset, skip_check_array=True)
            columns = [X[name] for name in X.columns]
        else:
            values = validate_data(
                self, X, reset=reset, dtype=np.float64, ensure_all_finite="allow-nan"
            )
            columns = list(np.asarray(values).T)
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(len(columns))])
        return dict(zip(map(str, names), columns, strict=True))

    def _outputs(self, X: Any) -> tuple[Predictor, ByFold]:
        check_is_fitted(self, "predictor_")
        features = self._features(X, reset=False)
        predictor: Predictor = self.predictor_
        coding = predictor.coding
        assert isinstance(coding, Coding)
        table: CellTable = table_of_cells(features)
        return predictor, predictor.outputs_by_fold(coding.encode(table).x)

    def _bounds(self, X: Any, level: float, joint: bool) -> tuple[Predictor, ByFold, Bounds]:
        check_level(level)
        predictor, found = self._outputs(X)
        return predictor, found, predictor.bounds(found, confidence_level=level, joint=joint)

    def __getstate__(self) -> dict[str, Any]:
        """The predictor as the bytes of its file."""
        own: Any = super().__getstate__()
        state: dict[str, Any] = dict(own)
        if "predictor_" in state:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.npz")
                save_predictor(path, state.pop("predictor_"))
                state[_SAVED] = path.read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Reads the predictor again."""
        state = dict(state)
        saved = state.pop(_SAVED, None)
        super().__setstate__(state)
        if saved is not None:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.npz")
                path.write_bytes(saved)
                self.predictor_ = load_predictor(path)

    def __sklearn_tags__(self) -> Any:
        """Gaps in X are allowed, categories in frames, and several targets."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.required = True
        tags.target_tags.single_output = True
        tags.target_tags.multi_output = True
        return tags


def _as_argument(words: str) -> str:
    """What is said to a user of the shell, to one of an estimator."""
    named = _OPTION.sub(lambda found: f"kinds={{{found[2]!r}: {found[3]!r}}}", words)
    return named.replace("--kinds", "kinds")


def targets_of(y: Any, *, numeric: bool) -> tuple[np.ndarray, list[str], bool]:
    """Labels as columns.

    Args:
        y: (rows,) or (rows, targets), an array or a frame.
        numeric: whether they are numbers.

    Returns:
        (rows, targets), the names of the targets, and whether y has one dimension.
    """
    names = unique_names(y.columns, "y") if hasattr(y, "columns") else None
    how: dict[str, Any] = {"ensure_2d": False, "ensure_all_finite": "allow-nan"}
    how["dtype"] = np.float64 if numeric else None
    found: Any = check_array(y, input_name="y", **how)
    one = found.ndim == 1 or (found.shape[1] == 1 and names is None)
    if found.ndim == 2 and one:
        found = column_or_1d(found, warn=True)
    found = found.reshape(len(found), -1)
    return found, names or [f"y{t}" for t in range(found.shape[1])], one


def unique_names(columns: Any, what: str) -> list[str]:
    """Names of columns as texts.

    Args:
        columns: of a frame.
        what: which one, for the error.

    Returns:
        A text each.

    Raises:
        ValueError: two of them are the same.

    Example:
        >>> unique_names(["CO", 1], "X")
        ['CO', '1']
    """
    names = [str(name) for name in columns]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"{what}: expected columns of different names, got {twice[0]!r} twice")
    return names


def known_labels(label: np.ndarray) -> np.ndarray:
    """Which labels are not missing.

    Args:
        label: of one target, of any type.

    Returns:
        A truth value each.

    Example:
        >>> known_labels(np.array(["low", None], object)).tolist()
        [True, False]
    """
    return np.array([not is_nothing(one) for one in label], bool)


def mean_score(scores: Sequence[float]) -> float:
    """The mean over the targets.

    Args:
        scores: of those with known labels.

    Returns:
        Their mean.

    Raises:
        ValueError: there is none.

    Example:
        >>> mean_score([0.5, 1.0])
        0.75
    """
    if not scores:
        raise ValueError("y: expected a target with known labels, got none")
    return float(np.mean(scores))


def score_of_known(
    measure: Callable[..., Any], values: np.ndarray, predicted: np.ndarray, sample_weight: Any
) -> float:
    """The mean over the targets of a measure of the rows whose label is known.

    Args:
        measure: of labels, predictions and ``sample_weight``.
        values: (rows, targets), as ``targets_of`` gives them.
        predicted: of the same shape.
        sample_weight: of rows; None for 1.

    Returns:
        The mean.

    Raises:
        ValueError: no label is known.

    Example:
        >>> from sklearn.metrics import r2_score
        >>> labels = np.array([[1.0], [2.0], [np.nan]])
        >>> score_of_known(r2_score, labels, np.array([[1.0], [2.0], [9.0]]), None)
        1.0
    """
    found = []
    for label, own in zip(values.T, predicted.T, strict=True):
        at = known_labels(label)
        if at.any():
            weight = None if sample_weight is None else np.asarray(sample_weight)[at]
            found.append(measure(typed(label[at]), typed(own[at]), sample_weight=weight))
    return mean_score(found)


def typed(label: np.ndarray) -> np.ndarray:
    """Labels without gaps by their own type again.

    Args:
        label: perhaps as objects.
    """
    return np.array(label.tolist()) if label.dtype == object else label
