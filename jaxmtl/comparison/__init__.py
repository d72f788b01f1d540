"""Arms against each other over many seeds: a leaderboard, paired contrasts, and what they allow.

.. include:: README.md
"""

from jaxmtl.comparison.compare import Comparison as Comparison
from jaxmtl.comparison.compare import compare as compare
from jaxmtl.comparison.compare_runs import compare_runs as compare_runs
from jaxmtl.comparison.contestants import check_arms as check_arms
from jaxmtl.comparison.contrasts import contrasts as contrasts
from jaxmtl.comparison.leaderboard import leaderboard as leaderboard
from jaxmtl.comparison.per_seed import PerSeed as PerSeed
from jaxmtl.comparison.per_seed import read_per_seed as read_per_seed
from jaxmtl.comparison.sentences import describe as describe
from jaxmtl.comparison.sentences import sentence as sentence
from jaxmtl.methods.study.arms import ARMS as ARMS
from jaxmtl.methods.study.arms import DEFAULT_ARMS as DEFAULT_ARMS
from jaxmtl.methods.study.arms import Arm as Arm
from jaxmtl.methods.study.arms import expand as expand
from jaxmtl.methods.study.arms import find_arm as find_arm
from jaxmtl.methods.study.bench import Bench as Bench
from jaxmtl.methods.study.bench import StudyProtocol as StudyProtocol
from jaxmtl.statistics.paired import bootstrap_mean as bootstrap_mean
from jaxmtl.statistics.paired import holm as holm
from jaxmtl.statistics.paired import nadeau_bengio as nadeau_bengio
from jaxmtl.statistics.paired import paired_bootstrap as paired_bootstrap
from jaxmtl.statistics.paired import verdict as verdict
from jaxmtl.statistics.paired import wilcoxon as wilcoxon

Protocol = StudyProtocol
