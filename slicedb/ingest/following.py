"""Follow a source: which samples' files are gone from it, which are back, which only moved.

Nothing here is asked unless the source was listed completely: a folder that could not be read is
no proof that its files are gone.
"""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.ingest.known import Known, mask
from slicedb.ingest.source import Source
from slicedb.keys import KeyIndex
from slicedb.schema import (
    ETAG,
    IMAGES,
    OK,
    SAMPLES,
    SHOWN,
    SOURCES,
    SOURCES_SCHEMA,
    VANISHED,
    VANISHED_AT,
)
from slicedb.sources import address, covering, is_remote
from slicedb.store import Store

_FIELDS = [pa.field(ETAG, pa.string()), pa.field(VANISHED_AT, pa.timestamp("us"))]


def prepare(store: Store) -> None:
    """Add the columns that only followed sources need.

    Raises:
        IngestError: the user has a column of that name already.
    """
    there = store.schema(SAMPLES).names
    new = [field for field in _FIELDS if field.name not in there]
    if len(new) < len(_FIELDS) and not store.has(SOURCES):
        taken = next(field.name for field in _FIELDS if field.name in there)
        raise IngestError(
            f"The samples have a column '{taken}', which sync keeps for itself.",
            "use ingest for this source, or keep the column under another name.",
        )
    store.create(SOURCES, SOURCES_SCHEMA)  # first, so that nobody takes the columns for a user's
    if new:
        store.add_columns(SAMPLES, new)


def is_complete(source: Source) -> bool:
    """Return whether everything below a source was seen."""
    if not is_remote(source.where):
        return "unreadable folder" not in source.skipped
    known = covering(*address(source.where))
    return known is not None and known.is_complete


def gone(source: Source, known: Known) -> np.ndarray:
    """Return the samples of a source whose files are not there now, bool (n,) over `known`."""
    rows, uris = known.files_of(source.where)
    missing = np.zeros(len(known.keys), dtype=bool)
    missing[rows] = [uri is not None and not _exists(uri) for uri in uris]
    return missing


def _exists(uri: str) -> bool:
    """Return whether a file is there; an object beside what was listed may be."""
    if not is_remote(uri):
        return os.path.exists(uri)
    root, key = address(uri)
    known = covering(root, key)
    return known is None or key in known.rows


@dataclass(frozen=True)
class Marked:
    """What was written of files that are gone or back: numbers of samples."""

    vanished: int = 0
    back: int = 0
    hidden: int = 0
    """Of those that are gone, the ones whose pictures were not copied: queries leave them out."""


def mark(store: Store, known: Known, missing: np.ndarray) -> Marked:
    """Write down which samples' files are gone since the last time, and which are back.

    A sample of which the bytes were copied stays as it is. One that was left where it lay has no
    picture any more: its status becomes `vanished` until it is back.

    Args:
        missing: bool (n,), over `known`: the files that are not there now.
    """
    names = ["id", "key", "uri", "status", VANISHED_AT]
    now = store.table(SAMPLES, names)
    rows = KeyIndex(known.keys).find(now["key"].to_numpy())
    is_gone, seen = ((rows >= 0) & np.append(flags, False)[rows] for flags in (missing, known.seen))
    was_gone = np.asarray(pc.is_valid(now[VANISHED_AT]).to_numpy())
    leaving, back = np.flatnonzero(is_gone & ~was_gone), np.flatnonzero(was_gone & seen & ~is_gone)
    hidden = _write_gone(store, now.take(pa.array(leaving)))
    _write_back(store, now.take(pa.array(back)))
    return Marked(len(leaving), len(back), hidden)


def _write_gone(store: Store, samples: pa.Table) -> int:
    if not len(samples):
        return 0
    keys = samples["key"].to_numpy()
    copied = store.positions(IMAGES, keys) >= 0 if store.has(IMAGES) else np.zeros(len(keys), bool)
    hide = ~copied & mask(pc.is_in(samples["status"], value_set=pa.array(SHOWN)))
    moment = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    when = pa.array([moment] * len(samples), pa.timestamp("us"))
    store.upsert(SAMPLES, samples.select(["id"]).append_column(VANISHED_AT, when), insert=False)
    lost = samples.filter(pa.array(hide))
    if len(lost):
        said = [f"{uri} is gone since {moment:%Y-%m-%d %H:%M} UTC." for uri in _texts(lost, "uri")]
        columns = {"id": lost["id"], "status": [VANISHED] * len(lost), "error": said}
        store.upsert(SAMPLES, pa.table(columns), insert=False)
    return len(lost)


def _write_back(store: Store, samples: pa.Table) -> None:
    if not len(samples):
        return
    nulls = pa.nulls(len(samples), pa.timestamp("us"))
    store.upsert(SAMPLES, samples.select(["id"]).append_column(VANISHED_AT, nulls), insert=False)
    hidden = samples.filter(pc.equal(samples["status"], VANISHED))
    if len(hidden):
        nothing = pa.nulls(len(hidden), pa.string())
        columns = {"id": hidden["id"], "status": [OK] * len(hidden), "error": nothing}
        store.upsert(SAMPLES, pa.table(columns), insert=False)


def _texts(table: pa.Table, name: str) -> list[str]:
    return [str(value) for value in table[name].to_pylist()]
