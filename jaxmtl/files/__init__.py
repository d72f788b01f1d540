"""Files and folders that are whole or not there."""

from jaxmtl.files.atomic import check_file as check_file
from jaxmtl.files.atomic import check_folder as check_folder
from jaxmtl.files.atomic import new_file as new_file
from jaxmtl.files.atomic import new_folder as new_folder
from jaxmtl.files.errors import RunFolderError as RunFolderError
from jaxmtl.files.parameters import load_parameters as load_parameters
from jaxmtl.files.parameters import save_parameters as save_parameters
