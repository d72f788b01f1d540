"""``predict.py`` in a run folder: predictions without this package, by NumPy alone."""

import shutil
from pathlib import Path

from jaxmtl import plain
from jaxmtl.methods.saved import described
from jaxmtl.plain.models import network_that_needs_jax
from jaxmtl.prediction.predictor import Predictor

SCRIPT, MODULES = "predict.py", "plain"
_TEXT = '''"""Predicts the rows of a text table: python predict.py rows.csv -o out.csv

NumPy is all that it needs. What it does is in the folder beside it.
"""

import os
import sys

if sys.version_info < (3, 11):
    sys.exit("predict.py: expected Python 3.11 or newer; call it with another one")

from plain.main import main

if __name__ == "__main__":
    sys.exit(main(os.path.dirname(os.path.abspath(__file__))))
'''


def write_script(folder: Path) -> None:
    """Writes ``predict.py`` and the modules that it uses.

    Args:
        folder: of a run.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as place:
        ...     write_script(Path(place))
        ...     sorted(path.name for path in Path(place).iterdir())
        ['plain', 'predict.py']
    """
    modules = folder / MODULES
    modules.mkdir()
    for module in sorted(Path(plain.__path__[0]).glob("*.py")):
        shutil.copyfile(module, modules / module.name)
    (folder / SCRIPT).write_text(_TEXT, encoding="utf-8", newline="\n")


def needs_jax(predictor: Predictor) -> str | None:
    """The network for which ``predict.py`` is not enough.

    Args:
        predictor: with models that can be saved.

    Returns:
        Its name; None where NumPy is enough.

    Example:
        >>> from jaxmtl.data import Preprocessing, Scaler
        >>> from jaxmtl.methods import ConstantModel
        >>> from jaxmtl.tasks import number_tasks
        >>> import numpy as np
        >>> scaler = Scaler(np.zeros(1), np.ones(1))
        >>> coding = Preprocessing(
        ...     features=("CO",), targets=("O3",), feature_scaler=scaler, target_scaler=scaler)
        >>> needs_jax(Predictor(coding=coding, tasks=number_tasks(["O3"]), method="mean",
        ...                     models=(ConstantModel(outputs=np.ones(1)),)))
    """
    return network_that_needs_jax([described(model) for model in predictor.models])
