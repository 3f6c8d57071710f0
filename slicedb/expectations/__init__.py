"""Parse expectations such as `accuracy of Dessert >= 85%`."""

from __future__ import annotations

from slicedb.expectations.grammar import Check, parse_check

__all__ = ["Check", "parse_check"]
