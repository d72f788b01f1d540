"""Sharing as pointers: duplicate and measure units anywhere in a network, of any model library.

A *group of units* lists leaves with an axis of units each: the output channels of a convolution
with its bias and the norm behind it, the heads of an attention, or a whole block as one unit.
*Banks* are the parameters with these axes enlarged to a capacity, and *pointers* name the column
that every task reads at each slot. ``task_view`` is the network of one task, in the shapes of the
user's own ``apply``. To duplicate a unit is to copy a column and rewrite pointers: no shape and no
output changes, to the bit. ``jaxmtl.duplication`` is the case of one group, the last shared layer,
in networks that read columns themselves, and the faster there.

The way of a training loop of one's own:

1. ``groups, left_out = find_units(params)``, or groups written by hand;
   ``banks, pointers = open_banks(params, groups, num_tasks)``.
2. ``losses = view_losses(loss_fn)``, and ``aggregated_step(losses, ...)`` with
   ``step(banks, state, batch, pointers)``; no split compiles anything anew.
3. ``view_gradients`` are the task gradients of every unit, ``unit_gradients`` those of one group;
   ``split`` parts a unit, in parameters, statistics and optimizer state at once.
4. With the structure settled, ``staged`` computes what is still shared only once.

Units of a layer are slots: what a layer reads of the one before is not touched by a split, because
the view puts every column at its slot. So norms may mix channels, and groups of a group norm may be
cut: every view computes them from its own slots.
"""

from jaxmtl.duplication import moving_readers as moving_readers
from jaxmtl.sharing.banks import compact as compact
from jaxmtl.sharing.banks import count_parameters as count_parameters
from jaxmtl.sharing.banks import enlarge as enlarge
from jaxmtl.sharing.banks import open_banks as open_banks
from jaxmtl.sharing.banks import readers as readers
from jaxmtl.sharing.banks import task_view as task_view
from jaxmtl.sharing.find_units import Found as Found
from jaxmtl.sharing.find_units import find_units as find_units
from jaxmtl.sharing.groups import Group as Group
from jaxmtl.sharing.groups import Part as Part
from jaxmtl.sharing.groups import Place as Place
from jaxmtl.sharing.groups import Pointers as Pointers
from jaxmtl.sharing.split import Shared as Shared
from jaxmtl.sharing.split import duplicate as duplicate
from jaxmtl.sharing.split import merge as merge
from jaxmtl.sharing.split import output_change as output_change
from jaxmtl.sharing.split import split as split
from jaxmtl.sharing.split import transplant as transplant
from jaxmtl.sharing.staged import Stage as Stage
from jaxmtl.sharing.staged import staged as staged
from jaxmtl.sharing.stats import pool_stats as pool_stats
from jaxmtl.sharing.view_losses import to_banks as to_banks
from jaxmtl.sharing.view_losses import unit_gradients as unit_gradients
from jaxmtl.sharing.view_losses import view_gradients as view_gradients
from jaxmtl.sharing.view_losses import view_losses as view_losses
