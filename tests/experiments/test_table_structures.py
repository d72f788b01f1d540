"""What deciding which targets share is worth to a mixture: the script, at a small size."""

import dataclasses

import numpy as np
import pytest

from jaxmtl.methods.table_networks import TableNetworks

from .load import FOLDER, load


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER / "benchmarks"))
    return load("benchmarks/table_structures")


def test_targets_of_a_group_are_alike_and_others_are_not(script):
    y = script.in_groups(rows=400).y
    close = np.abs(np.corrcoef(y, rowvar=False))
    assert close[:3, :3].min() > 0.8
    assert close[:3, 3:].max() < 0.2


def test_ratios_are_those_to_the_first_policy(script, capsys):
    runs = {"wine": [{"a": (0.5, 10.0), "b": (0.4, 20.0)}], "noise": [{"a": (1, 2), "b": (1, 2)}]}
    script.show(runs)
    last = capsys.readouterr().out.splitlines()[-1].split()
    assert last[-6:] == ["1.000", "6", "s", "0.900", "11", "s"]


@pytest.mark.slow
def test_every_policy_is_tested_on_rows_of_its_own(script, monkeypatch):
    def small(**fields):
        return TableNetworks(**(fields | {"hidden": (8,), "epochs": 8}))

    few = {
        name: dataclasses.replace(one, hidden=(8,), epochs=8)
        if isinstance(one, TableNetworks)
        else one
        for name, one in script.TABLE_FAMILIES.items()
    }
    monkeypatch.setattr(script, "TABLE_FAMILIES", few)
    monkeypatch.setattr(script, "TableNetworks", small)
    found = script.one(script.in_groups(rows=60), seed=0)
    assert set(found) >= {"without groups", "auto", "one way", "halving", "groups alone"}
    assert all(0.1 < error < 2 for error, _ in found.values())
    assert found["with groups"][1] > found["without groups"][1]
