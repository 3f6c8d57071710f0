"""Every result is straight and harmless with labels and slices of any script."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from fakes_curate import add_model, made_store
from wcwidth import iter_graphemes

from slicedb.database import Database
from slicedb.show.tabular import Grid, Tabular
from slicedb.show.text import width

CLASSES = ["寿司", "🍣 巻き寿司", "שקשוקה", "كشري", "e\u0301clair", "a\x1b[31m\u202eb"]
SLICES = {"night": "label IN ('寿司', 'e\u0301clair')", "soup": "label IN ('שקשוקה', '寿司')"}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    rng = np.random.default_rng(0)
    ids = [f"{i:04}" for i in range(120)]
    labels = [CLASSES[i % 6] for i in range(120)]
    scores = rng.dirichlet(np.ones(6), 120).astype(np.float32)
    scores[np.arange(120), np.arange(120) % 6] += 0.3
    scores /= scores.sum(axis=1, keepdims=True)
    store = made_store(tmp_path_factory.mktemp("db"), labels, scores, CLASSES, model="food_v2")
    add_model(store, "food_v1", ids, labels, scores[::-1].copy(), CLASSES)
    made = Database(store)
    for name, text in SLICES.items():
        made.slices.add(name, text, expect=["accuracy >= 0.6", "accuracy of e\u0301clair >= 0.2"])
    made.test(model="food_v2")
    return made


TEXTS = ["night", "label = '寿司'", "label = 'שקשוקה'"]

RESULTS: dict[str, Callable[[Database], object]] = {
    "evaluate": lambda db: db.evaluate(
        ["food_v2", "food_v1"], TEXTS, metrics=["recall"], per_class=True
    ),
    "compare": lambda db: db.compare("food_v2", "food_v1", TEXTS),
    "power": lambda db: db.power("food_v2", "food_v1", TEXTS),
    "confusion": lambda db: db.confusion("food_v2"),
    "errors": lambda db: db.errors("food_v2"),
    "cost": lambda db: db.cost("food_v2", slices=["night", "soup"]),
    "calibration": lambda db: db.calibration("food_v2"),
    "test": lambda db: db.test(model="food_v2", write=False),
    "overlap": lambda db: db.slices.overlap(),
    "coverage": lambda db: db.slices.coverage("food_v2"),
    "breakdown": lambda db: db.slices.breakdown(),
    "trends": lambda db: db.runs.trends(),
}


def cells(line: str) -> list[str]:
    """Return what stands in each cell of a terminal; the second half of a wide letter is ''."""
    found: list[str] = []
    for letter in iter_graphemes(line):
        taken = width(letter)
        found += [letter, *[""] * (taken - 1)] if taken else []
    return found


def crooked(table: str) -> list[str]:
    """Return the lines in which a cell reaches into the gap between two columns."""
    gaps = [i for i, letter in enumerate(table.splitlines()[1]) if letter == " "]
    rows = [(line, cells(line)) for line in table.splitlines() if not line.startswith(" " * 8)]
    return [line for line, row in rows if any(row[i : i + 1] not in ([" "], []) for i in gaps)]


@pytest.mark.parametrize("verb", RESULTS)
def test_a_result_is_straight_and_harmless_as_text_and_in_a_notebook(
    db: Database, verb: str
) -> None:
    result = RESULTS[verb](db)
    assert isinstance(result, Tabular)
    text = str(result)
    assert repr(result) == text
    assert "\x1b" not in text and "\u202e" not in text
    grids = [str(part) for part in result.parts() if isinstance(part, Grid)]
    assert grids
    for grid in grids:
        assert crooked(grid) == []
        assert verb == "test" or grid in text
    shown = result._repr_html_()
    assert "\x1b" not in shown and "\u202e" not in shown
    assert shown.count("<td") == shown.count('<td dir="auto"') > 0
    assert len(result.to_pandas()) > 0 and result.to_arrow().num_rows > 0


def test_the_table_of_a_suite_is_straight(db: Database) -> None:
    head, rule, *lines = str(db.test(model="food_v2", write=False)).splitlines()
    rows = [line for line in lines if line.startswith(("PASS", "FAIL", "INCONCLUSIVE"))]
    assert len(rows) == 4
    assert crooked("\n".join([head, rule, *rows])) == []


def test_the_page_of_a_report_lets_every_name_find_its_direction(db: Database) -> None:
    page = db.test(model="food_v2", write=False).to_html()
    assert "שקשוקה" in page and "\x1b" not in page and "\u202e" not in page
    assert page.count("<td") == page.count('<td dir="auto"') > 40
    assert page.count("<th ") == page.count('<th dir="auto"') > 10
