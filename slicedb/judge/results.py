"""What a suite's run is told as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Result:
    """One expectation of one slice, judged."""

    slice: str
    check: str
    """The expectation in its canonical form; `per class` is told once a class."""
    model: str
    verdict: Verdict
    value: float
    """The metric, or the difference to the baseline (model - baseline); NaN where undefined."""
    low: float
    """Lower bound; each bound alone holds at the suite's confidence."""
    high: float
    n: int
    """Samples it rests on: with label and prediction, and the baseline's, too."""
    left_out: int = 0
    """Members without label or prediction, or unseen by the baseline."""
    needed: int | None = None
    """Samples that would settle it if the rates stayed as they are; None where none would."""
    baseline: str | None = None
    p: float = float("nan")
    """Evidence against the expectation, alone."""
    p_adjusted: float = float("nan")
    """The same with all tests of the suite counted."""
    message: str = ""
    """One sentence for people."""
    worst_ids: tuple[str, ...] = ()
    """Wrong samples of the slice, highest loss first; against a baseline, those it had right."""
    suite: str = ""
    path: str = ""
    """The slice's file."""
    bound: float = float("nan")
    """The number that the value is compared with."""
    expectation: str = ""
    """What the file says, before classes and the baseline are filled in."""

    @property
    def title(self) -> str:
        """The slice and the expectation in one line."""
        return f"{self.slice}: {self.check}"


@dataclass(frozen=True)
class Report:
    """A suite's run."""

    results: tuple[Result, ...]
    model: str
    baseline: str | None = None
    confidence: float = 0.95
    correction: str = "auto"
    strict: bool = False
    run: str = ""
    """Id of the run in the tables `runs` and `tests`."""
    ran_at: str = ""
    """ISO time, UTC."""
    seconds: float = 0.0
    more: Callable[[], dict[str, Any]] | None = field(default=None, repr=False, compare=False)
    """Gives what only the page needs: thumbnails, maps, costs, history."""
    facts: dict[str, Any] = field(default_factory=dict, repr=False)
    """Tables, fingerprints, queries, software; confusion and calibration for the page."""
    warnings: tuple[str, ...] = ()
    """What to know before the verdicts are believed, such as many looks at a held-out slice."""

    def count(self, verdict: Verdict) -> int:
        """Return how many results have a verdict."""
        return sum(r.verdict == verdict for r in self.results)

    def is_failure(self, result: Result) -> bool:
        """Return whether a result fails the run: FAIL, and when strict INCONCLUSIVE."""
        return result.verdict == "FAIL" or (self.strict and result.verdict == "INCONCLUSIVE")

    @property
    def ok(self) -> bool:
        """Whether nothing fails the run."""
        return not any(self.is_failure(r) for r in self.results)

    @property
    def exit_code(self) -> int:
        """0, or 1 when something fails the run."""
        return 0 if self.ok else 1

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        from slicedb.report import to_text

        return to_text(self)

    def to_json(self) -> str:
        """Return the whole run as JSON."""
        from slicedb.report import to_json

        return to_json(self)

    def to_markdown(self) -> str:
        """Return tables for a pull request."""
        from slicedb.report import to_markdown

        return to_markdown(self)

    def to_junit(self) -> str:
        """Return JUnit XML, one test case an expectation."""
        from slicedb.report import to_junit

        return to_junit(self)

    def to_html(self) -> str:
        """Return one self-contained page that opens offline."""
        from slicedb.report import to_html

        return to_html(self)

    def _repr_html_(self) -> str:
        from slicedb.report import to_html_table

        return to_html_table(self)
