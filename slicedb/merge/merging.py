"""Merge another database into ours: check everything, then write it, then commit once.

Each step writes what is missing yet, so that the same call after a kill ends as an uninterrupted
one does: pictures before the samples that have them, samples before what speaks of them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa

from slicedb import edits
from slicedb.commits import Commits
from slicedb.editing import finish
from slicedb.errors import DatabaseError
from slicedb.merge.columns import ColumnsTold, compare_columns, write_computed, write_searched
from slicedb.merge.pair import Pair, refuse_unknown
from slicedb.merge.report import MergeReport
from slicedb.merge.rows import RowsTold, RowTable, compare_rows, write_rows
from slicedb.merge.samples import SamplesTold, compare_samples, write_samples
from slicedb.merge.slices import SlicesTold, compare_slices, slices_of, write_slices
from slicedb.merge.tables import predictions, registered, vectors, written
from slicedb.predictions.tables import models_of
from slicedb.progress import Watch
from slicedb.schema import (
    CAMS,
    COMMITS,
    COMMITS_SCHEMA,
    DECISIONS,
    EMBEDDINGS,
    MAPS,
    MODELS,
    MODELS_SCHEMA,
    PREDICTIONS,
    RUNS,
    SOURCES,
    SPOILT,
    TAGGED,
)
from slicedb.store import Store

_MERGING = "slicedb:merging"
"""Where the metadata of the table of commits names what is being merged: it is no part of what is
committed, and tells a call after a kill that the commit is still to be made."""
_LEFT = {
    COMMITS: "commits",
    RUNS: "recorded runs",
    SOURCES: "sources that `sync` follows",
    DECISIONS: "decisions of `clean`",
}
_LEFT_KINDS = (
    (CAMS, "Grad-CAM maps"),
    (MAPS, "points of maps"),
    (SPOILT, "predictions of corrupted pictures"),
)


@dataclass(frozen=True)
class _Plan:
    """Everything that is to be written, checked."""

    samples: SamplesTold
    columns: ColumnsTold
    tables: Mapping[RowTable, RowsTold]
    models: pa.Table
    slices: SlicesTold


def merge(
    pair: Pair,
    message: str,
    refresh: Callable[[], object],
    progress: Watch = None,
) -> MergeReport:
    """Merge the other database of a pair into ours; see `Database.merge`.

    Args:
        pair: the two.
        message: of the commit.
        refresh: computes the columns again that are given by expressions.
        progress: see `slicedb.progress.Watch`.
    """
    started = time.perf_counter()
    _refuse_itself(pair)
    plan = _plan(pair)
    commit = ""
    if _is_new(plan, pair) or _is_begun(pair):
        _begin(pair)
        _write(pair, plan, progress)
        refresh()
        commit = _commit(pair, message)
    return replace(_report(pair, plan), commit=commit, seconds=time.perf_counter() - started)


def _refuse_itself(pair: Pair) -> None:
    if not pair.theirs.title and pair.theirs.path == pair.ours.path:
        raise DatabaseError(
            f"'{pair.ours.path}' cannot be merged into itself.", "name another database."
        )


def _plan(pair: Pair) -> _Plan:
    """Compare everything; whatever cannot be merged is refused here, before a row is written."""
    known = [*models_of(pair.theirs), *slices_of(pair.theirs), *_registered(pair.theirs)]
    names = pair.theirs.names()
    known += [n.removeprefix(EMBEDDINGS) for n in names if n.startswith(EMBEDDINGS)]
    refuse_unknown(pair.names, known)
    models = registered(pair)
    tables = [*vectors(pair), *predictions(pair), *written(pair)]
    slices, columns = compare_slices(pair), compare_columns(pair)
    samples = compare_samples(pair)
    told = {table: compare_rows(pair, table, samples) for table in tables}
    return _Plan(samples, columns, told, models, slices)


def _registered(store: Store) -> list[str]:
    return store.table(MODELS, ["id"])["id"].to_pylist() if store.has(MODELS) else []


def _write(pair: Pair, plan: _Plan, progress: Watch) -> None:
    store = pair.ours
    write_computed(pair, plan.columns)
    new = [t for t in plan.tables if t.ours.startswith(TAGGED) and not store.has(t.ours)]
    for table in new:  # before the column is there: one without it is nobody's to renew
        write_rows(pair, table, plan.samples)
    write_samples(pair, progress)
    edits.pictures_changed(store)  # what speaks of pictures that were replaced makes room
    for table in plan.tables:
        if table not in new:
            write_rows(pair, table, plan.samples)
    if len(plan.models):
        store.create(MODELS, MODELS_SCHEMA)
        store.upsert(MODELS, plan.models)
    write_slices(pair, plan.slices)
    write_searched(pair, plan.columns)
    edits.labels_changed(store)
    edits.texts_changed(store)
    store.sync()


def _is_new(plan: _Plan, pair: Pair) -> bool:
    """Return whether anything is to be written."""
    rows = plan.tables.items()
    samples = plan.samples
    return bool(
        samples.added
        or samples.filled
        or samples.new_columns
        or (pair.side == "theirs" and samples.differing)
        or any(t.added or (pair.side == "theirs" and t.differing) for _, t in rows)
        or any(not pair.ours.has(table.ours) for table, _ in rows)
        or len(plan.models)
        or len(plan.slices.rows)
        or plan.columns
    )


def _begin(pair: Pair) -> None:
    pair.ours.create(COMMITS, COMMITS_SCHEMA)
    if not _is_begun(pair):
        pair.ours.set_metadata(COMMITS, {_MERGING: _title(pair)})


def _is_begun(pair: Pair) -> bool:
    if not pair.ours.has(COMMITS):
        return False
    return pair.ours.metadata(COMMITS).get(_MERGING) == _title(pair)


def _title(pair: Pair) -> str:
    return json.dumps([pair.theirs.path, pair.theirs.title, pair.prefix])


def _commit(pair: Pair, message: str) -> str:
    commits = Commits(pair.ours, finish)
    commit = "" if commits.is_clean() else commits.commit(message).id
    pair.ours.set_metadata(COMMITS, {_MERGING: ""})
    pair.ours.sync()
    return commit


def _report(pair: Pair, plan: _Plan) -> MergeReport:
    samples, rows = plan.samples, plan.tables.items()

    def new_rows(start: str) -> dict[str, int]:
        added = {
            t.ours.removeprefix(start): one.added for t, one in rows if t.ours.startswith(start)
        }
        return {name: n for name, n in added.items() if n}

    models = new_rows(PREDICTIONS)
    ids = plan.models["id"].to_pylist() if len(plan.models) else []
    examples = [*samples.examples, *(name for _, one in rows for name in one.examples)]
    return MergeReport(
        other=pair.theirs.path,
        samples=len(samples.keys),
        added=samples.added,
        unchanged=samples.unchanged,
        filled=samples.filled,
        differing=samples.differing + sum(one.differing for _, one in rows),
        side=pair.side or "",
        examples=tuple(dict.fromkeys(examples))[:3],
        columns=samples.new_columns,
        models=models | {name: models.get(name, 0) for name in ids},
        embeddings=new_rows(EMBEDDINGS),
        slices=plan.slices.added,
        left_out=_left_out(pair, plan),
    )


def _left_out(pair: Pair, plan: _Plan) -> dict[str, int]:
    """Return how much of what the other has stays there, by kind."""
    store = pair.theirs
    left = {what: store.count(name) for name, what in _LEFT.items() if store.has(name)}
    for start, what in _LEFT_KINDS:
        left[what] = sum(store.count(name) for name in store.names() if name.startswith(start))
    kept = {table.theirs for table in plan.tables}
    left["values written by other models"] = sum(
        store.count(name) for name in store.names() if name.startswith(TAGGED) and name not in kept
    )
    left["vectors or predictions of other pictures"] = sum(
        told.left_out for told in plan.tables.values()
    )
    return {what: n for what, n in left.items() if n}
