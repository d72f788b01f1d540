"""Makes the reference of every public name, as pages that link to each other.

    pip install -e '.[docs]' && python experiments/reference.py site

A package's page has what the package hands on, under the name that is imported, and its README;
files below are where the sources are. Whatever the generator warns of ends it.
"""

import argparse
import ast
import importlib
import pkgutil
import warnings
from pathlib import Path
from typing import Any

import jaxmtl

# Files below a package are no pages of their own, nor is what only the commands use.
LEFT_OUT = r"!jaxmtl\.(_|cli|plain|(?!aggregation\.losses$)\w+\.)"
WITHIN = {"jaxmtl.aggregation": ["losses"]}  # packages of a package


def handed_on(module: Any) -> list[str]:
    """Names that a package imports to hand them on, ``from a import b as b``."""
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = [node.names for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [alias.name for found in names for alias in found if alias.asname == alias.name]


def write(folder: Path) -> list[Path]:
    """Writes the pages.

    Args:
        folder: to write into.

    Returns:
        The pages.
    """
    import pdoc.render

    for found in pkgutil.walk_packages(jaxmtl.__path__, "jaxmtl."):
        if found.ispkg:
            module: Any = importlib.import_module(found.name)
            module.__all__ = handed_on(module) + WITHIN.get(found.name, [])
    pdoc.render.configure(docformat="google", math=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pdoc.pdoc("jaxmtl", LEFT_OUT, "jaxmtl.sklearn", output_directory=folder)
    return sorted(folder.rglob("*.html"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="to write the pages into")
    folder = parser.parse_args().folder
    print(f"{len(write(folder))} pages: open {folder / 'index.html'} in a browser")


if __name__ == "__main__":
    main()
