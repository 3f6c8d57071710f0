"""Metadata files inside a folder of images, as Hugging Face's ImageFolder has them.

    metadata.csv, metadata.jsonl, metadata.parquet      beside the images or above them

Each row names an image in its column `file_name`, relative to the file's own folder; its other
columns become those of the sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from slicedb.errors import IngestError
from slicedb.ingest import columns as cols
from slicedb.ingest import csv
from slicedb.ingest.convert import Column
from slicedb.ingest.jsonlines import table_of_lines
from slicedb.ingest.labels import one_label
from slicedb.ingest.parquet import table_of
from slicedb.ingest.places import posix
from slicedb.ingest.source import Options
from slicedb.ingest.walk import Folder, Tree
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

_FILES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
_NAME = "file_name"


class Sidecar:
    """The rows of all metadata files of a folder.

    Args:
        tree: of the folder.
        options: of the ingest.

    Raises:
        SourceError: a file is broken.
        IngestError: an image has two rows, or a column does not fit `samples`.
    """

    def __init__(self, tree: Tree, options: Options) -> None:
        options = replace(options, pictures=False)
        self.notes: list[str] = []
        self.columns: list[Column] = []
        self._rows: dict[str, int] = {}
        """The place of an image to its row."""
        self._values: dict[str, pa.ChunkedArray] = {}
        self._root = tree.root
        parts: list[pa.Table] = []
        for folder, name in tree.files(*_FILES):
            if name.lower() in _FILES:
                self._take(tree, folder, name, parts, options)
        if not parts:
            return
        table = pa.concat_tables(parts, promote_options="permissive")
        metadata = parts[0].schema.metadata  # says what the columns of Hugging Face hold
        chosen = {
            role: column
            for role, column in cols.roles(table.schema, options).items()
            if role in ("label", "split", "caption") and column != _NAME
        }
        schema = pa.schema([f for f in table.schema if f.name != _NAME], metadata)
        self.columns, notes = cols.plan(schema, chosen, options)
        given = {name for name in ("split", "label") if getattr(options, name) is not None}
        self.columns = [column for column in self.columns if column.name not in given]
        self.notes += notes
        for column in self.columns:
            if column.name == "label":
                self._values["label"], about = one_label(table[column.source])
                self.notes += about
                continue
            chunks = [column.convert(chunk) for chunk in table[column.source].chunks]
            self._values[column.name] = pa.chunked_array(chunks, column.type)

    def _take(
        self, tree: Tree, folder: Folder, name: str, parts: list[pa.Table], options: Options
    ) -> None:
        """Read one file and note which image each of its rows is about."""
        file = tree.root.join(*folder.parts, name)
        table = _read(file, options)
        own = {column.lower(): column for column in table.column_names}.get(_NAME)
        if own is None:
            self.notes.append(
                f"'{folder.place}{name}' has no column file_name, so it was passed over."
            )
            return
        tree.read(folder, name)
        start = len(self._rows)
        for row, given in enumerate(table[own].to_pylist()):
            place = posix(folder.place + str(given))
            if place in self._rows:
                raise IngestError(
                    f"Image '{given}' stands twice in '{file}', or in another metadata file.",
                    "remove one of the rows; nothing was written.",
                )
            self._rows[place] = start + row
        parts.append(table.rename_columns([_NAME if c == own else c for c in table.column_names]))

    def unmatched(self, places: Sequence[str]) -> list[str]:
        """Return what the user should know of images without a row and rows without an image."""
        if not self._rows:
            return []
        notes = []
        there = set(places)
        without = [place for place in places if place not in self._rows]
        lost = [place for place in self._rows if place not in there]
        if without:
            notes.append(
                f"{count(len(without), 'image has', 'images have')} no row in the metadata "
                "files, the "
                f"first is '{without[0]}': {verb(len(without), 'its', 'their')} columns are NULL."
            )
        if lost:
            notes.append(
                f"{count(len(lost), 'row')} of the metadata files "
                f"{verb(len(lost), 'names', 'name')} no "
                f"image of the folder, the first is '{lost[0]}': left out."
            )
        return notes

    @property
    def found(self) -> bool:
        """Whether the folder has such a file."""
        return bool(self._rows)

    def values(self, places: Sequence[str]) -> dict[str, pa.Array]:
        """Return the columns of images, null where no row is about one."""
        at = np.array([self._rows.get(place, -1) for place in places], np.int64)
        index = pa.array(at, mask=at < 0)
        return {name: column.take(index).combine_chunks() for name, column in self._values.items()}


def _read(file: Location, options: Options) -> pa.Table:
    """Return the rows of one metadata file, the names of classes in place of their numbers.

    Raises:
        SourceError: it is broken.
    """
    if file.suffix == ".csv":
        return csv.load(file, options)
    if file.suffix == ".parquet":
        table = table_of(file)
        names = [f.name for f in table.schema if not cols.is_image(f.type)]
        whole = pa.Table.from_batches(
            table.batches(names), pa.schema([table.schema.field(name) for name in names])
        )
        return whole.replace_schema_metadata(table.schema.metadata)
    return table_of_lines(file)
