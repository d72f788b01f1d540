"""Options that are declared once: name, type, bounds, default, help, and how a text means them.

A part is a frozen dataclass that inherits from ``Options``. Every field is one option: its type
with the bounds (``msgspec.Meta``), and an ``Option`` with what a type cannot say. The shell, the
reader of JSON and the sentences of errors come from that.
"""

from jaxmtl._options.declare import INT32 as INT32
from jaxmtl._options.declare import Count as Count
from jaxmtl._options.declare import Declared as Declared
from jaxmtl._options.declare import Option as Option
from jaxmtl._options.declare import Options as Options
from jaxmtl._options.declare import as_option as as_option
from jaxmtl._options.declare import declared as declared
from jaxmtl._options.read import check_all as check_all
from jaxmtl._options.read import check_names as check_names
from jaxmtl._options.read import check_value as check_value
from jaxmtl._options.read import read_text as read_text
from jaxmtl._options.text import parse_names as parse_names
from jaxmtl._options.text import parse_seconds as parse_seconds
