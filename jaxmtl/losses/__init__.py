"""Losses of one sample and one task; every training loop takes ``loss(outputs, targets)``.

Where a target is NaN (or a class number is out of range) a loss is NaN, which nobody can overlook,
but its slope is 0: once ``mean_over_known`` has masked the value, the gradient is clean as well.
"""

from jaxmtl.losses.classification import binary_cross_entropy as binary_cross_entropy
from jaxmtl.losses.classification import softmax_cross_entropy as softmax_cross_entropy
from jaxmtl.losses.combine import Loss as Loss
from jaxmtl.losses.combine import configured as configured
from jaxmtl.losses.combine import mean_over_known as mean_over_known
from jaxmtl.losses.combine import sliced as sliced
from jaxmtl.losses.combine import weighted as weighted
from jaxmtl.losses.counts import poisson_deviance as poisson_deviance
from jaxmtl.losses.of_tasks import loss_of as loss_of
from jaxmtl.losses.of_tasks import predictions_of as predictions_of
from jaxmtl.losses.regression import absolute_error as absolute_error
from jaxmtl.losses.regression import huber_error as huber_error
from jaxmtl.losses.regression import squared_error as squared_error
