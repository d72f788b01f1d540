"""The exception of this floor, which ``jaxmtl.plain`` raises too."""

from jaxmtl.plain.errors import TableError as TableError
