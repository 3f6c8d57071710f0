"""Merge two databases: samples, predictions, vectors and slices of another become part of ours."""

from slicedb.merge.merging import merge
from slicedb.merge.pair import Names, Pair, Side, names_of
from slicedb.merge.report import MergeReport

__all__ = ["MergeReport", "Names", "Pair", "Side", "merge", "names_of"]
