"""What a handle can be asked: queries, slices, the keys of whatever names samples, commits."""

from __future__ import annotations

import os
from collections import OrderedDict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.errors import QueryError
from slicedb.query import Engine, Params, Query, fill, split_at
from slicedb.slices import Slice, Slices
from slicedb.store import Past, Store

if TYPE_CHECKING:
    from slicedb.commits import Commit, Commits, Difference
    from slicedb.embedding import Encoder
    from slicedb.slices import Change
    from slicedb.training import SliceDataset

On: TypeAlias = "str | Query | Slice | np.ndarray | None"
"""What a verb works on: the name of a slice, a query text, a Query, a Slice, int64 keys, or None
for every sample that is ok."""

_MOMENTS = 3
"""Commits kept open, each with its loaded columns."""


class Asking:
    """Queries, slices and versions over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._moments: OrderedDict[str, Self] = OrderedDict()

    @property
    def path(self) -> str:
        """Where the database lies."""
        return self.store.path

    def __repr__(self) -> str:
        at = f".at({self.store.title!r})" if self.store.title else ""
        return f"slicedb.open({self.path!r}){at}"

    def at(self, commit: str) -> Self:
        """Return the database as it was at a commit: every verb that reads works on it.

        A query, a slice's definition and members, predictions and embeddings are those of then;
        what was made later is not there. Nothing can be written.

        Args:
            commit: an id or the start of one, a tag, or a branch.

        Raises:
            DatabaseError: there is no such commit.
        """
        found = self.commits.get(commit)
        title = commit if commit in found.tags else found.id
        slot = f"{found.id} {title}"
        if slot not in self._moments:
            self._moments[slot] = type(self)(Past(self.store, found.tables, title))
            while len(self._moments) > _MOMENTS:
                self._moments.popitem(last=False)
        self._moments.move_to_end(slot)
        return self._moments[slot]

    @cached_property
    def slices(self) -> Slices:
        """The registry of slices; their texts may not name local files."""
        return Slices(
            self.store,
            lambda text: self.engine.query(text, files=False),
            past=lambda commit: self.at(commit).slices,
        )

    @cached_property
    def engine(self) -> Engine:
        """What answers queries; local files named by `image('file')` may be read."""
        return Engine(
            self.store,
            slice_named=lambda name: self.slices.text_or_keys(name),
            encoder=self.encoder,
            calibration_named=lambda name: self.slices.calibrated(name),
            allow_files=True,
            to_torch=self._to_torch,
            overlays=self._overlays,
        )

    def _to_torch(self, keys: np.ndarray, **options: Any) -> SliceDataset:
        from slicedb.training import to_torch

        return to_torch(self.store, keys, **options)

    def _overlays(self, model: str, keys: np.ndarray, side: int) -> list[Any]:
        from slicedb.cam import overlays

        return list(overlays(self.store, model, keys, side=side))

    def query(
        self,
        text: str = "",
        params: Params | None = None,
        *,
        at: str | None = None,
        approximate: bool = False,
    ) -> Query:
        """Parse and bind a query; nothing is read until its rows are asked for.

        Args:
            text: a predicate or a SELECT. `AT 'commit'` at its end is the same as `at`.
            params: values of `$name` (a dictionary) or of `?` and `$1` (a list) in the text.
            at: a commit, tag or branch to ask instead of the present state.
            approximate: whether `ORDER BY similarity(...) DESC LIMIT k` without conditions may
                take its rows from the index that `index(embedding)` built; all else is exact.

        Raises:
            QueryError: with the line, the column and the token.
            DatabaseError: there is no such commit.
        """
        asked = text if params is None else fill(text, params)
        return self._asked(asked, at, approximate=approximate)

    def sql(self, text: str, params: Params | None = None, *, at: str | None = None) -> pa.Table:
        """Answer any SELECT as an Arrow table, of a commit if one is named; see `query`."""
        asked = text if params is None else fill(text, params)
        return self._asked(asked, at, files=False).to_arrow()

    def _asked(
        self, text: str, at: str | None, files: bool | None = None, approximate: bool = False
    ) -> Query:
        asked, written = split_at(text)
        if at and written and self.commits.get(at).id != self.commits.get(written).id:
            raise QueryError(
                f"The text asks AT '{written}', and at= is '{at}'.", "name one.", text=text
            )
        commit = written or at
        engine = (self.at(commit) if commit else self).engine
        return engine.query(asked, files=files, approximate=approximate)

    def encoder(self, name: str = "default") -> Encoder:
        """Return the encoder that made an embedding; opened once a process."""
        from slicedb.embedding import encoder_of

        return encoder_of(self.store, name)

    def apply(self, folder: str | os.PathLike[str], *, dry_run: bool = False) -> list[Change]:
        """Register the slice files of a folder; `dry_run` only says what would change."""
        return self.slices.apply(folder, dry_run=dry_run)

    def keys(self, on: On = None) -> np.ndarray:
        """Return the int64 keys of what `on` names, in its order."""
        if isinstance(on, np.ndarray):
            return on
        if isinstance(on, str) and on in self.slices:
            return self.slices.get(on).keys()
        if on is None or isinstance(on, str):
            return self.query(on or "").keys()
        return (on.exact() if isinstance(on, Query) else on).keys()

    def _ids(self, on: On) -> list[str]:
        if isinstance(on, np.ndarray):
            found: list[str] = self.store.take(schema.SAMPLES, on, ["id"])["id"].to_pylist()
            return found
        if isinstance(on, str) and on in self.slices:
            return self.slices.get(on).ids()
        if on is None or isinstance(on, str):
            return self.query(on or "").ids()
        return (on.exact() if isinstance(on, Query) else on).ids()

    @cached_property
    def commits(self) -> Commits:
        """The commits: `commit`, `history`, `branch`, `checkout`, `reset`, `diff`, `tag`."""
        from slicedb.commits import Commits

        return Commits(self.store)

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """Compare two commits: samples added, removed and relabelled, and the slices' members.

        Args:
            before: a commit; None is the last one.
            after: a commit; None is the present state.
        """
        from slicedb.database.moves import moves

        found = self.commits.diff(before, after)
        old = self.at(before if before is not None else "HEAD")
        new = self.at(after) if after is not None else self
        return replace(found, slices=moves(new.store, old.slices, new.slices))

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table under one id."""
        return self.commits.commit(message, tag=tag)
