"""One choice: what was trained, saved, read again, and asked."""

from jaxmtl.prediction.calibration import intervals as intervals
