"""Read WebDataset: tars of pictures with their labels, captions and metadata.

    train-000000.tar                     one tar
    shards/                              a folder of them; the name of each may say the split
    s3://bucket/train-{000..146}.tar     a pattern: braces, * and ?

    0001.jpg  0001.cls  0001.txt  0001.json     a picture, its label, its caption, and the rest

`objects` in the JSON are boxes; its `sample_id`, which `slicedb export` writes, is the id.
Otherwise the id is the key with the ending of the picture, below the name of its tar where two tars
have one key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from slicedb.errors import IngestError, SourceError
from slicedb.ingest.convert import Column
from slicedb.ingest.format import Format
from slicedb.ingest.metadata import columns_in, left_out, raw_columns
from slicedb.ingest.objects import boxes_of
from slicedb.ingest.source import BYTES, ROWS, Options, Row, Source
from slicedb.ingest.splits import SPLITS, split_in
from slicedb.ingest.tarfiles import Passed, TarSample, picture, samples_of
from slicedb.ingest.walk import tree_of
from slicedb.schema import keys_of
from slicedb.show.numbers import count
from slicedb.sources import Location, matching

_OWN = ("objects", "sample_id", "label", "cls", "caption", "__key__", "__url__")
"""Keys of the JSON that are no metadata columns."""


def recognises(location: Location) -> bool:
    """Return whether this is a tar, a pattern of them, or a folder with tars and no pictures."""
    if not location.is_folder():
        return location.suffix == ".tar"
    tree = tree_of(location)
    if any(folder.images for folder in tree.folders.values()):
        return False
    return any(True for _ in tree.files(".tar"))


def _shards(location: Location) -> list[tuple[Location, str | None]]:
    """Return the tars of a source, each with the split that its name says."""
    if location.is_folder():
        tree = tree_of(location)
        places = [(folder, name) for folder, name in tree.files(".tar")]
        places.sort(key=lambda place: (place[0].parts, place[1]))
        return [
            (tree.read(folder, name), _split(name) or split_in(folder.parts))
            for folder, name in places
        ]
    files = [location] if location.is_file() else matching(location.text)
    return [(file, _split(file.name)) for file in files]


def _split(name: str) -> str | None:
    first = re.split(r"[-_.]", name)[0]
    return first if first.lower() in SPLITS else None


@dataclass
class _Samples:
    """The samples of all tars, in columns; the pictures stay where they are."""

    keys: list[str] = field(default_factory=list)
    endings: list[str] = field(default_factory=list)
    named: list[str | None] = field(default_factory=list)
    """`sample_id` of each."""
    shards: list[int] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    """Start and size of each picture in its tar."""
    tables: list[pa.Table] = field(default_factory=list)
    nested: dict[str, None] = field(default_factory=dict)
    _rows: list[Row] = field(default_factory=list)
    _boxes: list[object] = field(default_factory=list)

    def add(self, sample: TarSample, shard: int, split: str | None) -> None:
        """Add one sample."""
        about = sample.about
        self.keys.append(sample.key)
        self.endings.append(sample.ending)
        given = about.get("sample_id")
        self.named.append(None if given is None else str(given))
        self.shards.append(shard)
        self.places.append((sample.start, sample.size))
        label = sample.label or about.get("label", about.get("cls"))
        caption = sample.caption or about.get("caption")
        row = {name: value for name, value in about.items() if name not in _OWN}
        row |= {} if label is None else {"label": str(label)}
        row |= {} if caption is None else {"caption": str(caption)}
        if split is not None and row.get("split") is None:
            row["split"] = split
        self._rows.append(row)
        self._boxes.append(about.get("objects"))
        if len(self._rows) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Turn the rows so far into columns.

        Raises:
            ValueError: the objects of a sample are no boxes.
        """
        if not self._rows:
            return
        try:
            boxes = boxes_of(self._boxes)
        except (ValueError, TypeError) as error:
            raise IngestError(
                f"The objects of a sample are no boxes: {error}.",
                "each needs a bbox [x, y, w, h] in pixels; nothing was written.",
            ) from error
        table, nested = raw_columns(self._rows, ())
        self.nested |= dict.fromkeys(nested)
        # a table of no columns has no rows to append to
        table = pa.table({"objects": boxes, **{n: table[n] for n in table.column_names}})
        self.tables.append(table)
        self._rows, self._boxes = [], []


