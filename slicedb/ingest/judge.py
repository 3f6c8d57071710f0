"""Sort the rows of a verified piece by what has to be written of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.ingest.known import Known, collision
from slicedb.ingest.piece import Piece
from slicedb.ingest.source import Source
from slicedb.ingest.verify import Verified, some_of
from slicedb.schema import ETAG, SAMPLES_SCHEMA, keys_of
from slicedb.sources import Location, versions


@dataclass
class Judged:
    """A verified piece, its rows sorted by what has to be written for each."""

    source: Source
    known: Known
    piece: Piece
    verified: Verified
    at: np.ndarray
    """int64: row of the piece -> row of `verified`; what was not read has none."""
    added: list[int]
    replaced: list[int]
    """Known samples whose bytes are others than last time."""
    retold: list[int]
    """Known samples whose row in the source is another than last time."""
    moved: list[int]
    """Known samples whose file is the same, under another fingerprint or at another place."""
    restored: list[int]
    """Known samples whose bytes are missing from `images`."""
    elsewhere: set[int]
    """Rows of the piece whose file lies at another place than last time."""
    duplicates: int = 0
    same_bytes: int = 0
    """Known samples whose file was read again and holds the same bytes."""
    carried: int = 0
    """Known samples whose file has gone, and whose bytes are here under another name."""
    twins: list[tuple[str, str]] = field(default_factory=list)
    """Ids of added samples, each with that of one from before with the same bytes."""

    @property
    def changed(self) -> int:
        """Number of known samples with other bytes or other metadata."""
        return len({*self.replaced, *self.retold})

    def images(self) -> pa.Table | None:
        """Return the rows to write to `images`, or None."""
        rows = [*self.added, *self.replaced, *self.restored]
        data = self._carried(rows)
        if data is None:
            data = pa.array(some_of(self.verified.data, self.at[rows]), pa.large_binary())
        if data.null_count:
            readable = data.is_valid()
            rows = [i for i, is_there in zip(rows, readable.to_pylist()) if is_there]
            data = data.filter(readable)
        return pa.table({**self._keyed(rows), "image": data}) if rows else None

    def _carried(self, rows: list[int]) -> pa.Array | None:
        """Return the bytes as the source carries them; None where some lie elsewhere."""
        if "image" not in self.piece.batch.schema.names:
            return None
        data = self.piece.batch["image"].take(pa.array(rows, pa.int64()))
        return None if data.null_count else data.cast(pa.large_binary())

    def samples(self) -> Iterator[tuple[pa.Table, bool]]:
        """Yield the tables to write to `samples`, each with whether its rows are new."""
        brought = [f.name for f in self.source.fields]
        if self.added:
            measured = self._measured(self.added)
            columns = self._keyed(self.added) | self._file(self.added) | measured
            columns |= self._metadata(self.added, brought)
            if "captured_at" in brought:
                columns["captured_at"] = pc.coalesce(
                    columns["captured_at"], measured["captured_at"]
                )
            yield pa.table(columns), True
        if self.replaced:
            columns = self._keyed(self.replaced) | self._file(self.replaced)
            columns |= {
                name: values
                for name, values in self._measured(self.replaced).items()
                if name != "captured_at"
            }
            yield pa.table(columns), False
        if self.retold:
            wins = [name for name in brought if name in self.source.wins]
            columns = self._keyed(self.retold) | self._metadata(self.retold, wins)
            yield pa.table(columns), False
        if self.moved:
            yield pa.table(self._keyed(self.moved) | self._file(self.moved)), False

    def _keyed(self, rows: list[int]) -> dict[str, pa.Array]:
        ids = [self.piece.ids[i] for i in rows]
        return {"id": pa.array(ids, pa.string()), "key": pa.array(self.piece.keys[rows])}

    def _file(self, rows: list[int]) -> dict[str, pa.Array]:
        """Return where the images are; a sample stays with its source until its file moves."""
        old = [i for i in rows if self.piece.rows[i] >= 0 and i not in self.elsewhere]
        before = dict(zip(old, self.known.sources(self.piece.rows[old]))) if old else {}
        sources = [before.get(i) or self.source.where for i in rows]
        uris = [self.piece.uris[i] for i in rows]
        columns = {
            "uri": pa.array(uris, pa.string()),
            "stamp": pa.array(self.piece.stamps[rows]),
            "source": pa.array(sources, pa.string()),
        }
        if self.source.etags:
            columns[ETAG] = pa.array(versions(uris)[1], pa.string())
        return columns

    def _measured(self, rows: list[int]) -> dict[str, pa.Array]:
        now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
        columns = self.verified.columns(self.at[rows])
        kind = SAMPLES_SCHEMA.field("ingested_at").type
        return {**columns, "ingested_at": pa.array([now] * len(rows), kind)}

    def _metadata(self, rows: list[int], names: list[str]) -> dict[str, pa.Array]:
        some = pa.array(rows, pa.int64())
        columns = {name: self.piece.batch[name].take(some) for name in names}
        return {**columns, "row_stamp": pa.array(self.piece.row_stamps[rows])}


def judge(
    piece: Piece,
    source: Source,
    known: Known,
    new_keys: set[int],
    *,
    by_content: bool,
    replace: bool,
    skip_same: bool = False,
) -> Judged:
    """Wait for the threads and sort the rows of a piece.

    Args:
        piece: started.
        source: where it comes from.
        known: what the database knew; its `seen` is kept up to date.
        new_keys: the keys of the samples added so far in this ingest; kept up to date.
        by_content: whether ids are hashes of the content.
        replace: whether another source's sample may be overwritten.
        skip_same: whether a new row with the bytes of a sample from before is left out.

    Raises:
        IngestError: two ids have one key, or an id belongs to another source's image.
    """
    verified = piece.verified()
    at = np.cumsum(piece.read) - 1
    dropped = _name_by_content(piece, verified, at, known, new_keys) if by_content else set()
    result = Judged(source, known, piece, verified, at, [], [], [], [], [], set(), len(dropped))
    result.added += [i for i in np.flatnonzero(piece.rows < 0).tolist() if i not in dropped]
    _find_carried(result)
    _find_twins(result, skip=skip_same)
    _count_keys(piece, result.added, new_keys)
    old = np.flatnonzero((piece.rows >= 0) & ~np.isin(np.arange(len(piece)), result.moved))
    if dropped:
        old = old[~np.isin(old, list(dropped))]
    known.seen[piece.rows[old]] = True
    if len(old):
        _sort_known(result, old)
    if not replace:
        for i in result.replaced:
            _refuse_foreign(result, i)
    return result


def _find_carried(result: Judged) -> None:
    """Find the new rows that are known samples under another name; each of those moves once.

    The sample keeps its id, and with it its label, its tags, its predictions and its vectors.
    """
    piece, known = result.piece, result.known
    if known.gone is None or not result.added:
        return
    digests = some_of(result.verified.sha256, result.at[result.added])
    for i, row in zip(list(result.added), known.gone_with_content(digests).tolist()):
        if row < 0 or known.seen[row]:
            continue
        known.seen[row] = True
        name = known.ids(np.array([row]))[0]
        piece.ids[i], piece.keys[i], piece.rows[i] = name, known.keys[row], row
        result.added.remove(i)
        result.moved.append(i)
        result.elsewhere.add(i)
        result.carried += 1
        if known.lacking[row]:
            result.restored.append(i)


def _find_twins(result: Judged, *, skip: bool) -> None:
    """Find the new rows whose bytes a sample from before has, and leave them out if asked to."""
    known, added = result.known, result.added
    if not len(known.keys) or not added:
        return
    rows = known.with_content(some_of(result.verified.sha256, result.at[added]))
    twins = np.flatnonzero(rows >= 0)
    if skip:
        result.added = [i for i, row in zip(added, rows.tolist()) if row < 0]
        result.duplicates += len(twins)
        return
    names = known.ids(rows[twins])
    result.twins += [(result.piece.ids[added[i]], name) for i, name in zip(twins.tolist(), names)]


def _sort_known(result: Judged, old: np.ndarray) -> None:
    """Sort rows whose samples are there already.

    Args:
        result: to fill.
        old: int64 (m,), rows of the piece.
    """
    piece, verified, at, known = result.piece, result.verified, result.at, result.known
    rows = piece.rows[old]
    uris = [piece.uris[i] for i in old.tolist()]
    elsewhere = ~known.same_uri(rows, uris) & np.array([uri is not None for uri in uris])
    stamped = (piece.stamps[old] != known.stamps[rows]) & (piece.stamps[old] != 0)
    retold = piece.row_stamps[old] != known.row_stamps[rows]
    if not result.source.wins:  # 0 means that it has no metadata, not that metadata was removed
        retold &= piece.row_stamps[old] != 0
    result.elsewhere.update(old[elsewhere].tolist())
    result.retold += old[retold].tolist()
    unread = ~piece.read[old]
    result.moved += old[unread & (elsewhere | stamped)].tolist()
    touched = elsewhere | stamped
    for i, row, is_touched in zip(old[~unread].tolist(), rows[~unread], touched[~unread]):
        still_lost = verified.status[at[i]] == "unreadable" and known.unreadable[row]
        if not verified.same[at[i]] and not still_lost:
            result.replaced.append(i)
            continue
        result.same_bytes += int(verified.same[at[i]])
        if is_touched:
            result.moved.append(i)
        if known.lacking[row]:
            result.restored.append(i)


def _count_keys(piece: Piece, rows: list[int], new_keys: set[int]) -> None:
    """Refuse two new ids with one key."""
    keys = set(piece.keys[rows].tolist())
    if len(keys) < len(rows) or not new_keys.isdisjoint(keys):
        ordered = sorted(rows, key=lambda i: (int(piece.keys[i]), piece.ids[i]))
        pairs = [(i, j) for i, j in pairwise(ordered) if piece.keys[i] == piece.keys[j]]
        one, other = pairs[0] if pairs else (ordered[0], ordered[0])
        raise collision(piece.ids[one], piece.ids[other])
    new_keys |= keys


def _name_by_content(
    piece: Piece, verified: Verified, at: np.ndarray, known: Known, new_keys: set[int]
) -> set[int]:
    """Name the rows by the sha256 of their bytes; return those that are duplicates.

    An image that cannot be read keeps its path for an id.
    """
    for i, digest in zip(np.flatnonzero(piece.read).tolist(), verified.sha256):
        piece.ids[i] = digest or piece.ids[i]
    unread = np.flatnonzero(~piece.read)
    for i, name in zip(unread.tolist(), known.ids(piece.rows[unread]) if len(unread) else []):
        piece.ids[i] = name
    piece.keys = keys_of(piece.ids)
    piece.rows = known.find(piece.ids, piece.keys)
    dropped: set[int] = set()
    here: set[int] = set()
    for i, (row, key) in enumerate(zip(piece.rows.tolist(), piece.keys.tolist())):
        if key in here or key in new_keys or (row >= 0 and known.seen[row]):
            dropped.add(i)
        elif row >= 0 and piece.read[i]:
            verified.same[at[i]] = verified.status[at[i]] != "unreadable"
        here.add(key)
    return dropped


def _refuse_foreign(result: Judged, i: int) -> None:
    """Raise when another image, which still exists, has the id of one with other content."""
    sample, uri, source = result.known.origin(int(result.piece.rows[i]))
    mine = result.piece.uris[i]
    other = uri or source
    if other in (mine, result.source.where) or not other or not Location(other).exists():
        return
    raise IngestError(
        f"Id '{sample}' belongs to another image already, the one in '{other}'.",
        "give this source a prefix, or pass replace=True to take its images instead; "
        "what was ingested before this one stays.",
    )
