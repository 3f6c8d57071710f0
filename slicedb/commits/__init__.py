"""Commits: the version of every table under one id, with a message.

Lance versions each table alone and has no snapshot across tables, so a commit is a row written
last, after every version it names was pinned. The tables have one working state; `checkout` and
`reset` bring it to a commit by restoring each table, which adds a version and loses none.
"""

from slicedb.commits.commits import Commit, Commits
from slicedb.commits.difference import Difference, SliceMove
from slicedb.commits.pins import frozen_slices, slice_tag

__all__ = ["Commit", "Commits", "Difference", "SliceMove", "frozen_slices", "slice_tag"]
