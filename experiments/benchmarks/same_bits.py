"""Whether two commits compute the same bits for the study, on this machine.

    python experiments/benchmarks/same_bits.py [COMMIT [COMMIT]]

Checks each commit out beside the other (default: the last one that changed the kept digests, and
the working tree), runs ``tests/golden/bits.py`` of this tree against both, and prints what differs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "golden" / "bits.py"


def git(*args: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *args], check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def digests(tree: Path) -> dict[str, object]:
    env = os.environ | {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], env=env, check=True, stdout=subprocess.PIPE, cwd=tree
    )
    return next(iter(json.loads(done.stdout).values()))


def differences(first: object, second: object, place: str = "") -> list[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        names = [*first, *(name for name in second if name not in first)]
        every = (differences(first.get(n), second.get(n), f"{place}/{n}") for n in names)
        return [line for lines in every for line in lines]
    return [] if first == second else [f"{place[1:]}: {first} and {second}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("commits", nargs="*", help="none: the last golden commit; one: against it")
    commits = parser.parse_args().commits
    if len(commits) > 2:
        parser.error("expected two commits at most")
    old = commits[0] if commits else git("log", "-1", "--format=%H", "--", str(SCRIPT.parent))
    with tempfile.TemporaryDirectory() as name:
        trees = []
        for number, commit in enumerate([old, *commits[1:]]):
            trees.append(Path(name, str(number)))
            git("worktree", "add", "--detach", str(trees[-1]), commit)
        try:
            first, second = (digests(tree) for tree in [*trees, ROOT][:2])
        finally:
            for tree in trees:
                git("worktree", "remove", "--force", str(tree))
    found = differences(first, second)
    print("\n".join(found) if found else f"the same bits as {old[:12]}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
