"""LanceDB on the same tables: its connection, and indexes that either side builds and reads."""

from __future__ import annotations

from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from lance.query import MatchQuery
from lancedb.index import FTS, IvfSq

import slicedb
from slicedb.errors import DatabaseError
from slicedb.schema import EMBEDDINGS, SAMPLES, embeddings_schema, keys_of
from slicedb.store import TextIndex
from slicedb.store.vectorindex import build_index, nearest_keys, unindexed_rows

N, DIM = 600, 8
IDS = [f"{i:03d}" for i in range(N)]
WORDS = ("dog", "cat", "boat", "tree", "red", "night")
TABLE = EMBEDDINGS + "default"


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """Return a database of captions and vectors."""
    rng = np.random.default_rng(3)
    made = slicedb.open(tmp_path / "data.slicedb")
    texts = [" ".join(rng.choice(WORDS, 1 + i % 4)) for i in range(N)]
    made.store.append(
        SAMPLES,
        pa.table({"id": IDS, "key": keys_of(IDS), "caption": texts, "status": ["ok"] * N}),
    )
    vectors = rng.normal(size=(N, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    made.store.create(TABLE, embeddings_schema(DIM))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIM)
    made.store.append(TABLE, pa.table({"id": IDS, "key": keys_of(IDS), "vector": flat}))
    return made


def test_the_connection_opens_every_table_and_sees_every_write(db: slicedb.Database) -> None:
    db.commit("first")
    for name in db.store.names():
        table = db.lancedb.open_table(name)
        assert table.count_rows() == db.store.count(name), name
        assert table.schema.equals(db.store.schema(name)), name
    samples = db.lancedb.open_table(SAMPLES)
    db.relabel("id < '010'", "first ten")
    assert samples.count_rows("label = 'first ten'") == 10
    samples.update(where="id = '599'", values={"label": "theirs"})
    assert db.query("label = 'theirs'").ids() == ["599"]
    samples.delete("id = '598'")
    assert db.query("").count() == N - 1
    assert db.store.take(SAMPLES, keys_of(["599"]), ["label"])["label"].to_pylist() == ["theirs"]


def test_a_view_of_the_past_gives_no_live_connection(db: slicedb.Database) -> None:
    db.commit("first", tag="clean")
    with pytest.raises(DatabaseError, match="the database as it was at 'clean'"):
        _ = db.at("clean").lancedb


def test_lancedb_searches_by_the_vector_index_that_slicedb_built(db: slicedb.Database) -> None:
    build_index(db.store, TABLE, 2)
    table = db.lancedb.open_table(TABLE)
    [index] = table.list_indices()
    assert (index.name, index.index_type, index.columns) == ("vector_idx", "IvfSq", ["vector"])
    stats = table.index_stats("vector_idx")
    assert (stats.num_indexed_rows, stats.num_unindexed_rows) == (
        N,
        unindexed_rows(db.store, TABLE),
    )
    vector = table.search().where("id = '007'").to_list()[0]["vector"]
    search = table.search(vector, vector_column_name="vector").distance_type("cosine").nprobes(2)
    assert "ANNSubIndex" in search.limit(5).explain_plan(verbose=True)
    assert search.limit(5).to_list()[0]["id"] == "007"


def test_slicedb_searches_by_the_vector_index_that_lancedb_built(db: slicedb.Database) -> None:
    table = db.lancedb.open_table(TABLE)
    config = IvfSq(distance_type="cosine", num_partitions=2)
    table.create_index("vector", config=config, name="vector_idx")
    vectors = np.array(db.store.table(TABLE, ["vector"])["vector"].to_pylist(), np.float32)
    keys = nearest_keys(db.store, TABLE, vectors[7], 20, 2)
    exact = np.argsort(-(vectors @ vectors[7]))[:20]
    assert keys[0] == keys_of(["007"])[0]
    assert len(set(keys.tolist()) & set(keys_of([IDS[i] for i in exact]).tolist())) >= 18


def test_a_full_text_index_of_either_side_gives_the_same_scores_to_both(
    db: slicedb.Database, tmp_path: Path
) -> None:
    import lancedb

    texts = db.store.table(SAMPLES, ["key", "caption"]).rename_columns(["key", "text"])
    batches = texts.cast(TextIndex.schema).to_batches()
    ours = TextIndex.build(tmp_path / "texts" / "ours.lance", batches)
    connection = lancedb.connect(tmp_path / "texts")
    theirs = connection.create_table("theirs", texts)
    theirs.create_index("text", config=FTS(with_position=True))
    for words in ("dog", "red night", "boat tree cat"):
        keys, scores = ours.hits(words)
        expected = dict(zip(keys.tolist(), scores.tolist()))
        assert len(expected) > 50
        for name in ("ours", "theirs"):
            table = connection.open_table(name)
            rows = table.search(words, query_type="fts").limit(N).to_list()
            assert {row["key"]: row["_score"] for row in rows} == pytest.approx(expected)
        dataset = lance.dataset(tmp_path / "texts" / "theirs.lance")
        hits = dataset.scanner(full_text_query=MatchQuery(words, "text")).to_table()
        assert dict(zip(hits["key"].to_pylist(), hits["_score"].to_pylist())) == expected
