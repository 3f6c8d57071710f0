"""Apply what was decided: one change of the samples, and one commit.

What is being applied is written down first, edit by edit and as a batch, and each step may be done
again. A call that was cut off is therefore finished by the next one, or when the database is opened
next, and never leaves a part.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from slicedb import edits as samples
from slicedb.commits import Commits, batch
from slicedb.commits.batch import Batch
from slicedb.editing import log
from slicedb.editing.entry import Edit
from slicedb.editing.folding import SEEN, Folded, fold
from slicedb.editing.wanted import COLUMNS
from slicedb.errors import UnknownSampleError
from slicedb.schema import IMAGES, PER_SAMPLE, SAMPLES, keys_of
from slicedb.show.numbers import count, verb
from slicedb.show.tabular import Record
from slicedb.store import Store

_ALONE = threading.RLock()
"""Of the threads of a process one applies at a time; several processes may, which costs time."""
_LISTED = 10
"""Refused edits that a report lists."""


@dataclass(frozen=True)
class ApplyReport(Record):
    """What became of pending edits."""

    kept: int
    skipped: int
    edited: int
    """Samples of which label, tags or boxes were changed."""
    deleted: int
    discarded: int
    """Decisions that a later one of the same author had replaced."""
    refused: tuple[Edit, ...] = ()
    """Those whose samples had changed since; each says how in its note."""
    commit: str = ""
    """The id of the commit, "" where no sample changed."""

    def to_arrow(self) -> pa.Table:
        """Return one row of counts, and the commit."""
        row = {name: value for name, value in vars(self).items() if name != "refused"}
        return pa.Table.from_pylist([row | {"refused": len(self.refused)}])

    def __str__(self) -> str:
        parts = [
            f"{n:,} {what}"
            for n, what in (
                (self.edited, "changed"),
                (self.deleted, "deleted"),
                (self.kept, "kept"),
                (self.skipped, "skipped"),
                (self.discarded, "replaced by later decisions"),
            )
            if n
        ]
        end = f"; commit {self.commit}" if self.commit else "; nothing to commit"
        lines = [f"{', '.join(parts) or 'Nothing was applied'}{end}"]
        if self.refused:
            n = len(self.refused)
            lines.append(
                f"{count(n, 'decision')} {verb(n, 'was', 'were')} refused "
                "(`slicedb edits --state refused` lists them):"
            )
            lines += [f"{edit.sample}: {edit.note}" for edit in self.refused[:_LISTED]]
            lines += [f"and {n - _LISTED:,} more"] if n > _LISTED else []
        return "\n  ".join(lines)


def apply(
    store: Store,
    commits: Commits,
    message: str | None = None,
    author: str | None = None,
    queue: str | None = None,
) -> ApplyReport:
    """Carry out pending edits in one commit; see `Database.apply_edits`."""
    with _ALONE:
        return _apply(store, commits, message, author, queue)


def _apply(
    store: Store, commits: Commits, message: str | None, author: str | None, queue: str | None
) -> ApplyReport:
    if begun := batch.begun(store):
        _finished(store, commits, begun)
    while True:
        wanted = _pending(store, author, queue)
        if not wanted:
            return _report([], "")
        ours, is_ours = batch.begin(store, message or _message(wanted), author, queue)
        if is_ours:
            log.ready(store)
            _claim(store, wanted, ours)
            return _finished(store, commits, ours)
        _finished(store, commits, ours)  # another process applies at this moment


def finish(store: Store, commits: Commits) -> ApplyReport | None:
    """Finish what a call that was cut off has begun to apply; None where there is nothing."""
    with _ALONE:
        begun = batch.begun(store)
        return None if begun is None else _finished(store, commits, begun)


def _pending(store: Store, author: str | None, queue: str | None) -> list[Edit]:
    """Return what is to be applied; with it what a batch has claimed that nobody knows of now."""
    return log.edits_of(store, states=["pending", "applying"], author=author, queue=queue)


def _claim(store: Store, wanted: Sequence[Edit], ours: Batch) -> None:
    """Write down that edits are applied by a batch, and where a deleted sample is still found."""
    versions = {
        name: store.version(name)
        for name in store.names()
        if name in (SAMPLES, IMAGES) or name.startswith(PER_SAMPLE)
    }
    kept = [e if e.kind != "delete" or e.tables else replace(e, tables=versions) for e in wanted]
    log.claim(store, kept, ("pending", "applying"), "applying", commit=ours.id)
    store.sync()


def _finished(store: Store, commits: Commits, ours: Batch) -> ApplyReport:
    """Carry out what a batch has claimed, and commit it."""
    try:
        return _committed(store, commits, ours)
    except (Exception, KeyboardInterrupt):
        batch.leave(store, ours)
        raise


def _committed(store: Store, commits: Commits, ours: Batch) -> ApplyReport:
    claimed = log.edits_of(store, states=["applying"], commit=ours.id)
    if claimed:
        log.end(store, _carried_out(store, claimed))
        store.sync()
    ended = log.edits_of(store, commit=ours.id)
    is_changed = any(e.state == "done" and e.kind in ("edit", "delete") for e in ended)
    commit = commits.commit(ours.message, id=ours.id).id if is_changed else ""
    batch.end(store, ours)
    return _report(ended, commit)


def _carried_out(store: Store, edits: Sequence[Edit]) -> list[Edit]:
    """Change and delete samples, and return the edits with what became of each."""
    by_sample: dict[str, list[Edit]] = {}
    for edit in edits:
        by_sample.setdefault(edit.sample, []).append(edit)
    while True:
        ids = list(by_sample)
        has_row = store.present(SAMPLES, keys_of(ids), ids=ids).tolist()
        present = [sample for sample, is_there in zip(ids, has_row) if is_there]
        folded = {s: fold(None, by_sample[s]) for s in ids}
        try:
            if present:
                write = partial(_changed, present, by_sample, folded)
                store.change(SAMPLES, present, SEEN, write)
            break
        except UnknownSampleError:  # deleted by another process meanwhile
            continue
    gone = [sample for sample, one in folded.items() if one.is_gone]
    if gone:
        samples.delete(store, gone)
    left = [sample for sample in present if sample not in set(gone)]
    if left:
        samples.labels_changed(store, left)
    store.sync()
    return [edit for one in folded.values() for edit in one.edits]


def _changed(
    present: Sequence[str],
    by_sample: dict[str, list[Edit]],
    folded: dict[str, Folded],
    rows: pa.Table,
) -> pa.Table:
    """Return the rows that decisions change, and keep what became of each decision."""
    changed = []
    for sample, now in zip(present, rows.to_pylist()):
        folded[sample] = one = fold(now, by_sample[sample])
        if not one.is_gone and any(one.row[name] != now[name] for name in COLUMNS):
            changed.append({"id": sample, **one.row})
    fields = [pa.field("id", pa.string()), *(rows.schema.field(name) for name in COLUMNS)]
    return pa.Table.from_pylist(changed, pa.schema(fields))


def _message(edits: Sequence[Edit]) -> str:
    kinds = Counter(edit.kind for edit in edits)
    counts = ((kinds["edit"], "edited"), (kinds["delete"], "deleted"))
    parts = [f"{n:,} {what}" for n, what in counts if n]
    return f"edits: {', '.join(parts) or f'{len(edits):,} decided'}"


def _report(edits: Sequence[Edit], commit: str) -> ApplyReport:
    done = [edit for edit in edits if edit.state == "done"]
    kinds = Counter(edit.kind for edit in done)
    return ApplyReport(
        kinds["keep"],
        kinds["skip"],
        len({edit.sample for edit in done if edit.kind == "edit"}),
        kinds["delete"],
        sum(edit.state == "discarded" for edit in edits),
        tuple(edit for edit in edits if edit.state == "refused"),
        commit,
    )
