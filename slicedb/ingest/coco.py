"""Read COCO JSON: instances and captions (https://cocodataset.org/#format-data).

    instances.json                                    the file itself; images beside it, or --images
    annotations/instances_train2017.json  train2017/  as COCO is published
    train/_annotations.coco.json  train/1.jpg         files beside the images

`iscrowd` and `area` become attributes where the box does not imply them; segmentations are left
out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePath

import pyarrow as pa

from slicedb.errors import SourceError
from slicedb.ingest import columns as cols
from slicedb.ingest.annotated import Annotated, box
from slicedb.ingest.format import Format
from slicedb.ingest.location import Location
from slicedb.ingest.source import Options, Row, Source
from slicedb.ingest.splits import SPLITS, split_in
from slicedb.ingest.walk import tree_of
from slicedb.schema import Box

_OWN = frozenset(
    """
    id image_id category_id bbox segmentation caption iscrowd area attributes score
    """.split()
)
"""Keys of an annotation that are not attributes by themselves."""
_LARGE = 64 << 20
"""Bytes beyond which a JSON file is not opened to see what it is."""
_MANY = 20
"""JSON files in one folder beyond which they are taken for something else, unless so named."""
_PLACES = ("", "images", "data", "..", "../images", "../data")
"""Where images are looked for, from the folder of the file."""


def recognises(location: Location) -> bool:
    """Return whether this is a COCO file, or a folder that holds some."""
    if location.is_folder():
        return next(_files(location), None) is not None
    return location.suffix == ".json" and location.is_file()


def _files(root: Location) -> Iterator[Location]:
    """Yield the COCO files of a folder: those of known names, and others that look like it."""
    for folder, name in tree_of(root).files(".json"):
        file = root.join(*folder.parts, name)
        few = len(folder.ending_in(".json")) <= _MANY
        if _known_name(name) or (few and _looks_like(file)):
            yield file


def _known_name(name: str) -> bool:
    return bool(re.match(r"(instances|captions)_\w+\.json$|_annotations\.coco\.json$", name))


def _looks_like(file: Location) -> bool:
    if file.size() > _LARGE:
        return False
    with file.open() as opened:
        head = opened.read(1 << 16)
    if not head.lstrip().startswith(b"{"):
        return False
    return b'"images"' in head and (b'"file_name"' in head or b'"annotations"' in head)


@dataclass
class _Image:
    """One image of one or more files."""

    row: Row
    """The image's object in the file."""
    uri: str
    """Absolute path."""
    split: str | None
    boxes: list[Box] | None = None
    captions: list[str] = field(default_factory=list)


def read(location: Location, options: Options) -> Source:
    """Open COCO annotations; the images are found by `file_name`.

    Images of a file of instances without annotations have no boxes; those of a file of captions
    alone have NULL.

    Raises:
        SourceError: a file is broken, or there is none.
    """
    files = list(_files(location)) if location.is_folder() else [location]
    if not files:
        raise SourceError(f"No COCO annotations in '{location}'.", "give the JSON file itself.")
    rows = Annotated(location, options)
    images: dict[str, _Image] = {}
    for file in files:
        if location.is_folder():
            tree_of(location).note_read(file)
        try:
            _File(file, location, options, rows).add_to(images)
        except _BrokenError as error:
            rows.broken.append(f"'{file}': {error}.")
    rows.refuse_broken()
    for name, image in images.items():
        size = (image.row.get("width") or 0, image.row.get("height") or 0)
        rows.add(
            name,
            image.uri,
            image.boxes,
            split=image.split,
            size=size if min(size) > 0 else None,
            caption="\n".join(image.captions) or None,
        )
    return rows.source(_metadata([image.row for image in images.values()], rows, options))


class _BrokenError(Exception):
    """What is wrong with a file."""


