"""What may be said of paired numbers; NumPy only."""

from jaxmtl.statistics.paired import bootstrap_mean as bootstrap_mean
from jaxmtl.statistics.paired import holm as holm
from jaxmtl.statistics.paired import nadeau_bengio as nadeau_bengio
from jaxmtl.statistics.paired import paired_bootstrap as paired_bootstrap
from jaxmtl.statistics.paired import verdict as verdict
from jaxmtl.statistics.paired import wilcoxon as wilcoxon
from jaxmtl.statistics.selection import Mixture as Mixture
from jaxmtl.statistics.selection import choose_from_others as choose_from_others
from jaxmtl.statistics.selection import greedy as greedy
