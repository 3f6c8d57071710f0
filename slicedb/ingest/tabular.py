"""Read tables whose rows are images, whatever file they come from.

Paths are relative to the file's own folder, or to the working directory where the images are
found there instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb.errors import IngestError, SourceError, did_you_mean
from slicedb.ingest import columns as cols
from slicedb.ingest.convert import Column, is_text
from slicedb.ingest.known import collision
from slicedb.ingest.labels import marked_labels, names_of, one_label, several_labels
from slicedb.ingest.naming import Naming
from slicedb.ingest.sizes import COLUMNS, Size, Sizes, in_pixels
from slicedb.ingest.source import Options, Source
from slicedb.keys import KeyIndex, Keys
from slicedb.schema import keys_of
from slicedb.sources import Location

_SIZES = (
    ("width", "height"),
    ("image_width", "image_height"),
    ("img_width", "img_height"),
    ("original_width", "original_height"),
)
"""Columns that state the size of a picture."""
_HASHED = 1 << 18
"""Rows whose ids are hashed at once, by several threads."""


@dataclass(frozen=True)
class Table:
    """A table on disk, whatever its format."""

    location: Location
    schema: pa.Schema
    total: int
    """Number of rows."""
    batches: Callable[[list[str]], Iterable[pa.RecordBatch]]
    """From the names of columns to their batches, from the start each time."""
    in_shares: bool = False
    """Whether the boxes of `objects` are fractions of their pictures."""

    def source(self, options: Options, notes: Sequence[str] = ()) -> Source:
        """Return the table as a source.

        Args:
            options: of the ingest.
            notes: of its reader, for the report.

        Raises:
            SourceError: it has no rows.
            IngestError: a column is missing, of a wrong type, or holds an id twice.
        """
        if not self.total:
            raise SourceError(f"'{self.location}' has no rows.", "it needs one row an image.")
        roles = cols.roles(self.schema, options)
        has_pictures = "path" in roles or "image" in roles
        rows = Naming(self.location, self.schema, roles, options)
        if "path" in roles and roles["path"] == roles.get("id") and "path" not in options.columns:
            some = next(iter(self.batches([roles["path"]])))
            has_pictures = rows.finds(some[roles["path"]])  # ids are paths only where they lead
        if not has_pictures and not (options.later and "id" in roles):
            raise IngestError(
                f"'{self.location}' has no column of paths or images among "
                f"{', '.join(self.schema.names)}.",
                "path_column (--path-column) or image_column (--image-column) names it.",
            )
        keys = _distinct_keys(self, rows)
        labels, told, roles = self._labels(roles, options)
        columns, renamed = cols.plan(self.schema, roles, options)
        columns = [c for c in columns if c.name not in labels or c.source == roles.get(c.name)]
        given = {"split": options.split, "label": options.label}
        constants = {name: value for name, value in given.items() if value is not None}
        columns = [column for column in columns if column.name not in constants]
        fitted, about = self._fitted(rows, columns, options)
        fitted |= {name: column for name, column in labels.items() if name not in constants}
        about += told
        names = {column.name for column in columns}
        fields = [pa.field(column.name, column.type) for column in columns]
        fields += [
            pa.field(name, fitted[name].type)
            for name in labels
            if name in fitted and name not in names
        ]
        fields += [pa.field(name, pa.string()) for name in constants]
        fields += [pa.field(name, fitted[name].type) for name in COLUMNS if name in fitted]
        return Source(
            self.location.path,
            fields,
            self._converted(rows, columns, constants, fitted),
            self.total,
            frozenset(field.name for field in fields),
            named="id" in roles,
            carries_images="image" in roles,
            notes=[*notes, *about, *renamed],
            renamed=renamed,
            keys=keys,
        )

    def _labels(
        self, roles: dict[str, str], options: Options
    ) -> tuple[dict[str, pa.Array], list[str], dict[str, str]]:
        """Return `label` and `labels` as they are meant, notes, and the roles of columns.

        Raises:
            IngestError: a column that was named is not there, or holds something else.
        """
        asked = names_of(options.labels, self.schema.names)
        for name in asked:
            if name not in self.schema.names:
                raise IngestError(f"No column '{name}'.", did_you_mean(name, self.schema.names))
        found: dict[str, pa.Array] = {}
        notes: list[str] = []
        if len(asked) > 1:
            marks = {name: self._column(name) for name in asked}
            column, is_one, notes = marked_labels(marks)
            found["label" if is_one else "labels"] = column.combine_chunks()
        elif asked or "labels" in self.schema.names:
            name = asked[0] if asked else "labels"
            kind = self.schema.field(name).type
            if asked or is_text(kind):
                column, notes = several_labels(self._column(name), options.separator)
                found["labels"] = column.combine_chunks()
                roles = {**{r: c for r, c in roles.items() if c != name}, "labels": name}
        label = roles.get("label")
        if label is not None and "label" not in found and options.label is None:
            column, about = one_label(self._column(label))
            found["label"] = column.combine_chunks()
            notes += about
        return found, notes, roles

    def _column(self, name: str) -> pa.ChunkedArray:
        chunks = [batch[name] for batch in self.batches([name])]
        return pa.chunked_array(chunks, self.schema.field(name).type)

    def _fitted(
        self, rows: Naming, columns: Sequence[Column], options: Options
    ) -> tuple[dict[str, pa.Array], list[str]]:
        """Return boxes held against their pictures where the table states sizes, and notes.

        The columns are `objects`, and those of `Sizes`; there are none without boxes or sizes.
        """
        objects = next((column for column in columns if column.name == "objects"), None)
        lower = {name.lower(): name for name in self.schema.names}
        named = next((pair for pair in _SIZES if set(pair) <= lower.keys()), None)
        if objects is None or (named is None and not self.in_shares):
            return {}, []
        sides = [lower[name] for name in named or ()]
        sizes, parts, start = Sizes(), [], 0
        for batch in self.batches(list(dict.fromkeys([*rows.columns, objects.source, *sides]))):
            values = rows.place(batch, start)
            boxes = objects.convert(batch[objects.source]).to_pylist()
            images = values["image"].to_pylist() if "image" in values else [None] * len(boxes)
            nothing = [(None, None)] * len(boxes)
            stated = zip(*(batch[side].to_pylist() for side in sides)) if sides else nothing
            if not options.later or self.in_shares:
                sizes.prepare(uri for uri in values["uri"].to_pylist() if uri is not None)
            for i, (image, uri, size) in enumerate(zip(images, values["uri"].to_pylist(), stated)):
                picture, known = image or uri, _size(size)
                if self.in_shares and boxes[i]:
                    boxes[i] = in_pixels(
                        boxes[i], known or (sizes.size_of(picture) if picture else None)
                    )
                if picture is None or options.later or boxes[i] is None:
                    sizes.skip(known if options.later else None)
                else:
                    boxes[i], _ = sizes.fit(picture, known, boxes[i])
            parts.append(pa.array(boxes, objects.type))
            start += batch.num_rows
        return {"objects": pa.concat_arrays(parts), **sizes.columns()}, list(sizes.notes())

    def _converted(
        self,
        rows: Naming,
        columns: Sequence[Column],
        constants: Mapping[str, str],
        fitted: Mapping[str, pa.Array],
    ) -> Iterator[pa.RecordBatch]:
        start = 0
        wanted = [*rows.columns, *(column.source for column in columns)]
        for batch in self.batches(list(dict.fromkeys(wanted))):
            values = rows.place(batch, start)
            values |= {
                column.name: column.convert(batch[column.source])
                for column in columns
                if column.name not in fitted
            }
            values |= {name: column.slice(start, len(batch)) for name, column in fitted.items()}
            for name, value in constants.items():
                values[name] = pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)
            start += batch.num_rows
            yield pa.RecordBatch.from_pydict(values)


def _size(sides: tuple[object, ...]) -> Size | None:
    """Return a stated size; None where it is none."""
    width, height = (side if isinstance(side, int | float) else 0 for side in sides)
    return (float(width), float(height)) if width > 0 and height > 0 else None


def unreadable(location: Location, error: Exception) -> SourceError:
    """Return the error for a table that cannot be read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SourceError(f"Cannot read '{location}': {reason}", "check the file and its permissions.")


