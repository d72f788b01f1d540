"""Time and memory of a whole training step, jaxmtl against TorchJD, in turns.

    python experiments/benchmarks/whole_step.py --out whole_step.json
    python experiments/benchmarks/whole_step.py --tasks 8 --methods upgrad --memory

A network 784-512-512-256 (ReLU) with a linear head a task, 10 classes each and cross-entropy, takes
steps of plain SGD on batches of 128 rows, in float32: forward, task gradients, their aggregation,
update. Both sides start from the same parameters, and run in one process on as many cores and
threads as --threads says. Two things are computed, and only steps that compute the same one are
compared:

- "all": all parameters are aggregated. TorchJD: `autojac.backward` (its rows at once or one by
  one), or the engine of `autogram` and a weighted backward pass (for methods on the Gram matrix).
  Ours: `aggregated_step` on `task_gradients` (at once, or in chunks of one), `gramian_step`.
- "trunk": the trunk is aggregated, heads get their own gradients. TorchJD: `autojac.mtl_backward`.
  Ours: `aggregated_step` on `with_heads(..., "plain")`.
- "features": the gradients at the features are aggregated, and passed back through the trunk once;
  TorchJD has nothing of the kind, the ratio is to its "trunk".

Before anything is timed, the change of the parameters in the first step is compared within each
group. The ratio is the fastest of TorchJD's group over ours, round by round. "x sum" is the step
over ours on the summed loss; a forward pass and K backward passes are (1 + 2K) / 3 of it, and "x
work" is the step over that. Times are medians of the rounds.

With --memory: the most that a process holds in three steps beyond what it held before them (VmHWM,
reset by /proc/self/clear_refs, Linux only), parameters and batch aside, in a fresh process a case;
ours is compiled before, and the bytes that XLA plans for its intermediate results stand next to it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from aggregators import (
    about,
    block_length,
    import_torchjd,
    quartiles,
    quiet,
    show_machine,
    their_aggregator,
    time_block,
    use_cores,
)

METHODS = ("upgrad", "mgda", "cagrad", "nash_mtl")
SIZES = (784, 512, 512, 256)
CLASSES, BATCH, RATE = 10, 128, 0.05
SUMMED = ("summed loss", "TorchJD's summed loss")
# Of the first step's changes: TorchJD stops MGDA early, and adds 1e-4 of the trace in UPGrad.
TOLERANCES = {"upgrad": 1e-2, "mgda": 5e-2}
CLOSE = 2e-3
Dense = tuple[np.ndarray, np.ndarray]


class Problem(NamedTuple):
    """Layers of the trunk, heads, and a batch: x (rows, 784), y (tasks, rows) of classes."""

    trunk: list[Dense]
    heads: list[Dense]
    x: np.ndarray
    y: np.ndarray


class Contestant(NamedTuple):
    """``call(i)`` takes a step and waits; ``parameters()`` are those at present, flat."""

    name: str
    group: str
    ours: bool
    call: Callable[[int], Any]
    parameters: Callable[[], np.ndarray]
    planned: int | None = None


def make_problem(tasks: int, sizes: Sequence[int] = SIZES, batch: int = BATCH) -> Problem:
    rng = np.random.default_rng(0)

    def dense(inputs: int, outputs: int) -> Dense:
        bound = inputs**-0.5
        draw = rng.uniform(-bound, bound, (inputs + 1, outputs)).astype(np.float32)
        return draw[:-1], draw[-1]

    trunk = [dense(*pair) for pair in zip(sizes[:-1], sizes[1:], strict=True)]
    heads = [dense(sizes[-1], CLASSES) for _ in range(tasks)]
    x = rng.normal(size=(batch, sizes[0])).astype(np.float32)
    return Problem(trunk, heads, x, rng.integers(0, CLASSES, (tasks, batch)))


def flatten(leaves: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in leaves])


def make_ours(problem: Problem, name: str, method: str) -> Contestant:
    """A step of jaxmtl, compiled."""
    import jax
    import jax.numpy as jnp
    import optax

    import jaxmtl.aggregation as ag
    from jaxmtl import task_gradients

    tasks = len(problem.heads)

    def trunk(params: Any, batch: Any) -> Any:
        h = batch[0]
        for kernel, bias in params:
            h = jax.nn.relu(h @ kernel + bias[None])
        return h

    def head(task: int) -> Any:
        def loss(params: Any, z: Any, batch: Any) -> Any:
            logits = z @ params[task][0] + params[task][1][None]
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch[1][task]).mean()

        return loss

    split = ag.SplitLoss(trunk, [head(task) for task in range(tasks)])
    aggregator, sgd = ag.make(method), optax.sgd(RATE)
    plain = ag.with_heads(aggregator, (True, False), "plain")

    def one_by_one(loss_fn: Any) -> Any:
        return task_gradients(loss_fn, chunk=1)

    def summed() -> ag.AggregatedStep:
        def init(params: Any, batch: Any) -> Any:
            return sgd.init(params)

        def step(params: Any, state: Any, batch: Any) -> Any:
            grads = jax.grad(lambda p: split(p, batch).sum())(params)
            updates, state = sgd.update(grads, state, params)
            return optax.apply_updates(params, updates), state, None

        return ag.AggregatedStep(init, step)

    steps: dict[str, tuple[str, Callable[[], ag.AggregatedStep]]] = {
        SUMMED[0]: ("sum", summed),
        "task gradients": ("all", lambda: ag.aggregated_step(split, aggregator, sgd)),
        "one by one": (
            "all",
            lambda: ag.aggregated_step(split, aggregator, sgd, gradients=one_by_one),
        ),
        "Gram matrix": ("all", lambda: ag.gramian_step(split, aggregator, sgd)),
        "heads apart": ("trunk", lambda: ag.aggregated_step(split, plain, sgd)),
        "features": ("features", lambda: ag.feature_step(split, aggregator, sgd, "plain")),
    }
    group, make = steps[name]
    init, step = make()
    batch = jnp.asarray(problem.x), jnp.asarray(problem.y, jnp.int32)
    params = jax.tree.map(jnp.array, (problem.trunk, problem.heads))
    carried = [params, jax.block_until_ready(init(params, batch))]
    jitted = jax.jit(lambda p, s, b: step(p, s, b)[:2], donate_argnums=(0, 1))
    plan = jitted.lower(*carried, batch).compile().memory_analysis()

    def call(i: int) -> None:
        carried[:] = jitted(*carried, batch)
        jax.block_until_ready(carried[0])

    return Contestant(
        name,
        group,
        True,
        call,
        lambda: flatten(jax.tree.leaves(carried[0])),
        None if plan is None else plan.temp_size_in_bytes,
    )


def make_theirs(problem: Problem, name: str, method: str) -> Contestant:
    """A step of TorchJD."""
    import torch
    from torch import nn

    aggregation = import_torchjd()
    autojac = importlib.import_module("torchjd.autojac")
    autogram = importlib.import_module("torchjd.autogram")

    def linear(layer: Dense) -> Any:
        found = nn.Linear(*layer[0].shape)
        with torch.no_grad():
            found.weight.copy_(torch.tensor(layer[0].T))
            found.bias.copy_(torch.tensor(layer[1]))
        return found

    tasks = len(problem.heads)
    trunk = nn.Sequential(*[part for layer in problem.trunk for part in (linear(layer), nn.ReLU())])
    heads = nn.ModuleList(linear(layer) for layer in problem.heads)
    x, y = torch.tensor(problem.x), torch.tensor(problem.y)
    shared, every = list(trunk.parameters()), [*trunk.parameters(), *heads.parameters()]
    sgd = torch.optim.SGD(every, lr=RATE)
    aggregator, criterion = their_aggregator(method, tasks), nn.CrossEntropyLoss()

    def forward() -> tuple[Any, list[Any]]:
        z = trunk(x)
        return z, [criterion(head(z), y[t]) for t, head in enumerate(heads)]

    def summed() -> None:
        torch.stack(forward()[1]).sum().backward()

    def backward(chunk: int | None) -> Callable[[], None]:
        def gradients() -> None:
            autojac.backward(forward()[1], parallel_chunk_size=chunk)
            autojac.jac_to_grad(every, aggregator)

        return gradients

    def mtl_backward(chunk: int | None) -> Callable[[], None]:
        def gradients() -> None:
            z, losses = forward()
            autojac.mtl_backward(losses, features=z, parallel_chunk_size=chunk)
            autojac.jac_to_grad(shared, aggregator)

        return gradients

    def engine() -> Callable[[], None]:
        weightings = {
            "upgrad": aggregation.UPGradWeighting,
            "mgda": aggregation.MGDAWeighting,
            "cagrad": lambda: aggregation.CAGradWeighting(c=0.5),
        }
        # Losses are means over the batch, so no dimension of theirs is that of the batch.
        made, weighting = autogram.Engine(trunk, heads, batch_dim=None), weightings[method]()

        def gradients() -> None:
            losses = torch.stack(forward()[1])
            losses.backward(weighting(made.compute_gramian(losses)))

        return gradients

    makers = {
        SUMMED[1]: ("sum", lambda: summed),
        "autojac.backward": ("all", lambda: backward(None)),
        "the same, one by one": ("all", lambda: backward(1)),
        "autogram.Engine": ("all", engine),
        "mtl_backward": ("trunk", lambda: mtl_backward(None)),
        "mtl_backward, one by one": ("trunk", lambda: mtl_backward(1)),
    }
    group, make = makers[name]
    gradients = make()

    def call(i: int) -> None:
        sgd.zero_grad()
        gradients()
        sgd.step()

    def parameters() -> np.ndarray:
        layers = [m for m in [*trunk, *heads] if isinstance(m, nn.Linear)]
        pairs = [(layer.weight.detach().numpy().T, layer.bias.detach().numpy()) for layer in layers]
        return flatten([leaf for pair in pairs for leaf in pair])

    return Contestant(name, group, False, call, parameters)


def names(method: str) -> list[tuple[Callable[[Problem, str, str], Contestant], str]]:
    """All contestants of a method, the steps on the summed loss first."""
    ours = ["task gradients", "one by one", "Gram matrix", "heads apart", "features"]
    theirs = ["autojac.backward", "the same, one by one", "autogram.Engine"]
    theirs += ["mtl_backward", "mtl_backward, one by one"]
    if method == "nash_mtl":
        theirs.remove("autogram.Engine")  # TorchJD's needs the rows
    return [
        *((make_ours, name) for name in (SUMMED[0], *ours)),
        *((make_theirs, name) for name in (SUMMED[1], *theirs)),
    ]


def first_changes(problem: Problem, contestants: Sequence[Contestant]) -> dict[str, float]:
    """Largest difference of the first step's change to the first of the group, of its size."""
    start = flatten([leaf for pair in [*problem.trunk, *problem.heads] for leaf in pair])
    first: dict[str, np.ndarray] = {}
    found = {}
    for contestant in contestants:
        contestant.call(0)
        change = contestant.parameters() - start
        expected = first.setdefault(contestant.group, change)
        found[contestant.name] = float(np.abs(change - expected).max() / np.abs(expected).max())
    return found


