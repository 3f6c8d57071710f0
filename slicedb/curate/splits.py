"""Split samples into parts: by group, in proportion, by time, and never anew what was placed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import progress, sql
from slicedb.curate import times
from slicedb.curate.across import nearest_across
from slicedb.curate.cells import Cells, cells_of
from slicedb.curate.certificate import PartRow, Split, crossings, deviations
from slicedb.curate.pairs import By, near_pairs
from slicedb.curate.placing import count, place
from slicedb.curate.times import GAP, Times
from slicedb.curate.units import Ints, codes_of, units_of
from slicedb.errors import CheckError, did_you_mean
from slicedb.keys import Keys, distinct, mix
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.store import Store
from slicedb.vectors import Vectors

DEFAULT = {"train": 0.8, "val": 0.1, "test": 0.1}
"""The parts of a split where none are named."""
NEAR = "near-duplicates"

_KEY = "slicedb:splits"
"""Where the metadata of `samples` keeps settings and certificate of each split, as JSON."""
_LEAST = 30
"""Samples below which a split says little."""


@dataclass(frozen=True)
class Plan:
    """How a split is made."""

    shares: Mapping[str, float]
    """The share of each part, in the order of time where time decides."""
    folds: bool = False
    """The parts are folds, numbered from 0."""
    group: tuple[str, ...] = ()
    stratify: tuple[str, ...] = ()
    time: str | None = None
    gap: str | None = None
    near_duplicates: bool = False
    """Near-duplicates are one group."""
    seed: int = 0
    cuts: tuple[float, ...] = field(default=())
    """Where time was cut: the first value of every part but the first."""

    @property
    def names(self) -> list[str]:
        """The parts."""
        return list(self.shares)


def parts_of(ratios: Mapping[str, float] | None, folds: int | None) -> dict[str, float]:
    """Return the share of each part.

    Raises:
        CheckError: shares are not positive or do not add up, or both parts and folds are given.
    """
    if ratios and folds:
        raise CheckError("Parts and folds are two kinds of split.", "ask for one of them.")
    if folds:
        if folds < 2:
            raise CheckError(f"{folds} fold is no split.", "ask for two or more.")
        return {str(k): 1 / folds for k in range(folds)}
    shares = dict(ratios or DEFAULT)
    total = sum(shares.values())
    if len(shares) < 2 or min(shares.values()) <= 0 or GAP in shares:
        raise CheckError(
            f"{_written(shares)} is no split.",
            "name two parts or more, each with a share above 0: train=0.8 test=0.2.",
        )
    if abs(total - 1) > 1e-6:
        scaled = {name: round(share / total, 3) for name, share in shares.items()}
        raise CheckError(
            f"The shares {_written(shares)} add up to {total:g}, not to 1.",
            f"did you mean {_written(scaled)}?",
        )
    return shares


def _written(shares: Mapping[str, float]) -> str:
    return " ".join(f"{name}={share:g}" for name, share in shares.items())


def stored(store: Store) -> dict[str, dict[str, Any]]:
    """Return plan and certificate of each split by its column, as they were stored last."""
    held: dict[str, dict[str, Any]] = json.loads(store.metadata(SAMPLES).get(_KEY) or "{}")
    return held


def planned(
    store: Store,
    column: str,
    ratios: Mapping[str, float] | None,
    folds: int | None,
    group: Sequence[str] = (),
    stratify: Sequence[str] = (),
    time: str | None = None,
    gap: str | None = None,
    near_duplicates: bool = False,
    seed: int | None = None,
) -> Plan:
    """Return the plan that arguments make, or the one that a column was split by, without any.

    Raises:
        CheckError: shares are not positive or do not add up, or both parts and folds are given.
    """
    is_given = any((ratios, folds, group, stratify, time, gap, seed, near_duplicates))
    plan = None if is_given else stored_plan(store, column)
    if plan is not None:
        return plan
    return Plan(
        parts_of(ratios, folds),
        bool(folds),
        tuple(group),
        tuple(stratify),
        time,
        gap,
        near_duplicates,
        seed or 0,
    )


def stored_plan(store: Store, column: str) -> Plan | None:
    """Return how a split was made last, None where it was never made here."""
    held = stored(store).get(column)
    if held is None:
        return None
    plan = dict(held["plan"])
    lists = {name: tuple(plan[name]) for name in ("group", "stratify", "cuts")}
    return Plan(**{**plan, **lists})


def split(
    store: Store,
    keys: Keys,
    plan: Plan,
    column: str,
    *,
    vectors: Vectors | None = None,
    embedding: str | None = None,
    anew: bool = False,
    dry_run: bool = False,
    show: progress.Watch = None,
) -> Split:
    """Place the samples that have no part yet, and certify the whole split.

    Args:
        store: the database.
        keys: int64 (n,): the samples.
        plan: the parts, and what decides.
        column: that says the part of each sample.
        vectors: of the database.
        embedding: that near-duplicates and the nearest samples across parts are looked for in.
        anew: place every sample, also those that have a part.
        dry_run: write nothing.
        show: see `slicedb.progress.Watch`.

    Raises:
        CheckError: a column is missing, or NULL where it must not be; fewer than 30 samples.
    """
    if len(keys) < _LEAST:
        raise CheckError(
            f"{numbers.count(len(keys), 'sample')} cannot be split in a way that says anything.",
            f"a split takes {_LEAST} samples or more.",
        )
    keys = distinct(keys)  # the same split in whatever order the samples are stored
    rows = _read(store, keys, plan, column)
    near = _pairs(store, keys, vectors, embedding, show) if plan.near_duplicates else _NO_PAIRS
    groups = {name: codes_of(rows, name) for name in plan.group}
    unit = units_of(keys, list(groups.values()), near)
    cells = cells_of(rows, plan.stratify)
    names, part = _present(rows, column, plan, anew)
    had = part != _NONE
    shares = np.array([plan.shares.get(name, 0.0) for name in names])
    when = None if plan.time is None else times.times_of(rows, plan.time)
    if when is None:
        placed = _in_proportion(part, unit, cells, shares, keys, plan.seed)
    else:
        if not plan.cuts or anew:
            asked = np.array(list(plan.shares.values()))
            plan = replace(plan, cuts=tuple(times.cuts_of(when, asked, cells).tolist()))
        placed = _by_time(part, unit, when, plan, len(names))
    if plan.near_duplicates:
        groups = {**groups, NEAR: units_of(keys, [], near)}
    report = Split(
        column,
        int((~had).sum()),
        int(had.sum()),
        int((placed == _GAP).sum()),
        _rows(plan, names, placed, unit, column),
        deviations(cells, placed, names),
        crossings(groups, placed, column),
        *_closest(vectors, embedding, keys, placed, show),
        tuple(_notes(plan, names, placed, unit, groups, rows, when)),
        dry_run,
    )
    if not dry_run:
        _write(store, rows["id"], names, placed, ~had, column, plan)
        keep(store, column, plan, report)
    return report


_NO_PAIRS = np.empty((0, 2), np.int64)


def _pairs(
    store: Store,
    keys: Keys,
    vectors: Vectors | None,
    embedding: str | None,
    show: progress.Watch,
) -> npt.NDArray[np.int64]:
    """Return int64 (m, 2): keys of near-duplicates."""
    by: By = "hash" if embedding is None else "both"
    name = embedding or "default"
    near = near_pairs(store, keys, by=by, vectors=vectors, name=name, show=show)
    return np.stack([near.pairs[side].to_numpy() for side in ("left", "right")], axis=1)


def _closest(
    vectors: Vectors | None, embedding: str | None, keys: Keys, part: Ints, show: progress.Watch
) -> tuple[float | None, int]:
    """Return the largest similarity across parts, and of how many samples it was looked for."""
    if vectors is None or embedding is None:
        return None, 0
    with progress.bar(None, "compare parts", show, unit="vector", keeps=False) as bar:
        asked, best, _ = nearest_across(vectors.matrix(embedding), keys, part, bar=bar)
    return (float(best.max()), len(asked)) if len(asked) else (None, 0)


_NONE, _GAP = -2, -1
"""The part of a sample that has none yet, and of one that is left out."""


def _read(store: Store, keys: Keys, plan: Plan, column: str) -> pa.Table:
    """Return the columns that decide, in the order of the keys."""
    there = store.schema(SAMPLES).names
    asked = [*plan.group, *plan.stratify, *([plan.time] if plan.time else [])]
    for name in asked:
        if name not in there:
            raise CheckError(
                f"There is no column '{name}' in samples.", did_you_mean(name, there, "columns")
            )
        if name == column:
            raise CheckError(
                f"The column '{column}' cannot decide its own values.", "name another column."
            )
    held = [column] if column in there else []
    return store.take(SAMPLES, keys, list(dict.fromkeys(["id", *held, *asked])))


def _present(rows: pa.Table, column: str, plan: Plan, anew: bool) -> tuple[list[str], Ints]:
    """Return the names of all parts, those of the plan first, and the part of each sample."""
    names = plan.names
    if anew or column not in rows.column_names:
        return names, np.full(len(rows), _NONE)
    coded = rows[column].combine_chunks().dictionary_encode()
    values = [str(value) for value in coded.dictionary.to_pylist()]
    names = [*names, *(v for v in values if v not in names and v != GAP)]
    place_of = np.array([_GAP if v == GAP else names.index(v) for v in values] + [_NONE])
    codes = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return names, place_of[codes].astype(np.int64)


def _in_proportion(
    part: Ints, unit: Ints, cells: Cells, shares: npt.NDArray[np.float64], keys: Keys, seed: int
) -> Ints:
    """Place by groups and shares; a new sample of a group that is placed follows it."""
    new, part = part == _NONE, part.copy()
    if not new.any():
        return part
    n_units = int(unit.max()) + 1
    own = _part_of_units(part, unit, len(shares))
    follows = new & (own[unit] >= 0)
    part[follows] = own[unit[follows]]
    free = np.unique(unit[new & ~follows])
    if len(free):
        inside = np.full(n_units, -1)
        inside[free] = np.arange(len(free))
        member = inside[unit]
        of_cell = member[cells.sample] >= 0
        at = np.flatnonzero(member >= 0)
        place_in = np.full(len(unit), -1)
        place_in[at] = np.arange(len(at))
        counts = count(
            cells.cell[of_cell],
            place_in[cells.sample[of_cell]],
            member[at],
            len(free),
            len(cells),
        )
        # Among groups that are alike a hash of a member decides, not the order of the rows.
        least = np.full(n_units, np.iinfo(np.int64).max)
        np.minimum.at(least, unit, keys)
        order = np.argsort(mix(least[free] ^ np.int64(seed)), kind="stable")
        rank = np.empty(len(free), np.int64)
        rank[order] = np.arange(len(free))
        asked = shares[shares > 0]  # the first: parts that were there before are not filled up
        placed = cells.count(part, len(shares))[: len(asked)]
        place_of = place(counts, asked, placed, rank)
        part[at] = place_of[member[at]]
    return part


def _part_of_units(part: Ints, unit: Ints, n_parts: int) -> Ints:
    """Return int64 (u,): the part that most samples of each unit have, -1 where none has one."""
    n_units = int(unit.max()) + 1
    inside = part >= 0
    codes = unit[inside] * n_parts + part[inside]
    own = np.full(n_units, -1)
    values, n = np.unique(codes, return_counts=True)
    order = np.argsort(n, kind="stable")  # the most frequent is written last
    units, parts = np.divmod(values[order], n_parts)
    own[units] = parts
    return own


def _by_time(part: Ints, unit: Ints, when: Times, plan: Plan, n_parts: int) -> Ints:
    fresh = times.parts_by_time(when, np.array(plan.cuts), when.gap(plan.gap))
    fresh = times.undivided(np.where(part == _NONE, fresh, part), unit, n_parts)
    return np.where(part == _NONE, fresh, part)


def _rows(
    plan: Plan, names: Sequence[str], part: Ints, unit: Ints, column: str
) -> tuple[PartRow, ...]:
    inside = part >= 0
    n = np.bincount(part[inside], minlength=len(names))
    pairs = np.unique(part[inside] * (int(unit.max(initial=0)) + 1) + unit[inside])
    n_groups = np.bincount(pairs // (int(unit.max(initial=0)) + 1), minlength=len(names))
    return tuple(
        PartRow(
            name,
            plan.shares.get(name),
            float(n[k] / max(1, n.sum())),
            int(n[k]),
            int(n_groups[k]),
            f"{sql.name(column)} = {name if plan.folds else sql.literal(name)}",
        )
        for k, name in enumerate(names)
    )


def _notes(
    plan: Plan,
    names: Sequence[str],
    part: Ints,
    unit: Ints,
    groups: Mapping[str, Ints],
    rows: pa.Table,
    when: Times | None,
) -> list[str]:
    """Return what a reader must know: a group too large, and where time was cut."""
    notes = []
    if when is not None:
        cuts = zip(names[1:], plan.cuts)
        notes.append("; ".join(f"{name} begins at {when.written(cut)}" for name, cut in cuts) + ".")
    inside = part >= 0
    sizes = np.bincount(unit[inside])
    if len(groups) and len(sizes):
        largest = int(sizes.argmax())
        share = sizes[largest] / sizes.sum()
        home = names[int(np.bincount(part[inside & (unit == largest)]).argmax())]
        asked = plan.shares.get(home, 0.0)
        if share > asked + 0.005:
            member = int(np.flatnonzero(inside & (unit == largest))[0])
            what = "; ".join(
                f"{name} = {sql.literal(rows[name][member].as_py())}" for name in plan.group
            )
            notes.append(
                f"One group ({what or NEAR}) has {numbers.count(sizes[largest], 'sample')}, "
                f"{share:.1%} of all, "
                f"and cannot be divided: {home} is reachable from {share:.1%} on, and "
                f"{asked:.1%} was asked."
            )
    empty = [name for k, name in enumerate(names) if not (part == k).any()]
    if empty:
        notes.append(f"Without a sample: {', '.join(empty)}.")
    return notes


def _write(
    store: Store,
    ids: pa.ChunkedArray,
    names: Sequence[str],
    part: Ints,
    new: npt.NDArray[np.bool_],
    column: str,
    plan: Plan,
) -> None:
    from slicedb.ingest.attach import attach

    at = np.flatnonzero(new)
    if not len(at):
        return
    if plan.folds:
        values = pa.array(part[at], pa.int64(), mask=part[at] < 0)
    else:
        values = pa.array([*names, GAP], pa.string()).take(pa.array(part[at] % (len(names) + 1)))
    attach(store, pa.table({"id": ids.take(pa.array(at)), column: values}), partial=True)


def keep(store: Store, column: str, plan: Plan, report: Split) -> None:
    """Write down how a split was made, and its certificate."""

    def change(before: str | None) -> str:
        held = json.loads(before or "{}")
        held[column] = {"plan": asdict(plan), "certificate": report.to_json()}
        return json.dumps(held)

    store.change_metadata(SAMPLES, _KEY, change)
    store.sync()
