"""The one exception of the report floor."""


class RunFolderError(ValueError):
    """A folder or file that cannot be read, written or replaced; its text is one sentence.

    Example:
        >>> raise RunFolderError("folder runs/a: there is no such folder; check the path")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.RunFolderError: folder runs/a: there is no such folder; check the path
    """
