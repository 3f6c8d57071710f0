"""Moved to `slicedb.tasks.about`."""

from slicedb.tasks.about import About

__all__ = ["About"]
