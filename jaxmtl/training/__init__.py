"""Loops, phases and runs.

.. include:: README.md
"""

from jaxmtl.training.as_network import as_network as as_network
from jaxmtl.training.constrained import ConstrainedHistory as ConstrainedHistory
from jaxmtl.training.constrained import ConstrainedRun as ConstrainedRun
from jaxmtl.training.constrained import fit_constrained as fit_constrained
from jaxmtl.training.driver.program import SweepProgress as SweepProgress
from jaxmtl.training.driver.store import StoreError as StoreError
from jaxmtl.training.fit import fit as fit
from jaxmtl.training.fit import fit_adaptive as fit_adaptive
from jaxmtl.training.kinds.views import ViewNetwork as ViewNetwork
from jaxmtl.training.kinds.views import view_network as view_network
from jaxmtl.training.network import Applied as Applied
from jaxmtl.training.network import Network as Network
from jaxmtl.training.phased.best import Best as Best
from jaxmtl.training.phased.phases import STUDY_PHASES as STUDY_PHASES
from jaxmtl.training.phased.phases import Phase as Phase
from jaxmtl.training.phased.run import Divergence as Divergence
from jaxmtl.training.phased.run import Event as Event
from jaxmtl.training.phased.run import Events as Events
from jaxmtl.training.phased.run import History as History
from jaxmtl.training.phased.run import Progress as Progress
from jaxmtl.training.phased.run import Run as Run
from jaxmtl.training.phased.runs import Runs as Runs
from jaxmtl.training.sweep import sweep as sweep
