"""Tables, numbers, HTML and bars: straight, harmless, and the same on every surface."""

from __future__ import annotations

import io
import re
import sys

import pyarrow as pa
import pytest

from slicedb import progress
from slicedb.show import html, numbers, text
from slicedb.show.tabular import Grid, Tabular

NAMES = {
    "寿司": 4,
    "김치찌개": 8,
    "カレー": 6,
    "🍣": 2,
    "👩‍👩‍👧": 2,
    "👍🏽": 2,
    "🇮🇳": 2,
    "❤️": 2,
    "e\u0301clair": 6,
    "नमस्ते": 4,
    "\u200bsoup": 4,
    "שקשוקה": 6,
    "كشري": 4,
}
"""Names of dishes, and the cells they take."""


@pytest.mark.parametrize(("name", "cells"), NAMES.items(), ids=map(ascii, NAMES))
def test_width_counts_cells_of_a_terminal(name: str, cells: int) -> None:
    assert text.width(name) == cells


def test_columns_are_straight_with_every_script() -> None:
    rows = [[name, n, f"{n / 100:.2f}"] for n, name in enumerate(NAMES, 1)]
    lines = text.table(["dish", "n", "accuracy"], rows).splitlines()
    assert {text.width(line) for line in lines} == {8 + 2 + 2 + 2 + 8}
    assert lines[:3] == [
        "dish       n  accuracy",
        "--------  --  --------",
        "寿司       1      0.01",
    ]


def test_right_to_left_cells_are_isolated_so_that_columns_keep_their_order() -> None:
    line = text.lines(["truth", "called", "n"], [["שקשוקה", "كشري", 12]])[2]
    assert line == "\u2068שקשוקה\u2069  \u2068كشري\u2069    12"
    assert text.width(line) == 6 + 2 + 6 + 2 + 2
    assert "\u2068" not in text.table(["dish"], [["寿司"]])


def test_a_cell_cannot_ring_colour_move_or_reorder() -> None:
    hostile = "a\x07b\x1b[2Jc\rd\ne\x9bf\u202eg\u2066h\ud800i\x00"
    assert text.clean(hostile) == "a␇b␛[2Jc d e\\x9bf\\u202eg\\u2066h\\ud800i␀"
    drawn = text.table(["label"], [[hostile], ["plain"]])
    assert len(drawn.splitlines()) == 4 and "\x1b" not in drawn
    drawn.encode("utf-8")
    assert text.clean("👩‍👩‍👧 e\u0301 \u200f") == "👩‍👩‍👧 e\u0301 \u200f"


def test_long_text_is_whole_in_a_pipe_and_cut_to_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = "photos/" + "x" * 40 + "/cat_01.jpg"
    rows = [[path, "word " * 2_000, 12345.678], ["寿" * 10_000, "", 1.5]]
    whole = text.table(["id", "note", "loss"], rows)
    assert path in whole and "寿" * 10_000 in whole and "…" not in whole
    monkeypatch.setattr(text, "room", lambda: 60)
    lines = text.table(["id", "note", "loss"], rows).splitlines()
    assert max(map(text.width, lines)) <= 60
    assert "/cat_01.jpg  word word" in lines[2] and lines[2].startswith("…xx")
    assert lines[2].endswith("1.235e+04") and "寿…" in lines[3]


def test_numbers_are_never_cut_and_text_keeps_fourteen_cells() -> None:
    rows = [["a plate of laddu and more", 1234567.0, "another note of some length"]]
    lines = text.table(["note", "n", "more"], rows, fit=20).splitlines()
    assert lines[2] == "a plate of la…  1,234,567  another note …"


@pytest.mark.parametrize("cells", range(2, 12))
def test_cut_takes_no_emoji_and_no_letter_apart(cells: int) -> None:
    shown = text.cut("e\u0301👩‍👩‍👧寿🇮🇳e\u0301x👍🏽yz", cells)
    assert text.width(shown) <= cells and shown.endswith("…")
    whole = ["e\u0301", "👩‍👩‍👧", "寿", "🇮🇳", "e\u0301", "x", "👍🏽", "y", "z"]
    assert shown[:-1] in ["".join(whole[:n]) for n in range(len(whole))]
    back = text.cut("dir/e\u0301👩‍👩‍👧/寿.jpg", cells)
    assert text.width(back) <= cells and back.startswith("…")


def test_columns_align_by_content_or_as_asked() -> None:
    rows = [["a", "12 (30%)", "[+0.1, +0.2]", "-", "to"], ["b", "", "", "<0.0001", "e"]]
    assert text.lines(["s", "n", "interval", "p", "word"], rows)[2:] == [
        "a  12 (30%)  [+0.1, +0.2]        -  to",
        "b                          <0.0001  e",
    ]
    assert text.lines(["id", "n"], [["1", "x"], ["10", "yy"]], align="<>")[2:] == [
        "1    x",
        "10  yy",
    ]


