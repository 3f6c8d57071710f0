"""Curation: from a raw collection to data that may be trusted.

One module per verb, each a function over tables and vectors; what it finds are rows with the query
that finds them again. `near_pairs` and `groups` are shared by the verbs that ask which samples are
the same: duplicates, leaks and splits.
"""

from slicedb.curate.grouping import groups
from slicedb.curate.pairs import PAIRS, Near, near_pairs

__all__ = ["PAIRS", "Near", "groups", "near_pairs"]
