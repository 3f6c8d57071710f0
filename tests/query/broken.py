"""Broken texts with the place where each is broken: names misspelled, tokens doubled and lost.

A misspelled name has the place of the name. Where the grammar breaks, the place is the one that
bare DuckDB gives for the same text.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass

import duckdb

from slicedb.errors import QueryError, SliceDBError
from slicedb.query import Engine

PREFIX = "SELECT * FROM samples WHERE "
TEXTS = r"""
{label} = 'red' AND {split} = 'test'
{label} <> {m1}.prediction AND m1.{confidence} > 0.9
{lux} BETWEEN 1 AND 20 OR {label} IN ('red', 'green') ORDER BY {id} LIMIT 3
{lower}({label}) = 'red' AND {length}(id) = 2
{list_contains}({tags}, 'rain') OR {label} IS NULL
ORDER BY {m1}.{loss} DESC LIMIT 5
CASE WHEN {lux} > 3 THEN {label} = 'red' ELSE {split} = 'test' END
NOT {m1}.{correct} AND m1.{loss} > (SELECT {avg}({loss}) FROM m1)
SELECT {label}, {count}(*) AS n FROM samples GROUP BY {label} ORDER BY n
SELECT {id}, {lux} + 1 AS more FROM {samples} WHERE {label} = 'red' ORDER BY more
SELECT s.{id}, t.{label} FROM samples s JOIN samples t USING (id) WHERE s.{lux} > t.{lux}
WITH wrong AS (FROM {samples} WHERE NOT {m1}.{correct}) SELECT {label}, 1 FROM wrong
SELECT {label}, {row_number}() OVER (PARTITION BY {label} ORDER BY {lux}) AS r FROM samples
SELECT {upper}({label}) AS u\nFROM samples\nWHERE {lux} > 2 -- größer\nORDER BY u
{label} = 'naïve' /* ü */ AND {lux} > 2\nORDER BY {lux} DESC
SELECT {id} FROM samples WHERE EXISTS (SELECT 1 FROM {m1} WHERE m1.{id} = {id} AND {loss} > 1)
SELECT {max}({lux}) AS m FROM (SELECT {lux} FROM {samples} WHERE {label} <> 'red') AS inner_
{label} = 'red' AND {in_slice}('reds')
DESCRIBE SELECT {id}, {label} FROM {samples}
SUMMARIZE {samples}
PIVOT {samples} ON split IN ('train', 'test') USING {count}(*) GROUP BY {label}
SELECT {label} FROM samples UNION SELECT {split} FROM {samples} ORDER BY 1
[t.{upper}() FOR t IN {tags}] = ['RAIN']
""".strip().split("\n")
TEXTS = [text.replace("\\n", "\n") for text in TEXTS]
_MARK = re.compile(r"\{(\w+)\}")
_TOKEN = re.compile(r"'[^']*'|--[^\n]*|/\*.*?\*/|\w+|<>|>=|<=|[^\s\w]")
LEAKS = re.compile(r"~|\bhot\.|@\d|NULL::|EXCLUDE|~row|\bkey\b")
"""What our own SQL holds, and no text here."""


@dataclass(frozen=True)
class Broken:
    """A broken text."""

    text: str
    offset: int
    """Where it is broken, in characters."""
    how: str


def broken(seed: int) -> Broken | None:
    """Return a broken text; None where what was done leaves a valid one."""
    chance = random.Random(seed)
    marked = chance.choice(TEXTS)
    if chance.random() < 0.5:
        return _misspelled(marked, chance)
    text = _MARK.sub(r"\1", marked)
    tokens = [match.span() for match in _TOKEN.finditer(text)]
    number = chance.randrange(len(tokens))
    start, end = tokens[number]
    how = chance.choice(("lost", "doubled", "swapped"))
    if how == "lost":
        text = text[:start] + text[end:]
    elif how == "doubled":
        text = f"{text[:end]} {text[start:]}"
    elif number + 1 < len(tokens):
        after, stop = tokens[number + 1]
        text = f"{text[:start]}{text[after:stop]}{text[end:after]} {text[start:end]} {text[stop:]}"
    offset = _grammar(text)
    return None if offset is None else Broken(text, offset, how)


def _misspelled(marked: str, chance: random.Random) -> Broken:
    mark = chance.choice([*_MARK.finditer(marked)])
    wrong = mark[1][:-1] + chance.choice(("q", "qq", "zx")) + mark[1][-1]
    before = _MARK.sub(r"\1", marked[: mark.start()])
    text = before + wrong + _MARK.sub(r"\1", marked[mark.end() :])
    return Broken(text, len(before), "misspelled")


def _grammar(text: str) -> int | None:
    """Return where bare DuckDB says that a text breaks off, or None where it parses."""
    is_whole = re.match(r"[\s(]*(SELECT|WITH|FROM|DESCRIBE|SUMMARIZE|PIVOT)\b", text, re.IGNORECASE)
    is_order = re.match(r"\s*(ORDER|LIMIT)\b", text, re.IGNORECASE)
    prefix = "" if is_whole else PREFIX.removesuffix("WHERE ") if is_order else PREFIX
    raw = (prefix + text).encode()
    row = duckdb.execute("SELECT json_serialize_sql(?)", [raw.decode()]).fetchone()
    answer = json.loads(row[0]) if row else {}
    if not answer.get("error") or "position" not in answer:
        return None
    at = min(int(answer["position"]), len(raw) - 1)
    return len(raw[:at].decode(errors="ignore")) - len(prefix)


def problem(engine: Engine, case: Broken) -> str:
    """Return what is wrong with the error of a broken text, or ""."""
    try:
        engine.query(case.text)
    except QueryError as error:
        lines = case.text[: case.offset].split("\n")
        place = (len(lines), len(lines[-1]) + 1)
        if LEAKS.search(error.message) and not LEAKS.search(case.text):
            return f"shows rewritten SQL: {error.message}"
        if (error.line, error.column) != place:
            return f"at {error.line}:{error.column}, not {place[0]}:{place[1]}: {error.message}"
        return ""
    except SliceDBError as error:
        return f"no place: {error}"
    except Exception as error:  # a bare exception is a finding too
        return f"raised {type(error).__name__}: {error}"
    return "nothing is raised" if case.how == "misspelled" else ""
