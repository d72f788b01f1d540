"""Nodes that tasks share, and the copies they part on: a bank of columns and a head index.

The *bank* is a layer with a fixed number of columns, the capacity. ``head_index[t, j]`` names the
column that the head of task t reads at its slot j; at the start every row is 0 .. nodes-1. To
duplicate a node is to copy its column into a free one and to write that column's number into the
rows of some tasks. No shape changes, so a training loop compiles once; heads and their optimizer
state are not touched; and, because a head's inputs are computed from the gathered *columns of the
kernel* (``select_columns``), which are the same numbers before and after, predictions are
bit-identical by construction, on any backend.

In any pytree of parameters (or of optimizer moments) the bank is found by name: all leaves whose
path holds the name ``"bank"`` belong to it, with the node axis last.

.. include:: README.md
"""

from jaxmtl.duplication.aligned import AlignedIndex as AlignedIndex
from jaxmtl.duplication.aligned import align as align
from jaxmtl.duplication.aligned import can_align as can_align
from jaxmtl.duplication.aligned import inverse_order as inverse_order
from jaxmtl.duplication.columns import bank_capacity as bank_capacity
from jaxmtl.duplication.columns import copy_column as copy_column
from jaxmtl.duplication.columns import map_bank as map_bank
from jaxmtl.duplication.columns import map_bank_of_state as map_bank_of_state
from jaxmtl.duplication.compact import compact as compact
from jaxmtl.duplication.compact import count_parameters as count_parameters
from jaxmtl.duplication.duplicate import duplicate_node as duplicate_node
from jaxmtl.duplication.duplicate import moving_readers as moving_readers
from jaxmtl.duplication.duplicate import part_readers as part_readers
from jaxmtl.duplication.duplicate import split_all as split_all
from jaxmtl.duplication.head_index import AnyIndex as AnyIndex
from jaxmtl.duplication.head_index import HeadIndex as HeadIndex
from jaxmtl.duplication.head_index import check_head_index as check_head_index
from jaxmtl.duplication.head_index import column_slots as column_slots
from jaxmtl.duplication.head_index import free_column as free_column
from jaxmtl.duplication.head_index import initial_head_index as initial_head_index
from jaxmtl.duplication.head_index import readers as readers
from jaxmtl.duplication.head_index import select_columns as select_columns
from jaxmtl.duplication.head_index import slots_to_columns as slots_to_columns
from jaxmtl.duplication.transplant import transplant as transplant
