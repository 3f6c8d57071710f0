"""Draw the charts of the report and the page as SVG, which opens offline and scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

from slicedb.show.html import escape


class Point(TypedDict):
    """One run of a test."""

    ran_at: str
    model: str
    verdict: str
    value: float | None
    low: float | None
    high: float | None


def tip(text: str) -> str:
    """Return what makes the mark around it say something under the pointer, on any surface."""
    return f"<title>{escape(text)}</title>"


def interval(value: float, low: float, high: float, bound: float, span: tuple[float, float]) -> str:
    """Return an interval with its value and its bound on a rail.

    Args:
        value: NaN draws nothing.
        low: NaN draws the value alone.
        high: the other end.
        bound: NaN leaves it out.
        span: what the left and the right end of the rail stand for.
    """
    if math.isnan(value):
        return ""
    wide, middle, left, right = 190, 11, *span
    reach = right - left or 1.0

    def x(v: float) -> float:
        return 6 + (min(max(v, left), right) - left) / reach * (wide - 12)

    parts = [f'<line class="rail" x1="6" x2="{wide - 6}" y1="{middle}" y2="{middle}"/>']
    if not math.isnan(bound):
        parts.append(
            f'<line class="bound" x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="2" y2="20"/>'
        )
    if not math.isnan(low):
        parts.append(
            f'<line class="iv" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{middle}" y2="{middle}"/>'
        )
    parts.append(f'<circle class="at" cx="{x(value):.1f}" cy="{middle}" r="4"/>')
    about = f"{value:.4g}, interval {low:.4g} to {high:.4g}"
    about += "" if math.isnan(bound) else f"\nbound {bound:.4g} (dashed)"
    about += f"\nrail from {left:.3g} to {right:.3g}"
    return (
        f'<svg class="inline" width="{wide}" height="22" viewBox="0 0 {wide} 22" role="img" '
        f'aria-label="{escape(about)}">{tip(about)}{"".join(parts)}</svg>'
    )


def span_of(marks: Sequence[float], share: bool) -> tuple[float, float]:
    """Return the ends of a rail that holds all marks, within [0, 1] for shares.

    >>> span_of([0.5, 0.7], True)
    (0.49, 0.71)
    """
    known = [m for m in marks if math.isfinite(m)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    pad = 0.05 * (high - low) or 0.05
    low, high = low - pad, high + pad
    return (round(max(low, 0.0), 9), round(min(high, 1.0), 9)) if share else (low, high)


def frame(size: int, across: str, down: str, most: float = 1.0) -> str:
    """Return the axes of a square chart whose ends are 0 and 1 across, 0 and `most` down."""
    parts = [f'<rect class="axis" width="{size}" height="{size}"/>']
    for k in range(5):
        at, share = size * k / 4, k / 4
        parts.append(f'<line class="gridline" x1="{at}" x2="{at}" y1="0" y2="{size}"/>')
        parts.append(f'<line class="gridline" y1="{at}" y2="{at}" x1="0" x2="{size}"/>')
        parts.append(f'<text x="{at}" y="{size + 15}" text-anchor="middle">{share:g}</text>')
        label = f"{most * share:.3g}"
        parts.append(f'<text x="-6" y="{size - at + 4}" text-anchor="end">{label}</text>')
    parts.append(f'<text x="{size / 2}" y="{size + 32}" text-anchor="middle">{across}</text>')
    parts.append(
        f'<text x="{-size / 2}" y="-42" text-anchor="middle" transform="rotate(-90)">{down}</text>'
    )
    return "".join(parts)


def chart(size: int, inside: str, label: str, about: str = "", below: int = 0) -> str:
    """Return an SVG with room for the labels of a `frame`, described for those who cannot see it.

    Args:
        size: pixels of its side.
        inside: what is drawn.
        label: its title.
        about: what it says, in words.
        below: pixels under the labels.
    """
    described = f"{label}. {about}" if about else label
    return (
        f'<svg viewBox="-56 -10 {size + 70} {size + 50 + below}" width="{size + 70}" '
        f'height="{size + 50 + below}" role="img" aria-label="{escape(described)}">'
        f"<title>{escape(label)}</title><desc>{escape(about)}</desc>{inside}</svg>"
    )


def reliability(
    bins: Sequence[Sequence[float]], intervals: Sequence[tuple[float, float]]
) -> tuple[str, float]:
    """Return the reliability diagram and the expected calibration error.

    Circles grow with the samples of their bin, and bars below count them.

    Args:
        bins: n, sum of the confidences and number of right predictions of each bin, in order.
        intervals: the ends of the whisker of each bin's accuracy.
    """
    size, marks, error = 280, [], 0.0
    total = sum(n for n, _, _ in bins)
    tallest = max((n for n, _, _ in bins), default=1) or 1
    for k, ((n, confidence, right), (low, up)) in enumerate(zip(bins, intervals)):
        wide = size / len(bins)
        hover = f"confidence {k / len(bins):.2f} to {(k + 1) / len(bins):.2f}: no sample"
        high = 34 * n / tallest
        if n:
            mean, share = confidence / n, right / n
            hover = (
                f"mean confidence {mean:.3f}\naccuracy {share:.3f} [{low:.3f}, {up:.3f}]\n"
                f"n = {n:,.0f}"
            )
            x, y = mean * size, size - share * size
            radius = 3 + 8 * math.sqrt(n / total)
            marks.append(
                f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{size - low * size:.1f}" '
                f'y2="{size - up * size:.1f}"/><circle class="spot" cx="{x:.1f}" cy="{y:.1f}" '
                f'r="{radius:.1f}">{tip(hover)}</circle>'
            )
            error += abs(confidence - right) / total
        marks.append(
            f'<rect class="bin" x="{k * wide + 1:.1f}" y="{size + 80 - high:.1f}" '
            f'width="{wide - 2:.1f}" height="{high:.1f}">{tip(hover)}</rect>'
        )
    inside = (
        frame(size, "confidence", "accuracy")
        + f'<line class="thin" x1="0" y1="{size}" x2="{size}" y2="0"/>{"".join(marks)}'
    )
    about = f"expected calibration error {error:.3f}"
    return chart(size, inside, f"reliability diagram, n = {total:,.0f}", about, 46), error


_LIVE = '<path class="curve" id="cost-line" d=""/><circle class="best" id="cost-best" r="6"/>'
"""What the script of the page moves."""


def cost(
    coverage: Sequence[float], risk: Sequence[float], size: int = 280, *, live: bool = True
) -> str:
    """Return the cost chart: the risk of the answered, and room for the cost that a script draws.

    Args:
        coverage: rising shares of samples that the model answers.
        risk: mean cost of those.
        size: pixels of its side.
        live: whether there is such a script.
    """
    most = most_of(risk)
    points = [
        f"{c * size:.1f} {size - min(r / most, 1) * size:.1f}" for c, r in zip(coverage, risk)
    ]
    inside = (
        frame(size, "share answered by the model", "cost a sample", most)
        + f'<path class="{"thin" if live else "curve"}" d="M{"L".join(points)}"/>'
        + (_LIVE if live else "")
    )
    about = f"{risk[-1]:.4g} a sample where all are answered" if len(risk) else ""
    return chart(size, inside, "cost by share answered", about)


def most_of(risk: Sequence[float]) -> float:
    """Return the upper end of the axis of a cost chart.

    >>> most_of([0.01, 0.12])
    0.5
    """
    top = max([0.5, *risk])
    return top if top <= 1 else math.ceil(top)


def line(points: Sequence[Point]) -> str:
    """Return a test over its runs: the values joined, each with its interval and verdict."""
    marks = [m for p in points for m in (p["value"], p["low"], p["high"]) if m is not None]
    if all(p["value"] is None for p in points):
        return ""
    low, high = span_of(marks, False)
    wide, tall = 170, 34
    step = (wide - 16) / max(len(points) - 1, 1)

    def y(v: float) -> float:
        return tall - 4 - (v - low) / (high - low) * (tall - 8)

    path, dots = [], []
    for i, p in enumerate(points):
        value = p["value"]
        if value is None:
            continue
        x = 8 + i * step
        path.append(f"{x:.1f} {y(value):.1f}")
        about = f"{p['ran_at']}, {p['model']}: {p['verdict']}\n{value:.4g}"
        whisker = ""
        if p["low"] is not None and p["high"] is not None:
            about += f" [{p['low']:.4g}, {p['high']:.4g}]"
            whisker = (
                f'<line stroke="currentColor" opacity=".45" x1="{x:.1f}" x2="{x:.1f}" '
                f'y1="{y(p["low"]):.1f}" y2="{y(p["high"]):.1f}"/>'
            )
        dots.append(
            f'<g class="{p["verdict"]}">{tip(about)}{whisker}<circle class="at" cx="{x:.1f}" '
            f'cy="{y(value):.1f}" r="3.6"/></g>'
        )
    return (
        f'<svg class="inline" width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}" '
        f'role="img" aria-label="values over the runs"><path class="thin" d="M{"L".join(path)}"/>'
        f"{''.join(dots)}</svg>"
    )
