"""Decide verdicts from evidence, all tests of the suite counted, each in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from slicedb import stats
from slicedb.errors import SliceError, did_you_mean
from slicedb.judge.evidence import Evidence
from slicedb.judge.looks import FIRST, Looks, best_of
from slicedb.judge.needs import Levels, Needs, needs
from slicedb.judge.results import Result, Verdict
from slicedb.keys import distinct
from slicedb.metrics import Membership
from slicedb.metrics.outcomes import Floats
from slicedb.show.numbers import count, verb

DROP = 0.02
"""The drop in accuracy whose sample size an undecided comparison names."""

_FLIPS = 10_000


Correction = Literal["auto", "holm", "max-t", "benjamini-hochberg", "none"]

CORRECTIONS = ("auto", "holm", "max-t", "benjamini-hochberg", "none")
"""How the tests of a suite are counted; "auto" is max-T where it applies and Holm elsewhere."""

Guard = Literal["fail", "pass"]

GUARDS = ("fail", "pass")
"""Errors that are controlled over the whole suite: false FAIL alone, or false PASS, too."""

MINIMUM = 10
"""Samples below which a slice reports but does not gate."""


@dataclass(frozen=True)
class SuiteSettings:
    """How verdicts are reached.

    Raises:
        SliceError: a setting is not right.
    """

    confidence: float = 0.95
    """Of each one-sided bound."""
    correction: Correction = "auto"
    """How the tests of the suite are counted."""
    minimum: int = MINIMUM
    """Samples below which a slice reports but does not gate."""
    detect: float | None = None
    """The drop in accuracy that must not be missed; None treats all slices alike."""

    guard: Guard = "fail"
    """Which errors are controlled over the whole suite: false FAIL alone, or false PASS, too."""
    sequential: bool = False
    """Whether all looks at an expectation together keep the error rate, instead of each alone."""

    def __post_init__(self) -> None:
        if not 0.5 < self.confidence < 1:
            raise SliceError(f"confidence is {self.confidence}.", "a number such as 0.95.")
        if self.correction not in CORRECTIONS:
            hint = did_you_mean(self.correction, CORRECTIONS, "corrections")
            raise SliceError(f"correction is {self.correction!r}.", hint)
        if self.guard not in GUARDS:
            hint = did_you_mean(self.guard, GUARDS, "guards")
            raise SliceError(f"guard is {self.guard!r}.", hint)
        if self.detect is not None and not 0 < self.detect < 1:
            raise SliceError(f"detect is {self.detect}.", "a drop in accuracy such as 0.05.")

    @property
    def alpha(self) -> float:
        """The error rate."""
        return 1 - self.confidence


def verdicts(
    evidence: Sequence[Evidence], settings: SuiteSettings, looks: Sequence[Looks] | None = None
) -> tuple[Result, ...]:
    """Return the results of a suite, in the order of the evidence.

    Args:
        evidence: of each expectation.
        settings: how verdicts are reached.
        looks: at each expectation, that of now included; None takes it for the first.
    """
    counted = adjusted(evidence, settings).tolist()
    together = adjusted_pass(evidence, settings).tolist()
    tests = 1 if settings.correction == "none" else sum(not np.isnan(p) for p in counted)
    return tuple(
        _result(_Case(e, p, q, settings, tests, at))
        for e, p, q, at in zip(evidence, counted, together, looks or [FIRST] * len(evidence))
    )


@dataclass(frozen=True)
class _Case:
    """The evidence for one expectation, with everything that its verdict depends on."""

    evidence: Evidence
    p_suite: float
    """p with all tests of the suite counted; NaN where it takes no part."""
    p_pass_suite: float
    """The same of the null hypothesis that the expectation does not hold."""
    settings: SuiteSettings
    tests: int = 1
    """Tests of the suite that take part."""
    looks: Looks = FIRST
    """Looks at the expectation."""

    @property
    def by_value(self) -> bool:
        return self.evidence.trial.scope.slice.decide == "point"

    @property
    def gates(self) -> bool:
        return self.evidence.gates(self.settings.minimum)

    @cached_property
    def p(self) -> float:
        """p with everything counted: at most the error rate where the expectation fails."""
        return self._counting_looks(self.evidence.p, self.p_suite)

    @cached_property
    def p_pass(self) -> float:
        """The same for PASS."""
        return self._counting_looks(self.evidence.p_pass, self.p_pass_suite)

    def _counting_looks(self, alone: float, in_suite: float) -> float:
        """Return a p-value with all looks counted, in units in which the error rate is its level.

        What the suite makes of p says among how many independent tests it is counted.
        """
        if not self.settings.sequential or np.isnan(in_suite):
            return in_suite
        alpha = self.settings.alpha
        level = self.looks.level(alpha / self._among(alone, in_suite))
        return min(1.0, alpha * alone / level)

    def _among(self, alone: float, in_suite: float) -> float:
        return min(max(in_suite / alone, 1.0), float(self.tests)) if alone > 0 else self.tests

    @property
    def bounds_level(self) -> float:
        """The level of each bound of the interval."""
        alpha = self.settings.alpha
        return self.looks.level(alpha) if self.settings.sequential else alpha

    @property
    def is_significant(self) -> bool:
        return self.p <= self.settings.alpha and not self.evidence.holds

    @property
    def is_shown(self) -> bool:
        counted = self.settings.guard == "fail" or self.p_pass <= self.settings.alpha
        return self.evidence.is_shown and counted

    @cached_property
    def luck(self) -> float:
        """By how much the best of as many equal candidates looks better, at most."""
        e = self.evidence
        if self.looks.candidates < 2 or e.trial.is_exact or np.isnan(e.low):
            return float("nan")
        toward = e.high if e.trial.rises else e.low
        error = abs(toward - e.value) / stats.intervals.quantile(1 - self.bounds_level, 1)
        return best_of(self.looks.candidates) * error

    @cached_property
    def needed(self) -> Needs | None:
        """Samples that would settle it, None where no number does."""
        if self.evidence.trial.is_exact or np.isnan(self.evidence.value):
            return None
        least, level = self.evidence.least(self.settings.minimum), self.bounds_level
        among = 1 if self.settings.guard == "fail" else self.tests
        levels = Levels(level, level / among, level / max(self.tests, 1))
        return needs(self.evidence, levels, least)


@dataclass(frozen=True)
class _Rule:
    applies: Callable[[_Case], bool]
    verdict: Verdict
    sentence: Callable[[_Case], str]
    """What was found and what it means."""


def _exact(case: _Case) -> str:
    value = case.evidence.value
    return f"{value:,.0f}" if case.evidence.trial.check.metric == "count" else f"{value:.4f}"


def _figures(case: _Case) -> str:
    """Return the value with its interval and the samples that it rests on."""
    e, trial = case.evidence, case.evidence.trial
    value = f"{e.value:+.4f}" if trial.check.baseline else f"{e.value:.4f}"
    spread = "" if np.isnan(e.low) else f" [{e.low:.4f}, {e.high:.4f}]"
    text = f"{value}{spread}, n = {e.n:,}"
    if e.failures is not None and e.failures.basis:
        text += f", {e.failures.basis}"
    if e.groups is not None:
        text += f" in {count(e.units or 0, 'group')}"
    if e.carriers is not None:
        text += f", about {e.carriers:.0f} of which make the whole difference"
    if e.left_out:
        what = "not seen by both models" if trial.check.baseline else "without label or prediction"
        text += f" ({e.left_out:,} {what} left out)"
    return text


def _too_small(case: _Case) -> str:
    units = "samples" if case.evidence.groups is None else "groups"
    least = case.evidence.least(case.settings.minimum)
    return f"{_figures(case)}; below {least} {units} a slice reports but does not gate"


def _chosen(case: _Case) -> str:
    by = case.evidence.trial.chosen_by
    return (
        f"{_figures(case)}; the outputs of {by} choose the slice, so that the other model looks "
        "different in it by chance alone: it reports but does not gate. Choose by metadata or by "
        "a third model, or freeze the slice before the model under test predicts"
    )


def _doubtful(case: _Case) -> str:
    size = len(case.evidence.trial.scope.keys)
    parts = [
        f"{n:,} of {count(size, 'picture')} {verb(n, 'has', 'have')} no row in the detections of "
        f"{model}"
        for model, n in case.evidence.doubtful
    ]
    return (
        f"{_figures(case)}; {' and '.join(parts)}, and whatever was missed there is not counted: "
        "it reports but does not pass. Log them with looked_at= (--looked-at) if nothing was found"
    )


def _undecided(case: _Case) -> str:
    needed, confidence = case.needed, case.settings.confidence
    if needed is None:
        why = f"no number of samples settles it at {confidence:.0%}, leave a margin"
    else:
        why = str(needed)
    counted = "all tests and looks" if case.settings.sequential else "all tests of the suite"
    if not case.evidence.holds and case.evidence.p <= 1 - confidence:
        why = f"significant alone, not with {counted} counted; {why}"
    elif case.evidence.is_shown:
        why = f"shown alone, not with {counted} counted (guard: pass); {why}"
    return f"{_figures(case)}; {why}{_drop_needs(case.evidence, confidence)}"


def _drop_needs(evidence: Evidence, confidence: float) -> str:
    """Return the images that a drop of `DROP` takes, for comparisons of right and wrong."""
    if evidence.gains is None or evidence.groups is not None or not evidence.n:
        return ""
    differ = max(DROP, np.count_nonzero(evidence.gains.values) / evidence.n)
    n = stats.n_for_paired(differ, DROP, confidence)
    return f"; detecting a {100 * DROP:g}-point drop here needs {count(n, 'image')}"


def _counted(case: _Case) -> str:
    return "all tests and looks" if case.settings.sequential else "all tests"


def _looks(case: _Case) -> str:
    """Return how often the expectation was judged, and what that is worth; "" the first time."""
    looks = case.looks
    if looks.times < 2 or case.evidence.trial.is_exact:
        return ""
    text = f"this is {looks}"
    if looks.candidates > 1 and not case.settings.sequential and not np.isnan(case.luck):
        text += (
            f"; by luck alone the best of {count(looks.candidates, 'equal candidate')} looks up to "
            f"{case.luck:.2g} better"
        )
    return text


_ALONE: Callable[[_Case], str] = lambda case: f"{_figures(case)}; decided by the value alone"  # noqa: E731

RULES: tuple[_Rule, ...] = (
    _Rule(
        lambda case: bool(np.isnan(case.evidence.value)),
        "INCONCLUSIVE",
        lambda case: f"undefined: {case.evidence.undefined}",
    ),
    _Rule(lambda case: case.evidence.trial.is_exact and case.evidence.holds, "PASS", _exact),
    _Rule(lambda case: case.evidence.trial.is_exact, "FAIL", _exact),
    _Rule(
        lambda case: case.by_value and case.evidence.holds and bool(case.evidence.doubtful),
        "INCONCLUSIVE",
        _doubtful,
    ),
    _Rule(lambda case: case.by_value and case.evidence.holds, "PASS", _ALONE),
    _Rule(lambda case: case.by_value, "FAIL", _ALONE),
    _Rule(lambda case: bool(case.evidence.trial.chosen_by), "INCONCLUSIVE", _chosen),
    _Rule(lambda case: not case.gates, "INCONCLUSIVE", _too_small),
    _Rule(
        lambda case: case.is_significant,
        "FAIL",
        lambda case: f"{_figures(case)}; p = {case.p:.2g} with {_counted(case)} counted",
    ),
    _Rule(lambda case: bool(case.evidence.doubtful), "INCONCLUSIVE", _doubtful),
    _Rule(lambda case: case.is_shown, "PASS", _figures),
    _Rule(lambda case: True, "INCONCLUSIVE", _undecided),
)
"""The first rule that applies gives the verdict and its sentence."""


def _result(case: _Case) -> Result:
    e, trial = case.evidence, case.evidence.trial
    rule = next(rule for rule in RULES if rule.applies(case))
    looks = FIRST if trial.is_exact else case.looks
    failures = "" if e.failures is None else e.failures.text
    parts = (rule.sentence(case), failures, trial.note, _looks(case))
    return Result(
        slice=trial.scope.slice.title,
        check=str(trial.check),
        model=trial.model,
        verdict=rule.verdict,
        value=e.value,
        low=e.low,
        high=e.high,
        n=e.n,
        left_out=e.left_out,
        needed=case.needed.n if rule.verdict == "INCONCLUSIVE" and case.needed else None,
        baseline=trial.check.baseline,
        p=e.p,
        p_adjusted=case.p,
        message="; ".join(part for part in parts if part),
        worst_ids=e.worst,
        suite=trial.scope.slice.suite,
        path=trial.scope.slice.path,
        bound=trial.bound,
        expectation=trial.expectation,
        metric=trial.check.metric,
        is_share=trial.is_share,
        looks=max(looks.times, 1),
        looked_at=dict(looks.models),
        candidates=looks.candidates,
        luck=case.luck,
    )


# --- all tests counted ----------------------------------------------------------------------------


def adjusted(evidence: Sequence[Evidence], settings: SuiteSettings) -> Floats:
    """Return float64 (n,): p with all tests of the suite counted, NaN where one takes no part.

    Comparisons with one baseline, whatever their margins, go to max-T where they agree on what is
    right and on what is independent, the others to Holm; each family gets its share of the error
    rate (Bonferroni over the families).
    """
    result = np.full(len(evidence), np.nan)
    families: dict[str, list[int]] = {}
    for i, e in enumerate(evidence):
        if not np.isnan(e.p) and _takes_part(e, settings):
            families.setdefault(_family(e, settings.correction), []).append(i)
    total = sum(map(len, families.values()))
    for name, members in families.items():
        part = len(members) / total
        family = [evidence[i] for i in members]
        if name:
            p = _max_t(family, settings.detect, settings.alpha * part)
        else:
            p = _by_p([e.p for e in family], settings.correction)
        result[members] = np.minimum(1.0, p / part)
    return result


def adjusted_pass(evidence: Sequence[Evidence], settings: SuiteSettings) -> Floats:
    """Return float64 (n,): the p-values of PASS with all tests of the suite counted (Holm).

    Where the guard is "fail" each stands alone. NaN where one takes no part.
    """
    p = np.array([e.p_pass if _takes_part(e, settings) else np.nan for e in evidence])
    return stats.holm(p) if settings.guard == "pass" else p


def _takes_part(e: Evidence, settings: SuiteSettings) -> bool:
    by_interval = e.trial.scope.slice.decide == "interval"
    decides = by_interval and not e.trial.is_exact and not e.trial.chosen_by
    return decides and e.gates(settings.minimum)


def _family(e: Evidence, correction: str) -> str:
    """Return the comparisons that max-T takes together, "" for what is judged by its p alone."""
    if e.gains is None or correction not in ("auto", "max-t"):
        return ""
    return f"{e.gains.right_by}, {e.trial.group}, {e.trial.check.baseline}"


def _by_p(p: Sequence[float], correction: str) -> Floats:
    if correction == "none":
        return np.asarray(p)
    method = stats.benjamini_hochberg if correction == "benjamini-hochberg" else stats.holm
    return method(p)


def _max_t(family: Sequence[Evidence], detect: float | None, alpha: float) -> Floats:
    """Return step-down max-T p-values over comparisons with one baseline."""
    if len(family) == 1 and family[0].groups is None:
        return np.array([family[0].p])  # exact, without random flips
    union = distinct(np.concatenate([e.rows for e in family]))
    positions = [np.searchsorted(union, e.rows) for e in family]
    gains = [e.gains.values for e in family if e.gains is not None]
    d, groups = np.zeros(len(union)), np.arange(len(union))
    for e, at, values in zip(family, positions, gains):
        d[at] = values
        if e.groups is not None:
            groups[at] = e.groups
    weights = None
    if detect is not None:
        discordant = [int(np.count_nonzero(values)) for values in gains]
        weights = stats.detection_weights([e.n for e in family], discordant, detect, alpha)
    p = stats.max_t(
        d,
        Membership(positions, len(union)).matrix,
        margins=[e.trial.check.margin for e in family],
        groups=None if family[0].groups is None else groups,
        weights=weights,
        replicates=_FLIPS,
    ).p
    return np.where(np.isnan(p), 1.0, p)
