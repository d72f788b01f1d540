"""A run as a folder: everything to predict with, to judge it by, and to repeat it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxmtl.data import Dataset, Table
from jaxmtl.files import new_folder
from jaxmtl.models import HardSharing
from jaxmtl.prediction.folder import is_run_folder
from jaxmtl.prediction.predictor import Reading
from jaxmtl.prediction.records import ADAPTIVE, HARD
from jaxmtl.prediction.write_run import study_predictor, write_study
from jaxmtl.training import STUDY_PHASES, Phase, Run


def save_run(
    folder: str | os.PathLike[str],
    run: Run,
    *,
    model: HardSharing,
    dataset: Dataset,
    baseline: Run | None = None,
    table: Table | None = None,
    phases: Sequence[Phase] = STUDY_PHASES,
    shuffled: bool = False,
    reading: Reading | None = None,
    settings: Mapping[str, Any] | None = None,
    force: bool = False,
) -> Path:
    """Saves a run as a folder that appears whole or not at all.

    Args:
        folder: its path.
        run: the adaptive run, finished or diverged.
        model: that was trained; activations and initializer by name.
        dataset: that it was trained on, with one output a task.
        baseline: plain hard sharing from the same start, to compare errors with.
        table: that the data set was prepared from; without it, observed values are unscaled ones,
            which differ from the table's in the seventh digit.
        phases: the schedule of the run.
        shuffled: whether rows were shuffled every epoch: the row of a sample is then not known.
        reading: how tables to predict are to be read.
        settings: whatever repeats the run, for ``config.json``; JSON values.
        force: an older run folder may be replaced.

    Returns:
        The folder.

    Raises:
        RunFolderError: the folder exists, or cannot be written.
        ValueError: a model that cannot be saved, or a task with several outputs.

    Example:
        >>> import tempfile
        >>> import jax
        >>> from jaxmtl import fit_adaptive
        >>> from jaxmtl.report import load_run
        >>> from jaxmtl.data import prepare, random_split, read_table, write_air_quality
        >>> with tempfile.TemporaryDirectory() as place:
        ...     file = write_air_quality(Path(place, "air.xlsx"), days=40)
        ...     table = read_table(file, features=["SO2", "CO"], targets=["PM2.5", "O3_8h"])
        ...     dataset = prepare(table, random_split(40, seed=0))
        ...     phases = [Phase(epochs=2)]
        ...     run = fit_adaptive(
        ...         HardSharing(), dataset.splits, key=jax.random.key(0), phases=phases)
        ...     folder = save_run(
        ...         Path(place, "run"), run, model=HardSharing(), dataset=dataset, phases=phases)
        ...     load_run(folder).predict(table.x).shape
        (40, 2)
    """
    with new_folder(folder, force=force, replaceable=is_run_folder) as unfinished:
        write_run(
            unfinished,
            run,
            model=model,
            dataset=dataset,
            baseline=baseline,
            table=table,
            phases=phases,
            shuffled=shuffled,
            reading=Reading() if reading is None else reading,
            settings=settings,
        )
    return Path(folder)


def write_run(
    folder: Path,
    run: Run,
    *,
    model: HardSharing,
    dataset: Dataset,
    baseline: Run | None,
    table: Table | None,
    phases: Sequence[Phase],
    shuffled: bool,
    reading: Reading,
    settings: Mapping[str, Any] | None,
) -> None:
    """Writes all files of a run of the study, and its pictures.

    Args:
        folder: that exists.
        run: see ``save_run``, and so are all others.
        model: that was trained.
        dataset: that it was trained on.
        baseline: plain hard sharing, or None.
        table: that the data set was prepared from, or None.
        phases: the schedule.
        shuffled: whether rows were shuffled every epoch.
        reading: how tables to predict are to be read.
        settings: whatever repeats the run, or None.

    Raises:
        ValueError: a model that cannot be saved, or a task with several outputs.
    """
    runs = {ADAPTIVE: run} | ({} if baseline is None else {HARD: baseline})
    shown = write_study(
        folder,
        study_predictor(model, run, baseline, dataset, reading),
        runs,
        dataset=dataset,
        table=table,
        phases=phases,
        shuffled=shuffled,
        settings=settings,
    )
    # matplotlib takes half a second to load.
    from jaxmtl.report.pictures.of_a_run import draw_pictures

    draw_pictures(folder, runs, model, dataset, *shown)