class _File:
    """One JSON file."""

    def __init__(self, file: Location, root: Location, options: Options, rows: Annotated) -> None:
        self.file, self.root, self.rows = file, root, rows
        self.data = _load(file)
        self.images = self._list("images")
        self.base = _base(file, root, options, self.images)
        self.split = _split(file, root)
        self.names = {c.get("id"): str(c.get("name")) for c in self._list("categories", False)}

    def _list(self, key: str, needed: bool = True) -> list[Row]:
        rows = self.data.get(key)
        if rows is None and not needed:
            return []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _BrokenError(f"'{key}' is not a list of objects")
        return rows

    def add_to(self, images: dict[str, _Image]) -> None:
        """Add the images of this file, and its annotations to those that another file added."""
        here: dict[object, _Image] = {}
        base = self.base.path
        for number, row in enumerate(self.images):
            file_name = row.get("file_name")
            if not file_name or "id" not in row:
                raise _BrokenError(f"images[{number}] has no file_name or no id")
            uri = os.path.normpath(os.path.join(base, str(file_name)))
            name = _relative(uri, str(file_name), self.root)
            new = _Image(row, uri, row.get("split") or self.split)
            if isinstance(row.get("caption"), str):
                new.captions.append(row["caption"])
            image = images.setdefault(name, new)
            image.row = {**row, **image.row}
            if row["id"] in here:
                raise _BrokenError(f"two images have the id {row['id']}")
            here[row["id"]] = image
        annotations = self._list("annotations", False)
        if not annotations and "annotations" not in self.data:
            return
        if self.names or any("bbox" in row for row in annotations):
            for image in here.values():
                if image.row.get("annotated") is not False:  # our export marks the unannotated
                    image.boxes = image.boxes or []
        lost = 0
        for number, row in enumerate(annotations):
            image_of = here.get(row.get("image_id"))
            if image_of is None:
                lost += 1
            elif "bbox" in row:
                image_of.boxes = image_of.boxes if image_of.boxes is not None else []
                image_of.boxes.append(self._box(number, row))
            elif isinstance(row.get("caption"), str):
                image_of.captions.append(row["caption"].strip())
        if lost:
            note = f"{lost:,} annotations of '{self.file.name}' speak of no image in it: left out."
            self.rows.notes.append(note)

    def _box(self, number: int, row: Row) -> Box:
        numbers = row["bbox"]
        try:
            x, y, w, h = (float(value) for value in numbers)
            whole = all(abs(value) < float("inf") for value in (x, y, w, h))
        except (TypeError, ValueError):
            whole = False
        if not whole:
            raise _BrokenError(f"annotations[{number}] has the bbox {numbers!r}, not [x, y, w, h]")
        category = row.get("category_id")
        if category not in self.names:
            known = ", ".join(map(str, list(self.names)[:8])) or "none"
            raise _BrokenError(
                f"annotations[{number}] has the category_id {category!r}, which is none of {known}"
            )
        extra = _attributes(row, w * h)
        attributes = json.dumps(extra, ensure_ascii=False) if extra else None
        score = row.get("score")
        return box(
            self.names[category],
            x,
            y,
            w,
            h,
            attributes=attributes,
            score=float(score) if isinstance(score, int | float) else None,
        )


def _attributes(row: Row, area: float) -> Row:
    extra = {k: v for k, v in row.items() if k not in _OWN and _is_scalar(v)}
    inner = row.get("attributes")
    extra |= {k: v for k, v in inner.items() if _is_scalar(v)} if isinstance(inner, dict) else {}
    if row.get("iscrowd"):
        extra["iscrowd"] = int(row["iscrowd"])
    given = row.get("area")
    if isinstance(given, int | float) and abs(given - area) > 1e-3 * max(area, 1):
        extra["area"] = given  # of the segmentation
    return extra


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float | bool)


def _load(file: Location) -> Row:
    """Read a file; outlines, which are most of it, are dropped as they are read."""

    def lean(value: Row) -> Row:
        value.pop("segmentation", None)
        return value

    try:
        data = json.loads(file.read_bytes().decode("utf-8"), object_hook=lean)
    except json.JSONDecodeError as error:
        raise _BrokenError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise _BrokenError(str(getattr(error, "strerror", None) or error)) from error
    if not isinstance(data, dict) or "images" not in data:
        raise _BrokenError("it has no 'images', so it is not COCO")
    return data


def _base(file: Location, root: Location, options: Options, images: list[Row]) -> Location:
    """Return the folder that the file names are relative to: where some of them are."""
    if options.images is not None:
        return Location(options.images)
    split = _split(file, root, short=False)
    more = [f"{up}{inner}{split}" for up in ("", "../") for inner in ("", "images/")]
    some = [str(image.get("file_name")) for image in images[:32]]
    home = Location(file.parent.path)
    for place in [*_PLACES, *(more if split else [])]:
        folder = home.join(place)
        if any(folder.join(name).is_file() for name in some):
            return folder
    return home


def _split(file: Location, root: Location, short: bool = True) -> str | None:
    """Return the split in the name of a file or its folder: instances_train2017 is train."""
    named = re.match(r"(?:instances|captions)_([A-Za-z]+)(\d*)$", file.stem)
    if named and named[1].lower() in SPLITS:
        return named[1] if short else named[1] + named[2]
    if file.stem.lower() in SPLITS:
        return file.stem
    parent = file.parent
    return split_in(parent.parts_below(root) if root.is_folder() else (parent.name,))


def _relative(uri: str, file_name: str, root: Location) -> str:
    """Return an image's path below the folder ingested; of a file's own, what it calls it."""
    if root.is_folder():
        return PurePath(os.path.relpath(uri, root.path)).as_posix()
    return PurePath(os.path.normpath(file_name.replace("\\", "/"))).as_posix().lstrip("/")


def _metadata(rows: list[Row], images: Annotated, options: Options) -> pa.Table:
    """Return the columns that the files have of each image, in plain types."""
    own = {"file_name", "width", "height", "split", "caption", "captions", "annotated"}
    names = dict.fromkeys(k for row in rows for k, v in row.items() if k not in own and v != "")
    fields: dict[str, pa.Array] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        if all(value is None or _is_scalar(value) for value in values):
            fields["image_id" if name == "id" else name] = _column(values)
    raw = pa.table(fields)
    roles = {name: name for name in ("label",) if name in raw.column_names}
    columns, notes = cols.plan(raw.schema, roles, options)
    images.notes += notes
    columns = [
        c for c in columns if c.name not in ("objects", "caption", options.label and "label")
    ]
    return pa.table({c.name: c.convert(raw[c.source].combine_chunks()) for c in columns})


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None else str(v) for v in values], pa.string())


COCO = Format("coco", "COCO annotations", recognises, read)
