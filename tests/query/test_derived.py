"""One order everywhere: ids, ranges, sets, slices and frozen slices of queries with a LIMIT."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicedb.query import Engine
from slicedb.schema import PREDICTIONS, SAMPLES, keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS
from tests.query.world import FakeEncoder

N = 400


@pytest.fixture(scope="module")
def ties(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Samples whose `split` and `i` tie a hundred times, in an order of ids that is not stored."""
    path: Path = tmp_path_factory.mktemp("ties") / "db"
    store = Store.open(path)
    store.add_columns(SAMPLES, [pa.field("i", pa.int64()), pa.field("flag", pa.bool_())])
    ids = [f"s{(n * 37) % N:03d}" for n in range(N)]
    store.append(
        SAMPLES,
        pa.table(
            {
                "id": ids,
                "key": keys_of(ids),
                "status": ["ok"] * N,
                "label": ["cat", "dog"] * (N // 2),
                "split": ["test"] * N,
                "i": [n % 4 for n in range(N)],
                "flag": [n % 3 > 0 for n in range(N)],
            }
        ),
    )
    schema = TASKS["classification"].schema(2)
    store.create(PREDICTIONS + "m1", schema)
    rows = [{"id": i, "correct": n % 2 == 0, "loss": float(n % 5)} for n, i in enumerate(ids)]
    keys = keys_of(ids)
    batch = pa.Table.from_pylist([r | {"key": int(k)} for r, k in zip(rows, keys)], schema=schema)
    store.append(PREDICTIONS + "m1", batch)
    slices: dict[str, str] = {"few": "flag ORDER BY i LIMIT 30 OFFSET 5"}
    return Engine(store, slice_named=slices.__getitem__, encoder=lambda _: FakeEncoder())


TEXTS = [
    "m1.correct ORDER BY i LIMIT 24 OFFSET 15",
    "m1.correct ORDER BY i OFFSET 15 LIMIT 24",
    "ORDER BY i LIMIT 24",
    "flag LIMIT 24",
    "flag ORDER BY m1.loss DESC, i LIMIT 24 -- the worst",
    "flag ORDER BY i LIMIT 24; -- done",
    "SELECT id, label FROM samples ORDER BY i LIMIT 24 OFFSET 3",
    "SELECT * FROM samples ORDER BY i LIMIT 20 + 4",
    "SELECT * FROM samples ORDER BY i LIMIT (SELECT 24)",
    "SELECT * FROM samples ORDER BY i FETCH FIRST 24 ROWS ONLY",
    "id IN (SELECT id FROM samples ORDER BY i LIMIT 24)",
    "flag ORDER BY i LIMIT ALL",
    "in_slice('few') ORDER BY label LIMIT 24",
    "flag; -- done",
    "SELECT s.id FROM samples s JOIN m1 m USING (key) WHERE m.correct ORDER BY s.i LIMIT 24",
    "FROM m1 NATURAL JOIN (SELECT key, i FROM samples) JOIN samples t USING (key) SELECT t.id "
    "ORDER BY t.i LIMIT 24 OFFSET 2",
    "SELECT s.id FROM samples s JOIN m1 m USING (key) WHERE m.correct AND s.i < 3 ORDER BY s.i",
    "WITH t AS (FROM samples WHERE in_slice('few') OR flag ORDER BY (i + 1) DESC) FROM t LIMIT 24",
    "SELECT id FROM (SELECT id, i FROM samples ORDER BY list_sum([i, 1]) + 1 DESC NULLS LAST) x "
    "WHERE i < 3",
    "SELECT * FROM (SELECT * FROM samples WHERE in_slice('few'))",
    "SELECT id FROM samples SEMI JOIN m1 USING (key) LIMIT 24",
]


@pytest.mark.parametrize("text", TEXTS)
def test_derived_queries_have_the_samples_of_the_query(ties: Engine, text: str) -> None:
    query = ties.query(text)
    ids = query.ids()
    members, everyone = set(ids), set(ties.query("").ids())
    assert 0 < len(ids) < N and len(members) == len(ids) == query.count()
    assert set((query & "true").ids()) == members
    assert set((query | "false").ids()) == members
    assert set((~query).ids()) == everyone - members
    assert set(query.take(N).ids()) == members
    assert set(ties.query(f"{query.predicate()} AND flag").ids()) == {
        i for i in ids if i in set(ties.query("flag").ids())
    }


@pytest.mark.parametrize("text", TEXTS)
def test_ranges_are_those_of_the_ids(ties: Engine, text: str) -> None:
    query = ties.query(text)
    ids = query.ids()
    assert query[2:5].ids() == ids[2:5]
    assert query[:7].ids() == query.limit(7).ids() == ids[:7]
    assert query[20:].ids() == ids[20:]
    assert query[3:][2:6].ids() == ids[3:][2:6]
    assert query[1:22][20:30].ids() == ids[1:22][20:30]
    assert query[5:5].ids() == []
    assert [query[0], query[4], query[-1]] == [ids[0], ids[4], ids[-1]]


def test_a_slice_chooses_as_its_query_does(ties: Engine) -> None:
    ids = ties.query("flag ORDER BY i LIMIT 30 OFFSET 5").ids()
    assert set(ties.query("in_slice('few')").ids()) == set(ids)
    assert len(ids) == 30 and ids[0] == "s384"


JOIN = """
    SELECT s.id, m.loss FROM samples s JOIN m1 m ON m.loss = s.i WHERE s.i < 2
    ORDER BY s.i, s.id, m.key
"""


def test_ranges_of_a_join_go_by_samples(ties: Engine) -> None:
    query = ties.query(JOIN)
    ids = query.ids()
    assert query.to_arrow().num_rows == 16_000 and len(ids) == 200
    assert query[1] == ids[1] != ids[0]
    assert query.limit(3).ids() == ids[:3]
    assert query[198:].ids() == ids[198:]
    assert query[2:9][1:3].ids() == ids[3:5]
    assert query.limit(3).to_arrow().column_names == ["id", "loss"]
    assert query.limit(3).count() == len(query.limit(3).to_arrow()) == 3


def test_a_range_of_figures_goes_by_rows(ties: Engine) -> None:
    query = ties.query("SELECT i, count(*) AS n FROM samples GROUP BY i ORDER BY i")
    assert query[1:3].to_arrow().to_pydict() == {"i": [1, 2], "n": [100, 100]}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT (SELECT max(i) FROM samples) FROM samples", ["(SELECT max(i) FROM samples)"]),
        (
            "SELECT id, (SELECT max(loss)\n  FROM m1) + 1 FROM samples",
            ["id", "(SELECT max(loss) FROM m1) + 1"],
        ),
        ("SELECT EXISTS (FROM m1), 2 FROM samples", ["EXISTS (FROM m1)", "2"]),
        ("FROM samples SELECT m1.loss * 2", ["m1.loss * 2"]),
        ("SELECT (SELECT max(i) FROM samples) AS top FROM samples", ["top"]),
    ],
)
def test_columns_are_named_as_they_are_written(ties: Engine, text: str, names: list[str]) -> None:
    query = ties.query(text)
    assert query.columns == names
    assert query.to_arrow().column_names == names


