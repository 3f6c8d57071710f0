"""Commits: the version of every table under one id, with a message.

Lance versions each table alone and has no snapshot across tables, so a commit is a row written
last, after every version it names was pinned. The tables have one working state; `checkout` and
`reset` bring it to a commit by restoring each table, which adds a version and loses none.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import DatabaseError, did_you_mean
from slicedb.schema import COMMITS, COMMITS_SCHEMA, RUNS, SAMPLES, SLICES, TESTS

if TYPE_CHECKING:
    from slicedb.store import Store

_HEAD = "slicedb:head"
_UNVERSIONED = frozenset({COMMITS, RUNS, TESTS})
"""Records of what was done; going back in time does not undo them."""


@dataclass(frozen=True)
class Commit:
    """One recorded state of all tables."""

    id: str
    """Twelve hexadecimal digits."""
    message: str
    branch: str
    parent: str | None
    tags: tuple[str, ...]
    tables: dict[str, int]
    """Version of each table."""
    created_at: datetime

    def __str__(self) -> str:
        tags = f" ({', '.join(self.tags)})" if self.tags else ""
        return (
            f"{self.id}  {self.created_at:%Y-%m-%d %H:%M:%S}  {self.branch}{tags}  {self.message}"
        )


@dataclass(frozen=True)
class SliceMove:
    """How the members of one slice moved between two states."""

    name: str
    added: int
    removed: int
    count: int | None
    """Members afterwards, None where there is no such slice or its text does not bind."""
    note: str = ""
    """new, dropped, redefined or broken."""

    def __str__(self) -> str:
        count = "" if self.count is None else f", {self.count:,} now"
        note = f" ({self.note})" if self.note else ""
        return f"slice {self.name}: +{self.added:,} -{self.removed:,}{count}{note}"


@dataclass(frozen=True)
class Difference:
    """What changed in `samples` between two states; each is a list of ids, sorted."""

    added: list[str]
    removed: list[str]
    relabelled: list[str]
    changed: list[str]
    """The image itself has other bytes."""
    tables: dict[str, tuple[int | None, int | None]]
    """Tables whose version differs: before and after; None where there was none."""
    slices: tuple[SliceMove, ...] = ()
    """The slices whose members or definitions moved; see `Database.diff`."""

    def __str__(self) -> str:
        lines = [
            f"{len(self.added):,} added, {len(self.removed):,} removed, "
            f"{len(self.relabelled):,} relabelled, {len(self.changed):,} with another image"
        ]
        for sign, ids in zip(
            "+-~*", (self.added, self.removed, self.relabelled, self.changed), strict=True
        ):
            lines += [f"{sign} {i}" for i in ids[:20]]
            if len(ids) > 20:
                lines.append(f"{sign} ... {len(ids) - 20:,} more")
        return "\n".join([*lines, *map(str, self.slices)])


class Commits:
    """The commits of one database, and its current branch."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- reading ------------------------------------------------------------------------------

    def history(self) -> list[Commit]:
        """Return all commits, the newest first."""
        if not self._store.has(COMMITS):
            return []
        rows = self._store.table(COMMITS).to_pylist()
        return sorted(map(_from_row, rows), key=lambda c: c.created_at, reverse=True)

    def get(self, name: str) -> Commit:
        """Return a commit by id, unambiguous start of an id, tag, or branch.

        Raises:
            DatabaseError: there is none, or several.
        """
        every = self.history()
        head = self._head()
        wanted = head["branches"].get(name, name)
        found = [c for c in every if c.id == wanted or wanted in c.tags]
        if not found and len(wanted) >= 4:
            found = [c for c in every if c.id.startswith(wanted)]
        if len(found) == 1:
            return found[0]
        if found:
            raise DatabaseError(
                f"'{name}' is the start of {len(found)} commits.", "give more digits."
            )
        if name == "HEAD" and head["commit"] is not None:
            return self.get(head["commit"])
        names = [*head["branches"], *(t for c in every for t in c.tags), *(c.id for c in every)]
        raise DatabaseError(f"No commit '{name}'.", did_you_mean(name, names, "commits"))

    def branches(self) -> dict[str, str | None]:
        """Return the commit each branch stands at, by name."""
        head = self._head()
        return {head["branch"]: None, **head["branches"]}

    @property
    def branch_name(self) -> str:
        """The name of the current branch."""
        return str(self._head()["branch"])

    def is_clean(self) -> bool:
        """Return whether no table has changed since the last commit or checkout."""
        head = self._head()
        return bool(head["clean"] == self._versions())

    def _versions(self) -> dict[str, int]:
        return {k: v for k, v in self._store.versions().items() if k not in _UNVERSIONED}

    def _head(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"branch": "main", "commit": None, "branches": {}, "clean": {}}
        if not self._store.has(COMMITS):
            return empty
        return json.loads(self._store.metadata(COMMITS).get(_HEAD, "null")) or empty

    # --- writing ------------------------------------------------------------------------------

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table.

        Args:
            message: what this state is.
            tag: a name for it, unique among the tags.
        """
        if tag is not None:
            self._check_new(tag)
        self._store.create(COMMITS, COMMITS_SCHEMA)
        head = self._head()
        versions = self._versions()
        commit = Commit(
            id=uuid.uuid4().hex[:12],
            message=message,
            branch=head["branch"],
            parent=head["commit"],
            tags=(tag,) if tag else (),
            tables=versions,
            created_at=datetime.now(UTC).replace(tzinfo=None),
        )
        for name, version in versions.items():
            self._store.pin(name, version, f"commit-{commit.id}")
        for _, tables in frozen_slices(self._store):
            for name, version in tables.items():
                self._store.pin(name, version, f"commit-{commit.id}-{version}")
        self._store.sync()
        self._store.append(COMMITS, _to_row(commit))
        self._move(head | {"commit": commit.id, "clean": versions}, commit.id)
        return commit

    def tag(self, commit: str, name: str) -> Commit:
        """Give a commit a further name."""
        self._check_new(name)
        found = self.get(commit)
        named = Commit(**{**found.__dict__, "tags": (*found.tags, name)})
        self._store.upsert(COMMITS, _to_row(named))
        return named

    def untag(self, name: str) -> Commit:
        """Take a tag from its commit."""
        found = self.get(name)
        if name not in found.tags:
            raise DatabaseError(f"No tag '{name}'.", "`slicedb history` lists the tags.")
        bare = Commit(**{**found.__dict__, "tags": tuple(t for t in found.tags if t != name)})
        self._store.upsert(COMMITS, _to_row(bare))
        return bare

    def drop(self, name: str) -> Commit:
        """Forget a commit and let go of the versions it keeps; `cleanup` then removes them.

        Commits made after it are told to come after the one before it.

        Raises:
            DatabaseError: there is none, or a branch stands at it.
        """
        found = self.get(name)
        head = self._head()
        standing = [b for b, commit in head["branches"].items() if commit == found.id]
        if standing or head["commit"] == found.id:
            where = ", ".join(standing) or head["branch"]
            raise DatabaseError(
                f"Branch {where} stands at commit {found.id}.",
                "reset or commit on it first; the newest commit of a branch stays.",
            )
        children = [c for c in self.history() if c.parent == found.id]
        for child in children:
            moved = Commit(**{**child.__dict__, "parent": found.parent})
            self._store.upsert(COMMITS, _to_row(moved))
        self._store.delete(COMMITS, [found.id])
        for table in self._store.names():
            for tag in self._store.pins(table):
                if tag == f"commit-{found.id}" or tag.startswith(f"commit-{found.id}-"):
                    self._store.unpin(table, tag)
        self._store.sync()
        return found

    def drop_branch(self, name: str) -> None:
        """Forget a branch; its commits stay.

        Raises:
            DatabaseError: there is none, or it is the current one.
        """
        head = self._head()
        if name == head["branch"]:
            raise DatabaseError(f"'{name}' is the current branch.", "check out another first.")
        if name not in head["branches"]:
            hint = did_you_mean(name, head["branches"], "branches")
            raise DatabaseError(f"No branch '{name}'.", hint)
        self._save(head | {"branches": {k: v for k, v in head["branches"].items() if k != name}})

    def branch(self, name: str) -> None:
        """Start a branch at the last commit and go on there; the tables stay as they are."""
        self._check_new(name)
        head = self._head()
        if head["commit"] is None:
            raise DatabaseError("There is no commit to branch from.", "`slicedb commit` first.")
        self._move(head | {"branch": name}, head["commit"])

    def checkout(self, name: str, *, force: bool = False) -> Commit:
        """Bring every table to a commit, tag or branch.

        Args:
            name: a commit, a tag or a branch; a branch becomes the current one.
            force: go although there are changes no commit records.

        Raises:
            DatabaseError: there are such changes, or no such commit.
        """
        target = self.get(name)
        if not force and not self.is_clean():
            raise DatabaseError(
                "There are changes since the last commit.",
                "`slicedb commit` them first; --force lets go of them.",
            )
        head = self._head()
        self._restore(target)
        if name in head["branches"]:
            head |= {"branch": name}
        self._save(head | {"commit": target.id, "clean": self._versions()})
        return target

    def reset(self, name: str) -> Commit:
        """Bring every table and the current branch to a commit, whatever has changed since."""
        target = self.get(name)
        self._restore(target)
        self._move(self._head() | {"commit": target.id, "clean": self._versions()}, target.id)
        return target

    def _restore(self, target: Commit) -> None:
        for name in self._versions():
            self._store.restore(name, target.tables.get(name))
        for tag, tables in frozen_slices(self._store):
            for name, version in tables.items():
                self._store.pin(name, version, tag)
        self._store.sync()

    def _check_new(self, name: str) -> None:
        taken = {*self.branches(), *(t for c in self.history() for t in c.tags)}
        if name in taken:
            raise DatabaseError(f"The name '{name}' is taken.", "choose another.")

    def _move(self, head: dict, commit: str) -> None:
        self._save(head | {"branches": {**head["branches"], head["branch"]: commit}})

    def _save(self, head: dict) -> None:
        self._store.set_metadata(COMMITS, {_HEAD: json.dumps(head)})
        self._store.sync()

    # --- comparing ----------------------------------------------------------------------------

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """Compare two commits.

        Args:
            before: a commit; None is the last one.
            after: a commit; None is the present state.
        """
        if before is None:
            before = self._head()["commit"]
            if before is None:
                raise DatabaseError("There is no commit to compare with.", "`slicedb commit`.")
        old = self.get(before).tables
        new = self.get(after).tables if after else self._versions()
        names = sorted({*old, *new})
        moved = {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}
        return self._samples(old.get(SAMPLES), new.get(SAMPLES), moved)

    def _samples(
        self, old: int | None, new: int | None, tables: dict[str, tuple[int | None, int | None]]
    ) -> Difference:
        columns = ["key", "id", "label", "sha256"]
        a = self._store.table(SAMPLES, columns, version=old)
        b = self._store.table(SAMPLES, columns, version=new)
        at = _places(a["key"].to_numpy(), b["key"].to_numpy())
        stayed = at >= 0
        both_a, both_b = a.filter(pa.array(stayed)), b.take(pa.array(at[stayed]))
        fresh = np.ones(len(b), bool)
        fresh[at[stayed]] = False
        return Difference(
            added=_ids(b.filter(pa.array(fresh))),
            removed=_ids(a.filter(pa.array(~stayed))),
            relabelled=_ids(both_b.filter(_differ(both_a["label"], both_b["label"]))),
            changed=_ids(both_b.filter(_differ(both_a["sha256"], both_b["sha256"]))),
            tables=tables,
        )


def _places(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Return int64 (n,): where each key stands among others, -1 where it does not."""
    if np.array_equal(keys, among):
        return np.arange(len(keys))
    if not len(among):
        return np.full(len(keys), -1)
    order = np.argsort(among)
    at = order[np.minimum(np.searchsorted(among, keys, sorter=order), len(among) - 1)]
    return np.where(among[at] == keys, at, -1)


