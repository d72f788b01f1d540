"""Arms against each other over many seeds: a leaderboard, paired contrasts, and what they allow."""

from jaxmtl.comparison.arms import ARMS as ARMS
from jaxmtl.comparison.arms import DEFAULT_ARMS as DEFAULT_ARMS
from jaxmtl.comparison.arms import Arm as Arm
from jaxmtl.comparison.arms import expand as expand
from jaxmtl.comparison.arms import find_arm as find_arm
from jaxmtl.comparison.bench import Bench as Bench
from jaxmtl.comparison.bench import Outcome as Outcome
from jaxmtl.comparison.bench import Protocol as Protocol
from jaxmtl.comparison.compare import Comparison as Comparison
from jaxmtl.comparison.compare import check_arms as check_arms
from jaxmtl.comparison.compare import compare as compare
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
