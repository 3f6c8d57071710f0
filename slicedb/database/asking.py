"""What a handle can be asked: queries, slices, the keys of whatever names samples, commits."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.query import Engine, Query
from slicedb.slices import Slice, Slices
from slicedb.store import Store

if TYPE_CHECKING:
    from slicedb.commits import Commit, Commits
    from slicedb.embedding import Encoder
    from slicedb.slices import Change
    from slicedb.training import SliceDataset

On: TypeAlias = "str | Query | Slice | np.ndarray | None"
"""What a verb works on: the name of a slice, a query text, a Query, a Slice, int64 keys, or None
for every sample that is ok."""


class Asking:
    """Queries, slices and versions over one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def path(self) -> str:
        """Where the database lies."""
        return self.store.path

    def __repr__(self) -> str:
        return f"slicedb.open({self.path!r})"

    @cached_property
    def slices(self) -> Slices:
        """The registry of slices; their texts may not name local files."""
        return Slices(self.store, lambda text: self.engine.query(text, files=False))

    @cached_property
    def engine(self) -> Engine:
        """What answers queries; local files named by `image('file')` may be read."""
        return Engine(
            self.store,
            slice_named=lambda name: self.slices.text_or_keys(name),
            encoder=self.encoder,
            allow_files=True,
            to_torch=self._to_torch,
        )

    def _to_torch(self, keys: np.ndarray, **options: Any) -> SliceDataset:
        from slicedb.training import to_torch

        return to_torch(self.store, keys, **options)

    def query(self, text: str = "", *, at: str | None = None) -> Query:
        """Parse and bind a query; nothing is read until its rows are asked for.

        Args:
            text: a predicate or a SELECT.
            at: a commit, tag or branch to ask instead of the present state.

        Raises:
            QueryError: with the line, the column and the token.
        """
        return self.engine.query(text, at=self.commits.get(at).tables if at else None)

    def sql(self, text: str) -> pa.Table:
        """Answer any SELECT as an Arrow table."""
        return self.engine.sql(text)

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
        return on.keys()

    def _ids(self, on: On) -> list[str]:
        if isinstance(on, np.ndarray):
            found: list[str] = self.store.take(schema.SAMPLES, on, ["id"])["id"].to_pylist()
            return found
        if isinstance(on, str) and on in self.slices:
            return self.slices.get(on).ids()
        if on is None or isinstance(on, str):
            return self.query(on or "").ids()
        return on.ids()

    @cached_property
    def commits(self) -> Commits:
        """The commits: `commit`, `history`, `branch`, `checkout`, `reset`, `diff`, `tag`."""
        from slicedb.commits import Commits

        return Commits(self.store)

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table under one id."""
        return self.commits.commit(message, tag=tag)
