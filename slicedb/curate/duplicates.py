"""Find duplicates, and say of each group which sample to keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import sql
from slicedb.curate import keepers
from slicedb.curate.grouping import groups
from slicedb.curate.hashes import LEAST_DETAIL
from slicedb.curate.null import Null
from slicedb.curate.pairs import Near
from slicedb.keys import KeyIndex, Keys, distinct
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.schema import SAMPLES, schema_of
from slicedb.show import numbers
from slicedb.show.html import Html
from slicedb.show.tabular import Figure, Grid, Part, Tabular
from slicedb.store import Store

MEMBERS = schema_of(
    """
    group! int64, id! string, keep! bool, kind string, bits int64, cosine float64
    orientation int64, label string, width int64, height int64, bytes int64, reason string
    query string
    """
)
"""One row per sample of a group: how it is a duplicate of the one that is kept, or why it is kept.
`query` finds the whole group."""

_SHOWN = 15
_CLIPPED = 120
"""Characters of a query that a table shows; the rows have all of it."""


@dataclass(frozen=True)
class Group:
    """Samples that show the same picture."""

    number: int
    ids: tuple[str, ...]
    """The one to keep first."""
    kind: str
    """The weakest way in which one of them is a duplicate: bytes, hash or vectors."""
    reason: str
    """Why the first is the one to keep."""
    labels: tuple[str, ...] = ()
    """Distinct labels; more than one is a conflict."""

    @property
    def query(self) -> str:
        """The text that finds the group."""
        return sql.is_in("id", self.ids)


@dataclass(frozen=True)
class Finding:
    """A set of samples, and the text that finds it again."""

    name: str
    n: int
    description: str
    query: str


@dataclass(frozen=True, eq=False)
class Duplicates(Tabular):
    """The duplicates among some samples."""

    n: int
    """Samples compared."""
    groups: tuple[Group, ...]
    """The largest first."""
    members: pa.Table = field(repr=False)
    """As `MEMBERS` says."""
    pairs: pa.Table = field(repr=False)
    """All pairs, the nearest first; see `slicedb.curate.PAIRS`."""
    nulls: tuple[Null, ...]
    """Where the thresholds come from."""
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    """What was left out or computed, and what was done."""
    pictures: Callable[[], Html] | None = field(default=None, repr=False)
    """Draws the first groups, for a notebook."""

    @property
    def redundant(self) -> list[str]:
        """The ids of all samples but the one to keep of each group."""
        return [name for group in self.groups for name in group.ids[1:]]

    @property
    def conflicts(self) -> tuple[Group, ...]:
        """The groups whose members have different labels."""
        return tuple(group for group in self.groups if len(group.labels) > 1)

    def to_arrow(self) -> pa.Table:
        """Return one row per sample of a group; see `MEMBERS`."""
        return self.members

    def parts(self) -> Iterable[Part]:
        """Yield the counts, the thresholds, the findings and the largest groups."""
        kinds = Counter(group.kind for group in self.groups)
        told = ", ".join(f"{n:,} by {kind}" for kind, n in kinds.most_common())
        yield (
            f"{numbers.count(len(self.groups), 'group')} of duplicates in "
            f"{numbers.count(self.n, 'sample')}"
            f"{f' ({told})' if told else ''}; {numbers.count(len(self.redundant), 'sample')} "
            "could go"
        )
        yield from map(_told, self.nulls)
        yield from self.notes
        findings = [
            [f.name, f"{f.n:,}", f.description, _clipped(f.query)] for f in self.findings if f.n
        ]
        if findings:
            yield ""
            yield Grid(["finding", "n", "what", "query"], findings)
        rows = [
            [len(g.ids), g.kind, g.ids[0], g.reason, " / ".join(g.labels), _clipped(g.query)]
            for g in self.groups[:_SHOWN]
        ]
        if rows:
            yield ""
            yield Grid(["n", "by", "keep", "since", "labels", "query"], rows)
        if len(self.groups) > _SHOWN:
            more = numbers.count(len(self.groups) - _SHOWN, "more group")
            yield f"{more}: --format csv lists every sample."
        if self.pictures is not None and self.groups:
            yield Figure(self.pictures)


def _clipped(query: str) -> str:
    return query if len(query) <= _CLIPPED else f"{query[:_CLIPPED]} ..."


def _told(null: Null) -> str:
    """Return a sentence on a threshold, with what the null expects at it."""
    limit = f"{null.threshold:.0f}" if "bits" in null.what else f"{null.threshold:.3f}"
    text = f"threshold: {limit} ({null.what}), {null.why}"
    if not np.isnan(null.slope):
        form = ".0f" if "bits" in null.what else ".3f"
        near, _, middle = (f"{q:{form}}" for q in null.quantiles)
        expected = null.expected(null.threshold)
        text += (
            f"; of {numbers.count(null.drawn, 'unrelated pair')} half lie beyond {middle} and 1 "
            "in 1,000 below "
            f"{near}, so that of {numbers.count(null.pairs, 'pair')} at most {expected:.1g} are "
            "expected by "
            "accident"
        )
    return text


def duplicates(
    store: Store, near: Near, *, scope: str = "", preferred: Keys | None = None
) -> Duplicates:
    """Group the pairs of duplicates, and say which sample of each group to keep.

    Every member of a group is a duplicate of the one that is kept, not only of another member.

    Args:
        store: the database.
        near: the pairs, as `near_pairs` finds them.
        scope: the query text of the samples that were compared, part of the findings' queries.
        preferred: int64: samples to keep before all others.
    """
    keys = near.keys
    rows = store.take(SAMPLES, keys, keepers.columns_of(store.schema(SAMPLES).names))
    liked: Bools | None = None if preferred is None else KeyIndex(preferred).has(keys)
    by = keepers.criteria(rows, liked)
    order = keepers.ranked(rows, by)
    number = np.full(len(keys), -1)
    number[order] = groups(keys[order], near.pairs)
    inside = order[number[order] >= 0]
    inside = inside[np.argsort(number[inside], kind="stable")]  # by group, the best first
    starts = np.flatnonzero(np.diff(number[inside], prepend=-1))
    parts = np.split(inside, starts[1:]) if len(inside) else []
    parts.sort(key=lambda part: -len(part))
    held = _Held(rows, near, KeyIndex(keys))
    told = [held.group(k, part, by) for k, part in enumerate(parts)]
    members = [held.members(group, part) for group, part in zip(told, parts)]
    table = pa.concat_tables(members) if members else MEMBERS.empty_table()
    found = Duplicates(len(keys), tuple(told), table, near.pairs, near.nulls, ())
    findings = _findings(store, found, near, scope)
    return replace(found, findings=tuple(findings), notes=tuple(_notes(near)))


class _Held:
    """What is known of the samples that were compared."""

    def __init__(self, rows: pa.Table, near: Near, index: KeyIndex) -> None:
        self.ids: list[str] = rows["id"].to_pylist()
        n = len(rows)
        self.labels = _labels(rows)
        self._sizes = {
            name: rows[name].to_pylist()
            for name in ("width", "height", "bytes")
            if name in rows.column_names
        }
        left, right = (index.find(near.pairs[side].to_numpy()) for side in ("left", "right"))
        self._n = n
        self._pairs = near.pairs
        self._codes = left * n + right
        self._by_code = np.argsort(self._codes)
        self._in_order = self._codes[self._by_code]

    def group(self, number: int, part: Ints, by: list[keepers.Criterion]) -> Group:
        """Return the group of some rows, the one to keep first."""
        labels = dict.fromkeys(label for i in part.tolist() if (label := self.labels[i]))
        kinds = [str(self.pair(int(part[0]), i)["kind"]) for i in part[1:].tolist()]
        weakest = max(kinds, key=("bytes", "hash", "vectors").index)
        return Group(
            number,
            tuple(self.ids[i] for i in part.tolist()),
            weakest,
            keepers.why(int(part[0]), part[1:], by),
            tuple(labels),
        )

    def pair(self, one: int, other: int) -> dict[str, object]:
        """Return how two rows are duplicates; those told by a third are alike in every bit."""
        left, right = min(one, other), max(one, other)
        code = left * self._n + right
        place = int(np.searchsorted(self._in_order, code))
        if place < len(self._in_order) and self._in_order[place] == code:
            row: dict[str, object] = self._pairs.slice(int(self._by_code[place]), 1).to_pylist()[0]
            if one > other and row["orientation"] is not None:
                row["orientation"] = {6: 8, 8: 6}.get(row["orientation"], row["orientation"])  # type: ignore[call-overload]
            return row
        return {"kind": "hash", "bits": None, "cosine": None, "orientation": None}

    def members(self, group: Group, part: Ints) -> pa.Table:
        """Return the rows of a group as `MEMBERS` has them."""
        rows = []
        for place, i in enumerate(part.tolist()):
            how = self.pair(int(part[0]), i) if place else {}
            rows.append(
                {
                    "group": group.number,
                    "id": self.ids[i],
                    "keep": not place,
                    **{name: how.get(name) for name in ("kind", "bits", "cosine", "orientation")},
                    "label": self.labels[i],
                    **{name: values[i] for name, values in self._sizes.items()},
                    "reason": None if place else group.reason,
                    "query": group.query,
                }
            )
        return pa.Table.from_pylist(rows, MEMBERS)


def _labels(rows: pa.Table) -> list[str | None]:
    """Return the ground truth of each sample as one text."""
    labels: list[str | None] = [None] * len(rows)
    if "labels" in rows.column_names:
        labels = [None if v is None else "|".join(sorted(v)) for v in rows["labels"].to_pylist()]
    if "label" in rows.column_names:
        labels = [one or other for one, other in zip(rows["label"].to_pylist(), labels)]
    return labels


def _findings(store: Store, found: Duplicates, near: Near, scope: str) -> list[Finding]:
    """Return the sets worth a look, each with its query."""
    same = "sha256 IN (SELECT sha256 FROM samples GROUP BY sha256 HAVING count(*) > 1)"
    exact = near.pairs.filter(pc.equal(near.pairs["kind"], "bytes"))
    sides = [exact[side].to_numpy() for side in ("left", "right")]
    n_exact = len(distinct(np.concatenate(sides)))
    conflicts = [name for group in found.conflicts for name in group.ids]
    flat = store.take(SAMPLES, near.flat, ["id"])["id"].to_pylist()
    return [
        Finding("same bytes", n_exact, "identical files", sql.conjunction(scope, same)),
        Finding(
            "redundant",
            len(found.redundant),
            "all but the one to keep of each group",
            sql.is_in("id", found.redundant),
        ),
        Finding(
            "label conflict",
            len(conflicts),
            "the same picture, other labels",
            sql.is_in("id", conflicts),
        ),
        Finding("flat", len(flat), "too little detail for a hash", sql.is_in("id", flat)),
    ]


def _notes(near: Near) -> list[str]:
    notes = []
    if len(near.flat):
        notes.append(
            f"{numbers.count(len(near.flat), 'sample')} too flat for a hash (below {LEAST_DETAIL} "
            "gray levels per pixel): compared by bytes only."
        )
    if len(near.without_hash):
        notes.append(
            f"{numbers.count(len(near.without_hash), 'sample')} without a hash: the picture cannot "
            "be read."
        )
    if len(near.without_vector):
        notes.append(
            f"{numbers.count(len(near.without_vector), 'sample')} without a vector: `slicedb embed`"
            " adds them."
        )
    if near.hashed:
        notes.append(
            f"{numbers.count(near.hashed, 'hash', 'hashes')} computed, which the database lacked."
        )
    return notes
