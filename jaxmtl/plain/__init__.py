"""What a saved predictor computes, and how a text table is read, in NumPy alone.

This folder imports nothing else of the package, and itself by relative names only: it is copied
into the folder of every run, where ``predict.py`` uses it without JAX.
"""

from .coding import Coded as Coded
from .coding import CodedPart as CodedPart
from .coding import class_numbers as class_numbers
from .coding import date_features as date_features
from .coding import decode as decode
from .coding import encode as encode
from .coding import level_text as level_text
from .coding import parts_of as parts_of
from .coding import scaled as scaled
