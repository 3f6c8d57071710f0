"""COCO JSON: instances and captions (https://cocodataset.org/#format-data).

    instances.json                                    the file itself; images beside it, or --images
    annotations/instances_train2017.json  train2017/  as COCO is published
    train/_annotations.coco.json  train/1.jpg         files beside the images

`iscrowd` and `area` are kept among the attributes where they say more than the box does;
segmentations are left out.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from slicedb.errors import SourceError
from slicedb.ingest import columns as cols
from slicedb.ingest.annotated import Annotated, box, names_below, split_in
from slicedb.ingest.folder import SPLITS
from slicedb.ingest.source import Options, Source

_OWN = frozenset(
    {
        "id",
        "image_id",
        "category_id",
        "bbox",
        "segmentation",
        "caption",
        "iscrowd",
        "area",
        "attributes",
        "score",
    }
)
"""Keys of an annotation that are not attributes by themselves."""
_LARGE = 64 << 20
"""Bytes beyond which a JSON file is not opened to see what it is."""
_MANY = 20
"""JSON files in one folder beyond which they are taken for something else, unless so named."""
_PLACES = ("", "images", "data", "..", "../images", "../data")
"""Where images are looked for, from the folder of the file."""


def reads(path: Path) -> bool:
    """Return whether a path is a COCO file, or a folder that holds some."""
    if path.is_dir():
        return next(_files(path), None) is not None
    return path.suffix.lower() == ".json" and path.is_file()


def _files(path: Path) -> Iterator[Path]:
    """Yield the COCO files of a folder: those of known names, and others that look like it."""
    for folder, names in names_below(path, (".json",), 2):
        for name in names:
            if _known_name(name) or (len(names) <= _MANY and _looks_like(folder / name)):
                yield folder / name


def _known_name(name: str) -> bool:
    return bool(re.match(r"(instances|captions)_\w+\.json$|_annotations\.coco\.json$", name))


def _looks_like(file: Path) -> bool:
    if file.stat().st_size > _LARGE:
        return False
    with open(file, "rb") as opened:
        head = opened.read(1 << 16)
    if not head.lstrip().startswith(b"{"):
        return False
    return b'"images"' in head and (b'"file_name"' in head or b'"annotations"' in head)


@dataclass
class _Image:
    """One image of one or more files."""

    said: dict[str, Any]
    """What the file says of it."""
    place: str
    """Absolute path."""
    split: str | None
    boxes: list[dict[str, Any]] | None = None
    captions: list[str] = field(default_factory=list)


def read(path: Path, options: Options) -> Source:
    """Open COCO annotations; the images are found by `file_name`.

    Images of a file of instances without annotations have no boxes; those of a file of captions
    alone have NULL.

    Raises:
        SourceError: a file is broken, or there is none.
    """
    files = list(_files(path)) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"No COCO annotations in '{path}'.", "give the JSON file itself.")
    found = Annotated(path, options)
    images: dict[str, _Image] = {}
    for file in files:
        try:
            _File(file, path, options, found).add_to(images)
        except _BrokenError as error:
            found.broken.append(f"'{file}': {error}.")
    found.refuse_broken()
    said: list[dict[str, Any]] = []
    for name, image in images.items():
        size = (image.said.get("width") or 0, image.said.get("height") or 0)
        found.add(
            name,
            image.place,
            image.boxes,
            split=image.split,
            size=size if min(size) > 0 else None,
            caption="\n".join(image.captions) or None,
        )
        said.append(image.said)
    return found.source(_metadata(said, found, options))


class _BrokenError(Exception):
    """What is wrong with a file."""


class _File:
    """One JSON file."""

    def __init__(self, file: Path, root: Path, options: Options, found: Annotated) -> None:
        self.file, self.root, self.found = file, root, found
        self.data = _load(file)
        self.images = self._list("images")
        self.base = _base(file, root, options, self.images)
        self.split = _split(file, root)
        self.names = {c.get("id"): str(c.get("name")) for c in self._list("categories", False)}

    def _list(self, key: str, needed: bool = True) -> list[dict[str, Any]]:
        rows = self.data.get(key)
        if rows is None and not needed:
            return []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise _BrokenError(f"'{key}' is not a list of objects")
        return rows

    def add_to(self, images: dict[str, _Image]) -> None:
        """Add the images of this file, or what it says of ones that are there."""
        here: dict[Any, _Image] = {}
        for number, said in enumerate(self.images):
            file_name = said.get("file_name")
            if not file_name or "id" not in said:
                raise _BrokenError(f"images[{number}] has no file_name or no id")
            place = os.path.normpath(os.path.join(self.base, str(file_name)))
            name = _relative(place, str(file_name), self.root)
            known = _Image(said, place, said.get("split") or self.split)
            if isinstance(said.get("caption"), str):
                known.captions.append(said["caption"])
            image = images.setdefault(name, known)
            image.said = {**said, **image.said}
            if said["id"] in here:
                raise _BrokenError(f"two images have the id {said['id']}")
            here[said["id"]] = image
        rows = self._list("annotations", False)
        if not rows and "annotations" not in self.data:
            return
        if self.names or any("bbox" in row for row in rows):
            for image in here.values():
                if image.said.get("annotated") is not False:  # as our export says "nobody looked"
                    image.boxes = image.boxes or []
        lost = 0
        for number, row in enumerate(rows):
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
            self.found.notes.append(note)

    def _box(self, number: int, row: dict[str, Any]) -> dict[str, Any]:
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
        said = _attributes(row, w * h)
        attributes = json.dumps(said, ensure_ascii=False) if said else None
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


def _attributes(row: dict[str, Any], area: float) -> dict[str, Any]:
    said = {k: v for k, v in row.items() if k not in _OWN and _is_scalar(v)}
    inner = row.get("attributes")
    said |= {k: v for k, v in inner.items() if _is_scalar(v)} if isinstance(inner, dict) else {}
    if row.get("iscrowd"):
        said["iscrowd"] = int(row["iscrowd"])
    given = row.get("area")
    if isinstance(given, int | float) and abs(given - area) > 1e-3 * max(area, 1):
        said["area"] = given  # of the segmentation
    return said


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | bool)


def _load(file: Path) -> dict[str, Any]:
    """Read a file; outlines are dropped as they are read, for they are most of it."""

    def lean(value: dict[str, Any]) -> dict[str, Any]:
        value.pop("segmentation", None)
        return value

    try:
        with open(file, encoding="utf-8") as opened:
            data = json.load(opened, object_hook=lean)
    except json.JSONDecodeError as error:
        raise _BrokenError(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise _BrokenError(str(getattr(error, "strerror", None) or error)) from error
    if not isinstance(data, dict) or "images" not in data:
        raise _BrokenError("it has no 'images', so it is not COCO")
    return data


def _base(file: Path, root: Path, options: Options, images: list[dict[str, Any]]) -> str:
    """Return the folder that the file names are relative to: where some of them are."""
    home = file.parent.absolute()
    if options.images is not None:
        return os.path.abspath(options.images)
    split = _split(file, root, short=False)
    more = [f"{up}{inner}{split}" for up in ("", "../") for inner in ("", "images/")]
    some = [str(image.get("file_name")) for image in images[:32]]
    for place in [*_PLACES, *(more if split else [])]:
        folder = os.path.normpath(home / place)
        if any(os.path.isfile(os.path.join(folder, name)) for name in some):
            return folder
    return str(home)


def _split(file: Path, root: Path, short: bool = True) -> str | None:
    """Return the split that a file's name or folder says: instances_train2017 is train."""
    named = re.match(r"(?:instances|captions)_([A-Za-z]+)(\d*)$", file.stem)
    if named and named[1].lower() in SPLITS:
        return named[1] if short else named[1] + named[2]
    if file.stem.lower() in SPLITS:
        return file.stem
    inside = file.parent.relative_to(root).parts if root.is_dir() else (file.parent.name,)
    return split_in(inside)


def _relative(place: str, file_name: str, root: Path) -> str:
    """Return an image's path below the folder ingested; of a file's own, what it calls it."""
    if root.is_dir():
        home = str(root.absolute())
        return Path(os.path.relpath(place, home)).as_posix()
    return Path(os.path.normpath(file_name.replace("\\", "/"))).as_posix().lstrip("/")


def _metadata(said: list[dict[str, Any]], found: Annotated, options: Options) -> pa.Table:
    """Return the columns that the files have of each image, in plain types."""
    own = {"file_name", "width", "height", "split", "caption", "captions", "annotated"}
    names = dict.fromkeys(k for row in said for k, v in row.items() if k not in own and v != "")
    fields: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in said]
        if all(value is None or _is_scalar(value) for value in values):
            fields["image_id" if name == "id" else name] = _column(values)
    raw = pa.table(fields)
    roles = {name: name for name in ("label",) if name in raw.column_names}
    columns, notes = cols.plan(raw.schema, roles, options)
    found.notes += notes
    columns = [
        c for c in columns if c.name not in ("objects", "caption", options.label and "label")
    ]
    return pa.table({c.name: c.convert(raw[c.source].combine_chunks()) for c in columns})


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if v is None else str(v) for v in values], pa.string())
