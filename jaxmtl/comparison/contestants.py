"""What takes part in a comparison: arms of the library by name, and those of a user's own."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Key

from jaxmtl.comparison.kept_fits import keep_fit, kept_fit, mark_of
from jaxmtl.data.folds import Data, Folds
from jaxmtl.files.errors import FileError
from jaxmtl.files.json_file import read_json_file, write_json_file
from jaxmtl.files.names import folder_name
from jaxmtl.methods.method import Fitted, Method, Work
from jaxmtl.methods.registry import WITHOUT_STEPS, find_method
from jaxmtl.methods.study.arm import Arm
from jaxmtl.methods.study.arms import GROUPS, expand, fits, why_not
from jaxmtl.methods.study.as_method import StudyMethod
from jaxmtl.methods.study.bench import Bench, StudyProtocol
from jaxmtl.methods.study.own import own_arm
from jaxmtl.training import as_network
from jaxmtl.training.driver.describe import describe_model, fingerprint

ARMS_FILE = "arms.json"
KEPT_FILE = "fitted.json"  # of an arm that is a method of the user's own


class Contestant(NamedTuple):
    """One that takes part.

    Attributes:
        description: one line for the report.
        takes_steps: whether it stands on the bench, with the steps of the adaptive run.
        make: from the bench, or None before there is one, to the method.
        what: tells it from another of the same name, in any process; two JSON values.
    """

    description: str
    takes_steps: bool
    make: Callable[[Bench | None], Method]
    what: tuple[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class NamedMethod:
    """A method by another name, with a folder of that name for what it keeps.

    Attributes:
        name: that the user gave.
        description: of the method.
        method: that is fitted.

    Example:
        >>> method = find_method("ridge")
        >>> NamedMethod(name="line", description=method.description, method=method).name
        'line'
    """

    name: str
    description: str
    method: Any

    def fit(
        self, data: Data, folds: Folds, keys: Key[Array, " folds"] | None, work: Work
    ) -> Fitted:
        """Fits the method, see ``Method.fit``; what a checkpoint has of it comes without models."""
        file, mark = None, ""
        if work.checkpoint is not None:
            folder = os.path.join(work.checkpoint, folder_name(self.name))
            work = dataclasses.replace(work, checkpoint=folder)
            file, mark = Path(folder, KEPT_FILE), mark_of(data, folds, keys)
            if work.resume and (kept := kept_fit(file, mark)) is not None:
                return kept
        keys = None if keys is None else jax.random.clone(keys)
        fitted = self.method.fit(data, folds, keys, work)
        shape = getattr(getattr(fitted, "scores", None), "shape", None)
        if not isinstance(fitted, Fitted) or shape != (len(folds), len(data.tasks)):
            got = type(fitted).__name__ + (f" with {shape}" if shape else "")
            raise ValueError(
                f"arms: expected {self.name!r} to return a jaxmtl.methods.Fitted with scores of "
                f"shape (folds, tasks) = {(len(folds), len(data.tasks))}, got {got}"
            )
        if file is not None and jax.process_index() == 0:
            keep_fit(file, fitted, mark)
        return fitted


def contestants(
    arms: Sequence[str] | Mapping[str, Any],
    reference: str,
    num_tasks: int,
    protocol: StudyProtocol | None = None,
) -> dict[str, Contestant]:
    """All that take part, by the names that tables, pictures and checkpoints give them.

    Args:
        arms: see ``compare``.
        reference: added if it is not among them.
        num_tasks: number of targets.
        protocol: what all arms have in common; None where it is not known yet.

    Returns:
        Every name once, in the order given.

    Raises:
        ValueError: an unknown name, a name that means something else, or what is no arm.

    Example:
        >>> from jaxmtl import aggregation as ag
        >>> list(contestants({"mine": ag.cagrad(c=0.2), "plain": "mean"}, "hard_sharing", 2))
        ['mine', 'plain', 'hard_sharing']
    """
    if not isinstance(arms, Mapping):
        names = check_arms(arms, reference, num_tasks, protocol)
        return {name: _named(name) for name in names}
    if not arms:
        raise ValueError("arms: expected at least one by its name, got none")
    found: dict[str, Contestant] = {}
    for name, value in arms.items():
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"arms: expected names that are texts, got {name!r}")
        if isinstance(value, list) or (isinstance(value, str) and value in GROUPS):
            names = value if isinstance(value, list) else [value]
            every = check_arms(names, names[0], num_tasks, protocol)
            found |= {each: _named(each) for each in every}
            continue
        if isinstance(value, str) and find_method(value).name == name:
            found[name] = _named(name)
            continue
        if _is_taken(name):
            raise ValueError(
                f"arms: {name!r} is the name of an arm or group of the library, which is something "
                "else; give yours another name"
            )
        found[name] = _own(name, value, num_tasks, protocol)
    if reference not in found:
        every = check_arms([], reference, num_tasks, protocol)
        found |= {name: _named(name) for name in every}
    return found


def check_arms(
    arms: Sequence[str],
    reference: str,
    num_tasks: int,
    protocol: StudyProtocol | None = None,
) -> list[str]:
    """Raises ValueError for a name that is no arm, or one that does not go with the rest.

    Args:
        arms: names, see ``compare``.
        reference: added if it is not among them.
        num_tasks: number of targets.
        protocol: what all arms have in common; None where it is not known yet.

    Returns:
        Every full name once.

    Raises:
        ValueError: an unknown name, or a method that needs more tasks.

    Example:
        >>> check_arms(["adaptive", "upgrad", "adaptive"], "hard_sharing", 2)
        ['adaptive', 'restarts+upgrad', 'hard_sharing']
    """
    names: list[str] = []
    for name in dict.fromkeys((*arms, reference)):
        group = name in GROUPS
        names += expand([name], num_tasks, protocol) if group else [find_method(name).name]
    names = list(dict.fromkeys(names))
    for name in (name for name in names if name not in WITHOUT_STEPS):
        if (why := fits(name, num_tasks, protocol)) is not None:
            raise ValueError(_does_not_go(name, why, num_tasks))
    return names


def check_same(
    checkpoint: str | os.PathLike[str], field: Mapping[str, Contestant], *, resume: bool
) -> None:
    """Keeps what each arm is beside the checkpoints, and refuses another of the same name.

    Args:
        checkpoint: folder.
        field: all that take part.
        resume: what is there is gone on with.

    Raises:
        FileError: an arm of the interrupted comparison was something else.

    Example:
        >>> import tempfile
        >>> from jaxmtl import aggregation as ag
        >>> first, other = (contestants({"mine": ag.cagrad(c=c)}, "mean", 2) for c in (0.2, 0.4))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     check_same(folder, first, resume=False)
        ...     check_same(folder, first, resume=True)
        ...     try:
        ...         check_same(folder, other, resume=True)
        ...     except FileError as error:
        ...         str(error).partition(": ")[2][:42]
        "its arm 'mine' was an aggregator or loss m"
    """
    path = Path(checkpoint, ARMS_FILE)
    now = {name: list(one.what) for name, one in field.items()}
    if resume and path.exists():
        before = read_json_file(path, what="the arms of a comparison")
        for name, (kind, mark) in now.items():
            old = before.get(name, [kind, mark])
            if old != [kind, mark]:
                said = (f"{part[0]} ({part[1]})" for part in (old, (kind, mark)))
                raise FileError(
                    f"folder {checkpoint}: its arm {name!r} was {' and is '.join(said)}; repeat "
                    "that one, give yours another name, or start anew without resume"
                )
        now = before | now
    if jax.process_index() == 0:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json_file(path, now, force=True)


def _named(name: str) -> Contestant:
    """One of the library."""
    return Contestant(
        find_method(name).description,
        name not in WITHOUT_STEPS,
        lambda bench: find_method(name, bench=bench),
        ("the arm of the library", name),
    )


def _is_taken(name: str) -> bool:
    try:
        return name in GROUPS or find_method(name).name == name
    except ValueError:
        return False


def _does_not_go(name: str, why: str, num_tasks: int) -> str:
    with_what = "these targets" if fits(name, num_tasks) is not None else "this network"
    return f"arms: {name} does not go with {with_what}: {why}"


def _own(name: str, value: Any, num_tasks: int, protocol: StudyProtocol | None) -> Contestant:
    if isinstance(value, str) and value in WITHOUT_STEPS:
        value = find_method(value)
    if isinstance(value, StudyMethod):
        value = value.arm
    if not isinstance(value, type | Arm) and callable(getattr(value, "fit", None)):
        method = NamedMethod(name=name, description=_description(name, value), method=value)
        what = ("a method", fingerprint(value))
        return Contestant(method.description, False, lambda bench: method, what)
    arm = own_arm(name, value, num_tasks)
    if (why := why_not(arm, num_tasks, protocol)) is not None:
        raise ValueError(f"arms: {name!r} does not go with this comparison: {why}")

    def make(bench: Bench | None) -> Method:
        protocol = StudyProtocol() if bench is None else bench.protocol
        return StudyMethod(arm=arm, protocol=protocol, bench=bench)

    return Contestant(arm.description, True, make, _what(value))


def _description(name: str, method: Any) -> str:
    said = getattr(method, "description", "")
    return said if isinstance(said, str) and said else f"the method {name}, given by hand"


def _what(value: Any) -> tuple[str, str]:
    """What kind of thing it is, and what tells it from its likes."""
    if isinstance(value, str):
        return "the arm of the library", find_method(value).name
    if isinstance(value, Arm):
        return "the arm", fingerprint([value.name, value.run])
    parts = value if isinstance(value, tuple) and len(value) == 2 else (value,)
    try:
        network = as_network(value)
    except ValueError:
        if len(parts) == 1:
            return "an aggregator or loss method", fingerprint(value)
        first, method = parts
        return "a pair", fingerprint([*_what(first), method])
    return "a network", fingerprint(describe_model(network.source))
