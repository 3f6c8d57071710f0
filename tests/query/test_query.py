"""The verbs of a query, its algebra, and what an engine promises."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from world import FakeEncoder, build, engine_of, slice_named

from slicedb.errors import (
    BindError,
    ParseError,
    QueryError,
    QueryTimeoutError,
    SandboxError,
    SliceDBError,
)
from slicedb.query import Engine, functions
from slicedb.schema import EMBEDDINGS, PREDICTIONS, SAMPLES, keys_of
from slicedb.store import Store

ALL = ["a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3", "d1"]


def test_count_keys_and_ids_agree(engine: Engine) -> None:
    query = engine.query("m1.loss > 1")
    assert query.count() == len(query) == 3
    assert query.ids() == list(query) == ["a3", "b2", "c2"]
    assert query.keys().tolist() == keys_of(["a3", "b2", "c2"]).tolist()
    assert repr(query) == "m1.loss > 1"


def test_ids_are_the_same_fetched_with_the_rows_and_from_memory(engine: Engine) -> None:
    texts = (
        "m1.loss > 1",
        "id > 'a' AND label = 'red' ORDER BY id DESC",
        "SELECT * FROM samples JOIN m1 USING (key) WHERE m1.loss > 1",
        "SELECT id AS name, * FROM samples WHERE id IN (SELECT id FROM samples LIMIT 4)",
        "label = 'red' ORDER BY similarity('red') DESC LIMIT 2",
        "matches('red', 0) AND m1.correct",
    )
    first = {text: engine.query(text).ids() for text in texts}
    rows = {text: engine.query(text).to_arrow(["id"])["id"].to_pylist() for text in texts}
    for _ in range(3):
        engine.query("").ids()  # all ids were listed more than once, and are held from now on
    tables = engine.session.tables
    name = tables.samples(engine.query("").plan().pool.catalog.samples)
    assert tables.has_ids(name)
    assert {text: engine.query(text).ids() for text in texts} == first == rows


def test_to_arrow_shows_what_users_stored_and_not_the_key(engine: Engine) -> None:
    table = engine.query("m1.loss > 1 AND matches('red', 0)").to_arrow()
    assert table.column_names[0] == "id"
    assert not {"key", "~row", "~t0", "m1.loss"} & set(table.column_names)
    assert table["weather"].to_pylist() == [None, None, None]
    assert engine.query("label = 'red'").to_arrow(["label", "id"]).column_names == ["label", "id"]


def test_to_arrow_of_named_columns(engine: Engine) -> None:
    table = engine.sql("SELECT id, key, m1.loss, m2.loss FROM samples WHERE id = 'a1'")
    assert table.column_names == ["id", "key", "m1.loss", "m2.loss"]


def test_to_arrow_of_star_and_more(engine: Engine) -> None:
    text = "SELECT m1.loss AS l, *, similarity('red') s FROM samples WHERE id = 'a2'"
    table = engine.query(text).to_arrow()
    assert table.column_names[:2] == ["l", "id"] and table.column_names[-1] == "s"
    assert table["s"][0].as_py() == pytest.approx(3 / 10**0.5, abs=1e-3)
    assert table["tags"].to_pylist() == [["night", "rain"]]


def test_to_pandas(engine: Engine) -> None:
    assert engine.query("label = 'red'").to_pandas()["id"].tolist() == ["a1", "a2", "a3"]


def test_an_aggregate_is_not_rows(engine: Engine) -> None:
    query = engine.query("SELECT label, count(*) FROM samples GROUP BY ALL")
    assert not query.is_rows
    for verb in (query.count, query.ids, query.keys, query.scores):
        with pytest.raises(QueryError, match="needs samples"):
            verb()


def test_scores_follow_the_order_of_ids(engine: Engine) -> None:
    query = engine.query("ORDER BY similarity('red') DESC LIMIT 3")
    found = query.scores()
    assert found is not None
    assert found.tolist() == pytest.approx([1, 0.9487, 0.7071], abs=1e-3)
    both = engine.query("matches('red') ORDER BY similarity('green') DESC")
    assert both.scores() == pytest.approx([0.3162, 0], abs=1e-3)
    assert engine.query("label = 'red'").scores() is None


def test_scores_do_not_depend_on_the_way_they_are_computed(engine: Engine) -> None:
    everything = engine.sql("SELECT id, similarity('red') AS s FROM samples")
    known = dict(zip(everything["id"].to_pylist(), everything["s"].to_pylist()))
    for text in ("id = 'a2' ORDER BY similarity('red')", "ORDER BY similarity('red') DESC LIMIT 4"):
        query = engine.query(text)
        found = query.scores()
        assert found is not None
        assert found.tolist() == [known[name] for name in query.ids()]


def test_limit(engine: Engine) -> None:
    assert engine.query("label = 'red' -- three").limit(2).ids() == ["a1", "a2"]
    assert engine.query("").limit(1).ids() == ["a1"]
    assert engine.query("label = 'red' ORDER BY lux DESC LIMIT 2").limit(1).ids() == ["a3"]
    assert engine.query("label = 'red' LIMIT 2").limit(5).count() == 2
    assert engine.query("SELECT id FROM m1 ORDER BY loss DESC;").limit(2).ids() == ["a3", "c2"]


PIECES = [
    "label = 'red'",
    "",
    "m1.loss > 1 ORDER BY m1.loss DESC LIMIT 2",
    "NOT m2.correct",
    "matches('red')",
    "in_slice('held')",
    "SELECT id FROM m1 WHERE NOT correct",
    "SELECT * FROM samples WHERE split = 'test'",
    "QUALIFY row_number() OVER (PARTITION BY label ORDER BY id) = 1",
    "FROM samples s WHERE s.weather IS NOT NULL;",
]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(left=st.sampled_from(PIECES), right=st.sampled_from(PIECES))
def test_algebra_is_that_of_sets(engine: Engine, left: str, right: str) -> None:
    a, b = engine.query(left), engine.query(right)
    in_a, in_b = set(a.ids()), set(b.ids())
    assert set((a & b).ids()) == in_a & in_b
    assert set((a | b).ids()) == in_a | in_b
    assert set((~a).ids()) == set(ALL) - in_a
    assert set((~(a | b)).ids()) == set((~a & ~b).ids())
    assert set(a.where("split = 'test'").ids()) <= in_a


def test_explain_names_tables_terms_and_steps(engine: Engine) -> None:
    shown = str(engine.query("label = 'red' AND m1.loss > 0 AND matches('red')").explain())
    for word in (
        "samples @",
        "label",
        "m1.loss",
        "matches('red')",
        "1 cut of scores",
        "rows",
        "ms",
    ):
        assert word in shown
    assert "run the SQL" in engine.query("label = 'red'").explain()
    assert "steps" not in engine.query("label = 'red'").explain(run=False)


def test_a_query_sees_what_is_there_when_it_is_asked(tmp_path: Path) -> None:
    store = build(tmp_path / "live.slicedb")
    engine = engine_of(store)
    query = engine.query("label = 'blue'")
    before = {SAMPLES: store.version(SAMPLES)}
    loss = engine.query("m1.loss > 100")
    assert query.count() == 3 and loss.count() == 0
    store.upsert(SAMPLES, pa.table({"id": ["a1"], "label": ["blue"]}), insert=False)
    assert sorted(query.ids()) == ["a1", "c1", "c2", "c3"]
    assert engine.query("label = 'blue'", at=before).ids() == ["c1", "c2", "c3"]
    change = pa.table({"id": ["b1"], "loss": pa.array([101.0], pa.float32())})
    store.upsert(PREDICTIONS + "m1", change, insert=False)
    assert loss.ids() == ["b1"]


def test_vectors_follow_a_new_version(tmp_path: Path) -> None:
    store = build(tmp_path / "vectors.slicedb")
    engine = engine_of(store)
    query = engine.query("similarity('red') > 0.99")
    assert query.ids() == ["a1"]
    change = pa.table(
        {"id": ["c3"], "vector": pa.array([[2.0, 0, 0, 0]], pa.list_(pa.float32(), 4))}
    )
    store.upsert(EMBEDDINGS + "default", change, insert=False)
    assert query.ids() == ["a1", "c3"]
    (store.cache_dir / "vectors").exists()
    assert engine_of(store).query("similarity('red') > 0.99").ids() == ["a1", "c3"]


def test_no_embeddings_says_what_to_do(tmp_path: Path) -> None:
    engine = engine_of(Store.open(tmp_path / "empty.slicedb"))
    assert engine.query("").ids() == []
    assert engine.query("label = 'x'").to_arrow().num_rows == 0
    with pytest.raises(BindError, match="slicedb embed"):
        engine.query("similarity('red') > 0.5")
    with pytest.raises(BindError, match="no predictions yet"):
        engine.query("m1.loss > 1")


def test_an_image_is_a_target_where_files_may_be_read(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "it's red.png"
    Image.new("RGB", (8, 8), (255, 0, 0)).save(path)
    text = f"ORDER BY similarity(image('{str(path).replace(chr(39), chr(39) * 2)}')) DESC LIMIT 1"
    assert engine.query(text, files=True).ids() == ["a1"]
    with pytest.raises(SandboxError):
        engine.query(text)
    with pytest.raises(BindError, match="No image file"):
        engine.query("similarity(image('nowhere.png')) > 0", files=True)
    path.write_bytes(b"not an image")
    with pytest.raises(BindError, match="cannot be read"):
        engine.query(text, files=True).ids()


def test_time_is_limited(store: Any) -> None:
    engine = engine_of(store, timeout=0.3)
    started = time.monotonic()
    with pytest.raises(QueryTimeoutError, match="time"):
        engine.sql(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range*b.range)%7=3"
        )
    assert time.monotonic() - started < 5
    assert engine.query("label = 'red'").count() == 3


def test_threads_share_an_engine(engine: Engine) -> None:
    wrong: list[Any] = []

    def ask(n: int) -> None:
        for _ in range(5):
            found = engine.query(
                f"label = 'red' AND similarity('red') > -{n} AND m1.loss >= 0"
            ).ids()
            if found != ["a1", "a2", "a3"]:
                wrong.append(found)

    threads = [threading.Thread(target=ask, args=(n + 2,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_notebook_shows_escaped_text(engine: Engine, store: Any) -> None:
    shown = engine.query("label = 'red' AND m1.loss > 0 AND '<b>' <> ''")._repr_html_()
    assert "&lt;b&gt;" in shown and "<b>" not in shown
    assert "label red" in shown and "m1: green 0.95" in shown and "3 samples" in shown
    table = engine.query("SELECT '<i>' AS x, count(*) n FROM samples")._repr_html_()
    assert "&lt;i&gt;" in table and "<i>" not in table


@pytest.mark.parametrize(
    "text",
    [
        "\0",
        "label = '\ud800'",
        "(" * 3000 + "1",
        "NOT " * 5000 + "true",
        "1+" * 5000 + "1",
        "'" * 99,
    ],
)
def test_odd_texts_raise_our_errors(engine: Engine, text: str) -> None:
    started = time.process_time()
    with pytest.raises(SliceDBError):
        engine.query(text).to_arrow()
    assert time.process_time() - started < 2


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=40))
def test_any_text_raises_our_errors_only(engine: Engine, text: str) -> None:
    with contextlib.suppress(SliceDBError):
        engine.query(text).to_arrow()


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=12), label=st.text(st.characters(codec="utf-8"), max_size=8))
def test_quoted_text_is_only_text(engine: Engine, text: str, label: str) -> None:
    quoted = label.replace("'", "''").replace("\0", "")
    assert engine.query(f"label = '{quoted}' OR label = 'red'").count() == 3


def test_an_error_points_into_the_users_text(engine: Engine) -> None:
    with pytest.raises(BindError) as caught:
        engine.query("label = 'red'\n  AND lable = 'x'")
    error = caught.value
    assert (error.line, error.column, error.token) == (2, 7, "lable")
    assert error.marked.splitlines()[1].index("^") == 8
    with pytest.raises(ParseError):
        engine.query("label = ")


def test_duckdb_itself_has_no_way_out(engine: Engine, tmp_path: Path) -> None:
    import duckdb

    cursor = engine.session.cursor()
    for text in (
        f"COPY (SELECT 1) TO '{tmp_path}/x.csv'",
        "SELECT * FROM read_text('/etc/hostname')",
        f"ATTACH '{tmp_path}/x.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ):
        with pytest.raises(duckdb.Error):
            cursor.execute(text)
    assert not list(tmp_path.iterdir())


def test_each_function_has_an_example(engine: Engine) -> None:
    for row in functions():
        assert row["name"] in row["signature"] and row["example"] and row["help"].endswith(".")


def test_background_phrases_near_the_text_are_left_out() -> None:
    encoder = FakeEncoder()
    red = encoder.encode_prompt("red")
    near = [p for p in encoder.background if encoder.encode_prompt(p) @ red > 0.9]
    assert near == ["red"]
    assert slice_named("reds") == "label = 'red'"
    assert np.allclose(np.linalg.norm(red), 1)


@pytest.mark.parametrize("text", ["--3 < length(label)", "/* all */", "-- a\n-- b"])
def test_a_text_that_is_a_comment_alone_is_refused(engine: Engine, text: str) -> None:
    with pytest.raises(ParseError, match=r"a comment and nothing else.*- -3"):
        engine.query(text)
    assert engine.query(f"{text}\nORDER BY id LIMIT 1").count() == 1
