"""Combining task gradients: one file a method, one registry of all, solvers inside XLA.

An ``Aggregator`` is a pair ``init, update``: ``update(task_grads, state, *, losses, params, key)``
returns the combined gradient, the next state and an ``AggregationInfo``. Task gradients are a
pytree whose leaves have the task axis first, as ``jaxmtl.task_gradients`` gives them. Loss methods,
which need no task gradients, are ``Scalarizer``s; see ``jaxmtl.aggregation.losses``.

Methods that draw (``pcgrad`` and ``gradvac`` of three tasks or more, ``graddrop``, ``random``,
``rlw``) are given a key in ``init(params, batch, key=jax.random.key(0))`` of a step, from which
every step folds its own; or each time, ``step(params, state, batch, key=key)``; and outside a step,
``aggregator.update(task_grads, state, key=key)``.

.. include:: README.md
"""

from jaxmtl._pytree import leaf_groups as leaf_groups
from jaxmtl.aggregation.aligned_mtl import aligned_mtl as aligned_mtl
from jaxmtl.aggregation.and_mask import and_mask as and_mask
from jaxmtl.aggregation.cagrad import cagrad as cagrad
from jaxmtl.aggregation.choose import choose as choose
from jaxmtl.aggregation.colour_schedule import colour_schedule as colour_schedule
from jaxmtl.aggregation.config import config as config
from jaxmtl.aggregation.constant import constant as constant
from jaxmtl.aggregation.contract import AggregationInfo as AggregationInfo
from jaxmtl.aggregation.contract import Aggregator as Aggregator
from jaxmtl.aggregation.contract import Context as Context
from jaxmtl.aggregation.contract import Weighed as Weighed
from jaxmtl.aggregation.contract import from_rule as from_rule
from jaxmtl.aggregation.cr_mogm import cr_mogm as cr_mogm
from jaxmtl.aggregation.cyclic import cyclic as cyclic
from jaxmtl.aggregation.data_parallel import data_parallel_step as data_parallel_step
from jaxmtl.aggregation.db_mtl import db_mtl as db_mtl
from jaxmtl.aggregation.dualproj import dualproj as dualproj
from jaxmtl.aggregation.engines import feature_step as feature_step
from jaxmtl.aggregation.engines import gramian_step as gramian_step
from jaxmtl.aggregation.every import every as every
from jaxmtl.aggregation.excess_mtl import excess_mtl as excess_mtl
from jaxmtl.aggregation.fairgrad import fairgrad as fairgrad
from jaxmtl.aggregation.fixed_weights import fixed_weights_from as fixed_weights_from
from jaxmtl.aggregation.graddrop import graddrop as graddrop
from jaxmtl.aggregation.gradnorm import gradnorm as gradnorm
from jaxmtl.aggregation.gradvac import gradvac as gradvac
from jaxmtl.aggregation.gram_product import ProductMethod as ProductMethod
from jaxmtl.aggregation.gram_product import gram_product_step as gram_product_step
from jaxmtl.aggregation.grouped import grouped as grouped
from jaxmtl.aggregation.heads import with_heads as with_heads
from jaxmtl.aggregation.imtl_g import imtl_g as imtl_g
from jaxmtl.aggregation.info import StepInfo as StepInfo
from jaxmtl.aggregation.krum import krum as krum
from jaxmtl.aggregation.losses import LOSS_METHODS as LOSS_METHODS
from jaxmtl.aggregation.losses import AutoLambda as AutoLambda
from jaxmtl.aggregation.losses import LossMethod as LossMethod
from jaxmtl.aggregation.losses import ScalarizedInfo as ScalarizedInfo
from jaxmtl.aggregation.losses import Scalarizer as Scalarizer
from jaxmtl.aggregation.losses import auto_lambda as auto_lambda
from jaxmtl.aggregation.losses import auto_lambda_step as auto_lambda_step
from jaxmtl.aggregation.losses import cosmos as cosmos
from jaxmtl.aggregation.losses import dwa as dwa
from jaxmtl.aggregation.losses import equal as equal
from jaxmtl.aggregation.losses import famo as famo
from jaxmtl.aggregation.losses import from_losses as from_losses
from jaxmtl.aggregation.losses import gls as gls
from jaxmtl.aggregation.losses import igb as igb
from jaxmtl.aggregation.losses import imtl_l as imtl_l
from jaxmtl.aggregation.losses import ldc as ldc
from jaxmtl.aggregation.losses import linear as linear
from jaxmtl.aggregation.losses import look_ahead_slopes as look_ahead_slopes
from jaxmtl.aggregation.losses import make_scalarizer as make_scalarizer
from jaxmtl.aggregation.losses import pbi as pbi
from jaxmtl.aggregation.losses import rlw as rlw
from jaxmtl.aggregation.losses import scalarized_step as scalarized_step
from jaxmtl.aggregation.losses import simplex_grid as simplex_grid
from jaxmtl.aggregation.losses import stch as stch
from jaxmtl.aggregation.losses import uncertainty as uncertainty
from jaxmtl.aggregation.mean import mean as mean
from jaxmtl.aggregation.mgda import mgda as mgda
from jaxmtl.aggregation.moco import moco as moco
from jaxmtl.aggregation.modo import modo as modo
from jaxmtl.aggregation.nash_mtl import nash_mtl as nash_mtl
from jaxmtl.aggregation.pcd import pcd as pcd
from jaxmtl.aggregation.pcgrad import pcgrad as pcgrad
from jaxmtl.aggregation.preferred import preferred as preferred
from jaxmtl.aggregation.random import random as random
from jaxmtl.aggregation.recon import conflict_scores as conflict_scores
from jaxmtl.aggregation.recon import recon as recon
from jaxmtl.aggregation.registry import REGISTRY as REGISTRY
from jaxmtl.aggregation.registry import Method as Method
from jaxmtl.aggregation.registry import forget as forget
from jaxmtl.aggregation.registry import make as make
from jaxmtl.aggregation.registry import register as register
from jaxmtl.aggregation.rows import gram_matrix as gram_matrix
from jaxmtl.aggregation.rows import weighted_sum as weighted_sum
from jaxmtl.aggregation.sand_mask import sand_mask as sand_mask
from jaxmtl.aggregation.sdmgrad import sdmgrad as sdmgrad
from jaxmtl.aggregation.sharpness import sharpness_step as sharpness_step
from jaxmtl.aggregation.step import AggregatedStep as AggregatedStep
from jaxmtl.aggregation.step import aggregated_step as aggregated_step
from jaxmtl.aggregation.step import as_optax as as_optax
from jaxmtl.aggregation.sum import sum as sum
from jaxmtl.aggregation.trimmed_mean import trimmed_mean as trimmed_mean
from jaxmtl.aggregation.upgrad import upgrad as upgrad
from jaxmtl.gradients import SplitLoss as SplitLoss
