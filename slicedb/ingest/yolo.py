"""Read YOLO, one text file per image (https://docs.ultralytics.com/datasets/detect).

    data.yaml            names, and where train, val and test are
    images/train/1.jpg   labels/train/1.txt       or  train/images/1.jpg  train/labels/1.txt
    obj.names            or classes.txt, with 1.txt beside 1.jpg

Lines are fractions of the image; `yololine` tells their forms. Pixels need the image's size, which
is read from its header.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from slicedb.errors import SourceError
from slicedb.ingest.annotated import Annotated
from slicedb.ingest.format import Format
from slicedb.ingest.places import Places, posix
from slicedb.ingest.source import Options, Row, Source
from slicedb.ingest.splits import SPLITS, split_in
from slicedb.ingest.walk import Tree, tree_of
from slicedb.ingest.yololine import Grammar, grammar_of
from slicedb.schema import Box
from slicedb.show.numbers import count
from slicedb.sources import Location

_LISTS = ("classes.txt", "obj.names", "classes.names")
_LIKE = {"Images": "Labels", "IMAGES": "LABELS"}
"""Folders of images whose name is not in lower case, and that of their labels."""
_YAML = (".yaml", ".yml")


def recognises(location: Location) -> bool:
    """Return whether this is a YOLO data set: its YAML file, or a folder with class names."""
    if location.is_file():
        return location.suffix in _YAML and "names" in _yaml(location)
    return location.is_folder() and _names_file(location) is not None


def _names_file(root: Location) -> Location | None:
    """Return the file of a folder that names the classes: YAML at the top, else a list."""
    tree = tree_of(root)
    for folder, name in tree.files(*_YAML):
        if len(folder.parts) > 1:
            continue
        file = root.join(*folder.parts, name)
        try:
            if "names" in _yaml(file) and (not folder.parts or _has_label_files(tree)):
                return file
        except SourceError:
            if not folder.parts and file.stem.lower() in ("data", "dataset"):
                return file  # read() raises what is wrong with it
    for folder, name in tree.files(*_LISTS):
        if name.lower() in _LISTS and _has_label_files(tree):
            return root.join(*folder.parts, name)
    return None


def _has_label_files(tree: Tree) -> bool:
    """Return whether a text file is called as an image is."""
    stems = {os.path.splitext(n)[0] for f in tree.folders.values() for n in f.images}
    return any(os.path.splitext(name)[0] in stems for _, name in tree.files(".txt"))


def _yaml(file: Location, as_text: bool = False) -> Row:
    """Return the contents of a YAML file, empty where it is not a mapping.

    Args:
        file: the file.
        as_text: whether every value stays the text that it is written as.

    Raises:
        SourceError: it is broken.
    """
    import yaml

    text = file.read_text()
    try:
        # A few aliases of aliases make a text of many gigabytes.
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise SourceError(f"'{file}' has aliases (*name).", "write the values out.")
        data = yaml.load(text, yaml.BaseLoader) if as_text else yaml.safe_load(text)
    except SourceError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        fact = str(error).split("\n")[0][:200]  # of a value that PyYAML does not check
        raise SourceError(f"'{file}': a value cannot be read: {fact}.", "quote it.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise SourceError(
            f"'{file}'{line}: {getattr(error, 'problem', None) or 'it is not YAML'}.",
            "correct it; nothing was written.",
        ) from error
    return data if isinstance(data, dict) else {}


@dataclass
class _Part:
    """Some images of one split."""

    images: list[Location]
    split: str | None


def read(location: Location, options: Options) -> Source:
    """Open a YOLO data set.

    An image without a text file has no boxes, as the format defines.

    Raises:
        SourceError: classes are not named, a line is broken, or there is no image.
    """
    home = location.parent if location.is_file() else location
    file = location if location.is_file() else _names_file(location)
    if file is None:
        raise SourceError(
            f"No class names in '{location}'.", "it needs data.yaml with `names`, or classes.txt."
        )
    data = _yaml(file) if file.suffix in _YAML else {}
    grammar = grammar_of(file, data, _yaml(file, as_text=True) if data else {})
    rows = Annotated(home, options)
    tree = tree_of(home)
    tree.note_read(file)
    without = 0
    for part in _parts(tree, file.parent, data, rows.notes):
        rows.expect((image.path for image in part.images), relative=True)
        for image in part.images:
            uri = image.path
            size = rows.sizes.size_of(uri)
            labels = _label_file(image)
            tree.note_read(labels)
            boxes, has_file = _boxes(labels, grammar, size, rows)
            without += not has_file
            name = "/".join(image.parts_below(home))
            rows.add(name, uri, boxes, size=size, relative=True, split=part.split)
    if without:
        rows.notes.append(
            f"{count(without, 'image has', 'images have')} no label file: taken as without boxes."
        )
    return rows.source()


def _parts(tree: Tree, base: Location, data: Row, notes: list[str]) -> Iterator[_Part]:
    """Yield the splits that the YAML file names, or else every image below the folder.

    Args:
        tree: of the folder ingested.
        base: the folder of the YAML file.
        data: its contents.
        notes: what the user should know; places without images are added.
    """
    roots = [base.join(str(data.get("path") or "")), base, tree.root, base.parent]
    roots = [root for root in dict.fromkeys(roots) if root.is_folder()]
    splits = [(split, data[split]) for split in data if str(split).lower() in SPLITS]
    done: set[Location] = set()
    for split, places in splits:
        for place in places if isinstance(places, list) else [places]:
            found = _images(tree, roots, str(place or ""))
            if place and not found:
                notes.append(f"'{split}: {place}' leads to no images.")
            images = [i for i in found if i not in done]
            done.update(images)
            if images:
                yield _Part(images, str(split))
    if not done:
        for folder in tree.folders.values():
            images = [tree.root.join(*folder.parts, name) for name in folder.images]
            if images:
                yield _Part(images, split_in(folder.parts))


def _images(tree: Tree, roots: list[Location], place: str) -> list[Location]:
    """Return the images of a place: a folder, or a text file that lists them."""
    if not place:
        return []
    place = place.replace("\\", "/")
    spots = [root.join(place) for root in roots]
    spots += [root.join(place.lstrip("./")) for root in roots]  # Roboflow writes ../train
    where = next((spot for spot in spots if spot.exists()), None)
    if where is None:
        return []
    if where.is_folder():
        return [where.join(*f.parts, n) for f in tree_of(where).folders.values() for n in f.images]
    tree.note_read(where)
    lines = [line.strip() for line in where.read_text().splitlines()]
    places = Places(tree)
    return [_listed(tree, places, [where.parent, *roots], line) for line in lines if line]


def _listed(tree: Tree, places: Places, roots: list[Location], line: str) -> Location:
    """Return the image of a line of a list: where it should be, or else where one so called is."""
    name = posix(line)
    spots = [root.join(name) for root in dict.fromkeys(roots)]
    there = next((spot for spot in spots if spot.is_file()), None)
    if there is None and (place := places.find(name)):
        return tree.root.join(place)
    return there or spots[0]


def _label_file(image: Location) -> Location:
    """Return where the boxes of an image are: labels/ in place of the last images/, or beside."""
    # Not by PurePath, which makes s3:/ of s3://.
    parts = image.path.split("/")
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() == "images":
            for name in dict.fromkeys((_LIKE.get(parts[i], "labels"), "labels")):
                labels = _as_text([*parts[:i], name, *parts[i + 1 :]])
                if labels.is_file() or labels.parent.is_folder():
                    return labels
    return _as_text(parts)


def _as_text(parts: list[str]) -> Location:
    """Return the text file that is called as an image is."""
    return Location(os.path.splitext("/".join(parts))[0] + ".txt")


def _boxes(
    file: Location, grammar: Grammar, size: tuple[float, float] | None, rows: Annotated
) -> tuple[list[Box] | None, bool]:
    """Return the boxes of an image, and whether it has a label file.

    None where the image cannot be read, since fractions cannot be turned into pixels then.
    """
    if not file.is_file():
        return ([] if size else None), False
    if size is None:
        return None, True
    boxes = []
    for number, line in enumerate(file.read_text().removeprefix("\ufeff").splitlines()):
        words = line.split()
        if not words:
            continue
        try:
            boxes.append(grammar.box(words, size))
        except ValueError as error:
            rows.broken.append(f"'{file}', line {number + 1}: {error}.")
            return [], True
    return boxes, True


YOLO = Format(
    "yolo",
    "a YOLO data set",
    recognises,
    read,
    "slicedb.export.yolo:write_yolo",
    takes=frozenset(),
)
