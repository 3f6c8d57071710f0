"""Hold open what queries over one database share: connection, loaded tables, matrices."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.cache import Cache
from slicedb.errors import QueryError
from slicedb.query.bound.catalog import Catalog, TableInfo
from slicedb.query.functions.duckdb import install
from slicedb.query.hot.files import folder_of
from slicedb.query.hot.tables import HotTables
from slicedb.query.hot.types import Types
from slicedb.query.language.broken import BrokenSessionError
from slicedb.query.run.bounds import Bounds, bytes_of, memory_of, result_of, timeout_of
from slicedb.query.run.clock import Clock, allocated, give_back
from slicedb.query.run.moments import Moments
from slicedb.query.run.plan import Plan
from slicedb.query.run.queue import Queue, at_once_of
from slicedb.query.run.request import Request, asking
from slicedb.query.run.search import TextSearch
from slicedb.sql import string
from slicedb.store.without_pandas import look_for_pandas
from slicedb.vectors import Approximate, Lassos, Meaning, Vectors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.embedding import Encoder
    from slicedb.query.derived.overall import Overall
    from slicedb.store import Store

_MUCH = 64 << 20
"""Bytes that a run may leave behind before what is free goes back to the system."""
_PART = 16
"""Part of its memory that a run may leave behind before what DuckDB has kept goes back too."""
_SETTLING = 3.0
"""Seconds in which memory that is free goes back to the system."""
_TABLES = 256
"""Versions of tables whose schemas are kept."""
_MEMBERS = 512
"""Plans whose members are kept; a plan is a new one once a table that it reads has changed."""
_OVERALLS = 64
"""Sets of columns whose counts among all samples are kept."""
_MEMBERS_BYTES = 256 << 20
_CANDIDATES_BYTES = 64 << 20
MOST_KEPT, _RESULTS_BYTES = 64 << 20, 128 << 20
"""Bytes of one result, and of all results, that are kept for their pages."""


class Session:
    """One sandboxed in-memory DuckDB over one database, and all that is loaded beside it.

    Queries of several threads share it; each run works with a cursor of its own.

    Args:
        store: the database.
        encoder: gives the encoder that an embedding was made with; None opens the one on record.
        timeout: see `bounds.timeout_of`.
        memory_limit: see `bounds.memory_of`.
        result: see `bounds.result_of`.
        queue: where runs wait for a place, which several sessions may share.
    """

    def __init__(
        self,
        store: Store,
        *,
        encoder: Callable[[str], Encoder] | None = None,
        timeout: float | None = None,
        memory_limit: str | None = None,
        result: str | None = None,
        queue: Queue | None = None,
    ) -> None:
        self.store = store
        self.queue = queue or Queue(at_once_of(None))
        self._memory = memory_of(memory_limit)
        self._clocks = weakref.WeakSet[Clock]()
        self._starting = threading.Lock()
        self._ended, self._floor = 0.0, 0
        self._start()
        memory = _bytes(self.connection, self._memory)
        self.bounds = Bounds(timeout_of(timeout), memory, result_of(result, memory))
        self.members = Cache[Plan, np.ndarray](
            _MEMBERS, size=lambda keys: keys.nbytes, most_size=_MEMBERS_BYTES
        )
        self.counts = Cache[Plan, int](_MEMBERS)
        self.overalls: Cache[tuple[object, ...], Overall] = Cache(_OVERALLS)
        """What summaries count among all samples, by columns and versions of tables."""
        self.firsts = Cache[Plan, np.ndarray](_MEMBERS)
        """Keys at the first places of plans whose order was not worked out."""
        self.results = Cache[Plan, pa.Table](
            _MEMBERS, size=lambda table: table.nbytes, most_size=_RESULTS_BYTES
        )
        # By the SQL, which names the versions of the tables that it reads.
        self.candidates = Cache[str, np.ndarray](
            _MEMBERS, size=lambda rows: rows.nbytes, most_size=_CANDIDATES_BYTES
        )
        self.offers = Cache[tuple[object, ...], object](_MEMBERS)
        """What an editor is offered, by the versions of the tables that it comes from."""
        self.infos = Cache[tuple[str, int], TableInfo](_TABLES)
        self.vectors = Vectors(store, encoder)
        self.meaning = Meaning(self.vectors)
        self.approximate = Approximate(self.vectors)
        self.search = TextSearch(store)
        self.moments = Moments(store, self._follow)
        self.lassos = Lassos(store)

    def _start(self) -> None:
        """Open DuckDB with nothing loaded."""
        self.connection = connect(self.store, self._memory)
        self.tables = HotTables(self.store, self.connection)
        self.types = Types(self.cursor)

    def _follow(self, versions: Mapping[str, int]) -> None:
        """Make versions of the loaded tables ready, while queries of others go on."""
        catalog = Catalog(self.store, dict(versions), self.infos)
        for name in sorted(self.tables.tables() & versions.keys()):
            info = catalog.table(name)
            self.tables.reading(partial(self.tables.follow, info, versions))

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Wait once for a place, and hold it for all that this thread runs inside.

        Raises:
            QueryError: there was no place in time.
        """
        with self._clocked("", asking()) as clock, self._place(clock, asking()):
            yield

    @contextlib.contextmanager
    def run(
        self, text: str, request: Request | None = None, *, waits: bool = True
    ) -> Iterator[Clock]:
        """Give the clock of a run of a text; begin with a new DuckDB when this one fails inside.

        Args:
            text: what runs.
            request: what it belongs to, beside the requests around it.
            waits: whether it waits for a place; what reads no row need not.

        Raises:
            QueryError: DuckDB has failed inside, or there was no place in time.
        """
        requests = asking(request)
        with contextlib.ExitStack() as ends:
            clock = ends.enter_context(self._clocked(text, requests))
            if waits:
                ends.enter_context(self._place(clock, requests))
            ends.enter_context(self._measured(clock))
            yield clock

    @contextlib.contextmanager
    def _clocked(self, text: str, requests: Sequence[Request]) -> Iterator[Clock]:
        """Give a clock that belongs to requests."""
        bounds = self.bounds
        for each in requests:
            bounds = each.within(bounds)
        clock = Clock(bounds, text)
        with contextlib.ExitStack() as ends:
            self._clocks.add(clock)
            ends.callback(self._clocks.discard, clock)
            for each in requests:
                each.begin(clock)
                ends.callback(each.end, clock)
            clock.wait()
            yield clock

    def _place(
        self, clock: Clock, requests: Sequence[Request]
    ) -> contextlib.AbstractContextManager[None]:
        """Return what waits for a place, and holds it."""
        client = next((each.client for each in requests if each.client), "")
        return self.queue.place(clock, client, any(each.patient for each in requests))

    @contextlib.contextmanager
    def _measured(self, clock: Clock) -> Iterator[None]:
        """Bound the memory of a run, and give back what it leaves."""
        before, connection = allocated(), self.connection
        clock.begin(self._most(before, clock.bounds.memory))
        try:
            yield
        except BrokenSessionError as error:
            with self._starting:
                if self.connection is connection:  # another run may have been faster
                    self._start()
            raise QueryError(
                f"DuckDB failed inside: {error}", "it was started anew; other queries go on."
            ) from error
        finally:
            self._ended = time.monotonic()
            left = allocated() - before
            if left > _MUCH:
                give_back(all_of_it=left > self.bounds.memory // _PART)

    def _most(self, now: int, memory: int) -> int:
        """Return the bytes up to which the process may grow from `now` while the next run goes on.

        The memory of a run goes back to the system some seconds after it. Runs in a row therefore
        share one start; each may take an eighth of its memory whatever those before it have left.
        """
        if time.monotonic() - self._ended > _SETTLING:
            self._floor = now
        self._floor = min(self._floor, now)
        return max(self._floor + memory, now + memory // 8)

    def cancel(self) -> int:
        """Cancel whatever runs now; returns the number of runs."""
        clocks = list(self._clocks)
        for clock in clocks:
            clock.cancel()
        return len(clocks)

    def cursor(self) -> DuckDBPyConnection:
        """Return a DuckDB cursor of its own, for one thread."""
        return self.connection.cursor()


def _bytes(connection: DuckDBPyConnection, memory_limit: str) -> int:
    """Return a limit of memory in bytes; what a share is of all memory, DuckDB knows."""
    if "%" not in memory_limit:
        return bytes_of(memory_limit)
    row = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    return bytes_of(str(row[0])) if row else 0


def connect(store: Store, memory_limit: str) -> DuckDBPyConnection:
    """Open DuckDB with no way to files, to the network or to its own settings."""
    import duckdb

    look_for_pandas()
    config: dict[str, str | bool | int | float | list[str]] = {
        "python_enable_replacements": "false",
        "memory_limit": memory_limit,
        "threads": str(os.cpu_count() or 1),
        "temp_directory": str(_scratch(store)),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "errors_as_json": "true",
        "lambda_syntax": "ENABLE_SINGLE_ARROW",
        # What a large query has taken goes back to the system some seconds after it.
        "allocator_background_threads": "true",
        "allocator_flush_threshold": "16MB",
        "allocator_bulk_deallocation_flush_threshold": "16MB",
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("CREATE SCHEMA hot")
    # A query means the same everywhere; DuckDB would take the time zone of the machine.
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    install(connection, _bytes(connection, memory_limit))
    if (folder := folder_of(store)) is not None:  # where loaded tables are kept
        connection.execute(f"SET allowed_directories = [{string(str(folder))}]")
    connection.execute("SET enable_external_access = false")
    # Last, since it also locks what is set above.
    connection.execute("SET lock_configuration = true")
    return connection


def _scratch(store: Store) -> Path:
    """Return a folder for what does not fit into memory; it is made when it is needed."""
    try:
        return store.cache_dir / "duckdb"
    except OSError:  # a database on a disk that cannot be written
        return Path(tempfile.gettempdir()) / "slicedb-duckdb"
