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
from slicedb.ingest.source import Options, Source
from slicedb.ingest.splits import SPLITS, split_in
from slicedb.ingest.walk import Folder, Tree, tree_of
from slicedb.schema import Box
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

_IMAGES = ("jpegimages", "images", "imgs", "img")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_LOOKED_AT = 8
"""XML files of a folder that are looked into to see whether they are annotations."""
_SETS = (*sorted(SPLITS), "trainval")


class _BrokenError(Exception):
    """What is wrong with an annotation, with the number of its object."""

    def __init__(self, what: str, number: int = 0) -> None:
        super().__init__(what)
        self.number = number


def recognises(location: Location) -> bool:
    """Return whether a folder holds VOC annotations."""
    return location.is_folder() and next(_folders(tree_of(location)), None) is not None


def _folders(tree: Tree) -> Iterator[tuple[Folder, list[Folder]]]:
    """Yield the folders with annotations, each with those where its images may be."""
    for folder in tree.folders.values():
        names = folder.ending_in(".xml")
        homes = _image_folders(tree, folder) if names else []
        if homes and any(_is_annotation(tree, folder, name) for name in names[:_LOOKED_AT]):
            yield folder, homes


def _is_annotation(tree: Tree, folder: Folder, name: str) -> bool:
    if folder.parts and folder.parts[-1].lower() == "annotations":
        return True
    try:
        with tree.root.join(*folder.parts, name).open() as opened:
            return re.search(rb"<annotation[\s>]", opened.read(400)) is not None
    except OSError:
        return False


def _image_folders(tree: Tree, folder: Folder) -> list[Folder]:
    """Return where the images of a folder of annotations may be, the nearest first."""
    own = [folder] if folder.images else []
    return [*own, *(near for near in tree.beside(folder, *_IMAGES) if near.images)] or [
        near for near in tree.beside(folder, *_IMAGES) if not near.images
    ]


def read(location: Location, options: Options) -> Source:
    """Open a folder of VOC annotations.

    An image without an annotation has NULL for its boxes; one whose file is missing is quarantined.

    Raises:
        SourceError: there are no annotations, or some are broken.
    """
    rows, tree = Annotated(location, options), tree_of(location)
    found = list(_folders(tree))
    if not found:
        raise SourceError(
            f"No VOC annotations in '{location}'.",
            "it needs XML files in Annotations/ with JPEGImages/ beside it, or beside the images.",
        )
    reading = _Reading(tree, rows)
    for folder, homes in found:
        reading.add(folder, homes)
    reading.add_unannotated()
    return rows.source()


class _Reading:
    """The annotations of all folders, on their way to rows."""

    def __init__(self, tree: Tree, rows: Annotated) -> None:
        self._tree, self._rows = tree, rows
        self._parts = 0
        self._homes: dict[tuple[str, ...], dict[str, str]] = {}
        """The folders of images, each with the splits that its sets of images tell by stem."""

    def add(self, folder: Folder, homes: list[Folder]) -> None:
        """Add the images of one folder of annotations."""
        splits = self._splits(folder)
        stems = [(home, home.stems()) for home in homes]
        root = self._tree.root.path
        self._rows.expect(f"{root}/{home.place}{name}" for home in homes for name in home.images)
        for home in homes:
            self._homes.setdefault(home.parts, splits)
        for file in folder.ending_in(".xml"):
            try:
                tree = _parse(self._tree.root.join(*folder.parts, file))
                if tree.tag != "annotation":
                    continue  # another kind of XML: counted as passed over
                self._tree.read(folder, file)
                boxes, inner = _boxes(tree)
            except _BrokenError as broken:
                self._rows.broken.append(
                    _sentence(self._tree.root.join(*folder.parts, file), broken)
                )
                continue
            self._parts += inner
            stem = os.path.splitext(file)[0]
            for home, name in _images_of(tree, stem, stems):
                self._row(home, name, stem, boxes, splits, _size(tree))

    def _row(
        self,
        home: Folder,
        name: str,
        stem: str,
        boxes: list[Box] | None,
        splits: dict[str, str],
        size: tuple[float, float] | None = None,
    ) -> None:
        place = home.place + name
        uri = f"{self._tree.root.path}/{place}"
        split = splits.get(stem) or split_in(home.parts)
        self._rows.add(place, uri, boxes, size=size, split=split)

    def add_unannotated(self) -> None:
        """Add the images that no annotation speaks of, and say how many there are."""
        n = 0
        for parts, splits in self._homes.items():
            home = self._tree.folders[parts]
            for name in home.images:
                if not self._rows.has(home.place + name):
                    self._row(home, name, os.path.splitext(name)[0], None, splits)
                    n += 1
        notes = self._rows.notes
        if n:
            notes.append(
                f"{count(n, 'image has', 'images have')} no annotation: "
                f"{verb(n, 'its', 'their')} objects are NULL."
            )
        if self._parts:
            notes.append(
                f"{count(self._parts, 'part')} of objects (head, hand, ...) "
                f"{verb(self._parts, 'was', 'were')} left out."
            )

    def _splits(self, folder: Folder) -> dict[str, str]:
        """Return the split of each image named in ImageSets/Main; one of two is the narrower."""
        splits: dict[str, str] = {}
        twice = 0
        for near in self._tree.beside(folder, "imagesets"):
            sets = self._tree.folders.get((*near.parts, "Main"))
            for name in _SETS if sets else ():
                if sets is None or f"{name}.txt" not in sets.others:
                    continue
                for line in self._tree.read(sets, f"{name}.txt").read_text().splitlines():
                    stem = line.split()[0] if line.split() else ""
                    if stem and splits.setdefault(stem, name) != name:
                        twice += name != "trainval"
        if twice:
            images = count(twice, "image is", "images are")
            note = f"{images} in two splits; the first by name was taken."
            self._rows.notes.append(note)
        return splits


def _images_of(
    tree: ElementTree.Element, stem: str, stems: list[tuple[Folder, dict[str, list[str]]]]
) -> list[tuple[Folder, str]]:
    """Return the images of an annotation: those called as it is, or the one that it names.

    One that is not there is returned all the same, to be quarantined.
    """
    said = os.path.basename((tree.findtext("filename") or "").strip().replace("\\", "/"))
    for home, by_stem in stems:
        same = by_stem.get(stem, [])
        if said in same or (not same and said in by_stem.get(os.path.splitext(said)[0], [])):
            return [(home, said)]
        if same:
            return [(home, name) for name in same]
    is_own = os.path.splitext(said)[0] == stem and said != stem
    return [(stems[0][0], said if is_own else f"{stem}.jpg")]


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


VOC = Format(
    "voc",
    "a folder of Pascal VOC annotations",
    recognises,
    read,
    "slicedb.export.voc:write_voc",
    takes=frozenset(),
)
