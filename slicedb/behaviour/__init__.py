"""Behaviour tests: templates, corruptions, and what a model should or should not mind."""

from slicedb.behaviour.corruptions import corrupt
from slicedb.expectations.corruption import Corruption

__all__ = ["Corruption", "corrupt"]
