"""Test behaviour: templates, corruptions, and what should or should not change a prediction."""

from slicedb.behaviour.corruptions import corrupt
from slicedb.expectations.corruption import Corruption

__all__ = ["Corruption", "corrupt"]
