"""Cuts of scores are decided on columns: the members are those DuckDB would find."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_copies import LONG
from hypothesis import given, settings
from hypothesis import strategies as st
from world import engine_of

from slicedb.query import Engine
from slicedb.schema import EMBEDDINGS, SAMPLES, embeddings_schema, keys_of
from slicedb.store import Store
from slicedb.vectors import matrix as vectors

ROWS, DIM = 20_000, 4
SCORES = ("similarity('red')", "similarity('green', 'blue')", "similarity('dull')")
LEAVES = (
    "matches('red')",
    "matches('green', 0.3)",
    "nearest('blue', 50)",
    "similarity('dull') > 2",
)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """20,000 samples with random vectors; every seventh has none, every ninth is quarantined."""
    store = Store.open(tmp_path_factory.mktemp("many") / "many.slicedb")
    ids = [f"{i:05d}" for i in range(ROWS)]
    keys, rng = keys_of(ids), np.random.default_rng(7)
    status = np.where(np.arange(ROWS) % 9 == 0, "truncated", "ok")
    label = rng.choice(["red", "green", "blue"], ROWS, p=[0.9, 0.05, 0.05])
    store.append(SAMPLES, pa.table({"id": ids, "key": keys, "status": status, "label": label}))
    found = rng.standard_normal((ROWS, DIM)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    at = np.flatnonzero(np.arange(ROWS) % 7)[::-1]
    columns = {
        "id": pa.array(np.array(ids)[at]),
        "key": pa.array(keys[at]),
        "content": pa.array(np.ones(len(at), np.int64)),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(found[at].ravel()), DIM),
    }
    name = EMBEDDINGS + "default"
    store.create(name, embeddings_schema(DIM))
    store.append(name, pa.table(columns).cast(embeddings_schema(DIM)))
    yield engine_of(store)


def cuts() -> st.SearchStrategy[str]:
    """Return texts of conditions on scores."""
    number = st.decimals(-1, 1, places=3).map(str) | st.sampled_from(["0", "-1", ".25", "1e-1"])
    score = st.sampled_from(SCORES)
    compare = st.sampled_from([">", ">=", "<", "<="])
    leaf = (
        st.tuples(score, compare, number).map(" ".join)
        | st.tuples(number, compare, score).map(" ".join)
        | st.tuples(score, compare, score).map(" ".join)
        | st.tuples(score, number, number).map(lambda t: f"{t[0]} BETWEEN {t[1]} AND {t[2]}")
        | st.sampled_from(LEAVES)
    )
    return st.recursive(
        leaf,
        lambda inner: (
            st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            )
            | inner.map(lambda text: f"NOT ({text})")
        ),
        max_leaves=4,
    )


@pytest.mark.slow
@settings(max_examples=60 if LONG else 30, deadline=None)
@given(text=cuts(), plain=st.sampled_from(["", "label = 'red' AND ", "label = 'blue' AND "]))
@pytest.mark.parametrize("small", [True, False])
def test_cuts_are_those_of_duckdb(many: Engine, small: bool, text: str, plain: str) -> None:
    was, vectors._SMALL = vectors._SMALL, 10**9 if small else 0
    many.session.vectors._open.clear()
    try:
        query = many.query(plain + text)
        # IS TRUE is no cut: DuckDB decides it, on scores of all samples
        wanted = many.query(f"SELECT id FROM samples WHERE {plain} (({text}) IS TRUE)").ids()
        assert query.ids() == wanted
        assert query.count() == len(wanted)
        assert query.to_arrow()["id"].to_pylist() == wanted
        assert many.sql(f"SELECT id FROM samples WHERE {plain} {text}")["id"].to_pylist() == wanted
        ordered = many.query(f"{plain} {text} ORDER BY similarity('red') DESC LIMIT 5")
        slow = f"{plain} (({text}) IS TRUE) ORDER BY similarity('red') DESC NULLS LAST LIMIT 5"
        assert ordered.ids() == many.query(slow).ids()
    finally:
        vectors._SMALL = was


@pytest.mark.parametrize("small", [True, False])
def test_a_score_depends_on_nothing_beside_it(
    many: Engine, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "_SMALL", 10**9 if small else 0)
    rng = np.random.default_rng(0)
    targets = rng.standard_normal((5, DIM)).astype(np.float32)
    stored = many.session.vectors.matrix()
    whole = np.array(vectors.Matrix(stored.keys, stored.vectors).scores(targets))
    rows = np.sort(rng.choice(len(stored.keys), 777, replace=False))
    for some in (rows, rows[:1], rows[:50]):
        alone = vectors.Matrix(stored.keys, stored.vectors)
        assert np.array_equal(np.array(alone.scores(targets, some)), whole[:, some])
        assert np.array_equal(alone.scores(targets[2:3], some)[0], whole[2, some])
        alone.scores(targets[1:2])  # from here on cached
        assert np.array_equal(np.array(alone.scores(targets, some)), whole[:, some])


def test_kept_scores_stay_within_their_bytes(many: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = many.session.vectors.matrix()
    monkeypatch.setattr(vectors, "_CACHED", 2 * 4 * len(stored))
    matrix = vectors.Matrix(stored.keys, stored.vectors)
    column = matrix.scores(np.eye(DIM, dtype=np.float32)[:1])[0]
    matrix.scores(np.eye(DIM, dtype=np.float32))
    assert len(matrix._columns) == 2
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 1


def test_the_condition_that_leaves_few_goes_first(many: Engine, monkeypatch: Any) -> None:
    asked: list[tuple[int, int]] = []
    real = vectors.Matrix._product

    def product(self: Any, halves: np.ndarray, rows: Any, check: Any) -> np.ndarray:
        asked.append((len(halves), len(self.keys) if rows is None else len(rows)))
        return real(self, halves, rows, check)

    monkeypatch.setattr(vectors.Matrix, "_product", product)
    many.session.vectors._open.clear()
    text = "NOT similarity('green') > 0.9 AND similarity('blue') < 0.5 AND similarity('red') > 0.9"
    found = many.query(text)
    assert 0 < found.count() < 1_000
    (tried, _), (first, every), (rest, few) = asked
    assert (tried, first, rest) == (3, 1, 2)
    assert few < 0.2 * every


def test_explain_tells_of_cuts(many: Engine) -> None:
    shown = str(many.query("label = 'red' AND similarity('red') > 0.9").explain())
    assert "find candidates by the SQL part" in shown
    assert "decide 1 cut of scores" in shown
    assert "then cuts of scores" in shown
