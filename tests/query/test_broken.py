"""Errors of broken texts point at the place where the text is broken."""

from __future__ import annotations

from broken import Broken, broken, problem

from slicedb.query import Engine

TEXTS = 200
"""`benchmarks/differential.py --broken` tries more."""


def test_the_place_of_a_broken_text_is_exact(engine: Engine) -> None:
    cases = [case for case in map(broken, range(TEXTS)) if case is not None]
    problems = [f"{case}: {why}" for case in cases if (why := problem(engine, case))]
    assert len(cases) > 150
    assert len(problems) <= 0.01 * len(cases), problems
    assert not [why for why in problems if "raised" in why or "shows" in why]


def test_a_name_inside_a_pivot_has_its_place(engine: Engine) -> None:
    text = "PIVOT samples ON split IN ('test') USING count(*) GROUP BY labl"
    case = Broken(text, text.index("labl"), "misspelled")
    assert problem(engine, case) == ""
