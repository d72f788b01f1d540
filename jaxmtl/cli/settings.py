"""All options of a run in one value that JSON keeps, checked as a whole."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any

from jaxmtl.training import STUDY_PHASES, Phase
from jaxmtl.training.phased.combining import check_combining

OPTIMIZERS = ("adam", "adamw", "adamax", "amsgrad", "nadam", "rmsprop", "adagrad", "sgd")
BUILT_IN_FEATURES = ("SO2", "CO", "NO2", "PM10")
BUILT_IN_TARGETS = ("PM2.5", "O3_8h")
CHOICES = {
    "missing": ("error", "drop", "mean"),
    "missing_targets": ("error", "drop", "mean", "mask"),
    "scaling": ("minmax", "standard", "none"),
    "scale_on": ("train", "all"),
    "split": ("random", "chronological", "column"),
    "optimizer": OPTIMIZERS,
    "rule": ("nonnegative", "strict"),
    "zeros": ("reset", "hold"),
    "transplant": ("fresh", "copy"),
}
LEAST = {"seed": 0, "gap": 0, "nodes": 1, "batch_size": 1, "hard_epochs": 1}
# What is worked out from another option is worked out anew when that one changes.
DERIVED = {
    "missing_targets": "missing",
    "output_activation": "scaling",
    "hard_epochs": "phases",
    "split": "split_column",
}
HARD_EPOCHS_OF_STUDY = 480


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of ``jaxmtl fit``; the defaults are the preset "study".

    Attributes:
        table: path of the workbook or text table; None for the built-in data.
        sheet: name or number of the sheet; None for the first.
        features: names of the columns to predict from; None only for the built-in data.
        targets: names of the columns to predict; None only for the built-in data.
        seed: of the split, the initial values and, if rows are shuffled, their order.
        missing: treatment of missing features.
        missing_targets: treatment of missing targets; None: as of features.
        missing_values: numbers and texts that stand for a missing value.
        scaling: of features and targets.
        scale_on: rows that scales are fitted on.
        split: how rows are divided; None: "column" if one is named, else "random".
        test: fraction of the rows to test on.
        validation: fraction of the rows to validate on.
        gap: rows left out before each later part of a chronological split.
        split_column: column that says which row trains and which tests.
        shared: sizes of the shared layers below the bank.
        nodes: of the bank.
        towers: sizes of the hidden layers of every task's own tower.
        activation: of hidden layers.
        output_activation: of outputs; None: "sigmoid" for targets scaled to 0..1, else "identity".
        optimizer: its name in optax.
        batch_size: samples of one update.
        shuffle: a new order every epoch.
        phases: the schedule.
        hard_epochs: of plain hard sharing, to compare with; None: 480 for the study's phases, else
            those of all phases together.
        rule: which signs are in conflict.
        zeros: what exact zeros do to a streak.
        transplant: of the optimizer's state across phases.
        aggregator: what combines the gradients of the tasks; None for their sum.

    Example:
        >>> Settings().complete().hard_epochs
        480
    """

    table: str | None = None
    sheet: str | None = None
    features: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    seed: int = 0
    missing: str = "error"
    missing_targets: str | None = None
    missing_values: tuple[str, ...] = ()
    scaling: str = "minmax"
    scale_on: str = "train"
    split: str | None = None
    test: float = 0.2
    validation: float = 0.0
    gap: int = 0
    split_column: str | None = None
    shared: tuple[int, ...] = (4,)
    nodes: int = 3
    towers: tuple[int, ...] = ()
    activation: str = "sigmoid"
    output_activation: str | None = None
    optimizer: str = "adam"
    batch_size: int = 1
    shuffle: bool = False
    phases: tuple[Phase, ...] = STUDY_PHASES
    hard_epochs: int | None = None
    rule: str = "nonnegative"
    zeros: str = "reset"
    transplant: str = "fresh"
    aggregator: str | None = None

    def with_options(self, **given: Any) -> "Settings":
        """Other values for some options; what depends on them is worked out anew."""
        anew = {name: None for name, cause in DERIVED.items() if cause in given}
        return dataclasses.replace(self, **(anew | given))

    def complete(self) -> "Settings":
        """Fills in what is left to be worked out, and checks everything.

        Raises:
            ValueError: an option is out of range or does not fit another.
        """
        whole = self
        if self.table is None:
            whole = dataclasses.replace(
                self,
                features=BUILT_IN_FEATURES if self.features is None else self.features,
                targets=BUILT_IN_TARGETS if self.targets is None else self.targets,
            )
        source = self.table or "the built-in data"
        for name, value in (("features", whole.features), ("targets", whole.targets)):
            if not value:
                raise ValueError(
                    f"{_option(name)}: expected names of columns of {source}, got none; name them "
                    f"as in {_option(name)} A,B"
                )
        summed = sum(phase.epochs for phase in whole.phases)
        derived = {
            "missing_targets": whole.missing,
            "output_activation": "sigmoid" if whole.scaling == "minmax" else "identity",
            "hard_epochs": HARD_EPOCHS_OF_STUDY if whole.phases == STUDY_PHASES else summed,
            "split": "random" if whole.split_column is None else "column",
        }
        missing = {name: v for name, v in derived.items() if getattr(whole, name) is None}
        whole = dataclasses.replace(whole, **missing)
        _check(whole)
        return whole

    def to_json(self) -> dict[str, Any]:
        """As lists, texts and numbers."""
        return dataclasses.asdict(self) | {"phases": [dataclasses.asdict(p) for p in self.phases]}


