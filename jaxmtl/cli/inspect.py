"""``jaxmtl inspect``: what happened in a run."""

from typing import Annotated

import typer

from jaxmtl.cli.errors import in_one_sentence, say
from jaxmtl.cli.paths import path_of


@in_one_sentence
def inspect(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Run folder that 'fit' has written.")
    ],
    worst: Annotated[
        bool,
        typer.Option("--worst", help="Where it is wrong, and the rows with the largest errors."),
    ] = False,
) -> None:
    """Say what was made of the table, what was kept, and how well it predicts.

    Errors are given for every target, in its own unit, beside those of the mean, a straight line
    and whatever else was trained. Of a run of the study: what was split, when and why, how large
    the network is, and its errors, scaled too, against plain hard sharing.
    """
    from jaxmtl.report import load_run, summarize

    run = load_run(path_of("DIR", folder))
    if not worst:
        say(summarize(run))
        return
    from jaxmtl.report.words.table_wrong import worst_text

    words = worst_text(run.metrics, run.predictor.tasks)
    if not words:
        raise ValueError(
            f"--worst: {folder} does not say where it is wrong, as runs of the study and of older "
            "versions; leave it out, or train with 'jaxmtl fit TABLE --targets ...'"
        )
    say(words)
