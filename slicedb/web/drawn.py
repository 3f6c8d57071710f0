"""What is drawn over a picture, as pages get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slicedb.tasks import Shown


def boxes_of(shown: Shown, *, is_truth: bool) -> list[dict[str, object]]:
    """Return the annotated boxes of a sample, or those that a model predicts."""
    return [
        {"label": box.label, "bbox": box.xywh, "score": box.score, "state": box.state}
        for box in shown.boxes
        if (box.score is None) == is_truth
    ]
