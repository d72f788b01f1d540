"""What may be said of paired numbers; NumPy only."""

from jaxmtl.statistics.paired import bootstrap_mean as bootstrap_mean
from jaxmtl.statistics.paired import holm as holm
from jaxmtl.statistics.paired import nadeau_bengio as nadeau_bengio
from jaxmtl.statistics.paired import paired_bootstrap as paired_bootstrap
from jaxmtl.statistics.paired import verdict as verdict
from jaxmtl.statistics.paired import wilcoxon as wilcoxon
