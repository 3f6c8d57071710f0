"""Read Pascal VOC, one XML file per image (http://host.robots.ox.ac.uk/pascal/VOC).

    Annotations/1.xml   JPEGImages/1.jpg   ImageSets/Main/train.txt     the devkit's layout
    train/1.xml         train/1.jpg                                     files beside each other

The box is [xmin, ymin, xmax - xmin, ymax - ymin], so that the numbers of the file come back. The
other elements of an object (pose, truncated, difficult, occluded, ...) become its attributes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from slicedb.errors import SourceError
from slicedb.ingest.annotated import Annotated, box, scalar
from slicedb.ingest.format import Format
from slicedb.ingest.listing import SPLITS, images_in, names_below, names_in, split_in
from slicedb.ingest.location import Location
from slicedb.ingest.source import Options, Source
from slicedb.schema import Box

_IMAGES = ("jpegimages", "images", "imgs", "img")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SETS = (*sorted(SPLITS), "trainval")


class _BrokenError(Exception):
    """What is wrong with an annotation, with the number of its object."""

    def __init__(self, what: str, number: int = 0) -> None:
        super().__init__(what)
        self.number = number


def recognises(location: Location) -> bool:
    """Return whether a folder holds VOC annotations."""
    return location.is_folder() and any(map(_is_annotation, _first_files(location)))


def _first_files(root: Location) -> Iterator[Location]:
    """Yield one XML file of each folder that may hold annotations."""
    for folder, names in names_below(root, (".xml",)):
        if names and _image_folder(folder) is not None:
            yield folder.join(names[0])


def _is_annotation(file: Location) -> bool:
    if file.parent.name.lower() == "annotations":
        return True
    try:
        with file.open() as opened:
            return b"<annotation" in opened.read(400)
    except OSError:
        return False


def _image_folder(folder: Location) -> Location | None:
    """Return where the images of a folder of annotations are."""
    if folder.name.lower() != "annotations":
        return folder if images_in(folder) else None
    beside = (folder.parent.join(name) for name in names_in(folder.parent, *_IMAGES))
    return next((b for b in beside if b.name.lower() in _IMAGES and b.is_folder()), None)


def read(location: Location, options: Options) -> Source:
    """Open a folder of VOC annotations.

    An image without an annotation has NULL for its boxes; one whose file is missing is quarantined.

    Raises:
        SourceError: there are no annotations, or some are broken.
    """
    rows = Annotated(location, options)
    folders = [file.parent for file in _first_files(location) if _is_annotation(file)]
    if not folders:
        raise SourceError(
            f"No VOC annotations in '{location}'.",
            "it needs XML files in Annotations/ with JPEGImages/ beside it, or beside the images.",
        )
    parts = 0
    for folder in folders:
        parts += _read_folder(location, folder, rows)
    if parts:
        rows.notes.append(f"{parts:,} parts of objects (head, hand, ...) were left out.")
    return rows.source()


def _read_folder(root: Location, folder: Location, rows: Annotated) -> int:
    """Add the images of one folder of annotations; returns how many parts were left out."""
    images = _image_folder(folder)
    assert images is not None
    names, splits = images_in(images), _splits(folder.parent, rows)
    place, uri = images.parts_below(root), images.path
    parts = 0
    for file in names_in(folder, ".xml"):
        try:
            tree = _parse(folder.join(file))
            boxes, inner = _boxes(tree)
        except _BrokenError as broken:
            rows.broken.append(_sentence(folder.join(file), broken))
            continue
        parts += inner
        stem = os.path.splitext(file)[0]
        name = names.pop(stem, None) or _named(tree, images, names) or f"{stem}.jpg"
        split = splits.get(stem) or split_in(place)
        size = _size(tree)
        rows.add("/".join([*place, name]), f"{uri}/{name}", boxes, size=size, split=split)
    for stem, name in names.items():  # images without an annotation
        split = splits.get(stem) or split_in(place)
        rows.add("/".join([*place, name]), f"{uri}/{name}", None, split=split)
    if names:
        rows.notes.append(f"{len(names):,} images have no annotation: their objects are NULL.")
    return parts


def _named(tree: ElementTree.Element, images: Location, names: dict[str, str]) -> str | None:
    """Return the image that the annotation itself names, when it is there."""
    name = os.path.basename((tree.findtext("filename") or "").strip().replace("\\", "/"))
    if not name or not images.join(name).is_file():
        return None
    names.pop(os.path.splitext(name)[0], None)
    return name


def _parse(file: Location) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(file.read_bytes())
    except ElementTree.ParseError as error:
        raise _BrokenError(f"{error}") from error
    except (OSError, ValueError) as error:
        raise _BrokenError(str(getattr(error, "strerror", None) or error)) from error


def _boxes(tree: ElementTree.Element) -> tuple[list[Box], int]:
    """Return the boxes of an annotation, and how many parts its objects have."""
    boxes, parts = [], 0
    for number, item in enumerate(tree.findall("object"), 1):
        label = (item.findtext("name") or "").strip()
        if not label:
            raise _BrokenError("an object has no name", number)
        corners = [_number(item, corner, number) for corner in _CORNERS]
        x, y = corners[:2]
        attributes = _attributes(item)
        text = json.dumps(attributes, ensure_ascii=False) if attributes else None
        boxes.append(box(label, x, y, corners[2] - x, corners[3] - y, attributes=text))
        parts += len(item.findall("part"))
    return boxes, parts


def _number(item: ElementTree.Element, corner: str, number: int) -> float:
    text = item.findtext(f"bndbox/{corner}")
    try:
        value = float(text or "")
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        what = f"has no {corner}" if not (text or "").strip() else f"has '{text}' for its {corner}"
        raise _BrokenError(f"an object {what}", number)
    return value


def _attributes(item: ElementTree.Element) -> dict[str, int | float | str]:
    """Return the elements of an object besides its name and box."""
    attributes = {
        child.tag: scalar(text)
        for child in item
        if child.tag not in ("name", "bndbox")
        and not len(child)
        and (text := (child.text or "").strip())
    }
    for pair in item.findall("attributes/attribute"):  # as CVAT writes them
        name, value = pair.findtext("name"), pair.findtext("value")
        if name and value is not None:
            attributes[name.strip()] = scalar(value.strip())
    return attributes


def _size(tree: ElementTree.Element) -> tuple[float, float] | None:
    """Return the size that an annotation gives; None where it gives none."""
    try:
        width, height = (float(tree.findtext(f"size/{s}") or 0) for s in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if width > 0 and height > 0 else None


def _sentence(file: Location, broken: _BrokenError) -> str:
    """Return what is wrong, with the file and the line."""
    if not broken.number:
        return f"'{file}' is broken: {broken}."
    text = file.read_text()
    places = [match.start() for match in re.finditer(r"<object[\s>]", text)]
    at = places[broken.number - 1] if broken.number <= len(places) else 0
    return f"'{file}', line {text.count(chr(10), 0, at) + 1}: {broken}."


def _splits(home: Location, rows: Annotated) -> dict[str, str]:
    """Return the split of each image named in ImageSets/Main; one of two is the narrower."""
    splits: dict[str, str] = {}
    twice = 0
    for name in _SETS:
        file = home.join("ImageSets", "Main", f"{name}.txt")
        if not file.is_file():
            continue
        for line in file.read_text().splitlines():
            stem = line.split()[0] if line.split() else ""
            if stem and splits.setdefault(stem, name) != name:
                twice += name != "trainval"
    if twice:
        rows.notes.append(f"{twice:,} images are in two splits; the first by name was taken.")
    return splits


VOC = Format("voc", "a folder of Pascal VOC annotations", recognises, read)
