"""Let models write columns of samples: counts, shares, labels, phrases of CLIP, captions.

What a model wrote of each sample is also kept in a table of its own, `tagged__<column>`. It says
what is still to do, and it tells a value that a person corrected from one that the model wrote.
"""

from __future__ import annotations

from slicedb.tagging.definition import Tag, drop_tag, tag_named, tags_of, written
from slicedb.tagging.report import TagReport
from slicedb.tagging.run import Means, tag_with
from slicedb.tagging.wanted import Wanted, What

__all__ = [
    "Means",
    "Tag",
    "TagReport",
    "Wanted",
    "What",
    "drop_tag",
    "tag_named",
    "tag_with",
    "tags_of",
    "written",
]
