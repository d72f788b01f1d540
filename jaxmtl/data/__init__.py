"""Tables of several tasks: read, split, scaled, and simulated."""

from jaxmtl.data._errors import TableError as TableError
from jaxmtl.data.air_quality import air_quality_frame as air_quality_frame
from jaxmtl.data.air_quality import write_air_quality as write_air_quality
from jaxmtl.data.folds import Data as Data
from jaxmtl.data.folds import Folds as Folds
from jaxmtl.data.folds import Part as Part
from jaxmtl.data.folds import data_of as data_of
from jaxmtl.data.prepare import Dataset as Dataset
from jaxmtl.data.prepare import prepare as prepare
from jaxmtl.data.preprocessing import Preprocessing as Preprocessing
from jaxmtl.data.reading.tables import Table as Table
from jaxmtl.data.reading.tables import read_table as read_table
from jaxmtl.data.rows import Rows as Rows
from jaxmtl.data.rows import Splits as Splits
from jaxmtl.data.scaling import Scaler as Scaler
from jaxmtl.data.scaling import fit_scaler as fit_scaler
from jaxmtl.data.simulated import simulate_exponential as simulate_exponential
from jaxmtl.data.simulated import simulate_normal as simulate_normal
from jaxmtl.data.simulated import simulate_uniform as simulate_uniform
from jaxmtl.data.splits import SplitIndices as SplitIndices
from jaxmtl.data.splits import chronological_split as chronological_split
from jaxmtl.data.splits import column_split as column_split
from jaxmtl.data.splits import random_split as random_split
