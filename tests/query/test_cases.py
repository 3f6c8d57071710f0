"""Every case of `cases/*.sql`: a title, a text, and the ids, rows or error it gives.

-- case: a title
-- ids: a1, a2             ordered; `ids*` compares as a set
-- rows: [[...], ...]      JSON, the values of an aggregate
-- error: BindError 1:7 'lable' hint words
the text
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slicedb import errors

CASES = Path(__file__).parent / "cases"


@dataclass
class Case:
    title: str
    wants: dict[str, str] = field(default_factory=dict)
    text: str = ""


def read_cases() -> list[Any]:
    found = []
    for file in sorted(CASES.glob("*.sql")):
        if file.stem == "sequences":  # test_sequences.py has their world
            continue
        for part in re.split(r"^-- case: ", file.read_text(), flags=re.MULTILINE)[1:]:
            title, *lines = part.split("\n")
            case = Case(title.strip())
            while lines and (match := re.match(r"-- (ids\*?|rows|error|hint): ?(.*)", lines[0])):
                case.wants[match[1]] = match[2].strip()
                lines.pop(0)
            case.text = "\n".join(lines).rstrip("\n")
            found.append(pytest.param(case, id=f"{file.stem}: {case.title}"))
    return found


@pytest.mark.parametrize("case", read_cases())
def test_case(engine: Any, case: Case) -> None:
    assert case.wants, "a case says what it expects"
    if "error" in case.wants:
        _check_error(engine, case)
        return
    query = engine.query(case.text)
    if "rows" in case.wants:
        assert not query.is_rows
        rows = [list(row.values()) for row in query.to_arrow().to_pylist()]
        _check_rows(rows, json.loads(case.wants["rows"]))
        return
    ordered = "ids" in case.wants
    wanted = [name.strip() for name in case.wants["ids" if ordered else "ids*"].split(",")]
    wanted = [name for name in wanted if name]
    found = query.ids()
    assert (found if ordered else sorted(found)) == wanted
    assert query.count() == len(wanted)


def _check_rows(found: list[Any], wanted: list[Any]) -> None:
    def rounded(rows: list[Any]) -> list[Any]:
        return [[round(v, 4) if isinstance(v, float) else v for v in row] for row in rows]

    assert rounded(found) == rounded(wanted)


def _check_error(engine: Any, case: Case) -> None:
    kind, place, token = re.match(r"(\w+)(?: (\d+:\d+))?(?: '(.*)')?", case.wants["error"]).groups()  # type: ignore[union-attr]
    with pytest.raises(getattr(errors, kind)) as caught:
        query = engine.query(case.text)
        query.to_arrow()
    error = caught.value
    assert type(error).__name__ == kind
    if place:
        assert f"{error.line}:{error.column}" == place
    if token is not None:
        assert error.token == token
    assert case.wants.get("hint", "") in str(error)


def test_there_are_many_cases_right_and_wrong() -> None:
    wants = [case.values[0].wants for case in read_cases()]
    assert len(wants) >= 200
    assert sum("error" in want for want in wants) >= 80
    assert sum("error" not in want for want in wants) >= 120
