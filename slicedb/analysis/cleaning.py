"""Clean a dataset picture by picture: keep, relabel or delete, undo, and one commit at the end.

A decision is written down at once and changes no sample; `save` carries all of them out and
commits. An interrupted session loses nothing, and the next one goes on where it stopped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import pyarrow as pa

from slicedb import edits, sql
from slicedb.commits import Commits
from slicedb.errors import CheckError, DatabaseError
from slicedb.keys import Keys
from slicedb.models.names import check_name
from slicedb.schema import DECISIONS, DECISIONS_SCHEMA, PREDICTIONS, SAMPLES, Row, keys_of
from slicedb.show.numbers import count as counted
from slicedb.show.tabular import Record
from slicedb.store import Store

Decision: TypeAlias = Literal["keep", "relabel", "delete"]

_SAID = ("prediction", "confidence", "loss")


def mistakes_of(store: Store, model: str) -> str:
    """Return the query of what a model has wrong, the largest losses first."""
    name = sql.name(model)
    # Numbers and label maps are not right or wrong, only more or less so.
    is_wrong = "correct" in store.schema(PREDICTIONS + model).names
    wrong = f"NOT {name}.correct" if is_wrong else f"{name}.loss > 0"
    return f"{wrong} ORDER BY {name}.loss DESC, id"


@dataclass(frozen=True)
class Case:
    """A sample to look at."""

    id: str
    label: str | None
    uri: str
    """Where the picture lies, as it was ingested."""
    number: int
    """Its place in this session, from 1."""
    of: int
    """Samples of this session."""
    prediction: str | None = None
    """What the model of the session says."""
    confidence: float | None = None
    loss: float | None = None
    cleaner: Cleaner | None = field(default=None, repr=False, compare=False)

    def keep(self) -> None:
        """Leave it as it is; it is not shown again."""
        self._decide("keep")

    def relabel(self, label: str) -> None:
        """Give it another label."""
        if not label:
            raise CheckError("No label is given.", "name one, or skip the sample.")
        self._decide("relabel", label)

    def delete(self) -> None:
        """Remove it."""
        self._decide("delete")

    def picture(self) -> bytes | None:
        """Return the encoded picture, None where there is none."""
        assert self.cleaner is not None
        return self.cleaner.picture(self.id)

    def _decide(self, decision: Decision, label: str | None = None) -> None:
        assert self.cleaner is not None
        self.cleaner.decide(self.id, decision, label)


@dataclass(frozen=True)
class CleanReport(Record):
    """What a session of cleaning changed."""

    kept: int
    relabelled: int
    deleted: int
    commit: str = ""
    """The id of the commit, "" where nothing was changed."""

    def __str__(self) -> str:
        text = f"{self.kept:,} kept, {self.relabelled:,} relabelled, {self.deleted:,} deleted"
        return f"{text}; commit {self.commit}" if self.commit else f"{text}; nothing to commit"


class Cleaner:
    """Goes through samples one by one; an iterator of cases, on which decisions are made.

    A case on which nothing is decided is skipped: it comes again in the next session.

    Args:
        store: the database.
        keys: int64 (n,), the samples, in the order to look at them.
        session: its name; decisions of one session are kept apart from those of another.
        commits: the commits of the database.
        model: whose predictions are shown.
        again: also show samples that were kept in an earlier session of this name.
        most: look at no more than so many.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        session: str,
        commits: Commits,
        *,
        model: str | None = None,
        again: bool = False,
        most: int | None = None,
    ) -> None:
        check_name(session, loose=True)
        self._store, self._session, self._commits, self._model = store, session, commits, model
        rows = sorted(self._rows(), key=lambda row: row["place"])
        self._pending: dict[str, Row] = {
            r["sample"]: r for r in rows if not r["done"]
        }  # in the order in which they were made
        kept = {r["sample"] for r in rows if r["done"] and r["decision"] == "keep"}
        known = self._pending.keys() | (set() if again else kept)
        ids = store.take(SAMPLES, keys, ["id"])["id"].to_pylist() if len(keys) else []
        self._todo = [name for name in dict.fromkeys(ids) if name not in known][:most]
        self._at = 0
        self._place = 1 + max((r["place"] for r in rows), default=0)

    @property
    def pending(self) -> dict[str, tuple[str, str | None]]:
        """Decisions that are not carried out yet, the oldest first: sample to decision, label."""
        return {name: (r["decision"], r["label"]) for name, r in self._pending.items()}

    def __repr__(self) -> str:
        of = f" of '{self._model}'" if self._model else ""
        return (
            f"<Cleaner '{self._session}'{of}: {counted(len(self), 'sample')} to look at, "
            f"{counted(len(self._pending), 'decision')} to carry out with save()>"
        )

    def __len__(self) -> int:
        """Return how many samples were not shown yet."""
        return max(0, len(self._todo) - self._at)

    def __iter__(self) -> Iterator[Case]:
        while self._at < len(self._todo):
            self._at += 1  # `undo` goes back to its sample by lowering it
            yield self._case(self._at - 1)

    def decide(self, sample: str, decision: Decision, label: str | None = None) -> None:
        """Write a decision down; an earlier one on the same sample is replaced."""
        row = {
            "id": json.dumps([self._session, sample]),
            "key": int(keys_of([sample])[0]),
            "session": self._session,
            "sample": sample,
            "decision": decision,
            "label": label,
            "place": self._place,
            "done": False,
            "decided_at": datetime.now(UTC).replace(tzinfo=None),
        }
        self._store.create(DECISIONS, DECISIONS_SCHEMA)
        self._store.upsert(DECISIONS, pa.Table.from_pylist([row], schema=DECISIONS_SCHEMA))
        self._store.sync()
        self._place += 1
        self._pending.pop(sample, None)
        self._pending[sample] = row

    def undo(self) -> str | None:
        """Take the last decision back, and show its sample next; None where there is none."""
        if not self._pending:
            return None
        sample, row = self._pending.popitem()
        self._store.delete(DECISIONS, [row["id"]])
        self._store.sync()
        if sample in self._todo:
            self._at = self._todo.index(sample)
        else:  # decided before this session: it comes now, and then the present one again
            self._at = max(0, self._at - 1)
            self._todo.insert(self._at, sample)
        return sample

    def discard(self) -> int:
        """Forget the decisions that are not carried out, and return how many there were."""
        count = len(self._pending)
        if count:
            self._store.delete(DECISIONS, [row["id"] for row in self._pending.values()])
            self._store.sync()
        self._pending.clear()
        return count

    def save(self, message: str | None = None) -> CleanReport:
        """Carry the decisions out, and commit them together.

        Asked again after an interruption, it goes on: what is done already is left alone, and
        committed where no commit has it yet.

        Args:
            message: of the commit; by default what was changed.
        """
        by_label: dict[str, list[str]] = {}
        for sample, row in self._pending.items():
            if row["decision"] == "relabel":
                by_label.setdefault(row["label"], []).append(sample)
        gone = [s for s, row in self._pending.items() if row["decision"] == "delete"]
        owed = self._owed()
        counts = Counter(row["decision"] for row in [*self._pending.values(), *owed])
        for label, samples in by_label.items():
            edits.relabel(self._store, self._present(samples), label)
        if present := self._present(gone):
            edits.delete(self._store, present)
        report = CleanReport(counts["keep"], counts["relabel"], counts["delete"])
        self._finish()
        if not (by_label or gone or owed):
            return report
        text = f"clean: {report.relabelled:,} relabelled, {report.deleted:,} deleted"
        return replace(report, commit=self._commits.commit(message or text).id)

    def picture(self, sample: str) -> bytes | None:
        """Return the encoded picture of a sample, None where there is none."""
        for _, data in self._store.read_images(keys_of([sample])):
            return bytes(data)
        return None

    def _owed(self) -> list[Row]:
        """Return the changes that a save has carried out and was cut off before it committed.

        Decisions become done before the commit, so that it holds none that would be carried out
        once more after a checkout. Whether it was made, its own table of decisions tells.
        """
        changes = [r for r in self._rows() if r["done"] and r["decision"] != "keep"]
        if not changes:
            return []
        try:
            version = self._commits.get("HEAD").tables.get(DECISIONS)
        except DatabaseError:  # nothing was ever committed
            version = None
        kept = set() if version is None else {r["id"] for r in self._rows(version) if r["done"]}
        return [row for row in changes if row["id"] not in kept]

    def _finish(self) -> None:
        rows = [{**row, "done": True} for row in self._pending.values()]
        if rows:
            self._store.upsert(DECISIONS, pa.Table.from_pylist(rows, schema=DECISIONS_SCHEMA))
            self._store.sync()
        self._pending.clear()

    def _present(self, samples: list[str]) -> list[str]:
        """Return those of the samples that are still there."""
        if not samples:
            return []
        rows = self._store.table(SAMPLES, ["id"], where=sql.is_in("id", samples))
        there = set(rows["id"].to_pylist())
        return [sample for sample in samples if sample in there]

    def _case(self, at: int) -> Case:
        name = self._todo[at]
        key = keys_of([name])
        row = self._store.take(SAMPLES, key, ["label", "uri"]).to_pylist()[0]
        said = self._said(key)
        place = at + 1, len(self._todo)
        return Case(name, row["label"], row["uri"] or "", *place, **said, cleaner=self)

    def _said(self, key: Keys) -> Row:
        table = f"{PREDICTIONS}{self._model}"
        if self._model is None or not self._store.has(table):
            return {}
        names = [name for name in _SAID if name in self._store.schema(table).names]
        if not names or not (self._store.positions(table, key) >= 0).all():
            return {}
        row: Row = self._store.take(table, key, names).to_pylist()[0]
        return row

    def _rows(self, version: int | None = None) -> list[Row]:
        if not self._store.has(DECISIONS):
            return []
        where = sql.equals("session", self._session)
        return list(self._store.table(DECISIONS, where=where, version=version).to_pylist())


__all__ = ["Case", "CleanReport", "Cleaner"]
