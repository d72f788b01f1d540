"""Names that users give, as names of folders."""

import hashlib
import re

LONGEST = 60
_SAFE = re.compile(r"[a-z0-9][a-z0-9 _+=(),.-]*[a-z0-9_)]|[a-z0-9]")
_UNSAFE = re.compile(r"[^a-z0-9_-]+")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def folder_name(name: str) -> str:
    """A folder for a name: the name itself where every file system takes it.

    Else its letters with a fingerprint behind, so that no two names, not even those that differ in
    capitals alone, share a folder, and none leads out of the one that it is in.

    Args:
        name: any text.

    Returns:
        Lower-case letters, digits and a few marks.

    Example:
        >>> folder_name("mine"), folder_name("../Mine")
        ('mine', 'mine-409aef89')
    """
    if len(name) <= LONGEST and _SAFE.fullmatch(name) and not _DEVICES.fullmatch(name):
        return name
    letters = _UNSAFE.sub("-", name.lower()).strip("-")[:LONGEST]
    mark = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{letters or 'name'}-{mark}"
