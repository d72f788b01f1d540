"""A predictor in one .npz file that NumPy loads without pickle."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxmtl._words import short
from jaxmtl.files.arrays import read_arrays, write_arrays
from jaxmtl.files.errors import FileError, RunFolderError
from jaxmtl.files.json_file import json_text, parse_json
from jaxmtl.methods.models import model_of
from jaxmtl.methods.saved import check_fields, described, with_prefix
from jaxmtl.prediction.calibration import calibration_of
from jaxmtl.prediction.coding_spec import coding_arrays, coding_of, describe_coding, tasks_of
from jaxmtl.prediction.format_1 import from_format_1
from jaxmtl.prediction.predictor import Predictor
from jaxmtl.tasks import output_widths

MODEL = "model.npz"
MODEL_FORMAT = 2
WHAT = "a model written by jaxmtl"
FIELDS = {"format", "method", "coding", "tasks", "models", "baselines"}


def save_predictor(path: str | os.PathLike[str], predictor: Predictor) -> None:
    """Writes a predictor.

    Keys of the file: ``spec``, a JSON text; ``coding/feature_offset`` and so on; ``models/0/...``,
    the arrays of the first fold; ``baselines/hard sharing/...``, those of a baseline.

    Args:
        path: of the file, or a folder in which it is called ``model.npz``.
        predictor: with models that can be saved.

    Raises:
        ValueError: a model that no file can hold.
        FileError: nothing can be written there.

    Example:
        >>> import tempfile
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from jaxmtl.data import Preprocessing, Scaler
        >>> from jaxmtl.methods.network_model import NetworkModel
        >>> from jaxmtl.models import MMoE
        >>> from jaxmtl.tasks import number_tasks
        >>> network = MMoE(experts=[4])
        >>> params = network.init(jax.random.key(0), jnp.zeros((1, 4)))["params"]
        >>> coding = Preprocessing(
        ...     features=tuple("abcd"), targets=("y", "z"),
        ...     feature_scaler=Scaler(np.zeros(4), np.ones(4)),
        ...     target_scaler=Scaler(np.zeros(2), np.ones(2)))
        >>> predictor = Predictor(
        ...     coding=coding, tasks=number_tasks(["y", "z"]), method="mmoe",
        ...     models=(NetworkModel(network=network, params=params),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_predictor(folder, predictor)
        ...     load_predictor(folder).method
        'mmoe'
    """
    specs = [described(model) for model in predictor.models]
    baselines = {name: described(model) for name, model in predictor.baselines.items()}
    spec = {
        "format": MODEL_FORMAT,
        "method": predictor.method,
        "coding": describe_coding(predictor.coding, predictor.reading),
        "tasks": [task.to_json() for task in predictor.tasks],
        "models": specs,
        "baselines": baselines,
    }
    arrays = {"spec": np.array(json_text(spec))}
    parts = {"coding": coding_arrays(predictor.coding)}
    parts |= {f"models/{i}": model.arrays() for i, model in enumerate(predictor.models)}
    parts |= {f"baselines/{name}": model.arrays() for name, model in predictor.baselines.items()}
    if predictor.calibration is not None:
        parts["intervals"] = predictor.calibration.arrays()
    for prefix, own in parts.items():
        arrays |= {f"{prefix}/{name}": np.asarray(array) for name, array in own.items()}
    path = Path(path)
    write_arrays(path / MODEL if path.is_dir() else path, arrays, texts=True)


def load_predictor(path: str | os.PathLike[str]) -> Predictor:
    """Reads what ``save_predictor`` wrote, or the version before it.

    Args:
        path: of the file, or of the folder in which it is called ``model.npz``.

    Returns:
        A predictor that gives the same predictions.

    Raises:
        FileError: the file is not there, is damaged, or is no model of this version; a
            ``RunFolderError`` where it opens but is none.

    Example:
        >>> load_predictor("a.npz")
        Traceback (most recent call last):
            ...
        jaxmtl.files.errors.MissingFileError: file a.npz: there is no such file; check the path
    """
    path = Path(path)
    path = path / MODEL if path.is_dir() else path
    arrays = read_arrays(path, texts=True, what=WHAT)
    try:
        text = arrays.pop("spec", None)
        if text is None or text.dtype.kind != "U" or text.shape != ():
            raise ValueError("no text 'spec'")
        spec = parse_json(str(text))
        if not isinstance(spec, Mapping):
            raise ValueError(f"a spec that is a {type(spec).__name__}")
        _check_format(path, spec.get("format"))
        if spec["format"] == 1:
            spec, arrays = from_format_1(spec, arrays)
        return _predictor_of(spec, arrays)
    except FileError:
        raise
    except ValueError as error:
        raise RunFolderError(
            f"file {path}: expected {WHAT}, got a damaged or other file ({error}); copy it again "
            "or repeat the run"
        ) from error


def _check_format(path: Path, got: Any) -> None:
    if isinstance(got, int) and not isinstance(got, bool) and got in (1, MODEL_FORMAT):
        return
    run = path.absolute().parent
    old, new = (shlex.quote(os.fspath(place)) for place in (run, run.with_name(f"{run.name}-new")))
    raise RunFolderError(
        f"file {path}: expected a model of format {MODEL_FORMAT} or 1, got format {str(got)[:60]}; "
        f"make the run anew with: jaxmtl fit --config {old} --out {new}"
    )


def _predictor_of(spec: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Predictor:
    check_fields("spec", spec, FIELDS)
    method, models, baselines = spec["method"], spec["models"], spec["baselines"]
    if not isinstance(method, str) or not method:
        raise ValueError(f"method: expected a name, got {short(method)}")
    if not isinstance(models, list) or not models:
        raise ValueError(f"models: expected one a fold, got {short(models)}")
    if not isinstance(baselines, Mapping):
        raise ValueError(f"baselines: expected models by name, got {short(baselines)}")
    coding, reading = coding_of(spec["coding"], with_prefix(arrays, "coding/"))
    tasks = tasks_of(spec["tasks"], coding.target_names)
    parts = {f"models/{i}/": model for i, model in enumerate(models)}
    parts |= {f"baselines/{name}/": model for name, model in baselines.items()}
    for name in arrays:
        if not name.startswith(("coding/", "intervals/", *parts)):
            raise ValueError(f"array {name!r}: expected no such array, got one")
    outputs = sum(output_widths(tasks))
    found = []
    for prefix, saved in parts.items():
        check_fields(prefix.rstrip("/"), saved, {"kind", "spec"})
        own = with_prefix(arrays, prefix)
        found.append(
            model_of(
                saved["kind"], saved["spec"], own, features=len(coding.features), outputs=outputs
            )
        )
    return Predictor(
        coding=coding,
        tasks=tasks,
        models=tuple(found[: len(models)]),
        method=method,
        reading=reading,
        baselines=dict(zip(baselines, found[len(models) :], strict=True)),
        calibration=calibration_of(
            with_prefix(arrays, "intervals/"), tasks=tasks, folds=len(models)
        ),
    )
