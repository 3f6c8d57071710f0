"""Look up what the database knows of the samples before an ingest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.ingest.source import Source
from slicedb.keys import KeyIndex
from slicedb.schema import IMAGES, SAMPLES, SHOWN, content_of, keys_of
from slicedb.store import Store


class Known:
    """The existing samples, found by id or by uri.

    The arrays are parallel, (n,), in stored order.
    """

    def __init__(self, store: Store, *, with_images: bool) -> None:
        """Read the samples' bookkeeping columns.

        Args:
            store: the database.
            with_images: whether their bytes have to be in the `images` table.
        """
        names = ["id", "key", "uri", "sha256", "stamp", "row_stamp", "source", "status"]
        self.version = store.version(SAMPLES)
        """The version of `samples` that was read."""
        table = store.table(SAMPLES, names, version=self.version)
        self._ids = table["id"].combine_chunks()
        self._uris = table["uri"].combine_chunks()
        self._sha256 = table["sha256"]
        self._source = table["source"].combine_chunks().dictionary_encode()
        self._status = table["status"].combine_chunks().dictionary_encode()
        self.keys = _numbers(table["key"])
        self.stamps = _numbers(table["stamp"])
        self.row_stamps = _numbers(table["row_stamp"])
        self.unreadable = mask(pc.equal(table["status"], "unreadable"))
        self.gone: np.ndarray | None = None
        """bool (n,): the samples whose files are not in the source now; None where the source is
        not followed, or not all of it was seen."""
        self.seen = np.zeros(len(self.keys), dtype=bool)
        """Whether each was found in the source during this ingest."""
        self.lacking = np.zeros(len(self.keys), dtype=bool)
        """Whether the bytes of each have to be read again, since they are not in `images`."""
        self.images_version = _free_of_strays(store, self.keys) if with_images else None
        """The version of `images` that has none but those of samples; None where it has others,
        as an interrupted ingest leaves them."""
        if with_images and len(self.keys):
            self.lacking = (store.positions(IMAGES, self.keys) < 0) & ~self.unreadable
        self._by_id = KeyIndex(self.keys)
        self._by_uri: KeyIndex | None = None
        self._content: np.ndarray | None = None
        self._by_content: KeyIndex | None = None

    @property
    def content(self) -> np.ndarray:
        """int64 (n,): 60 bits of each sample's sha256; worked out when it is first asked for."""
        if self._content is None:
            self._content = content_of(self._sha256)
        return self._content

    def with_content(self, digests: Sequence[str | None]) -> np.ndarray:
        """Return the row of a sample with each sha256, int64 (n,); -1 where there is none."""
        if self._by_content is None:
            self._by_content = KeyIndex(self.content)
        rows = self._by_content.find(content_of(list(digests)))
        return np.where([digest is None for digest in digests], -1, rows)

    def gone_with_content(self, digests: Sequence[str | None]) -> np.ndarray:
        """Return the row of a sample with each sha256 whose file is gone, int64 (n,), or -1."""
        if self.gone is None or not self.gone.any():
            return np.full(len(digests), -1, np.int64)
        candidates = np.flatnonzero(self.gone & ~self.seen)
        at = KeyIndex(self.content[candidates]).find(content_of(list(digests)))
        known = (at >= 0) & np.array([digest is not None for digest in digests])
        return np.where(known, np.append(candidates, -1)[at], -1)

    def find(self, ids: Sequence[str] | pa.Array, keys: np.ndarray) -> np.ndarray:
        """Return the row of each id, int64 (n,); -1 where it is new.

        Raises:
            IngestError: another id has the same key.
        """
        rows = self._by_id.find(keys)
        known = np.flatnonzero(rows >= 0)
        if len(known):
            old = self._ids.take(pa.array(rows[known]))
            new = (ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())).take(
                pa.array(known)
            )
            same = mask(pc.equal(old, new))
            if not same.all():
                first = int(np.flatnonzero(~same)[0])
                raise collision(new[first].as_py(), old[first].as_py())
        return rows

    def find_uris(self, uris: Sequence[str | None]) -> np.ndarray:
        """Return the row of the sample that lay at each uri, int64 (n,); -1 where there is none."""
        if self._by_uri is None:
            self._by_uri = KeyIndex(keys_of(uri or "" for uri in self._uris.to_pylist()))
        rows = self._by_uri.find(keys_of(uri or "" for uri in uris))
        if not len(self.keys):
            return rows
        return np.where(self.same_uri(np.maximum(rows, 0), uris), rows, -1)

    def same_uri(self, rows: np.ndarray, uris: Sequence[str | None] | pa.Array) -> np.ndarray:
        """Return whether each row has that uri, bool (n,); a null equals nothing."""
        now = uris if isinstance(uris, pa.Array) else pa.array(uris, pa.string())
        return mask(pc.equal(self._uris.take(pa.array(rows)), now))

    def origin(self, row: int) -> tuple[str, str | None, str | None]:
        """Return id, uri and source of a row."""
        return self._ids[row].as_py(), self._uris[row].as_py(), self._source[row].as_py()

    def sources(self, rows: np.ndarray) -> list[str | None]:
        """Return where rows were ingested from."""
        return list(self._source.take(pa.array(rows)).to_pylist())

    def files_of(self, where: str) -> tuple[np.ndarray, list[str | None]]:
        """Return the rows of the samples that came from a source, int64 (m,), and their uris."""
        rows = np.flatnonzero(mask(pc.equal(self._source.cast(pa.string()), where)))
        return rows, self._uris.take(pa.array(rows)).to_pylist()

    def ids(self, rows: np.ndarray) -> list[str]:
        """Return the ids of rows."""
        return list(self._ids.take(pa.array(rows)).to_pylist())

    def owned(self, source: Source, prefix: str, *, by_content: bool) -> np.ndarray:
        """Return whether each sample came from a source, bool (n,).

        A folder owns what lies below it under its own id, a table what it listed first.
        """
        if not source.by_place:
            return mask(pc.equal(self._source.cast(pa.string()), source.where))
        if by_content:
            return mask(pc.starts_with(self._uris, f"{source.where}/"))
        start = len(prefix) + 1 if prefix else 0
        relative = pc.utf8_slice_codeunits(self._ids, start, None) if start else self._ids
        place = pc.binary_join_element_wise(source.where, relative, "/")
        inside = pc.starts_with(self._ids, f"{prefix}/" if prefix else "")
        return mask(pc.and_(inside, pc.equal(self._uris, place)))

    def broken(self, rows: np.ndarray) -> dict[str, int]:
        """Return how many of the rows are quarantined, by reason."""
        counts = self._status.take(pa.array(rows)).cast(pa.string()).value_counts()
        pairs = ((item["values"], item["counts"]) for item in counts.to_pylist())
        return {reason: n for reason, n in pairs if reason is not None and reason not in SHOWN}


def _free_of_strays(store: Store, keys: np.ndarray) -> int | None:
    """Return the version of `images` if all of them belong to samples with these keys."""
    version = store.version(IMAGES)
    if not store.count(IMAGES, version):
        return version
    images = store.table(IMAGES, ["key"], version=version)["key"].to_numpy()
    return version if KeyIndex(keys).has(images).all() else None


def collision(one: str, other: str) -> IngestError:
    """Return the error for two ids with one key."""
    return IngestError(
        f"Ids '{one}' and '{other}' have the same key.",
        "this happens once in three billion samples: rename one of the two.",
    )


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    filled = pc.fill_null(column, 0).to_numpy()
    return np.array(filled, dtype=np.int64)


def mask(values: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return a boolean column as an array, null as False."""
    filled = pc.fill_null(values, False)
    chunk = filled.combine_chunks() if isinstance(filled, pa.ChunkedArray) else filled
    return np.asarray(chunk.to_numpy(zero_copy_only=False), dtype=bool)
