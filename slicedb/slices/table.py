"""The table of slices: one row per version, and a tombstone for each slice that was dropped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.commits import slice_tag
from slicedb.errors import ConflictError, QueryError, UnknownSliceError, did_you_mean
from slicedb.keys import Keys
from slicedb.schema import Row
from slicedb.slices.calibration import SliceCalibration
from slicedb.slices.slice import Ask, Members, Slice
from slicedb.sql import equals
from slicedb.store import Store
from slicedb.store.without_pandas import without_pandas

if TYPE_CHECKING:
    from slicedb.query import Query

_COLUMNS = [
    *("name", "version", "kind", "text", "description", "expect", "head", "tables", "dropped"),
    "created_at",
]


_TRIES = 100
"""How often a version gets the next number before giving up: each other writer costs one."""


class SliceTable:
    """Reads and writes the rows; knows nothing of files or queries but how to ask them."""

    def __init__(self, store: Store, ask: Ask) -> None:
        self.store = store
        self.ask = ask
        self._cached: tuple[int, list[tuple[Slice, bool]]] = (-1, [])

    def latest(self, until: datetime | None = None) -> dict[str, Slice]:
        """Return the newest version of every slice that is not dropped, or was not until then."""
        rows = [
            (s, dropped)
            for s, dropped in self._rows()
            if until is None or s.created_at is None or s.created_at <= until
        ]
        newest = {s.name: (s, dropped) for s, dropped in rows}
        return {name: s for name, (s, dropped) in newest.items() if not dropped}

    def __contains__(self, name: object) -> bool:
        bare, at, version = str(name).partition("@")
        if at:
            return any(str(s.version) == version for s in self.versions(bare))
        return bare in self.latest()

    def get(self, name: str, others: Iterable[str] = ()) -> Slice:
        """Return the newest version of `name`, or the one that `name@version` says.

        Args:
            name: a slice, or `name@version`.
            others: names that an error offers, too.

        Raises:
            UnknownSliceError: there is no such slice or version.
        """
        bare, _, version = name.partition("@")
        where = f" at '{self.store.title}'" if self.store.title else ""
        if version:
            versions = {f"{bare}@{s.version}": s for s in self.versions(bare)}
            if name in versions:
                return replace(versions[name], numbered=True)
            hint = did_you_mean(name, versions, "versions")
            raise UnknownSliceError(f"No slice '{name}'{where}.", hint)
        latest = self.latest()
        if bare not in latest:
            hint = did_you_mean(name, [*others, *latest], "slices")
            raise UnknownSliceError(f"No slice '{name}'{where}.", hint)
        return latest[bare]

    def versions(self, name: str) -> list[Slice]:
        """Return every version of a slice, oldest first."""
        return [s for s, dropped in self._rows() if s.name == name and not dropped]

    def next_version(self, name: str) -> int:
        """Return the number that the next version of a slice gets."""
        return 1 + max((s.version for s, _ in self._rows() if s.name == name), default=0)

    @without_pandas()
    def write(
        self,
        s: Slice,
        *,
        kind: str = "live",
        members: Members | None = None,
        tables: Mapping[str, int] | None = None,
        dropped: bool = False,
        version: int | None = None,
    ) -> Slice:
        """Add a version of a slice and return it; the version before gives up its pins.

        Args:
            s: the slice.
            kind: "live" or "frozen".
            members: of a frozen one.
            tables: the versions of tables that it was frozen at.
            dropped: the version says that the slice is no more.
            version: its number; None takes the next that is free.

        Raises:
            ConflictError: another process has written a version of that number.
        """
        self.store.create(schema.SLICES, schema.SLICES_SCHEMA)
        keys, ids = members if members is not None else (None, None)
        for _ in range(_TRIES):
            number = version or self.next_version(s.name)
            row = {
                **as_row(s),
                "id": f"{s.name}@{number}",
                "version": number,
                "kind": kind,
                "keys": keys,
                "ids": ids,
                "tables": json.dumps(dict(tables)) if tables else None,
                "dropped": dropped,
                "created_at": datetime.now(UTC).replace(tzinfo=None),
            }
            rows = pa.Table.from_pylist([row], schema=schema.SLICES_SCHEMA)
            if self.store.insert(schema.SLICES, rows):
                self._release(s, number)
                self.store.sync()
                return self.from_row(row)
            if version is not None:
                break
        raise ConflictError(
            f"Another process changed slice '{s.name}' at the same time.",
            "look at it again and repeat the change; nothing was written.",
        )

    def _release(self, s: Slice, until: int) -> None:
        """Let go of what the versions of a slice kept before a number, the one read included."""
        for old in self.versions(s.name):
            if s.version <= old.version < until and old.kind == "frozen":
                self.unpin(old)

    def pin(self, s: Slice, tables: Mapping[str, int]) -> None:
        """Keep versions of tables for a version of a slice."""
        for table, at in tables.items():
            self.store.pin(table, at, slice_tag(s.name, s.version, s.token))

    def unpin(self, s: Slice) -> None:
        """Let go of what a frozen version of a slice kept."""
        for table in s.tables:
            if self.store.has(table):
                self.store.unpin(table, slice_tag(s.name, s.version, s.token))

    def data_versions(self, query: Query) -> dict[str, int]:
        """Return the versions of samples and images, and of the tables an answer depends on."""
        kinds = (schema.EMBEDDINGS, schema.PREDICTIONS, schema.MAPS)
        reads = query.plan().reads if hasattr(query, "plan") else None
        return {
            name: version
            for name, version in self.store.versions().items()
            if name in (schema.SAMPLES, schema.IMAGES)
            or (name.startswith(kinds) and (reads is None or name in reads.tables))
        }

    def predicted(self) -> tuple[str, ...]:
        """Return the models that have predictions."""
        tables = (name for name in self.store.names() if name.startswith(schema.PREDICTIONS))
        return tuple(sorted(name.removeprefix(schema.PREDICTIONS) for name in tables))

    def members(self, s: Slice, present: bool = True) -> Members:
        """Return the members of a slice in order; of a frozen one as stored.

        Args:
            present: leave out what a frozen slice had and the database no longer has.
        """
        if s.kind == "live":
            query = self.ask(s.question)
            return query.keys(), query.ids()
        is_it = equals("id", f"{s.name}@{s.version}")
        row = self.store.table(schema.SLICES, ["keys", "ids"], where=is_it)
        keys = np.asarray(row["keys"].combine_chunks().flatten(), np.int64)
        ids: list[str] = row["ids"].combine_chunks().flatten().to_pylist()
        if not present:
            return keys, ids
        here = self.present(keys)
        return keys[here], [i for i, ok in zip(ids, here) if ok]

    def present(self, keys: Keys) -> npt.NDArray[np.bool_]:
        """Return bool (n,): whether each key is still among the samples."""
        return np.asarray(self.store.positions(schema.SAMPLES, keys) >= 0)

    def units(self, group: str, keys: Keys) -> Keys:
        """Return int64 (n,): a hash of the group of each sample, of the sample where it has none.

        It depends on the group's value alone, so that a group stays together and adding data
        moves none.
        """
        column = self.store.table(schema.SAMPLES, [group])[group].combine_chunks()
        at = self.store.positions(schema.SAMPLES, keys)
        coded = column.dictionary_encode().take(pa.array(at, mask=at < 0))
        names = coded.dictionary.cast(pa.string()).to_pylist()
        hashes = np.append(schema.keys_of("" if n is None else n for n in names), 0)
        code = pc.fill_null(coded.indices, len(names)).to_numpy(zero_copy_only=False)
        alone = code == len(names)
        return np.where(alone, keys, hashes[code])

    def _asked(self, title: str, question: str) -> Query:
        """Answer a slice's text; an error in it names the slice."""
        try:
            return self.ask(question)
        except QueryError as error:
            raise error.within(f"In slice '{title}'") from error

    def from_row(self, row: Row) -> Slice:
        """Return the slice of a row."""
        head = json.loads(row["head"] or "{}")
        text, name = row["text"], row["name"]
        frozen = row["kind"] == "frozen"
        calibration = head.get("calibration")
        s = Slice(
            name,
            text,
            row["kind"],
            row["version"],
            row["description"] or "",
            tuple(row["expect"] or ()),
            head.get("holdout"),
            head.get("decide", "interval"),
            head.get("group", ""),
            head.get("suite", ""),
            head.get("path", ""),
            json.loads(row["tables"] or "{}"),
            row.get("created_at"),
            calibration=None if calibration is None else SliceCalibration.from_json(calibration),
            token=head.get("token", ""),
            predicted=None if head.get("predicted") is None else tuple(head["predicted"]),
            answer=lambda: self._asked(
                name, f"in_slice('{name}@{s.version}')" if frozen else s.question
            ),
            stored=(lambda: self.members(s)) if frozen else None,
            units=lambda keys: self.units(head["group"], keys),
            ask=self.ask,
            named=self.get,
        )
        return s

    def _rows(self) -> list[tuple[Slice, bool]]:
        """Return every version and whether it is a tombstone, oldest first; members unread."""
        if not self.store.has(schema.SLICES):
            return []
        version = self.store.version(schema.SLICES)
        if self._cached[0] != version:
            rows = self.store.table(schema.SLICES, _COLUMNS, version=version).to_pylist()
            rows.sort(key=lambda r: r["version"])
            self._cached = (version, [(self.from_row(r), bool(r["dropped"])) for r in rows])
        return self._cached[1]


def as_row(s: Slice) -> Row:
    """Return the columns of a slice that do not depend on the version written."""
    names = ("holdout", "decide", "group", "suite", "path", "token", "predicted")
    head = {name: getattr(s, name) for name in names}
    if s.calibration is not None:
        head["calibration"] = s.calibration.to_json()
    row = {name: getattr(s, name) for name in ("name", "version", "kind", "text", "description")}
    return {
        **row,
        "expect": list[str](s.expect),
        "head": json.dumps(head),
        "tables": json.dumps(s.tables),
    }
