"""The table of all loss methods: what each needs, what it promises, and its paper."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxmtl._words import short
from jaxmtl.aggregation.known import make_named
from jaxmtl.aggregation.losses.contract import Scalarizer
from jaxmtl.aggregation.losses.cosmos import cosmos
from jaxmtl.aggregation.losses.dwa import dwa
from jaxmtl.aggregation.losses.equal import equal
from jaxmtl.aggregation.losses.famo import famo
from jaxmtl.aggregation.losses.gls import gls
from jaxmtl.aggregation.losses.igb import igb
from jaxmtl.aggregation.losses.imtl_l import imtl_l
from jaxmtl.aggregation.losses.ldc import ldc
from jaxmtl.aggregation.losses.linear import linear
from jaxmtl.aggregation.losses.pbi import pbi
from jaxmtl.aggregation.losses.rlw import rlw
from jaxmtl.aggregation.losses.stch import stch
from jaxmtl.aggregation.losses.uncertainty import uncertainty
from jaxmtl.aggregation.tables import LOSSES

MONOTONE = "monotone"  # no weight below 0, for losses above 0
SYMMETRIC = "permutation-invariant"  # losses shuffled, same loss


class LossMethod(NamedTuple):
    """A row of the table.

    Attributes:
        factory: makes the loss method.
        needs: "losses", and of "key", "losses after the update".
        cost: beyond one backward pass.
        properties: what is promised.
        degree: k of f(c L) = c^k f(L) for c > 0 at the first step, None if there is none.
        paper: authors, year, venue.
        state: "" for none, "m" for numbers a task.
        learns: what is learned, by which optimizer.

    Example:
        >>> LOSS_METHODS["famo"].needs, LOSS_METHODS["gls"].degree
        (('losses', 'losses after the update'), 1)
    """

    factory: Callable[..., Scalarizer]
    needs: tuple[str, ...]
    cost: str
    properties: tuple[str, ...]
    degree: float | None
    paper: str
    state: str = ""
    learns: str = ""


_L = ("losses",)

LOSSES |= {
    "equal": LossMethod(equal, _L, "none", (MONOTONE, SYMMETRIC), 1, "-"),
    "linear": LossMethod(linear, _L, "none", (MONOTONE,), 1, "-"),
    "uncertainty": LossMethod(
        uncertainty,
        _L,
        "none",
        (MONOTONE, SYMMETRIC),
        1,  # while all log variances are 0
        "Kendall et al. 2018, CVPR",
        "m",
        "log variances, Adam of their own",
    ),
    "dwa": LossMethod(
        dwa, _L, "none", (MONOTONE, SYMMETRIC), 1, "Liu et al. 2019, CVPR", state="m"
    ),
    "rlw": LossMethod(rlw, ("losses", "key"), "none", (MONOTONE,), 1, "Lin et al. 2022, TMLR"),
    "gls": LossMethod(
        gls, _L, "none", (MONOTONE, SYMMETRIC), 1, "Chennupati et al. 2019, CVPR workshops"
    ),
    "imtl_l": LossMethod(
        imtl_l,
        _L,
        "none",
        (MONOTONE, SYMMETRIC),
        1,  # while all scales are 0
        "Liu et al. 2021, ICLR",
        "m",
        "log scales, Adam of their own",
    ),
    "igb": LossMethod(
        igb, _L, "none", (MONOTONE, SYMMETRIC), None, "Dai et al. 2023, UAI", state="m"
    ),
    "ldc": LossMethod(
        ldc,
        _L,
        "none",
        (SYMMETRIC,),
        1,  # while all logits are 0
        "Xiao et al. 2025",
        "m",
        "logits, Adam of their own",
    ),
    "stch": LossMethod(stch, _L, "none", (MONOTONE, SYMMETRIC), None, "Lin et al. 2024, ICML"),
    "cosmos": LossMethod(cosmos, _L, "none", (SYMMETRIC,), None, "Ruchte, Grabocka 2021, ICDM"),
    "pbi": LossMethod(pbi, _L, "none", (SYMMETRIC,), 1, "Zhang, Li 2007, IEEE TEVC"),
    "famo": LossMethod(
        famo,
        ("losses", "losses after the update"),
        "a second forward pass, or none",
        (MONOTONE, SYMMETRIC),
        None,
        "Liu et al. 2023, NeurIPS",
        "m",
        "logits, Adam with decay of their own",
    ),
}

# Read-only: ``register`` adds methods of one's own.
LOSS_METHODS: Mapping[str, LossMethod] = MappingProxyType(LOSSES)


def make_scalarizer(name: str, num_tasks: int | None = None, **options: Any) -> Scalarizer:
    """Makes a loss method by name.

    Args:
        name: a key of ``LOSS_METHODS``, perhaps with options, ``"stch(mu=0.1)"``.
        num_tasks: for ``linear`` without weights: that many equal ones.
        options: arguments of the factory.

    Returns:
        The loss method.

    Raises:
        ValueError: an unknown name.

    Example:
        >>> make_scalarizer("stch", mu=0.1).observe is None
        True
    """
    if name.partition("(")[0].strip() not in LOSS_METHODS:
        raise ValueError(f"name: expected one of {', '.join(LOSS_METHODS)}, got {short(name)}")
    return make_named(name, num_tasks, **options)
