"""Compiled programs are kept for the next process, where nobody else can put any."""

import logging
import os
import secrets
import stat
import sys
import warnings
from pathlib import Path

# Seconds of compiling that make a program worth a file. Most of the two hundred that a command
# compiles are single operations; all of those together take less room than the few large ones.
SHORTEST_COMPILATION = 0.0
PROBE = 2**18  # bytes: about the size of a program that is worth most
NOT_KEPT = "compiled programs are not kept"


def cache_folder() -> Path | None:
    """The user's own folder for compiled programs.

    Returns:
        ``jaxmtl`` in the cache folder of the platform: ``$XDG_CACHE_HOME`` or ``~/.cache``,
        ``~/Library/Caches`` or ``%LOCALAPPDATA%``; None where the user has no home.

    Example:
        >>> getattr(cache_folder(), "name", "jaxmtl")
        'jaxmtl'
    """
    # A relative path is none, as the standard says: it would be another one in every folder.
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named, "jaxmtl")
    try:
        home = Path.home()
    except RuntimeError:
        return None
    parts = {"darwin": ("Library", "Caches"), "win32": ("AppData", "Local")}
    return home.joinpath(*parts.get(sys.platform, (".cache",)), "jaxmtl")


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
    _let_libraries_be_silent()
    import jax

    if not wanted:
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    folder = cache_folder()
    if folder is None:
        return f"there is no home folder: {NOT_KEPT}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.stat()
        if hasattr(os, "getuid") and found.st_uid != os.getuid():
            return f"folder {folder} belongs to somebody else: {NOT_KEPT}"
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)
        _write_probe(folder)
    except OSError as error:
        from jaxmtl.files.errors import why

        return f"folder {folder}: {why(error)}; {NOT_KEPT}"
    jax.config.update("jax_compilation_cache_dir", os.fspath(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_COMPILATION)
    return None


def _write_probe(folder: Path) -> None:
    """Raises OSError where nothing can be written, instead of a warning for each program."""
    probe = folder / f"probe-{secrets.token_hex(4)}"
    try:
        probe.write_bytes(bytes(PROBE))
    finally:
        probe.unlink(missing_ok=True)


def _let_libraries_be_silent() -> None:
    """Whether they find a place for files of their own is nothing that a user can act on."""
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache")
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
