"""The exceptions of what is written to disk and read from it; each text is one sentence."""


class FileError(ValueError):
    """A file or folder that cannot be read, written or replaced.

    Example:
        >>> raise FileError("file a.npz: expected a file of arrays, got an empty file")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.FileError: file a.npz: expected a file of arrays, got an empty file
    """


class MissingFileError(FileError, FileNotFoundError):
    """A file that is not there.

    Example:
        >>> raise MissingFileError("file a.npz: there is no such file; check the path")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.MissingFileError: file a.npz: there is no such file; check the path
    """


class RunFolderError(FileError):
    """A folder of a run, or a file in it, that cannot be read, written or replaced.

    Example:
        >>> raise RunFolderError("folder runs/a: there is no such folder; check the path")
        Traceback (most recent call last):
        ...
        jaxmtl.files.errors.RunFolderError: folder runs/a: there is no such folder; check the path
    """
