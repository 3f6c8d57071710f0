"""Read CVAT's XML for images, version 1.1 (https://docs.cvat.ai/docs/dataset_management/formats).

    annotations.xml                         the file itself; images beside it, or --images
    annotations.xml  images/train/1.jpg     as CVAT exports it, with the subset as a folder

Boxes (turned ones too), polygons, ellipses, masks, points and skeletons become `objects`; a tag is
the label of its picture, several are its labels; the subset is its split. The attributes of a tag
become columns.
"""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

from slicedb.errors import SourceError
from slicedb.ingest.annotated import Annotated, scalar
from slicedb.ingest.cvatshapes import SHAPES, ShapeError, box_of
from slicedb.ingest.format import Format
from slicedb.ingest.metadata import metadata_of
from slicedb.ingest.pictures import Pictures
from slicedb.ingest.source import Options, Row, Source
from slicedb.ingest.walk import tree_of
from slicedb.schema import Box
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

_HEAD = 4096
_START = re.compile(rb"<annotations[\s>]")
_MANY = 20
"""XML files in one folder beyond which they are not looked into: there is one a task."""
_DEFAULT = "default"
"""The subset of CVAT's pictures that are in none."""


def recognises(location: Location) -> bool:
    """Return whether this is CVAT's XML, or a folder that holds some."""
    if location.is_folder():
        return bool(_files(location))
    return location.suffix == ".xml" and location.is_file() and _looks_like(location)


def _files(root: Location) -> list[Location]:
    tree = tree_of(root)
    files = [
        root.join(*folder.parts, name)
        for folder, name in tree.files(".xml")
        if len(folder.ending_in(".xml")) <= _MANY
    ]
    return [file for file in files if _looks_like(file)]


def _looks_like(file: Location) -> bool:
    with file.open() as opened:
        return _START.search(opened.read(_HEAD)) is not None


def read(location: Location, options: Options) -> Source:
    """Open CVAT's XML, or every such file of a folder.

    Raises:
        SourceError: a file is broken, is of a video, or there is none.
    """
    files = _files(location) if location.is_folder() else [location]
    if not files:
        raise SourceError(f"No CVAT annotations in '{location}'.", "give the XML file itself.")
    rows = Annotated(location, options)
    about: list[Row] = []
    left_out: Counter[str] = Counter()
    for file in files:
        if location.is_folder():
            tree_of(location).note_read(file)
        images = _images(file)
        pictures = Pictures(file, location, options, [_name(image) for image in images])
        rows.expect(pictures.find(_name(image))[1] for image in images)
        for image in images:
            size, boxes = _size(image), []
            for number, item in enumerate(image, 1):
                try:
                    boxes += [box_of(item, size)] if item.tag in SHAPES else []
                except ShapeError as error:
                    rows.broken.append(
                        f"'{file}', image '{_name(image)}', element {number}: {error}."
                    )
                left_out[item.tag] += item.tag not in (*SHAPES, "tag")
            _add(rows, image, boxes, pictures)
            about.append(_tags(image))
    if left := left_out.total():
        kinds = ", ".join(f"{n:,} {tag}" for tag, n in left_out.most_common() if n)
        rows.notes.append(
            f"{count(left, 'shape was', 'shapes were')} left out, which "
            f"{verb(left, 'is no box', 'are not boxes')}: {kinds}."
        )
    several = any(len(row["labels"]) > 1 for row in about)
    for row in about:
        labels = row.pop("labels")
        if labels:
            row |= {"labels": labels} if several else {"label": labels[0]}
    rows.refuse_broken()
    return rows.source(metadata_of(about, ("objects",), options, rows.notes))


def _images(file: Location) -> list[ElementTree.Element]:
    """Return the elements of the pictures of a file.

    Raises:
        SourceError: it is broken, or of a video.
    """
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except ElementTree.ParseError as error:
        raise SourceError(f"'{file}': {error}.", "correct it; nothing was written.") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SourceError(f"Cannot read '{file}': {reason}.", "check the file.") from error
    images = list(root.iter("image"))
    if not images and root.find("track") is not None:
        raise SourceError(
            f"'{file}' holds the tracks of a video.", "export the task as 'CVAT for images 1.1'."
        )
    if not images:
        raise SourceError(f"'{file}' names no image.", "export the task as 'CVAT for images 1.1'.")
    nameless = next((i for i, image in enumerate(images, 1) if not _name(image)), None)
    if nameless is not None:
        raise SourceError(f"'{file}', image {nameless}: it has no name.", "correct the file.")
    return images


def _name(image: ElementTree.Element) -> str:
    return (image.get("name") or "").strip()


def _size(image: ElementTree.Element) -> tuple[float, float] | None:
    try:
        width, height = float(image.get("width") or 0), float(image.get("height") or 0)
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _add(rows: Annotated, image: ElementTree.Element, boxes: list[Box], pictures: Pictures) -> None:
    subset = image.get("subset")
    place, uri = pictures.find(_name(image))
    rows.add(
        place,
        uri,
        boxes,
        size=_size(image),
        split=None if subset is None or subset.lower() == _DEFAULT else subset,
    )


def _tags(image: ElementTree.Element) -> Row:
    """Return the tags of a picture as `labels`, and their attributes."""
    tags = image.findall("tag")
    about: Row = {"labels": [label for tag in tags if (label := tag.get("label"))]}
    for tag in tags:
        for inner in tag.findall("attribute"):
            name, text = inner.get("name"), (inner.text or "").strip()
            if name and text and name != "labels":
                about[name] = scalar(text)
    return about


CVAT = Format("cvat", "CVAT's XML for images", recognises, read, takes=frozenset({"images"}))
