"""The results of a suite: one row per expectation, and the run that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from slicedb.judge.agreement import Agreement
from slicedb.judge.aligned import Aligned
from slicedb.judge.trials import JudgedSlice
from slicedb.judge.truth import OtherTruth
from slicedb.slices import BrokenSlice

Verdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]

NAN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Result:
    """One expectation of one slice, judged."""

    slice: str
    check: str
    """The expectation in its canonical form; `per class` gives one result for each class."""
    model: str
    verdict: Verdict
    value: float
    """The metric, or the difference to the baseline (model - baseline); NaN where undefined."""
    low: float
    """Lower bound; each bound alone holds at the suite's confidence."""
    high: float
    """Upper bound."""
    n: int
    """Samples it rests on: those with label and prediction, and the baseline's prediction too."""
    left_out: int = 0
    """Members without label or prediction, or unseen by the baseline."""
    needed: int | None = None
    """Samples that would settle it if the rates stayed as they are; None where none would."""
    baseline: str | None = None
    p: float = NAN
    """One-sided p-value of the null hypothesis that the expectation holds."""
    p_adjusted: float = NAN
    """The same with all tests of the suite counted."""
    message: str = ""
    """One sentence for people."""
    worst_ids: tuple[str, ...] = ()
    """Wrong samples of the slice, highest loss first; against a baseline, those it had right."""
    suite: str = ""
    """The folder of the slice's file."""
    path: str = ""
    """The slice's file."""
    bound: float = NAN
    """The number that the value is compared with."""
    expectation: str = ""
    """The expectation as the file says it, before classes and the baseline are filled in."""
    metric: str = ""
    """Name of the metric, "count", "share", or the behaviour."""
    is_share: bool = False
    """Whether the metric lies in [0, 1] whatever the data."""
    looks: int = 1
    """How often the expectation was judged, this time included."""
    looked_at: Mapping[str, int] = field(default_factory=dict)
    """Of these how often on which model; empty the first time."""
    candidates: int = 1
    """Distinct candidates that it was judged on: models, each time they were trained again."""
    luck: float = NAN
    """By how much the best of as many equal candidates looks better than it is, at most; NaN for
    one."""

    @property
    def title(self) -> str:
        """The slice and the expectation in one line."""
        return f"{self.slice}: {self.check}"


@dataclass(frozen=True)
class Provenance:
    """What a run rests on."""

    tables: Mapping[str, int] = field(default_factory=dict)
    """Version of each table."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint by model, the one under test first; "" where it is not known."""
    software: str = "{}"
    """Versions of packages, as JSON."""


@dataclass(frozen=True)
class SuiteRun:
    """A suite's run."""

    results: tuple[Result, ...]
    model: str
    baseline: str | None = None
    confidence: float = 0.95
    correction: str = "auto"
    strict: bool = False
    guard: str = "fail"
    """Errors that are controlled over the whole suite: false FAIL, or "pass": false PASS, too."""
    sequential: bool = False
    """Whether verdicts and bounds hold over all looks together."""
    truth: OtherTruth | None = None
    """What the models were judged against, if not the ground truth."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the ground truth, and with each model."""
    run: str = ""
    """Id of the run in the tables `runs` and `tests`."""
    ran_at: str = ""
    """ISO time, UTC."""
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    """What to know before the verdicts are believed, such as many looks at a held-out slice."""
    broken: tuple[BrokenSlice, ...] = ()
    """Slices that could not be asked or judged, with their errors; they fail the run."""
    provenance: Provenance = field(default_factory=Provenance, repr=False)
    scopes: tuple[JudgedSlice, ...] = field(default=(), repr=False, compare=False)
    """The slices, and the samples that they were judged on."""
    aligned: Mapping[str, Aligned] = field(default_factory=dict, repr=False, compare=False)
    """Predictions and ground truth by model, the one under test first."""

    def count(self, verdict: Verdict) -> int:
        """Return how many results have a verdict."""
        return sum(r.verdict == verdict for r in self.results)

    def is_failure(self, result: Result) -> bool:
        """Return whether a result fails the run: FAIL, and when strict INCONCLUSIVE."""
        return result.verdict == "FAIL" or (self.strict and result.verdict == "INCONCLUSIVE")

    @property
    def ok(self) -> bool:
        """Whether nothing fails the run, and every slice could be judged."""
        return not self.broken and not any(self.is_failure(r) for r in self.results)

    @property
    def exit_code(self) -> int:
        """0, or 1 when something fails the run, as pytest has it for failures and errors."""
        return 0 if self.ok else 1

    @property
    def about_truth(self) -> tuple[str, ...]:
        """What the models are judged against, where it is not the ground truth."""
        if self.truth is None:
            return ()
        return f"judged against {self.truth}, not the ground truth", *map(str, self.agreements)

    @property
    def queries(self) -> dict[str, str]:
        """The query text of each slice."""
        return {scope.slice.title: scope.slice.text for scope in self.scopes}
