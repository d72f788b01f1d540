"""The tables of all methods by name, empty until their factories are imported.

They stand apart so that steps, on which some factories stand themselves, can look names up.
"""

from typing import Any

# From a name to a row: ``Method`` of ``registry``, ``LossMethod`` of ``losses.registry``.
AGGREGATORS: dict[str, Any] = {}
LOSSES: dict[str, Any] = {}
# Methods that look ahead, by their factories.
AHEAD: dict[str, Any] = {}
# Of all these, the names that ``register`` added or replaced: rows by table, as they were before.
OWN: dict[str, dict[str, Any]] = {}
