"""Compiled programs are kept for the next process, where nobody else can put any."""

import os
import stat
import sys
from pathlib import Path

# Seconds of compiling that make a program worth a file. Most of the two hundred that a command
# compiles are single operations; all of those together take less room than the few large ones.
SHORTEST_COMPILATION = 0.0


def cache_folder() -> Path:
    """The user's own folder for compiled programs.

    Returns:
        ``jaxmtl`` in the cache folder of the platform: ``$XDG_CACHE_HOME`` or ``~/.cache``,
        ``~/Library/Caches`` or ``%LOCALAPPDATA%``.

    Example:
        >>> cache_folder().name
        'jaxmtl'
    """
    if "XDG_CACHE_HOME" in os.environ:
        base = Path(os.environ["XDG_CACHE_HOME"])
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path.home() / ".cache"
    return base / "jaxmtl"


def use_cache(*, wanted: bool = True) -> str | None:
    """Turns XLA's persistent compilation cache on, in a folder that only the user may write.

    Whoever can write there can run code as the user, so a folder of somebody else is not used.
    Where the user has chosen a folder by ``JAX_COMPILATION_CACHE_DIR``, that one is left alone.

    Args:
        wanted: False turns the cache off.

    Returns:
        Why there is no cache although one is wanted, or None.

    Example:
        >>> use_cache(wanted=False)
    """
    import jax

    if not wanted:
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            return f"folder {folder} belongs to somebody else: compiled programs are not kept"
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
    except OSError as error:
        return f"folder {folder}: {error.strerror or error}; compiled programs are not kept"
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_COMPILATION)
    return None
