"""Full text: BM25 to the digit, whatever happened to the data before."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import engine_of

from slicedb.database import open as open_db
from slicedb.errors import BindError, DatabaseError
from slicedb.query import Engine
from slicedb.query.run.search import TextSearch, mark
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store

WORDS = ["car", "bus", "road", "tree", "dog", "cat", "sky"]


def bm25(texts: dict[str, str], words: list[str]) -> dict[str, float]:
    """Score whole words: the reference."""
    documents = {name: text.split() for name, text in texts.items() if text.strip()}
    mean = sum(map(len, documents.values())) / len(documents)
    found: dict[str, float] = {}
    for word in words:
        df = sum(word in document for document in documents.values())
        idf = math.log((len(documents) - df + 0.5) / (df + 0.5) + 1)
        for name, document in documents.items():
            if tf := document.count(word):
                weight = tf + 1.2 * (0.25 + 0.75 * len(document) / mean)
                found[name] = found.get(name, 0.0) + idf * tf * 2.2 / weight
    return found


def write(store: Store, rows: dict[str, dict[str, Any]]) -> None:
    """Append or change samples."""
    names = {name for row in rows.values() for name in row}
    fields: dict[str, Any] = {name: [row.get(name) for row in rows.values()] for name in names}
    kinds = {name: store.schema(SAMPLES).field(name).type for name in names}
    columns = {name: pa.array(values, kinds[name]) for name, values in fields.items()}
    table = {"id": list(rows), "key": keys_of(rows), "status": ["ok"] * len(rows)} | columns
    store.upsert(SAMPLES, pa.table(table))


def make(path: Path, captions: dict[str, str | None]) -> Store:
    store = Store.open(path)
    store.add_columns(SAMPLES, [pa.field("notes", pa.string()), pa.field("lux", pa.float64())])
    write(store, {name: {"caption": text} for name, text in captions.items()})
    return store


def scores(engine: Engine, words: str, option: str = "") -> dict[str, float]:
    text = f"SELECT id, search('{words}'{option}) AS s FROM samples WHERE s IS NOT NULL"
    table = engine.sql(text.replace("WHERE s", f"WHERE search('{words}'{option})"))
    return dict(zip(table["id"].to_pylist(), table["s"].to_pylist()))


captions = st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=2)


@settings(max_examples=8, deadline=None)
@given(texts=captions, words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3, unique=True))
def test_scores_are_bm25(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], words: list[str]
) -> None:
    named = {f"s{n}": text or None for n, text in enumerate(["car road", *texts])}
    store = make(tmp_path_factory.mktemp("bm25") / "db", named)
    found = scores(engine_of(store), " ".join(words))
    expected = bm25({name: text or "" for name, text in named.items()}, words)
    assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_answers_follow_ingest_relabel_and_delete(tmp_path: Path) -> None:
    rng = random.Random(0)
    texts = {f"s{n}": " ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for n in range(40)}
    store = make(tmp_path / "db", dict(texts))
    warm = engine_of(store)
    for step in range(9):
        name = f"s{rng.randrange(60)}"
        if step % 4 == 0:
            store.delete(SAMPLES, [name])
            texts.pop(name, None)
        elif step % 4 == 1 and name in texts:
            store.upsert(SAMPLES, pa.table({"id": [name], "label": ["x"]}), insert=False)
        else:
            texts[name] = " ".join(rng.choices(WORDS, k=3))
            write(store, {name: {"caption": texts[name]}})
        if step == 6:
            store.compact(SAMPLES)
        expected = pytest.approx(bm25(texts, ["car", "dog"]), rel=1e-5)
        assert scores(warm, "car dog") == expected
        assert scores(engine_of(store), "car dog") == expected


def test_a_relabel_keeps_the_index_and_an_ingest_gets_another(tmp_path: Path) -> None:
    store = make(tmp_path / "db", {"a": "red car", "b": "blue bus"})

    def indexes() -> set[str]:
        return {folder.name for folder in (store.cache_dir / "search").glob("*@*")}

    assert scores(engine_of(store), "car").keys() == {"a"}
    before = indexes()
    assert len(before) == 1
    store.upsert(SAMPLES, pa.table({"id": ["a"], "label": ["x"]}), insert=False)
    assert scores(engine_of(store), "car").keys() == {"a"}
    assert indexes() == before
    write(store, {"b": {"caption": "a car"}})
    assert scores(engine_of(store), "car").keys() == {"a", "b"}
    assert len(indexes()) == 2


def test_a_search_changes_no_table_and_asks_earlier_versions(tmp_path: Path) -> None:
    store = make(tmp_path / "db", {"a": "red car", "b": "blue bus"})
    before = store.versions()
    engine = engine_of(store)
    assert engine.query("search('car') IS NOT NULL").ids() == ["a"]
    assert store.versions() == before
    write(store, {"b": {"caption": "car"}, "c": {"caption": "car"}})
    assert engine.query("search('car') IS NOT NULL").ids() == ["a", "b", "c"]
    assert engine.query("search('car') IS NOT NULL", at=before).ids() == ["a"]


def test_words_are_stemmed_folded_and_quoted_as_phrases(tmp_path: Path) -> None:
    texts = {"a": "Two DOGS running", "b": "a Café", "c": "running red dog", "d": None, "e": " "}
    engine = engine_of(make(tmp_path / "db", texts))
    for words, ids in {
        "dog": ["a", "c"],
        "cafe": ["b"],
        "run": ["a", "c"],
        "the": [],
        "dog cafe": ["a", "b", "c"],
        '"red dog"': ["c"],
        '"dog red"': [],
        "???": [],
        "dog OR -cafe": ["a", "b", "c"],
    }.items():
        assert engine.query(f"search('{words}') IS NOT NULL").ids() == ids, words


def test_marked_columns_are_searched_beside_the_caption(tmp_path: Path) -> None:
    store = make(tmp_path / "db", {"a": "red car", "b": "blue bus", "c": None})
    write(store, {"b": {"notes": "beside a car"}, "c": {"notes": "a car"}, "d": {"notes": "tree"}})
    engine = engine_of(store)
    one = ", column => 'notes'"
    assert scores(engine, "car").keys() == {"a"}
    assert scores(engine, "car", one).keys() == {"b", "c"}
    mark(store, ["notes"])
    assert scores(engine, "car").keys() == {"a", "b", "c"}
    assert scores(engine, "car", one).keys() == {"b", "c"}
    mark(store, [])
    assert scores(engine, "car").keys() == {"a"}
    with pytest.raises(DatabaseError, match="did you mean 'notes'"):
        mark(store, ["note"])
    with pytest.raises(BindError, match="holds no text"):
        engine.query("search('car', column => 'lux') > 0")


def test_a_score_orders_and_filters_like_a_column(engine: Engine) -> None:
    first = engine.query("ORDER BY search('red') DESC LIMIT 2")
    assert first.ids() == ["a1", "a2"]
    assert first.scores() == pytest.approx([0.98083, 0.98083], abs=1e-4)
    assert engine.query("ORDER BY search('red') DESC LIMIT 5").ids() == [
        "a1",
        "a2",
        "a3",
        "b1",
        "b2",
    ]
    assert engine.query("search('red') > 0.9 AND NOT m1.correct").ids() == ["a3"]
    assert engine.query("search('blue') IS NULL AND label <> 'red'").ids() == ["b1", "b2", "b3"]


def test_fuse_is_reciprocal_rank_fusion(engine: Engine) -> None:
    table = engine.sql(
        "SELECT id, similarity('red') AS s, search('green') AS t, "
        "fuse(similarity('red'), search('green'), k => 10) AS f FROM samples"
    )
    columns = [np.array(table[c].to_numpy(zero_copy_only=False), float) for c in ("s", "t")]
    expected = np.zeros(table.num_rows)
    for values in columns:
        ranks = np.array([1 + np.nansum(values > v) for v in values])
        expected += np.where(np.isnan(values), 0, 1 / (10 + ranks))
    assert table["f"].to_numpy() == pytest.approx(expected)
    ordered = engine.query(
        "SELECT *, fuse(similarity('green'), search('red')) AS f FROM samples "
        "ORDER BY similarity('red') DESC LIMIT 2"
    )
    whole = engine.sql("SELECT id, fuse(similarity('green'), search('red')) AS f FROM samples")
    known = dict(zip(whole["id"].to_pylist(), whole["f"].to_pylist()))
    assert ordered.to_arrow()["f"].to_pylist() == [known["a1"], known["a2"]]


def test_the_handle_indexes_and_keeps_up(tmp_path: Path) -> None:
    from PIL import Image

    for name in ("a", "b", "c"):
        Image.new("RGB", (8, 8), (ord(name), 0, 0)).save(tmp_path / f"{name}.png")
    table = tmp_path / "t.csv"
    table.write_text("path,caption,notes\na.png,a red car,old\nb.png,a bus,new car\n")
    db = open_db(tmp_path / "db")
    db.ingest(table)
    assert not (db.store.cache_dir / "search").exists()
    assert str(db.index(text=["notes"])) == "2 texts in caption, notes"
    assert db.query("search('car') IS NOT NULL").ids() == ["a.png", "b.png"]
    table.write_text("path,caption,notes\na.png,a tree,\nb.png,a bus,new car\nc.png,a car,\n")
    db.ingest(table)
    ready = TextSearch(db.store).ensure()
    assert (ready.columns, ready.texts) == (("caption", "notes"), 3)
    assert db.query("search('car') IS NOT NULL ORDER BY id").ids() == ["b.png", "c.png"]
    db.delete("id = 'c.png'")
    assert db.query("search('car') IS NOT NULL").ids() == ["b.png"]
