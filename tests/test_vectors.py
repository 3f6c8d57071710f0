"""Vectors without a query engine: matrix, scores, the nearest, blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from slicedb.errors import UnknownEmbeddingError
from slicedb.schema import EMBEDDINGS, embeddings_schema, keys_of
from slicedb.store import Store
from slicedb.vectors import Vectors
from slicedb.vectors import matrix as matrices

IDS = ["a", "b", "c", "d", "none"]
VECTORS = [[1, 0], [3, 4], [0, 2], [-1, 0], None]
KEYS = keys_of(IDS)
AXES = np.eye(2, dtype=np.float32)


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    store = Store.open(tmp_path / "db")
    schema = embeddings_schema(2)
    store.create(EMBEDDINGS + "default", schema)
    listed = pa.array(VECTORS, schema.field("vector").type)
    columns = [pa.array(IDS), pa.array(KEYS), pa.array(np.ones(5, np.int64)), listed]
    store.append(EMBEDDINGS + "default", pa.record_batch(columns, schema=schema))
    return Vectors(store)


def test_vectors_are_unit_and_nan_where_missing(vectors: Vectors) -> None:
    rows = vectors.matrix("default").of(keys_of(["b", "none", "unknown"]))
    assert rows[0] == pytest.approx([0.6, 0.8], abs=0.01)
    assert np.isnan(rows[1:]).all()


def test_scores_of_some_samples_with_several_targets(vectors: Vectors) -> None:
    first, second = vectors.scores("default", AXES, keys_of(["d", "unknown", "b"]))
    assert first[[0, 2]] == pytest.approx([-1, 0.6], abs=0.01)
    assert second[[0, 2]] == pytest.approx([0, 0.8], abs=0.01)
    assert np.isnan([first[1], second[1]]).all()


def test_scores_of_all_samples_stand_in_the_order_of_the_matrix(vectors: Vectors) -> None:
    (scores,) = vectors.scores("default", AXES[0])
    assert scores[vectors.matrix().index.find(KEYS)][:4] == pytest.approx([1, 0.6, 0, -1], abs=0.01)


def test_the_nearest_of_many_targets_within_some_keys(vectors: Vectors) -> None:
    nearest = vectors.top("default", AXES, 2, keys_of(["c", "b", "none", "b", "unknown"]))
    assert nearest.keys.tolist() == [keys_of(["b", "c"]).tolist(), keys_of(["c", "b"]).tolist()]
    assert nearest.scores.ravel() == pytest.approx([0.6, 0.0, 1.0, 0.8], abs=0.01)


def test_where_too_few_have_a_vector_the_rest_is_padding(vectors: Vectors) -> None:
    nearest = vectors.top("default", AXES[0], 3, keys_of(["d", "none"]))
    assert nearest.keys.tolist() == [[int(keys_of(["d"])[0]), -1, -1]]
    assert np.isnan(nearest.scores[0, 1:]).all()


def test_targets_are_taken_in_groups_without_changing_the_answer(
    vectors: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = np.random.default_rng(0).standard_normal((7, 2)).astype(np.float32)
    whole = vectors.top("default", targets, 3)
    monkeypatch.setattr(matrices, "_AT_ONCE", 10)
    few = vectors.top("default", targets, 3)
    assert np.array_equal(few.keys, whole.keys) and np.array_equal(few.scores, whole.scores)


def test_blocks_cover_the_rows_once(vectors: Vectors) -> None:
    blocks = list(vectors.matrix().blocks(2))
    assert [start for start, _ in blocks] == [0, 2, 4]
    assert [len(block) for _, block in blocks] == [2, 2, 1]


def test_an_unknown_embedding_is_named_with_those_there_are(vectors: Vectors) -> None:
    with pytest.raises(UnknownEmbeddingError, match="did you mean 'default'"):
        vectors.matrix("defalt")


def test_a_new_version_gives_a_new_matrix(vectors: Vectors) -> None:
    before = vectors.matrix()
    vectors.store.delete(EMBEDDINGS + "default", ["a"])
    assert (len(before), len(vectors.matrix())) == (5, 4)
    assert vectors.matrix(version=before.version) is before
