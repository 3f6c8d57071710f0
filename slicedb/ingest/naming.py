"""Find where the images of a table's rows are, and name the samples."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.ingest.places import Places, posix
from slicedb.ingest.source import Options
from slicedb.ingest.walk import tree_of
from slicedb.sources import Location, is_remote

_LOOKED_AT = 32
"""Paths of which one has to exist for its folder to be the one that all are relative to."""
_ODD = r"//|(^|/)\.\.?(/|$)|/$"
"""What the normal form of a path does not have."""


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
        if options.images is not None and "path" not in roles:
            raise IngestError(
                f"images (--images) does nothing for '{location}', which names no image files.",
                "leave it out, or name the column of paths: path_column (--path-column).",
            )
        image = schema.field(roles["image"]).type if "image" in roles else None
        self._in_struct = image is not None and pa.types.is_struct(image)
        self._base: tuple[str, Places | None] | None = None
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
        image = self._image(batch)
        paths = self._paths(batch)
        columns = {"id": self.ids(batch, start), "uri": self._located(paths)}
        if image is None:
            return columns
        inside = pc.is_valid(image)
        columns["uri"] = pc.if_else(inside, pa.scalar(None, pa.string()), columns["uri"])
        return {**columns, "image": image}

    def ids(self, batch: pa.RecordBatch, start: int) -> pa.Array:
        """Return the id of each row: the id column, else the path, else the row's number.

        Raises:
            IngestError: a row has none.
        """
        prefix = self._options.prefix
        if "id" in self._roles:
            given = _text(batch[self._roles["id"]])
        else:
            given = self._relative(self._paths(batch))
            if "path" not in self._roles and _has_gaps(given):
                stem, rows = self._location.stem, range(start, start + len(given))
                numbers = pa.array([f"{stem}/{row:08d}" for row in rows], pa.string())
                given = pc.if_else(_is_empty(given), numbers, given)
        if _has_gaps(given):
            what = "id" if "id" in self._roles else "path"
            row = start + pc.index(_is_empty(given), True).as_py() + 1
            raise IngestError(
                f"Row {row:,} of '{self._location}' has no {what}.",
                "fill it in or remove the row; nothing of it was written.",
            )
        return pc.binary_join_element_wise(prefix, given, "/") if prefix else given

    def _paths(self, batch: pa.RecordBatch) -> pa.Array:
        if "path" in self._roles:
            return _text(batch[self._roles["path"]])
        if self._in_struct:
            image = batch[self._roles["image"]]
            if image.type.get_field_index("path") >= 0:
                return _text(pc.struct_field(image, "path"))
        return pa.nulls(batch.num_rows, pa.string())

    def _image(self, batch: pa.RecordBatch) -> pa.Array | None:
        if "image" not in self._roles:
            return None
        image = batch[self._roles["image"]]
        image = pc.struct_field(image, "bytes") if self._in_struct else image
        return image.cast(pa.large_binary())

    def _relative(self, paths: pa.Array) -> pa.Array:
        """Return paths as ids: posix, relative to the file's folder where they lie inside."""
        tidy = _tidy(pc.replace_substring(paths, "\\", "/"), posixpath.normpath)
        home = f"{self._home}/"
        inside = pc.starts_with(tidy, home)
        if not pc.any(inside).as_py():
            return tidy
        return pc.if_else(inside, pc.utf8_slice_codeunits(tidy, len(home), None), tidy)

    def _located(self, paths: pa.Array) -> pa.Array:
        """Return where the images are: an absolute path, or a URI as it is given."""
        if paths.null_count == len(paths):
            return paths
        scheme = "file://"
        if pc.any(pc.starts_with(paths, scheme)).as_py():
            bare = pc.utf8_slice_codeunits(paths, len(scheme), None)
            paths = pc.if_else(pc.starts_with(paths, scheme), bare, paths)
        is_uri = pc.match_substring(paths, "://")
        base, places = self._base_of(paths)
        if places is not None:
            return self._searched(paths, base, places)
        paths = self._slashed(paths, base)
        elsewhere = pc.or_(is_uri, pc.starts_with(paths, "/"))
        joined = pc.binary_join_element_wise(base.removesuffix("/"), paths, "/")
        joined = pc.if_else(elsewhere, paths, joined)
        is_uri = pc.match_substring(joined, "://")
        return pc.if_else(is_uri, paths, _tidy(joined, os.path.normpath))

    def _slashed(self, paths: pa.Array, base: str) -> pa.Array:
        """Return paths as Windows writes them with slashes, unless a file is called so."""
        odd = pc.fill_null(pc.match_substring(paths, "\\"), False)
        if not pc.any(odd).as_py():
            return paths
        some = paths.filter(odd)[:_LOOKED_AT].to_pylist()
        if any(Location(base).join(path).is_file() for path in some):
            return paths
        return pc.if_else(odd, pc.replace_substring(paths, "\\", "/"), paths)

    def _searched(self, paths: pa.Array, base: str, places: Places) -> pa.Array:
        """Return where the images lie that are not where their paths say, by their names."""
        home = Location(base)
        located = []
        for path in paths.to_pylist():
            if path is None or is_remote(path):
                located.append(path)
                continue
            place = places.find(path)
            located.append(home.join(place or posix(path)).path)
        return pa.array(located, pa.string())

    def finds(self, paths: pa.Array) -> bool:
        """Return whether one of the first paths leads to a picture."""
        uris = self._located(_text(paths)[:_LOOKED_AT]).to_pylist()
        return any(uri is not None and Location(uri).is_file() for uri in uris)

    def _base_of(self, paths: pa.Array) -> tuple[str, Places | None]:
        """Return the folder that paths are relative to, where one of the first is found.

        Where none is found in any, the images below the folder come with it, to be searched.
        """
        if self._base is None:
            given = self._options.images
            bases = [self._home, os.getcwd()] if given is None else [os.path.abspath(given)]
            some = [path for path in paths[:_LOOKED_AT].to_pylist() if path and "://" not in path]
            some += [posix(path) for path in some if "\\" in path]
            found = (b for b in bases if any(Location(b).join(s).is_file() for s in some))
            base = next(found, None)
            places = None
            if base is None and some and Location(bases[0]).is_folder():
                places = Places(tree_of(Location(bases[0])))
                if not any(places.find(path) for path in some):
                    places = None
            self._base = (base or bases[0], places)
        return self._base


def _text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string())


def _is_empty(texts: pa.Array) -> pa.Array:
    """Return where a text is null or ""."""
    return pc.fill_null(pc.equal(texts, ""), True)


def _has_gaps(texts: pa.Array) -> bool:
    return bool(pc.any(_is_empty(texts)).as_py())


def _tidy(paths: pa.Array, normal: Callable[[str], str]) -> pa.Array:
    """Return paths in their normal form; those that are in it already never become Python's."""
    odd = pc.fill_null(
        pc.and_(pc.match_substring_regex(paths, _ODD), pc.not_equal(paths, "")), False
    )
    if not pc.any(odd).as_py():
        return paths
    tidied = [normal(path) for path in paths.filter(odd).to_pylist()]
    return pc.replace_with_mask(paths, odd, pa.array(tidied, pa.string()))