def settings_from_json(saved: Mapping[str, Any]) -> Settings:
    """Reads what ``Settings.to_json`` gave, perhaps edited by hand.

    Args:
        saved: from ``config.json``.

    Returns:
        The settings.

    Raises:
        ValueError: an unknown option, or a value of another type.

    Example:
        >>> settings_from_json(Settings().to_json()) == Settings()
        True
        >>> settings_from_json({"nodse": 3})
        Traceback (most recent call last):
            ...
        ValueError: settings: there is no option 'nodse' (did you mean 'nodes'?)
    """
    hints = typing.get_type_hints(Settings)
    values = {}
    for name, value in saved.items():
        if name not in hints:
            near = difflib.get_close_matches(name, hints, n=1)
            raise ValueError(
                f"settings: there is no option {name!r}"
                + (f" (did you mean {near[0]!r}?)" if near else "")
            )
        values[name] = _from_json(name, value, hints[name])
    return Settings(**values)


def _from_json(name: str, value: Any, hint: Any) -> Any:
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        hint = typing.get_args(hint)[0]
    try:
        if typing.get_origin(hint) is tuple:
            part = typing.get_args(hint)[0]
            if not isinstance(value, list | tuple):
                raise TypeError
            return tuple(_from_json(name, item, part) for item in value)
        if hint is Phase:
            return Phase(**value)
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
            raise TypeError
    except TypeError as error:
        raise ValueError(
            f"settings: expected {_describe(hint)} for {name!r}, got {value!r}"
        ) from error
    return value


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return "a list"
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, "a phase with epochs, warmup, threshold and learning_rate")


def _check(settings: Settings) -> None:
    for name, choices in CHOICES.items():
        if getattr(settings, name) not in choices:
            raise ValueError(
                f"{_option(name)}: expected one of {', '.join(choices)}, got "
                f"{getattr(settings, name)!r}"
            )
    if settings.aggregator is not None:
        check_combining(settings.aggregator)
    for name, least in LEAST.items():
        if getattr(settings, name) < least:
            raise ValueError(
                f"{_option(name)}: expected at least {least}, got {getattr(settings, name)}"
            )
    if settings.seed >= 2**32:
        raise ValueError(f"--seed: expected a number below 2**32, got {settings.seed}")
    if not settings.phases:
        raise ValueError("--phases: expected at least one phase, got none")
    if (settings.split == "column") != (settings.split_column is not None):
        raise ValueError(
            "--split column: expected together with --split-column NAME, got one without the other"
        )
    if settings.gap and settings.split != "chronological":
        raise ValueError(
            f"--gap: expected with --split chronological only, got it with --split {settings.split}"
        )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
