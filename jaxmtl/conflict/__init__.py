"""Where the gradients of tasks disagree: at nodes, sample by sample, and anywhere in a network."""

from jaxmtl.conflict.evidence import Correlations as Correlations
from jaxmtl.conflict.evidence import PairMeans as PairMeans
from jaxmtl.conflict.evidence import losses_after as losses_after
from jaxmtl.conflict.evidence import start_correlations as start_correlations
from jaxmtl.conflict.evidence import start_pairs as start_pairs
from jaxmtl.conflict.evidence import update_affinity as update_affinity
from jaxmtl.conflict.evidence import update_correlations as update_correlations
from jaxmtl.conflict.evidence import update_products as update_products
from jaxmtl.conflict.layers import ConflictMap as ConflictMap
from jaxmtl.conflict.layers import conflict_map as conflict_map
from jaxmtl.conflict.layers import unit_map as unit_map
from jaxmtl.conflict.samples import SampleConflict as SampleConflict
from jaxmtl.conflict.samples import sample_conflict as sample_conflict
from jaxmtl.conflict.signs import Evidence as Evidence
from jaxmtl.conflict.signs import Rule as Rule
from jaxmtl.conflict.signs import Zeros as Zeros
from jaxmtl.conflict.signs import count_conflicts as count_conflicts
from jaxmtl.conflict.signs import node_conflict as node_conflict
from jaxmtl.conflict.signs import sign_conflict as sign_conflict
from jaxmtl.conflict.signs import update_streak as update_streak
from jaxmtl.conflict.signs import weight_conflict as weight_conflict
from jaxmtl.conflict.tally import Score as Score
from jaxmtl.conflict.tally import Tally as Tally
from jaxmtl.conflict.tally import start_tally as start_tally
from jaxmtl.conflict.tally import update_tally as update_tally
