"""``jaxmtl inspect``: what happened in a run."""

from typing import Annotated

import typer

from jaxmtl.cli.errors import in_one_sentence


@in_one_sentence
def inspect(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Run folder that 'fit' has written.")
    ],
) -> None:
    """Say what was split, when and why, how large the network is, and how well it predicts.

    Errors are given per task, in original units and scaled, against plain hard sharing.
    """
    from jaxmtl.report import RunFolderError, load_run, summarize

    run = load_run(folder)
    try:
        text = summarize(run)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise RunFolderError(
            f"folder {folder}: its files do not belong together ({type(error).__name__}: {error}); "
            "copy the folder again or repeat the run"
        ) from error
    print(text)
