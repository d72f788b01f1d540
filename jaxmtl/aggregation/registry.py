"""The table of all methods: what each needs, what it costs, what it promises, and its paper."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxmtl._words import kind_of, short
from jaxmtl.aggregation.aligned_mtl import aligned_mtl
from jaxmtl.aggregation.and_mask import and_mask
from jaxmtl.aggregation.cagrad import cagrad
from jaxmtl.aggregation.config import config
from jaxmtl.aggregation.constant import constant
from jaxmtl.aggregation.contract import Aggregator
from jaxmtl.aggregation.cr_mogm import cr_mogm
from jaxmtl.aggregation.db_mtl import db_mtl
from jaxmtl.aggregation.dualproj import dualproj
from jaxmtl.aggregation.excess_mtl import excess_mtl
from jaxmtl.aggregation.fairgrad import fairgrad
from jaxmtl.aggregation.graddrop import graddrop
from jaxmtl.aggregation.gradnorm import gradnorm
from jaxmtl.aggregation.gradvac import gradvac
from jaxmtl.aggregation.imtl_g import imtl_g
from jaxmtl.aggregation.known import as_aggregator, known_names, make_named
from jaxmtl.aggregation.krum import krum
from jaxmtl.aggregation.losses import LossMethod, Scalarizer, auto_lambda
from jaxmtl.aggregation.mean import mean
from jaxmtl.aggregation.mgda import mgda
from jaxmtl.aggregation.moco import moco
from jaxmtl.aggregation.modo import modo
from jaxmtl.aggregation.nash_mtl import nash_mtl
from jaxmtl.aggregation.pcd import pcd
from jaxmtl.aggregation.pcgrad import pcgrad
from jaxmtl.aggregation.random import random
from jaxmtl.aggregation.recon import recon
from jaxmtl.aggregation.sand_mask import sand_mask
from jaxmtl.aggregation.sdmgrad import sdmgrad
from jaxmtl.aggregation.sum import sum as sum_
from jaxmtl.aggregation.tables import AGGREGATORS, AHEAD, LOSSES, OWN
from jaxmtl.aggregation.trimmed_mean import trimmed_mean
from jaxmtl.aggregation.upgrad import upgrad

# Properties, as the papers promise them for d = A(J).
SAFE = "non-conflicting"  # J d >= 0
SYMMETRIC = "permutation-invariant"  # rows shuffled, same d
LINEAR = "linear under scaling"  # A(diag(c) J) is linear in c > 0
STATIONARY = "strongly stationary"  # d = 0 only if some w > 0 has J^T w = 0


class Method(NamedTuple):
    """A row of the table.

    Attributes:
        factory: makes the aggregator.
        needs: of "gram" (the Gram matrix), "gradients" (all rows), "losses", "key".
        cost: beyond one Gram matrix and one weighted sum, with m tasks and n parameters.
        properties: what is promised.
        degree: k of A(c J) = c^k A(J) for c > 0, None if there is none.
        paper: authors, year, venue.
        state: "" for none, "m" for numbers a task, "m n" for a copy of the gradients.

    Example:
        >>> REGISTRY["upgrad"].needs, REGISTRY["upgrad"].degree
        (('gram',), 1)
    """

    factory: Callable[..., Aggregator]
    needs: tuple[str, ...]
    cost: str
    properties: tuple[str, ...]
    degree: float | None
    paper: str
    state: str = ""


_G, _R = ("gram",), ("gradients",)

AGGREGATORS |= {
    "mean": Method(mean, (), "none", (SYMMETRIC, LINEAR, STATIONARY), 1, "-"),
    "sum": Method(sum_, (), "none", (SYMMETRIC, LINEAR, STATIONARY), 1, "-"),
    "constant": Method(constant, (), "none", (LINEAR, STATIONARY), 1, "-"),
    "random": Method(random, ("key",), "none", (STATIONARY,), 1, "Lin et al. 2022, TMLR"),
    "mgda": Method(
        mgda, _G, "one m-variable QP", (SAFE, SYMMETRIC), 1, "Sener, Koltun 2018, NeurIPS"
    ),
    "cagrad": Method(cagrad, _G, "a few QPs", (SYMMETRIC,), 1, "Liu et al. 2021, NeurIPS"),
    "pcgrad": Method(pcgrad, ("gram", "key"), "m^3", (), 1, "Yu et al. 2020, NeurIPS"),
    "gradvac": Method(gradvac, ("gram", "key"), "m^3", (), 1, "Wang et al. 2021, ICLR", "m"),
    "graddrop": Method(
        graddrop,
        ("gradients", "key"),
        "a pass and n random numbers",
        (),
        1,
        "Chen et al. 2020, NeurIPS",
    ),
    "imtl_g": Method(
        imtl_g, _G, "two eigenvalue problems", (SYMMETRIC,), 1, "Liu et al. 2021, ICLR"
    ),
    "aligned_mtl": Method(
        aligned_mtl, _G, "an eigenvalue problem", (SYMMETRIC,), 1, "Senushkin et al. 2023, CVPR"
    ),
    "config": Method(
        config, _G, "an eigenvalue problem", (SYMMETRIC, LINEAR), 1, "Liu et al. 2025, ICLR"
    ),
    "nash_mtl": Method(
        nash_mtl, _G, "about 10 Newton steps", (SAFE, SYMMETRIC), 0, "Navon et al. 2022, ICML"
    ),
    "fairgrad": Method(
        fairgrad, _G, "about 10 Newton steps", (SAFE, SYMMETRIC), 0, "Ban, Ji 2024, ICML"
    ),
    "upgrad": Method(
        upgrad,
        _G,
        "m QPs of m variables",
        (SAFE, SYMMETRIC, LINEAR, STATIONARY),
        1,
        "Quinton, Rey 2024, arXiv:2406.16232",
    ),
    "dualproj": Method(
        dualproj,
        _G,
        "one m-variable QP",
        (SAFE, SYMMETRIC, STATIONARY),
        1,
        "Lopez-Paz, Ranzato 2017, NeurIPS",
    ),
    "pcd": Method(pcd, _G, "one m-variable QP", (), None, "Varam et al. 2026, TMLR", "m"),
    "krum": Method(krum, _G, "m sorts", (), 1, "Blanchard et al. 2017, NeurIPS"),
    "trimmed_mean": Method(
        trimmed_mean, _R, "n sorts of m numbers", (SYMMETRIC,), 1, "Yin et al. 2018, ICML"
    ),
    "excess_mtl": Method(
        excess_mtl, _R, "two passes", (SYMMETRIC,), None, "He et al. 2024, ICML", "m n"
    ),
    "moco": Method(
        moco,
        ("gradients", "losses"),
        "two passes, a Gram matrix",
        (SYMMETRIC,),
        0,
        "Fernando et al. 2023, ICLR",
        "m n",
    ),
    "db_mtl": Method(
        db_mtl,
        ("gradients", "losses"),
        "two passes, a Gram matrix",
        (SYMMETRIC,),
        1,
        "Lin et al. 2023, arXiv:2308.12029",
        "m n",
    ),
    "gradnorm": Method(
        gradnorm, ("gram", "losses"), "none", (SYMMETRIC,), 1, "Chen et al. 2018, ICML", "m"
    ),
    "sdmgrad": Method(
        sdmgrad, _G, "20 projected steps", (SYMMETRIC,), None, "Xiao et al. 2023, NeurIPS", "m"
    ),
    "modo": Method(
        modo, _G, "one projected step", (SYMMETRIC,), None, "Chen et al. 2023, NeurIPS", "m"
    ),
    "cr_mogm": Method(
        cr_mogm, _G, "that of the method inside", (SYMMETRIC,), 1, "Zhou et al. 2022, NeurIPS", "m"
    ),
    "recon": Method(
        recon,
        _R,
        "a Gram matrix a layer",
        (SYMMETRIC, LINEAR, STATIONARY),
        1,
        "Shi et al. 2023, ICLR",
        "m",
    ),
    "and_mask": Method(and_mask, _R, "a pass", (SYMMETRIC,), 1, "Parascandolo et al. 2021, ICLR"),
    "sand_mask": Method(
        sand_mask, _R, "two passes", (SYMMETRIC,), None, "Shahtalebi et al. 2021, arXiv:2106.02266"
    ),
}

AHEAD["auto_lambda"] = auto_lambda
_TABLES = {"aggregators": AGGREGATORS, "losses": LOSSES, "ahead": AHEAD}

# Read-only: ``register`` adds methods of one's own.
REGISTRY: Mapping[str, Method] = MappingProxyType(AGGREGATORS)


def make(name: str, num_tasks: int | None = None, **options: Any) -> Aggregator:
    """Makes an aggregator by name.

    Args:
        name: a key of ``REGISTRY``, or of ``LOSS_METHODS``, which gives ``from_losses`` of it,
            perhaps with options in it, ``"cagrad(c=0.4)"``.
        num_tasks: for ``constant`` and ``linear`` without weights: that many equal ones.
        options: arguments of the factory.

    Returns:
        The aggregator.

    Raises:
        ValueError: an unknown name or option.

    Example:
        >>> make("cagrad", c=0.4).weighted, make("cagrad(c=0.4)").weighted
        (True, True)
    """
    return as_aggregator(make_named(name, num_tasks, **options))


def register(
    name: str, factory: Callable[[], Aggregator | Scalarizer], *, replace: bool = False
) -> None:
    """Makes a method of your own known by a name: to steps, ``fit``, ``sweep``, ``compare``.

    Args:
        name: a word, by which it is found as those of ``REGISTRY`` and ``LOSS_METHODS`` are.
        factory: makes the aggregator or loss method; its arguments, all of which have defaults, are
            options that a name may have, ``"mine(c=0.4)"``.
        replace: whether another method of that name is replaced.

    Raises:
        ValueError: no word, a name that is taken, or a factory that makes no method.

    Example:
        >>> import jax.numpy as jnp
        >>> import jaxmtl.aggregation as ag
        >>> def halved(share: float = 0.5) -> ag.Aggregator:
        ...     def rule(gram, state, context):
        ...         return ag.Weighed(share * context.present.astype(gram.dtype), state)
        ...     return ag.from_rule(rule, needs_gram=False)
        >>> register("halved", halved)
        >>> ag.make("halved(share=0.25)").weights(jnp.eye(2)).tolist()
        [0.25, 0.25]
        >>> forget("halved")
        >>> register("mgda", halved)
        Traceback (most recent call last):
            ...
        ValueError: register: there is a method 'mgda' already; pass replace=True to replace it
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(
            f"register: expected a word as the name, such as 'mine', got {_shown(name)}"
        )
    add(name, factory, replace=replace)


