"""More cells: those of conditions, and of words in texts; and cells of several kinds as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql
from slicedb.curate.cells import Cells

Bools = npt.NDArray[np.bool_]

_WORDS = 150
"""Words of a column of texts that are looked at, the most frequent."""
_COMMON = 0.6
"""Share of the texts from which on a word tells nothing."""
_TEXTS = 50_000
"""Texts of which the words are counted."""
_SHORT = 3
"""Letters of the shortest word."""


def marks(column: str, queries: Sequence[str], masks: Sequence[Bools]) -> Cells:
    """Return the cells of conditions, as if they were values of one column.

    >>> cells = marks("size", ["width > 9"], [np.array([False, True])])
    >>> cells.queries, cells.sample.tolist()
    (('true', 'width > 9'), [1])
    """
    samples = [np.flatnonzero(mask) for mask in masks]
    cell = [np.full(len(rows), k + 1) for k, rows in enumerate(samples)]
    empty = [np.empty(0, np.int64)]
    owner = np.array([-1] + [0] * len(queries), np.int64)
    return Cells(
        (column,),
        owner,
        ("true", *queries),
        np.concatenate(cell + empty),
        np.concatenate(samples + empty),
        (False,),
    )


def joined(parts: Sequence[Cells]) -> Cells:
    """Return all cells together, over the same samples."""
    columns: list[str] = []
    owner, queries = [np.array([-1])], ["true"]
    cell, sample = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    ordered: list[bool] = []
    for part in parts:
        owner.append(part.column[1:] + len(columns))
        cell.append(part.cell + len(queries) - 1)
        sample.append(part.sample)
        queries += part.queries[1:]
        columns += part.columns
        ordered += part.ordered
    return Cells(
        tuple(columns),
        np.concatenate(owner),
        tuple(queries),
        np.concatenate(cell),
        np.concatenate(sample),
        tuple(ordered),
    )


def words_of(column: str, texts: pa.ChunkedArray, least: int) -> list[Cells]:
    """Return the cells of frequent words in a column of texts, a column each.

    Args:
        column: its name.
        texts: its values.
        least: texts that a word must be in.
    """
    values = texts.to_pylist()
    counts: Counter[str] = Counter()
    for text in values[:_TEXTS]:
        counts.update(_words(text))
    n = min(len(values), _TEXTS)
    kept = [w for w, k in counts.most_common() if least * n / len(values) <= k < _COMMON * n]
    place = {word: k for k, word in enumerate(kept[:_WORDS])}
    if not place:
        return []
    masks = np.zeros((len(place), len(values)), bool)
    for row, text in enumerate(values):
        for word in _words(text):
            if word in place:
                masks[place[word], row] = True
    return [
        marks(f"{column}: {word}", [_has_word(column, word)], [mask])
        for word, mask in zip(place, masks)
    ]


def _words(text: str | None) -> set[str]:
    return {word for word in re.findall(r"[a-z0-9]+", (text or "").lower()) if len(word) >= _SHORT}


def _has_word(column: str, word: str) -> str:
    """Return the condition that a text has a word; letters and digits alone make words."""
    pattern = f"(?i)(^|[^a-z0-9]){word}([^a-z0-9]|$)"
    return f"regexp_matches({sql.name(column)}, {sql.string(pattern)})"
