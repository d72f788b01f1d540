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
) -> None:
    """Say what was split, when and why, how large the network is, and how well it predicts.

    Errors are given per task, in original units and scaled, against plain hard sharing, or against
    the mean of the training rows if another method was trained.
    """
    from jaxmtl.report import load_run, summarize

    say(summarize(load_run(path_of("DIR", folder))))
