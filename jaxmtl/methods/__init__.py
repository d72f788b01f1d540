"""What can be trained on rows of several tasks, and what it leaves behind.

A method fits one model a fold: ``find_method("ridge").fit(data, folds, keys, Work())``.
"""

from jaxmtl.methods.constant import ConstantModel as ConstantModel
from jaxmtl.methods.forest import ForestModel as ForestModel
from jaxmtl.methods.linear import LinearModel as LinearModel
from jaxmtl.methods.method import Fitted as Fitted
from jaxmtl.methods.method import Method as Method
from jaxmtl.methods.method import Model as Model
from jaxmtl.methods.method import Trace as Trace
from jaxmtl.methods.method import Work as Work
from jaxmtl.methods.method import held_out as held_out
from jaxmtl.methods.mixture import MixtureModel as MixtureModel
from jaxmtl.methods.mixture import mixed as mixed
from jaxmtl.methods.network_model import NetworkModel as NetworkModel
from jaxmtl.methods.registry import BASELINES as BASELINES
from jaxmtl.methods.registry import FAMILY_GROUPS as FAMILY_GROUPS
from jaxmtl.methods.registry import TABLE_FAMILIES as TABLE_FAMILIES
from jaxmtl.methods.registry import WITHOUT_STEPS as WITHOUT_STEPS
from jaxmtl.methods.registry import find_method as find_method
from jaxmtl.methods.study.bench import StudyProtocol as StudyProtocol
from jaxmtl.methods.trees import TreesModel as TreesModel
from jaxmtl.methods.views_model import ViewsModel as ViewsModel
