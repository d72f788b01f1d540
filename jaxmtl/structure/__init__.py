"""Which tasks share what, and how much: proposed from what was seen, decided on held-out rows.

A ``Structure`` is plain data. What compiles it stands one module further: all structures that are
weighed against each other are members of one program.
"""

from jaxmtl.structure.files import from_json as from_json
from jaxmtl.structure.files import read_structure as read_structure
from jaxmtl.structure.files import to_json as to_json
from jaxmtl.structure.files import write_structure as write_structure
from jaxmtl.structure.plain import Layer as Layer
from jaxmtl.structure.plain import Structure as Structure
from jaxmtl.structure.plain import StructureError as StructureError
from jaxmtl.structure.plain import check_tree as check_tree
from jaxmtl.structure.plain import grouped as grouped
from jaxmtl.structure.plain import separate as separate
from jaxmtl.structure.plain import shared as shared
from jaxmtl.structure.words import describe as describe
