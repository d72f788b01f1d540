"""Which tasks share what, and how much: proposed from what was seen, decided on held-out rows.

A ``Structure`` is plain data. What compiles it stands one module further: all structures that are
weighed against each other are members of one program.
"""

from jaxmtl.structure.files import from_json as from_json
from jaxmtl.structure.files import read_structure as read_structure
from jaxmtl.structure.files import to_json as to_json
from jaxmtl.structure.files import write_structure as write_structure
from jaxmtl.structure.halving import Halved as Halved
from jaxmtl.structure.halving import halving as halving
from jaxmtl.structure.look_ahead import Looked as Looked
from jaxmtl.structure.look_ahead import look_ahead as look_ahead
from jaxmtl.structure.networks import head_index_of as head_index_of
from jaxmtl.structure.networks import sharing_of as sharing_of
from jaxmtl.structure.networks import structure_of as structure_of
from jaxmtl.structure.plain import Layer as Layer
from jaxmtl.structure.plain import Structure as Structure
from jaxmtl.structure.plain import StructureError as StructureError
from jaxmtl.structure.plain import check_tree as check_tree
from jaxmtl.structure.plain import grouped as grouped
from jaxmtl.structure.plain import separate as separate
from jaxmtl.structure.plain import shared as shared
from jaxmtl.structure.proposals import at_random as at_random
from jaxmtl.structure.proposals import bank as bank
from jaxmtl.structure.proposals import by_conflict as by_conflict
from jaxmtl.structure.proposals import by_groups as by_groups
from jaxmtl.structure.proposals import by_streak as by_streak
from jaxmtl.structure.proposals import everything as everything
from jaxmtl.structure.proposals import grow as grow
from jaxmtl.structure.proposals import merge_alike as merge_alike
from jaxmtl.structure.proposals import split_layer as split_layer
from jaxmtl.structure.recipe import Recipe as Recipe
from jaxmtl.structure.relations import groups_by as groups_by
from jaxmtl.structure.trunk import Placed as Placed
from jaxmtl.structure.trunk import Trunk as Trunk
from jaxmtl.structure.trunk import place as place
from jaxmtl.structure.whole import CrossValidated as CrossValidated
from jaxmtl.structure.whole import Trained as Trained
from jaxmtl.structure.whole import cross_validated as cross_validated
from jaxmtl.structure.whole import train_structures as train_structures
from jaxmtl.structure.words import describe as describe