def measure(contestants: Sequence[Contestant], repeats: int) -> dict[str, list[float]]:
    """Seconds a step of everybody in every round, each round from another one on."""
    calls = [block_length(contestant.call) for contestant in contestants]
    found: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for repeat in range(repeats):
        for turn in range(len(contestants)):
            n = (turn + repeat) % len(contestants)
            contestant = contestants[n]
            found[contestant.name].append(time_block(contestant.call, calls[n]))
    return found


def compare(method: str, tasks: int, repeats: int) -> list[dict[str, Any]]:
    """One block of the table."""
    problem = make_problem(tasks)
    with quiet():
        contestants = [make(problem, name, method) for make, name in names(method)]
        differences = first_changes(problem, contestants)
        seconds = measure(contestants, repeats)
    work = (1 + 2 * tasks) / 3
    results = []
    for contestant in contestants:
        mine = seconds[contestant.name]
        group = "trunk" if contestant.group == "features" else contestant.group
        rivals = [c.name for c in contestants if not c.ours and c.group == group]
        rival = min(rivals, key=lambda name: statistics.median(seconds[name]))
        share = quartiles([a / b for a, b in zip(mine, seconds[SUMMED[0]], strict=True)])
        results.append(
            {
                "method": method,
                "tasks": tasks,
                "name": contestant.name,
                "ours": contestant.ours,
                "group": contestant.group,
                "ms": 1e3 * statistics.median(mine),
                "rival": rival if contestant.ours else None,
                "ratio": quartiles([b / a for a, b in zip(mine, seconds[rival], strict=True)]),
                "of_summed": share,
                "of_work": [value / work for value in share],
                "difference": differences[contestant.name],
            }
        )
    return results


