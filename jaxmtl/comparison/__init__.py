"""Arms against each other over many seeds: a leaderboard, paired contrasts, and what they allow."""

from jaxmtl.comparison.contrasts import contrasts as contrasts
from jaxmtl.comparison.leaderboard import leaderboard as leaderboard
from jaxmtl.comparison.sentences import describe as describe
from jaxmtl.comparison.sentences import sentence as sentence
from jaxmtl.comparison.statistics import bootstrap_mean as bootstrap_mean
from jaxmtl.comparison.statistics import holm as holm
from jaxmtl.comparison.statistics import nadeau_bengio as nadeau_bengio
from jaxmtl.comparison.statistics import paired_bootstrap as paired_bootstrap
from jaxmtl.comparison.statistics import verdict as verdict
from jaxmtl.comparison.statistics import wilcoxon as wilcoxon
