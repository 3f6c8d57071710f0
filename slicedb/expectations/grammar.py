"""Parse and print expectations, such as `accuracy of Dessert >= 85%`.

<metric> [at iou <x> [and confidence <y>]] [of <class> | per class] <op> <number>
<metric> [of <class> | per class] no worse than <model | baseline> [by <margin>]
count <op> <number>
share of <split> <op> <number>
invariance(<behaviour>) <op> <number>
direction(foreground) <op> <number>
accuracy under <corruption> [at <severity>] <op> <number>
accuracy over compositions <op> <number>
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from slicedb import metrics
from slicedb.errors import CheckError, did_you_mean
from slicedb.expectations.behaviours import COMPOSITIONS, DIRECTIONS, SURROUNDINGS, Change, change
from slicedb.expectations.corruption import CORRUPTIONS

Op = Literal[">=", ">", "<=", "<"]

BASELINE = "baseline"
"""The word that stands for the baseline named when the suite is run."""

_WORDS = ("count", "share")

BEHAVIOURS = ("invariance", "direction")
"""Rates of what a model should not, or should, mind."""
_METRIC = re.compile(r"[A-Za-z][\w-]*(?:@[\d.]+)?(?::[\d.]+)?")
_IOU = re.compile(r"\s+at\s+iou\s+([\d.]+)", re.IGNORECASE)
_SURE = re.compile(r"(?:\s+at|\s+and|\s*,)\s+confidence\s+([\d.]+)", re.IGNORECASE)
_PER_CLASS = re.compile(r"\s+per\s+class\b")
_OF = re.compile(r"\s+of\s+(?:'([^']+)'|\"([^\"]+)\"|(.+?))(?=\s*(?:[<>=!≥≤]|\sno\s+worse\b)|\s*$)")
_CHANGE = re.compile(r"\s*\(\s*([\w-]*)(?:\s+at\s+(\d+))?\s*\)")
_UNDER = re.compile(r"\s+(?:under|over)\s+([\w-]+)(?:\s+at\s+(\d+))?")
_OP = re.compile(r"\s*(>=|<=|>|<|≥|≤|==|=|!=)")
_WORSE = re.compile(r"\s+no\s+worse\s+than\b")
_MODEL = re.compile(r"\s+(?:'([^']+)'|\"([^\"]+)\"|(\S+))")
_BY = re.compile(r"\s+by\b")
_NUMBER = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)\s*(%?)")
_SAME = {"≥": ">=", "≤": "<="}


@dataclass(frozen=True)
class Check:
    """One expectation; `str` gives its text in the canonical form.

    >>> str(parse_check("acc  of 'Dessert' >=85%"))
    'accuracy of Dessert >= 0.85'
    """

    metric: str
    """Canonical name of a metric, "count" or "share"."""
    op: Op = ">="
    """How the value compares with the bound; unused against a baseline."""
    bound: float = 0.0
    """The number compared with."""
    of: str | None = None
    """The class, or the split of a share."""
    per_class: bool = False
    """Whether it speaks of every class by itself."""
    baseline: str | None = None
    """The model compared with (`BASELINE` stands for the suite's); None for a plain bound."""
    margin: float = 0.0
    """How much worse than the baseline is tolerated, not negative."""
    change: Change | None = None
    """What is changed about the pictures; None judges them as they are."""

    def __str__(self) -> str:
        words = [self.metric]
        if self.change is not None:
            inside = self.metric in BEHAVIOURS
            between = "over" if self.change.is_composed else "under"
            words = [
                f"{self.metric}({self.change})" if inside else f"accuracy {between} {self.change}"
            ]
        if self.of is not None:
            words += ["of", _quoted(self.of)]
        if self.per_class:
            words += ["per class"]
        if self.baseline is None:
            return " ".join([*words, self.op, _number(self.bound)])
        words += ["no worse than", _quoted(self.baseline)]
        return " ".join([*words, "by", _number(self.margin)] if self.margin else words)


def parse_check(text: str) -> Check:
    """Parse one expectation.

    Args:
        text: in the grammar of this module; numbers may be percents.

    Raises:
        CheckError: with the column, and what was expected there.

    >>> parse_check("accuracy no worse than baseline by 2%").margin
    0.02
    """
    return _Parser(text).check()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text.strip()
        self.at = 0

    def check(self) -> Check:
        metric = self._metric()
        if metric in BEHAVIOURS or (metric == "accuracy" and _UNDER.match(self.text, self.at)):
            return self._end(self._behaviour(metric))
        of = self._of()
        per_class = of is None and self._take(_PER_CLASS) is not None
        self._check_of(metric, of, per_class)
        if self._take(_WORSE):
            check = self._worse(metric, of, per_class)
        else:
            check = self._bound(metric, of, per_class)
        return self._end(check)

    def _end(self, check: Check) -> Check:
        if self.at < len(self.text):
            self._fail("the expectation goes on after its end", "one expectation a line.")
        return check

    def _metric(self) -> str:
        match = self._take(_METRIC)
        if match is None:
            self._fail("an expectation begins with a metric", "such as `accuracy >= 0.9`.")
        name = match[0]
        if name in _WORDS or name in BEHAVIOURS:
            return name
        if iou := self._take(_IOU):
            name += f"@{iou[1]}"
        if sure := self._take(_SURE):
            name += f":{sure[1]}"
        try:
            return metrics.find(name).name
        except CheckError:
            self.at = 0
            choices = [*_WORDS, *BEHAVIOURS, *metrics.names()]
            self._fail(f"there is no metric {name!r}", did_you_mean(name, choices, "metrics"))

    def _behaviour(self, metric: str) -> Check:
        """Parse what follows invariance, direction or accuracy: what is changed, the bound."""
        start = self.at
        match = self._take(_CHANGE if metric in BEHAVIOURS else _UNDER)
        able = {"invariance": (*SURROUNDINGS, *CORRUPTIONS), "direction": DIRECTIONS}
        choices = able.get(metric, (*CORRUPTIONS, COMPOSITIONS))
        if match is None or not match[1]:
            self._fail(f"{metric} of what", f"write `{metric}({choices[0]}) >= 0.8`.")
        try:
            what = change(match[1], None if match[2] is None else int(match[2]))
        except CheckError as error:
            self.at = start
            fact = error.message[0].lower() + error.message[1:].rstrip(".")
            self._fail(
                fact, did_you_mean(match[1], choices, "choices") if match[2] is None else error.hint
            )
        if what.name not in choices:
            self.at = start
            hint = did_you_mean(match[1], choices, "choices")
            self._fail(f"{metric} does not speak of '{what.name}'", hint)
        bound = self._bound("accuracy", None, False)
        return Check(metric, bound.op, bound.bound, change=what)

    def _of(self) -> str | None:
        match = self._take(_OF)
        return None if match is None else next(g for g in match.groups() if g).strip()

    def _check_of(self, metric: str, of: str | None, per_class: bool) -> None:
        if metric == "share" and of is None:
            self._fail("a share is of a split", "write `share of test >= 0.2`.")
        if metric == "count" and (of is not None or per_class):
            self._fail("count counts the slice", "write `count >= 30`.")
        if (of is not None or per_class) and metric not in _WORDS:
            row = metrics.find(metric)
            if row.per_class is None and not row.by_class:
                hint = f"these are: {metrics.per_class()}."
                self._fail(f"{metric} is not defined for one class", hint)

    def _worse(self, metric: str, of: str | None, per_class: bool) -> Check:
        if metric in _WORDS:
            self._fail(f"{metric} does not depend on a model", "compare it with a number.")
        match = self._take(_MODEL)
        if match is None:
            self._fail("a model is missing after 'no worse than'", "name one, or write `baseline`.")
        baseline = next(g for g in match.groups() if g)
        margin = self._value() if self._take(_BY) else 0.0
        if margin < 0:
            self._fail(f"the margin {margin:g} is negative", "write by how much worse it may be.")
        return Check(metric, of=of, per_class=per_class, baseline=baseline, margin=margin)

    def _bound(self, metric: str, of: str | None, per_class: bool) -> Check:
        start = self.at
        match = self._take(_OP)
        if match is None:
            hint = "write `>= 0.9`, or `no worse than baseline by 0.02`."
            self._fail("a comparison is expected here", hint)
        op = _SAME.get(match[1], match[1])
        if op not in (">=", ">", "<=", "<"):
            self.at = start + len(match[0]) - len(match[1])
            self._fail(f"{op!r} is no comparison of an expectation", "use >=, >, <= or <.")
        bound = self._value()
        shares = metric == "share" or (metric != "count" and metrics.find(metric).is_share)
        if shares and not 0 <= bound <= 1:
            hint = f"write {bound:g}% or {bound / 100:g}." if bound <= 100 else ""
            self._fail(f"{metric} lies between 0 and 1, the bound is {bound:g}", hint)
        return Check(metric, op, bound, of, per_class)  # type: ignore[arg-type]

    def _value(self) -> float:
        match = self._take(_NUMBER)
        if match is None:
            self._fail("a number is expected here", "such as 0.9 or 90%.")
        return float(match[1]) / 100 if match[2] else float(match[1])

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def _fail(self, fact: str, hint: str) -> NoReturn:
        column = self.at + len(self.text[self.at :]) - len(self.text[self.at :].lstrip()) + 1
        raise CheckError(f"In {self.text!r}, column {column}: {fact}.", hint)


def _quoted(name: str) -> str:
    """Return the name as it parses back: bare where it can be."""
    if re.fullmatch(r"[\w./-]+", name):
        return name
    return f'"{name}"' if "'" in name else f"'{name}'"


def _number(x: float) -> str:
    return str(int(x)) if x == int(x) and abs(x) < 1e15 else repr(x)
