"""Find where the images of a table's rows are, and name the samples."""

from __future__ import annotations

import os
import posixpath

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.ingest.location import Location
from slicedb.ingest.source import Options


class Naming:
    """Where the images of the rows are, and what the rows are called.

    Args:
        location: of the table.
        schema: its columns.
        roles: the column that plays each role.
        options: of the ingest.
    """

    def __init__(
        self, location: Location, schema: pa.Schema, roles: dict[str, str], options: Options
    ) -> None:
        self._location = location
        self._home = location.parent.path
        self._options = options
        self._roles = roles
        image = schema.field(roles["image"]).type if "image" in roles else None
        self._in_struct = image is not None and pa.types.is_struct(image)
        self._base: str | None = None
        self.columns = [roles[role] for role in ("id", "path", "image") if role in roles]

    @property
    def naming(self) -> list[str]:
        """The columns that say what the rows are called, in Parquet's dotted notation."""
        for role in ("id", "path"):
            if role in self._roles:
                return [self._roles[role]]
        return [f"{self._roles['image']}.path"] if self._in_struct else []

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
        columns = {"id": ids, "uri": pa.array(uris, pa.string())}
        return columns if image is None else {**columns, "image": image}

    def ids(self, batch: pa.RecordBatch, start: int) -> list[str]:
        """Return the id of each row: the id column, else the path, else the row's number.

        Raises:
            IngestError: a row has none.
        """
        options = self._options
        if "id" in self._roles:
            given = batch[self._roles["id"]].cast(pa.string()).to_pylist()
        else:
            given = [path and self._relative(path) for path in self._paths(batch)]
            if "path" not in self._roles and None in given:
                given = [
                    name or f"{self._location.stem}/{start + i:08d}" for i, name in enumerate(given)
                ]
        if None in given or "" in given:
            what = "id" if "id" in self._roles else "path"
            row = start + next(i for i, name in enumerate(given) if not name) + 1
            raise IngestError(
                f"Row {row:,} of '{self._location}' has no {what}.",
                "fill it in or remove the row; nothing of it was written.",
            )
        return [options.id_of(name) for name in given if name]

    def _paths(self, batch: pa.RecordBatch) -> list[str | None]:
        if "path" in self._roles:
            return list(batch[self._roles["path"]].cast(pa.string()).to_pylist())
        if self._in_struct:
            image = batch[self._roles["image"]]
            if image.type.get_field_index("path") >= 0:
                return list(pc.struct_field(image, "path").to_pylist())
        return [None] * batch.num_rows

    def _image(self, batch: pa.RecordBatch) -> pa.Array | None:
        if "image" not in self._roles:
            return None
        image = batch[self._roles["image"]]
        image = pc.struct_field(image, "bytes") if self._in_struct else image
        return image.cast(pa.large_binary())

    def _relative(self, path: str) -> str:
        """Return a path as an id: posix, relative to the file's folder where it lies inside."""
        path = posixpath.normpath(path.replace("\\", "/"))
        return path.removeprefix(f"{self._home}/")

    def _locate(self, path: str, sample: list[str | None]) -> str:
        """Return the absolute path of an image."""
        path = path.removeprefix("file://")
        if "://" in path:
            return path
        if self._base is None:
            bases = (self._home, os.getcwd())
            some = [other for other in sample[:32] if other]
            self._base = next(
                (b for b in bases if any(os.path.exists(os.path.join(b, s)) for s in some)),
                bases[0],
            )
        return os.path.normpath(os.path.join(self._base, path))
