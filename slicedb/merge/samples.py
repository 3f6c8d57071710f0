"""Merge the samples of another database into ours: new ones, and what is said of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.errors import DatabaseError
from slicedb.keys import Keys
from slicedb.merge.cells import Merged, fitted, merged, of_rows, with_columns, with_values
from slicedb.merge.columns import computed_of
from slicedb.merge.pair import Pair, first_few
from slicedb.metrics.outcomes import Bools
from slicedb.progress import Watch, bar
from slicedb.schema import (
    ETAG,
    IMAGES,
    IMAGES_SCHEMA,
    PLUMBING,
    PREDICTIONS,
    SAMPLES,
    VANISHED_AT,
    content_of,
)
from slicedb.show import numbers
from slicedb.store.writing import lacking
from slicedb.tasks.arrays import differs, one_array

_ROWS = 16_384
"""Samples that are compared and written at once."""
_BYTES = 64 << 20
"""Encoded pictures that are written at once."""
_PICTURES = 256
"""Pictures that are read at once."""
_OF_PICTURE = (PLUMBING | {"width", "height", "error", ETAG, VANISHED_AT}) - {"id"}
"""Columns that belong to the picture and go with it."""
NOT_TAKEN = -2
"""Stands for the content of a picture of which nothing is taken from the other database."""
_LISTED = 3


@dataclass
class SamplesTold:
    """What the samples of the other are beside ours."""

    added: int = 0
    unchanged: int = 0
    filled: int = 0
    """Samples that got a value which only the other had."""
    differing: int = 0
    """Samples of which picture or values differ."""
    columns: Counter[str] = field(default_factory=Counter)
    """In how many samples a column, or the picture, differs."""
    examples: list[str] = field(default_factory=list)
    """The first of these."""
    new_columns: tuple[str, ...] = ()
    keys: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    """int64 (n,): of the samples of the other, as they are here."""
    contents: Keys = field(default_factory=lambda: np.empty(0, np.int64))
    """int64 (n,): what the picture of each holds after the merge, see `content_of`; `NOT_TAKEN`
    where ours is another and stays."""


@dataclass
class _Part:
    """Some samples of the other beside ours."""

    rows: pa.Table
    """Of the other, in our columns and types."""
    their_keys: Keys
    """As they are in the other database."""
    is_new: Bools
    merged: Merged
    """Of those that are not new."""
    other_picture: Bools
    """bool: of those that are not new, which have another picture on each side."""
    version: int
    """Of our samples that they were compared with."""


def compare_samples(pair: Pair) -> SamplesTold:
    """Return what merging the samples would do; nothing is written.

    Raises:
        DatabaseError: a sample differs and no side was named, or columns do not fit.
    """
    boxes = pair.theirs.schema(SAMPLES).field("objects")
    if lacking(pair.ours.schema(SAMPLES), boxes):  # those of the first releases lack fields
        pair.ours.add_columns(SAMPLES, [boxes])
    told = SamplesTold(new_columns=tuple(f.name for f in _new_columns(pair)))
    keys, contents = [], []
    for part in _parts(pair):
        here = ~part.is_new
        told.added += int(part.is_new.sum())
        differing = part.merged.differing | part.other_picture
        told.filled += int(part.merged.filled.sum())
        told.differing += int(differing.sum())
        told.unchanged += int((~part.merged.filled & ~differing).sum())
        told.columns += part.merged.columns
        told.columns["picture"] += int(part.other_picture.sum())
        if len(told.examples) < _LISTED:
            ids = of_rows(part.merged.table, differing)["id"]
            told.examples += ids[: _LISTED + 1].to_pylist()
        content = content_of(part.rows["sha256"])
        if pair.side != "theirs":
            content[np.flatnonzero(here)[part.other_picture]] = NOT_TAKEN
        keys.append(part.rows["key"].to_numpy())
        contents.append(content)
    told.columns = +told.columns
    if told.differing and pair.side is None:
        raise _differ(told)
    if keys:
        told.keys, told.contents = np.concatenate(keys), np.concatenate(contents)
    return told


def write_samples(pair: Pair, progress: Watch) -> None:
    """Write what `compare_samples` told: first pictures, then the samples that have them."""
    new = _new_columns(pair)
    if new:
        pair.ours.add_columns(SAMPLES, new)
    if pair.theirs.has(IMAGES):
        pair.ours.create(IMAGES, IMAGES_SCHEMA)
    with bar(pair.theirs.count(SAMPLES), "merge samples", progress) as shown:
        for part in _parts(pair):
            _write(pair, part)
            shown.advance(len(part.rows))


def _write(pair: Pair, part: _Part) -> None:
    renewed = np.zeros(len(part.rows), bool)
    if pair.side == "theirs":
        renewed[np.flatnonzero(~part.is_new)[part.other_picture]] = True
    _write_pictures(pair, part, part.is_new | renewed)
    store = pair.ours
    if part.merged.changed.any() or renewed.any():
        rows = part.merged.table
        if renewed.any():
            rows = _with_pictures(rows, of_rows(part.rows, ~part.is_new), part.other_picture)
        changed = part.merged.changed | renewed[~part.is_new]
        store.upsert(SAMPLES, of_rows(rows, changed), insert=False, expected_version=part.version)
    if part.is_new.any():
        store.insert(SAMPLES, of_rows(part.rows, part.is_new))


def _with_pictures(mine: pa.Table, yours: pa.Table, where: Bools) -> pa.Table:
    """Return our rows with what belongs to the pictures of the other."""
    for name in sorted(_OF_PICTURE & set(mine.column_names)):
        mine = with_values(mine, name, one_array(yours[name]), where)
    return mine


def _write_pictures(pair: Pair, part: _Part, wanted: Bools) -> None:
    """Write encoded pictures; a sample that lies elsewhere has none."""
    if not wanted.any() or not pair.theirs.has(IMAGES):
        return
    at = np.flatnonzero(wanted)
    at = at[np.argsort(pair.theirs.positions(IMAGES, part.their_keys[at]), kind="stable")]
    waiting: list[pa.Table] = []
    for start in range(0, len(at), _PICTURES):
        keys = part.their_keys[at[start : start + _PICTURES]]
        rows, _ = pair.theirs.find(IMAGES, keys, IMAGES_SCHEMA.names)
        waiting.append(pair.keyed(rows.select(IMAGES_SCHEMA.names)))
        if sum(table.nbytes for table in waiting) > _BYTES:
            pair.ours.upsert(IMAGES, pa.concat_tables(waiting))
            waiting = []
    if sum(map(len, waiting)):
        pair.ours.upsert(IMAGES, pa.concat_tables(waiting))


def _parts(pair: Pair) -> Iterator[_Part]:
    """Yield the samples of the other, some at a time, beside those of ours that have their ids."""
    stored = pair.ours.schema(SAMPLES)
    schema = pa.schema([*stored, *_new_columns(pair)])
    derived = computed_of(pair.ours).keys()  # by the same expressions, or this is not reached
    apart = {*_OF_PICTURE, *derived, "id", "key"}
    brought = [name for name in schema.names if name not in apart]
    for batch in pair.theirs.scan(SAMPLES, batch_size=_ROWS):
        table = pa.Table.from_batches([batch])
        their_keys = table["key"].to_numpy()
        rows = fitted(pair.keyed(with_columns(table, _common(table, schema))), schema, "samples")
        version = pair.ours.version(SAMPLES)
        keys, ids = rows["key"].to_numpy(), rows["id"].to_pylist()
        old, is_here = pair.ours.find(SAMPLES, keys, stored.names, ids=ids, version=version)
        mine, yours = with_columns(old, schema), of_rows(rows, is_here)
        if (strangers := differs(mine["id"], yours["id"])).any():
            raise DatabaseError(
                f"'{of_rows(mine, strangers)['id'][0]}' and "
                f"'{of_rows(yours, strangers)['id'][0]}' have the same key.",
                "give the other a prefix (prefix=, --prefix); nothing was written.",
            )
        other = _other_pictures(mine, yours)
        takes = ~other if pair.side != "theirs" else np.ones(len(mine), bool)
        cells = merged(mine, yours, brought, pair.side, takes)
        yield _Part(rows, their_keys, ~is_here, cells, other, version)


def _common(table: pa.Table, schema: pa.Schema) -> pa.Schema:
    """Return the columns of ours, those that the other has in the type that it has them in."""
    has = set(table.column_names)
    return pa.schema([table.schema.field(f.name) if f.name in has else f for f in schema])


def _other_pictures(mine: pa.Table, yours: pa.Table) -> Bools:
    """Return bool (n,): where the pictures are not the same; by address where nobody read one."""

    def both_have(name: str) -> Bools:
        valid: list[Bools] = [np.asarray(one_array(t[name]).is_valid()) for t in (mine, yours)]
        return valid[0] & valid[1]

    by_hash = both_have("sha256")
    by_place = ~by_hash & both_have("uri")
    return np.asarray(
        (by_hash & differs(mine["sha256"], yours["sha256"]))
        | (by_place & differs(mine["uri"], yours["uri"]))
    )


def _new_columns(pair: Pair) -> list[pa.Field]:
    """Return the columns that only the other has.

    Raises:
        DatabaseError: the name of one is that of a column of ours but for its case, or of a model.
    """
    ours, theirs = pair.ours.schema(SAMPLES), pair.theirs.schema(SAMPLES)
    taken = [n.removeprefix(PREDICTIONS) for n in pair.ours.names() if n.startswith(PREDICTIONS)]
    new = []
    for column in theirs:
        if column.name in ours.names:
            continue
        twin = sql.twin_of(column.name, ours.names)
        if twin or column.name in taken:
            raise DatabaseError(
                f"The column '{column.name}' of the other database differs by case only from "
                f"'{twin}', which is here."
                if twin
                else f"The column '{column.name}' of the other database is a model's name here.",
                "rename one of the two; nothing was written.",
            )
        new.append(column)
    return new


def _differ(told: SamplesTold) -> DatabaseError:
    columns = ", ".join(f"{name} ({n:,})" for name, n in told.columns.most_common())
    return DatabaseError(
        f"{numbers.count(told.differing, 'sample differs', 'samples differ')} between the two "
        f"databases: {first_few(told.examples, told.differing)}; in {columns}.",
        "on_conflict='ours' or 'theirs' (--on-conflict) says which holds, prefix= (--prefix) keeps "
        "both; nothing was written.",
    )
