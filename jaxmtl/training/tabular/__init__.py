"""Training of networks on tables: batches by numbers of rows, folds side by side."""

from jaxmtl.training.tabular.epoch import TableRows as TableRows
from jaxmtl.training.tabular.train import Scaling as Scaling
from jaxmtl.training.tabular.train import Trained as Trained
from jaxmtl.training.tabular.train import train_table as train_table
