"""Record what was judged, on what, and with which result."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.errors import DatabaseError
from slicedb.judge import Evaluation, SuiteRun
from slicedb.runs import looks
from slicedb.runs.looking import is_recorded
from slicedb.runs.table import Run, append
from slicedb.runs.user import user
from slicedb.slices import Slice
from slicedb.store import Store, software
from slicedb.store.without_pandas import without_pandas
from slicedb.tasks import About

_FIGURES = 100
"""Rows of an evaluation that are written down."""

_COLUMNS = ("slice", "model", "metric", "of", "value", "low", "high", "n")


_UNRECORDED = "this database may only be read, so the run is not recorded and its looks not counted"


@without_pandas()
def record(store: Store, run: SuiteRun, limit: int | None = looks.LIMIT) -> SuiteRun:
    """Add a run to `runs` and its results to `tests`, and return it with its warnings.

    Args:
        limit: looks at a held-out slice after which it warns of them; None and 0 never warn.
    """
    if not store.is_writable:
        return replace(run, warnings=(*run.warnings, _UNRECORDED))
    at = datetime.fromisoformat(run.ran_at).replace(tzinfo=None)
    guarded = looks.guarded([scope.slice for scope in run.scopes])
    tests = [
        {
            "id": f"{run.run}/{i}",
            "run": run.run,
            "ran_at": at,
            **{name: getattr(result, name) for name in _RESULT},
        }
        for i, result in enumerate(run.results)
    ]
    store.create(schema.TESTS, schema.TESTS_SCHEMA)
    if tests:
        store.append(schema.TESTS, pa.Table.from_pylist(tests, schema=schema.TESTS_SCHEMA))
    row = Run(
        id=run.run,
        kind="test",
        what=run.model,
        ran_at=at,
        queries=run.queries,
        **vars(run.provenance),
        summary={
            **{name: getattr(run, name) for name in _SETTINGS},
            "truth": None if run.truth is None else str(run.truth),
            "looks": guarded,
            "models": list(run.provenance.fingerprints),
            "ok": run.ok,
            "by": user(),
            "slices": {
                s.slice.title: {"holdout": s.slice.holdout, "n": len(s.rows)} for s in run.scopes
            },
            "pass": run.count("PASS"),
            "fail": run.count("FAIL"),
            "inconclusive": run.count("INCONCLUSIVE"),
            **({"errors": {b.name: b.message for b in run.broken}} if run.broken else {}),
        },
    )
    append(store, row)
    sizes = {scope.slice.name: len(scope.keys) for scope in run.scopes}
    held = {s.slice.name for s in run.scopes if s.slice.holdout is not None}
    of_held = {name: mark for name, mark in guarded.items() if name in held}
    warned = [*run.warnings, *looks.warnings(store, of_held, sizes, limit)]
    if not run.sequential:
        warned += looks.warnings_of_gates(run.results, held, limit)
    return replace(run, warnings=tuple(warned))


_SETTINGS = "model baseline confidence correction strict guard sequential".split()
"""Fields of a run that its summary repeats."""

_RESULT = "slice check model baseline verdict value low high n left_out message".split()
"""Columns of the table `tests` that are fields of a result."""


def record_evaluation(
    store: Store,
    evaluation: Evaluation,
    models: Sequence[str],
    members: Mapping[str, np.ndarray],
    slices: Sequence[Slice],
    *,
    always: bool,
) -> Evaluation:
    """Add an evaluation to `runs`, and return it with the warnings of its held-out slices.

    A database that cannot be written to is left alone.

    Args:
        store: the tables; at an earlier commit nothing is written.
        evaluation: what came out; its first `_FIGURES` rows are written down.
        slices: the registered slices among those judged.
        always: write it down whatever was judged, not only looks at held-out slices.
    """
    guarded = looks.guarded(slices)
    if store.title or not (guarded or always) or not is_recorded():
        return evaluation
    if not store.is_writable:
        return replace(evaluation, warnings=(*evaluation.warnings, _UNRECORDED))
    now = datetime.now(UTC)
    texts = {s.title: s.text for s in slices}
    rows = evaluation.to_arrow().slice(0, _FIGURES).select(_COLUMNS).to_pylist()
    row = Run(
        id=f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        kind="evaluate",
        what=", ".join(models),
        ran_at=now.replace(tzinfo=None),
        tables=store.versions(),
        fingerprints={name: About.read(store, name).fingerprint for name in models},
        queries={name: texts.get(name, name) for name in members},
        software=software(),
        summary={
            "by": user(),
            "slices": {name: {"n": len(keys)} for name, keys in members.items()},
            "metrics": [{k: None if v != v else v for k, v in row.items()} for row in rows],
            "truth": None if evaluation.truth is None else str(evaluation.truth),
            "looks": guarded,
            "models": list(models),
        },
    )
    with contextlib.suppress(DatabaseError, OSError):
        append(store, row)
    sizes = {name.partition("@")[0]: len(keys) for name, keys in members.items()}
    held = {s.name for s in slices if s.holdout is not None}
    of_held = {name: mark for name, mark in guarded.items() if name in held}
    warned = (*evaluation.warnings, *looks.warnings(store, of_held, sizes))
    return replace(evaluation, warnings=warned)
