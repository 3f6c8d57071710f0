"""Style charts, heat maps and pictures once, for notebook, report and page.

Nothing that is drawn carries a style of its own: a page may forbid those (a strict content
security policy), and a theme could not change them. A shade, a width and a colour are classes, and
their rules are written here.

The rules read these custom properties, which each surface defines for its themes: `--line`,
`--soft` and `--card` (colours), `--mark` and `--bad` (hue, saturation and lightness of curves),
`--good-shade` and `--bad-shade` (the same of the cells of a heat map, under text), `--pass`,
`--fail`, `--open`, and `--c1` to `--c8` (series, told apart by the colour-blind, too).
"""

from __future__ import annotations

import re

STEPS = 20
"""Shades of a colour above the faintest."""

_SIDES = range(40, 641, 20)
"""Widths in pixels that a card can have."""

_SHADES = (
    "--good-shade:211 74% 50%;--bad-shade:12 78% 56%",
    "--good-shade:211 70% 44%;--bad-shade:12 62% 44%",
)
"""Of a light and of a dark page: the text on the strongest shade has a contrast of 4.5 or more."""
_COLOURS = (
    "--mark:211 74% 42%;--bad:12 78% 46%;--c1:#0072b2;--c2:#d55e00;--c3:#009e73;--c4:#b2569a;"
    "--c5:#9a6a00;--c6:#3a8fc4;--c7:#6b6b6b;--c8:#7a5cc0",
    "--mark:211 84% 66%;--bad:12 88% 66%;--c1:#4aa8e0;--c2:#f0883e;--c3:#2fc49a;--c4:#dd8cc2;"
    "--c5:#e0b040;--c6:#8ccdf5;--c7:#a8a8a8;--c8:#b19df0",
)
"""Of a light and of a dark page; the series are after Okabe and Ito."""

_CHARTS = """
svg{max-width:100%;height:auto}
svg.inline{vertical-align:middle;max-width:none}
svg text{fill:var(--soft);font-size:12px}
svg .key{font-size:11px}
svg .best{fill:var(--pass);stroke:var(--card);stroke-width:2}
svg .axis{stroke:var(--line);fill:none}
svg .gridline{stroke:var(--line);stroke-dasharray:2 4}
svg .curve{fill:none;stroke:hsl(var(--mark));stroke-width:2}
svg .thin{fill:none;stroke:var(--soft);stroke-width:1.2;stroke-dasharray:4 3}
svg .spot{fill:hsl(var(--mark))}
svg .bin{fill:hsl(var(--mark)/.35)}
svg .whisker{stroke:hsl(var(--mark));stroke-width:1.4}
svg .iv{stroke:currentColor;stroke-width:2.2;stroke-linecap:round}
svg .at{fill:currentColor}
svg .bound{stroke:var(--soft);stroke-width:1.4;stroke-dasharray:3 2}
svg .rail{stroke:var(--line)}
svg .series{fill:none;stroke-width:2;stroke-linejoin:round}
svg .band{stroke:none;opacity:.16}
svg .dash-2{stroke-dasharray:7 3}
svg .dash-3{stroke-dasharray:2 2}
svg .dash-4{stroke-dasharray:9 3 2 3}
.PASS{color:var(--pass)}
.FAIL{color:var(--fail)}
.INCONCLUSIVE{color:var(--open)}
.wide{overflow-x:auto}
.beside{display:flex;flex-wrap:wrap;gap:1rem;margin:.5rem 0}
.heat td,.heat thead th{text-align:center;min-width:3rem}
.heat th:first-child{text-align:left}
"""

_SERIES = "".join(
    f"svg .series.c{k}{{stroke:var(--c{k})}}svg .band.c{k}{{fill:var(--c{k})}}" for k in range(1, 9)
)


def shade(share: float, *, bad: bool = False) -> str:
    """Return the class of a cell whose colour is as strong as a share in [0, 1].

    >>> shade(0.5), shade(1.7), shade(0.02, bad=True)
    ('shade-10', 'shade-20', 'shade-bad-0')
    """
    return f"shade-{'bad-' if bad else ''}{round(STEPS * min(max(share, 0.0), 1.0))}"


def width(side: int) -> str:
    """Return the class of the width of a card: that many pixels, up to the next step.

    >>> width(160), width(175), width(4000)
    ('w-160', 'w-180', 'w-640')
    """
    step = _SIDES.step
    return f"w-{min(max(-(-side // step) * step, _SIDES[0]), _SIDES[-1])}"


def rules(scope: str = "") -> str:
    """Return the CSS rules of everything that `show` draws.

    Args:
        scope: a selector that every rule stands under, such as ".slicedb"; "" is the whole page.
    """
    strong = [0.05 + 0.7 * k / STEPS for k in range(STEPS + 1)]
    shades = [
        f".shade-{kind}{k}{{background:hsl(var(--{colour}-shade)/{a:.2g})}}"
        for kind, colour in (("", "good"), ("bad-", "bad"))
        for k, a in enumerate(strong)
    ]
    widths = [f".w-{side}{{width:{side}px}}" for side in _SIDES]
    css = "".join([_CHARTS.replace("\n", ""), _SERIES, *shades, *widths])
    return re.sub(r"([^{}]+)(\{[^}]*\})", lambda rule: _under(scope, *rule.groups()), css)


def _under(scope: str, selectors: str, body: str) -> str:
    """Return a rule with each of its selectors under another.

    >>> _under(".a", "b,.c", "{d:e}")
    '.a b,.a .c{d:e}'
    """
    lead = f"{scope} " if scope else ""
    return ",".join(f"{lead}{one}" for one in selectors.split(",")) + body


def themes() -> str:
    """Return the rules that define all colours of charts, light and dark."""
    return _themes(*(f"{shades};{colours}" for shades, colours in zip(_SHADES, _COLOURS)))


def shades() -> str:
    """Return the rules that define the colours of shades alone, for a page with its own others."""
    return _themes(*_SHADES)


def _themes(light: str, dark: str) -> str:
    """Return both themes: what the reader chose is `data-theme` of the root, else the system's."""
    return (
        f":root{{{light}}}"
        f"@media(prefers-color-scheme:dark){{:root:not([data-theme=light]){{{dark}}}}}"
        f":root[data-theme=dark]{{{dark}}}"
    )


NOTEBOOK = (
    "<style>"
    ".slicedb{--line:rgba(128,128,128,.35);--soft:#808a97;--ink:currentColor;--card:transparent;"
    f"--pass:#1f8a54;--fail:#d2453a;--open:#b97f12;{_SHADES[0]};{_COLOURS[0]};"
    "font-variant-numeric:tabular-nums}"
    ".slicedb table{border-collapse:collapse;margin:.4rem 0}"
    ".slicedb td,.slicedb th{text-align:left;overflow-wrap:break-word;padding:.2rem .5rem;"
    "border-bottom:1px solid var(--line)}"
    ".slicedb td.n,.slicedb th.n{text-align:right}.slicedb p{white-space:pre-wrap}"
    ".slicedb .soft{color:var(--soft)}"
    ".slicedb .cards{display:flex;flex-wrap:wrap;gap:8px;font-size:11px}"
    ".slicedb .cards img{max-width:100%;display:block}"
    f"{rules('.slicedb')}</style>"
)
"""Notebooks align every cell to the right and know none of our classes unless they are told."""


def sheet() -> str:
    """Return the style sheet of a page that has the other colours: `static/charts.css`."""
    lines = re.sub(r"(?<=\})(?!\})", "\n", shades() + rules())
    return f"/* Written by slicedb/show/style.py, whose test says how. */\n{lines}"
