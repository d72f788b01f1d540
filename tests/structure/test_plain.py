"""Structures as data: what is refused, JSON with the line of an error, and words."""

import itertools

import pytest

from jaxmtl.files.errors import FileError
from jaxmtl.structure import (
    Layer,
    Structure,
    StructureError,
    check_tree,
    describe,
    from_json,
    grouped,
    read_structure,
    separate,
    shared,
    to_json,
    write_structure,
)

ABC = ("a", "b", "c")
PARTED = Structure(
    ABC,
    (
        Layer(8, (ABC,)),
        Layer(4, (("a", "b"), ("c",)), nodes=((2, (("a",), ("b",), ("c",))),)),
    ),
)


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        ([Layer(4, (("a", "b"),))], "layer 1: expected every task in one group, got 'c' in none"),
        ([Layer(4, (ABC, ("a",)))], "layer 1: .* got 'a' in two"),
        ([Layer(4, (ABC,)), Layer(4, (("a", "b", "d"), ("c",)))], "layer 2: .* got 'd'"),
        ([Layer(0, (ABC,))], "layer 1: expected a width of at least 1, got 0"),
        ([Layer(4, (ABC, ()))], "layer 1: expected groups of at least one task"),
        ([Layer(4, ("abc",))], "layer 1: expected groups of at least one task, got 'abc'"),
        ([Layer(4, (ABC,), nodes=((4, (ABC,)),))], "layer 1: expected nodes from 0 to 3, got 4"),
        (
            [Layer(4, (("a",), ("b", "c")), nodes=((1, (ABC,)),))],
            "layer 1, node 1: expected 'a' and 'b' apart",
        ),
        ([], "layers: expected at least one"),
    ],
)
def test_what_is_wrong_is_named(layers, sentence):
    with pytest.raises(ValueError, match=sentence):
        Structure(ABC, tuple(layers))


def test_tasks_have_names_of_their_own():
    with pytest.raises(ValueError, match="got 'a' twice"):
        shared(("a", "a"), (4,))
    with pytest.raises(ValueError, match="expected names, got 3"):
        shared(("a", 3), (4,))


def test_a_typing_error_gets_a_hint():
    with pytest.raises(ValueError, match=r"did you mean 'ozone'\?"):
        grouped(("ozone", "b"), (4,), [["ozon"], ["b"]])


def test_the_order_of_groups_and_of_their_tasks_makes_no_difference():
    for order in itertools.permutations([("a",), ("c", "b")]):
        assert grouped(ABC, (8,), order) == grouped(ABC, (8,), [("a",), ("b", "c")])


def test_columns_and_parameters_count_what_is_parted():
    assert PARTED.columns == (8, 4 * 2 + 1)
    assert PARTED.count_parameters(features=5) == 8 * 6 + 9 * 9 + 3 * 5
    assert PARTED.layers[1].streams == (("a",), ("b",), ("c",))


def test_branches_do_not_rejoin_in_a_tree():
    check_tree(PARTED)
    node = Layer(8, (ABC,), nodes=((0, (("a",), ("b", "c"))),))
    with pytest.raises(ValueError, match="layer 2: expected 'a' and 'b' apart"):
        check_tree(Structure(ABC, (node, Layer(4, (ABC,)))))


@pytest.mark.parametrize("structure", [PARTED, shared(ABC, (3, 2)), separate("äb", (1,))])
def test_a_file_gives_back_what_was_written(structure, tmp_path):
    write_structure(tmp_path / "s.json", structure)
    assert read_structure(tmp_path / "s.json") == structure == from_json(to_json(structure))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"c"\n          ]', '"x"\n          ]', r"line 3[0-9]: layer 2, node 2: .* got 'x'"),
        ('"width": 4', '"width": "4"', r"line 19: layer 2: expected a width .* got '4'"),
        ('"width": 8', '"breadth": 8', r"line 8: layer 1: expected 'width', got none"),
        ('"nodes"', '"node"', r"line 29: layer 2: expected .* \(did you mean 'nodes'\?\)"),
        ('"b",\n    "c"', '"b",\n    "a"', r"line 2: tasks: expected every name once, got 'a'"),
    ],
)
def test_an_error_in_a_file_has_its_line(old, new, sentence, tmp_path):
    path = tmp_path / "s.json"
    write_structure(path, PARTED)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FileError, match=f"file .*s.json, {sentence}"):
        read_structure(path)


def test_a_file_for_a_tree_is_checked_for_one(tmp_path):
    rejoined = Structure(ABC, (Layer(4, (("a",), ("b", "c"))), Layer(4, (ABC,))))
    write_structure(tmp_path / "s.json", rejoined)
    assert read_structure(tmp_path / "s.json") == rejoined
    with pytest.raises(FileError, match=r"line 2?[0-9]: layer 2: .* branches cannot rejoin"):
        read_structure(tmp_path / "s.json", tree=True)


@pytest.mark.parametrize(
    "value", [{"tasks": ["a"], "layers": []}, {"tasks": "a", "layers": [{}]}, {"layers": []}]
)
def test_other_json_is_refused(value):
    with pytest.raises(StructureError, match=r"layers|tasks"):
        from_json(value)


def test_words_for_many_tasks_stay_short():
    names = [f"school {number}" for number in range(139)]
    groups = [names[start::6] for start in range(6)]
    assert len(describe(grouped(names, (32, 16), groups))) < 500
    assert "each of the 139 tasks has its own" in describe(separate(names, (32, 16)))
    said = describe(PARTED)
    assert "Node 2 of it is parted further, by 1 more copy" in said
    assert "a and b share; c is alone" in said
