"""Run folders: saved, read again, and drawn."""

from jaxmtl.files.errors import RunFolderError as RunFolderError
from jaxmtl.prediction.folder import SavedRun as SavedRun
from jaxmtl.prediction.folder import load_run as load_run
from jaxmtl.prediction.predictor import Predictor as Predictor
from jaxmtl.prediction.predictor import Reading as Reading
from jaxmtl.prediction.save import load_predictor as load_predictor
from jaxmtl.prediction.save import save_predictor as save_predictor
from jaxmtl.report.comparison_folder import save_comparison as save_comparison
from jaxmtl.report.run.save import save_run as save_run
from jaxmtl.report.words.summary import summarize as summarize
