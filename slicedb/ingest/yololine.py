"""One line of a YOLO label file: a box, an outline, four corners, or a box with key points.

    class cx cy w h [score]                   a box                      (detect)
    class x y x y x y ... [score]             an outline                 (segment)
    class x y x y x y x y [score]             four corners, an outline   (oriented boxes)
    class cx cy w h x y [v] x y [v] ...       a box with key points      (pose; needs kpt_shape)

Numbers are fractions of the image. A line of a box with key points has as many numbers as an
outline may have, so that only `kpt_shape` in the YAML file tells them apart.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from slicedb.errors import SourceError
from slicedb.ingest.annotated import box
from slicedb.ingest.source import Row
from slicedb.schema import KEYPOINT_NAMES, Box
from slicedb.show.numbers import count
from slicedb.sources import Location

_DIGITS = 3
"""Decimals of a pixel that are kept: files give six of a fraction, which is less."""
_SEEN = 2.0
"""Visibility of a key point whose line does not say it: labelled and visible, in COCO's words."""


@dataclass(frozen=True)
class Grammar:
    """What the lines of a data set mean."""

    names: dict[int, str]
    """Class names by number."""
    points: tuple[int, int] | None = None
    """`kpt_shape`: how many key points a box has, and how many numbers each (2 or 3)."""
    point_names: dict[int, list[str]] = field(default_factory=dict)
    """`kpt_names`: how the key points of a class are called, by its number."""

    def box(self, words: Sequence[str], size: tuple[float, float]) -> Box:
        """Return the box of one line, in pixels.

        Args:
            words: of the line.
            size: width and height of the image, pixels.

        Raises:
            ValueError: it is none; the message says why.
        """
        numbers = _numbers(words)
        code = int(numbers[0])
        if code != numbers[0] or code not in self.names:
            raise ValueError(f"class {words[0]} is none of the {len(self.names)} that are named")
        name, rest = self.names[code], numbers[1:]
        if self.points is not None and len(rest) == 4 + self.points[0] * self.points[1]:
            points = _points(rest[4:], self.points[1], size)
            called = self.point_names.get(code, self.point_names.get(0, []))
            known = json.dumps({KEYPOINT_NAMES: called}, ensure_ascii=False)
            has_names = len(called) == self.points[0]
            x, y, w, h = _sides(rest, size)
            return box(name, x, y, w, h, attributes=known if has_names else None, keypoints=points)
        if len(rest) in (4, 5):
            score = rest[4] if len(rest) == 5 else None
            return box(name, *_sides(rest, size), score=score)
        if self.points is not None:
            whole = 5 + self.points[0] * self.points[1]
            raise ValueError(
                f"{count(len(numbers), 'number')}, where a box has 5 and one with "
                f"{self.points[0]} key points has {whole} (kpt_shape)"
            )
        if len(rest) < 6:
            raise ValueError(
                f"{count(len(numbers), 'number')}, where a box has 5 and an outline 7 or more"
            )
        score = rest.pop() if len(rest) % 2 else None
        outline = _scaled(rest, size)
        xs, ys = outline[::2], outline[1::2]
        sides = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
        return box(
            name,
            *(round(side, _DIGITS) for side in sides),
            score=score,
            segmentation=json.dumps([outline]),
        )


def _numbers(words: Sequence[str]) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        raise ValueError(f"'{' '.join(words)}' is not all numbers") from None
    if not all(abs(n) < float("inf") for n in numbers):
        raise ValueError(f"'{' '.join(words)}' is not all numbers")
    return numbers


def _sides(rest: Sequence[float], size: tuple[float, float]) -> list[float]:
    """Return [x, y, w, h] in pixels of a middle and sides in fractions."""
    cx, cy, w, h = rest[:4]
    x, y = cx - w / 2, cy - h / 2
    return [round(v, _DIGITS) for v in (x * size[0], y * size[1], w * size[0], h * size[1])]


def _scaled(points: Sequence[float], size: tuple[float, float]) -> list[float]:
    return [round(value * size[i % 2], _DIGITS) for i, value in enumerate(points)]


def _points(values: Sequence[float], step: int, size: tuple[float, float]) -> list[float]:
    """Return key points as COCO has them, [x, y, visibility, ...], in pixels."""
    points: list[float] = []
    for i in range(0, len(values), step):
        x, y = _scaled(values[i : i + 2], size)
        labelled = _SEEN if x or y else 0.0
        points += [x, y, values[i + 2] if step == 3 else labelled]
    return points


def grammar_of(file: Location, data: Row, texts: Row) -> Grammar:
    """Return what the lines of a data set mean.

    Args:
        file: that names the classes.
        data: the contents of a YAML file; empty of a list of names.
        texts: the same with every value as text, as classes are named (`no`, `007`).

    Raises:
        SourceError: the classes or the key points cannot be read.
    """
    if not data:
        lines = file.read_text().splitlines()
        return Grammar({i: line.strip() for i, line in enumerate(lines) if line.strip()})
    names = texts.get("names")
    if isinstance(names, str):  # `names: person`; a number alone names nothing
        names = [names] if isinstance(data.get("names"), str) and names.strip() else None
    try:
        pairs = names.items() if isinstance(names, dict) else enumerate(names or [])
        classes = {int(number): str(name) for number, name in pairs}
    except (TypeError, ValueError):
        classes = {}
    if not classes:
        raise SourceError(f"'{file}' names no classes.", "names: [car, person], or {0: car}.")
    return Grammar(classes, _shape(file, data.get("kpt_shape")), _point_names(data))


def _point_names(data: Row) -> dict[int, list[str]]:
    """Return the names of key points by class; what is written otherwise names none."""
    given = data.get("kpt_names")
    pairs = given.items() if isinstance(given, dict) else [(0, given)]
    return {
        number: [str(name) for name in names]
        for number, names in pairs
        if isinstance(number, int) and isinstance(names, list)
    }


def _shape(file: Location, shape: object) -> tuple[int, int] | None:
    if shape is None:
        return None
    if (
        isinstance(shape, list | tuple)
        and len(shape) == 2
        and all(isinstance(n, int) and n > 0 for n in shape)
        and shape[1] in (2, 3)
    ):
        return shape[0], shape[1]
    raise SourceError(
        f"'{file}' has the kpt_shape {shape!r}.",
        "write [how many key points, 2 or 3 numbers each].",
    )