def test_a_limit_counts_what_it_leaves_out() -> None:
    assert text.table(["n"], [[i] for i in range(1500)], limit=2) == "n\n-\n0\n1\n... 1,498 more"
    assert text.table(["n", "label"], []) == "n  label\n-  -----"


def test_values_of_rows() -> None:
    assert [numbers.value(v) for v in (True, 7, 1e9, float("nan"), {"a": 1}, [1] * 9)] == [
        *("True", "7", "1,000,000,000", "nan", '{"a": 1}'),
        '[1, 1, 1, 1, 1, 1, "..."]',
    ]


def test_html_tables_escape_and_let_text_find_its_direction() -> None:
    rows = [["<script>", 12, html.td(html.Html("<b>x</b>"), class_="none", data_query='a"b')]]
    assert html.table(["name", "n", "cell"], rows, id="t") == (
        '<table id="t"><thead><tr><th dir="auto">name</th><th dir="auto" class="n">n</th>'
        '<th dir="auto">cell</th></tr></thead><tbody><tr><td dir="auto">&lt;script&gt;</td>'
        '<td dir="auto" class="n">12</td><td dir="auto" class="none" data-query="a&quot;b">'
        "<b>x</b></td></tr></tbody></table>"
    )
    opened = [html.Html("<tbody><tr></tr></tbody>")]
    assert html.table(["a"], opened).count("<tbody") == 1


def test_pictures_and_pages_hold_everything_themselves() -> None:
    assert html.picture(b"\xff\xd8", "a'b.jpg") == (
        '<img alt="a&#x27;b.jpg" title="a&#x27;b.jpg" src="data:image/jpeg;base64,/9g=">'
    )
    assert html.picture(None, "x") == "<div>no picture</div>"
    page = html.page("<t>", "<p>hi</p>", css="p{}", script="go()")
    assert "<title>&lt;t&gt;</title><style>p{}</style>" in page
    assert page.endswith("<p>hi</p><script>go()</script></body></html>\n")


class Dishes(Tabular):
    """A result of two rows."""

    def to_arrow(self) -> pa.Table:
        return pa.table({"dish": ["寿司", "مرق\u202e"], "n": [1, 20]})


class Summary(Dishes):
    """A result with a text above and below its table."""

    def parts(self) -> list[str | Grid]:
        return ["two <dishes>", Grid(["dish", "n"], [["寿司", "1"]]), "that is all"]


def test_a_result_prints_shows_and_converts() -> None:
    assert repr(Dishes()) == (
        "dish        n\n---------  --\n寿司        1\n\u2068مرق\\u202e\u2069  20"
    )
    shown = Dishes()._repr_html_()
    assert '<td dir="auto">寿司</td><td dir="auto" class="n">1</td>' in shown
    assert "\\u202e" in shown and "\u202e" not in shown
    assert Dishes().to_pandas()["n"].tolist() == [1, 20]
    assert str(Summary()) == "two <dishes>\ndish  n\n----  -\n寿司  1\nthat is all"
    assert "<p>two &lt;dishes&gt;</p><table>" in Summary()._repr_html_()


def test_a_dataclass_that_is_tabular_prints_its_table() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Counts(Tabular):
        n: int

        def to_arrow(self) -> pa.Table:
            return pa.table({"n": [self.n]})

    assert repr(Counts(3)) == "n\n-\n3"


def test_a_result_of_one_row_shows_its_sentence_and_its_fields() -> None:
    from slicedb.export import ExportReport

    report = ExportReport(3, "csv", "<a>.csv")
    assert repr(report) == "3 samples written to <a>.csv (csv)"
    assert "<p>3 samples written to &lt;a&gt;.csv (csv)</p>" in report._repr_html_()
    row = report.to_pandas().drop(columns="notes").to_dict("records")
    assert row == [{"n": 3, "form": "csv", "dest": "<a>.csv"}]


def test_a_difference_is_one_row_per_sample() -> None:
    from slicedb.commits import Difference

    one = Difference(["寿司"], [], ["b", "c"], [], {})
    assert one.to_arrow().to_pylist() == [
        {"change": "added", "id": "寿司", "column": None},
        {"change": "relabelled", "id": "b", "column": None},
        {"change": "relabelled", "id": "c", "column": None},
    ]
    assert Difference([], [], [], [], {}).to_arrow().num_rows == 0


class Terminal(io.StringIO):
    """A stderr that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_draws_in_place_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress.bar(None, "embed") as bar:
        bar.total(4)
        bar.advance()
        bar.advance(3)
    drawn = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert drawn.startswith("\rembed 0  0 ms\x1b[K\r") and drawn.endswith("\x1b[K\n")
    assert re.search(r"embed ━{24} 4/4  \d+ ms\x1b", drawn)


def test_a_bar_in_a_log_is_one_line_and_a_silent_one_is_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.bar(2, "embed") as bar:
        bar.advance(2)
    assert capsys.readouterr().err == ""
    with progress.bar(2, "embed", show=True) as bar:
        bar.advance(2)
    assert re.fullmatch(r"embed ━{24} 2/2  \d+ ms\n", capsys.readouterr().err)
