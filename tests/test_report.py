"""Reports of a run, in every form, with hostile names."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from slicedb.judge import Report, Result

NAN = float("nan")


def a_report(**options: Any) -> Report:
    results = (
        Result(
            "night",
            "accuracy >= 0.8",
            "v4",
            "FAIL",
            0.61,
            0.55,
            0.67,
            240,
            2,
            None,
            None,
            1e-6,
            3e-6,
            "0.61 <b>",
            ("a|b.jpg", "<c>.jpg"),
            "food",
            "food/night.sql",
        ),
        Result(
            "day",
            "accuracy no worse than v3 by 0.02",
            "v4",
            "INCONCLUSIVE",
            -0.004,
            -0.02,
            0.01,
            500,
            0,
            900,
            "v3",
            0.4,
            0.8,
            "about 900 samples would settle it",
        ),
        Result("a & b", "count >= 30", "v4", "PASS", 31.0, 31.0, 31.0, 31),
        Result(
            "none",
            "accuracy >= 0.5",
            "v4",
            "INCONCLUSIVE",
            NAN,
            NAN,
            NAN,
            0,
            message="undefined: \x00 no sample",
        ),
    )
    facts = {
        "tables": {"samples": 7},
        "fingerprints": {"v4": "ff"},
        "queries": {"night": "x < '<'"},
        "software": '{"slicedb": "0"}',
        "classes": ["<cat>", "dog"],
        "confusion": [[5, 1], [0, 9]],
        "calibration": [[0, 0.0, 0.0], [15, 13.5, 14.0]],
        "grid": {
            "slices": ["night", "none"],
            "models": ["v4"],
            "cells": [[[0.61, 0.5, 0.7, 240], [NAN, NAN, NAN, 0]]],
        },
    }
    return Report(
        results, "v4", "v3", run="r1", ran_at="2026-01-01T00:00:00", facts=facts, **options
    )


class Tags(HTMLParser):
    """Checks that tags close and collects what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.outside += [
            v for k, v in attrs if k in ("src", "href") and v and not v.startswith(("data:", "#"))
        ]
        if tag not in ("meta", "br", "input", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_text_shows_the_failure_and_the_headline() -> None:
    text = str(a_report())
    assert "worst: a|b.jpg, <c>.jpg" in text and "about 900 samples" in text
    assert text.splitlines()[-1] == "v4 against v3: 1 FAIL, 2 INCONCLUSIVE, 1 PASS"
    assert "-0.004" in text and "undefined" in text


def test_json_is_whole_and_has_no_nan() -> None:
    found = json.loads(a_report().to_json(), parse_constant=pytest.fail)
    assert found["ok"] is False and found["counts"]["FAIL"] == 1
    assert found["results"][3]["value"] is None and found["results"][1]["needed"] == 900
    assert found["facts"]["tables"] == {"samples": 7} and found["software"] == {"slicedb": "0"}


def test_markdown_puts_failures_first_and_escapes() -> None:
    lines = a_report().to_markdown().splitlines()
    assert lines[0].startswith("### ❌ v4 against v3")
    assert lines[4].startswith("| ❌ FAIL | night |") and lines[-1].startswith("Bounds each hold")
    rows = [line for line in lines if line.startswith("|")]
    assert {line.count(" | ") for line in rows[2:]} == {5}
    assert "0.61 &lt;b>" in "\n".join(lines)


@pytest.mark.parametrize(("strict", "failures", "skipped"), [(False, 1, 2), (True, 3, 0)])
def test_junit_is_xml_with_a_case_an_expectation(strict: bool, failures: int, skipped: int) -> None:
    root = xml.fromstring(a_report(strict=strict).to_junit().split("\n", 1)[1])
    assert root.get("tests") == "4" and root.get("failures") == str(failures)
    assert [s.get("name") for s in root] == ["food", "queries"]
    counts = [(int(s.get("failures", "")), int(s.get("skipped", ""))) for s in root]
    assert counts == ([(1, 0), (2, 0)] if strict else [(1, 0), (0, 2)])
    assert len(root.findall(".//failure")) == failures
    assert len(root.findall(".//skipped")) == skipped
    case = root.find(".//testcase")
    assert case is not None and case.get("classname") == "night"
    failure = root.find(".//failure")
    assert failure is not None and "a|b.jpg" in (failure.text or "")


def test_the_page_is_whole_and_loads_nothing_from_elsewhere() -> None:
    page = a_report().to_html()
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and tags.outside == [] and "http" not in page
    assert {"svg", "circle", "table", "button", "style", "script"} <= set(tags.seen)
    assert "&lt;c&gt;.jpg" in page and "<c>.jpg" not in page and "&lt;cat&gt;" in page


def a_whole_report() -> Report:
    """Everything that a page can show, with hostile names."""
    point = {
        "value": 0.6,
        "low": 0.5,
        "high": 0.7,
        "verdict": "FAIL",
        "model": "<v3>",
        "ran_at": "2026-01-01 00:00",
    }
    more = {
        "gallery": [
            {
                "id": "<c>.jpg",
                "src": "data:image/jpeg;base64,A",
                "cam": "data:image/jpeg;base64,B",
                "label": "<cat>",
                "prediction": "dog",
                "confidence": 0.9,
                "slices": ["night"],
            },
            {
                "id": "d.jpg",
                "src": None,
                "cam": None,
                "label": "dog",
                "prediction": "<cat>",
                "confidence": None,
                "slices": ["night", "day"],
            },
        ],
        "coverage": {
            "coverage": [0.5, 1.0],
            "risk": [0.1, 0.3],
            "doubt": [0.2, 0.9],
            "policies": [{"policy": "always </script>", "cost": 0.4, "low": 0.3, "high": 0.5}],
        },
        "trends": [
            {
                "slice": "night",
                "check": "accuracy >= 0.8",
                "direction": "flat",
                "flips": 1,
                "status": "flaky by chance",
                "points": [point, {**point, "value": None, "low": None, "high": None}, point],
            }
        ],
    }
    return a_report(more=lambda: more)


def test_every_section_is_there_when_it_has_something_to_show() -> None:
    page = a_whole_report().to_html()
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and tags.outside == [] and "http" not in page
    for anchor in ("verdicts", "slices", "confusion", "reliability", "cost", "worst", "history"):
        assert f'<section id="{anchor}"' in page and f'href="#{anchor}"' in page
    assert page.count("</script>") == 2 and "always &lt;/script&gt;" in page
    assert 'class="cam"' in page and "no picture" in page and "flaky by chance" in page


def test_the_numbers_of_the_cost_chart_are_json_that_a_script_reads() -> None:
    page = a_whole_report().to_html()
    text = page.split('id="cost-data">')[1].split("</script>")[0]
    data = json.loads(text)
    assert data["coverage"] == [0.5, 1.0] and data["most"] == 0.5 and data["box"] == 280


@pytest.mark.parametrize(
    ("metric", "marks"),
    [("accuracy", ["down ▼", "up ▲", ""]), ("mae", ["up ▼", "down ▲", ""])],
)
def test_arrows_stand_where_intervals_lie_apart_and_say_what_is_better(
    metric: str, marks: list[str]
) -> None:
    mine = [[0.3, 0.2, 0.4, 9], [0.9, 0.8, 1.0, 9], [0.55, 0.45, 0.65, 9]]
    other = [[0.6, 0.5, 0.7, 9]] * 3
    report = a_report()
    report.facts["grid"] = {
        "slices": ["a", "b", "c"],
        "models": ["v4", "v3"],
        "metric": metric,
        "cells": [mine, other],
    }
    tiles = report.to_html().split('<section id="slices"')[1].split("<tr data-slice=")[1:4]
    found = [re.findall(r'<span class="(up|down)">([▼▲])</span>', tile) for tile in tiles]
    assert ["".join(f"{way} {arrow}" for way, arrow in each) for each in found] == marks


def test_a_cell_of_the_confusion_matrix_carries_its_query() -> None:
    page = a_report().to_html()
    query = "in_slice(&#x27;night&#x27;) AND label = &#x27;&lt;cat&gt;&#x27; AND v4.prediction = "
    assert f'data-query="{query}&#x27;dog&#x27;"' in page


def test_many_classes_show_their_confused_pairs() -> None:
    classes = [f"c{i}" for i in range(80)]
    matrix = np.eye(80, dtype=int) * 9
    matrix[3, 7] = 5
    report = a_report()
    report.facts.update(classes=classes, confusion=matrix.tolist())
    page = report.to_html()
    assert "The 1 most frequent of 1 confused pairs of 80 classes." in page
    assert "label = &#x27;c3&#x27; AND v4.prediction = &#x27;c7&#x27;" in page


def test_what_only_the_page_needs_is_made_when_it_is_written() -> None:
    calls: list[int] = []
    report = a_report(more=lambda: calls.append(1) or {})  # type: ignore[func-returns-value]
    report.to_json(), report.to_markdown(), report.to_junit(), str(report)
    assert calls == []
    report.to_html()
    assert calls == [1]


def test_a_run_without_results_is_told_too() -> None:
    empty = Report((), "v4")
    assert empty.ok and empty.exit_code == 0 and "no expectations" in str(empty)
    for form in ("to_json", "to_markdown", "to_junit", "to_html", "_repr_html_"):
        assert "v4" in getattr(empty, form)() or form == "to_junit"


def test_the_notebook_table_escapes() -> None:
    assert "&amp; b" in a_report()._repr_html_() and np.isnan(a_report().results[3].value)
