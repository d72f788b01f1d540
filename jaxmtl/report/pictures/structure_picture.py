"""Which tasks share which layers, as tasks by layers."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from jaxmtl.report.pictures.labels import make_labels
from jaxmtl.report.pictures.style import ON_LIGHT, SOFT, looks, new_figure, save
from jaxmtl.structure import Structure
from jaxmtl.structure.plain import Layer, group_numbers

# Light enough for a number on them, and no two neighbours alike.
SHADES = ("#BFD9EA", "#F3C9AF", "#B9DFD3", "#E8CBDC", "#F6DDB0", "#CFE7F6", "#DADADA", "#D9D4EE")
# Height of a task in inches, tasks of which all are named, and height of more than these.
ROW, MOST_NAMES, LONG = 0.26, 40, 6.0


def plot_structure(structure: Structure) -> Figure:
    """Draws a structure: a row a task, a column a layer, one block where tasks share.

    Tasks stand in an order in which those that share are neighbours wherever that can be; a block
    that is cut goes on in its shade. The number in a block is its width; "+2" says that nodes of
    the layer are parted further, into two more copies.

    Args:
        structure: any.

    Returns:
        A figure that no global state knows of.

    Example:
        >>> from jaxmtl.structure import separate
        >>> len(plot_structure(separate(("CO", "O3"), (8, 4))).axes[0].patches)
        4
    """
    order = neighbours(structure)
    labels = make_labels((), order)
    tasks, layers = len(order), len(structure.layers)
    height = ROW if tasks <= MOST_NAMES else LONG / tasks
    with looks(labels):
        figure = new_figure(max(1.05 * layers + 2.2, 3.2), max(height * tasks + 0.9, 1.6))
        ax = figure.subplots()
        ax.set_xlim(-0.5, layers - 0.5)
        ax.set_ylim(tasks, 0)
        for place, layer in enumerate(structure.layers):
            numbers = list(group_numbers(order, layer.groups).values())
            for start, end in _runs(numbers):
                shade = SHADES[numbers[start] % len(SHADES)]
                more = _more(layer, order[start])
                text = f"{layer.width}" + (f" +{more}" if more else "")
                _block(ax, place, (start, end), shade, text if height * (end - start) > 0.1 else "")
        names = labels.tasks if tasks <= MOST_NAMES else ()
        ax.set_yticks([number + 0.5 for number in range(len(names))], names, fontsize=8)
        if not names:
            ax.set_ylabel(f"{tasks} tasks")
        ax.set_xticks(range(layers), [f"layer {number}" for number in range(1, layers + 1)])
        ax.xaxis.tick_top()
        ax.tick_params(length=0)
        ax.grid(visible=False)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.set_xlabel("a block is shared; its number: how wide it is", fontsize=8, color=SOFT)
    return figure


def write_structure_picture(path: Path, structure: Structure) -> None:
    """Draws a structure into a file.

    Args:
        path: that ends in .png or .svg.
        structure: any.

    Example:
        >>> import tempfile
        >>> from jaxmtl.structure import shared
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_structure_picture(Path(folder, "a.svg"), shared(("CO", "O3"), (8,)))
        ...     Path(folder, "a.svg").stat().st_size > 100
        True
    """
    labels = make_labels((), structure.tasks)
    figure = plot_structure(structure)
    with looks(labels):
        save(figure, path, labels)


def neighbours(structure: Structure) -> Sequence[str]:
    """The tasks in an order in which those of one group stand together.

    Args:
        structure: any.

    Returns:
        The tasks, sorted by their groups from the first layer to the last.

    Example:
        >>> from jaxmtl.structure import grouped
        >>> neighbours(grouped("abc", (8,), ["ac", "b"]))
        ['a', 'c', 'b']
    """
    numbers = [group_numbers(structure.tasks, layer.groups) for layer in structure.layers]
    # The coarsest partition first, so that no block is cut where layers are within each other.
    coarse = sorted(numbers, key=lambda own: max(own.values()))
    return sorted(structure.tasks, key=lambda task: [own[task] for own in coarse])


def _more(layer: Layer, task: str) -> int:
    """Further copies of single nodes in the group of a task."""
    group = next(group for group in layer.groups if task in group)
    parts = [sum(own[0] in group for own in groups) for _, groups in layer.nodes]
    return sum(parts) - len(parts)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    starts = [at for at in range(len(numbers)) if not at or numbers[at] != numbers[at - 1]]
    return list(zip(starts, [*starts[1:], len(numbers)], strict=True))


def _block(ax: Axes, place: int, rows: tuple[int, int], shade: str, text: str) -> None:
    start, end = rows
    gap = min(0.08, 0.2 * (end - start))
    ax.add_patch(
        FancyBboxPatch(
            (place - 0.42, start + gap),
            0.84,
            end - start - 2 * gap,
            boxstyle="round,pad=0,rounding_size=0.06",
            mutation_aspect=4,
            facecolor=shade,
            edgecolor="none",
        )
    )
    ax.text(*(place, (start + end) / 2, text), ha="center", va="center", fontsize=8, color=ON_LIGHT)
