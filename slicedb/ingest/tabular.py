"""CSV, TSV and Parquet files: a column of paths or of encoded images, and metadata.

Paths are relative to the file's own folder (or to the working directory, where the images are
found there instead). Hugging Face's image columns, a struct of `bytes` and `path`, are understood,
and so are its class names.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError, SourceError
from slicedb.ingest import columns as cols
from slicedb.ingest import nearly
from slicedb.ingest.source import BYTES, ROWS, Options, Source

_BAD_VALUE = re.compile(r"In CSV column #(\d+): .*conversion error to (.+?): (invalid value '.*')")
_TEXT = ("path", "id", "label", "split", "caption")


@dataclass(frozen=True)
class _Table:
    """A table on disk, whatever its format."""

    schema: pa.Schema
    total: int
    batches: Callable[[list[str] | None], Iterable[pa.RecordBatch]]
    """Columns (None: all) -> batches, from the start each time."""
    notes: tuple[str, ...] = ()


def read_csv(path: Path, options: Options) -> Source:
    """Open a CSV or TSV file; types are inferred, dates and times recognised.

    Raises:
        SourceError: the file cannot be read or has no rows.
        IngestError: a column is missing, of a wrong type, or holds an id twice.
    """
    table = _load_csv(path, options)
    _refuse_same_names(path, table.schema)
    return _source(
        path,
        _Table(
            table.schema,
            table.num_rows,
            lambda names: table.select(names or table.schema.names).to_batches(ROWS),
            nearly.notes(table, _free(table.schema, options)),
        ),
        options,
    )


def read_parquet(path: Path, options: Options) -> Source:
    """Open a Parquet file; it is read row group by row group.

    Raises:
        SourceError: the file cannot be read or has no rows.
        IngestError: a column is missing, of a wrong type, or holds an id twice.
    """
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    _refuse_same_names(path, file.schema_arrow)
    average = 1 + path.stat().st_size // max(1, file.metadata.num_rows)  # bytes a row
    rows = max(1, min(ROWS, BYTES // average))
    return _source(
        path,
        _Table(
            file.schema_arrow,
            file.metadata.num_rows,
            lambda names: file.iter_batches(rows, columns=names),
        ),
        options,
    )


def _unreadable(path: Path, error: Exception) -> SourceError:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SourceError(f"Cannot read '{path}': {said}", "check the file and its permissions.")


def _load_csv(path: Path, options: Options) -> pa.Table:
    """Read the whole file; columns that play a text role, or are text already, stay text."""
    import pyarrow.csv as pacsv

    names: list[str] = []
    try:
        parse = pacsv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True)
        with pacsv.open_csv(path, parse_options=parse) as head:
            names = head.schema.names
        text = pa.schema([pa.field(name, pa.string()) for name in names])
        found = cols.roles(text, options)
        types = {name: _known_type(name, options) for name in names}
        types |= {found[role]: pa.string() for role in _TEXT if role in found}
        convert = pacsv.ConvertOptions(
            column_types={name: kind for name, kind in types.items() if kind is not None}
        )
        table = pacsv.read_csv(path, parse_options=parse, convert_options=convert)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        if "Empty CSV" in str(error):
            raise SourceError(f"'{path}' is empty.", "it needs a header and rows.") from error
        if bad := _BAD_VALUE.search(str(error)):
            raise IngestError(
                f"Column '{names[int(bad[1])]}' of '{path}' is text, but {bad[2]} in samples: "
                f"{bad[3]}.",
                "correct the value or rename the column; nothing was written.",
            ) from error
        raise _unreadable(path, error) from error
    return pa.table([_empty_to_null(column) for column in table.columns], names)


def _delimiter(path: Path) -> str:
    """Return what stands between the names of the header most often."""
    with open(path, encoding="utf-8-sig") as file:
        header = file.readline()
    return max(",\t;|", key=header.count)


def _empty_to_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)


def _known_type(name: str, options: Options) -> pa.DataType | None:
    """Return the type a CSV column has to be read as, None to infer it."""
    if name in cols.MEASURED or name not in options.existing.names:
        return None
    kind = options.existing.field(name).type
    return pa.string() if pa.types.is_nested(kind) else kind


def _refuse_same_names(path: Path, schema: pa.Schema) -> None:
    twice = [name for name, n in Counter(schema.names).items() if n > 1]
    if twice:
        raise IngestError(f"'{path}' has two columns '{twice[0]}'.", "rename one of them.")


def _free(schema: pa.Schema, options: Options) -> list[str]:
    """Return the columns whose type nothing but their values decides."""
    texts = {name for role, name in cols.roles(schema, options).items() if role in _TEXT}
    return [name for name in schema.names if name not in texts | set(options.existing.names)]


def _source(path: Path, table: _Table, options: Options) -> Source:
    if not table.total:
        raise SourceError(f"'{path}' has no rows.", "it needs one row an image.")
    found = cols.roles(table.schema, options)
    if "path" not in found and "image" not in found:
        raise IngestError(
            f"'{path}' has no column of paths or images among {', '.join(table.schema.names)}.",
            "path_column (--path-column) or image_column (--image-column) names it.",
        )
    rows = _Rows(path, table.schema, found, options)
    _refuse_duplicates(path, table, rows)
    columns, notes = cols.plan(table.schema, found, options)
    fixed = {"split": options.split, "label": options.label}
    fixed_values = {name: value for name, value in fixed.items() if value is not None}
    kept = [column for column in columns if column.name not in fixed_values]
    wanted = [*rows.columns, *(column.source for column in kept)]

    def batches() -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in table.batches(list(dict.fromkeys(wanted))):
            said = rows.place(batch, start)
            said |= {column.name: column.convert(batch[column.source]) for column in kept}
            for name, value in fixed_values.items():
                said[name] = pa.array([value] * batch.num_rows, pa.string())
            start += batch.num_rows
            yield pa.RecordBatch.from_pydict(said)

    fields = [pa.field(column.name, column.type) for column in kept]
    fields += [pa.field(name, pa.string()) for name in fixed_values]
    where = os.path.abspath(path)
    wins = frozenset(field.name for field in fields)
    carries = "image" in found
    return Source(
        where,
        fields,
        batches(),
        table.total,
        wins,
        carries_images=carries,
        notes=[*table.notes, *notes],
    )


class _Rows:
    """Where the images of the rows are, and what the rows are called."""

    def __init__(
        self, path: Path, schema: pa.Schema, found: dict[str, str], options: Options
    ) -> None:
        self._path = path
        self._options = options
        self._found = found
        image = schema.field(found["image"]).type if "image" in found else None
        self._in_struct = image is not None and pa.types.is_struct(image)
        self._base: str | None = None
        self.columns = [found[role] for role in ("id", "path", "image") if role in found]

    @property
    def naming(self) -> list[str]:
        """The columns that say what the rows are called, in Parquet's dotted notation."""
        for role in ("id", "path"):
            if role in self._found:
                return [self._found[role]]
        return [f"{self._found['image']}.path"] if self._in_struct else []

    def place(self, batch: pa.RecordBatch, start: int) -> dict[str, pa.Array]:
        """Return id, uri and, where the source carries it, image.

        Args:
            batch: rows of the source.
            start: number of rows before them.
        """
        paths = self._paths(batch)
        image = self._image(batch)
        ids = pa.array(self.ids(batch, start), pa.string())
        inside = [False] * len(ids) if image is None else image.is_valid().to_pylist()
        uris = [
            None if has_bytes or path is None else self._locate(path, paths)
            for path, has_bytes in zip(paths, inside)
        ]
        said = {"id": ids, "uri": pa.array(uris, pa.string())}
        return said if image is None else {**said, "image": image}

    def ids(self, batch: pa.RecordBatch, start: int) -> list[str]:
        """Return the id of each row: the id column, else the path, else the row's number.

        Raises:
            IngestError: a row has none.
        """
        options = self._options
        if "id" in self._found:
            given = batch[self._found["id"]].cast(pa.string()).to_pylist()
        else:
            given = [path and self._relative(path) for path in self._paths(batch)]
            if "path" not in self._found and None in given:
                given = [
                    name or f"{self._path.stem}/{start + i:08d}" for i, name in enumerate(given)
                ]
        if None in given or "" in given:
            row = start + next(i for i, name in enumerate(given) if not name) + 1
            raise IngestError(
                f"Row {row:,} of '{self._path}' has no {'id' if 'id' in self._found else 'path'}.",
                "fill it in or remove the row; nothing of it was written.",
            )
        return [options.id_of(name) for name in given if name]

    def _paths(self, batch: pa.RecordBatch) -> list[str | None]:
        if "path" in self._found:
            return list(batch[self._found["path"]].cast(pa.string()).to_pylist())
        if self._in_struct:
            image = batch[self._found["image"]]
            if image.type.get_field_index("path") >= 0:
                return list(pc.struct_field(image, "path").to_pylist())
        return [None] * batch.num_rows

    def _image(self, batch: pa.RecordBatch) -> pa.Array | None:
        if "image" not in self._found:
            return None
        image = batch[self._found["image"]]
        image = pc.struct_field(image, "bytes") if self._in_struct else image
        return image.cast(pa.large_binary())

    def _relative(self, path: str) -> str:
        """Return a path as an id: posix, relative to the file's folder where it lies inside."""
        path = posixpath.normpath(path.replace("\\", "/"))
        home = os.path.abspath(self._path.parent)
        return path.removeprefix(f"{home}/")

    def _locate(self, path: str, sample: list[str | None]) -> str:
        """Return the absolute path of an image."""
        path = path.removeprefix("file://")
        if "://" in path:
            return path
        if self._base is None:
            bases = (os.path.abspath(self._path.parent), os.getcwd())
            some = [other for other in sample[:32] if other]
            self._base = next(
                (b for b in bases if any(os.path.exists(os.path.join(b, s)) for s in some)),
                bases[0],
            )
        return os.path.normpath(os.path.join(self._base, path))


def _refuse_duplicates(path: Path, table: _Table, rows: _Rows) -> None:
    """Raise when two rows have the same id, before anything is written."""
    if not rows.naming:
        return
    chunks, start = [], 0
    for batch in table.batches(rows.naming):
        chunks.append(pa.array(rows.ids(batch, start), pa.string()))
        start += batch.num_rows
    ids = pa.chunked_array(chunks, pa.string())
    if len(pc.unique(ids)) == len(ids):
        return
    first: dict[str, int] = {}
    for number, name in enumerate(ids.to_pylist(), 1):
        if first.setdefault(name, number) != number:
            raise IngestError(
                f"Id '{name}' stands in rows {first[name]:,} and {number:,} of '{path}'.",
                "ids have to be unique: name another id_column, or remove one of the rows.",
            )
