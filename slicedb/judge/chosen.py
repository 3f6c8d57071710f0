"""Find slices that are chosen by the outputs of the models that are compared in them.

Where one of two equal models was unsure, or wrong, the other is better by chance alone: regression
to the mean (Galton 1886). A comparison in such a slice reports, but cannot gate.
"""

from __future__ import annotations

from collections.abc import Iterator

from slicedb.errors import SliceDBError
from slicedb.schema import CAMS
from slicedb.slices import Slice


def choosing(chosen: Slice, model: str, baseline: str) -> str:
    """Return which of two models a slice is chosen by, "" for neither.

    A slice that was frozen before the model had predictions was not chosen by them, and neither was
    one that only names such slices.

    Args:
        chosen: the slice.
        model: the model under test.
        baseline: the model that it is compared with.
    """
    read = {name.lower() for name in _models(chosen, model, set())}
    return next((name for name in (model, baseline) if name.lower() in read), "")


def _is_older(chosen: Slice, model: str) -> bool:
    """Return whether a slice was frozen before a model had predictions."""
    known = chosen.predicted
    return chosen.kind == "frozen" and known is not None and model not in known


def _models(chosen: Slice, model: str, seen: set[str]) -> Iterator[str]:
    """Yield the models that choose a slice, also those of the slices that its text names."""
    key = f"{chosen.name}@{chosen.version}"
    if key in seen or _is_older(chosen, model):
        return
    seen.add(key)
    if chosen.answer is None:
        return
    try:
        query = chosen.answer() if chosen.ask is None else chosen.ask(chosen.question)
        plan = query.plan() if hasattr(query, "plan") else None
    except SliceDBError:  # what a frozen slice was frozen from may not be there any more
        if model.lower() in chosen.text.lower():
            yield model
        return
    if plan is None:
        return
    # maps of what a model looked at are its outputs, too
    yield from (name.removeprefix(CAMS) for name in plan.reads.models)
    for name in plan.pool.slices:
        if chosen.named is not None:
            yield from _models(chosen.named(name), model, seen)
