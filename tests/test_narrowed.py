"""A query narrowed by a condition, as a facet and an outline on a map write it."""

from __future__ import annotations

import pyarrow as pa
import pytest

import slicedb
from slicedb.database import Database
from slicedb.query.derived import texts
from slicedb.schema import SAMPLES, keys_of

WIDE = "width > 3"
SET = "(samples.key IN (SELECT key FROM (\n{}\n))) AND width > 3"
ROWS = 12

CASES = {
    "": "width > 3",
    "  ": "width > 3",
    "label = 'a'": "label = 'a' AND width > 3",
    "label = 'a';": "label = 'a' AND width > 3",
    "NOT label = 'a'": "NOT label = 'a' AND width > 3",
    "label = 'a' OR width = 5": "(label = 'a' OR width = 5) AND width > 3",
    "(label = 'a' OR width = 5)": "(label = 'a' OR width = 5) AND width > 3",
    "width BETWEEN 2 AND 9 ORDER BY width DESC": (
        "width BETWEEN 2 AND 9 AND width > 3 ORDER BY width DESC"
    ),
    "ORDER BY width": "width > 3 ORDER BY width",
    "label = 'a' -- why": "label = 'a' -- why\n AND width > 3",
    "label = 'a' -- why\nORDER BY hash(id) -- so": (
        "label = 'a' -- why\n AND width > 3 ORDER BY hash(id) -- so"
    ),
    "label IN (SELECT label FROM samples ORDER BY 1)": (
        "label IN (SELECT label FROM samples ORDER BY 1) AND width > 3"
    ),
    "label = 'a' LIMIT 2": SET.format("SELECT * FROM samples WHERE label = 'a' LIMIT 2"),
    "QUALIFY row_number() OVER (PARTITION BY label ORDER BY id) < 4": SET.format(
        "SELECT * FROM samples QUALIFY row_number() OVER (PARTITION BY label ORDER BY id) < 4"
    ),
}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    db = slicedb.open(tmp_path_factory.mktemp("narrowed") / "d.slicedb")
    ids = [f"s{i:02d}" for i in range(ROWS)]
    columns = {"id": ids, "key": keys_of(ids), "status": ["ok"] * ROWS}
    labels, widths = ["a", "b", "c"] * 4, [i * 7 % ROWS for i in range(ROWS)]
    db.store.append(SAMPLES, pa.table(columns | {"label": labels, "width": widths}))
    return db


@pytest.mark.parametrize("text", CASES)
def test_a_condition_joins_a_text_as_a_person_would_write_it(db: Database, text: str) -> None:
    query = db.query(text)
    narrowed = texts.narrowed(query.plan(), WIDE)
    assert narrowed == CASES[text]
    wide = set(db.query(WIDE).ids())
    both = [name for name in query.ids() if name in wide]
    assert set(db.query(narrowed).ids()) == set(both) and 0 < len(both) < ROWS
    if "LIMIT" not in text:
        assert db.query(narrowed).ids() == both


def test_a_facet_keeps_the_order_of_its_query(db: Database) -> None:
    facet = db.query("width > 3 ORDER BY width DESC").facets(["label"])["label"]
    assert facet["a"].query == "width > 3 AND label = 'a' ORDER BY width DESC"
    assert db.query(facet["a"].query).ids() == ["s03", "s06"]


def test_where_keeps_the_order_and_brackets_what_needs_them(db: Database) -> None:
    query = db.query("label = 'a' ORDER BY width DESC")
    assert query.where("width > 3 -- wide").text == (
        "label = 'a' AND width > 3 -- wide\n ORDER BY width DESC"
    )
    either = query.where("width = 9 OR width = 6")
    assert either.text == "label = 'a' AND (width = 9 OR width = 6) ORDER BY width DESC"
    assert either.ids() == ["s03", "s06"]
    first = query.where("ORDER BY width DESC LIMIT 4")  # 11, 10, 9, 8 of all
    assert first.ids() == ["s03"]
    assert query.where("").ids() == query.ids()
