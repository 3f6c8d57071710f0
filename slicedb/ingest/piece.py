"""Some rows of a source on their way into the database: looked up, and given to the threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.ingest import fingerprint
from slicedb.ingest.known import Known
from slicedb.ingest.source import BYTES, ROWS, Source
from slicedb.ingest.verify import Verified, unopened, verify
from slicedb.keys import Keys
from slicedb.media import Ranges
from slicedb.schema import keys_of

_CHUNK = 128
"""Images of a task; the hashes of so many are computed together."""


@dataclass
class Piece:
    """A bounded number of rows. All arrays are parallel, (n,)."""

    batch: pa.RecordBatch
    """id, uri, image where the source carries it, metadata."""
    ids: list[str]
    uris: list[str | None]
    keys: np.ndarray
    """int64: the join key of each id."""
    rows: np.ndarray
    """int64: the row of each in `Known`, -1 for new ones."""
    sizes: np.ndarray
    """int64: encoded bytes of each, -1 where there is no file."""
    stamps: np.ndarray
    """int64: fingerprints of the files."""
    row_stamps: np.ndarray
    """int64: fingerprints of the metadata that the source writes again when it changes."""
    read: np.ndarray
    """bool: whether the image has to be read."""
    tasks: list[Future[Verified]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def start(
        self,
        pool: Executor,
        threads: int,
        known: Known,
        max_pixels: int,
        later: bool = False,
        quality: bool = False,
        ranges: Ranges | None = None,
    ) -> None:
        """Hand the images that have to be read to the threads; later, none of them is opened."""
        at = np.flatnonzero(self.read)
        if later:
            # Without a fingerprint only opening a file would tell whether it is another one.
            same = self.rows[at] >= 0
            old = at[same]
            same[same] = (self.stamps[old] == 0) | (known.stamps[self.rows[old]] == 0)
            self.tasks.append(pool.submit(unopened, self._images(at.tolist()), same.tolist()))
            return
        chunk = max(1, min(_CHUNK, -(-len(at) // (4 * threads))))
        expected = np.full(len(self), -1)
        old = at[self.rows[at] >= 0]
        if len(old):
            expected[old] = known.content[self.rows[old]]
        for start in range(0, len(at), chunk):
            some = at[start : start + chunk].tolist()
            images = self._images(some)
            names = [self.uris[i] or self.ids[i] for i in some]
            sizes, before = self.sizes[some].tolist(), expected[some].tolist()
            rest = sizes, before, max_pixels, quality, ranges
            self.tasks.append(pool.submit(verify, images, names, *rest))

    def _images(self, some: list[int]) -> Sequence[bytes | str | None]:
        """Return the encoded bytes of rows, or else where their files are."""
        uris = [self.uris[i] for i in some]
        if "image" not in self.batch.schema.names:
            return uris
        inside = self.batch["image"].take(pa.array(some, pa.int64())).to_pylist()
        return [uri if data is None else data for data, uri in zip(inside, uris)]

    def verified(self) -> Verified:
        """Return what the threads found, in the order of the rows that were read."""
        verified = Verified()
        for task in self.tasks:
            verified.extend(task.result())
        self.tasks.clear()
        return verified


def pieces(source: Source, known: Known, *, by_content: bool) -> Iterator[Piece]:
    """Cut the source's batches into pieces and look their rows up."""
    before = 0
    for batch in source.batches:
        for start in range(0, batch.num_rows, ROWS):
            some = batch.slice(start, ROWS)
            keys = None if source.keys is None else source.keys[before + start :][: some.num_rows]
            yield from _recognise(some, keys, source, known, by_content)
        before += batch.num_rows


def _recognise(
    batch: pa.RecordBatch, keys: Keys | None, source: Source, known: Known, by_content: bool
) -> Iterator[Piece]:
    uris = batch["uri"].to_pylist()
    ids = batch["id"].to_pylist()
    keys = keys_of(batch["id"]) if keys is None else keys
    rows = known.find_uris(uris) if by_content else known.find(ids, keys)
    insists = [name for name in batch.schema.names if name in source.wins]
    row_stamps = fingerprint.rows(batch.select(insists))
    sizes, stamps = _files(batch)
    same = (rows >= 0) & (stamps != 0)
    if len(known.keys):
        same &= (known.stamps[rows] == stamps) & ~known.lacking[rows] & ~known.unreadable[rows]
    for cut in _cuts(np.where(same, 0, sizes)):
        yield Piece(
            batch.slice(cut.start, cut.stop - cut.start),
            ids[cut],
            uris[cut],
            keys[cut],
            rows[cut],
            sizes[cut],
            stamps[cut],
            row_stamps[cut],
            ~same[cut],
        )


def _files(batch: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return size and fingerprint of each row's image."""
    sizes, stamps = fingerprint.files(batch["uri"])
    if "image" not in batch.schema.names:
        return sizes, stamps
    lengths = pc.fill_null(pc.binary_length(batch["image"]), 0).to_numpy(zero_copy_only=False)
    return np.maximum(sizes, lengths.astype(np.int64)), stamps


def _cuts(sizes: np.ndarray) -> Iterator[slice]:
    """Yield slices whose sizes sum to at most `BYTES`, a single larger row aside."""
    total = np.cumsum(np.maximum(sizes, 0))
    start = 0
    while start < len(sizes):
        before = total[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total, before + BYTES, side="right")))
        yield slice(start, stop)
        start = stop