def read(location: Location, options: Options) -> Source:
    """Open one tar or many; the headers of all are read, and no picture yet.

    Raises:
        SourceError: a tar is broken or cut off, JSON in it is broken, or there is no picture.
        IngestError: a column does not fit, objects are no boxes, or an id stands twice.
    """
    shards = _shards(location)
    passed, samples = Passed(), _Samples()
    for number, (file, split) in enumerate(shards):
        for sample in samples_of(file, passed):
            samples.add(sample, number, split)
    samples.flush()
    if not samples.keys:
        raise SourceError(
            f"No pictures in the tars of '{location}'.",
            "a sample of WebDataset is a picture with members of its name: 1.jpg, 1.cls, 1.json.",
        )
    notes = _told(passed) + left_out(list(samples.nested))
    raw = _one_table(samples.tables)
    columns = columns_in(raw.schema, options, notes)
    ids, is_named = _ids(samples, [file for file, _ in shards], options, notes)
    values = {c.name: _converted(raw[c.source], c) for c in columns}
    if raw["objects"].null_count < raw.num_rows:
        values["objects"] = raw["objects"]
    for name in ("split", "label"):
        if (value := getattr(options, name)) is not None:
            values[name] = pa.chunked_array([pa.array([value] * len(ids), pa.string())])
    table = pa.table({"id": pa.array(ids, pa.string()), **values})
    return Source(
        where=location.path,
        fields=[f for f in table.schema if f.name != "id"],
        batches=_batches(table, samples, [file for file, _ in shards]),
        total=len(ids),
        wins=frozenset(values),
        named=is_named,
        carries_images=True,
        skipped=_skipped(location, passed),
        notes=notes,
    )


def _told(passed: Passed) -> list[str]:
    told = (
        (
            passed.without,
            "sample of the tars has",
            "samples of the tars have",
            "no picture: left out.",
        ),
        (
            passed.pictures,
            "further picture of samples was",
            "further pictures of samples were",
            "left out: the first of each counts.",
        ),
    )
    return [f"{count(n, one, many)} {rest}" for n, one, many, rest in told if n]


def _skipped(location: Location, passed: Passed) -> dict[str, int]:
    counts = Counter({f"{ending} in tars": n for ending, n in passed.endings.items()})
    if location.is_folder():
        counts.update(tree_of(location).skipped())
    return dict(counts)


def _one_table(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the columns of all rows; one that has several types becomes text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        names = {name for table in tables for name in table.column_names}
        kinds = {n: {t.schema.field(n).type for t in tables if n in t.column_names} for n in names}
        odd = {n for n, types in kinds.items() if len(types - {pa.null()}) > 1}
        texts = [_as_texts(table, odd & set(table.column_names)) for table in tables]
        return pa.concat_tables(texts, promote_options="permissive")


def _as_texts(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names:
        values = [None if v is None else str(v) for v in table[name].to_pylist()]
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, pa.array(values, pa.string()))
    return table


def _converted(values: pa.ChunkedArray, column: Column) -> pa.ChunkedArray:
    return pa.chunked_array([column.convert(c) for c in values.chunks], column.type)


def _ids(
    samples: _Samples, files: Sequence[Location], options: Options, notes: list[str]
) -> tuple[list[str], bool]:
    """Return the id of each sample, and whether the samples say them themselves.

    Raises:
        IngestError: an id stands twice.
    """
    ids = [key + ending for key, ending in zip(samples.keys, samples.endings)]
    is_named = None not in samples.named
    if is_named:
        ids = [str(name) for name in samples.named]
    elif len(files) > 1 and len(set(ids)) < len(ids):
        ids = [f"{files[shard].stem}/{name}" for shard, name in zip(samples.shards, ids)]
        notes.append("Two tars have the same keys, so the ids have the names of their tars before.")
    ids = [options.id_of(name) for name in ids]
    keys = keys_of(ids)
    _, first = np.unique(keys, return_index=True)
    if len(first) < len(ids):
        again = np.setdiff1d(np.arange(len(ids)), first)[0]
        raise IngestError(
            f"Sample '{ids[again]}' stands twice, the second time in "
            f"'{files[samples.shards[again]]}'.",
            "the members of a sample stand side by side; nothing was written.",
        )
    return ids, is_named


def _batches(
    table: pa.Table, samples: _Samples, files: Sequence[Location]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows with their pictures, a bounded number of bytes at a time."""
    start = 0
    while start < table.num_rows:
        stop, held = start, 0
        shard = samples.shards[start]
        images: list[bytes] = []
        with files[shard].open() as opened:
            while stop < table.num_rows and samples.shards[stop] == shard and held < BYTES:
                place = samples.places[stop]
                images.append(picture(opened, *place))
                held += place[1]
                stop += 1
                if len(images) == ROWS:
                    break
        rows = table.slice(start, stop - start).combine_chunks()
        columns = {name: _flat(rows[name]) for name in table.column_names}
        columns["uri"] = pa.nulls(len(images), pa.string())
        columns["image"] = pa.array(images, pa.large_binary())
        yield pa.RecordBatch.from_pydict(columns)
        start = stop


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


WEBDATASET = Format(
    "webdataset",
    "tars of WebDataset",
    recognises,
    read,
    "slicedb.export.webdataset:write_webdataset",
    takes=frozenset(),
    endings=(".tar",),
)
