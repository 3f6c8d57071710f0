"""Draw curves with axes: several series with their bands, marks on the axis, and a key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from slicedb.show.charts import Point, span_of
from slicedb.show.html import escape
from slicedb.show.numbers import count, number

WIDE, TALL = 420, 240
"""Pixels inside the axes."""

_LEFT, _TOP, _RIGHT, _BELOW = 62, 12, 16, 44
_MOST = 300
"""Points of a curve that are drawn."""
_SERIES = 8
"""Colours of series."""


@dataclass(frozen=True)
class Series:
    """One curve."""

    name: str
    x: Sequence[float]
    """Rising."""
    y: Sequence[float]
    """NaN interrupts the curve."""
    low: Sequence[float] = ()
    """Lower end of the interval at each point; () draws no band."""
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """A vertical line at a value of x."""

    x: float
    text: str
    low: float = math.nan
    """Lower end of its interval; NaN draws none."""
    high: float = math.nan


@dataclass(frozen=True)
class Axes:
    """What the axes say, and which values they end at."""

    across: str
    down: str
    x: tuple[float, float] = (0.0, 1.0)
    y: tuple[float, float] = (0.0, 1.0)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point is drawn; values beyond the axes lie on their edge."""
        return (
            WIDE * _share(x, self.x),
            TALL * (1 - _share(y, self.y)),
        )


def lines(series: Sequence[Series], axes: Axes, title: str, marks: Sequence[Mark] = ()) -> str:
    """Return the chart of curves as SVG.

    Its title and a description with the ends of each curve are there for screen readers; curves
    differ in dashes as well as in colours.

    Args:
        series: at most eight have a colour of their own.
        axes: where they lie.
        title: what the chart shows, with the number of samples.
        marks: vertical lines, such as the threshold that is used.
    """
    parts = [_frame(axes)]
    for k, one in enumerate(series):
        at = _thinned(len(one.x))
        if one.low:
            parts.append(_band(one, at, axes, k))
        parts.append(_curve(one, at, axes, k))
    parts += [_mark(mark, axes) for mark in marks]
    keys = [(f"c{k % _SERIES + 1}", one.name) for k, one in enumerate(series)]
    parts.append(_key(keys if len(keys) > 1 else []))
    about = "; ".join([*map(_said, series), *(f"{m.text} at {number(m.x)}" for m in marks)])
    return _svg(parts, title, about, 22 if len(keys) > 1 else 0)