def _shown(value: Any) -> str:
    return kind_of(value) if callable(value) else short(value)


def forget(name: str) -> None:
    """Takes back ``register``: the method is gone, and one that it replaced is back in its place.

    Args:
        name: that was registered.

    Raises:
        ValueError: it was not.

    Example:
        >>> forget("mgda")
        Traceback (most recent call last):
            ...
        ValueError: forget: expected a name that was registered, got 'mgda'
    """
    if name not in OWN:
        raise ValueError(f"forget: expected a name that was registered, got {name!r}")
    for title, table in _TABLES.items():
        table.pop(name, None)
        if title in OWN[name]:
            method, before = OWN[name][title]
            table[name] = method
            for later in [each for each in table if each not in {*before, name}]:
                table[later] = table.pop(later)
    del OWN[name]


def add(name: str, factory: Any, *, replace: bool = False) -> None:
    """As ``register``, under any text; commands name methods by module and name."""
    if name in known_names() and not replace:
        raise ValueError(
            f"register: there is a method {name!r} already; pass replace=True to replace it"
        )
    wanted = f"register: {name}: expected a function that makes an aggregator or loss method, "
    if not callable(factory):
        made = isinstance(factory, Aggregator | Scalarizer)
        got = "one that is made already: pass the function itself" if made else short(factory)
        raise ValueError(f"{wanted}got {got}")
    make: Any = factory
    try:
        method = make()
    except TypeError as error:
        raise ValueError(f"{wanted}without arguments, got {kind_of(factory)}: {error}") from error
    if not isinstance(method, Aggregator | Scalarizer):
        raise ValueError(f"{wanted}got one that makes {_shown(method)}")
    replaced = {
        title: (table[name], list(table)[: list(table).index(name)])
        for title, table in _TABLES.items()
        if name in table
    }
    OWN.setdefault(name, replaced)
    for table in _TABLES.values():
        table.pop(name, None)
    if isinstance(method, Scalarizer):
        LOSSES[name] = LossMethod(make, ("losses", "key"), "unknown", (), None, "-")
        return
    needs = ("gradients" if method.rule is None else "gram", "losses", "key")
    AGGREGATORS[name] = Method(make, needs, "unknown", (), None, "-")
