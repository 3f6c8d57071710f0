"""What a database holds open: store, engine, slices, commits, models, runs."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypedDict

from slicedb.cache import Cache
from slicedb.errors import suggesting

if TYPE_CHECKING:
    import numpy as np
    from lancedb.db import DBConnection
    from PIL import Image

    from slicedb.cam import StoredCams
    from slicedb.commits import Commits
    from slicedb.database.given import Device
    from slicedb.models import Models
    from slicedb.progress import Watch
    from slicedb.query import Engine
    from slicedb.query.run.queue import Queue
    from slicedb.runs import Runs
    from slicedb.slices import Slice, Slices
    from slicedb.slices.columns import Columns
    from slicedb.store import Past, Store
    from slicedb.store.shares import Crew
    from slicedb.training import SliceDataset


_ENGINES = threading.Lock()
_MOMENTS = 3
"""Commits kept open, each with its loaded columns."""
_FILLED = 64
"""Models of which is known what they need not predict again."""


class Settings(TypedDict):
    """How a database was opened; see `slicedb.open`."""

    timeout: float | None
    memory: str | None
    result: str | None
    at_once: int | None
    files: bool


@suggesting
class Held:
    """What a database holds open, each part made when it is first asked for."""

    def __init__(
        self,
        store: Store,
        *,
        timeout: float | None = None,
        memory: str | None = None,
        result: str | None = None,
        at_once: int | None = None,
        files: bool = True,
    ) -> None:
        self.store = store
        self._settings: Settings = {
            "timeout": timeout,
            "memory": memory,
            "result": result,
            "at_once": at_once,
            "files": files,
        }
        self._moments: Cache[str, Self] = Cache(_MOMENTS)
        self._filled: Cache[str, tuple[object, ...]] = Cache(_FILLED)

    def __repr__(self) -> str:
        at = f".at({self.store.title!r})" if self.store.title else ""
        return f"slicedb.open({self.path!r}){at}"

    @property
    def path(self) -> str:
        """Where the database lies."""
        return self.store.path

    @property
    def lancedb(self) -> DBConnection:
        """A live connection of LanceDB to the same tables; what one writes the other sees."""
        return self.store.lancedb

    @cached_property
    def slices(self) -> Slices:
        """The registry of slices; their texts may not name local files."""
        from slicedb.slices import Slices

        return Slices(
            self.store,
            lambda text: self.engine.query(text, files=False),
            past=lambda commit: self.at(commit).slices,
            looks=self._looks,
            look=self._look,
        )

    def _looks(self, s: Slice) -> str:
        from slicedb.runs.looks import shown

        return shown(self.store, s)

    def _look(
        self, verb: str, models: Sequence[str], slices: Sequence[Slice], truth: str | None = None
    ) -> None:
        """Count a look at those slices that gate or are held out, and say if there are many."""
        from slicedb import progress
        from slicedb.runs import record_look

        for sentence in record_look(self.store, verb, models, slices, truth):
            progress.note(sentence)

    @cached_property
    def engine(self) -> Engine:
        """What answers queries; see `open` for what they may take and read."""
        # From Python 3.12 on, two threads that ask first may both run a cached property: `cancel`
        # would know of the runs of one engine alone.
        with _ENGINES:
            engine: Engine = self.__dict__.get("engine") or self._new_engine()
            self.__dict__["engine"] = engine
            return engine

    def _new_engine(self) -> Engine:
        from slicedb.query import Engine

        return Engine(
            self.store,
            timeout=self._settings["timeout"],
            memory_limit=self._settings["memory"],
            result=self._settings["result"],
            queue=self._queue,
            slice_named=lambda name: self.slices.definitions.text_or_keys(name),
            calibration_named=lambda name: self.slices.definitions.calibrated(name),
            allow_files=self._settings["files"],
            to_torch=self._to_torch,
            overlays=self._overlays,
        )

    @cached_property
    def _queue(self) -> Queue:
        """Where queries wait for a place; earlier moments of the database wait in the same."""
        from slicedb.query.run.queue import Queue, at_once_of

        return Queue(at_once_of(self._settings["at_once"]))

    def cancel(self) -> int:
        """Cancel every query that runs now, from another thread.

        Each raises a `QueryCancelledError` where it was asked; later queries are not touched.

        Returns:
            The number of queries that were running.
        """
        return self.engine.cancel() + sum(db.cancel() for db in self._moments.values())

    @cached_property
    def columns(self) -> Columns:
        """The computed columns: `db.columns.add("num_people", "count_objects('person')")`."""
        from slicedb.slices.columns import Columns

        return Columns(self.store, lambda text: self.engine.query(text, files=False))

    @cached_property
    def commits(self) -> Commits:
        """The commits: `commit`, `history`, `branch`, `checkout`, `reset`, `diff`, `tag`."""
        from slicedb.commits import Commits
        from slicedb.editing import finish

        return Commits(self.store, finish)

    def at(self, commit: str) -> Self:
        """Return the database as it was at a commit: every verb that reads works on it.

        Queries, definitions and members of slices, predictions and embeddings are as they were
        then; nothing made later is visible, and nothing can be written.

        Args:
            commit: an id or the start of one, a tag, or a branch.

        Raises:
            DatabaseError: there is no such commit.
        """
        from slicedb.store import Past

        known = self.commits.get(commit)
        title = commit if commit in known.tags else known.id
        past = Past(self.store, known.tables, title)
        return self._moments.get(f"{known.id} {title}", lambda: self._before(past))

    def _before(self, past: Past) -> Self:
        """Return an earlier moment: with the same bounds, in the same queue."""
        before = type(self)(past, **self._settings)
        before.__dict__["_queue"] = self._queue
        return before

    @cached_property
    def models(self) -> Models:
        """The registry of models."""
        from slicedb.models import Models
        from slicedb.slices.model_names import rename_model

        return Models(
            self.store,
            lambda name: self.commits.get(name).id,
            lambda: self.runs.list(),
            lambda old, new: rename_model(self.store, old, new),
        )

    @cached_property
    def runs(self) -> Runs:
        """The recorded runs: `list()`, and `trends()` of each test over them."""
        from slicedb.runs import Runs

        return Runs(self.store)

    @cached_property
    def cams(self) -> StoredCams:
        """The stored maps: `db.cams.overlay('a.jpg', 'food_v3')` is a picture."""
        from slicedb.cam import StoredCams

        return StoredCams(self.store)

    def _to_torch(self, keys: np.ndarray, **options: Any) -> SliceDataset:
        from slicedb.training import to_torch

        return to_torch(self.store, keys, **options)

    def _overlays(self, model: str, keys: np.ndarray, side: int) -> list[Image.Image | None]:
        from slicedb.cam import overlays

        return list(overlays(self.store, model, keys, side=side))

    def _crew(
        self,
        engine: str | None,
        workers: int | None,
        device: Device,
        threads: int | None,
        progress: Watch,
        decode: str = "cpu",
    ) -> tuple[Crew | None, Device]:
        """Return the processes that share some work, None for this one, and a device of theirs."""
        devices = str(device or "").split(",")
        if engine is None and workers is None and len(devices) < 2:
            return None, device
        from slicedb.scale import crew_of

        given = None if device is None else str(device)
        crew = crew_of(engine, workers, given, threads, progress, decode)
        # The machine that speaks to a cluster may have no such device itself.
        return crew, None if engine is not None else devices[0].strip() or None
