"""Count looks of verbs other than `test` and `evaluate`: confusion, mistakes, curves, comparisons.

They count as the looks of `runs/looks.py` do, with one exception. A slice that a model was already
judged on, as slice and predictions are now, tells no more about which model to choose when its
confusion or its curves are shown too, or are shown again. So they count once for each model,
definition of the slice, and state of the samples and the model's predictions.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from uuid import uuid4

import pyarrow.compute as pc

from slicedb.errors import DatabaseError
from slicedb.runs import looks
from slicedb.runs.table import Run, append, read
from slicedb.runs.user import user
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.slices import Slice
from slicedb.store import Store, software
from slicedb.store.without_pandas import without_pandas
from slicedb.tasks import About

_IS_RECORDED: ContextVar[bool] = ContextVar("is_recorded", default=True)
_ALONE = threading.Lock()
"""What a page asks at once about one slice is one look."""


def is_recorded() -> bool:
    """Return whether looks of this thread are written down."""
    return _IS_RECORDED.get()


@contextlib.contextmanager
def recorded(is_wanted: bool) -> Iterator[None]:
    """Say whether looks inside the block are written down; a reader's page may not write."""
    token = _IS_RECORDED.set(is_wanted)
    try:
        yield
    finally:
        _IS_RECORDED.reset(token)


@without_pandas()
def record_look(
    store: Store,
    verb: str,
    models: Sequence[str],
    slices: Sequence[Slice],
    truth: str | None = None,
) -> tuple[str, ...]:
    """Count a look at slices that gate or are held out, and return warnings of the held-out ones.

    Args:
        store: the tables; at an earlier commit, and where nothing can be written, nothing is.
        verb: what showed the figures.
        models: that were judged.
        slices: the registered slices among those that they were judged on.
        truth: what they were judged against; None is the ground truth.
    """
    guarded = looks.guarded(slices)
    if not guarded or store.title or not is_recorded() or not store.is_writable:
        return ()
    with _ALONE:
        seen = _seen(store, guarded, truth)
        new: dict[tuple[str, ...], dict[str, str]] = {}
        for name, mark in guarded.items():
            unseen = tuple(model for model in dict.fromkeys(models) if (model, mark) not in seen)
            new.setdefault(unseen, {})[name] = mark
        texts = {s.name: s.text for s in slices}
        for names, marks in new.items():
            if names:
                _write(store, verb, names, marks, texts, truth)
    return looks.warnings_of(store, [s for s in slices if s.holdout is not None])


def _seen(store: Store, guarded: Mapping[str, str], truth: str | None) -> set[tuple[str, str]]:
    """Return which models were judged on which definitions, with the tables as they are now."""
    now = store.versions()
    rows = read(store, ["summary", "tables"])
    marks = "|".join(f'"{mark}"' for mark in guarded.values())
    found = set()
    for row in rows.filter(pc.match_substring_regex(rows["summary"], marks)).to_pylist():
        summary, tables = json.loads(row["summary"]), json.loads(row["tables"])
        if tables.get(SAMPLES) != now.get(SAMPLES) or summary.get("truth") != truth:
            continue
        for model in summary.get("models", []):
            table = PREDICTIONS + model
            if tables.get(table) == now.get(table):
                found |= {(model, mark) for mark in summary.get("looks", {}).values()}
    return found


def _write(
    store: Store,
    verb: str,
    models: Sequence[str],
    marks: Mapping[str, str],
    texts: Mapping[str, str],
    truth: str | None,
) -> None:
    now = datetime.now(UTC)
    row = Run(
        id=f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        kind="look",
        what=", ".join(models),
        ran_at=now.replace(tzinfo=None),
        tables=store.versions(),
        fingerprints={name: About.read(store, name).fingerprint for name in models},
        queries={name: texts[name] for name in marks},
        software=software(),
        summary={
            "by": user(),
            "verb": verb,
            "truth": truth,
            "looks": dict(marks),
            "models": list(models),
        },
    )
    with contextlib.suppress(DatabaseError, OSError):
        append(store, row)