def show(results: Sequence[dict[str, Any]]) -> None:
    first = results[0]
    print(f"\n{first['method']}, {first['tasks']} tasks", end="")
    print(f"{'ms':>25}{'x sum':>8}{'x work':>8}{'ratio':>8}{'quartiles':>16}{'difference':>12}")
    for side in (True, False):
        for r in (r for r in results if r["ours"] is side):
            label = f"  {'jaxmtl' if side else 'TorchJD'} {r['group']:9}{r['name']}"
            print(
                f"{label:43}{r['ms']:>8.2f}{r['of_summed'][1]:>8.2f}{r['of_work'][1]:>8.2f}", end=""
            )
            if side:
                low, median, high = r["ratio"]
                between = f"{low:.2f} - {high:.2f}"
                print(f"{median:>8.2f}{between:>16}", end="")
            else:
                print(f"{'':24}", end="")
            print(f"{r['difference']:>12.0e}", flush=True)


def peak(side: str, name: str, method: str, tasks: int) -> dict[str, Any]:
    """MiB that three steps add to what the process holds; run in a process of its own."""
    make = make_ours if side == "ours" else make_theirs
    if side == "theirs":  # what its libraries load when they are first used
        make(make_problem(tasks, (4, 4, 4), 2), name, method).call(0)
    contestant = make(make_problem(tasks), name, method)
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    with quiet():
        for i in range(3):
            contestant.call(i)
    planned = None if contestant.planned is None else contestant.planned / 2**20
    return {"peak_mib": (status("VmHWM") - before) / 2**10, "planned_mib": planned}


