"""Writing a run down: what was judged, on what, and what came out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pyarrow as pa

from slicedb import schema
from slicedb.errors import DatabaseError
from slicedb.judge import Evaluation
from slicedb.judge.results import Report
from slicedb.store import Store, software

_FIGURES = 100
"""Rows of an evaluation that are written down."""

_KEPT = ("slice", "model", "metric", "of", "value", "low", "high", "n")


def user() -> str:
    """Return the name of whoever runs this, "" where the system does not say."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def record_evaluation(store: Store, found: Evaluation, about: Mapping[str, Any]) -> None:
    """Add an evaluation to `runs`; a database that cannot be written to is left alone.

    Args:
        store: the tables.
        found: what came out; the first `_FIGURES` rows are kept.
        about: tables, fingerprints, queries (slice -> text), slices (slice -> facts), looks.
    """
    now = datetime.now(UTC)
    rows = found.to_arrow().slice(0, _FIGURES).to_pylist()
    figures = [{k: None if v != v else v for k, v in row.items() if k in _KEPT} for row in rows]
    summary = {
        "by": user(),
        "slices": about["slices"],
        "metrics": figures,
        "looks": about.get("looks", {}),
        "models": list(about["fingerprints"]),
    }
    run = {
        "id": f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        "kind": "evaluate",
        "what": ", ".join(about["fingerprints"]),
        **{k: json.dumps(about[k]) for k in ("tables", "fingerprints", "queries")},
        "software": software(),
        "summary": json.dumps(summary),
        "ran_at": now.replace(tzinfo=None),
    }
    with contextlib.suppress(DatabaseError, OSError):
        store.create(schema.RUNS, schema.RUNS_SCHEMA)
        store.append(schema.RUNS, pa.Table.from_pylist([run], schema=schema.RUNS_SCHEMA))


def record(store: Store, report: Report) -> None:
    """Add a run to `runs` and its results to `tests`."""
    at = datetime.fromisoformat(report.ran_at).replace(tzinfo=None)
    summary = {
        "model": report.model,
        "baseline": report.baseline,
        "confidence": report.confidence,
        "correction": report.correction,
        "strict": report.strict,
        "looks": report.facts.get("looks", {}),
        "models": list(report.facts["fingerprints"]),
        "ok": report.ok,
        "by": user(),
        "slices": report.facts.get("slices", {}),
        **{v.lower(): report.count(v) for v in ("PASS", "FAIL", "INCONCLUSIVE")},  # type: ignore[arg-type]
    }
    run = {
        "id": report.run,
        "kind": "test",
        "what": report.model,
        "tables": json.dumps(report.facts["tables"]),
        "fingerprints": json.dumps(report.facts["fingerprints"]),
        "queries": json.dumps(report.facts["queries"]),
        "software": report.facts["software"],
        "summary": json.dumps(summary),
        "ran_at": at,
    }
    tests = [
        {
            "id": f"{report.run}/{i}",
            "run": report.run,
            "slice": r.slice,
            "check": r.check,
            "model": r.model,
            "baseline": r.baseline,
            "verdict": r.verdict,
            "value": r.value,
            "low": r.low,
            "high": r.high,
            "n": r.n,
            "left_out": r.left_out,
            "message": r.message,
            "ran_at": at,
        }
        for i, r in enumerate(report.results)
    ]
    store.create(schema.TESTS, schema.TESTS_SCHEMA)
    store.create(schema.RUNS, schema.RUNS_SCHEMA)
    if tests:
        store.append(schema.TESTS, pa.Table.from_pylist(tests, schema=schema.TESTS_SCHEMA))
    store.append(schema.RUNS, pa.Table.from_pylist([run], schema=schema.RUNS_SCHEMA))
