"""What a reader returns: an opened source, and the options that shape it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import pyarrow as pa

from slicedb.keys import Keys

IdBy: TypeAlias = Literal["path", "sha256"]
"""What the id of a sample is: the path of its image, or the hash of its bytes."""

Row: TypeAlias = dict[str, Any]
"""One object of a JSON or YAML file, of which nothing is known before it is checked."""


ROWS = 1 << 14
"""Rows that are verified and written at once, at most."""

BYTES = 64 << 20
"""Encoded bytes that are held and written at once; a single image may be larger."""


@dataclass(frozen=True)
class Options:
    """What the caller asks of a reader."""

    split: str | None = None
    """Split of every sample; it overrides the source."""
    label: str | None = None
    """Label of every sample; it overrides the source."""
    prefix: str = ""
    """Put before every id, so that two sources with the same file names can live together."""
    columns: dict[str, str] = field(default_factory=dict)
    """Role (path, image, label, split, caption, id) -> column of the table that plays it."""
    labels: tuple[str, ...] = ()
    """The column with several labels a row, or the columns of 0 and 1 of a label each."""
    separator: str | None = None
    """What stands between several labels of a row; None finds it out."""
    images: str | None = None
    """Folder that an annotation file's names of images start at; None looks for it."""
    split_folders: bool = False
    """Whether the upmost folders are splits whatever they are called."""
    later: bool = False
    """Whether no picture is opened; rows of a table then need none."""
    pictures: bool = True
    """Whether the rows of a table are pictures; otherwise they are metadata of known ones."""
    as_named: bool = False
    """Whether columns keep their names, also those that hold boxes or several labels."""
    existing: pa.Schema = field(default_factory=lambda: pa.schema([]))
    """The schema of `samples`, whose types the metadata has to fit."""

    def id_of(self, path: str) -> str:
        """Return the id of the sample at a path relative to the root."""
        return f"{self.prefix}/{path}" if self.prefix else path


@dataclass
class Source:
    """An opened source, of whose images nothing is read yet.

    Its batches have `id` (string, not null),
    `uri` (string: an absolute path, or null), for sources that carry the bytes `image` (binary),
    and the metadata columns of `fields`, all of plain types.
    """

    where: str
    """Absolute path of the folder or file, kept in the samples' `source`."""
    fields: list[pa.Field]
    """The metadata columns of the batches, by the names and types they have in `samples`."""
    batches: Iterable[pa.RecordBatch]
    """Rows, in batches of any size; read once."""
    total: int
    """Number of rows."""
    wins: frozenset[str] = frozenset()
    """Metadata columns that are written again when they change in the source. The others are
    for new samples only: what the user changes in the database stays."""
    by_place: bool = False
    """Whether the source is every image below `where`, and not a list."""
    named: bool = False
    """Whether the source says the ids itself; otherwise they are paths, and a file that is a sample
    already is that sample, whatever its path is called from here."""
    carries_images: bool = False
    """Whether the batches contain the encoded images."""
    skipped: dict[str, int] = field(default_factory=dict)
    """Number of files that were passed over, by kind."""
    notes: list[str] = field(default_factory=list)
    """What the user should know, one sentence each."""
    renamed: list[str] = field(default_factory=list)
    """Those of the notes that tell columns kept under another name or left out, which are also
    told before anything is written."""
    etags: bool = False
    """Whether the samples keep the version of the object that was read, in `etag`."""
    keys: Keys | None = None
    """int64 (total,): the join key of each row where opening the source worked them out and found
    no two alike; None where they are worked out as the rows come."""
