"""Loss methods: one loss of the task losses, one file a method, one registry of all.

A ``Scalarizer`` is a pair ``init, scalarize``: ``scalarize(losses, state, *, key, present)``
returns the loss, the next state, and the slopes of the loss in the losses. ``scalarized_step``
trains with one backward pass; ``from_losses`` makes an ``Aggregator`` of it, for all that takes
one.
"""

from jaxmtl.aggregation.losses.auto_lambda import AutoLambda as AutoLambda
from jaxmtl.aggregation.losses.auto_lambda import AutoLambdaInfo as AutoLambdaInfo
from jaxmtl.aggregation.losses.auto_lambda import AutoLambdaState as AutoLambdaState
from jaxmtl.aggregation.losses.auto_lambda import auto_lambda as auto_lambda
from jaxmtl.aggregation.losses.auto_lambda import auto_lambda_step as auto_lambda_step
from jaxmtl.aggregation.losses.contract import Scalarizer as Scalarizer
from jaxmtl.aggregation.losses.contract import from_losses as from_losses
from jaxmtl.aggregation.losses.contract import from_value as from_value
from jaxmtl.aggregation.losses.contract import keep_absent as keep_absent
from jaxmtl.aggregation.losses.cosmos import cosmos as cosmos
from jaxmtl.aggregation.losses.dwa import dwa as dwa
from jaxmtl.aggregation.losses.equal import equal as equal
from jaxmtl.aggregation.losses.famo import famo as famo
from jaxmtl.aggregation.losses.gls import gls as gls
from jaxmtl.aggregation.losses.igb import igb as igb
from jaxmtl.aggregation.losses.imtl_l import imtl_l as imtl_l
from jaxmtl.aggregation.losses.ldc import ldc as ldc
from jaxmtl.aggregation.losses.learned import learned as learned
from jaxmtl.aggregation.losses.linear import linear as linear
from jaxmtl.aggregation.losses.linear import simplex_grid as simplex_grid
from jaxmtl.aggregation.losses.look_ahead import look_ahead_slopes as look_ahead_slopes
from jaxmtl.aggregation.losses.look_ahead import plain_step as plain_step
from jaxmtl.aggregation.losses.pbi import pbi as pbi
from jaxmtl.aggregation.losses.registry import LOSS_METHODS as LOSS_METHODS
from jaxmtl.aggregation.losses.registry import LossMethod as LossMethod
from jaxmtl.aggregation.losses.registry import make_scalarizer as make_scalarizer
from jaxmtl.aggregation.losses.rlw import rlw as rlw
from jaxmtl.aggregation.losses.stch import stch as stch
from jaxmtl.aggregation.losses.step import ScalarizedInfo as ScalarizedInfo
from jaxmtl.aggregation.losses.step import scalarized_step as scalarized_step
from jaxmtl.aggregation.losses.uncertainty import uncertainty as uncertainty
