"""Parameters to a file and back, bit for bit and without pickle."""

import pickle
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxmtl.transfer import load_parameters, save_parameters

DTYPES = ("float32", "float64", "bfloat16", "float16", "float8_e4m3fn", "int8", "bool", "complex64")


def make_params():
    rng = np.random.default_rng(0)
    values = 3 * rng.normal(size=(2, 3))
    tree = {
        name: {"kernel": values.astype(jnp.dtype(name)), "empty": np.zeros((0, 2), jnp.dtype(name))}
        for name in DTYPES
    }
    tree["odd"] = {
        "file": np.array([np.nan, -0.0, np.inf]),
        "scalar": jnp.asarray(2.5, jnp.bfloat16),
        "transposed": values.T,
    }
    return tree


def check_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_a_round_trip_is_bit_identical_for_every_dtype(tmp_path):
    params = make_params()
    save_parameters(tmp_path / "params.npz", params)
    check_same(load_parameters(tmp_path / "params.npz"), params)
    check_same(load_parameters(str(tmp_path / "params.npz"), like=params), params)
    shapes = jax.eval_shape(lambda: {"kernel": jnp.zeros(3, jnp.bfloat16)})
    save_parameters(tmp_path / "half.npz", {"kernel": jnp.ones(3, jnp.bfloat16)})
    loaded = load_parameters(tmp_path / "half.npz", like=shapes)
    check_same(loaded, {"kernel": np.ones(3, jnp.bfloat16)})


def test_numpy_opens_the_file_without_pickle_and_the_names_are_paths(tmp_path):
    save_parameters(tmp_path / "p.npz", {"trunk": {"kernel": np.arange(3.0)}, "bias": np.ones(1)})
    with np.load(tmp_path / "p.npz", allow_pickle=False) as file:
        assert sorted(file.files) == ["bias", "trunk/kernel"]
        np.testing.assert_array_equal(file["trunk/kernel"], np.arange(3.0))
    save_parameters(tmp_path / "h.npz", {"w": jnp.ones(2, jnp.bfloat16)})
    with np.load(tmp_path / "h.npz", allow_pickle=False) as file:
        assert file["w:bfloat16"].dtype == np.uint16


def test_equal_parameters_give_equal_bytes_and_no_draft_stays(tmp_path):
    for name in ("a", "b"):
        save_parameters(tmp_path / name, make_params())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    before = (tmp_path / "a").read_bytes()
    with pytest.raises(ValueError, match="'w': expected an array of numbers"):
        save_parameters(tmp_path / "a", {"w": "text"})
    assert (tmp_path / "a").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"a": {"b/c": np.ones(1)}}, "'a/b/c': expected dictionaries whose keys are names"),
        ({"a": {"b:c": np.ones(1)}}, "'a/b:c': expected dictionaries whose keys are names"),
        ({"a": [np.ones(1)]}, "'a/0': expected dictionaries whose keys are names"),
        ({"a": {"b": None}}, "'a/b': expected an array of numbers, got NoneType"),
        (
            {"a": np.array([object()])},
            "'a': .* of numbers, got ndarray of dtype object",
        ),
        ({"a": np.array(["x"])}, "'a': expected an array of numbers"),
        ({"a": jax.random.key(0)}, "'a': expected an array of numbers.* of dtype key"),
        (np.ones(3), "params: expected a dictionary of arrays, got ndarray"),
        ({}, "params: expected a dictionary of arrays, got dict"),
    ],
)
def test_what_would_not_come_back_is_refused_with_its_path(params, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_parameters(tmp_path / "p.npz", params)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (
            {"trunk": {"kernel": np.ones((2, 3)), "bias": np.ones(3)}},
            "'trunk/bias': expected this parameter in .*p.npz, got none",
        ),
        (
            {"trunk": {"kernel": np.ones((3, 2))}},
            r"'trunk/kernel': expected float64 of shape \(3, 2\), got float64 of shape \(2, 3\)",
        ),
        (
            {"trunk": {"kernel": np.ones((2, 3), np.float32)}},
            "'trunk/kernel': expected float32 of shape .*, got float64",
        ),
        ({"other": np.ones(1)}, "'other': expected this parameter"),
        ({}, "'trunk/kernel': expected no such parameter"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_the_path(like, message, tmp_path):
    save_parameters(tmp_path / "p.npz", {"trunk": {"kernel": np.ones((2, 3))}})
    with pytest.raises(ValueError, match=message):
        load_parameters(tmp_path / "p.npz", like=like)


class Trap:
    """Sets itself off when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_a_pickle_in_the_file_is_not_opened(tmp_path):
    np.savez(tmp_path / "p.npz", w=np.array([Trap()], object))
    with pytest.raises(ValueError, match="'w': expected an array of numbers"):
        load_parameters(tmp_path / "p.npz")
    (tmp_path / "q.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"q.npz: expected a file written by save_parameters"):
        load_parameters(tmp_path / "q.npz")


def test_broken_files_are_refused(tmp_path):
    save_parameters(tmp_path / "p.npz", {"w": np.arange(1000.0)})
    whole = (tmp_path / "p.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a file written by save_parameters"):
        load_parameters(tmp_path / "cut.npz")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    (tmp_path / "flipped.npz").write_bytes(flipped)
    with pytest.raises(ValueError, match="expected a file written by save_parameters"):
        load_parameters(tmp_path / "flipped.npz")
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        archive.writestr("w.npy", b"nothing")
    with pytest.raises(ValueError, match="'w': expected an array of numbers"):
        load_parameters(tmp_path / "odd.npz")
    with pytest.raises(FileNotFoundError):
        load_parameters(tmp_path / "none.npz")
