"""The small machines that every room uses: the key index, SQL text, the bounded cache."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicedb import sql
from slicedb.cache import Cache
from slicedb.keys import KeyIndex, distinct, first_of_each, mix

_KEY = st.one_of(st.integers(0, 2**63 - 1), st.integers(0, 8), st.just(2**63 - 1))


@given(st.lists(_KEY, max_size=40), st.lists(st.one_of(_KEY, st.integers(-9, -1)), max_size=40))
def test_the_index_finds_the_first_row_of_each_key(keys: list[int], wanted: list[int]) -> None:
    index = KeyIndex(np.array(keys, np.int64))
    right = [keys.index(k) if k in keys else -1 for k in wanted]
    assert index.find(np.array(wanted, np.int64)).tolist() == right
    assert index.rows(wanted).tolist() == [row for row in right if row >= 0]
    assert index.has(wanted).tolist() == [row >= 0 for row in right]
    assert np.flatnonzero(index.mask(wanted)).tolist() == sorted({r for r in right if r >= 0})


@given(st.lists(_KEY, max_size=40))
def test_distinct_keys_are_those_of_numpy(keys: list[int]) -> None:
    array = np.array(keys, np.int64)
    assert distinct(array).tolist() == np.unique(array).tolist()
    assert first_of_each(array).tolist() == sorted(np.unique(array, return_index=True)[1].tolist())


def test_the_index_holds_for_many_keys_in_any_order() -> None:
    keys = np.random.default_rng(0).permutation(mix(np.arange(100_000)) >> np.uint64(1))
    keys = keys.astype(np.int64)
    index = KeyIndex(keys)
    assert (index.find(keys) == np.arange(100_000)).all()
    assert (index.find(keys + 1) == -1).all()


VALUES: list[Any] = [
    None,
    True,
    -5,
    2**62,
    1e-5,
    -1e-9,
    float("inf"),
    "Chef's -- salad\n",
    b"\x00'\xff",
    Decimal("-12.50"),
    date(2026, 1, 2),
    datetime(2026, 1, 2, 3, 4, 5, 6),
    time(1, 2, 3),
    timedelta(days=-2, microseconds=7),
    [1, None, -3],
    {"a b": "c", "d": [-1]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_literal_is_the_value_again(value: Any) -> None:
    assert duckdb.execute(f"SELECT {sql.literal(value)}").fetchone() == (value,)


def test_a_negative_literal_after_a_minus_is_no_comment() -> None:
    assert duckdb.execute(f"SELECT 1 -{sql.literal(-5)} + 0").fetchone() == (6,)


def test_literals_of_arrays_and_of_zones() -> None:
    assert sql.literal(np.array([1.5, -2.0])) == "[1.5, (-2.0)]"
    assert sql.literal(np.float32(0.5)) == "0.5"
    zoned = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert sql.literal(zoned) == "TIMESTAMPTZ '2026-01-02T03:00:00+00:00'"
    with pytest.raises(ValueError, match="no SQL value"):
        sql.literal(object())


def test_reserved_words_are_those_of_duckdb() -> None:
    rows = duckdb.execute(
        "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
    ).fetchall()
    assert {row[0] for row in rows} == sql.RESERVED


@pytest.mark.parametrize("word", ["a", "a b", 'a"b', "order", "left", "Größe", "1st", "at", ""])
def test_a_name_reads_back_as_itself(word: str) -> None:
    if word:
        result = duckdb.execute(f"SELECT 1 AS {sql.name(word)}")
        assert [column[0] for column in result.description] == [word]
        table = f"(SELECT 1 AS {sql.quoted(word)})"
        assert duckdb.execute(f"SELECT {sql.name(word)} + 1 FROM {table}").fetchone() == (2,)


def test_values_with_null_are_found() -> None:
    rows = "(VALUES ('a'), (NULL), ('b')) AS t(x)"
    found = duckdb.execute(f"SELECT count(*) FROM {rows} WHERE {sql.is_in('x', ['a', None])}")
    assert found.fetchone() == (2,)


def test_the_cache_lets_go_of_what_was_used_longest_ago() -> None:
    cache = Cache[str, int](most=2)
    made: list[str] = []

    def make(key: str) -> int:
        return cache.get(key, lambda: made.append(key) or len(made))

    for key in "abaca":
        make(key)
    assert made == ["a", "b", "c"]
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)


def test_the_cache_is_bounded_by_size_and_keeps_the_last_value() -> None:
    cache = Cache[int, bytes](most=10, size=len, most_size=10)
    for key in range(4):
        cache.put(key, b"x" * 4)
    assert [key in cache for key in range(4)] == [False, False, True, True]
    cache.put(9, b"x" * 99)
    assert len(cache) == 1 and 9 in cache
    cache.put(9, b"x")
    cache.put(8, b"x")
    assert len(cache) == 2


def test_stale_keys_are_dropped() -> None:
    cache = Cache[tuple[str, int], str](most=10)
    cache.put(("t", 1), "old")
    cache.put(("u", 1), "other")
    cache.drop_where(lambda key: key[0] == "t")
    assert cache.find(("t", 1)) is None and cache.find(("u", 1)) == "other"


def test_threads_share_a_cache() -> None:
    cache = Cache[int, int](most=3)

    def work() -> None:
        for i in range(2000):
            assert cache.get(i % 7, lambda i=i: i % 7) == i % 7  # type: ignore[misc]

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache) <= 3
