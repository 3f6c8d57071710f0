"""Read COCO JSON: instances and captions (https://cocodataset.org/#format-data).

    instances.json                                    the file itself; images beside it, or --images
    annotations/instances_train2017.json  train2017/  as COCO is published
    train/_annotations.coco.json  train/1.jpg         files beside the images

`iscrowd` and `area` become attributes where the box does not imply them; outlines and key points
are kept as they are given.
"""

from __future__ import annotations

from collections.abc import Iterator

from slicedb.errors import SourceError
from slicedb.ingest.annotated import Annotated
from slicedb.ingest.cocofile import PUBLISHED, BrokenError, CocoFile, CocoImage
from slicedb.ingest.format import Format
from slicedb.ingest.metadata import metadata_of
from slicedb.ingest.source import Options, Source
from slicedb.ingest.walk import tree_of
from slicedb.show.numbers import count
from slicedb.sources import Location

_LARGE = 64 << 20
"""Bytes beyond which a JSON file is not opened to see what it is."""
_MANY = 20
"""JSON files in one folder beyond which they are taken for something else, unless so named."""
_OWN = ("file_name", "width", "height", "split", "caption", "captions", "annotated", "objects")
"""Keys of an image that are not metadata columns."""


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
    return bool(PUBLISHED.fullmatch(name) or name.endswith("_annotations.coco.json"))


def _looks_like(file: Location) -> bool:
    if file.size() > _LARGE:
        return False
    with file.open() as opened:
        head = opened.read(1 << 16)
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    return b'"images"' in head and (b'"file_name"' in head or b'"annotations"' in head)


def read(location: Location, options: Options) -> Source:
    """Open COCO annotations; the images are found by `file_name`.

    Images of a file of instances without annotations have no boxes; those of a file of captions
    alone have NULL. What several files say of one box is put together.

    Raises:
        SourceError: a file is broken, or there is none.
    """
    files = list(_files(location)) if location.is_folder() else [location]
    if not files:
        raise SourceError(f"No COCO annotations in '{location}'.", "give the JSON file itself.")
    return read_files(files, location, options)


def read_files(files: list[Location], location: Location, options: Options) -> Source:
    """Open COCO files whose pictures lie below a location.

    Raises:
        SourceError: a file is broken.
    """
    rows = Annotated(location, options)
    images = _images(files, location, rows, options)
    rows.expect(image.uri for image in images.values())
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
    about = [image.row for image in images.values()]
    return rows.source(metadata_of(about, _OWN, options, rows.notes))


def _images(
    files: list[Location], location: Location, rows: Annotated, options: Options
) -> dict[str, CocoImage]:
    """Return the images of all files, by where they lie.

    Raises:
        SourceError: a file is broken.
    """
    opened: list[CocoFile] = []
    for file in files:
        try:
            opened.append(CocoFile(file, location, options, rows.notes))
        except BrokenError as error:
            rows.broken.append(f"'{file}': {error}.")
    rows.refuse_broken()
    some_are_there = any(file.n_there for file in opened)
    things = any(file.kind in ("instances", "person_keypoints", "") for file in opened)
    images: dict[str, CocoImage] = {}
    for number, one in enumerate(opened):
        name = one.file.name
        if one.kind in ("stuff", "panoptic") and things:
            rows.notes.append(
                f"'{name}' was passed over: it outlines regions, not objects. `slicedb "
                f"attach-masks {one.file}` reads its run-length codes as label maps."
            )
            continue
        if location.is_folder() and some_are_there and not one.n_there and one.images:
            rows.notes.append(
                f"'{name}' was passed over: none of its "
                f"{count(len(one.images), 'image')} is in the folder."
            )
            continue
        if location.is_folder():
            tree_of(location).note_read(one.file)
        try:
            one.add_to(images, number)
        except BrokenError as error:
            rows.broken.append(f"'{one.file}': {error}.")
    rows.refuse_broken()
    return images


COCO = Format(
    "coco",
    "COCO annotations",
    recognises,
    read,
    "slicedb.export.coco:write_coco",
    takes=frozenset({"images"}),
    endings=(".json",),
)
