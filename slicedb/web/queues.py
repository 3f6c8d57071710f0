"""The review queues of Clean: what is in them, and the finding of it in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slicedb import sql
from slicedb.cache import Cache
from slicedb.errors import CheckError, did_you_mean
from slicedb.progress import Cancel, Progress
from slicedb.schema import PREDICTIONS, SAMPLES, SHOWN
from slicedb.web.plain import Body

if TYPE_CHECKING:
    from slicedb.database import Database

_KEPT = 24
"""Queues that are remembered."""
_MOST = 5_000
"""Samples of a queue at most, the first ones; the rest comes when these are worked."""
_ALL = "(status IS NULL) IS NOT NULL"
"""Lets a query see quarantined samples too."""


@dataclass(frozen=True)
class Item:
    """What is decided on at once: a sample, or a group of which one is kept."""

    ids: tuple[str, ...]
    """Of a group, the one to keep first."""
    reason: str = ""
    suggested: str | None = None
    """The label that a model gives."""
    differ: bool = False
    """Whether the labels of a group are not the same."""
    object: int | None = None
    """The annotated box that it is about, from 1."""
    detection: int | None = None
    """The predicted box that it is about, from 1."""


@dataclass(frozen=True)
class Found:
    """The items of a queue."""

    items: tuple[Item, ...]
    query: str
    """Shows its samples in Explore; "" where no short text does."""
    more: int = 0
    """Items that were left out."""
    model: str | None = None
    """Whose predictions are shown."""
    notes: tuple[str, ...] = ()
    at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Kind:
    """A kind of queue."""

    name: str
    title: str
    about: str
    find: Callable[[Database, str, Cancel], Found]
    """From the database and what the name has behind its colon, or the query."""
    takes: str = ""
    """What stands behind the colon: "model", or nothing."""
    is_group: bool = False
    is_long: bool = False
    """Whether finding it may take long or write what it computes, so that an editor begins it."""


def _losses(db: Database, model: str, cancel: Cancel) -> Found:
    """Return samples by falling loss; of a model without losses its mistakes, the surest first."""
    m = sql.name(model)
    where, order = f"{m}.loss IS NOT NULL", f"{m}.loss"
    notes: tuple[str, ...] = ()
    if not db.query(where).count():
        stored = db.store.schema(PREDICTIONS + model).names
        if "correct" in stored:
            where = f"NOT {m}.correct"
            order = f"{m}.confidence" if "confidence" in stored else "id"
            notes = (f"{model} was logged without losses: its mistakes, the surest first.",)
    text = f"{where} ORDER BY {order} DESC, id"
    ids = db.query(f"{text} LIMIT {_MOST}").ids()
    return Found(tuple(Item((i,)) for i in ids), text, _rest(db, where), model, notes)


def _rest(db: Database, where: str) -> int:
    return max(0, db.query(where).count() - _MOST)


def _labels(db: Database, model: str, cancel: Cancel) -> Found:
    report = db.labels(model, progress=cancel)
    names = ["id", "kind", "label", "suggested", "confidence", "object", "detection"]
    rows = report.rows.select(names)
    items: dict[str, Item] = {}
    for row in rows.to_pylist():
        why = row["kind"]
        if row["suggested"]:
            why += f": {row['label'] or 'nothing'} is more likely {row['suggested']}"
        sure = "" if row["confidence"] is None else f" ({row['confidence']:.2f})"
        suggested = row["suggested"] if report.task == "classification" else None
        items.setdefault(row["id"], _item(row, f"{why}{sure}", suggested))
    kept = tuple(items.values())
    return Found(kept[:_MOST], report.query, max(0, len(kept) - _MOST), model, report.notes)


def _item(row: Body, why: str, suggested: str | None) -> Item:
    return Item((row["id"],), why, suggested, False, row["object"], row["detection"])


def _duplicates(db: Database, _: str, cancel: Cancel) -> Found:
    report = db.duplicates(progress=cancel)
    items = tuple(
        Item(
            group.ids,
            f"{group.kind}; keep {group.ids[0]}: {group.reason}"
            + (f"; labels differ: {', '.join(group.labels)}" if len(group.labels) > 1 else ""),
            differ=len(group.labels) > 1,
        )
        for group in report.groups
    )
    redundant = {f.name: f.query for f in report.findings}.get("redundant", "")
    query = redundant if len(redundant) < _MOST else ""
    return Found(items[:_MOST], query, max(0, len(items) - _MOST), notes=report.notes)


def _leaks(db: Database, _: str, cancel: Cancel) -> Found:
    report = db.duplicates("split IS NOT NULL", progress=cancel)
    members = report.members["id"].to_pylist()
    splits = dict(zip(members, _column(db, members, "split")))
    items = []
    for group in report.groups:
        parts = sorted({str(splits.get(i)) for i in group.ids})
        if len(parts) > 1:
            why = f"the same picture in {' and '.join(parts)}; keep {group.ids[0]}: {group.reason}"
            items.append(Item(group.ids, why, differ=len(group.labels) > 1))
    ids = [i for item in items for i in item.ids]
    query = sql.is_in("id", ids) if ids and len(ids) <= 200 else ""
    return Found(tuple(items[:_MOST]), query, max(0, len(items) - _MOST), notes=report.notes)


def _column(db: Database, ids: list[str], column: str) -> list[object]:
    from slicedb.schema import keys_of

    rows = db.store.take(SAMPLES, keys_of(ids), [column], ids=ids)
    values: list[object] = rows[column].to_pylist()
    return values


def _quarantine(db: Database, _: str, cancel: Cancel) -> Found:
    where = f"status IS NOT NULL AND NOT {sql.is_in('status', SHOWN)}"
    rows = db.query(f"{where} ORDER BY status, id LIMIT {_MOST}").to_arrow(
        ["id", "status", "error"]
    )
    items = [Item((r["id"],), f"{r['status']}: {r['error'] or ''}") for r in rows.to_pylist()]
    return Found(tuple(items), where, _rest(db, where))


def _query(db: Database, text: str, cancel: Cancel) -> Found:
    ids = db.query(text).ids()
    return Found(tuple(Item((i,)) for i in ids[:_MOST]), text, max(0, len(ids) - _MOST))


KINDS = (
    Kind(
        "labels",
        "Label errors",
        "Labels that {} doubts, likeliest errors first.",
        _labels,
        takes="model",
        is_long=True,
    ),
    Kind(
        "losses",
        "Top losses",
        "What {} has most wrong: wrong labels, odd pictures, blind spots.",
        _losses,
        takes="model",
    ),
    Kind(
        "duplicates",
        "Duplicates",
        "The same picture more than once: keep one of each group.",
        _duplicates,
        is_group=True,
        is_long=True,
    ),
    Kind(
        "leaks",
        "Leaks",
        "The same picture in more than one split.",
        _leaks,
        is_group=True,
        is_long=True,
    ),
    Kind(
        "quarantine",
        "Quarantine",
        "Pictures that do not decode, or whose file is gone.",
        _quarantine,
    ),
    Kind("query", "A query", "The samples of a query, in its order.", _query),
)
"""One row per kind of queue."""


def kind_of(name: str) -> tuple[Kind, str]:
    """Return the kind of a queue and what its name has behind the colon.

    Raises:
        CheckError: there is no such queue.
    """
    word, _, rest = name.partition(":")
    kinds = {kind.name: kind for kind in KINDS}
    if word not in kinds or bool(rest) != bool(kinds[word].takes):
        known = [f"{k.name}:MODEL" if k.takes else k.name for k in KINDS]
        raise CheckError(f"There is no queue '{name}'.", did_you_mean(name, known, "queues"))
    return kinds[word], rest


def listed(db: Database) -> list[dict[str, object]]:
    """Return the queues that the database may have, each with its name."""
    names = [n.removeprefix(PREDICTIONS) for n in db.store.names() if n.startswith(PREDICTIONS)]
    rows: list[dict[str, object]] = []
    for kind in KINDS:
        if kind.name == "query":
            continue
        for model in sorted(names) if kind.takes else [""]:
            name = f"{kind.name}:{model}" if model else kind.name
            rows.append({"name": name, "title": kind.title, "model": model} | _about(kind, model))
    return rows


def _about(kind: Kind, rest: str) -> dict[str, object]:
    return {"about": kind.about.format(rest), "group": kind.is_group, "long": kind.is_long}


class Queues:
    """Finds queues, one at a time, and remembers them.

    Args:
        db: the database.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pool = ThreadPoolExecutor(1, "slicedb-queue")
        self._lock = threading.Lock()
        self._found: Cache[tuple[str, str], Future[Found]] = Cache(_KEPT)
        self._progress: Cache[tuple[str, str], Progress] = Cache(_KEPT)

    def begin(self, name: str, text: str = "", *, anew: bool = False) -> Future[Found]:
        """Begin to find a queue, where that was not begun; `anew` looks again."""
        kind, rest = kind_of(name)
        slot = (name, text)
        with self._lock:
            known = self._found.find(slot)
            if known is not None and not (anew and known.done()):
                return known
            cancel = Cancel(lambda progress: self._tell(slot, progress))
            future = self._pool.submit(kind.find, self._db, rest or text, cancel)
            self._found.put(slot, future)
            return future

    def known(self, name: str, text: str = "") -> Future[Found] | None:
        """Return a queue that was begun; None where it was not."""
        return self._found.find((name, text))

    def progress(self, name: str, text: str = "") -> Progress | None:
        """Return how far the finding of a queue is; None where nothing was told yet."""
        return self._progress.find((name, text))

    def _tell(self, slot: tuple[str, str], progress: Progress) -> None:
        if progress.stage:
            self._progress.put(slot, progress)
