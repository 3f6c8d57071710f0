"""Draw what a task says of a sample on its picture: boxes of truth and prediction."""

from __future__ import annotations

from collections.abc import Iterable

from slicedb.media import decode_rgb
from slicedb.media.marks import Mark, jpeg, marked
from slicedb.show.html import Html, element
from slicedb.tasks.task import Shown, ShownBox

MATCHED, MISSED, WRONG, UNJUDGED = (22, 140, 70), (214, 128, 0), (208, 44, 36), (40, 110, 205)
"""Colours: right, missed, a box that should not be there, and not held against a truth."""


def picture(data: bytes, side: int, boxes: Iterable[ShownBox] = ()) -> bytes:
    """Return a picture as JPEG, its longer side `side` pixels, with boxes on it.

    Raises:
        MediaError: it does not decode.
    """
    marks = [mark_of(box) for box in boxes]
    pixels = decode_rgb(data, None if marks else side)
    return jpeg(marked(pixels, sorted(marks, key=lambda mark: not mark.dashed), side))


def mark_of(box: ShownBox) -> Mark:
    """Return a box as it is drawn: truth dashed, what is missed with its name, and predictions.

    >>> mark_of(ShownBox((0, 0, 9, 9), "car", 0.92, "double")).text
    'double car 0.92'
    """
    if box.score is None:
        is_missed = box.state == "missed"
        text = f"missed {box.label}" if is_missed else "" if box.state else box.label
        return Mark(box.xywh, text, MISSED if is_missed else MATCHED, dashed=True)
    colour = {"matched": MATCHED, "": UNJUDGED}.get(box.state, WRONG)
    kind = "" if box.state in ("", "matched") else f"{box.state} "
    return Mark(box.xywh, f"{kind}{box.label} {box.score:.2f}", colour)


def legend(shown: Iterable[Shown]) -> Html:
    """Return what the colours mean, for the states that some box is in; "" without boxes."""
    states = {box.state for one in shown for box in one.boxes if box.score is not None}
    missed = any(b.state == "missed" for one in shown for b in one.boxes if b.score is None)
    truth = any(box.score is None for one in shown for box in one.boxes)
    rows = (
        (truth, MATCHED, "dashed: annotated"),
        ("matched" in states, MATCHED, "predicted and matched"),
        (missed, MISSED, "dashed: annotated and missed"),
        (bool(states - {"", "matched"}), WRONG, "predicted and wrong"),
        ("" in states, UNJUDGED, "predicted, not judged"),
    )
    parts = [
        element("span", "■ ", style=f"color:rgb{colour}") + element("span", f"{text}   ")
        for is_there, colour, text in rows
        if is_there
    ]
    return element("p", *map(Html, parts)) if parts else Html()
