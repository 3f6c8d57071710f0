"""Count the looks at held-out slices, and what the looking costs.

A held-out slice says how a model does on samples that decided nothing. Each look at it that leads
to a choice (this model and not that one) makes it decide something: the best of k models looks
better than it is (Dwork et al., Science 2015; Blum & Hardt, ICML 2015). Every judgement of a
slice with a holdout is written down in `runs` with what the slice was then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from slicedb.runs.table import read
from slicedb.slices import Slice
from slicedb.store import Store

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


def signature(s: Slice) -> str:
    """Return what tells one definition of a held-out slice from another."""
    text = json.dumps([s.text.strip(), s.holdout, s.group])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def guarded(slices: Sequence[Slice]) -> dict[str, str]:
    """Return the signatures of the slices that have a holdout, by name; what `runs` keeps."""
    return {s.name: signature(s) for s in slices if s.holdout is not None}


def shown(store: Store, s: Slice) -> str:
    """Return the looks at a slice since it was defined as it is, "" without a holdout."""
    if s.holdout is None:
        return ""
    mark = signature(s)
    return str(_counts(store, {s.name: mark}).get((s.name, mark), Looks()))


def _counts(store: Store, looked: Mapping[str, str]) -> dict[tuple[str, str], Looks]:
    """Return the looks at some slices, by name and signature."""
    counts: dict[tuple[str, str], Looks] = {}
    if not looked:
        return counts
    rows = read(store, ["summary", "fingerprints"], "kind IN ('test', 'evaluate')")
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
    return float(np.sqrt(2 * np.log(k)) / (2 * np.sqrt(n)))
