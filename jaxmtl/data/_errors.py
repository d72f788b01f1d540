"""The one exception of the data floor."""


class TableError(ValueError):
    """A bad input: its text is one sentence that says what is wrong, where, and what to do.

    Example:
        >>> raise TableError("file a.csv, column 'CO', row 3: expected a number, got 'x'")
        Traceback (most recent call last):
        ...
        jaxmtl.data._errors.TableError: file a.csv, column 'CO', row 3: expected a number, got 'x'
    """
