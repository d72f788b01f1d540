"""``python -m jaxmtl``: the same as the command ``jaxmtl``."""

from jaxmtl.cli import main

if __name__ == "__main__":
    main()
