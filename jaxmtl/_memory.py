"""Memory that was freed goes back to the system."""

import ctypes
import sys


def give_memory_back() -> None:
    """Freed memory that the C library keeps for later goes back to the system.

    After some hundred MB of arrays of many sizes, as trees are, glibc keeps a third of what was
    freed. Elsewhere than on Linux with glibc nothing happens.

    Example:
        >>> give_memory_back()
    """
    if not sys.platform.startswith("linux"):
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
