"""Run folders: saved, read again, and drawn; pictures of conflict."""

from typing import TYPE_CHECKING

import lazy_loader

from jaxmtl.files.errors import RunFolderError as RunFolderError
from jaxmtl.prediction.folder import SavedRun as SavedRun
from jaxmtl.prediction.folder import load_run as load_run
from jaxmtl.prediction.predictor import Predictor as Predictor
from jaxmtl.prediction.predictor import Reading as Reading
from jaxmtl.prediction.save import load_predictor as load_predictor
from jaxmtl.prediction.save import save_predictor as save_predictor
from jaxmtl.report.run.save import save_run as save_run
from jaxmtl.report.words.summary import summarize as summarize

if TYPE_CHECKING:
    from jaxmtl.report.comparison_folder import save_comparison as save_comparison
    from jaxmtl.report.pictures.conflict_picture import plot_conflict as plot_conflict
    from jaxmtl.report.pictures.structure_picture import plot_structure as plot_structure

# It draws, for which much is loaded that reading has no use for.
_LAZY = {
    "comparison_folder": ["save_comparison"],
    "pictures.conflict_picture": ["plot_conflict"],
    "pictures.structure_picture": ["plot_structure"],
}
__getattr__, _, _ = lazy_loader.attach(__name__, submod_attrs=_LAZY)