def status(field: str) -> int:
    """An entry of /proc/self/status, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


def measure_memory(method: str, tasks: Sequence[int], threads: int) -> list[dict[str, Any]]:
    """A process a case; one method is enough, what it adds is of the order of a Gram matrix."""
    results = []
    print(f"\nMiB in a step of {method}, and what XLA plans for intermediate results")
    print(f"{'':43}" + "".join(f"{f'{k} tasks':>18}" for k in tasks))
    for make, name in names(method):
        side = "ours" if make is make_ours else "theirs"
        label = f"  {'jaxmtl' if side == 'ours' else 'TorchJD'} {name}"
        print(f"{label:43}", end="", flush=True)
        for k in tasks:
            case = ["--case", side, name, method, str(k), "--threads", str(threads)]
            done = subprocess.run(
                [sys.executable, __file__, *case], capture_output=True, text=True, check=False
            )
            if done.returncode:
                sys.exit(f"{name}, {k} tasks: {done.stderr[-2000:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            planned = f" ({found['planned_mib']:.1f})" if found["planned_mib"] is not None else ""
            print(f"{found['peak_mib']:>10.1f}{planned:>8}", end="", flush=True)
            results.append({"name": name, "side": side, "method": method, "tasks": k} | found)
        print()
    return results


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 3, 8])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--repeats", type=int, default=9, help="rounds")
    parser.add_argument("--threads", type=int, default=1, help="cores, and threads of both sides")
    parser.add_argument("--memory", action="store_true", help="also measure memory, Linux only")
    parser.add_argument("--no-times", action="store_true", help="measure memory alone")
    parser.add_argument("--out", type=Path, default=None, help="write the figures as JSON")
    parser.add_argument("--case", nargs=4, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    use_cores(options.threads)
    import_torchjd()
    if options.case is not None:
        side, name, method, tasks = options.case
        print(json.dumps(peak(side, name, method, int(tasks))))
        return
    found = about(options.threads)
    show_machine(found)

    results, failed = [], []
    for tasks in [] if options.no_times else options.tasks:
        for method in options.methods:
            block = compare(method, tasks, options.repeats)
            show(block)
            results += block
            asked = TOLERANCES.get(method, CLOSE)
            failed += [
                f"{r['name']} ({method}, {tasks} tasks)"
                for r in block
                if not r["difference"] <= asked
            ]
    memory = []
    if options.memory or options.no_times:
        memory = measure_memory(options.methods[0], options.tasks, options.threads)
    if options.out is not None:
        settings = {k: v for k, v in vars(options).items() if k not in ("out", "case")}
        report = {"machine": found, "settings": settings, "results": results, "memory": memory}
        options.out.write_text(json.dumps(report, indent=2) + "\n")
        print(f"wrote {options.out}")
    if failed:
        sys.exit(f"expected steps that change the same, got others for {', '.join(failed)}")


if __name__ == "__main__":
    main()
