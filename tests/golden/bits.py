"""Prints digests of what the study computes, as JSON: the same bits give the same text.

    python tests/golden/bits.py [ARM ...]

Arms are those of the comparison, all that are compared by default if none is named.
It uses only what users use, so that it runs against any version of the package on the path;
``experiments/benchmarks/same_bits.py`` runs it against two commits side by side. Digests of
``bits.json`` hold for the jaxlib and the kind of processor they are filed under: others round
differently.
"""

import csv
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

# Short, but every phase of it splits for one of the seeds, and one goes to its end for another.
SHORT = ((12, 4, 5), (8, 3, 5), (6,))
LINES = ("mean", "ridge", "boosted_trees")
# What the study came to has nothing of these: they stand beside it.
BESIDE = ("mean", "straight line")
RANGE = ("coding/feature_low", "coding/feature_high")
TABLES = ("history.csv", "events.csv", "predictions.csv")


def kind_of_machine() -> str:
    """JAX's kernels and those of the processor: what bits depend on."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        said = {}
        for name, _, value in (line.partition(":") for line in lines):
            said.setdefault(name.strip(), value.strip())
        parts = [said.get(name, "") for name in ("model name", "cpu family", "model", "stepping")]
        flags = said.get("flags", "").split()
        parts += [f for f in ("avx2", "fma", "avx512f", "avx512_bf16") if f in flags]
        processor = " ".join(part for part in parts if part) or processor
    return f"jaxlib {version('jaxlib')}, {platform.system()} {platform.machine()}, {processor}"


def digest(*arrays) -> str:
    found = hashlib.sha256()
    for leaf in arrays:
        array = np.ascontiguousarray(leaf)
        found.update(f"{array.dtype} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:16]


def of_run(run) -> dict[str, str]:
    import jax

    history = run.history
    fields = ("phase", "epoch", "samples", "train", "validation", "test", "conflicts")
    columns = [getattr(history, name) for name in fields]
    events = [[*event[:6], *event.tasks] for event in run.events]
    return {
        "params": digest(*jax.tree.leaves(run.params), run.head_index),
        "history": digest(*(column for column in columns if column is not None)),
        "events": hashlib.sha256(json.dumps(events).encode()).hexdigest()[:16],
        "duplications": str(len(events)),
    }


def phases():
    from jaxmtl import Phase

    return tuple(Phase(*numbers) for numbers in SHORT)


def tables(place: Path):
    from jaxmtl.data import prepare, random_split, read_table, write_air_quality

    file = write_air_quality(place / "air.xlsx", days=300)
    table = read_table(
        file, features=("SO2", "CO", "NO2", "PM10"), targets=("PM2.5", "O3_8h"), sheet=0
    )
    return [prepare(table, random_split(300, seed=s, test=0.2, validation=0.2)) for s in (0, 1)]


def runs(place: Path) -> dict[str, dict[str, str]]:
    import jax

    import jaxmtl

    dataset = tables(place)[0]
    model = jaxmtl.HardSharing(output_activation="sigmoid")
    key = jax.random.key(0)
    return {
        "fit": of_run(jaxmtl.fit(model, dataset.splits, key=key, epochs=20)),
        "fit_adaptive": of_run(
            jaxmtl.fit_adaptive(model, dataset.splits, key=jax.random.key(0), phases=phases())
        ),
    }


def folder(place: Path) -> dict[str, object]:
    """``jaxmtl fit --preset study`` on the built-in data, as a user runs it."""
    command = [sys.executable, "-m", "jaxmtl", "fit", "--preset", "study", "--no-cache", "--quiet"]
    subprocess.run([*command, "--out", str(place / "run")], check=True)
    found: dict[str, object] = {
        name: hashlib.sha256((place / "run" / name).read_bytes()).hexdigest()[:16]
        for name in TABLES
    }
    with (place / "run" / "events.csv").open(encoding="utf-8-sig", newline="") as file:
        found["duplications"] = str(len(list(csv.DictReader(file))))
    metrics = json.loads((place / "run" / "metrics.json").read_text(encoding="utf-8"))
    metrics["errors"] = {
        name: {
            split: {key: value for key, value in errors.items() if key != "r2"}
            for split, errors in by_split.items()
        }
        for name, by_split in metrics["errors"].items()
        if name not in BESIDE
    }
    for name in ("errors", "ratio", "parameters", "rows"):
        text = json.dumps(metrics[name], sort_keys=True)
        found[name] = hashlib.sha256(text.encode()).hexdigest()[:16]
    with np.load(place / "run" / "model.npz", allow_pickle=False) as file:
        arrays = {key: file[key] for key in file.files if key not in RANGE}
    # Under whatever names: parameters, head indices and scales of both networks.
    found["arrays"] = sorted(digest(a) for a in arrays.values() if a.dtype.kind in "fi" and a.size)
    return found


def compared(place: Path, arms) -> dict[str, object]:
    import jax

    import jaxmtl

    found = jaxmtl.compare(
        tables(place),
        arms=arms or jaxmtl.comparison.DEFAULT_ARMS,
        protocol=jaxmtl.comparison.Protocol(phases=phases()),
        devices=jax.devices()[:1],
        lines=True,
    )
    frame = found.per_seed
    digests, lines = {}, {}
    for arm in dict.fromkeys(frame["arm"]):
        rows = frame[frame["arm"] == arm]
        error = rows["error"].to_numpy(np.float64)
        if arm in LINES:  # by BLAS and scikit-learn, whose bits are not ours
            lines[arm] = error.tolist()
            continue
        columns = [rows[c].to_numpy(np.int64) for c in ("parameters", "splits", "steps", "epoch")]
        digests[arm] = digest(error, *columns)
    return {"arms": digests, "lines": lines}


def all_digests(arms=()) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        return {**runs(place), "folder": folder(place), "compare": compared(place, arms)}


if __name__ == "__main__":
    print(json.dumps({kind_of_machine(): all_digests(sys.argv[1:])}, indent=1))
