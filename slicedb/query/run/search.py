"""Score full text, `search('words')`, with an index that is found by the texts themselves.

The index of a set of columns is found by a digest of their texts, so that it is never stale: a
relabelled or compacted dataset has the same texts and keeps its index, an ingest that changes a
caption has other texts and gets another one. It is built when it is first
needed, or ahead by `Database.index` and, once there is one, by every ingest.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb.cache import Cache
from slicedb.errors import DatabaseError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.query.bound.bound import Search
from slicedb.schema import SAMPLES, SEARCHED, searchable
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.store import TextIndex

if TYPE_CHECKING:
    from slicedb.query.bound.catalog import TableInfo
    from slicedb.store import Store

Columns: TypeAlias = tuple[str, ...]

_BATCH = 16_384
_KEEP = 4
"""Indexes of one set of columns kept on disk: several commits may be asked in turn."""
_HITS = 32
"""Answers kept."""
_DIGESTS = 64
"""Digests kept, of versions and sets of columns."""


@dataclass(frozen=True)
class TextReport(Record):
    """A full-text index."""

    columns: Columns
    texts: int
    """Samples that have a text in any of the columns."""

    def __str__(self) -> str:
        return f"{numbers.count(self.texts, 'text')} in {', '.join(self.columns)}"


def mark(store: Store, columns: Sequence[str]) -> None:
    """Set the text columns that `search` reads beside the caption.

    Raises:
        DatabaseError: there is no such text column.
    """
    schema = store.schema(SAMPLES)
    texts = [field.name for field in schema if field.type == pa.string()]
    for name in columns:
        if name not in texts:
            hint = did_you_mean(name, texts, "text columns")
            raise DatabaseError(f"No text column '{name}' in samples.", hint)
    chosen = [name for name in dict.fromkeys(columns) if name != "caption"]
    if tuple(chosen) != searchable(store.metadata(SAMPLES))[1:]:
        store.set_metadata(SAMPLES, {SEARCHED: json.dumps(chosen)})


class TextSearch:
    """Scores words against the text columns of one database.

    Args:
        store: the database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open = Cache[str, TextIndex](_KEEP)
        self._digests = Cache[tuple[int, Columns], str](_DIGESTS)
        self._hits = Cache[tuple[str, str], tuple[np.ndarray, np.ndarray]](_HITS)
        self._lock = threading.RLock()

    def score(
        self,
        terms: Sequence[Search],
        samples: TableInfo,
        index: KeyIndex,
        rows: np.ndarray | None,
        check: Callable[[], None],
    ) -> dict[Search, np.ndarray]:
        """Return the BM25 of each term.

        Args:
            terms: what to score.
            samples: the samples table at the version to read.
            index: the rows of keys, in stored order.
            rows: int64 (m,): the rows to score, in stored order; None scores all.
            check: raises when the time is used up.

        Returns:
            float32 (m,) a term, NaN where no word is found.
        """
        columns: dict[Search, np.ndarray] = {}
        for term in terms:
            check()
            keys, scores = self.hits(term, samples.version)
            values = np.full(len(index), np.nan, dtype=np.float32)
            rows_of = index.find(keys)
            values[rows_of[rows_of >= 0]] = scores[rows_of >= 0]
            columns[term] = values if rows is None else values[rows]
        return columns

    def hits(self, term: Search, version: int) -> tuple[np.ndarray, np.ndarray]:
        """Return int64 keys and float32 scores of the samples that hold a word of the term."""
        with self._lock:
            digest = self._digest(term.columns, version)
            return self._hits.get(
                (digest, term.words),
                lambda: self._index(digest, term.columns, version).hits(term.words),
            )

    def ensure(self, columns: Columns | None = None) -> TextReport:
        """Build the index of these columns, or of those that `search` reads by default."""
        version = self._store.version(SAMPLES)
        chosen = columns or searchable(self._store.metadata(SAMPLES, version))
        with self._lock:
            index = self._index(self._digest(chosen, version), chosen, version)
            return TextReport(chosen, index.rows)

    def refresh(self) -> None:
        """Bring the index of the default columns up to date, where there is one."""
        columns = searchable(self._store.metadata(SAMPLES))
        if any(self._home.glob(f"{_slug(columns)}@*")):
            self.ensure(columns)

    @property
    def _home(self) -> Path:
        return self._store.cache_dir / "search"

    def _index(self, digest: str, columns: Columns, version: int) -> TextIndex:
        return self._open.get(digest, lambda: self._load(digest, columns, version))

    def _load(self, digest: str, columns: Columns, version: int) -> TextIndex:
        folder = self._home / f"{_slug(columns)}@{digest}"
        if folder.is_dir():
            with contextlib.suppress(OSError, ValueError):
                return TextIndex(folder)
        try:
            self._home.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=self._home))
        except OSError:  # a database on a disk that cannot be written
            scratch = Path(tempfile.mkdtemp(prefix="slicedb-search-"))
        built = TextIndex.build(scratch / "texts", self._texts(columns, version))
        if scratch.parent != self._home:
            return built
        # another process may have built the same one first
        with contextlib.suppress(OSError):
            os.rename(scratch / "texts", folder)
        shutil.rmtree(scratch, ignore_errors=True)
        self._remove_old(columns)
        return TextIndex(folder)

    def _remove_old(self, columns: Columns) -> None:
        folders = sorted(self._home.glob(f"{_slug(columns)}@*"), key=lambda f: f.stat().st_mtime)
        for folder in folders[:-_KEEP]:
            shutil.rmtree(folder, ignore_errors=True)
        for note in self._home.glob(f"{_slug(columns)}-*.digest"):
            note.unlink(missing_ok=True)

    # --- the texts ----------------------------------------------------------------------------

    def _texts(self, columns: Columns, version: int) -> Iterator[pa.RecordBatch]:
        import pyarrow.compute as pc  # here, for most queries have no need of it

        names = [*columns, "key"]
        for batch in self._store.scan(SAMPLES, names, version=version, batch_size=_BATCH):
            texts = [pc.fill_null(batch[name], "") for name in columns]
            joined = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*texts, "\n"))
            full = pa.RecordBatch.from_arrays([batch["key"], joined], schema=TextIndex.schema)
            yield full.filter(pc.greater(pc.binary_length(joined), 0))

    def _digest(self, columns: Columns, version: int) -> str:
        """Return a digest of the texts of all samples; equal texts have equal digests."""
        return self._digests.get((version, columns), lambda: self._noted(columns, version))

    def _noted(self, columns: Columns, version: int) -> str:
        """Return the digest that an earlier process noted, or hash the texts and note it."""
        note = self._home / f"{_slug(columns)}-{version}.digest"
        if self._store.is_local:
            with contextlib.suppress(OSError):
                if digest := note.read_text(encoding="utf-8"):
                    return digest
        digest = self._hashed(columns, version)
        with contextlib.suppress(OSError):
            self._home.mkdir(parents=True, exist_ok=True)
            note.write_text(digest, encoding="utf-8")
        return digest

    def _hashed(self, columns: Columns, version: int) -> str:
        """Hash keys and texts regardless of their order, since an update moves rows."""
        import duckdb

        batches = self._texts(columns, version)
        connection = duckdb.connect(":memory:")
        try:
            reader = pa.RecordBatchReader.from_batches(TextIndex.schema, batches)
            connection.register("texts", reader)
            sums = connection.execute(
                "SELECT count(*), sum(hash(key, text)::HUGEINT), sum(hash(text, key)::HUGEINT) "
                "FROM texts"
            ).fetchall()
        finally:
            connection.close()
        # Another version of DuckDB may hash otherwise.
        content = f"{sums[0]} {duckdb.__version__}"
        return hashlib.blake2b(content.encode(), digest_size=12).hexdigest()


def _slug(columns: Columns) -> str:
    """Return a name for a set of columns that any file system takes."""
    named = json.dumps(columns).encode()
    return hashlib.blake2b(named, digest_size=8).hexdigest()
