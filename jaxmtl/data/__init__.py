"""Tables of several tasks: read, split, scaled, and simulated."""

from ._errors import TableError as TableError
from .air_quality import air_quality_frame as air_quality_frame
from .air_quality import write_air_quality as write_air_quality
from .prepare import Dataset as Dataset
from .prepare import prepare as prepare
from .preprocessing import Preprocessing as Preprocessing
from .rows import Rows as Rows
from .rows import Splits as Splits
from .scaling import Scaler as Scaler
from .scaling import fit_scaler as fit_scaler
from .simulated import simulate_exponential as simulate_exponential
from .simulated import simulate_normal as simulate_normal
from .simulated import simulate_uniform as simulate_uniform
from .splits import SplitIndices as SplitIndices
from .splits import chronological_split as chronological_split
from .splits import column_split as column_split
from .splits import random_split as random_split
from .tables import Table as Table
from .tables import read_table as read_table
