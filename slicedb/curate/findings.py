"""What a discovery found: where a model errs more than elsewhere, each a query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from slicedb.show import numbers
from slicedb.show.tabular import Grid, Part, Tabular

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST = 60
"""Letters of a name that is made from a query."""


@dataclass(frozen=True)
class Finding:
    """Samples on which a model errs more than on the others.

    Found on one half of the samples; every rate and the p-value are of the other half.
    """

    query: str
    """The samples, as a predicate."""
    kind: str
    """What it speaks of: columns, meaning, vectors, or several of these."""
    confirmed: bool
    """Whether the other half agrees, after correction for how many findings there are."""
    n: int
    """Samples in both halves."""
    n_errors: float
    """Errors among them, or their sum of losses."""
    share_of_errors: float
    """Of all errors."""
    n_tested: int
    error: float
    """Mean error on the half where nothing was chosen."""
    low: float
    high: float
    rest: float
    """Mean error of the samples that are not in it."""
    rest_low: float
    rest_high: float
    p: float
    """That it errs no more than the rest, nor does the part of it that no finding before it has;
    adjusted for the number of findings (Holm)."""
    found_error: float
    """Mean error on the half it was found on; flattered by the choice."""
    score: float
    """SliceLine's, on that half."""
    overlap: float
    """Share of its samples that findings before it have."""
    name: str
    """What it would be called as a slice."""
    like: tuple[str, ...] = ()
    """Phrases that its samples are more similar to than others are, of a finding by vectors."""
    slice: str = ""
    """The slice that it was registered as."""


@dataclass(frozen=True)
class Discovery(Tabular):
    """Where a model errs more than elsewhere."""

    model: str
    measure: Literal["error", "loss"]
    """Whether a sample is right or wrong, or how wrong it is."""
    n: int
    """Samples judged."""
    n_errors: float
    """Errors among them, or their sum of losses."""
    left_out: int
    """Samples asked for without a ground truth or a prediction."""
    n_found: int
    """Samples of the half that was searched."""
    findings: tuple[Finding, ...]
    """The one with most evidence first; each adds something to those before it."""
    unexplained: float
    """Share of the errors that no confirmed finding has."""
    unexplained_query: str
    """The samples that no confirmed finding has and that are wrong; "" where losses are meant."""
    columns: tuple[str, ...]
    """Columns that were searched."""
    phrases: int
    """Phrases that were."""
    embedding: str
    """Whose vectors were; "" where none were."""
    confidence: float
    expectation: str = ""
    """What a slice is expected to reach: what the model reaches on all samples."""
    notes: tuple[str, ...] = ()

    @property
    def confirmed(self) -> tuple[Finding, ...]:
        """The findings that the other half agrees with."""
        return tuple(f for f in self.findings if f.confirmed)

    def to_arrow(self) -> pa.Table:
        """Return one row per finding."""
        import pyarrow as pa

        rows = [asdict(finding) for finding in self.findings]
        return pa.Table.from_pylist(rows, _schema())

    def parts(self) -> Iterable[Part]:
        """Yield what was judged, the findings, and what they leave unexplained."""
        yield self._judged()
        if not self.findings:
            yield f"Nothing was found: {self._searched()} tell no samples with more {self._what}."
        else:
            yield ""
            yield Grid(*self._grid(), align="<<>>><<>")
            rest = numbers.count(self.n - self.n_found, "sample")
            yield (
                f"error and rest: on the {rest} that nothing was chosen on, in brackets the "
                f"{self.confidence:.0%} interval; p: Holm over "
                f"{numbers.count(len(self.findings), 'finding')}"
            )
            yield self._explained()
        for k, finding in enumerate(self.findings, 1):
            if finding.like:
                yield f"finding {k} looks like: {', '.join(finding.like)}"
        named = [f for f in self.findings if f.slice]
        for finding in named:
            yield f"slice {finding.slice}: expects {self.expectation}"
        if self.confirmed and not named:
            first = self.confirmed[0]
            yield f'name one: slicedb slice add {first.name} "{_shell(first.query)}"'
        yield from self.notes

    @property
    def _what(self) -> str:
        return "errors" if self.measure == "error" else "loss"

    def _judged(self) -> str:
        rate = self.n_errors / self.n
        samples = numbers.count(self.n, "sample")
        if self.measure == "error":
            errors = numbers.count(round(self.n_errors), "error")
            said = f"{errors} in {samples} ({numbers.percent(rate)})"
        else:
            said = f"a mean loss of {numbers.number(rate)} over {samples}"
        return f"{self.model}: {said}, {self.left_out:,} left out; searched {self._searched()}"

    def _searched(self) -> str:
        parts = [numbers.count(len(self.columns), "column")] if self.columns else []
        parts += [numbers.count(self.phrases, "phrase")] if self.phrases else []
        parts += [f"the vectors of '{self.embedding}'"] if self.embedding else []
        return ", ".join(parts) or "nothing"

    def _explained(self) -> str:
        query = f": {self.unexplained_query}" if self.unexplained_query else ""
        are = "are" if self.measure == "error" else "is"
        share = numbers.percent(self.unexplained)
        return f"{share} of the {self._what} {are} in no confirmed finding{query}"

    def _grid(self) -> tuple[Sequence[str], list[Sequence[object]]]:
        show = numbers.percent if self.measure == "error" else numbers.number
        head = ["finding", "confirmed", "n", "of errors", "tested", "error", "rest", "p"]
        rows: list[Sequence[object]] = [
            (
                f.query,
                "yes" if f.confirmed else "no",
                f.n,
                numbers.percent(f.share_of_errors),
                f.n_tested,
                f"{show(f.error)} ({show(f.low)} to {show(f.high)})",
                f"{show(f.rest)} ({show(f.rest_low)} to {show(f.rest_high)})",
                numbers.number(f.p),
            )
            for f in self.findings
        ]
        return head, rows


