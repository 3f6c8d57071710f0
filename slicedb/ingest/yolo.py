"""YOLO: a text file an image, a line a box (https://docs.ultralytics.com/datasets/detect).

    data.yaml            names, and where train, val and test are
    images/train/1.jpg   labels/train/1.txt       or  train/images/1.jpg  train/labels/1.txt
    obj.names            or classes.txt, with 1.txt beside 1.jpg

A line is `class cx cy w h [score]` in shares of the image; of an outline (`class x y x y ...`) the
box around it is taken. Pixels need the image's size, which is read from its head.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicedb.errors import SourceError
from slicedb.ingest.annotated import (
    Annotated,
    box,
    folders_below,
    images_in,
    names_in,
    size_of,
    split_in,
)
from slicedb.ingest.folder import SPLITS
from slicedb.ingest.source import Options, Source

_LISTS = ("classes.txt", "obj.names", "classes.names")
_YAML = (".yaml", ".yml")
_DIGITS = 3
"""Digits of a pixel that are kept: files have six of a share, which is less than that."""


def reads(path: Path) -> bool:
    """Return whether a path is a YOLO data set: its YAML file, or a folder with names."""
    if path.is_file():
        return path.suffix.lower() in _YAML and "names" in _yaml(path)
    return path.is_dir() and _names_file(path) is not None


def _names_file(path: Path) -> Path | None:
    """Return the file of a folder that names the classes."""
    for name in names_in(path, *_YAML):
        try:
            if "names" in _yaml(path / name):
                return path / name
        except SourceError:
            if os.path.splitext(name)[0].lower() in ("data", "dataset"):
                return path / name  # read() says what is wrong with it
    listed = [name for name in names_in(path, *_LISTS) if name.lower() in _LISTS]
    return path / listed[0] if listed and _has_label_files(path) else None


def _has_label_files(path: Path) -> bool:
    return any(set(names_in(folder, ".txt")) - {*_LISTS} for folder in folders_below(path))


def _yaml(file: Path) -> dict[str, Any]:
    """Return what a YAML file says, nothing where it is not a mapping.

    Raises:
        SourceError: it is broken.
    """
    import yaml

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8", errors="replace"))
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

    images: list[Path]
    split: str | None


def read(path: Path, options: Options) -> Source:
    """Open a YOLO data set.

    An image without a text file has no boxes, as the format has it.

    Raises:
        SourceError: classes are not named, a line is broken, or there is no image.
    """
    home = path.parent if path.is_file() else path
    file = path if path.is_file() else _names_file(path)
    if file is None:
        raise SourceError(
            f"No class names in '{path}'.", "it needs data.yaml with `names`, or classes.txt."
        )
    data = _yaml(file) if file.suffix.lower() in _YAML else {}
    names = _class_names(file, data)
    found = Annotated(home, options)
    without = 0
    for part in _parts(home, data):
        for image in part.images:
            size = size_of(str(image))
            boxes, has_file = _boxes(image, names, size, found)
            without += not has_file
            name = Path(os.path.relpath(image, home)).as_posix()
            found.add(name, str(image.absolute()), boxes, size=size, split=part.split)
    if without:
        found.notes.append(f"{without:,} images have no label file: taken as without boxes.")
    return found.source()


def _class_names(file: Path, data: dict[str, Any]) -> dict[int, str]:
    if not data:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        return {i: line.strip() for i, line in enumerate(lines) if line.strip()}
    names = data.get("names")
    try:
        pairs = names.items() if isinstance(names, dict) else enumerate(names or [])
        found = {int(number): str(name) for number, name in pairs}
    except (TypeError, ValueError):
        found = {}
    if not found:
        raise SourceError(f"'{file}' names no classes.", "names: [car, person], or {0: car}.")
    return found


def _parts(home: Path, data: dict[str, Any]) -> Iterator[_Part]:
    """Yield the splits that the YAML names, or else every image below the folder."""
    base = Path(str(data.get("path") or ""))
    roots = [r for r in (home / base, home, home.parent) if r.is_dir()]
    named = [(split, data[split]) for split in data if str(split).lower() in SPLITS]
    done: set[Path] = set()
    for split, places in named:
        for place in places if isinstance(places, list) else [places]:
            images = [i for i in _images(roots, str(place or "")) if i not in done]
            done.update(images)
            if images:
                yield _Part(images, str(split))
    if not done:
        for folder in folders_below(home):
            images = [folder / name for name in images_in(folder).values()]
            if images:
                yield _Part(images, split_in(folder.relative_to(home).parts))


def _images(roots: list[Path], place: str) -> list[Path]:
    """Return the images of a place: a folder, or a text file that lists them."""
    if not place:
        return []
    spots = [os.path.normpath(root / place) for root in roots]
    spots += [os.path.normpath(root / place.lstrip("./")) for root in roots]  # Roboflow's ../train
    where = next((Path(spot) for spot in spots if os.path.exists(spot)), None)
    if where is None:
        return []
    if where.is_dir():
        return [f / name for f in folders_below(where) for name in images_in(f).values()]
    lines = where.read_text(encoding="utf-8", errors="replace").splitlines()
    listed = [line.strip() for line in lines if line.strip()]
    return [Path(os.path.normpath(where.parent / line)) for line in listed]


def _label_file(image: Path) -> Path:
    """Return where the boxes of an image are: labels/ in place of the last images/, or beside."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i].lower() == "images":
            other = Path(*parts[:i], "labels", *parts[i + 1 :]).with_suffix(".txt")
            if other.is_file() or other.parent.is_dir():
                return other
    return image.with_suffix(".txt")


def _boxes(
    image: Path, names: dict[int, str], size: tuple[float, float] | None, found: Annotated
) -> tuple[list[dict[str, Any]] | None, bool]:
    """Return the boxes of an image, and whether it has a label file.

    None where the image cannot be read, since shares of it are no pixels then.
    """
    file = _label_file(image)
    if not file.is_file():
        return ([] if size else None), False
    if size is None:
        return None, True
    boxes = []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines()):
        words = line.split()
        if not words:
            continue
        try:
            boxes.append(_box(words, names, size))
        except ValueError as error:
            found.broken.append(f"'{file}', line {number + 1}: {error}.")
            return [], True
    return boxes, True


def _box(words: list[str], names: dict[int, str], size: tuple[float, float]) -> dict[str, Any]:
    """Return the box of one line.

    Raises:
        ValueError: it is none; the message says why.
    """
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"'{' '.join(words)}' is not all numbers") from None
    if not all(abs(n) < float("inf") for n in numbers):
        raise ValueError(f"'{' '.join(words)}' is not all numbers")
    code = int(numbers[0])
    if code != numbers[0] or code not in names:
        raise ValueError(f"class {words[0]} is none of the {len(names)} that are named")
    score = None
    if len(numbers) in (5, 6):
        cx, cy, w, h = numbers[1:5]
        x, y = cx - w / 2, cy - h / 2
        score = numbers[5] if len(numbers) == 6 else None
    elif len(numbers) >= 7 and len(numbers) % 2:
        xs, ys = numbers[1::2], numbers[2::2]
        x, y, w, h = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    else:
        raise ValueError(f"{len(numbers)} numbers, where a box has 5 and an outline 7 or more")
    wide, high = size
    scaled = [round(v, _DIGITS) for v in (x * wide, y * high, w * wide, h * high)]
    return box(names[code], *scaled, score=score)
