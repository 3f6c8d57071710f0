"""The approximate index against the scan."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicedb.database import Database
from slicedb.database import open as open_db
from slicedb.errors import EmbeddingError, UnknownEmbeddingError
from slicedb.schema import EMBEDDINGS, SAMPLES, embeddings_schema, keys_of

DIM, ROWS = 16, 3_000
TABLE = EMBEDDINGS + "default"


class Numbers:
    """An encoder whose texts are seeded vectors."""

    logit_scale = 20.0
    background = ["one", "two"]

    def encode_prompt(self, text: str, templates: Any = None) -> np.ndarray:
        return unit(np.random.default_rng(len(text)).standard_normal((1, DIM)))[0]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def write(db: Database, ids: list[str], vectors: np.ndarray) -> None:
    keys = keys_of(ids)
    label = ["odd" if n % 2 else "even" for n in range(len(ids))]
    uris = ["s3://bucket/x.png"] * len(ids)
    rows = {"id": ids, "key": keys, "status": ["ok"] * len(ids), "label": label, "uri": uris}
    db.store.append(SAMPLES, pa.table(rows))
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), DIM)
    content = pa.array(np.ones(len(ids), np.int64))
    columns = [pa.array(ids), pa.array(keys), content, flat]
    db.store.append(TABLE, pa.record_batch(columns, schema=embeddings_schema(DIM)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nearby")
    db = handle(root / "db")
    db.store.create(TABLE, embeddings_schema(DIM))
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((60, DIM))
    vectors = unit(centres[rng.integers(0, 60, ROWS)] + 0.6 * rng.standard_normal((ROWS, DIM)))
    write(db, [f"s{n:04d}" for n in range(ROWS)], vectors)
    db.query("similarity('x') > 2").count()  # the matrix is on disk before the index is built
    db.index("default", recall=0.9)
    return root / "db"


def handle(path: Path) -> Database:
    db = open_db(path)
    encoder: Any = Numbers()
    db.engine.session.vectors.directions.encoder = lambda name: encoder
    return db


@pytest.fixture(scope="module")
def db(built: Path) -> Database:
    return handle(built)


@pytest.fixture
def own(built: Path, tmp_path: Path) -> Database:
    return handle(Path(shutil.copytree(built, tmp_path / "db")))


def test_recall_is_measured_and_stored(db: Database) -> None:
    about = db.engine.session.approximate.about()
    assert about is not None
    assert about.recall >= 0.9 and about.recall_texts is not None and about.recall_texts >= 0.9
    assert (about.rows, about.k, about.partitions) == (ROWS, 100, 11)
    assert f"recall@100 {about.recall:.3f}" in str(about)


@settings(max_examples=12, deadline=None)
@given(text=st.text("ab", min_size=1, max_size=40), k=st.integers(1, 80), bare=st.booleans())
def test_index_against_scan(db: Database, text: str, k: int, bare: bool) -> None:
    order = f"ORDER BY similarity('{text}') DESC LIMIT {k}"
    asked = order if bare else f"SELECT id, similarity('{text}') AS s FROM samples {order}"
    exact, near = db.query(asked), db.query(asked, approximate=True)
    found = near.ids()
    assert len(found) == len(set(found)) == k
    known = db.sql(f"SELECT id, similarity('{text}') AS s FROM samples")  # an exact scan
    scores = dict(zip(known["id"].to_pylist(), known["s"].to_pylist()))
    assert [scores[i] for i in found] == sorted((scores[i] for i in found), reverse=True)
    if bare:
        shown = near.scores()
        assert shown is not None
        assert shown.tolist() == [scores[i] for i in found]
    assert len(set(found) & set(exact.ids())) >= 0.5 * k


@pytest.mark.parametrize(
    "text",
    [
        "similarity('ab') > 0.3",
        "nearest('abc', 50)",
        "matches('abc')",
        "label = 'odd' ORDER BY similarity('ab') DESC LIMIT 20",
        "similarity('abc') > 0 ORDER BY similarity('ab') DESC LIMIT 20",
        "ORDER BY similarity('ab') LIMIT 20",
        "SELECT id, row_number() OVER (ORDER BY id) r FROM samples "
        "ORDER BY similarity('ab') DESC LIMIT 20",
    ],
)
def test_membership_never_asks_the_index(db: Database, text: str) -> None:
    near = db.query(text, approximate=True)
    assert near.ids() == db.query(text).ids()
    assert "approximate index" not in str(near.explain())


def test_slices_and_sets_of_samples_are_exact(db: Database) -> None:
    query = db.query("ORDER BY similarity('abcd') DESC LIMIT 60", approximate=True)
    assert "approximate index" in str(query.explain())
    assert "approximate index" not in str(query.exact().explain())
    exact = set(db.query(query.text).ids())
    assert set((query & "label <> ''").ids()) == exact
    assert db.keys(query).tolist() == db.query(query.text).keys().tolist()
    db.slices.add("near", query, replace=True)
    assert set(db.slices.get("near").ids()) == exact
    assert set(db.slices.freeze("near").ids()) == exact


def test_explain_says_what_is_approximate(db: Database) -> None:
    text = "ORDER BY similarity('ab') DESC LIMIT 20"
    shown = str(db.query(text, approximate=True).explain())
    assert "about the best 20 by an index, recall@100 0.9" in shown
    assert "ask the approximate index" in shown
    assert "exact" in str(db.query(text).explain())
    assert "without conditions" in str(db.query("similarity('ab') > 0", approximate=True).explain())


def test_new_vectors_are_found_and_taken_in(own: Database) -> None:
    target = Numbers().encode_prompt("abc")
    write(own, ["new"], unit(target[None]))
    asked = own.query("ORDER BY similarity('abc') DESC LIMIT 3", approximate=True)
    assert asked.ids()[0] == "new"
    report = own.engine.session.approximate.extend("default")
    assert report is not None and report.rows == ROWS + 1
    assert asked.ids()[0] == "new"
    own.delete("id = 'new'")
    assert "new" not in asked.ids()


@pytest.mark.slow
def test_doctor_measures_the_index_and_mends_it(own: Database) -> None:
    assert own.doctor() == []
    about = own.engine.session.approximate.about()
    assert about is not None
    poor = IndexText(about.__dict__ | {"probes": 1, "wanted": 0.95})
    own.store.set_metadata(TABLE, {"slicedb:index": poor.json})
    (finding,) = own.doctor()
    assert finding.table == TABLE and "missed by the index" in str(finding) and finding.n > 5
    assert own.doctor(mend=True)[0].mended
    assert own.doctor() == []


class IndexText:
    def __init__(self, values: dict[str, Any]) -> None:
        import json

        self.json = json.dumps(values)


def test_an_index_needs_an_embedding_of_some_size(tmp_path: Path) -> None:
    small = handle(tmp_path / "db")
    small.store.create(TABLE, embeddings_schema(DIM))
    write(small, ["a"], unit(np.ones((1, DIM))))
    with pytest.raises(EmbeddingError, match="an index needs 1,000"):
        small.index("default")
    with pytest.raises(UnknownEmbeddingError, match="did you mean 'default'"):
        small.index("defalt")


def test_the_matrix_on_disk_is_kept(built: Path) -> None:
    db = handle(built)
    version = db.store.version(TABLE)
    assert (db.store.cache_dir / "vectors" / f"{TABLE}@{version}" / "vectors.npy").is_file()
