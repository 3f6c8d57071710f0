"""The handle a user holds: `slicedb.open(path)` gives a `Database`, each verb calls its module."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from slicedb import schema
from slicedb.database.asking import On
from slicedb.database.behaving import BehaveVerbs
from slicedb.store import Store

__all__ = ["Database", "On", "open"]


def open(path: str | os.PathLike[str] = "data.slicedb", *, create: bool = True) -> Database:
    """Open a database, and create it when it is missing.

    Args:
        path: a directory, or an object-store URI.
        create: False refuses to create.

    Raises:
        DatabaseNotFoundError: there is none and `create` is False.
        FormatError: it was written by a newer SliceDB.
    """
    return Database(Store.open(path, create=create))


class Database(BehaveVerbs):
    """Images, labels, embeddings and every model's predictions, and the slices over them."""

    def info(self) -> dict[str, Any]:
        """Return what is in the database: samples by status, columns, models, slices, tables.

        `metadata` has the columns the user brought, with their Arrow types.
        """
        counts = self.sql("SELECT status, count(*) AS n FROM samples GROUP BY ALL ORDER BY status")
        names = self.store.names()
        return {
            "path": self.path,
            "format": int(self.store.metadata(schema.SAMPLES)["slicedb:format"]),
            "samples": self.store.count(schema.SAMPLES),
            "status": dict(zip(counts["status"].to_pylist(), counts["n"].to_pylist())),
            "columns": self.store.schema(schema.SAMPLES).names,
            "metadata": {
                f.name: str(f.type)
                for f in self.store.schema(schema.SAMPLES)
                if f.name not in schema.SAMPLES_SCHEMA.names
            },
            "embeddings": _suffixes(names, schema.EMBEDDINGS),
            "predictions": _suffixes(names, schema.PREDICTIONS),
            "slices": [s.name for s in self.slices.list()],
            "tables": self.store.describe(),
        }


def _suffixes(names: Iterable[str], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