PARTS = """
    flag; m1.correct; m1.loss > 2; label = 'cat'; i < 2; in_slice('few'); id LIKE 's1%';
    status = 'ok'; id IN (SELECT id FROM m1 WHERE correct ORDER BY loss LIMIT 50)
""".split(";")
ORDERS = "i; i DESC; label, i; m1.loss DESC NULLS LAST; hash(id); split".split(";")
LIMITS = ["", " LIMIT 40", " LIMIT 40 OFFSET 9", " OFFSET 9", " LIMIT 20%"]
FRAMES = [
    "{0}",
    "SELECT * FROM samples WHERE {0}",
    "SELECT id, label, m1.loss FROM samples AS s WHERE {0}",
    "WITH t AS (SELECT * FROM samples WHERE {0}) SELECT * FROM t LIMIT 30",
    "SELECT id FROM (SELECT * FROM samples WHERE {0}) JOIN m1 USING (id, key)",
]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    frame=st.sampled_from(FRAMES),
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=3),
    word=st.sampled_from([" AND ", " OR ", " AND NOT "]),
    order=st.sampled_from(ORDERS),
    limit=st.sampled_from(LIMITS),
    end=st.sampled_from(["", ";", " -- c", "; -- done", " /* x */"]),
    at=st.tuples(*[st.integers(0, 45)] * 4),
)
def test_derived_queries_agree_with_python(
    ties: Engine,
    frame: str,
    parts: list[str],
    word: str,
    order: str,
    limit: str,
    end: str,
    at: tuple[int, ...],
) -> None:
    where = word.join(f"({part.strip()})" for part in parts)
    query = ties.query(frame.format(f"{where} ORDER BY {order}{limit}") + end)
    ids, (a, b, c, d) = query.ids(), at
    assert query[a : a + b].ids() == ids[a : a + b]
    assert query[a : a + b][c : c + d].ids() == ids[a : a + b][c : c + d]
    assert set((query & "true").ids()) == set(ids)
    assert set((~query).ids()) == set(ties.query("").ids()) - set(ids)
    assert query.to_arrow()["id"].to_pylist() == ids
