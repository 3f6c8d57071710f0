"""Leave out what speaks of an earlier picture: its vectors, maps and predictions.

Each such row says which content it was made from. Vectors and maps of another content than the
picture has now are removed; predictions are emptied, and say so in `error`, so that they are
counted until `predict` or `log_predictions` renews them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.doctor import Finding
from slicedb.keys import KeyIndex, Keys
from slicedb.predictions.tables import models_of, table_of
from slicedb.schema import CAMS, EMBEDDINGS, SAMPLES, content_of
from slicedb.show import numbers
from slicedb.store import Store
from slicedb.tasks import LOGGED, TASKS, About

SUPERSEDED = "the picture changed after this was predicted"
"""What `error` says of an emptied prediction."""
_KEPT = frozenset({"id", "key", "content", "fingerprint", "error"})


def superseded(store: Store) -> dict[str, int]:
    """Return how many rows of each table speak of an earlier picture, emptied ones included."""
    contents = _Contents(store)
    counts = {table: len(contents.old_rows(table)) for table in _tables(store)}
    return {table: n for table, n in counts.items() if n}


def leave_out(store: Store) -> dict[str, int]:
    """Remove or empty the rows that speak of an earlier picture; return how many, by table.

    Those that were emptied before are not counted again.
    """
    contents, counts = _Contents(store), {}
    for table in _tables(store):
        rows = contents.old_rows(table)
        if table.startswith((EMBEDDINGS, CAMS)):
            if len(rows):
                store.delete(table, rows["id"].to_pylist())
        else:
            rows = rows.filter(pc.invert(pc.fill_null(pc.equal(rows["error"], SUPERSEDED), False)))
            _empty(store, table, rows["id"])
        counts[table] = len(rows)
    return {table: n for table, n in counts.items() if n}


def shown(store: Store, counts: dict[str, int]) -> list[str]:
    """Return a sentence per table on what was left out, with what renews it."""
    lines = []
    for table, n in counts.items():
        name = table.partition("__")[2]
        if table.startswith(EMBEDDINGS):
            lines.append(
                f"{numbers.count(n, 'vector')} of '{name}', of earlier pictures, left out; "
                f"`slicedb embed` or `log-embeddings` renews them."
            )
        elif table.startswith(CAMS):
            lines.append(f"{numbers.count(n, 'map')} of '{name}', of earlier pictures, removed.")
        else:
            logged = About.read(store, name).fingerprint == LOGGED
            kind = "logged prediction" if logged else "prediction"
            how = f"log-predictions {name}" if logged else f"predict {name}"
            lines.append(
                f"{numbers.count(n, f'{kind} of', f'{kind}s of')} '{name}' "
                f"{numbers.verb(n, 'speaks', 'speak')} of earlier pictures and "
                f"{numbers.verb(n, 'is', 'are')} left out; `slicedb {how}` renews them."
            )
    return lines


def stale_pictures(store: Store, *, mend: bool = False) -> list[Finding]:
    """Return the tables with rows that speak of earlier pictures; `mend` leaves those out."""
    try:
        if mend:
            leave_out(store)
        counts = superseded(store)
    except Exception:  # damaged, which `examine` reports: what is stored may be anything
        return []
    return [
        Finding(table, "stale pictures", n, line.partition("; ")[2].rstrip(".") or "run it again")
        for (table, n), line in zip(counts.items(), shown(store, counts), strict=True)
    ]


def _tables(store: Store) -> list[str]:
    names = [name for name in store.names() if name.startswith((EMBEDDINGS, CAMS))]
    predictions = [table_of(model) for model in models_of(store)]
    return [t for t in (*names, *predictions) if "content" in store.schema(t).names]


class _Contents:
    """What the pictures hold now, by sample."""

    def __init__(self, store: Store) -> None:
        self._store = store
        samples = store.table(SAMPLES, ["key", "sha256"])
        self._index = KeyIndex(samples["key"].to_numpy())
        self._now: Keys = content_of(samples["sha256"])
        self._has_any = bool((self._now >= 0).any())

    def old_rows(self, table: str) -> pa.Table:
        """Return id, and error of predictions, of rows made from another content.

        A content that is not known, before or now, is no other one.
        """
        has_error = "error" in self._store.schema(table).names
        names = ["id", "error"] if has_error else ["id"]
        if not self._has_any:
            return self._store.take(table, np.empty(0, np.int64), names)
        rows = self._store.table(table, ["key", "content"])
        at = self._index.find(rows["key"].to_numpy())
        now = np.append(self._now, -1)[at]
        before = pc.fill_null(rows["content"], -1).to_numpy()
        old = np.flatnonzero((now >= 0) & (before >= 0) & (now != before))
        keys = rows["key"].to_numpy()[old]
        return self._store.take(table, keys, names)


def _empty(store: Store, table: str, ids: pa.ChunkedArray) -> None:
    """Take what a model said from some rows of its table; columns of the user's own stay."""
    if not len(ids):
        return
    model = table.partition("__")[2]
    task = TASKS[About.read(store, model).task]
    stored = store.schema(table)
    of_model = task.schema(1).names if task.is_judged else stored.names
    ours = [name for name in of_model if name in stored.names and name not in _KEPT]
    empty = {name: pa.nulls(len(ids), stored.field(name).type) for name in ours}
    error = pa.array([SUPERSEDED] * len(ids), pa.string())
    store.upsert(table, pa.table({"id": ids, **empty, "error": error}), insert=False)
