"""Made-up runs, shared with other folders of tests."""

from made_runs import made as made
from made_runs import make as make
from made_runs import save as save
