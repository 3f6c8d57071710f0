"""What a column was written by: a model, phrases or a callable; kept with the values it wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb.schema import SAMPLES, SAMPLES_SCHEMA, TAGGED, is_shown, schema_of
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import Store

Kind: TypeAlias = Literal["model", "phrases", "callable"]

FACTS = "slicedb:tag"
"""Where the metadata of a table of written values keeps its `Tag`, as JSON."""
UNSURE = "unsure"
"""Stands in place of a label whose score is below the cut."""
SCORE, MARGIN = "_score", "_margin"
"""Ends of the names of the columns beside a label."""


@dataclass(frozen=True)
class Tag(Record):
    """A column of samples that a model wrote, and what wrote it: its lineage."""

    name: str
    """Of the column."""
    kind: Kind
    what: str
    """The model, the phrases as they are written on the command line, or `file.py:function`; ""
    for an object of one Python process."""
    columns: tuple[str, ...]
    """The column itself, and those beside it: its score and margin."""
    fingerprint: str = ""
    """Of the model or encoder, the phrases and the cut; rows of another one are computed anew."""
    count: str | None = None
    """Of a detector: the class whose boxes are counted."""
    share: str | None = None
    """Of a segmenter: the class whose share of the pixels is taken."""
    cut: float | None = None
    """Score below which a label is `UNSURE`, and a box is not counted."""
    templates: tuple[str, ...] = ()
    """Wordings that phrases are put into; empty takes the encoder's own."""
    using: str = ""
    """Of phrases: the embedding."""

    def __str__(self) -> str:
        of = f" (count of {self.count})" if self.count is not None else ""
        of = f" (share of {self.share})" if self.share is not None else of
        by = {"model": f"model {self.what}", "phrases": f"phrases {self.what} in '{self.using}'"}
        return f"{', '.join(self.columns)} by {by.get(self.kind, self.what or 'a callable')}{of}"


def table_of(name: str) -> str:
    """Return the table of what a model wrote into a column."""
    return TAGGED + name


def values_schema(tag: Tag, types: Sequence[pa.DataType]) -> pa.Schema:
    """Return the columns of the table of written values, with the tag in their metadata."""
    first = schema_of("id! string, key! int64, content int64, fingerprint int64")
    own = [pa.field(name, kind) for name, kind in zip(tag.columns, types, strict=True)]
    return pa.schema([*first, *own], metadata={FACTS: text_of(tag)})


def text_of(tag: Tag) -> str:
    """Return a tag as JSON."""
    return json.dumps(asdict(tag))


def tag_named(store: Store, name: str) -> Tag | None:
    """Return what wrote a column; None where no model did."""
    text = store.metadata(table_of(name)).get(FACTS) if store.has(table_of(name)) else None
    if text is None:
        return None
    facts = json.loads(text)
    listed = {key: tuple(facts[key]) for key in ("columns", "templates")}
    return Tag(**{**facts, **listed})


def tags_of(store: Store) -> list[Tag]:
    """Return every column that a model wrote and that is there still, by name."""
    stored = store.schema(SAMPLES).names
    names = [t.removeprefix(TAGGED) for t in store.names() if t.startswith(TAGGED)]
    tags = [tag for name in sorted(names) if (tag := tag_named(store, name)) is not None]
    return [tag for tag in tags if tag.name in stored]


def written(store: Store, tag: Tag) -> str:
    """Return what wrote a column, how many samples have its value, and how many wait for one."""
    n = store.count(table_of(tag.name))
    status = store.table(SAMPLES, ["status"])["status"]
    waiting = int(np.count_nonzero(is_shown(status))) - n
    more = f", {waiting:,} without (`slicedb tag-with {tag.name}`)" if waiting > 0 else ""
    return f"{tag}, {numbers.count(n, 'sample')}{more}"


def drop_tag(store: Store, tag: Tag) -> None:
    """Remove what a model wrote: its columns and the table of its values; captions stay."""
    stored = store.schema(SAMPLES).names
    own = [name for name in tag.columns if name in stored and name not in SAMPLES_SCHEMA.names]
    if own:
        store.drop_columns(SAMPLES, own)
    store.discard(table_of(tag.name))
