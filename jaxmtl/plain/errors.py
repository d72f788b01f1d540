"""The one exception for bad tables, of this floor and of ``jaxmtl.data``."""


class TableError(ValueError):
    """A bad input: its text is one sentence that says what is wrong, where, and what to do.

    Example:
        >>> raise TableError("file a.csv, column 'CO', row 3: expected a number, got 'x'")
        Traceback (most recent call last):
        ...
        jaxmtl.plain.errors.TableError: file a.csv, column 'CO', row 3: expected a number, got 'x'
    """
