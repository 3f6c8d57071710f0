"""Read what an edit asks for, and what the columns of the sample become."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, TypeAlias

from slicedb.errors import CheckError, did_you_mean

BoxGiven: TypeAlias = "Mapping[str, Any] | str"
"""A box: {"label": "cat", "bbox": [x, y, w, h]}, or label=cat,bbox=x,y,w,h."""
SetGiven: TypeAlias = "Mapping[int, BoxGiven] | Sequence[tuple[int, BoxGiven]]"
"""What is new of boxes, by their number."""

Values: TypeAlias = dict[str, Any]
"""Columns of one sample."""

COLUMNS = ("label", "labels", "objects", "tags")
_BOX = ("label", "bbox", "score", "attributes", "segmentation", "keypoints")
_GIVEN = ("label", "bbox", "attributes")
_FORM = "write label=cat,bbox=10,10,20,20 (x, y, width, height in pixels)."


@dataclass(frozen=True)
class Wanted:
    """What one edit changes."""

    remove: tuple[int, ...] = ()
    """Numbers of boxes, as `index` of FROM objects has them, before anything is changed."""
    change: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    add: tuple[Mapping[str, Any], ...] = ()
    label: str | None = None
    """None leaves it, "" removes it."""
    labels: tuple[str, ...] | None = None
    """Of a sample that may have several; None leaves them, () says that it has none."""
    tag: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()
    decision: Literal["keep", "skip", "delete"] | None = None
    """What is decided of the sample as a whole, in place of an edit."""

    @property
    def text(self) -> str:
        """All of it as JSON."""
        parts = {name: value for name, value in vars(self).items() if value not in ((), None)}
        if self.labels is not None:
            parts["labels"] = self.labels
        return json.dumps(parts, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Self:
        """Return what `text` says of it."""
        parts = json.loads(text)
        parts["change"] = [(number, given) for number, given in parts.get("change", ())]
        lists = {name: tuple(value) for name, value in parts.items() if isinstance(value, list)}
        return cls(**{**parts, **lists})

    def __bool__(self) -> bool:
        return self.text != "{}"


@dataclass(frozen=True)
class Changed:
    """What an edit makes of a sample."""

    before: Values
    """The columns that change, as they were."""
    after: Values
    notes: tuple[str, ...] = field(default=())


def wanted(
    remove: Sequence[int],
    change: SetGiven,
    add: Sequence[BoxGiven],
    label: str | None,
    tag: Sequence[str],
    untag: Sequence[str],
    *,
    labels: Sequence[str] | None = None,
    keep: bool = False,
    skip: bool = False,
    delete: bool = False,
) -> Wanted:
    """Return what is asked for, its form checked.

    Raises:
        CheckError: a box is no box, a tag or a label is empty, a tag is both given and taken away,
            or what is decided of the sample as a whole stands beside something else.
    """
    pairs = change.items() if isinstance(change, Mapping) else change
    changes = tuple((_number(number), _box(given)) for number, given in pairs)
    boxes = tuple(_box(given) for given in add)
    for box in boxes:
        lacking = [name for name in ("label", "bbox") if name not in box]
        if lacking:
            raise CheckError(f"A new box has no {lacking[0]}.", _FORM)
    tags, others = _words(tag), _words(untag)
    both = set(tags) & set(others)
    if both:
        raise CheckError(f"The tag '{min(both)}' is both given and taken away.", "leave out one.")
    several = None if labels is None else _several(labels)
    asked = Wanted(tuple(map(_number, remove)), changes, boxes, label, several, tags, others)
    whole = [name for name, is_asked in _whole(keep, skip, delete) if is_asked]
    if len(whole) + bool(asked) > 1:
        beside = [*whole, "an edit"] if asked else whole
        raise CheckError(f"{' and '.join(beside)} are asked for at once.", "decide on one.")
    return replace(asked, decision=whole[0]) if whole else asked


def _whole(
    keep: bool, skip: bool, delete: bool
) -> tuple[tuple[Literal["keep", "skip", "delete"], bool], ...]:
    return ("keep", keep), ("skip", skip), ("delete", delete)


def changed(asked: Wanted, row: Values, size: tuple[int, int] | None) -> Changed:
    """Return what an edit makes of a sample's columns; only those that change.

    Args:
        asked: the edit.
        row: its columns as they are.
        size: width and height of the picture, None where they are not known.

    Raises:
        CheckError: there is no such box, or a box lies outside of the picture.
    """
    after: Values = {}
    notes: list[str] = []
    if asked.label is not None:
        after["label"] = asked.label or None
    if asked.labels is not None:
        after["labels"] = list(asked.labels)
    if asked.remove or asked.change or asked.add:
        after["objects"] = _boxes(asked, row["objects"], size, notes)
    if asked.tag or asked.untag:
        kept = [t for t in row["tags"] or [] if t not in asked.untag]
        after["tags"] = list(dict.fromkeys([*kept, *asked.tag]))
    after = {
        name: value
        for name, value in after.items()
        if value != row[name] and not (name == "tags" and not value and not row[name])
    }
    return Changed({name: row[name] for name in after}, after, tuple(notes))


def _boxes(
    asked: Wanted, before: list[Values] | None, size: tuple[int, int] | None, notes: list[str]
) -> list[Values]:
    boxes = [dict(box) for box in before or []]
    for number in (*asked.remove, *(number for number, _ in asked.change)):
        if not 1 <= number <= len(boxes):
            if not boxes:
                raise CheckError(
                    f"There is no box {number}: the sample has no boxes.",
                    "`--add-box label=cat,bbox=10,10,20,20` (add_box=) adds one.",
                )
            raise CheckError(
                f"There is no box {number}: the sample's boxes are 1 to {len(boxes)}.",
                "`slicedb edit ID --history` lists them with their numbers.",
            )
    for number, given in asked.change:
        if number in asked.remove:
            raise CheckError(f"Box {number} is both changed and removed.", "leave out one.")
        box = boxes[number - 1]
        if "bbox" in given and given["bbox"] != box["bbox"]:
            lost = [n for n in ("segmentation", "keypoints") if box.get(n)]
            if lost:
                notes.append(f"The {' and '.join(lost)} of box {number} went with its place.")
            box |= dict.fromkeys(("segmentation", "keypoints"))
        box |= given
    kept = [box for number, box in enumerate(boxes, 1) if number not in asked.remove]
    new = [{**dict.fromkeys(_BOX), **given} for given in asked.add]
    for given in (*(g for _, g in asked.change), *asked.add):
        _refuse_outside(given, size)
    return [*kept, *new]


def _refuse_outside(given: Mapping[str, Any], size: tuple[int, int] | None) -> None:
    box = given.get("bbox")
    if box is None or size is None or not all(size):
        return
    x, y, w, h = box
    if x >= size[0] or y >= size[1] or x + w <= 0 or y + h <= 0:
        raise CheckError(
            f"The box {box} lies outside of the picture, which has {size[0]} x {size[1]} pixels.",
            "x and y are pixels from the left top corner.",
        )


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise CheckError(f"{value!r} is no number of a box.", "they count from 1.") from None


def _box(given: BoxGiven) -> Values:
    """Return what is given of a box.

    Raises:
        CheckError: a word or a value cannot be read.
    """
    parts = _parsed(given) if isinstance(given, str) else dict(given)
    for name in parts:
        if name not in _GIVEN:
            raise CheckError(f"A box has no '{name}' to set.", did_you_mean(name, _GIVEN))
    if not parts:
        raise CheckError("Nothing is given of a box.", _FORM)
    if "label" in parts and (not isinstance(parts["label"], str) or not parts["label"].strip()):
        raise CheckError(f"The label of a box is {parts['label']!r}.", _FORM)
    if "bbox" in parts:
        parts["bbox"] = _sides(parts["bbox"])
    attributes = parts.get("attributes")
    if attributes is not None:
        parts["attributes"] = _attributes(attributes)
    return parts


def _attributes(given: object) -> str:
    try:
        value = json.loads(given) if isinstance(given, str) else given
        text = json.dumps(value)
    except (TypeError, ValueError) as error:
        raise CheckError(f"The attributes {given!r} are no JSON: {error}.", "an object.") from error
    if not isinstance(value, dict):
        raise CheckError(f"The attributes {given!r} are no object of JSON.", '{"pose": "left"}.')
    return text


def _parsed(text: str) -> Values:
    """Return the parts of label=cat,bbox=10,10,20,20.

    >>> _parsed("label=a cat,bbox=1,2,3,4")
    {'label': 'a cat', 'bbox': '1,2,3,4'}
    """
    parts: Values = {}
    name = ""
    for piece in text.split(","):
        word, equals, value = piece.partition("=")
        if equals and word.strip() in _GIVEN:
            name = word.strip()
            if name in parts:
                raise CheckError(f"'{name}' comes twice in '{text}'.", _FORM)
            parts[name] = value.strip()
        elif equals and word.strip().isidentifier() and not parts:
            name = word.strip()
            parts[name] = value.strip()
        elif name:
            parts[name] += f",{piece}"
        else:
            raise CheckError(f"'{text}' is no box.", _FORM)
    return parts


def _sides(given: object) -> list[float]:
    try:
        listed = given.split(",") if isinstance(given, str) else list(given)  # type: ignore[call-overload]
        sides = [float(value) for value in listed]
    except (TypeError, ValueError):
        raise CheckError(f"The bbox {given!r} is not made of numbers.", _FORM) from None
    if len(sides) != 4 or not all(map(math.isfinite, sides)) or min(sides[2:]) <= 0:
        raise CheckError(f"The bbox {sides} is not x, y, width, height with positive sides.", _FORM)
    return sides


def _several(given: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of a sample, each once; an empty text alone is none of them."""
    words = (given,) if isinstance(given, str) else tuple(given)
    if words == ("",):
        return ()
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise CheckError(f"{list(words)} holds an empty label.", "leave it out.")
    return tuple(dict.fromkeys(words))


def _words(given: Sequence[str]) -> tuple[str, ...]:
    words = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(word, str) and word.strip() for word in words):
        raise CheckError(f"{list(words)} holds an empty tag.", "tags are words.")
    return tuple(dict.fromkeys(words))
