"""Structures as head index and way of sharing."""

import numpy as np
import pytest

from jaxmtl.duplication import check_head_index, initial_head_index
from jaxmtl.structure import (
    bank,
    by_streak,
    everything,
    from_json,
    grouped,
    head_index_of,
    separate,
    shared,
    sharing_of,
    split_layer,
    structure_of,
    to_json,
)

START = shared("abc", (8, 4))


def test_all_shared_is_the_index_before_any_duplication():
    np.testing.assert_array_equal(head_index_of(START), initial_head_index(3, 4))


def test_a_parted_bank_is_a_head_index_of_as_many_columns():
    moving = np.zeros((3, 4), bool)
    moving[0, 2] = True
    for structure in (by_streak(START, np.array([0, 0, 9, 0]), moving, 8), bank(START)):
        index = head_index_of(structure)
        check_head_index(index, capacity=12)
        assert len(np.unique(index)) == structure.columns[-1]
        assert sharing_of(structure) == "bank"


@pytest.mark.parametrize(
    "structure", [START, separate("abc", (8, 4)), grouped("abc", (8, 4), ["ac", "b"])]
)
def test_a_network_a_group_goes_there_and_back(structure):
    saved = from_json(to_json(structure))
    assert structure_of(sharing_of(saved), "abc", (8, 4)) == structure


def test_other_layers_cannot_be_parted_below_a_bank():
    with pytest.raises(ValueError, match="layer 1: expected the same groups in all layers, or all"):
        sharing_of(split_layer(START, 0))
    with pytest.raises(ValueError, match="layer 1: expected it shared below a bank"):
        head_index_of(everything(START))
