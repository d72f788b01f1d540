"""Marks that several pictures share."""

from matplotlib.axes import Axes

from jaxmtl.methods.method import Trace
from jaxmtl.prediction.records import epoch_of_run
from jaxmtl.report.pictures.style import INK, SOFT
from jaxmtl.training import Run


def mark_duplications(ax: Axes, run: Run | Trace, *, named: bool = True) -> None:
    """Draws a dotted line at the end of each epoch in which a node was duplicated.

    Args:
        ax: with epochs of the run along x.
        run: the adaptive run.
        named: writes the number of the node at the top of the line.
    """
    for event in run.events:
        epoch = epoch_of_run(run, event)
        ax.axvline(epoch, color=INK, lw=0.9, ls=":", zorder=1)
        if named:
            ax.annotate(
                f"node {event.node}",
                (epoch, 1),
                xycoords=("data", "axes fraction"),
                xytext=(2, -1),
                textcoords="offset points",
                va="top",
                rotation=90,
                fontsize=7.5,
            )


def mark_ends(ax: Axes, run: Run | Trace) -> None:
    """Draws a dashed line where a stage of a run ended and the next one began.

    Args:
        ax: with epochs of the run along x.
        run: of any arm.
    """
    for epoch in ends_of(run):
        ax.axvline(epoch + 0.5, color=SOFT, lw=0.9, ls="--", zorder=1)


def ends_of(run: Run | Trace) -> tuple[int, ...]:
    """The last epochs of all stages but the last."""
    return run.ends if isinstance(run, Trace) else ()
