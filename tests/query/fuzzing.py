"""Random query texts: from a grammar, and by mutating the texts that are known."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable, Iterator
from pathlib import Path

CASES = Path(__file__).parent / "cases"

_COLUMNS = [
    "label",
    "split",
    "lux",
    "width",
    "id",
    "tags",
    "objects",
    "weather",
    "caption",
    "captured_at",
    "status",
    "key",
    "m1.loss",
    "m1.correct",
    "m2.prediction",
    "m1.probabilities['red']",
    "m3.x",
    "lable",
    "samples.label",
    "NULL",
    "'red'",
    "'it''s'",
    "0",
    "1",
    "-1",
    "1e400",
    "0.5",
    "true",
    "DATE '2024-01-03'",
    "[1, 2]",
    "{'a': 1}",
    "'\\x00'",
    "''",
    "'/etc/passwd'",
    "9223372036854775808",
]
_CALLS = [
    "similarity('{t}')",
    "similarity('{t}', sample('a1'))",
    "similarity(sample('zz'))",
    "matches('{t}', {n})",
    "nearest('{t}', {n})",
    "in_slice('{s}')",
    "has_tag({e})",
    "in_split({e})",
    "has_object('car', min_area => {n})",
    "count_objects({e})",
    "search('{t}')",
    "search('\"{t}\"')",
    "fuse(similarity('{t}'), {e})",
    "lower({e})",
    "count({e})",
    "sum({e}) OVER (ORDER BY {e})",
    "coalesce({e}, {e})",
    "list_contains(tags, {e})",
    "len(list_filter(objects, lambda o: o.label = {e}))",
    "regexp_matches({e}, {e})",
    "abs({e})",
    "range({n})",
    "repeat({e}, {n})",
    "({e})::INT",
    "cast({e} AS {y})",
    "CASE WHEN {e} THEN {e} END",
    "(SELECT max(lux) FROM samples)",
    "exists (FROM m1 WHERE {e})",
    "unnest({e})",
    "getenv({e})",
    "read_text({e})",
    "date_part({e}, captured_at)",
    "columns('{t}')",
    "format({e}, {e})",
]
_TEXTS = ["red", "a green picture", "", "x y z", "😀", "%", "(", "a'' OR 1=1 --"]
_SLICES = ["reds", "wrong_reds", "held", "top_two", "loop_a", "broken", "nope"]
_TYPES = ["INT", "VARCHAR", "JSON", "DATE", "STRUCT(a INT)", "INT[]", "BLOB", "nope"]
_KEYWORDS = """AND OR NOT ( ) , SELECT FROM samples WHERE m1 . * LIMIT 3 ORDER BY GROUP HAVING UNION
    WITH AS UNNEST lambda : || CASE WHEN THEN END IN BETWEEN EXISTS OVER PARTITION COLUMNS EXCLUDE
    read_csv COPY TO PIVOT VALUES DISTINCT ALL LATERAL ASOF JOIN USING key ; -- /* */ $$ ? $a @ ü ::
    [ ] { } => using column objects RECURSIVE TABLESAMPLE QUALIFY OFFSET ATTACH PRAGMA SET INSTALL
    'x.csv' "x" 0x1F E'\\x' AT IS NULL <> = < >= ~ ^ % ** -> ->> != GLOB LIKE SIMILAR COLLATE ESCAPE
    FILTER WITHIN"""
_WORDS = _KEYWORDS.split()


def known_texts() -> list[str]:
    """Return the texts of all cases."""
    found = []
    for file in sorted(CASES.glob("*.sql")):
        for part in re.split(r"^-- case: ", file.read_text(), flags=re.MULTILINE)[1:]:
            lines = part.split("\n")[1:]
            found.append("\n".join(line for line in lines if not line.startswith("-- ")))
    return found


_SELECTS = [
    "SELECT {} FROM samples WHERE {}",
    "SELECT label, {} FROM samples GROUP BY ALL HAVING {}",
    "FROM m1 SELECT {} WHERE {}",
    "WITH t AS (FROM samples WHERE {}) SELECT {} FROM t",
    "SELECT a.id, {} FROM samples a JOIN samples b ON {}",
    "SELECT * EXCLUDE (id), {} FROM samples ORDER BY {}",
    "SELECT {} FROM objects WHERE {}",
    "SELECT {} UNION SELECT {}",
    "SELECT DISTINCT {} FROM samples WINDOW w AS (ORDER BY {})",
    "SELECT {} FROM range({})",
    "SELECT * FROM (SELECT {} AS x FROM samples) WHERE x = {}",
]


class Fuzzer:
    """Makes texts, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.known = known_texts()
        self.ways: list[Callable[[], str]] = [
            self.predicate,
            self.select,
            self.soup,
            self.mutated,
            self.mutated,
            self.spliced,
        ]

    def texts(self, n: int) -> Iterator[str]:
        """Yield n texts."""
        for _ in range(n):
            yield self.rng.choice(self.ways)()

    def expression(self, depth: int = 0) -> str:
        """Return an expression."""
        pick = self.rng.random()
        if depth > 3 or pick < 0.35:
            return self.rng.choice(_COLUMNS)
        if pick < 0.65:
            return self._filled(self.rng.choice(_CALLS), depth)
        a, b = self.expression(depth + 1), self.expression(depth + 1)
        shape = self.rng.choice(
            [
                "{} = {}",
                "{} AND {}",
                "{} OR {}",
                "NOT ({} <> {})",
                "({}) IS NULL OR {}",
                "{} + {}",
                "{} IN ({})",
                "{} BETWEEN 0 AND {}",
                "({} || {})",
                "{} LIKE {}",
                "{} > {}",
            ]
        )
        return shape.format(a, b)

    def _filled(self, template: str, depth: int) -> str:
        def fill(match: re.Match[str]) -> str:
            if match[1] == "e":
                return self.expression(depth + 1)
            if match[1] == "n":
                return self.rng.choice(["0", "1", "3", "0.5", "-1", "1000000000000", "NULL", "lux"])
            return self.rng.choice({"t": _TEXTS, "s": _SLICES, "y": _TYPES}[match[1]])

        return re.sub(r"\{([ents y])\}", fill, template)

    def predicate(self) -> str:
        """Return a predicate, often with an order."""
        tail = self.rng.choice(["", "", " ORDER BY {} DESC LIMIT 3", " LIMIT {}", " QUALIFY {}"])
        return self.expression() + (tail.format(self.expression()) if "{}" in tail else tail)

    def select(self) -> str:
        """Return a SELECT."""
        shape = self.rng.choice(_SELECTS)
        return shape.format(self.expression(), self.expression())

    def soup(self) -> str:
        """Return words in any order."""
        pieces = [*_WORDS, *_COLUMNS, *string.punctuation, "\n", "\t"]
        return " ".join(self.rng.choices(pieces, k=self.rng.randint(1, 14)))

    def mutated(self) -> str:
        """Return a known text with a few tokens dropped, doubled, swapped or replaced."""
        tokens = re.findall(r"\w+|'[^']*'|\s+|.", self.rng.choice(self.known)) or [" "]
        for _ in range(self.rng.randint(1, 4)):
            at, other = self.rng.randrange(len(tokens)), self.rng.randrange(len(tokens))
            change = self.rng.randrange(5)
            if change == 0 and len(tokens) > 1:
                del tokens[at]
            elif change == 1:
                tokens.insert(at, tokens[other])
            elif change == 2:
                tokens[at], tokens[other] = tokens[other], tokens[at]
            elif change == 3:
                tokens[at] = self.rng.choice([*_WORDS, *_COLUMNS])
            else:
                tokens[at] = tokens[at][: self.rng.randint(0, len(tokens[at]))]
        return "".join(tokens)

    def spliced(self) -> str:
        """Return two known texts in one."""
        a, b = self.rng.choice(self.known), self.rng.choice(self.known)
        joint = self.rng.choice([" AND ", " OR ", ") AND (", " UNION ALL ", "; ", " ", "::", ", "])
        cut = self.rng.randint(0, len(a))
        return self.rng.choice([a + joint + b, a[:cut] + b, f"({a}){joint}({b})", f"NOT ({a})"])
