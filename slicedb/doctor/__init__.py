"""Examine the health of a database, and mend what can be mended without loss."""

from slicedb.doctor.examine import examine
from slicedb.doctor.finding import DAMAGE, Finding

__all__ = ["DAMAGE", "Finding", "examine"]
