"""What `labels` says: which labels are likely wrong, each finding with its query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.analysis.shares import check_scope
from slicedb.errors import CheckError
from slicedb.keys import Keys, first_of_each
from slicedb.schema import keys_of, schema_of
from slicedb.show import numbers, queries
from slicedb.show.tabular import Grid, Tabular

if TYPE_CHECKING:
    from slicedb.curate.verdicts import Verdicts
    from slicedb.show.tabular import Part

ROWS = schema_of(
    """
    id! string, kind! string, label string, suggested string, score float64, confidence float64
    object int64, detection int64, query string, verdict string
    """
)
"""One row per likely error: `label` is the one given, `suggested` what the model says instead,
`score` in [0, 1] how sound the label is, `confidence` the model's in what it suggests; of a box,
`object` and `detection` are the indexes of the annotated and of the predicted one; `verdict` is
what people said of it (wrong, right or skip)."""

_MOST_IDS = 1000
"""Ids that a query names; more are named by a tag or a column."""


@dataclass(frozen=True)
class Finding:
    """Likely errors of one kind."""

    name: str
    """Such as "cat as dog" or "overlooked RBC"."""
    kind: str
    label: str | None
    """The label given."""
    suggested: str | None
    n: int
    """Labels, or boxes."""
    samples: int
    query: str
    """Finds its samples; "" where none short enough does: tag them, or write the scores down."""
    keys: Keys = field(repr=False, compare=False)
    """int64 (samples,): likeliest first."""


@dataclass(frozen=True, eq=False)
class LabelErrors(Tabular):
    """Labels that are likely wrong, as the out-of-sample predictions of a model have it."""

    model: str
    task: str
    rank: str
    """What labels are ranked by."""
    n: int
    """Labels judged: of samples, of samples and classes, or boxes of both sides."""
    unit: str
    """What these are."""
    samples: int
    """Samples judged."""
    left_out: int
    """Samples without a label or without a prediction."""
    findings: tuple[Finding, ...]
    """By kind, and the most frequent pairs."""
    rows: pa.Table
    """The likely errors, likeliest first; see `ROWS`."""
    query: str
    """Finds all samples of `rows`; "" where no short text does."""
    keys: Keys
    """int64 (m,): the samples of `rows`, likeliest first, each once."""
    shown: int = 10
    """Rows that are printed."""
    notes: tuple[str, ...] = ()
    verdicts: Verdicts | None = None
    """What people said of them so far."""

    @property
    def queue(self) -> Keys:
        """int64 (k,): samples of `keys` of which something was not answered yet, in their order."""
        is_open = self.rows["verdict"].is_null()
        still = set(self.rows.filter(is_open)["id"].to_pylist())
        first, ids = samples_of(self.rows, keys_of(self.rows["id"]))
        return first[[name in still for name in ids]]

    @property
    def tags(self) -> dict[str, Keys]:
        """The samples as tags by kind: tag to keys."""
        kinds: dict[str, list[Keys]] = {}
        for finding in self.findings:
            if finding.name == finding.kind:
                kinds.setdefault(finding.kind.replace(" ", "_"), []).append(finding.keys)
        return {name: np.concatenate(parts) for name, parts in kinds.items()}

    def tagged(self) -> LabelErrors:
        """Return the same, whose queries without a short text read the tags of the kinds."""
        named = [
            replace(f, query=f"has_tag({sql.string(f.kind.replace(' ', '_'))})")
            if f.name == f.kind and not f.query
            else f
            for f in self.findings
        ]
        kinds = [f.query for f in named if f.name == f.kind]
        return replace(self, findings=tuple(named), query=self.query or " OR ".join(kinds))

    def finding(self, name: str) -> Finding:
        """Return a finding by its name.

        Raises:
            KeyError: there is none of that name.
        """
        return {finding.name: finding for finding in self.findings}[name]

    def to_arrow(self) -> pa.Table:
        """Return one row per likely error, likeliest first."""
        return self.rows

    def parts(self) -> Iterable[Part]:
        """Yield the count, the findings, the likeliest errors, and what people said so far."""
        share = numbers.percent(len(self.rows) / self.n) if self.n else "0 %"
        yield (
            f"{self.model}: {len(self.rows):,} of {self.n:,} {self.unit} are likely wrong "
            f"({share}), ranked by {self.rank}; {numbers.count(self.samples, 'sample')} judged, "
            f"{self.left_out:,} left out"
        )
        yield from self.notes
        grid = [
            (f.name, f.n, f.samples, queries.clipped(f.query) or "(too many ids for a text: --tag)")
            for f in self.findings
        ]
        if grid:
            yield ""
            yield Grid(["finding", self.unit, "samples", "query"], grid, align="<>><")
            yield from queries.note(
                (f.query for f in self.findings),
                "findings[i].query; --tag (tag=True) tags the samples of each",
            )
        top = [
            (r["id"], r["kind"], r["label"] or "", r["suggested"] or "", f"{r['score']:.3f}")
            for r in self.rows.slice(0, self.shown).to_pylist()
        ]
        if top:
            yield ""
            yield Grid(["likeliest", "kind", "label", "suggested", "score"], top)
        if self.verdicts is not None and self.verdicts.n:
            yield ""
            yield from self.verdicts.lines()


def scope_of(text: str | None) -> str | None:
    """Return a query text if it can stand in a condition, None if it selects, orders or limits."""
    try:
        check_scope(text or "")
    except CheckError:
        return None
    return text


def by_ids(ids: Sequence[str]) -> str:
    """Return the predicate of some samples; "" where they are too many for a text."""
    return sql.is_in("id", ids) if len(ids) <= _MOST_IDS else ""


def samples_of(rows: pa.Table, keys: Keys) -> tuple[Keys, list[str]]:
    """Return the keys and ids of the samples of rows, in their order, each once.

    Args:
        rows: as `ROWS`.
        keys: int64 (m,): the sample of each row.
    """
    first = first_of_each(keys)
    return keys[first], rows["id"].take(pa.array(first)).to_pylist()
