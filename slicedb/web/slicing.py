"""What the page shows of slices: the list, one slice with its reasons, and their overlap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from slicedb import sql
from slicedb.errors import SliceDBError
from slicedb.show import charts
from slicedb.show.html import Html
from slicedb.slices.breakdown import NO_SPLIT

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.runs.history import Trend
    from slicedb.slices import Diff, Slice, SliceState
    from slicedb.slices.calibration import SliceCalibration

PICTURES = 24
"""Samples of a slice that are shown as pictures."""
MOST_MOVED = 200
"""Samples that came or went which are listed."""


def listing(db: Database) -> dict[str, object]:
    """Return every slice with its size, splits, state and latest verdicts."""
    states = db.slices.states()
    known = [s.name for s, _, count in states if count is not None]
    table = db.slices.breakdown(known) if known else None
    counts = {} if table is None else {row["slice"]: row for row in table.table.to_pylist()}
    verdicts = _verdicts(db, None)
    rows = [
        {
            **about(s, state, count),
            "expect": _expectations(s, verdicts),
            "splits": _splits(s.name, () if table is None else table.splits, counts.get(s.name)),
            "held_out": counts.get(s.name, {}).get("held_out"),
        }
        for s, state, count in states
    ]
    return {
        "slices": rows,
        "splits": [] if table is None else list(table.splits),
        "total": db.query("").count(),
    }


def about(s: Slice, state: SliceState, count: int | None) -> dict[str, object]:
    """Return what a slice is."""
    return {
        "name": s.name,
        "version": s.version,
        "kind": s.kind,
        "state": state.kind,
        "note": state.note,
        "count": count,
        "description": s.description,
        "text": s.text,
        "holdout": s.holdout,
        "group": s.group,
        "suite": s.suite,
        "path": s.path,
        "query": reference(s.name),
    }


def reference(name: str) -> str:
    """Return the query of a slice's samples.

    >>> reference("night@2")
    "in_slice('night@2')"
    """
    return f"in_slice({sql.string(name)})"


def _splits(
    title: str, names: Sequence[str], row: Mapping[str, int] | None
) -> list[dict[str, object]]:
    """Return the members in each split, with their share and their query's condition."""
    if row is None:
        return []
    n = row["count"]
    conditions = {
        name: "split IS NULL" if name == NO_SPLIT else f"split = {sql.string(name)}"
        for name in names
    }
    return [
        {
            "split": name,
            "n": row[name],
            "share": row[name] / n if n else None,
            "query": f"{reference(title)} AND {conditions[name]}",
        }
        for name in names
    ]


def _verdicts(db: Database, names: Sequence[str] | None) -> dict[tuple[str, str], Trend]:
    """Return how each expectation fared over the last runs, by slice and expectation."""
    return {(t.slice, t.check): t for t in db.runs.trends(names) if t.truth is None}


def _expectations(
    s: Slice, verdicts: Mapping[tuple[str, str], Trend], *, drawn: bool = False
) -> list[dict[str, object]]:
    """Return the expectations of a slice with their last results; None where none was judged."""
    rows: list[dict[str, object]] = []
    for check in s.expect:
        trend = verdicts.get((s.name, check))
        if trend is None:
            rows.append({"check": check, "verdict": None})
            continue
        last = trend.points[-1]
        row = {name: getattr(last, name) for name in ("verdict", "value", "low", "high", "n")}
        row |= {"check": check, "model": last.model, "ran_at": last.ran_at}
        row |= {"status": trend.status, "runs": len(trend.points)}
        if drawn and len(trend.points) > 1:
            row["chart"] = Html(charts.line(points(trend)))
        rows.append(row)
    return rows


def points(trend: Trend) -> list[charts.Point]:
    """Return the runs of a test as charts take them."""
    return [
        {
            "ran_at": f"{p.ran_at:%Y-%m-%d %H:%M}",
            "model": p.model,
            "verdict": p.verdict,
            "value": None if p.value != p.value else p.value,
            "low": None if p.low != p.low else p.low,
            "high": None if p.high != p.high else p.high,
        }
        for p in trend.points
    ]


