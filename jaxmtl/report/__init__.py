"""Run folders: saved, read again, and drawn."""

from jaxmtl.report.errors import RunFolderError as RunFolderError
from jaxmtl.report.folder import SavedRun as SavedRun
from jaxmtl.report.folder import load_run as load_run
from jaxmtl.report.folder import save_run as save_run
from jaxmtl.report.model_file import Reading as Reading
from jaxmtl.report.model_file import SavedNetwork as SavedNetwork
from jaxmtl.report.model_file import load_network as load_network
from jaxmtl.report.model_file import save_network as save_network
from jaxmtl.report.summary import summarize as summarize
