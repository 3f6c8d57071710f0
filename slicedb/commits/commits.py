"""Make, list and restore commits, on branches and under tags."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.commits.batch import OvertakenError, Settled
from slicedb.commits.difference import Difference, between
from slicedb.commits.head import HEAD, Head
from slicedb.commits.pins import frozen_slices
from slicedb.errors import DatabaseError, did_you_mean, suggesting
from slicedb.schema import COMMITS, COMMITS_SCHEMA, RUNS, TESTS, Row
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.show.text import clean

if TYPE_CHECKING:
    from slicedb.store import Store

_UNVERSIONED = frozenset({COMMITS, RUNS, TESTS})
"""Records of what was done; going back in time does not undo them."""


@dataclass(frozen=True)
class Commit(Record):
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
        return clean(
            f"{self.id}  {self.created_at:%Y-%m-%d %H:%M:%S}  {self.branch}{tags}  {self.message}"
        )


@suggesting
class Commits:
    """The commits of one database, and its current branch.

    Args:
        store: the database.
        finish: carries out the edits that a process was applying when it ended.
    """

    def __init__(
        self, store: Store, finish: Callable[[Store, Commits], object] | None = None
    ) -> None:
        self._store = store
        self._finish = None if finish is None else lambda: finish(store, self)

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
        wanted = head.branches.get(name, name)
        matches = [c for c in every if c.id == wanted or wanted in c.tags]
        if not matches and len(wanted) >= 4:
            matches = [c for c in every if c.id.startswith(wanted)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DatabaseError(
                f"'{name}' is the start of {count(len(matches), 'commit')}.", "give more digits."
            )
        if name == "HEAD" and head.commit is not None:
            return self.get(head.commit)
        names = [*head.branches, *(t for c in every for t in c.tags), *(c.id for c in every)]
        raise DatabaseError(f"No commit '{name}'.", did_you_mean(name, names, "commits"))

    def branches(self) -> dict[str, str | None]:
        """Return the commit each branch stands at, by name."""
        head = self._head()
        return {head.branch: None, **head.branches}

    @property
    def branch_name(self) -> str:
        """The name of the current branch."""
        return self._head().branch

    def is_clean(self) -> bool:
        """Return whether no table has changed since the last commit or checkout."""
        head = self._head()
        return head.clean == self._versions() and head.going is None

    def cut_off(self) -> str | None:
        """Return the commit that a checkout or reset was going to when it was cut off.

        Some tables are then at that commit and others are not. While another process is at such
        a checkout, its commit is returned too.
        """
        return self._head().going

    def _versions(self) -> dict[str, int]:
        return {k: v for k, v in self._store.versions().items() if k not in _UNVERSIONED}

    def _head(self) -> Head:
        if not self._store.has(COMMITS):
            return Head()
        return Head.read(self._store.metadata(COMMITS).get(HEAD))

    # --- writing ------------------------------------------------------------------------------

    def commit(self, message: str, *, tag: str | None = None, id: str | None = None) -> Commit:
        """Record the version of every table.

        Edits that another thread or process applies at this moment are waited for, and those of
        which the process ended are finished, so that no commit holds a part of them.

        Args:
            message: what this state is.
            tag: a name for it, unique among the tags.
            id: its id, by default a new one; a commit that has it already is returned, so that
                whoever was cut off may ask again. It is the id of the edits that it records.

        Raises:
            DatabaseError: the tag is taken, or a checkout was cut off.
        """
        if tag is not None:
            _check_free(tag, self.history(), self._head())
        self._store.create(COMMITS, COMMITS_SCHEMA)
        while True:
            if id and (made := [c for c in self.history() if c.id == id]):
                return made[0]
            settled = Settled.wait(self._store, id, self._finish)
            self._check_whole()
            commit = self._pinned(message, tag, id)
            try:
                commit = self._recorded(commit, settled)
            except DatabaseError as error:
                if id is None:  # else whoever finished it may have made it, with these pins
                    self._release(commit)
                if isinstance(error, OvertakenError):
                    continue
                raise
            if id is not None:
                self._pin_anew(commit)
            return commit

    def _pinned(self, message: str, tag: str | None, id: str | None) -> Commit:
        """Return a commit of the tables as they are, with its versions pinned."""
        head = self._head()
        commit = Commit(
            id=id or uuid.uuid4().hex[:12],
            message=message,
            branch=head.branch,
            parent=head.commit,
            tags=(tag,) if tag else (),
            tables=self._versions(),
            created_at=datetime.now(UTC).replace(tzinfo=None),
        )
        for name, version in commit.tables.items():
            self._store.pin(name, version, f"commit-{commit.id}")
        for _, tables in frozen_slices(self._store):
            for name, version in tables.items():
                self._store.pin(name, version, f"commit-{commit.id}-{version}")
        self._store.sync()
        return commit

    def _recorded(self, commit: Commit, settled: Settled) -> Commit:
        """Write the row of a commit, and return it as it came to stand."""

        def add(commits: list[Commit], head: Head) -> tuple[list[Commit], Head]:
            nonlocal commit
            if made := [c for c in commits if c.id == commit.id]:  # by whoever finished it too
                commit = made[0]
                return commits, head
            for tag in commit.tags:
                _check_free(tag, commits, head)
            # Where another process has committed meanwhile, this one comes after it.
            commit = replace(commit, parent=head.commit, branch=head.branch)
            return [*commits, commit], head.at(commit.id, commit.tables)

        self._change(add, settled)
        return commit

    def _pin_anew(self, commit: Commit) -> None:
        """Keep the versions of a commit, which several may have made at once from others."""
        tag = f"commit-{commit.id}"
        for name, version in commit.tables.items():
            if self._store.pins(name).get(tag) != version:
                self._store.unpin(name, tag)
                self._store.pin(name, version, tag)

    def tag(self, commit: str, name: str) -> Commit:
        """Give a commit a further name."""
        tagged = self.get(commit)

        def change(commits: list[Commit], head: Head) -> tuple[list[Commit], Head]:
            _check_free(name, commits, head)
            return [_with_tag(c, name) if c.id == tagged.id else c for c in commits], head

        self._change(change)
        return _with_tag(tagged, name)

    def untag(self, name: str) -> Commit:
        """Take a tag from its commit."""
        tagged = self.get(name)
        if name not in tagged.tags:
            raise DatabaseError(f"No tag '{name}'.", "`slicedb history` lists the tags.")

        def change(commits: list[Commit], head: Head) -> tuple[list[Commit], Head]:
            return [_without_tag(c, name) for c in commits], head

        self._change(change)
        return _without_tag(tagged, name)

    def drop(self, name: str) -> Commit:
        """Forget a commit and let go of the versions it keeps; `cleanup` then removes them.

        The commits that came after it then come after the one before it.

        Raises:
            DatabaseError: there is none, or a branch stands at it.
        """
        commit = self.get(name)
        head = self._head()
        standing = [b for b, tip in head.branches.items() if tip == commit.id]
        if standing or head.commit == commit.id:
            where = ", ".join(standing) or head.branch
            raise DatabaseError(
                f"Branch {where} stands at commit {commit.id}.",
                "reset or commit on it first; the newest commit of a branch stays.",
            )

        def change(commits: list[Commit], head: Head) -> tuple[list[Commit], Head]:
            others = [c for c in commits if c.id != commit.id]
            return [
                replace(c, parent=commit.parent) if c.parent == commit.id else c for c in others
            ], head

        self._change(change)
        self._release(commit)
        self._store.sync()
        return commit

    def _release(self, commit: Commit) -> None:
        """Let go of the versions that a commit keeps."""
        for table in self._store.names(absent=True):
            for tag in self._store.pins(table):
                if tag == f"commit-{commit.id}" or tag.startswith(f"commit-{commit.id}-"):
                    self._store.unpin(table, tag)

    def drop_branch(self, name: str) -> None:
        """Forget a branch; its commits stay.

        Raises:
            DatabaseError: there is none, or it is the current one.
        """
        head = self._head()
        if name == head.branch:
            raise DatabaseError(f"'{name}' is the current branch.", "check out another first.")
        if name not in head.branches:
            hint = did_you_mean(name, head.branches, "branches")
            raise DatabaseError(f"No branch '{name}'.", hint)

        def without(head: Head) -> Head:
            return replace(head, branches={k: v for k, v in head.branches.items() if k != name})

        self._move(without)

    def branch(self, name: str) -> None:
        """Start a branch at the last commit and go on there; the tables stay as they are."""
        start = self._head().commit
        if start is None:
            raise DatabaseError("There is no commit to branch from.", "`slicedb commit` first.")

        def change(commits: list[Commit], head: Head) -> tuple[list[Commit], Head]:
            _check_free(name, commits, head)
            return commits, replace(head, branch=name).at(head.commit or start)

        self._change(change)

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
        is_branch = name in self._head().branches
        self._restore(target)
        clean = self._versions()
        self._move(
            lambda head: replace(
                head,
                branch=name if is_branch else head.branch,
                commit=target.id,
                clean=clean,
                going=None,
            )
        )
        return target

    def reset(self, name: str) -> Commit:
        """Bring every table and the current branch to a commit, whatever has changed since."""
        target = self.get(name)
        self._restore(target)
        clean = self._versions()
        self._move(lambda head: replace(head, going=None).at(target.id, clean))
        return target

    def _check_whole(self) -> None:
        """Raise DatabaseError where a checkout was cut off: the tables are of two commits."""
        self._head().check_whole()

    def _restore(self, target: Commit) -> None:
        while True:
            settled = Settled.wait(self._store, None, self._finish)
            try:
                self._move(lambda head: replace(head, going=target.id), settled)
                break
            except OvertakenError:
                continue
        for name in sorted({*self._versions(), *target.tables}):
            self._store.restore(name, target.tables.get(name))
        for tag, tables in frozen_slices(self._store):
            for name, version in tables.items():
                self._store.pin(name, version, tag)
        self._store.sync()

    def _move(self, change: Callable[[Head], Head], settled: Settled | None = None) -> None:
        """Change the head; `change` is called again when another process was faster."""
        self._change(lambda commits, head: (commits, change(head)), settled)

    def _change(
        self,
        change: Callable[[list[Commit], Head], tuple[list[Commit], Head]],
        settled: Settled | None = None,
    ) -> None:
        """Change commits and head in one step; `change` is called again for another's state.

        Names are unique by construction, since nobody can come between a look and the write.

        Args:
            change: from commits and head to those that take their place.
            settled: when the tables were looked at, if what is written speaks of them.

        Raises:
            OvertakenError: edits were applied since then, or are at this moment.
        """

        def rewrite(table: pa.Table) -> pa.Table:
            metadata = _texts(table.schema.metadata)
            if settled is not None:
                settled.check(metadata)
            commits = [_from_row(row) for row in table.to_pylist()]
            commits, head = change(commits, Head.read(metadata.get(HEAD)))
            metadata |= {HEAD: head.to_json()} | (settled.metadata if settled else {})
            rows = [_to_row(commit) for commit in commits]
            return pa.Table.from_pylist(rows, schema=table.schema.with_metadata(metadata))

        self._store.rewrite(COMMITS, rewrite)
        self._store.sync()

    # --- comparing ----------------------------------------------------------------------------

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """Compare two commits; see `Database.diff`."""
        if before is None:
            before = self._head().commit
            if before is None:
                raise DatabaseError("There is no commit to compare with.", "`slicedb commit`.")
        old = self.get(before).tables
        new = self.get(after).tables if after else self._versions()
        return between(self._store, old, new)


_LONGEST = 200
"""Characters of the name of a tag or a branch."""
_MEANT = ("HEAD",)


def _check_free(name: str, commits: list[Commit], head: Head) -> None:
    if not 0 < len(name) <= _LONGEST or not name.isprintable() or name != name.strip():
        raise DatabaseError(
            f"{name[:40]!r} cannot name a tag or a branch ({count(len(name), 'character')}).",
            f"use 1 to {_LONGEST} printable characters.",
        )
    if name in _MEANT:
        raise DatabaseError(f"'{name}' has a meaning of its own.", "choose another name.")
    taken = {head.branch, *head.branches, *(t for c in commits for t in c.tags)}
    if name in taken:
        raise DatabaseError(f"The name '{name}' is taken.", "choose another.")


def _texts(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    return {name.decode(): text.decode() for name, text in (metadata or {}).items()}


def _with_tag(commit: Commit, name: str) -> Commit:
    return replace(commit, tags=(*commit.tags, name))


def _without_tag(commit: Commit, name: str) -> Commit:
    return replace(commit, tags=tuple(tag for tag in commit.tags if tag != name))


def _to_row(commit: Commit) -> Row:
    return {**commit.__dict__, "tags": list(commit.tags), "tables": json.dumps(commit.tables)}


def _from_row(row: Row) -> Commit:
    tables = json.loads(row["tables"])
    return Commit(**{**row, "tags": tuple(row["tags"] or ()), "tables": tables})
