"""``jaxmtl inspect``: what happened in a run, and how its predictions change with a column."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jaxmtl.cli.errors import in_one_sentence, say, tell
from jaxmtl.cli.paths import path_of
from jaxmtl.cli.unfinished import older_note

if TYPE_CHECKING:
    import numpy as np

    from jaxmtl.prediction.folder import SavedRun

ENDINGS = (".png", ".svg")
MOST_TARGETS = 16  # that are shown at once


@in_one_sentence
def inspect(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Run folder that 'fit' has written.")
    ],
    feature: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show how predictions change with this column."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="With --feature: these only.", show_default="all"),
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="With --feature: rows over which predictions are averaged.",
            show_default="some that the run keeps",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            help="With --feature or --structure: picture to write, .png or .svg.",
            show_default="dependence.png or structure.png in DIR",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --out: replace the file if it is there.")
    ] = False,
    worst: Annotated[
        bool,
        typer.Option("--worst", help="Where it is wrong, and the rows with the largest errors."),
    ] = False,
    structure: Annotated[
        bool,
        typer.Option("--structure", help="Draw which targets share which layers, and say it."),
    ] = False,
    cite: Annotated[
        bool, typer.Option("--cite", help="Papers of what the run is made of, as BibTeX.")
    ] = False,
) -> None:
    """Say what was made of the table, what was kept, and how well it predicts.

    Errors are given for every target, in its own unit, beside those of the mean, a straight line
    and whatever else was trained. Of a run of the study: what was split, when and why, how large
    the network is, and its errors, scaled too, against plain hard sharing.
    """
    from jaxmtl.report import load_run, summarize

    beside = {"--target": target, "--table": table}
    if not structure:
        beside |= {"--out": out, "--force": "" if force else None}
    for flag, value in beside.items():
        if feature is None and value is not None:
            raise ValueError(
                f"{flag}: expected only with --feature NAME; name one, or leave it out"
            )
    asked = {"--feature": feature is not None, "--worst": worst, "--cite": cite}
    asked["--structure"] = structure
    given = [flag for flag, is_given in asked.items() if is_given]
    if len(given) > 1:
        raise ValueError(f"{given[1]}: expected without {given[0]}; ask for one after the other")
    folder = path_of("DIR", folder)
    run = load_run(folder)
    if (why := older_note(folder)) is not None:
        tell(f"note: {why}")
    if feature is not None:
        path = run.folder / "dependence.png" if out is None else Path(out)
        _dependence(run, feature, target, table, path, force=force or out is None)
    elif worst:
        _worst(run)
    elif cite:
        _cite(run)
    elif structure:
        path = run.folder / "structure.png" if out is None else Path(out)
        _structure(run, path, force=force or out is None)
    else:
        say(summarize(run))


def _cite(run: "SavedRun") -> None:
    """Says what to cite for a run: for a mixture, what has a part in it."""
    from jaxmtl import cite

    kept = [name for name, share in run.metrics.get("weights", {}).items() if any(share.values())]
    names = kept or [run.method]
    if len(kept) > 1:
        names.append("mixture")
    if run.metrics.get("intervals"):
        names.append("intervals")
    if (aggregator := run.config["settings"].get("aggregator")) is not None:
        names.append(aggregator)
    known: list[str] = []
    for name in names:
        try:
            words = cite(name)
        except ValueError:
            say(f"% {name}: a method of your own")
        else:
            known.append(name)
            if not words:
                say(f"% {name}: no paper")
    if known:
        say(cite(*known))


def _structure(run: "SavedRun", out: Path, *, force: bool) -> None:
    """Says which targets share which layers, and draws it."""
    from jaxmtl.files import new_file
    from jaxmtl.methods.structure_of import structure_of_models
    from jaxmtl.report.pictures.structure_picture import write_structure_picture
    from jaxmtl.report.words.layout import wrapped
    from jaxmtl.report.words.table_relations import relation_words
    from jaxmtl.report.words.table_structure import structure_words
    from jaxmtl.structure import describe, from_json

    _check_picture(out)
    tasks = tuple(task.name for task in run.predictor.tasks)
    if (saved := run.metrics.get("structure")) is not None:
        found = from_json(saved["structure"])
    else:
        found = structure_of_models(run.predictor.models, tasks)
    if found is None:
        raise ValueError(
            f"--structure: expected a run with a network, whose targets share layers or do not; "
            f"{run.folder} has none (--preset quick trains none)"
        )
    with new_file(out, force=force) as path:
        write_structure_picture(path, found)
    for words in (describe(found), structure_words(run.metrics), relation_words(run.metrics)):
        if words:
            say("\n".join(wrapped(words)))
    relations = run.folder / "relations.png"
    say(f"\nwritten to {out}" + (f"; how they go together: {relations}" * relations.is_file()))


def _check_picture(out: Path) -> None:
    if out.suffix.lower() not in ENDINGS:
        raise ValueError(f"--out: expected a file that ends in .png or .svg, got {str(out)!r}")


def _worst(run: "SavedRun") -> None:
    """Says where the run is wrong, and lists the rows with the largest errors."""
    from jaxmtl.report.words.table_wrong import worst_text

    words = worst_text(run.metrics, run.predictor.tasks)
    if not words:
        raise ValueError(
            f"--worst: {run.folder} does not say where it is wrong, as runs of the study and of "
            "older versions; leave it out, or train with 'jaxmtl fit TABLE --targets ...'"
        )
    say(words)


def _dependence(
    run: "SavedRun", feature: str, target: str | None, table: str | None, out: Path, *, force: bool
) -> None:
    """Says how predictions change with a column, and draws it."""
    from jaxmtl.data import Coding
    from jaxmtl.files import new_file
    from jaxmtl.prediction.dependence import nearest, partial_dependence
    from jaxmtl.prediction.sample import read_sample
    from jaxmtl.report.pictures.dependence_picture import write_dependence
    from jaxmtl.report.words.table_dependence import caution_lines, dependence_lines
    from jaxmtl.tasks import output_slices

    _check_picture(out)
    coding, tasks = run.predictor.coding, run.predictor.tasks
    if not isinstance(coding, Coding):
        raise ValueError(
            f"--feature: {run.folder} is a run of the study, of which it is not known; leave it "
            "out, or train with 'jaxmtl fit TABLE --targets ...'"
        )
    if feature not in coding.inputs:
        left = dict(run.config["left_out"]).get(feature)
        why = nearest(feature, coding.inputs) if left is None else f", which was left out ({left})"
        raise ValueError(
            f"--feature: expected a column that the run predicts from, got {feature!r}{why}"
        )
    shown = _targets(target, [task.name for task in tasks])
    with new_file(out, force=force) as path:
        x = read_sample(run.folder, len(coding.features)) if table is None else _rows(run, table)
        curves = partial_dependence(run.predictor, x, feature)
        write_dependence(path, curves, tasks, shown)
    outputs = [i for t in shown for i in range(*output_slices(tasks)[t].indices(2**31))]
    for curve in curves:
        say("\n".join(dependence_lines(curve, outputs)) + "\n")
    say("\n".join(caution_lines(len(run.predictor.models))))
    say(f"\nwritten to {out}")


def _targets(given: str | None, names: Sequence[str]) -> list[int]:
    """Numbers of the targets to show."""
    from jaxmtl._options import parse_names
    from jaxmtl.prediction.dependence import nearest

    if given is None:
        if len(names) > MOST_TARGETS:
            say(f"The first {MOST_TARGETS} of {len(names)} targets; name others with --target.\n")
        return list(range(min(len(names), MOST_TARGETS)))
    for name in (chosen := parse_names(given)):
        if name not in names:
            raise ValueError(
                f"--target: expected targets of the run, got {name!r}{nearest(name, names)}"
            )
    return [names.index(name) for name in chosen]


def _rows(run: "SavedRun", path: str) -> "np.ndarray":
    """Coded rows of a table, some of them where it has many."""
    from jaxmtl.cli.reading import how_to_read
    from jaxmtl.data import Coding, read_cells
    from jaxmtl.prediction.sample import some_rows

    coding = run.predictor.coding
    assert isinstance(coding, Coding)
    reading = how_to_read(run.predictor.reading)
    cells = read_cells(path, expected=coding.inputs, of_run=True, **reading)
    return some_rows(coding.encode(cells).x)
