"""The shell: ``jaxmtl fit``, ``jaxmtl predict``, ``jaxmtl inspect``."""

from jaxmtl.cli.main import app as app
from jaxmtl.cli.main import main as main
from jaxmtl.cli.main import run as run
