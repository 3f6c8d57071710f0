"""How often drift cries wolf, what it finds, and how far an expected accuracy is from the truth.

    python benchmarks/drift.py [--only null,novel,expected] [--runs 500]

Bars: 500 pairs of sets that are alike raise 3 to 7 % alarms; a planted cluster of 5 % comes back as
a query with precision >= 0.9 and recall >= 0.8; under 200 planted changes of slice shares the
interval covers the accuracy >= 90 % of the time, with a median error of at most one point.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

from slicedb import stats
from slicedb.curate import expected
from slicedb.curate.chance import Chance
from slicedb.curate.differences import differences
from slicedb.curate.domain import domain
from slicedb.curate.scan import densest


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def null(runs: int) -> str:
    """Columns of five kinds and vectors, of sets that differ by chance alone."""
    alarms = 0
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(150, 1500))
        rows = pa.table(
            {
                "label": rng.choice(list("abcdefg"), n),
                "weather": rng.choice(["sun", "rain"], n, p=[0.9, 0.1]),
                "width": rng.normal(size=n),
                "people": rng.poisson(3, n),
                "tags": [[t for t in "pqr" if rng.random() < 0.3] for _ in range(n)],
            }
        )
        is_b = np.zeros(n, bool)
        is_b[rng.permutation(n)[: n // 3]] = True
        chance = Chance(is_b, seed=seed)
        p = [row.p for row in differences(rows, rows.column_names, chance)[0]]
        p.append(domain(unit(rng.normal(size=(n, 32))), chance).p)
        alarms += bool((stats.benjamini_hochberg(p) <= 0.05).any())
    low, high = stats.wilson(alarms, runs)
    return f"null pairs: {alarms} of {runs} alarms, {alarms / runs:.1%} [{low:.1%}, {high:.1%}]"


def novel(runs: int) -> str:
    """A cluster of 5 % of the second set that the first has not, among eight others."""
    precision, recall = [], []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        middles = rng.normal(size=(9, 64)) * 0.8
        kind = rng.integers(0, 8, 3000)
        is_b = np.arange(3000) >= 1500
        is_new = is_b & (rng.random(3000) < 0.05)
        kind[is_new] = 8
        vectors = unit(middles[kind] + rng.normal(size=(3000, 64)))
        window = densest(vectors, Chance(is_b, seed=seed))
        assert window is not None
        middle = unit(vectors[window.centre].sum(axis=0, keepdims=True))[0]
        inside = vectors @ middle >= window.cut
        precision.append((inside & is_new).sum() / max(1, inside.sum()))
        recall.append((inside & is_new).sum() / is_new.sum())
    good = np.mean((np.array(precision) >= 0.9) & (np.array(recall) >= 0.8))
    return (
        f"novel cluster, {runs} runs: precision {np.mean(precision):.3f}, recall "
        f"{np.mean(recall):.3f}; both bars met in {good:.0%}"
    )


def shares(runs: int) -> str:
    """Four slices whose shares change; accuracy differs between their 16 combinations."""
    lines = []
    for way in (expected.by_slices, expected.by_confidence, expected.by_threshold):
        covered, errors = [], []
        for seed in range(runs):
            rng = np.random.default_rng(seed)
            accuracy = rng.uniform(0.5, 0.98, 16)
            sides = []
            for n in (10_000, 10_000):
                inside = rng.random((n, 4)) < rng.uniform(0.15, 0.85, 4)
                of = accuracy[inside @ [1, 2, 4, 8]]
                right = rng.random(n) < of
                said = np.clip(of + 0.1 * rng.normal(size=n), 0.02, 1)
                sides.append((inside, right, said))
            (a, right, said), (b, truth, other) = sides
            both = expected._Sides(right, said, other, a, b)
            estimate, low, high = both.estimate(way, seed)
            covered.append(low <= truth.mean() <= high)
            errors.append(abs(estimate - truth.mean()))
        lines.append(
            f"expected accuracy {way.__name__}, {runs} changes: covers {np.mean(covered):.1%}, "
            f"median error {100 * np.median(errors):.2f} points"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", default="null,novel,expected")
    parser.add_argument("--runs", type=int, default=0, help="instead of the numbers of the bars")
    given = parser.parse_args()
    jobs = {"null": (null, 500), "novel": (novel, 20), "expected": (shares, 200)}
    for name in given.only.split(","):
        job, runs = jobs[name]
        start = time.process_time()
        print(job(given.runs or runs), f"({time.process_time() - start:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
