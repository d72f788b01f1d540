"""From one task to another: carry a trunk, choose what learns how fast, save and load.

.. include:: README.md
"""

from jaxmtl.files.parameters import load_parameters as load_parameters
from jaxmtl.files.parameters import save_parameters as save_parameters
from jaxmtl.transfer.cycle import Cycle as Cycle
from jaxmtl.transfer.cycle import cycle as cycle
from jaxmtl.transfer.optimizers import Part as Part
from jaxmtl.transfer.optimizers import PartOptimizer as PartOptimizer
from jaxmtl.transfer.optimizers import discriminative as discriminative
from jaxmtl.transfer.optimizers import fine_tune as fine_tune
from jaxmtl.transfer.optimizers import freeze as freeze
from jaxmtl.transfer.optimizers import gradual_unfreezing as gradual_unfreezing
from jaxmtl.transfer.optimizers import linear_probe as linear_probe
from jaxmtl.transfer.parameters import transfer_parameters as transfer_parameters
