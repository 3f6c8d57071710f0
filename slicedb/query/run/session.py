"""Hold open what queries over one database share: connection, loaded tables, matrices."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slicedb.cache import Cache
from slicedb.query.bound.catalog import TableInfo
from slicedb.query.functions.duckdb import install
from slicedb.query.hot.files import folder_of
from slicedb.query.hot.tables import HotTables
from slicedb.query.hot.types import Types
from slicedb.query.run.bounds import memory_of, timeout_of
from slicedb.query.run.plan import Plan
from slicedb.query.run.search import TextSearch
from slicedb.sql import string
from slicedb.store.without_pandas import look_for_pandas
from slicedb.vectors import Approximate, Meaning, Vectors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from slicedb.embedding import Encoder
    from slicedb.store import Store

_TABLES = 256
"""Versions of tables whose schemas are kept."""
_MEMBERS = 512
"""Plans whose members are kept; a plan is a new one once a table that it reads has changed."""
_MEMBERS_BYTES = 256 << 20
_CANDIDATES_BYTES = 64 << 20


class Session:
    """One sandboxed in-memory DuckDB over one database, and all that is loaded beside it.

    Queries of several threads share it; each run works with a cursor of its own.

    Args:
        store: the database.
        encoder: gives the encoder that an embedding was made with; None opens the one on record.
        timeout: see `bounds.timeout_of`.
        memory_limit: see `bounds.memory_of`.
    """

    def __init__(
        self,
        store: Store,
        *,
        encoder: Callable[[str], Encoder] | None = None,
        timeout: float | None = None,
        memory_limit: str | None = None,
    ) -> None:
        self.store = store
        self.timeout = timeout_of(timeout)
        self.connection = connect(store, memory_of(memory_limit))
        self.tables = HotTables(store, self.connection)
        self.types = Types(self.cursor)
        self.members = Cache[Plan, np.ndarray](
            _MEMBERS, size=lambda keys: keys.nbytes, most_size=_MEMBERS_BYTES
        )
        # By the SQL, which names the versions of the tables that it reads.
        self.candidates = Cache[str, np.ndarray](
            _MEMBERS, size=lambda rows: rows.nbytes, most_size=_CANDIDATES_BYTES
        )
        self.infos = Cache[tuple[str, int], TableInfo](_TABLES)
        self.vectors = Vectors(store, encoder)
        self.meaning = Meaning(self.vectors)
        self.approximate = Approximate(self.vectors)
        self.search = TextSearch(store)

    def cursor(self) -> DuckDBPyConnection:
        """Return a DuckDB cursor of its own, for one thread."""
        return self.connection.cursor()


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
    }
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("CREATE SCHEMA hot")
    install(connection)
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
