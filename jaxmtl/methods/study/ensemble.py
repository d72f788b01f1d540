"""The mean of several restarts of an arm: what any decision of the same cost has to beat."""

import dataclasses
from collections.abc import Callable

import numpy as np

from jaxmtl.methods.method import Fitted
from jaxmtl.methods.mixture import mixed
from jaxmtl.methods.of_each_task import mean_losses, some_rows
from jaxmtl.methods.study.arm import Arm, number_in_name
from jaxmtl.methods.study.bench import Bench

KIND = "ensemble"
MOST = 100


def ensemble_of(value: str, find: Callable[[str], Arm]) -> Arm:
    """An arm that is trained several times from other initial values, and predicts by the mean.

    Members follow one schedule, that of the adaptive run. The mean is that of predictions: in the
    original units it is the same, as units are a scale and an offset. Parameters and steps are
    those of all members.

    Args:
        value: number and arm, as they stand in the name behind "ensemble@".
        find: from a name to the arm.

    Returns:
        The arm.

    Raises:
        ValueError: no number from 2 on, no such arm, or an ensemble of ensembles.

    Example:
        >>> from jaxmtl.methods.study.arms import find_arm
        >>> ensemble_of("2:restarts", find_arm).name
        'ensemble@2:restarts'
    """
    number, colon, name = value.partition(":")
    runs = number_in_name(number, "runs", f"{KIND}@2:restarts", MOST)
    if not colon or not name:
        raise ValueError(f"expected an arm behind the number, as in {KIND}@{number}:restarts")
    if name.startswith(KIND):
        raise ValueError("expected an arm that is no ensemble itself; take more runs instead")
    arm = find(name)
    own = f"{KIND}@{runs}:{arm.name}"
    return arm._replace(
        name=own,
        description=f"the mean of {runs} runs from other initial values: {arm.description}",
        run=lambda bench: _run(own, arm, runs, bench),
    )


def _run(name: str, arm: Arm, number: int, bench: Bench) -> Fitted:
    given = bench.given or (name if bench.method is None else f"{name}+{bench.method}")
    members = [
        arm.run(bench.restarted(place).called(f"{given}/{place + 1}")) for place in range(number)
    ]
    tasks, equal = bench.data.tasks, np.ones((number, bench.num_tasks))
    models = tuple(
        mixed([member.models[fold] for member in members], equal, tasks)
        for fold in range(len(bench.keys))
    )
    diverged = np.any([member.diverged for member in members], axis=0)
    scores = np.full_like(members[0].scores, np.nan)
    for fold, (model, part) in enumerate(zip(models, bench.folds, strict=True)):
        if len(part.test) and not diverged[fold]:
            held = some_rows(bench.data, part.test)
            scores[fold] = mean_losses(model.predict(held.x), held)
    return dataclasses.replace(
        members[0],
        models=models,
        scores=scores,
        chosen=tuple({"runs": number} for _ in models),
        parameters=np.sum([member.parameters for member in members], axis=0),
        splits=np.sum([member.splits for member in members], axis=0),
        steps=np.sum([member.steps for member in members], axis=0),
        diverged=diverged,
        traces=tuple(
            dataclasses.replace(first, others=tuple(others))
            for first, *others in zip(*(member.traces for member in members), strict=True)
        ),
        notes=tuple(dict.fromkeys(note for member in members for note in member.notes)),
    )
