"""Count the looks at slices that gate or are held out, and what the looking costs.

Each look at a slice that leads to a choice (this model and not that one) makes its samples decide
something: the best of k models looks better than it is (Dwork et al., Science 2015; Blum & Hardt,
ICML 2015). Every judgement of such a slice is written down in `runs` with what the slice was then.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from slicedb import schema, sql
from slicedb.judge.looks import Look, Past, asked, best_of, identity, signature
from slicedb.judge.results import Result
from slicedb.judge.truth import OtherTruth
from slicedb.runs.table import read
from slicedb.show.numbers import count
from slicedb.slices import Slice
from slicedb.store import Store
from slicedb.store.without_pandas import without_pandas

LIMIT = 10
"""Looks at a held-out slice after which they are warned of; `looks` in `suite.toml` sets it."""

WHAT_TO_DO = (
    "choose between models on other samples (a validation split), and look here once a release; "
    "or hold out samples that nothing was chosen on yet, under a new definition"
)


@dataclass
class Looks:
    """The looks at one slice since it was defined as it is."""

    times: int = 0
    """Runs that judged it."""
    models: dict[str, int] = field(default_factory=dict)
    """Runs by model."""
    candidates: set[str] = field(default_factory=set)
    """Distinct models, by fingerprint where one is known."""

    def __str__(self) -> str:
        word = "look" if self.times == 1 else "looks"
        each = ", ".join(f"{name} {n:,}" for name, n in sorted(self.models.items()))
        return f"{self.times:,} {word} ({each})" if each else f"{self.times:,} {word}"


def guarded(slices: Sequence[Slice]) -> dict[str, str]:
    """Return the signatures of slices that gate or are held out, by name; what `runs` keeps."""
    return {s.name: signature(s) for s in slices if s.expect or s.holdout is not None}


def shown(store: Store, s: Slice) -> str:
    """Return the looks at a slice since it was defined as it is, "" where none are counted."""
    if not guarded([s]):
        return ""
    mark = signature(s)
    return str(_counts(store, {s.name: mark}).get((s.name, mark), Looks()))


def times(store: Store, slices: Sequence[Slice]) -> dict[str, int]:
    """Return how often each slice that gates or is held out was looked at, by name."""
    looked = guarded(slices)
    counts = _counts(store, looked)
    return {name: counts.get((name, mark), Looks()).times for name, mark in looked.items()}


def _counts(store: Store, looked: Mapping[str, str]) -> dict[tuple[str, str], Looks]:
    """Return the looks at some slices, by name and signature."""
    counts: dict[tuple[str, str], Looks] = {}
    if not looked:
        return counts
    rows = read(store, ["summary", "fingerprints"], "kind IN ('test', 'evaluate', 'look')")
    # Only the runs that looked at one of them are parsed: there may be thousands, with figures.
    marks = "|".join(f'"{mark}"' for mark in looked.values())
    for row in rows.filter(pc.match_substring_regex(rows["summary"], marks)).to_pylist():
        summary, fingerprints = json.loads(row["summary"]), json.loads(row["fingerprints"] or "{}")
        for name, mark in summary.get("looks", {}).items():
            looks = counts.setdefault((name, mark), Looks())
            looks.times += 1
            for model in summary.get("models", []):
                looks.models[model] = looks.models.get(model, 0) + 1
                looks.candidates.add(f"{model} {fingerprints.get(model, '')}")
    return counts


def warnings(
    store: Store, looked: Mapping[str, str], sizes: Mapping[str, int], limit: int | None = LIMIT
) -> tuple[str, ...]:
    """Return a sentence for each slice that was looked at more than `limit` times.

    Args:
        store: the database; the looks of now are written down already.
        looked: see `guarded`.
        sizes: samples judged of each slice.
        limit: None or 0 never warns.
    """
    if not limit or not looked:
        return ()
    counts = _counts(store, looked)
    lines = []
    for name, mark in looked.items():
        looks = counts.get((name, mark), Looks())
        if looks.times > limit:
            lines.append(_warning(name, looks, sizes.get(name, 0)))
    return tuple(lines)


def warnings_of(store: Store, slices: Sequence[Slice]) -> tuple[str, ...]:
    """Return a sentence for each held-out slice that was looked at more than `LIMIT` times."""
    times_of = times(store, slices)
    over = [s for s in slices if times_of.get(s.name, 0) > LIMIT]
    return warnings(store, guarded(over), {s.name: len(s.keys()) for s in over})


def warnings_of_gates(
    results: Sequence[Result], held: Collection[str], limit: int | None = LIMIT
) -> Iterator[str]:
    """Yield one sentence about the slices that gate and were judged more than `limit` times.

    Args:
        results: of a run in which each verdict holds for one look.
        held: names of slices that `warnings` speaks of.
        limit: None or 0 never warns.
    """
    over = [r for r in results if limit and r.looks > limit and r.slice not in held]
    if over:
        most = max(over, key=lambda r: r.looks)
        slices = len({r.slice for r in over})
        which = f"slice '{most.slice}' was" if slices == 1 else f"{slices:,} slices were"
        yield (
            f"{which} judged more than {limit:,} times, '{most.title}' {most.looks:,} times, on "
            f"{count(most.candidates, 'candidate')}: some verdicts may be luck. Hint: "
            "`sequential = true` in suite.toml gives verdicts that hold over all looks."
        )


def _warning(name: str, looks: Looks, n: int) -> str:
    k = len(looks.candidates)
    luck = ""
    if k > 1 and n:
        points = 100 * optimism(k, n)
        luck = (
            f" By luck alone the best of {k:,} equally good models would look up to "
            f"{points:.1f} points better than it is (n = {n:,})."
        )
    return f"held-out slice '{name}' was judged {looks.times:,} times.{luck} Hint: {WHAT_TO_DO}."


def optimism(k: int, n: int) -> float:
    """Return by how much the best of k equally good models looks better than it is, at most.

    sqrt(2 ln k) standard errors of a share, of which 1 / (2 sqrt(n)) is the largest: the bound on
    the expected maximum of k Gaussians, whatever their correlation.

    >>> round(optimism(10, 400), 4)
    0.0536
    """
    return best_of(k) / (2 * float(np.sqrt(n)))


# --- looks at expectations ------------------------------------------------------------------------


_LOOKED = "run slice check model baseline n value ran_at".split()


@without_pandas()
def past_looks(store: Store, slices: Sequence[Slice], truth: OtherTruth | None = None) -> Past:
    """Return the looks that the expectations of some slices had so far, the first one first.

    Args:
        store: the database.
        slices: the slices.
        truth: only looks at models that were judged against this; None is the ground truth.
    """
    if not slices or not store.has(schema.TESTS):
        return {}
    names = {name for s in slices for name in (s.name, f"{s.name}@{s.version}")}
    rows = store.table(schema.TESTS, _LOOKED, where=sql.is_in("slice", sorted(names)))
    runs = _runs(store)
    past: dict[tuple[str, str], list[Look]] = {}
    # Runs of one second stand in the order in which they were written.
    order = np.argsort(rows["ran_at"].to_numpy(), kind="stable")
    for row in rows.take(order).to_pylist():
        of_run, name = runs.get(row["run"], _NO_RUN), row["slice"].partition("@")[0]
        if of_run.truth != (None if truth is None else str(truth)):
            continue
        value = float("nan") if row["value"] is None else row["value"]
        baseline, definition = row["baseline"] or "", of_run.definitions.get(name, "")
        who = identity(row["model"], baseline, of_run.fingerprints, definition)
        key = name, asked(row["check"], row["baseline"], of_run.baseline)
        past.setdefault(key, []).append(Look(row["model"], who, row["n"] or 0, value))
    return past


@dataclass(frozen=True)
class _Run:
    """What a run says of its looks."""

    fingerprints: Mapping[str, str]
    definitions: Mapping[str, str]
    """The signature of each slice."""
    baseline: str | None
    truth: str | None = None


_NO_RUN = _Run({}, {}, None)


def _runs(store: Store) -> dict[str, _Run]:
    rows = read(store, ["id", "fingerprints", "summary"], "kind = 'test'").to_pylist()
    result = {}
    for row in rows:
        summary = json.loads(row["summary"] or "{}")
        fingerprints = json.loads(row["fingerprints"] or "{}")
        named = summary.get("baseline"), summary.get("truth")
        result[row["id"]] = _Run(fingerprints, summary.get("looks", {}), *named)
    return result
