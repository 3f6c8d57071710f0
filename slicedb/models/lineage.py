"""Tell where a model comes from and who judged it: versions, training data, runs."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.schema import Row


@dataclass(frozen=True)
class Judgement:
    """A run that a model took part in."""

    run: str
    kind: str
    """"test" or "evaluate"."""
    ran_at: datetime.datetime
    by: str
    """The user who ran it, "" where it is not known."""
    on: tuple[str, ...]
    """The slices, each with its holdout share and its n where they are known."""
    result: str
    """How it came out: verdicts, or the first figures."""
    current: bool
    """Whether it judged the weights that the name has now."""

    def __str__(self) -> str:
        who = f" by {self.by}" if self.by else ""
        old = "" if self.current else " (an earlier version)"
        shown = ", ".join(self.on[:4]) + (f", {len(self.on) - 4} more" if len(self.on) > 4 else "")
        when = f"{self.ran_at:%Y-%m-%d %H:%M}"
        return f"{self.kind} {when}{who} on {shown or 'nothing'}: {self.result}{old}"


def judgements(runs: pa.Table, model: str, fingerprint: str) -> list[Judgement]:
    """Return the runs that a model took part in, the newest first.

    Args:
        runs: rows of the table `runs`.
        fingerprint: of the version that the name has now.
    """
    result = []
    named = pc.match_substring(runs["fingerprints"], json.dumps(model))  # parsed below
    for row in runs.filter(named).to_pylist():
        prints = json.loads(row["fingerprints"])
        if model in prints:
            result.append(_judgement(row, model, prints[model] in ("", fingerprint)))
    return sorted(result, key=lambda j: (j.ran_at, j.run), reverse=True)


def _judgement(row: Row, model: str, current: bool) -> Judgement:
    summary = json.loads(row["summary"] or "{}")
    slices = summary.get("slices") or {name: {} for name in json.loads(row["queries"] or "{}")}
    on = tuple(_slice(name, about) for name, about in slices.items())
    kind = row["kind"] or ""
    result = _verdicts(summary, model) if kind == "test" else _figures(summary, model)
    if summary.get("truth"):
        result += f" (truth: {summary['truth']})"
    return Judgement(row["id"], kind, row["ran_at"], summary.get("by", ""), on, result, current)


def _slice(name: str, about: Row) -> str:
    facts = []
    if about.get("holdout") is not None:
        facts.append(f"holdout {about['holdout']:.0%}")
    if about.get("n") is not None:
        facts.append(f"n = {about['n']:,}")
    return f"{name} ({', '.join(facts)})" if facts else name


def _verdicts(summary: Row, model: str) -> str:
    parts = [f"{summary.get(v.lower(), 0)} {v}" for v in ("FAIL", "INCONCLUSIVE", "PASS")]
    against = f" against {summary['baseline']}" if summary.get("baseline") else ""
    if summary.get("model") != model:
        return f"baseline of {summary.get('model')}"
    return ", ".join(p for p in parts if not p.startswith("0 ")) + against


def _figures(summary: Row, model: str) -> str:
    """Return the first figures of whole slices; those of single classes are in the run."""
    rows = [r for r in summary.get("metrics", []) if r["model"] == model and not r.get("of")]
    shown = [
        f"{r['metric']} {r['value']:.3f} on {r['slice']}" for r in rows if r["value"] is not None
    ]
    return ", ".join(shown[:3]) or "no figures"
