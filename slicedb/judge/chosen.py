"""Find slices that are chosen by the outputs of the models that are compared in them.

Where one of two equal models was unsure, or wrong, the other is better by chance alone: regression
to the mean (Galton 1886). A comparison in such a slice reports, but cannot gate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slicedb.schema import PREDICTIONS
from slicedb.slices import Slice

if TYPE_CHECKING:
    from slicedb.query import Query

_OUTPUTS = re.compile(r"in_slice|predict|confiden|probab|logit|loss|entropy|margin|objects", re.I)
"""Words without which a text reads no model, unless it names one."""


def choosing(chosen: Slice, model: str, baseline: str) -> str:
    """Return which of two models a slice is chosen by, "" for neither.

    A slice that was frozen before the model had predictions was not chosen by them.

    Args:
        chosen: the slice.
        model: the model under test.
        baseline: the model that it is compared with.
    """
    if chosen.kind == "frozen" and PREDICTIONS + model not in chosen.tables:
        return ""
    names = [name for name in (model, baseline) if name in chosen.text]
    if chosen.answer is None or not (names or _OUTPUTS.search(chosen.text)):
        return ""
    query = chosen.ask(chosen.question) if chosen.ask is not None else chosen.answer()
    read = _models(query, chosen)
    return next((name for name in (model, baseline) if name in read), "")


def _models(query: Query, chosen: Slice) -> set[str]:
    """Return the models that a query reads, also inside the slices that it names."""
    if not hasattr(query, "plan"):
        return set()
    plan = query.plan()
    read = set(plan.reads.models)
    if chosen.ask is not None:
        for text in plan.pool.slices.values():
            if isinstance(text, str):
                read |= set(chosen.ask(text).plan().reads.models)
    return read
