"""Splits: they partition the rows, keep their order, and refuse what cannot be split."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from jaxmtl.data import TableError, chronological_split, column_split, random_split

fractions = st.floats(0, 0.6)
quick = settings(derandomize=True, max_examples=60, deadline=None)


def sizes(split):
    return [len(part) for part in split]


def ascending(split):
    return all((np.diff(part) > 0).all() for part in split)


@quick
@given(st.integers(5, 200), fractions, fractions, st.integers(0, 2**40))
def test_random_split_partitions_the_rows_in_order(num_rows, test, validation, seed):
    try:
        split = random_split(num_rows, seed=seed, test=test, validation=validation)
    except TableError:
        assume(False)
        raise
    assert sorted(np.concatenate(split)) == list(range(num_rows))
    assert ascending(split)
    assert abs(len(split.test) - num_rows * test) <= 0.5
    assert abs(len(split.validation) - num_rows * validation) <= 0.5
    again = random_split(num_rows, seed=seed, test=test, validation=validation)
    assert all((a == b).all() for a, b in zip(split, again, strict=True))


@quick
@given(st.integers(5, 200), fractions, fractions, st.integers(0, 10))
def test_chronological_split_is_in_order_with_gaps(num_rows, test, validation, gap):
    try:
        split = chronological_split(num_rows, test=test, validation=validation, gap=gap)
    except TableError:
        assume(False)
        raise
    parts = [part for part in split if len(part)]
    for before, after in zip(parts, parts[1:], strict=False):
        assert after[0] - before[-1] == gap + 1
    assert parts[0][0] == 0
    assert parts[-1][-1] == num_rows - 1
    assert ascending(split)
    assert sum(sizes(split)) == num_rows - gap * (len(parts) - 1)


def test_fractions_of_the_usual_sizes():
    assert sizes(random_split(1157, seed=0)) == [926, 0, 231]
    assert sizes(random_split(10, seed=0, test=0.25, validation=0.15)) == [5, 2, 3]
    assert sizes(random_split(3, seed=0, test=0.0)) == [3, 0, 0]


def test_seeds_differ():
    assert (random_split(100, seed=0).test != random_split(100, seed=1).test).any()


def test_column_split():
    words = ["train", " TEST ", "val", "训练", "validation", "测试", "Training", "验证集"]
    split = column_split(words)
    assert [part.tolist() for part in split] == [[0, 3, 6], [2, 4, 7], [1, 5]]
    assert [part.tolist() for part in column_split(np.array(["train"], object))] == [[0], [], []]


@pytest.mark.parametrize("value", [None, "tain", 1, "", float("nan")])
def test_column_split_names_the_row(value):
    place = "file a.csv, column 'split'"
    with pytest.raises(TableError, match="^file a.csv, column 'split', row 9: expected 'train'"):
        column_split(["train", value], place=place, rows=np.array([7, 9]))
    with pytest.raises(TableError, match="^the split column, row 2: .* write one of these words$"):
        column_split(["train", value])


def test_column_split_without_training_rows():
    with pytest.raises(TableError, match="at least one row marked 'train', got none"):
        column_split(["test"])


BAD = [
    ({"test": -0.1}, "test fraction of at least 0 and below 1, got -0.1"),
    ({"test": 1.5}, "test fraction of at least 0 and below 1, got 1.5"),
    ({"test": 1.0}, "test fraction of at least 0 and below 1"),
    ({"test": float("nan")}, "test fraction of at least 0"),
    ({"validation": -1e-9}, "validation fraction of at least 0"),
    ({"test": 0.5, "validation": 0.5}, "leave rows to train on, got 0.5 [+] 0.5 of 1"),
    ({"test": 0.01}, "the test split, got none with a fraction of 0.01 of 10 rows"),
    ({"test": 0.2, "validation": 0.01}, "the validation split, got none"),
    ({"test": 0.5, "validation": 0.45}, "one row to train on, got none of 10 rows after 5 .* 5"),
]


@pytest.mark.parametrize(("fractions", "problem"), BAD)
@pytest.mark.parametrize("source", [None, "file a.xlsx, sheet '日报'"])
def test_fractions_that_cannot_be(fractions, problem, source):
    start = "^" + (f"{source}: " if source else "") + "expected"
    for split in (
        lambda **kw: random_split(10, seed=0, **kw),
        lambda **kw: chronological_split(10, **kw),
    ):
        with pytest.raises(TableError, match=problem) as caught:
            split(source=source, **fractions)
        assert caught.match(start)
        assert caught.match("; [^;]+$")


@pytest.mark.parametrize("num_rows", [0, 1, 2])
def test_too_few_rows(num_rows):
    with pytest.raises(TableError, match=f"of {num_rows} rows"):
        random_split(num_rows, seed=0, test=0.2, validation=0.2)


def test_gaps_and_seeds_out_of_range():
    with pytest.raises(TableError, match="a gap of at least 0 rows, got -1"):
        chronological_split(10, gap=-1)
    with pytest.raises(TableError, match="none of 10 rows after 2 .* and 16 rows in gaps"):
        chronological_split(10, test=0.2, validation=0.2, gap=8)
    with pytest.raises(TableError, match="a seed of at least 0, got -1"):
        random_split(10, seed=-1)
