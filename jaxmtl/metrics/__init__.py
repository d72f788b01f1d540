"""Metrics: pure functions of static shapes, for use inside ``jit`` and ``vmap`` as well.

Rows come first; every further axis (the tasks, say) gets a number of its own. ``known`` masks the
rows whose label is missing, whatever stands there. With no known row a metric is NaN.
"""

from jaxmtl.metrics.classification import accuracy as accuracy
from jaxmtl.metrics.classification import f1_score as f1_score
from jaxmtl.metrics.classification import precision as precision
from jaxmtl.metrics.classification import recall as recall
from jaxmtl.metrics.multitask import delta_m as delta_m
from jaxmtl.metrics.multitask import mean_rank as mean_rank
from jaxmtl.metrics.probability import log_loss as log_loss
from jaxmtl.metrics.ranking import average_precision as average_precision
from jaxmtl.metrics.ranking import mean_average_precision as mean_average_precision
from jaxmtl.metrics.ranking import roc_auc as roc_auc
from jaxmtl.metrics.regression import mae as mae
from jaxmtl.metrics.regression import r2_score as r2_score
from jaxmtl.metrics.regression import rmse as rmse