def refuse_same_names(location: Location, schema: pa.Schema) -> None:
    """Raise where two columns have one name."""
    twice = [name for name, n in Counter(schema.names).items() if n > 1]
    if twice:
        raise IngestError(f"'{location}' has two columns '{twice[0]}'.", "rename one of them.")


def _distinct_keys(table: Table, rows: Naming) -> Keys | None:
    """Return the key of each row, int64 (total,); None where rows are named by their bytes.

    Raises:
        IngestError: two rows have the same id; nothing is written then.
    """
    if not rows.naming:
        return None
    parts: list[Keys] = []
    held: list[pa.Array] = []
    start = 0
    for batch in table.batches(rows.naming):
        held.append(rows.ids(batch, start))
        start += batch.num_rows
        if start - sum(map(len, parts)) >= _HASHED or start == table.total:
            parts.append(keys_of(pa.concat_arrays(held)))
            held = []
    keys = np.concatenate(parts)
    ascending = np.sort(keys)
    doubled = ascending[1:][ascending[1:] == ascending[:-1]]
    if len(doubled):
        raise _same(table, rows, np.flatnonzero(KeyIndex(doubled).has(keys)))
    return keys


def _same(table: Table, rows: Naming, at: Keys) -> IngestError:
    """Return the error for rows of which some have one key, int64 (m,), ascending."""
    first: dict[int, tuple[str, int]] = {}
    start = 0
    for batch in table.batches(rows.naming):
        here = at[(at >= start) & (at < start + batch.num_rows)] - start
        names = rows.ids(batch, start).take(pa.array(here)).to_pylist()
        for name, key, row in zip(names, keys_of(names).tolist(), (here + start + 1).tolist()):
            other, earlier = first.setdefault(key, (name, row))
            if other != name:
                return collision(other, name)
            if earlier != row:
                return IngestError(
                    f"Id '{name}' stands in rows {earlier:,} and {row:,} of '{table.location}'.",
                    "ids have to be unique: name another id_column, or remove one of the rows. A "
                    "CSV with a row per box has a column bbox ([x, y, w, h]), or xmin, ymin, xmax, "
                    "ymax, or x, y, w, h.",
                )
        start += batch.num_rows
    raise AssertionError("no two rows have one key")
