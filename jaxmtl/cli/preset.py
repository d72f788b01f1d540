"""Which preset a command means, where it does not say."""

from collections.abc import Collection, Mapping
from typing import Any

from jaxmtl._options import declared
from jaxmtl._validate import check_choice
from jaxmtl.cli.fit_table import NOT_USED, TABLE_PRESETS, TableSettings, check_no_method
from jaxmtl.cli.settings import Settings
from jaxmtl.data.options import ColumnOptions
from jaxmtl.prediction.options import TABLE, TableOptions

STUDY = "study"
METHODS_OF_STRUCTURES = {
    "auto": "halving",
    "shared": "hard_sharing",
    "separate": "independent",
    "study": STUDY,
    "lookahead": "lookahead",
}
PRESETS = (STUDY, *TABLE_PRESETS)
STRUCTURE = "structure"  # an option of all presets, with words of their own
STUDY_ONLY, TABLES_ONLY = "Study only.", "Tables only."


def preset_of(
    asked: str | None,
    given: Collection[str],
    method: str | None,
    *,
    config: str | None = None,
    saved: Mapping[str, Any] | None = None,
) -> str:
    """The preset that was asked for, that of the run to repeat, or the one that goes with the rest.

    A table goes with the preset for tables, unless the method is one of the study's.

    Args:
        asked: ``--preset``, or None.
        given: names of the options that were given.
        method: ``--method``, or None.
        config: the run to repeat, as it was named.
        saved: its settings.

    Returns:
        The preset.

    Raises:
        ValueError: no such preset, another one than the run was made with, or options of one that
            nobody asked for.

    Example:
        >>> preset_of(None, ["table", "targets"], None), preset_of(None, [], None)
        ('table', 'study')
        >>> preset_of(None, ["table", "targets"], "mmoe")
        'study'
        >>> preset_of(None, ["table", "nodes"], None)
        Traceback (most recent call last):
            ...
        ValueError: --nodes: only with --preset study; add that, or leave it out
    """
    if asked is not None and asked not in PRESETS:
        raise ValueError(f"--preset: expected one of {', '.join(PRESETS)}, got {asked!r}")
    if config is not None:
        before = (saved or {}).get("preset")
        before = before if before in TABLE_PRESETS else STUDY
        if asked not in (None, before):
            raise ValueError(
                f"--preset: expected {before}, with which {config} was made, got {asked}; leave it "
                "out"
            )
        return before
    if asked is not None:
        return asked
    if "table" not in given:
        return STUDY
    if method is not None and _is_of_the_study(method):
        return STUDY
    for name in given:
        if not is_of_tables(name):
            raise _only_with(STUDY, declared(Settings)[name].flag)
    return TABLE


def is_of_tables(name: str) -> bool:
    """Whether the presets for tables have an option of that name."""
    return name in declared(TableSettings) and name not in NOT_USED


def marked(name: str) -> str:
    """Which preset an option is of, for ``--help``.

    Args:
        name: of an option of ``fit``.

    Returns:
        A sentence; empty for an option of all presets.

    Example:
        >>> marked("nodes"), marked("kinds"), marked("seed")
        ('Study only.', 'Tables only.', '')
    """
    if name == STRUCTURE:
        return ""
    if not is_of_tables(name):
        return STUDY_ONLY
    return TABLES_ONLY if name in {**declared(ColumnOptions), **declared(TableOptions)} else ""


def method_of_structure(structure: str | None, method: str | None) -> str | None:
    """The study's method that ``--structure`` names.

    Args:
        structure: as it was given.
        method: ``--method``, or None.

    Returns:
        The method; ``"study"`` for the adaptive network.

    Raises:
        ValueError: another word, a file, or both options.

    Example:
        >>> method_of_structure("separate", None), method_of_structure(None, "mmoe")
        ('independent', 'mmoe')
    """
    if structure is None:
        return method
    check_no_method(method)
    if structure.lower().endswith(".json"):
        raise ValueError(
            "--structure: a file goes with --preset table; with --preset study expected one of "
            f"{', '.join(METHODS_OF_STRUCTURES)}"
        )
    check_choice("--structure", structure, tuple(METHODS_OF_STRUCTURES))
    return METHODS_OF_STRUCTURES[structure]


def refuse_of_tables(given: Collection[str], method: str | None = None) -> None:
    """Refuses options that only the presets for tables have.

    Args:
        given: by name.
        method: for whose sake the preset is the study's, though none was asked for.

    Raises:
        ValueError: names the first of them.

    Example:
        >>> refuse_of_tables(["kinds"], "mmoe")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: --kinds: not with --method mmoe, which is trained on columns of numbers, ...
    """
    for name in given:
        if marked(name) != TABLES_ONLY:
            continue
        flag = declared(TableSettings)[name].flag
        if method is None:
            raise _only_with(TABLE, flag)
        raise ValueError(
            f"{flag}: not with --method {method}, which is trained on columns of numbers, as "
            "--preset study trains; leave one of them out"
        )


def _only_with(preset: str, what: str) -> ValueError:
    return ValueError(f"{what}: only with --preset {preset}; add that, or leave it out")


def _is_of_the_study(method: str) -> bool:
    from jaxmtl.methods import TABLE_FAMILIES, find_method

    if method in TABLE_FAMILIES:
        return False
    try:
        find_method(method)
    except ValueError:
        return method == STUDY
    return True
