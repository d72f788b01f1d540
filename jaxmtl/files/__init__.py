"""Files and folders that are whole or not there, and are read with nothing taken on trust."""

from jaxmtl.files.arrays import Limits as Limits
from jaxmtl.files.arrays import read_arrays as read_arrays
from jaxmtl.files.arrays import write_arrays as write_arrays
from jaxmtl.files.atomic import check_file as check_file
from jaxmtl.files.atomic import check_folder as check_folder
from jaxmtl.files.atomic import new_file as new_file
from jaxmtl.files.atomic import new_folder as new_folder
from jaxmtl.files.errors import FileError as FileError
from jaxmtl.files.errors import MissingFileError as MissingFileError
from jaxmtl.files.errors import RunFolderError as RunFolderError
from jaxmtl.files.json_file import read_json_file as read_json_file
from jaxmtl.files.json_file import write_json_file as write_json_file
from jaxmtl.files.locked import locked as locked
from jaxmtl.files.parameters import load_parameters as load_parameters
from jaxmtl.files.parameters import save_parameters as save_parameters
from jaxmtl.files.working import WorkingFolder as WorkingFolder