def frozen_slices(store: Store, version: int | None = None) -> list[tuple[str, dict[str, int]]]:
    """Return the pin's tag and the tables of every frozen slice.

    Args:
        store: the database.
        version: of the table of slices; None is the latest.
    """
    if not store.has(SLICES):
        return []
    columns = ["name", "version", "kind", "tables", "dropped", "head"]
    rows = store.table(SLICES, columns, version=version).sort_by("version").to_pylist()
    newest = {row["name"]: row for row in rows}
    return [
        (
            slice_tag(row["name"], row["version"], json.loads(row["head"] or "{}").get("token")),
            json.loads(row["tables"] or "{}"),
        )
        for row in newest.values()
        if row["kind"] == "frozen" and not row["dropped"]
    ]


def slice_tag(name: str, version: int, token: str | None) -> str:
    """Return the tag that pins the tables a version of a slice was frozen at."""
    return f"slice-{name}-{version}" + (f"-{token}" if token else "")


def _ids(table: pa.Table) -> list[str]:
    return sorted(table["id"].to_pylist())


def _differ(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.Array:
    """Compare with null equal to null."""
    unequal = pc.fill_null(pc.not_equal(a, b), False)
    return pc.or_(unequal, pc.xor(pc.is_null(a), pc.is_null(b)))


def _to_row(commit: Commit) -> pa.Table:
    row = {**commit.__dict__, "tags": list(commit.tags), "tables": json.dumps(commit.tables)}
    return pa.Table.from_pylist([row], schema=COMMITS_SCHEMA)


def _from_row(row: dict) -> Commit:
    tables = json.loads(row["tables"])
    return Commit(**{**row, "tags": tuple(row["tags"] or ()), "tables": tables})
