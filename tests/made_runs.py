"""Made-up runs: what a training would leave behind, without the training."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl import Event, HardSharing, History, Phase, Run, duplicate_node
from jaxmtl.data import Dataset, SplitIndices, Table, prepare
from jaxmtl.training import Events
from jaxmtl.training.phased.state import EventLog

ROWS, TEST = 30, 10


# Compiled once a model; operation by operation, the first start takes longer.
start = jax.jit(lambda model, key, x: model.init(key, x)["params"], static_argnums=0)


class Made(NamedTuple):
    table: Table
    dataset: Dataset
    model: HardSharing
    run: Run
    baseline: Run
    phases: tuple[Phase, ...]


def make_table(features: Sequence[str], targets: Sequence[str], known: bool = True) -> Table:
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 50, (ROWS, len(features))), rng.uniform(10, 300, (ROWS, len(targets)))
    if not known:
        y[::3, 0] = np.nan
    return Table(
        features=tuple(features),
        targets=tuple(targets),
        x=x,
        y=y.round(1),
        rows=np.arange(2, ROWS + 2),
        source="file air.xlsx, sheet 'days'",
        kept={},
    )


def make_history(
    epochs: Sequence[tuple[int, int, int]], tasks: int, columns: int | None
) -> History:
    """Falling errors; epochs are (phase, epoch, samples)."""
    phase, epoch, samples = (np.array(column) for column in zip(*epochs, strict=True))
    falling = np.exp(-np.arange(len(epochs)) / 9)[:, None] * np.linspace(0.02, 0.05, tasks)
    conflicts = None
    if columns is not None:
        conflicts = (samples[:, None] * np.linspace(0.2, 0.9, columns)).astype(int)
    return History(
        phase=phase,
        epoch=epoch,
        samples=samples,
        train=(0.8 * falling + 0.005).astype(np.float32),
        validation=None,
        test=(falling + 0.006).astype(np.float32),
        conflicts=conflicts,
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., Made]:
    def make(
        features: Sequence[str] = ("SO2", "CO"),
        targets: Sequence[str] = ("PM2.5", "O3"),
        events: Sequence[Event] = (Event(1, 4, 7, 1, 3, 5, (0,)),),
        known: bool = True,
        epochs: int = 10,
        test: int = TEST,
        **fields: Any,
    ) -> Made:
        table = make_table(features, targets, known)
        parts = np.arange(ROWS - test), np.arange(0), np.arange(ROWS - test, ROWS)
        dataset = prepare(table, SplitIndices(*parts), missing_targets="mask")
        tasks = len(targets)
        model = HardSharing(outputs=(1,) * tasks, **fields)
        params = start(model, jax.random.key(0), jnp.zeros((1, len(features))))
        index = model.initial_head_index()
        phases = len(events) + 1
        log = EventLog(*(np.full(phases, -1) for _ in range(5)), np.zeros((phases, tasks), bool))
        rows: list[tuple[int, int, int]] = []
        split_params, split_index = params, index
        for i, event in enumerate(events):
            moving = np.isin(np.arange(tasks), event.tasks)
            split_params, split_index = duplicate_node(
                split_params, split_index, jnp.int32(event.node), jnp.asarray(moving)
            )
            for leaf, value in zip(log, (*event[1:6], moving), strict=True):
                leaf[i] = value
            rows += [(event.phase, e, ROWS - test) for e in range(1, event.epoch)]
            rows.append((event.phase, event.epoch, event.sample + 1))
        rows += [(phases, e, ROWS - test) for e in range(1, epochs + 1)]
        return Made(
            table=table,
            dataset=dataset,
            model=model,
            run=Run(
                params=split_params,
                head_index=split_index,
                history=make_history(rows, tasks, model.num_columns),
                events=Events(log=log),
            ),
            baseline=Run(
                params=params,
                head_index=index,
                history=make_history([(1, e, ROWS - test) for e in range(1, 21)], tasks, None),
                events=Events(log=None),
            ),
            phases=(*(Phase(50, 2, event.streak) for event in events), Phase(epochs)),
        )

    return make


@pytest.fixture(scope="session")
def made(make: Callable[..., Made]) -> Made:
    return make()


def save_without_pictures(folder: Any, made: Made, **options: Any) -> Any:
    """Pictures have tests of their own."""
    from jaxmtl.report import save_run

    fields = {"baseline": made.baseline, "table": made.table, "phases": made.phases}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("jaxmtl.report.pictures.of_a_run.draw_pictures", lambda *args: None)
        return save_run(
            folder, made.run, model=made.model, dataset=made.dataset, **(fields | options)
        )


@pytest.fixture
def save() -> Callable[..., Any]:
    return save_without_pictures