def trend(points: Sequence[Point], title: str, down: str, bound: float = math.nan) -> str:
    """Return a test over its runs as SVG: values with intervals, and the bound as a dashed line.

    Args:
        points: oldest first.
        title: what is tested.
        down: the metric.
        bound: NaN leaves it out.
    """
    known = [m for p in points for m in (p["value"], p["low"], p["high"]) if m is not None]
    ends = span_of([*known, *([] if math.isnan(bound) else [bound])], False)
    axes = Axes("run", down, (0.5, len(points) + 0.5), ends)
    parts, path = [_frame(axes, whole=True)], []
    if not math.isnan(bound):
        _, y = axes.at(1, bound)
        parts.append(f'<line class="bound" x1="0" x2="{WIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for k, p in enumerate(points, 1):
        if p["value"] is None:
            continue
        x, y = axes.at(k, p["value"])
        path.append(f"{x:.1f} {y:.1f}")
        parts.append(_run(p, x, y, axes))
    if path:
        parts.insert(1, f'<path class="thin" d="M{"L".join(path)}"/>')
    last = next((p for p in reversed(points) if p["value"] is not None), None)
    about = "no run has a value" if last is None else f"last: {_of_run(last)}"
    return _svg(parts, f"{title}, {count(len(points), 'run')}", about)


def _run(p: Point, x: float, y: float, axes: Axes) -> str:
    whisker = ""
    if p["low"] is not None and p["high"] is not None:
        (_, low), (_, high) = axes.at(0, p["low"]), axes.at(0, p["high"])
        whisker = f'<line class="iv" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>'
    return (
        f'<g class="{p["verdict"]}"><title>{escape(_of_run(p))}</title>{whisker}'
        f'<circle class="at" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/></g>'
    )


def _of_run(p: Point) -> str:
    ends = "" if p["low"] is None else f" [{number(p['low'])}, {number(p['high'])}]"
    return f"{p['ran_at']}, {p['model']}: {p['verdict']}, {number(p['value'])}{ends}"


def _said(one: Series) -> str:
    known = [(x, y) for x, y in zip(one.x, one.y) if math.isfinite(y)]
    if not known:
        return f"{one.name}: undefined"
    (first, start), (last, end) = known[0], known[-1]
    best = max(y for _, y in known)
    least = min(y for _, y in known)
    return (
        f"{one.name}: {number(start, 3)} at {number(first, 3)}, {number(end, 3)} at "
        f"{number(last, 3)}, between {number(least, 3)} and {number(best, 3)}"
    )


def _svg(parts: Sequence[str], title: str, about: str, below: int = 0) -> str:
    wide, tall = _LEFT + WIDE + _RIGHT, _TOP + TALL + _BELOW + below
    return (
        f'<svg class="chart" viewBox="{-_LEFT} {-_TOP} {wide} {tall}" width="{wide}" '
        f'height="{tall}" role="img" aria-label="{escape(f"{title}. {about}")}">'
        f"<title>{escape(title)}</title><desc>{escape(about)}</desc>{''.join(parts)}</svg>"
    )


def _frame(axes: Axes, *, whole: bool = False) -> str:
    """Return the box with its grid, the numbers on it and what they are of."""
    parts = [f'<rect class="axis" width="{WIDE}" height="{TALL}"/>']
    for value in ticks(*axes.x, whole=whole):
        x, _ = axes.at(value, 0)
        parts.append(f'<line class="gridline" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{TALL}"/>')
        parts.append(f'<text x="{x:.1f}" y="{TALL + 16}" text-anchor="middle">{value:g}</text>')
    for value in ticks(*axes.y):
        _, y = axes.at(0, value)
        parts.append(f'<line class="gridline" y1="{y:.1f}" y2="{y:.1f}" x1="0" x2="{WIDE}"/>')
        parts.append(f'<text x="-7" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    across, down = escape(axes.across), escape(axes.down)
    parts.append(f'<text x="{WIDE / 2}" y="{TALL + 35}" text-anchor="middle">{across}</text>')
    parts.append(
        f'<text x="{-TALL / 2}" y="-46" text-anchor="middle" transform="rotate(-90)">{down}</text>'
    )
    return "".join(parts)


def ticks(low: float, high: float, most: int = 6, *, whole: bool = False) -> list[float]:
    """Return round numbers between two ends, about as many as fit.

    >>> ticks(0, 1), ticks(0.713, 0.842), ticks(1, 9, whole=True)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.72, 0.74, 0.76, 0.78, 0.8, 0.82, 0.84], \
[2.0, 4.0, 6.0, 8.0])
    """
    reach = high - low
    if not reach > 0 or not math.isfinite(reach):
        return [low] if math.isfinite(low) else []
    unit = 10.0 ** math.floor(math.log10(reach / most))
    steps = (unit * k for k in (1, 2, 5, 10))
    step = next(s for s in steps if reach / s <= most + 0.5)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def _thinned(n: int) -> list[int]:
    """Return the places that are drawn of n: all, or so many in even steps, with both ends."""
    if n <= _MOST:
        return list(range(n))
    return sorted({round(k * (n - 1) / (_MOST - 1)) for k in range(_MOST)})


def _runs(one: Series, at: Sequence[int], *columns: Sequence[float]) -> list[list[int]]:
    """Return the places of a curve in runs without a gap."""
    runs: list[list[int]] = [[]]
    for i in at:
        if all(math.isfinite(column[i]) for column in (one.x, *columns)):
            runs[-1].append(i)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _curve(one: Series, at: Sequence[int], axes: Axes, k: int) -> str:
    parts = [_path([axes.at(one.x[i], one.y[i]) for i in run]) for run in _runs(one, at, one.y)]
    d = "".join(f"M{part}" for part in parts)
    return f'<path class="series c{k % _SERIES + 1} dash-{k % 4 + 1}" d="{d}"/>'


def _band(one: Series, at: Sequence[int], axes: Axes, k: int) -> str:
    d = ""
    for run in _runs(one, at, one.low, one.high):
        there = [axes.at(one.x[i], one.high[i]) for i in run]
        back = [axes.at(one.x[i], one.low[i]) for i in reversed(run)]
        d += f"M{_path([*there, *back])}Z"
    return f'<path class="band c{k % _SERIES + 1}" d="{d}"/>'


def _mark(mark: Mark, axes: Axes) -> str:
    x, _ = axes.at(mark.x, 0)
    band = ""
    if math.isfinite(mark.low) and math.isfinite(mark.high):
        (start, _), (end, _) = axes.at(mark.low, 0), axes.at(mark.high, 0)
        wide = max(end - start, 1)
        band = f'<rect class="band c8" x="{start:.1f}" y="0" width="{wide:.1f}" height="{TALL}"/>'
    side = "end" if x > WIDE / 2 else "start"
    shift = -5 if side == "end" else 5
    text = (
        f'<text class="key" x="{x + shift:.1f}" y="13" text-anchor="{side}">'
        f"{escape(f'{mark.text} {number(mark.x, 3)}')}</text>"
    )
    line = f'<line class="bound" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{TALL}"/>'
    return f"{band}{line}{text}"


def _key(names: Sequence[tuple[str, str]]) -> str:
    parts, x = [], 0.0
    for k, (colour, name) in enumerate(names):
        y = TALL + 54
        parts.append(
            f'<path class="series {colour} dash-{k % 4 + 1}" d="M{x:.0f} {y - 4}H{x + 22:.0f}"/>'
            f'<text class="key" x="{x + 27:.0f}" y="{y}">{escape(name)}</text>'
        )
        x += 27 + 6.6 * len(name) + 18
    return "".join(parts)


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return min(max((value - low) / ((high - low) or 1.0), 0.0), 1.0)
