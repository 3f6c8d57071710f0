"""Every example of `queries/README.md` runs, and the page names every function."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from slicedb.query import Engine, functions

PAGE = (Path(__file__).parents[2] / "queries" / "README.md").read_text()


def examples() -> list[Any]:
    blocks = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
    found = []
    for block in blocks:
        for text in re.split(r"\n\s*\n", block.strip()):
            found.append(pytest.param(text, id=text.splitlines()[0][:60]))
    return found


@pytest.mark.parametrize("text", examples())
def test_example_runs(engine: Engine, text: str) -> None:
    query = engine.query(text, files=False)
    assert query.count() > 0 if query.is_rows else query.to_arrow().num_rows > 0


@pytest.mark.parametrize("row", functions(), ids=lambda row: str(row["name"]))
def test_function_is_on_the_page(row: dict[str, str]) -> None:
    assert f"`{row['name']}(" in PAGE


@pytest.mark.parametrize("row", functions(), ids=lambda row: str(row["name"]))
def test_function_example_binds(engine: Engine, row: dict[str, str], tmp_path: Path) -> None:
    if row["name"] == "image":
        pytest.skip("reads a file; tests/query/test_query.py has it")
    assert engine.query(row["example"]).count() > 0
