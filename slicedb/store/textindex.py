"""Search full text by Lance: an inverted index over texts that never change.

LanceDB reads and writes the same index with the same scores (a test holds it), but a search takes
it 2 to 4 times as long (3.0 ms against 0.7 for 16 hits among 50,000 texts), and its import adds
0.95 processor seconds to the first search of a process; so this is built and asked by pylance.

The index stands on a copy of the texts, not on the table they come from. There its scores would
depend on what was appended, changed and deleted since it was built (the unindexed part is weighed
with the statistics of the indexed one), and every build would add a version to the table. Over
texts that never change a score is BM25 to the digit, whatever the number of partitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from slicedb.errors import DatabaseError
from slicedb.store.files import first_sentence


class TextIndex:
    """The texts of a folder, found by their words.

    Args:
        folder: where `build` wrote them.
    """

    schema = pa.schema([pa.field("key", pa.int64()), pa.field("text", pa.string())])

    def __init__(self, folder: Path) -> None:
        import lance

        self._dataset = lance.dataset(str(folder))

    @classmethod
    def build(cls, folder: Path, batches: Iterable[pa.RecordBatch]) -> TextIndex:
        """Write texts and their index to a new folder.

        Args:
            folder: must not exist.
            batches: of `schema`: the key of a sample, and its text, which is not empty.
        """
        import lance

        reader = pa.RecordBatchReader.from_batches(cls.schema, batches)
        try:
            written = lance.write_dataset(reader, str(folder), mode="create")
            if written.count_rows():
                # positions find phrases; words are stemmed, folded to ASCII, without stop words
                written.create_scalar_index("text", "INVERTED", with_position=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise DatabaseError(
                f"Building the full-text index failed: {first_sentence(error)}",
                "check the free space of the disk; no sample was touched.",
            ) from error
        return cls(folder)

    @property
    def rows(self) -> int:
        """The number of texts."""
        return int(self._dataset.count_rows())

    def hits(self, words: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples that hold any of the words, and their BM25 (k1 = 1.2, b = 0.75).

        Args:
            words: in double quotes they are a phrase: all of them, one after another.

        Returns:
            int64 (n,) keys and float32 (n,) scores, positive, in no order; each sample once.
        """
        from lance.query import MatchQuery, PhraseQuery

        phrase = _phrase(words)
        asked = MatchQuery(words, "text") if phrase is None else PhraseQuery(phrase, "text")
        if not self.rows:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        scanner = self._dataset.scanner(columns=["key", "_score"], full_text_query=asked)
        try:
            hits = scanner.to_table()
        except (OSError, ValueError, RuntimeError) as error:
            raise DatabaseError(
                f"The full-text index cannot be read: {first_sentence(error)}",
                "delete the folder .cache of the database; it is built again.",
            ) from error
        return hits["key"].to_numpy(), hits["_score"].to_numpy()


def _phrase(words: str) -> str | None:
    """Return what stands between double quotes around the whole text, None without them."""
    bare = words.strip()
    quoted = len(bare) > 2 and bare.startswith('"') and bare.endswith('"')
    return bare[1:-1] if quoted and bare[1:-1].strip() else None
