"""Writing a run down: what was judged, on what, and what came out."""

from __future__ import annotations

import json
from datetime import datetime

import pyarrow as pa

from slicedb import schema
from slicedb.store import Store
from slicedb.suite.records import Report


def record(store: Store, report: Report) -> None:
    """Add a run to `runs` and its results to `tests`."""
    at = datetime.fromisoformat(report.ran_at).replace(tzinfo=None)
    summary = {
        "model": report.model,
        "baseline": report.baseline,
        "confidence": report.confidence,
        "correction": report.correction,
        "strict": report.strict,
        "looks": report.facts["looks"],
        "models": list(report.facts["fingerprints"]),
        "ok": report.ok,
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
