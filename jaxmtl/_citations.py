"""What to cite for the methods that were used."""

import re
from functools import cache
from importlib.resources import files

from jaxmtl._words import did_you_mean

_FILE = "citations.bib"
_WITHOUT = "of no paper:"
_ENTRY = re.compile(r"^@.*?^\}$", re.MULTILINE | re.DOTALL)


def cite(*names: str) -> str:
    """Papers of methods, as BibTeX.

    Args:
        names: of aggregators, loss methods, arms, networks or functions, as they are written
            elsewhere: ``"upgrad"``, ``"mmoe+famo"``, ``"every(8, cagrad)"``, ``"PLE"``; none for
            the study, whose method node duplication is.

    Returns:
        Each paper once, in the order of the names; empty if none of them has one.

    Raises:
        ValueError: a name that is not known, or what is no name.

    Example:
        >>> print(cite("upgrad"))
        @article{quinton2024jacobian,
          title = {Jacobian Descent for Multi-Objective Optimization},
          author = {Quinton, Pierre and Rey, Val{\\'e}rian},
          journal = {arXiv:2406.16232}, year = {2024}
        }
    """
    papers = _papers()
    found: dict[str, None] = {}
    for name in names or ("study",):
        if not isinstance(name, str):
            kind = type(name).__name__
            raise ValueError(f"cite: expected names, as in 'every' and 'cagrad', got a {kind}")
        # What stands in brackets are settings, or methods inside.
        outside, inside = name, ""
        while bracket := re.search(r"\([^()]*\)", outside):
            outside = outside.replace(bracket[0], "", 1)
            inside += f" {bracket[0]}"
        for part in map(str.strip, re.split("[+:]", outside)):  # ensemble@2:mmoe+upgrad
            kind, _, value = part.partition("@")
            own = f"{kind}@K" if value and f"{kind}@K" in papers else kind  # recon@2
            own = part if part in papers else own
            if own not in papers:
                raise ValueError(
                    f"cite: expected names of methods, got {part!r}{did_you_mean(part, papers)}"
                )
            found |= dict.fromkeys(papers[own])
        for part in re.findall(r"\w+", inside):
            found |= dict.fromkeys(papers.get(part, ()))
    return "\n".join(found)


@cache
def _papers() -> dict[str, list[str]]:
    """Entries of each name."""
    papers: dict[str, list[str]] = {}
    names: list[str] = []
    text = files("jaxmtl").joinpath(_FILE).read_text(encoding="utf-8")
    for block in re.findall(r"^%[^\n]*|^@.*?^\}$", text, re.MULTILINE | re.DOTALL):
        if _ENTRY.fullmatch(block) is None:
            line = block.removeprefix("% ")
            names += [name.strip() for name in line.removeprefix(_WITHOUT).split(",")]
            if line.startswith(_WITHOUT):
                papers |= {name: [] for name in names}
                names = []
            continue
        for name in names:
            papers.setdefault(name, []).append(block)
        names = []
    return papers
