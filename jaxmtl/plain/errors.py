"""The exceptions of this floor; ``TableError`` is that of ``jaxmtl.data``, too."""


class TableError(ValueError):
    """A bad input: its text is one sentence that says what is wrong, where, and what to do.

    Example:
        >>> raise TableError("file a.csv, column 'CO', row 3: expected a number, got 'x'")
        Traceback (most recent call last):
        ...
        jaxmtl.plain.errors.TableError: file a.csv, column 'CO', row 3: expected a number, got 'x'
    """


class RunError(ValueError):
    """A run folder that cannot be used without the package: its text is one sentence.

    Example:
        >>> raise RunError("folder run: its network (MMoE) needs JAX; use 'jaxmtl predict' instead")
        Traceback (most recent call last):
        ...
        jaxmtl.plain.errors.RunError: folder run: its network (MMoE) needs JAX; use 'jaxmtl ...
    """
