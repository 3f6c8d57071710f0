"""Commits and the head: which commit and branch the tables stand at."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from slicedb.commits.difference import Difference, between
from slicedb.commits.pins import frozen_slices
from slicedb.errors import DatabaseError, did_you_mean
from slicedb.schema import COMMITS, COMMITS_SCHEMA, RUNS, TESTS

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
        return bool(head["clean"] == self._versions()) and self.cut_off() is None

    def cut_off(self) -> str | None:
        """Return the commit that a checkout or reset was going to when it was cut off.

        The tables are then partly here and partly there. It is also told while another process is
        under way.
        """
        going: str | None = self._head().get("going")
        return going

    def _versions(self) -> dict[str, int]:
        return {k: v for k, v in self._store.versions().items() if k not in _UNVERSIONED}

    def _head(self) -> dict[str, Any]:
        if not self._store.has(COMMITS):
            return _head_of(None)
        return _head_of(self._store.metadata(COMMITS).get(_HEAD))

    # --- writing ------------------------------------------------------------------------------

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table.

        Args:
            message: what this state is.
            tag: a name for it, unique among the tags.

        Raises:
            DatabaseError: the tag is taken, or a checkout was cut off.
        """
        if tag is not None:
            self._check_new(tag)
        self._check_whole()
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

        def follow(head: dict[str, Any]) -> dict[str, Any]:
            nonlocal commit
            if (head["commit"], head["branch"]) != (commit.parent, commit.branch):
                # another process moved on meanwhile: this commit comes after that
                commit = replace(commit, parent=head["commit"], branch=head["branch"])
                self._store.upsert(COMMITS, _to_row(commit))
            return _at(head | {"clean": versions}, commit.id)

        self._move(follow)
        return commit

    def tag(self, commit: str, name: str) -> Commit:
        """Give a commit a further name."""
        self._check_new(name)
        found = self.get(commit)
        return self._tagged(found, (*found.tags, name))

    def untag(self, name: str) -> Commit:
        """Take a tag from its commit."""
        found = self.get(name)
        if name not in found.tags:
            raise DatabaseError(f"No tag '{name}'.", "`slicedb history` lists the tags.")
        return self._tagged(found, tuple(t for t in found.tags if t != name))

    def _tagged(self, commit: Commit, tags: tuple[str, ...]) -> Commit:
        named = replace(commit, tags=tags)
        self._store.upsert(COMMITS, _to_row(named))
        return named

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
            self._store.upsert(COMMITS, _to_row(replace(child, parent=found.parent)))
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

        def without(head: dict[str, Any]) -> dict[str, Any]:
            return head | {"branches": {k: v for k, v in head["branches"].items() if k != name}}

        self._move(without)

    def branch(self, name: str) -> None:
        """Start a branch at the last commit and go on there; the tables stay as they are."""
        self._check_new(name)
        if self._head()["commit"] is None:
            raise DatabaseError("There is no commit to branch from.", "`slicedb commit` first.")
        self._move(lambda head: _at(head | {"branch": name}, head["commit"]))

    def checkout(self, name: str, *, force: bool = False) -> Commit:
        """Bring every table to a commit, tag or branch.

        Args:
            name: a commit, a tag or a branch; a branch becomes the current one.
            force: go although there are changes no commit records.

        Raises:
            DatabaseError: there are such changes, or no such commit, or a checkout was cut off.
        """
        target = self.get(name)
        if not force:
            self._check_whole()
        if not force and not self.is_clean():
            raise DatabaseError(
                "There are changes since the last commit.",
                "`slicedb commit` them first; --force lets go of them.",
            )
        branch = {"branch": name} if name in self._head()["branches"] else {}
        self._restore(target)
        there = branch | {"commit": target.id, "clean": self._versions(), "going": None}
        self._move(lambda head: head | there)
        return target

    def reset(self, name: str) -> Commit:
        """Bring every table and the current branch to a commit, whatever has changed since."""
        target = self.get(name)
        self._restore(target)
        clean = self._versions()
        self._move(lambda head: _at(head | {"clean": clean, "going": None}, target.id))
        return target

    def _check_whole(self) -> None:
        """Raise DatabaseError where a checkout was cut off: the tables are of two commits."""
        if going := self.cut_off():
            raise DatabaseError(
                f"A checkout of commit {going} was cut off, or another process is at it: some "
                "tables are there and others are not.",
                f"`slicedb reset {going}` finishes it.",
            )

    def _restore(self, target: Commit) -> None:
        self._move(lambda head: head | {"going": target.id})
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

    def _move(self, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        """Change the head; `change` is called again when another process was faster."""
        self._store.change_metadata(COMMITS, _HEAD, lambda said: json.dumps(change(_head_of(said))))
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
        return between(self._store, old, new)


def _head_of(said: str | None) -> dict[str, Any]:
    """Return the head: branch, commit, branches (name -> commit), clean (table -> version)."""
    empty: dict[str, Any] = {"branch": "main", "commit": None, "branches": {}, "clean": {}}
    return empty if said is None else json.loads(said)


def _at(head: dict[str, Any], commit: str) -> dict[str, Any]:
    """Return the head with its branch standing at a commit."""
    branches = {**head["branches"], head["branch"]: commit}
    return head | {"commit": commit, "branches": branches}


def _to_row(commit: Commit) -> pa.Table:
    row = {**commit.__dict__, "tags": list(commit.tags), "tables": json.dumps(commit.tables)}
    return pa.Table.from_pylist([row], schema=COMMITS_SCHEMA)


def _from_row(row: dict) -> Commit:
    tables = json.loads(row["tables"])
    return Commit(**{**row, "tags": tuple(row["tags"] or ()), "tables": tables})