def one(db: Database, name: str) -> dict[str, object]:
    """Return one slice: its query, its samples, versions, splits, verdicts and neighbours.

    Raises:
        UnknownSliceError: there is no such slice.
    """
    info = db.slices.show(name)
    s = info.slice
    is_newest = bool(info.versions) and info.versions[-1].version == s.version
    title = s.name if is_newest else f"{s.name}@{s.version}"
    is_asked = info.count is not None
    table = db.slices.breakdown([title]) if is_asked else None
    counts = None if table is None else {**table.table.to_pylist()[0]}
    return {
        **about(s, info.state, info.count),
        "title": title,
        "query": reference(title),
        "is_newest": is_newest,
        "expect": _expectations(s, _verdicts(db, [s.name]), drawn=True),
        "splits": _splits(title, () if table is None else table.splits, counts),
        "held_out": counts and counts["held_out"],
        "pictures": db.query(reference(title)).limit(PICTURES).ids() if info.count else [],
        "deleted": info.deleted[:20],
        "n_deleted": len(info.deleted),
        "looks": info.looks,
        "frozen_at": dict(s.tables),
        "calibration": calibration(s.calibration),
        "can_calibrate": _can_calibrate(db, s),
        "versions": [
            {"version": v.version, "kind": v.kind, "created_at": v.created_at, "text": v.text}
            for v in reversed(info.versions)
        ],
        "used_by": [o.name for o in db.slices.list() if s.name in _uses(o) and o.name != s.name],
        "others": _others(db, s.name) if is_newest and is_asked else [],
    }


def _uses(s: Slice) -> list[str]:
    from slicedb.slices.definitions import references

    return references(s.text)


def _can_calibrate(db: Database, s: Slice) -> bool:
    """Whether the text of a slice has a `matches` of its own whose cut labels could choose."""
    if s.kind != "live":
        return False
    try:
        meanings = db.query(s.text).plan().bound.meanings.values()
    except SliceDBError:
        return False
    return any(getattr(term, "kind", "") == "matches" for term in meanings)


def calibration(made: SliceCalibration | None) -> dict[str, object] | None:
    """Return what labels said of a slice's `matches`."""
    if made is None:
        return None
    return {
        "text": made.calibrated.shown,
        "aim": made.aim,
        "least": made.least,
        "precision": made.precision if made.matched else None,
        "recall": made.recall,
        "confidence": made.confidence,
        "labels": made.labels,
        "positives": made.positives,
        "population": made.population,
        "matched": made.matched,
    }


def _others(db: Database, name: str) -> list[dict[str, object]]:
    """Return the slices that share samples with one, the most alike first."""
    rows = [row for row in db.slices.overlap().pairs().to_pylist() if name in (row["a"], row["b"])]
    turned = []
    for row in rows:
        is_first = row["a"] == name
        other = row["b"] if is_first else row["a"]
        inside = (row["a_in_b"], row["b_in_a"])
        turned.append(
            {
                "other": other,
                "shared": row["shared"],
                "jaccard": row["jaccard"],
                "in_other": inside[0] if is_first else inside[1],
                "of_other": inside[1] if is_first else inside[0],
                "query": f"{reference(name)} AND {reference(other)}",
            }
        )
    return turned


def overlap(db: Database) -> dict[str, object]:
    """Return how all slices overlap: a heat map as HTML, and the pairs with their queries."""
    found = db.slices.overlap()
    pairs = [
        {**row, "query": f"{reference(row['a'])} AND {reference(row['b'])}"}
        for row in found.pairs().slice(0, 100).to_pylist()
    ]
    return {"html": found.draw(), "pairs": pairs, "n": len(found.names)}


def moved(db: Database, a: str, b: str | None) -> dict[str, object]:
    """Return what came and went between two slices or versions, why, and the queries of both.

    Args:
        a: a slice, or `name@version`.
        b: the later one; without it a frozen slice against what its text finds now.
    """
    found = db.slices.diff(a, b)
    old, new = _sides(db, a, b)
    signs = found.table["change"].to_pylist()
    come = signs.count("+")
    return {
        "old": found.old,
        "new": found.new,
        "kept": found.kept,
        "n_come": come,
        "n_gone": len(signs) - come,
        "reasons": [
            {"reason": reason, "come": plus, "gone": minus}
            for reason, (plus, minus) in found.counts.items()
        ],
        "come": _moved_rows(found, 0, come),
        "gone": _moved_rows(found, come, len(signs)),
        "come_query": old and new and f"{new} AND NOT {old}",
        "gone_query": old and new and f"{old} AND NOT {new}",
    }


def _moved_rows(found: Diff, start: int, stop: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = (
        found.table.slice(start, min(stop - start, MOST_MOVED)).drop_columns("change").to_pylist()
    )
    return rows


def _sides(db: Database, a: str, b: str | None) -> tuple[str, str]:
    """Return predicates of both sides of a difference, "" where there is none."""
    if b is not None:
        return reference(a), reference(b)
    s = db.slices.get(a)
    if s.kind == "frozen":
        try:
            return reference(a), f"({db.query(s.question).predicate()})"
        except SliceDBError:
            return "", ""
    before = [v for v in db.slices.history(a) if v.version < s.version]
    return (reference(f"{s.name}@{before[-1].version}"), reference(a)) if before else ("", "")
