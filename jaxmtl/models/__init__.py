"""Networks that predict several tasks (flax.linen).

.. include:: README.md
"""

from jaxmtl.models._parts import split_outputs as split_outputs
from jaxmtl.models.aitm import AITM as AITM
from jaxmtl.models.constrained import Constrained as Constrained
from jaxmtl.models.cross_stitch import CrossStitch as CrossStitch
from jaxmtl.models.dselect_k import DSelectK as DSelectK
from jaxmtl.models.dselect_k import smooth_step as smooth_step
from jaxmtl.models.hard_sharing import HardSharing as HardSharing
from jaxmtl.models.hard_sharing import IndependentNetworks as IndependentNetworks
from jaxmtl.models.initializers import dense_initializers as dense_initializers
from jaxmtl.models.mmoe import MMoE as MMoE
from jaxmtl.models.mmoe import OMoE as OMoE
from jaxmtl.models.mtan import MTAN as MTAN
from jaxmtl.models.ple import CGC as CGC
from jaxmtl.models.ple import PLE as PLE
from jaxmtl.models.ple import LevelGates as LevelGates
from jaxmtl.models.shared_bottom import SharedBottom as SharedBottom
from jaxmtl.models.soft_sharing import SoftSharing as SoftSharing
from jaxmtl.models.table_net import TableNet as TableNet
from jaxmtl.models.trunk import ConvTrunk as ConvTrunk
