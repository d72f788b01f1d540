"""Metrics: pure functions of static shapes, for use inside ``jit`` and ``vmap`` as well.

Rows come first; every further axis (the tasks, say) gets a number of its own. ``known`` masks the
rows whose label is missing, whatever stands there. With no known row a metric is NaN.

``score`` measures tasks of any kind at once, on the host and in float64.
"""

from jaxmtl.metrics.classification import accuracy as accuracy
from jaxmtl.metrics.classification import f1_score as f1_score
from jaxmtl.metrics.classification import precision as precision
from jaxmtl.metrics.classification import recall as recall
from jaxmtl.metrics.measures import Measure as Measure
from jaxmtl.metrics.measures import main_measure as main_measure
from jaxmtl.metrics.measures import measure_named as measure_named
from jaxmtl.metrics.measures import measures_of as measures_of
from jaxmtl.metrics.measures import values_of_losses as values_of_losses
from jaxmtl.metrics.multitask import delta_m as delta_m
from jaxmtl.metrics.multitask import mean_rank as mean_rank
from jaxmtl.metrics.of_tasks import Scores as Scores
from jaxmtl.metrics.of_tasks import constant_prediction as constant_prediction
from jaxmtl.metrics.of_tasks import score as score
from jaxmtl.metrics.probability import log_loss as log_loss
from jaxmtl.metrics.ranking import average_precision as average_precision
from jaxmtl.metrics.ranking import mean_average_precision as mean_average_precision
from jaxmtl.metrics.ranking import roc_auc as roc_auc
from jaxmtl.metrics.regression import mae as mae
from jaxmtl.metrics.regression import r2_score as r2_score
from jaxmtl.metrics.regression import rmse as rmse
