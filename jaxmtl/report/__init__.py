"""Run folders: saved, read again, and drawn."""

from jaxmtl.files.errors import RunFolderError as RunFolderError
from jaxmtl.prediction.folder import SavedRun as SavedRun
from jaxmtl.prediction.folder import load_run as load_run
from jaxmtl.prediction.save import Reading as Reading
from jaxmtl.prediction.save import SavedNetwork as SavedNetwork
from jaxmtl.prediction.save import load_network as load_network
from jaxmtl.prediction.save import save_network as save_network
from jaxmtl.report.run.save import save_run as save_run
from jaxmtl.report.words.summary import summarize as summarize
