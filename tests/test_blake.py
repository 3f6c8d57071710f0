"""Hashes in columns are those of hashlib, whatever the texts and however they are stored."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pytest

from slicedb.blake import digests
from slicedb.schema import keys_of

LENGTHS = (0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000)


def by_hashlib(texts: list[str]) -> list[int]:
    """Return the first 63 bits of each hash, one by one."""
    blake = hashlib.blake2b
    return [int.from_bytes(blake(t.encode(), digest_size=8).digest()) >> 1 for t in texts]


def test_every_length_and_every_width_of_letters() -> None:
    letters = "a\0é€😀"
    texts = [letter * n for n in LENGTHS for letter in letters]
    assert (digests(texts) >> np.uint64(1)).tolist() == by_hashlib(texts)
    assert digests([]).tolist() == []


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_columns_that_begin_in_the_middle(kind: pa.DataType) -> None:
    texts = [f"photos/{i}/{'x' * (i % 40)}.jpg" for i in range(9000)]
    expected = by_hashlib(texts)
    column = pa.array(texts, kind)
    assert keys_of(column[77:]).tolist() == expected[77:]
    assert keys_of(pa.chunked_array([column[:5], column[:0], column[5:]])).tolist() == expected
    assert keys_of(pa.array(texts).dictionary_encode()).tolist() == expected
    assert keys_of(name for name in texts).tolist() == expected
    assert keys_of(column[:3]).tolist() == expected[:3]


def test_keys_of_databases_that_exist_stay() -> None:
    many = [f"img_{i:08d}.jpg" for i in range(70_000)]
    keys = keys_of(many)
    assert keys[[0, 1, 69_999]].tolist() == by_hashlib([many[0], many[1], many[-1]])
    assert keys_of(["a.jpg"]).tolist() == [9161438751103734724]
