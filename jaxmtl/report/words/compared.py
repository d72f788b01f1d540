"""What the errors of a comparison are, in words."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxmtl.metrics import measure_named

HIDDEN = "a mean over tasks can hide one that became worse: see the contrasts task by task."


class Compared(NamedTuple):
    """Words for the errors by which arms are compared.

    Attributes:
        axis: of a picture.
        noun: within a sentence.
        mean: over a column of means.
        difference: over a column of differences that are no percentages.
        note: below the values of the single tasks, what the second number is; empty if there is
            none.
        caveat: about their mean over tasks.
        heading: of a column of differences in %.
        paired: what is subtracted in a picture of differences.
        better: "lower" or "higher".
    """

    axis: str
    noun: str
    mean: str
    difference: str
    note: str
    caveat: str
    heading: str = "Difference of the mean error"
    paired: str = "test error"
    better: str = "lower"

    @property
    def own(self) -> bool:
        """Whether it is a measure of one's own, of runs of any kind."""
        return self.paired == self.noun

    @property
    def sign_of_better(self) -> str:
        """Of a difference."""
        return "positive" if self.better == "higher" else "negative"


def compared(measures: Sequence[str], *, scaled: bool = True, better: str = "") -> Compared:
    """What arms are compared by, given what their tasks are measured by.

    Args:
        measures: names of the main measures, one a task.
        scaled: whether errors of numbers are those of scaled targets.
        better: "lower" or "higher" for a measure of one's own; else empty.

    Returns:
        The words.

    Example:
        >>> compared(["rmse", "rmse"]).axis
        'scaled mean squared test error'
        >>> compared(["rmse", "log loss"]).noun
        'error relative to a constant prediction'
        >>> compared(["rmse", "rmse"], scaled=False).mean
        'Mean squared error'
    """
    if better:
        return Compared(
            axis=measures[0],
            noun=measures[0],
            mean=f"Mean {measures[0]}",
            difference="Absolute",
            note="",
            caveat=HIDDEN[0].upper() + HIDDEN[1:],
            heading=f"Difference of the mean {measures[0]}",
            paired=measures[0],
            better=better,
        )
    if len(set(measures)) > 1:
        return Compared(
            axis="test error relative to a constant prediction",
            noun="error relative to a constant prediction",
            mean="Mean relative error",
            difference="Relative",
            note="error relative to a constant prediction",
            caveat=(
                "Tasks of different kinds have no measure in common: the mean is over each task's "
                "error relative to that of the best constant prediction, so that 1 is no better "
                f"than a constant; {HIDDEN}"
            ),
        )
    measure = measure_named(measures[0])
    if measure.scaled and not scaled:
        return Compared(
            axis=f"test error: {measure.loss} in squared original units",
            noun=measure.loss,
            mean="Mean squared error",
            difference="Absolute",
            note="",
            caveat=(
                "Targets are not scaled: the task of the largest units decides the mean of the "
                f"errors; {HIDDEN}"
            ),
        )
    if measure.scaled:
        return Compared(
            axis=f"scaled {measure.loss.replace(' error', ' test error')}",
            noun=measure.loss,
            mean="Mean error, scaled",
            difference="Scaled",
            note=f"{measure.loss}, scaled",
            caveat=(
                f"Errors are scaled so that tasks with large units do not decide the mean; {HIDDEN}"
            ),
        )
    return Compared(
        axis=f"test {measure.loss}",
        noun=measure.loss,
        mean=f"Mean {measure.loss}",
        difference="Absolute",
        note="",
        caveat=HIDDEN[0].upper() + HIDDEN[1:],
    )
