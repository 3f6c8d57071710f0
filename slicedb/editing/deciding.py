"""Decide on samples: write down what is to become of them, which changes nothing yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from slicedb.editing import log
from slicedb.editing.entry import Edit, author_of
from slicedb.editing.folding import SEEN, overlaid
from slicedb.editing.wanted import Values, Wanted, changed
from slicedb.errors import CheckError, UnknownSampleError, did_you_mean
from slicedb.schema import SAMPLES, keys_of
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.store import Store

_SUGGESTED = 20_000
"""Ids that a misspelt one is compared with."""


@dataclass(frozen=True)
class DecideReport(Record):
    """What was decided; it changes nothing until it is applied."""

    edits: tuple[Edit, ...]
    """One per sample of which something changes."""
    unchanged: tuple[str, ...] = ()
    """Samples that are so already, or would be."""
    notes: tuple[str, ...] = ()

    def to_arrow(self) -> pa.Table:
        """Return one row per decision: sample, number, change, author, queue."""
        names = ("sample", "number", "change", "author", "queue")
        schema = pa.schema(
            [(name, pa.int64() if name == "number" else pa.string()) for name in names]
        )
        rows = [{name: getattr(edit, name) for name in names} for edit in self.edits]
        return pa.Table.from_pylist(rows, schema)

    def __str__(self) -> str:
        kinds = Counter(edit.kind for edit in self.edits)
        parts = [f"{n:,} {WORDS[kind]}" for kind, n in sorted(kinds.items())]
        lines = [f"Decided: {', '.join(parts) or 'nothing'}; `slicedb apply-edits` carries it out."]
        if self.unchanged:
            are = "is" if len(self.unchanged) == 1 else "are"
            lines.append(f"{count(len(self.unchanged), 'sample')} {are} so already.")
        return "\n  ".join([*lines, *self.notes])


WORDS = {"keep": "to keep", "skip": "skipped", "delete": "to delete", "edit": "to change"}


def decide(
    store: Store,
    samples: Sequence[str],
    asked: Wanted,
    author: str | None = None,
    queue: str | None = None,
    reason: str | None = None,
) -> DecideReport:
    """Decide on samples; see `Database.decide`.

    Raises:
        UnknownSampleError: there is no such sample.
        CheckError: nothing is asked for, or there is no such box.
    """
    if not asked:
        raise CheckError("Nothing is decided.", "--keep, --delete, --label, --tag, --add-box, ...")
    name = author_of(author)
    ids = list(dict.fromkeys(samples))
    rows = look_up(store, ids)
    before = pending_by_sample(store, name, ids)
    news, unchanged, notes = [], [], []
    for sample in ids:
        now, earlier = rows[sample], before.get(sample, [])
        row, is_gone = overlaid(now, earlier)
        if asked.decision is not None:
            if asked.decision == "delete" and is_gone:
                unchanged.append(sample)
                continue
            looked_at = {c: now[c] for c in SEEN[:-1]} if asked.decision == "delete" else {}
            news.append(log.New(sample, asked.text, looked_at, {}, now["sha256"]))
            continue
        new = changed(asked, row, size_of(now))
        notes += [f"{sample}: {note}" for note in new.notes]
        if not new.after and not is_gone:
            unchanged.append(sample)
            continue
        seen = {column: now[column] for column in new.before}
        news.append(log.New(sample, asked.text, seen, new.after, now["sha256"]))
    edits = log.begin(store, news, name, "pending", queue, reason) if news else []
    store.sync()
    return DecideReport(tuple(edits), tuple(unchanged), tuple(notes))


def look_up(store: Store, ids: Sequence[str]) -> dict[str, Values]:
    """Return the columns of samples that edits are about, with width and height, by id.

    Raises:
        UnknownSampleError: there is no such sample.
    """
    names = [*SEEN, "width", "height"]
    rows, has_row = store.find(SAMPLES, keys_of(ids), names, ids=ids)
    if not has_row.all():
        lost = next(sample for sample, is_there in zip(ids, has_row.tolist()) if not is_there)
        some = store.table(SAMPLES, ["id"])["id"][:_SUGGESTED].to_pylist()
        raise UnknownSampleError(
            f"There is no sample '{lost}'.", did_you_mean(lost, some, "samples")
        )
    return dict(zip(ids, rows.to_pylist()))


def size_of(row: Values) -> tuple[int, int] | None:
    """Return width and height of a picture, None where they are not known."""
    return (row["width"], row["height"]) if row["width"] and row["height"] else None


def pending_by_sample(store: Store, author: str, samples: Sequence[str]) -> dict[str, list[Edit]]:
    """Return what an author has decided of samples and was not applied, the first one first."""
    one = samples[0] if len(samples) == 1 else None
    edits = log.edits_of(store, one, states=["pending"], author=author)
    wanted, by_sample = set(samples), dict[str, list[Edit]]()
    for edit in edits:
        if edit.sample in wanted:
            by_sample.setdefault(edit.sample, []).append(edit)
    return by_sample


def discard(store: Store, author: str | None = None, queue: str | None = None) -> int:
    """Take back what was decided and not applied; see `Database.discard_edits`."""
    edits = log.edits_of(store, states=["pending"], author=author, queue=queue)
    if not edits:
        return 0
    discarded = log.claim(store, edits, ["pending"], "discarded")
    store.sync()
    return len(discarded)
