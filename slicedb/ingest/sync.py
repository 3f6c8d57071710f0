"""Bring a database up to date with a source that keeps filling.

Change is decided in three steps: the listing says which objects have another size or etag, those
alone are read, and their SHA-256 says whether they changed. Nothing is marked as vanished unless
the listing was complete.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

from slicedb import sql
from slicedb.errors import SourceError
from slicedb.ingest import ingest
from slicedb.ingest.hints import hinted
from slicedb.ingest.report import IngestReport
from slicedb.schema import SOURCES, SOURCES_SCHEMA
from slicedb.sources import Location, address, forget, is_remote, listed, path_of, use
from slicedb.store import Store
from slicedb.store.shares import Crew

SECRET = ("key", "secret", "token", "password", "credential", "sas")
"""Parts of the names of settings that are not written down."""
_OF_ONE_RUN = ("progress", "threads", "max_broken", "delete_missing")
"""Options that do not hold for the next sync."""


def sync(
    store: Store,
    source: str | os.PathLike[str],
    *,
    keys: Iterable[str] | None = None,
    settings: Mapping[str, str] | None = None,
    crew: Crew | None = None,
    **options: Any,
) -> IngestReport:
    """Read what is new or changed in a source, and mark what has vanished from it.

    Args:
        store: the database.
        source: a folder, or an address such as s3://photos/2024.
        keys: objects that may have changed, as paths in the bucket or below the source, addresses,
            or S3 events in JSON: these alone are looked at, and nothing vanishes. None lists all.
        settings: of the bucket, in the words of `object_store`; secrets are not written down.
        crew: processes that decode; None takes threads of this one.
        **options: of `ingest`. Those of the last sync of the source hold where none is given.

    Raises:
        SourceError: the source cannot be read, or somebody else syncs it right now.
    """
    where = located(source)
    with _alone(store, where):
        before = _recorded(store, where)
        given = {**before["options"], **options}
        configure(where, {**before["settings"], **(settings or {})})
        try:
            notes = [] if keys is None else hinted(store, Location(where), keys)
            report = ingest(store, where, following=True, crew=crew, **given).noting(notes)
            _record(store, where, given, {**before["settings"], **(settings or {})}, keys is None)
        finally:
            if is_remote(where):
                forget(address(where).root, stand_ins=True)
    return report


def located(source: str | os.PathLike[str]) -> str:
    """Return the absolute path or the address of a source."""
    text = path_of(os.fspath(source))
    if not is_remote(text):
        text = os.path.expanduser(text)
    return Location(text).path


def configure(where: str, settings: Mapping[str, str]) -> None:
    """Take the settings of a bucket for this process."""
    if is_remote(where) and settings:
        use(address(where).root, settings)


def followed(store: Store) -> list[str]:
    """Return the sources that were synced, in the order in which they were first."""
    if not store.has(SOURCES):
        return []
    return [str(name) for name in store.table(SOURCES, ["id"])["id"].to_pylist()]


def _recorded(store: Store, where: str) -> dict[str, dict[str, Any]]:
    """Return what was said of a source the last time."""
    if store.has(SOURCES):
        found = store.table(SOURCES, ["options", "settings"], where=sql.equals("id", where))
        for row in found.to_pylist():
            return {name: json.loads(row[name] or "{}") for name in ("options", "settings")}
    return {"options": {}, "settings": {}}


def _record(
    store: Store, where: str, options: dict[str, Any], settings: dict[str, str], complete: bool
) -> None:
    """Write down that a source was synced."""
    kept = {name: value for name, value in options.items() if name not in _OF_ONE_RUN}
    plain = {k: v for k, v in settings.items() if not any(s in k.lower() for s in SECRET)}
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    row: dict[str, Any] = {
        "id": where,
        "prefix": str(options.get("prefix", "")),
        "options": json.dumps(kept),
        "settings": json.dumps(plain),
        "synced_at": now,
    }
    if complete:
        row["listed_at"] = now
        row["objects"] = len(listed(where)) if is_remote(where) else None
    store.create(SOURCES, SOURCES_SCHEMA)
    fields = [SOURCES_SCHEMA.field(name) for name in row]
    store.upsert(SOURCES, pa.Table.from_pylist([row], pa.schema(fields)))
    store.sync()


@contextlib.contextmanager
def _alone(store: Store, where: str) -> Iterator[None]:
    """Hold the lock of a source on this machine; it goes with the process that holds it."""
    import fcntl  # here, for Windows has none and ingest imports this file

    digest = hashlib.sha256(where.encode()).hexdigest()[:16]
    path = store.cache_dir / f"sync-{digest}.lock"
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise SourceError(
                f"'{where}' is being synced already, by process {file.read() or 'unknown'}.",
                "wait for it; a sync that was killed holds no lock.",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
