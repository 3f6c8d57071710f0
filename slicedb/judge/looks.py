"""What earlier looks at an expectation mean for a verdict: its level, and what luck alone does.

A look is one judgement of an expectation. Looks of one candidate at samples that were only added
to follow one path and share an error rate along it. Another candidate, another definition of the
slice, and samples that were exchanged begin a path of their own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from slicedb import stats
from slicedb.expectations.grammar import BASELINE
from slicedb.judge.evidence import Evidence
from slicedb.slices import Slice


@dataclass(frozen=True)
class Look:
    """One judgement of an expectation."""

    model: str
    identity: str
    """What tells candidates apart: the fingerprint, that of the baseline, and the definition of
    the slice."""
    n: int
    """Samples that it rested on."""
    value: float


Past: TypeAlias = Mapping[tuple[str, str], Sequence[Look]]
"""Earlier looks, the first one first, by the name of the slice and the expectation (`asked`)."""


@dataclass(frozen=True)
class Looks:
    """The looks at one expectation, that of now included."""

    models: Mapping[str, int]
    """Looks by model."""
    candidates: int
    """Distinct candidates: a model that was trained again is another one."""
    place: int
    """Which of the paths that of now is, from 1 up."""
    sizes: tuple[int, ...]
    """Samples at the looks of that path, rising."""

    @property
    def times(self) -> int:
        """How often it was judged."""
        return sum(self.models.values())

    def __str__(self) -> str:
        each = ", ".join(f"{name} {n:,}" for name, n in sorted(self.models.items()))
        return f"look {self.times:,} at it ({each})"

    def level(self, alpha: float) -> float:
        """Return the one-sided level of this look if all looks together may err in `alpha`."""
        alone = alpha * stats.share_of_candidate(self.place)
        return stats.level_of_look(self.sizes, alone)


FIRST = Looks({}, 1, 1, (1,))
"""Of what nobody looked at before."""


def best_of(k: int) -> float:
    """Return by how many standard errors the best of k equal candidates looks better, at most.

    sqrt(2 ln k) bounds the expected maximum of k Gaussians, whatever their correlation.

    >>> print(f"{best_of(20):.2f}")
    2.45
    """
    return math.sqrt(2 * math.log(k))


def asked(check: str, baseline: str | None, of_run: str | None) -> str:
    """Return an expectation with the baseline of its run under the word that stands for it.

    >>> asked("accuracy no worse than v3 by 0.01", "v3", "v3")
    'accuracy no worse than baseline by 0.01'
    """
    if baseline is None or baseline != of_run:
        return check
    head, words, tail = check.partition("no worse than ")
    for name in (f"'{baseline}'", f'"{baseline}"', baseline):
        if words and tail.startswith(name):
            return f"{head}{words}{BASELINE}{tail[len(name) :]}"
    return check


def looks_of(evidence: Evidence, identity: str, earlier: Sequence[Look], least: int) -> Looks:
    """Return the looks at an expectation, that of now included.

    Args:
        evidence: that of now.
        identity: of the candidate of now.
        earlier: the looks before, the first one first.
        least: samples below which a look decides nothing and spends nothing.
    """
    now = Look(evidence.trial.model, identity, evidence.n, evidence.value)
    models: dict[str, int] = {}
    paths: dict[str, _Path] = {}
    place = 0
    for look in (*earlier, now):
        models[look.model] = models.get(look.model, 0) + 1
        if look is not now and look.n < least:
            continue
        path = paths.get(look.identity)
        if path is None or path.breaks(look):
            place += 1
            path = paths[look.identity] = _Path(place, ())
        paths[look.identity] = path.to(look)
    path = paths[identity]
    candidates = len({look.identity for look in (*earlier, now)})
    return Looks(models, candidates, path.place, path.sizes)


@dataclass(frozen=True)
class _Path:
    place: int
    sizes: tuple[int, ...]
    value: float = math.nan

    def breaks(self, look: Look) -> bool:
        """Return whether a look shows other samples than more of the same ones."""
        last = self.sizes[-1]
        same = abs(look.value - self.value) <= 1e-9 * max(1.0, abs(self.value))
        return look.n < last or (look.n == last and not same)

    def to(self, look: Look) -> _Path:
        n = max(look.n, 1)
        sizes = self.sizes if self.sizes and n == self.sizes[-1] else (*self.sizes, n)
        return _Path(self.place, sizes, look.value)


def signature(s: Slice) -> str:
    """Return what tells one definition of a slice from another."""
    text = json.dumps([s.text.strip(), s.holdout, s.group])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def identity(model: str, baseline: str, fingerprints: Mapping[str, str], definition: str) -> str:
    """Return what tells a candidate apart from others.

    Args:
        model: the candidate.
        baseline: what it is compared with, "" for nothing.
        fingerprints: by model, "" where it is not known.
        definition: the signature of the slice.
    """
    of = (f"{name} {fingerprints.get(name, '')}" for name in (model, baseline) if name)
    return " | ".join([*of, definition])
