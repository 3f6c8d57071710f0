"""Every line of `queries/DIFFERENCES.md` is as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from slicedb.errors import QueryError
from slicedb.query import Engine
from slicedb.query.functions.duckdb import FORBIDDEN, GUARDED, TABLE_FUNCTIONS

PAGE = (Path(__file__).parents[2] / "queries" / "DIFFERENCES.md").read_text()
LINES = re.findall(r"^\| `(.+?)` \| (.+?) \| .+ \|$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize(("text", "answer"), LINES, ids=[text for text, _ in LINES])
def test_a_line_is_as_the_page_says(engine: Engine, text: str, answer: str) -> None:
    if answer.startswith("refused: "):
        with pytest.raises(QueryError) as caught:
            engine.sql(text)
        assert answer.removeprefix("refused: ") in str(caught.value)
        return
    query = engine.query(text)
    if answer == "samples":
        assert query.is_rows
    elif answer.startswith("column: "):
        assert query.columns == [answer.removeprefix("column: ")]
    else:
        assert query.to_arrow()["v"].to_pylist() == [json.loads(answer)]


def test_the_page_has_all_lines() -> None:
    assert len(LINES) == PAGE.count("\n| `")


def test_the_page_names_the_table_functions() -> None:
    assert all(f"`{name}`" in PAGE for name in TABLE_FUNCTIONS)


def test_a_function_is_bounded_or_refused_and_not_both() -> None:
    assert not FORBIDDEN & GUARDED.keys()
