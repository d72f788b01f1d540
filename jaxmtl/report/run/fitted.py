"""The folder of a run of any method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxmtl.data import Dataset, Table
from jaxmtl.methods.method import Fitted, Trace
from jaxmtl.methods.network_model import NetworkModel
from jaxmtl.models import HardSharing
from jaxmtl.prediction.predictor import Predictor, Reading
from jaxmtl.prediction.records import every_run
from jaxmtl.prediction.write_run import write_fitted
from jaxmtl.training import Events, Run


def write_fitted_run(
    folder: Path,
    fitted: Fitted,
    *,
    method: str,
    dataset: Dataset,
    table: Table | None = None,
    reading: Reading | None = None,
    shuffled: bool = False,
    settings: Mapping[str, Any] | None = None,
) -> Predictor:
    """Writes all files of a run of any method, and its pictures.

    Errors are beside those of the constant prediction, the mean of the training rows. There are
    ``history.csv`` and ``errors.png`` where networks were trained, and ``events.csv``,
    ``conflicts.png`` and ``network.png`` where conflicts at a bank of nodes were counted.

    Args:
        folder: that exists.
        fitted: what the method left behind on the rows of the data set.
        method: its name.
        dataset: that it was trained on.
        table: that the data set was prepared from; without it, observed values are unscaled ones.
        reading: how tables to predict are to be read.
        shuffled: whether rows were shuffled every epoch: the row of a sample is then not known.
        settings: whatever repeats the run, for ``config.json``; JSON values.

    Returns:
        What predicts; ``load_run`` reads it from the folder.

    Raises:
        ValueError: a model that cannot be saved.
    """
    predictor, shown = write_fitted(
        folder,
        fitted,
        method=method,
        dataset=dataset,
        table=table,
        reading=Reading() if reading is None else reading,
        shuffled=shuffled,
        settings=settings,
    )
    names = (
        [method]
        if len(fitted.traces) == 1
        else [f"fold {i + 1}" for i in range(len(fitted.traces))]
    )
    traces = every_run(dict(zip(names, fitted.traces, strict=True)))
    runs = {name: trace for name, trace in traces.items() if len(trace.history)}
    # matplotlib takes half a second to load.
    from jaxmtl.report.pictures import of_a_run

    of_a_run.draw_fitted(folder, runs, _bank(fitted), dataset, *shown)
    return predictor


def _bank(fitted: Fitted) -> tuple[HardSharing, Run] | None:
    """A network with a bank whose conflicts were counted, and its run up to the epoch chosen."""
    if len(fitted.traces) != 1:
        return None
    model, trace = fitted.models[0], fitted.traces[0]
    if not isinstance(model, NetworkModel) or not isinstance(model.network, HardSharing):
        return None
    if model.head_index is None or trace.history.conflicts is None:
        return None
    return model.network, run_until(trace, model, fitted.chosen[0].get("epoch"))


def run_until(trace: Trace, model: NetworkModel, epoch: int | None) -> Run:
    """The run that ends in a model, which may be that of an earlier epoch than the last.

    Args:
        trace: of the whole training.
        model: of ``HardSharing``.
        epoch: of the model, from 1; None for the last.

    Returns:
        The run without the epochs and duplications after it.
    """
    network: Any = model.network
    history = jax.tree.map(lambda leaf: leaf[:epoch], trace.history)
    log = trace.events.log
    if log is not None:
        # Each duplication has added a column.
        copies = len(np.unique(np.asarray(model.head_index))) - network.nodes
        happened = np.asarray(log.node) >= 0
        kept = happened & (np.cumsum(happened) <= copies)
        log = log._replace(node=np.where(kept, log.node, -1))
    return Run(
        params=model.params,
        head_index=model.head_index,
        history=history,
        events=Events(log=log),
        divergence=trace.divergence,
    )
