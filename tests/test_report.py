"""Reports of a run, in every form, with hostile names."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np
import pytest

from slicedb.judge import Result, Verdict
from slicedb.judge.results import Provenance
from slicedb.judge.trials import JudgedSlice
from slicedb.report import Report
from slicedb.report.figures import Bin, Card, CostCurve, Figures, HeatMap, Tile
from slicedb.report.tables import _code, _escape
from slicedb.runs.history import Trend, TrendPoint
from slicedb.slices import Slice

NAN = float("nan")


def result(slice: str, check: str, verdict: Verdict, value: float, n: int, **more: Any) -> Result:
    given = {"low": value, "high": value, "metric": check.split()[0], **more}
    return Result(slice=slice, check=check, model="v4", verdict=verdict, value=value, n=n, **given)


FIGURES = Figures(
    classes=["<cat>", "dog"],
    confusion=[[5, 1], [0, 9]],
    bins=[Bin(0, 0.0, 0.0), Bin(15, 13.5, 14.0)],
    heat_map=HeatMap(
        "accuracy",
        ["night", "none"],
        ["v4"],
        [[Tile(0.61, 0.5, 0.7, 240), Tile(NAN, NAN, NAN, 0)]],
    ),
)


def a_report(figures: Figures = FIGURES, **options: Any) -> Report:
    results = (
        result(
            "night",
            "accuracy >= 0.8",
            "FAIL",
            0.61,
            240,
            low=0.55,
            high=0.67,
            left_out=2,
            p=1e-6,
            p_adjusted=3e-6,
            message="0.61 <b>",
            worst_ids=("a|b.jpg", "<c>.jpg"),
            suite="food",
            path="food/night.sql",
            is_share=True,
        ),
        result(
            "day",
            "accuracy no worse than v3 by 0.02",
            "INCONCLUSIVE",
            -0.004,
            500,
            low=-0.02,
            high=0.01,
            needed=900,
            baseline="v3",
            p=0.4,
            p_adjusted=0.8,
            message="about 900 samples would settle it",
            is_share=True,
        ),
        result("a & b", "count >= 30", "PASS", 31.0, 31),
        result(
            "none", "accuracy >= 0.5", "INCONCLUSIVE", NAN, 0, message="undefined: \x00 no sample"
        ),
    )
    nobody = np.empty(0, np.int64)
    options = {
        "run": "r1",
        "ran_at": "2026-01-01T00:00:00",
        "provenance": Provenance({"samples": 7}, {"v4": "ff"}, '{"slicedb": "0"}'),
        "scopes": (JudgedSlice(Slice("night", "x < '<'"), nobody, nobody),),
        "figures": lambda: figures,
        **options,
    }
    return Report(results, "v4", "v3", **options)


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
    point = TrendPoint("r", "<v3>", "FAIL", 0.6, 0.5, 0.7, 240, datetime(2026, 1, 1))
    passed = replace(point, verdict="PASS", value=0.65)
    gallery = (
        Card(
            "<c>.jpg",
            "data:image/jpeg;base64,A",
            "data:image/jpeg;base64,B",
            ["night"],
            "<cat>",
            "dog",
            0.9,
        ),
        Card("d.jpg", None, None, ["night", "day"], "dog", "<cat>"),
    )
    policy = {"policy": "always </script>", "cost": 0.4, "low": 0.3, "high": 0.5}
    figures = replace(
        FIGURES,
        gallery=gallery,
        cost=CostCurve([0.5, 1.0], [0.1, 0.3], [0.2, 0.9], [policy]),
        trends=(
            Trend("night", "accuracy >= 0.8", (point, passed)),
            Trend("night", "<f1> >= 0.8", (point, replace(point, value=NAN, low=NAN, high=NAN))),
        ),
    )
    return a_report(figures)


def test_every_section_is_there_when_it_has_something_to_show() -> None:
    page = a_whole_report().to_html()
    tags = Tags()
    tags.feed(page)
    assert tags.open == [] and tags.outside == [] and "http" not in page
    for anchor in ("verdicts", "slices", "confusion", "reliability", "cost", "worst", "history"):
        assert f'<section id="{anchor}"' in page and f'href="#{anchor}"' in page
    assert page.count("</script>") == 2 and "always &lt;/script&gt;" in page
    assert 'class="cam"' in page and "no picture" in page and "flaky by chance" in page


def test_no_element_of_a_report_carries_a_style_of_its_own() -> None:
    for shown in (a_whole_report().to_html(), a_whole_report()._repr_html_()):
        tags = re.findall(r"<[a-z][^>]*>", re.sub(r"<(style|script)[^>]*>.*?</\1>", "", shown))
        assert len(tags) > 100
        assert not [tag for tag in tags if re.search(r"\s(style|on[a-z]+)=", tag)]
        assert 'class="shade-' in shown


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
    mine = [Tile(0.3, 0.2, 0.4, 9), Tile(0.9, 0.8, 1.0, 9), Tile(0.55, 0.45, 0.65, 9)]
    other = [Tile(0.6, 0.5, 0.7, 9)] * 3
    heat_map = HeatMap(metric, ["a", "b", "c"], ["v4", "v3"], [mine, other])
    report = a_report(replace(FIGURES, heat_map=heat_map))
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
    page = a_report(replace(FIGURES, classes=classes, confusion=matrix.tolist())).to_html()
    assert "The 1 most frequent of 1 confused pairs of 80 classes." in page
    assert "label = &#x27;c3&#x27; AND v4.prediction = &#x27;c7&#x27;" in page


def test_what_only_the_page_needs_is_made_when_it_is_written() -> None:
    calls: list[int] = []

    def figures() -> Figures:
        calls.append(1)
        return FIGURES

    report = replace(a_report(), figures=figures)
    report.to_json(), report.to_markdown(), report.to_junit(), str(report)
    assert calls == []
    report.to_html()
    assert calls == [1]


def test_only_the_rail_of_a_share_ends_at_0_and_1() -> None:
    results = (
        result("a", "accuracy >= 0.9", "PASS", 0.98, 9, low=0.96, high=1.0, is_share=True),
        result("a", "mae <= 12.5", "PASS", 11.9, 9, low=11.3, high=12.5, bound=12.5),
        result("a", "count_error <= 3", "PASS", 2.0, 9, low=1.0, high=2.5, bound=3.0),
    )
    page = Report(results, "v4").to_html()
    ends = re.findall(r'rail from ([-\d.]+) to ([-\d.]+)"', page)
    assert ends == [("0.958", "1"), ("11.2", "12.6"), ("0.9", "3.1")]


def test_wide_letters_take_two_cells_in_the_text() -> None:
    results = (
        result("寿司", "accuracy >= 0.9", "PASS", 0.98, 9, low=0.96, high=1.0),
        result("night", "accuracy >= 0.9", "PASS", 0.98, 9, low=0.96, high=1.0),
    )
    lines = str(Report(results, "v4")).splitlines()
    assert lines[2:4] == [
        "PASS     寿司   accuracy >= 0.9  0.980  [0.960, 1.000]  9",
        "PASS     night  accuracy >= 0.9  0.980  [0.960, 1.000]  9",
    ]


def test_a_run_without_results_is_told_too() -> None:
    empty = Report((), "v4")
    assert empty.ok and empty.exit_code == 0 and "no expectations" in str(empty)
    for form in ("to_json", "to_markdown", "to_junit", "to_html", "_repr_html_"):
        assert "v4" in getattr(empty, form)() or form == "to_junit"


def test_the_notebook_table_escapes() -> None:
    assert "&amp; b" in a_report()._repr_html_() and np.isnan(a_report().results[3].value)


def test_hostile_names_neither_ring_nor_leave_their_code_span() -> None:
    assert _code("a.jpg") == "`a.jpg`"
    assert _code("a`b``c\x07.jpg") == "``` a`b``c␇.jpg ```"
    assert _escape("x\x1b[2J|y") == "x␛[2J\\|y"