def _shell(text: str) -> str:
    """Return a text as it stands between double quotes in a shell."""
    return re.sub(r'(["\\$`])', r"\\\1", text)


def _schema() -> pa.Schema:
    from slicedb.schema import schema_of

    return schema_of(
        """
        query string, kind string, confirmed bool, n int64, n_errors float64
        share_of_errors float64, n_tested int64, error float64, low float64, high float64
        rest float64, rest_low float64, rest_high float64, p float64, found_error float64
        score float64, overlap float64, name string, like string[], slice string
        """
    )


def name_of(conditions: Sequence[str]) -> str:
    """Return a name for the slice of some conditions.

    >>> name_of(["cutlery = 'fork'", "label IS NULL", "matches('at night')"])
    'cutlery_fork_label_null_at_night'
    >>> name_of(["similarity(sample('b/7.png'), without(sample('b/9.png'))) >= 0.31", "n >= 2.5"])
    'like_7_n_from_2_5'
    """
    words = "_".join(_named(text) for text in conditions)
    name = re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]+", "_", words)).strip("_").lower()
    name = name[:_LONGEST].strip("_")
    return name if name[:1].isalpha() else f"found_{name}".strip("_")


def _named(text: str) -> str:
    if sample := re.match(r"similarity\(sample\('(?:[^']*/)?([^'/]*?)(?:\.\w+)?'\)", text):
        return f"like_{sample[1]}"
    if phrase := re.match(r"(?:matches|similarity)\('((?:[^']|'')*)'", text):
        return phrase[1]
    if word := re.match(r"regexp_matches\((.*?), '\(\?i\)\(\^\|\[\^a-z0-9\]\)(\w+)", text):
        return f"{word[1]}_{word[2]}"
    for sign, said in ((">=", "from"), ("<", "below"), (" IS ", " "), (" AND ", " ")):
        text = text.replace(sign, f" {said} ")
    return re.sub(r"count_objects|list_contains", "", text)
