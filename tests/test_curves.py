"""Charts with axes, and the one style sheet of everything that is drawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

import slicedb
from slicedb.decide import operating, sweep
from slicedb.errors import SliceError
from slicedb.show import curves, style
from slicedb.show.charts import Point

ROOT = Path(slicedb.__file__).parent


def scores(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    score = rng.random(n).round(2)  # equal scores share a threshold
    return score, rng.random(n) < score


def test_precision_and_recall_of_every_threshold_are_those_of_scikit_learn() -> None:
    score, positive = scores()
    found = operating(score, positive)
    precision, recall, threshold = precision_recall_curve(positive, score)
    assert found.threshold[::-1].tolist() == threshold.tolist()
    np.testing.assert_allclose(found.precision[::-1], precision[:-1])
    np.testing.assert_allclose(found.recall[::-1], recall[:-1])


def test_thresholds_without_positives_have_no_recall() -> None:
    found = operating([0.9, 0.2], [False, False])
    assert np.isnan(found.recall).all() and found.precision.tolist() == [0.0, 0.0]
    assert "recall: undefined" in found.draw()
    with pytest.raises(SliceError, match="no samples"):
        operating([], [])


def test_the_interval_of_a_cost_is_that_of_its_mean() -> None:
    score, positive = scores()
    curve = sweep(score, ~positive * 1.0, positive * 4.0)
    at = curve.at(0.3)
    cost = np.where(score >= 0.3, ~positive * 1.0, positive * 4.0)
    assert curve.cost[at] == pytest.approx(cost.mean())
    assert curve.error[at] == pytest.approx(cost.std() / len(cost) ** 0.5)


@pytest.mark.parametrize("name", ["operating", "cost", "trend"])
def test_a_chart_says_to_a_screen_reader_what_it_shows(name: str) -> None:
    score, positive = scores()
    runs: list[Point] = [
        {
            "ran_at": "2026-11-28",
            "model": "<v3>",
            "verdict": "FAIL",
            "value": 0.61,
            "low": None,
            "high": None,
        }
    ]
    drawn = {
        "operating": lambda: operating(score, positive).draw(),
        "cost": lambda: sweep(score, ~positive * 1.0, positive * 4.0).draw(),
        "trend": lambda: curves.trend(runs, "accuracy >= 0.8 of <night>", "accuracy", 0.8),
    }[name]()
    root = xml.fromstring(drawn)
    title, about = root.findtext("title"), root.findtext("desc")
    assert root.get("role") == "img" and root.get("aria-label") == f"{title}. {about}"
    said = {
        "operating": ("n = 400", "recall: 1 at 0"),
        "cost": ("n = 400", "cheapest at"),
        "trend": ("of <night>", "<v3>: FAIL, 0.61"),
    }[name]
    assert title and about and said[0] in title and said[1] in about
    assert len(root.findall("text")) > 6, "the axes have numbers"


def test_an_undefined_stretch_interrupts_a_curve() -> None:
    nan = float("nan")
    axes = curves.Axes("x", "y")
    drawn = curves.lines([curves.Series("a", [0, 0.2, 0.5, 1], [0, nan, 0.5, 1])], axes, "t")
    assert re.search(r'class="series c1 dash-1" d="M0.0 240.0M210.0 120.0L420.0 0.0"', drawn)


def test_every_class_that_is_drawn_has_a_rule() -> None:
    score, positive = scores()
    drawn = operating(score, positive).draw()
    rules = style.rules()
    for name in {c for names in re.findall(r'class="([^"]+)"', drawn) for c in names.split()}:
        assert name in ("chart", "dash-1") or re.search(rf"\.{name}[.{{ ]", rules), name


def test_a_scope_stands_before_every_selector() -> None:
    rules = re.sub(r"\{[^}]*\}", "\n", style.rules(".slicedb")).splitlines()
    assert all(
        one.startswith(".slicedb") for line in rules for one in line.split(",") if "." in one
    )
    assert style.rules(".slicedb").count(".slicedb .shade-") == 42


def test_nothing_that_writes_html_gives_an_element_a_style() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in ROOT.rglob("*")
        if file.suffix in (".py", ".html", ".js") and "vendor" not in file.parts
        for line in file.read_text(encoding="utf-8").splitlines()
        if re.search(r"""[\s"'(]style\s*=\s*[f"'{]""", line) and "rich" not in line
    ]
    assert not wrong


def luminance(colour: Sequence[float]) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("kind", ["good", "bad"])
def test_text_on_the_strongest_shade_can_be_read(dark: bool, kind: str) -> None:
    from colorsys import hls_to_rgb

    found = re.findall(rf"--{kind}-shade:(\d+) (\d+)% (\d+)%", style.shades())[-1 if dark else 0]
    hue, saturation, lightness = (int(x) for x in found)
    over = hls_to_rgb(hue / 360, lightness / 100, saturation / 100)
    ink, card = (
        ((0xE5, 0xE9, 0xF0), (0x1A, 0x20, 0x29)) if dark else ((0x1B, 0x23, 0x30), (255,) * 3)
    )
    mixed = [0.75 * a + 0.25 * b / 255 for a, b in zip(over, card)]
    a, b = sorted((luminance(mixed), luminance([c / 255 for c in ink])))
    assert (b + 0.05) / (a + 0.05) >= 4.5


def test_the_style_sheet_of_the_page_is_up_to_date() -> None:
    """`python -c "from slicedb.show import style; print(style.sheet(), end='')"` writes it."""
    assert (ROOT / "web/static/charts.css").read_text(encoding="utf-8") == style.sheet()
