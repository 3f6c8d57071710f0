"""What `discover` finds of what was planted, and how often it finds what is not there.

    python benchmarks/discover.py [--only conjunctions,clusters,nothing] [--demo data.slicedb]
        [--peer PYTHON]

Conjunctions: three are planted in 50,000 samples with 20 columns; each run is a process of its own,
of which processor time and peak memory are told. PYTHON is an interpreter with `sliceline` 0.3,
which then searches the same cells. Clusters: rare, correlated and noisy ones among the vectors of
3,000 samples, 20 seeds each, beside k-means over the errors (the best of five clusters). Nothing:
200 runs in which errors fall by chance. Demo: the database that `slicedb demo` made.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fakes_discovery import clusters, planted

import slicedb
from slicedb import schema
from slicedb.curate.cells import cells_of
from slicedb.curate.conditions import Conditions
from slicedb.curate.discovery import search, tested
from slicedb.curate.judged import Wanted
from slicedb.curate.marks import joined, marks
from slicedb.curate.mixture import k_means, reduced
from slicedb.curate.proof import half_of
from slicedb.curate.regions import Judged, cuts, regions, summed

ROWS, SEEDS, RUNS = 50_000, 20, 200

MEASURED = """
import json, resource, sys, time
import slicedb
db = slicedb.open(sys.argv[1])
started, on_the_clock = time.process_time(), time.perf_counter()
report = db.discover("m")
spent = time.process_time() - started, time.perf_counter() - on_the_clock
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(json.dumps([[f.query for f in report.confirmed], *spent, peak]))
"""

PEER = """
import resource, sys, time
import numpy as np
from sliceline.slicefinder import Slicefinder
held = np.load(sys.argv[1])
started = time.process_time()
finder = Slicefinder(alpha=0.95, k=3, max_l=3, min_sup=int(sys.argv[2]), verbose=False)
finder.fit(held["cells"], held["wrong"])
spent = time.process_time() - started
for row in finder.top_slices_:
    print("   ", " AND ".join(f"{n} = {v}" for n, v in zip(held["names"], row) if v is not None))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"    at least {sys.argv[2]} samples: {spent:.1f} s of processor time, peak {peak:.2f} GB")
"""


def conjunctions(folder: Path, peer: str | None) -> None:
    """Print what is found of three conjunctions among twenty columns."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        columns = {f"c{k}": rng.integers(0, 3 + k % 8, ROWS) for k in range(15)}
        columns |= {f"x{k}": rng.normal(size=ROWS) for k in range(5)}
        parts = [
            ("c1 = 2 AND c4 = 1 AND c7 = 3", (columns["c1"] == 2) & (columns["c4"] == 1), 0.7),
            ("c2 = 0 AND c5 = 1", (columns["c2"] == 0) & (columns["c5"] == 1), 0.5),
            ("c9 = 2 AND c11 = 0", (columns["c9"] == 2) & (columns["c11"] == 0), 0.4),
        ]
        rate = np.full(ROWS, 0.05)
        for k, (_, inside, error) in enumerate(parts):
            rate[inside & (columns["c7"] == 3) if k == 0 else inside] = error
        wrong = rng.random(ROWS) < rate
        path = folder / f"{seed}.slicedb"
        planted(path, columns, wrong)
        command = [sys.executable, "-c", MEASURED, str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        found, processor, clock, peak = json.loads(said)
        exact = {query for query, _, _ in parts} == set(found)
        print(f"conjunctions, seed {seed}: {'exact' if exact else found}")
        print(f"  {processor:.1f} s of processor time, {clock:.1f} s, peak {peak:.2f} GB")
        if peer and not seed:
            print("  sliceline 0.3 on the same half, three best:")
            at = np.flatnonzero(half_of(schema.keys_of([f"s{i:06d}" for i in range(ROWS)]), None))
            cells = np.stack([_binned(values[at]) for values in columns.values()], axis=1)
            held = {"cells": cells, "wrong": wrong[at].astype(float), "names": list(columns)}
            np.savez(folder / "rows.npz", **held)
            subprocess.run([peer, "-c", PEER, str(folder / "rows.npz"), "500"], check=False)


def _binned(values: np.ndarray) -> np.ndarray:
    """Return whole numbers as they are, others as fifths."""
    if values.dtype.kind == "i":
        return values
    return np.digitize(values, np.quantile(values, [0.2, 0.4, 0.6, 0.8]))


def precision(inside: np.ndarray, order: np.ndarray) -> float:
    """Return the share of the planted samples among the first ten."""
    return float(inside[order[:10]].mean())


def planted_clusters(folder: Path) -> None:
    """Print how often the ten samples most in a finding are those that were planted."""
    for kind in ("rare", "correlated", "noisy"):
        ours, best, theirs = [], [], []
        for seed in range(SEEDS):
            vectors, labels, wrong, inside = clusters(kind, seed)
            ids = [f"s{i:06d}" for i in range(len(wrong))]
            held = np.flatnonzero(~half_of(schema.keys_of(ids), None))
            db = planted(folder / f"{kind}{seed}.slicedb", {}, wrong, labels)
            db.log_embeddings("default", {"id": ids, "vector": vectors})
            scores = [0.0]
            for finding in db.discover("m").confirmed:
                if "similarity(" in finding.query:
                    score = finding.query[finding.query.index("similarity(") :].rpartition(" >= ")[
                        0
                    ]
                    names = db.query(f"{finding.query} ORDER BY {score} DESC").ids()
                    order = np.array([int(name[1:]) for name in names])
                    scores.append(precision(inside, order[np.isin(order, held)]))
            ours.append((scores[1:] or scores)[0])
            best.append(max(scores))
            theirs.append(by_k_means(vectors, wrong, inside, held, seed))
        shown = [f"{np.mean(np.array(p) >= 0.8):.0%}" for p in (ours, best, theirs)]
        print(
            f"clusters, {kind}: precision@10 >= 0.8 of {SEEDS} seeds in {shown[0]} by the first "
            f"finding, {shown[1]} by the best one; k-means on errors, best of 5: {shown[2]}"
        )


def by_k_means(
    vectors: np.ndarray, wrong: np.ndarray, inside: np.ndarray, held: np.ndarray, seed: int
) -> float:
    """Return the best precision of five clusters of the errors on the half that is not held."""
    x = reduced(vectors)
    seen = np.setdiff1d(np.flatnonzero(wrong), held)
    cluster = k_means(x[seen], 5, seed)
    centres = [x[seen[cluster == k]].mean(axis=0) for k in range(5)]
    orders = [held[np.argsort(((x[held] - centre) ** 2).sum(axis=1))] for centre in centres]
    return max(precision(inside, order) for order in orders)


def nothing(n: int = 1500, d: int = 32) -> None:
    """Print how often something is confirmed where errors fall by chance."""
    confirmed = proposed = 0
    for seed in range(RUNS):
        rng = np.random.default_rng(seed)
        columns = {f"c{k}": rng.integers(0, 2 + k % 6, n) for k in range(12)}
        columns |= {f"x{k}": rng.normal(size=n) for k in range(6)}
        columns["label"] = rng.integers(0, 4, n)
        wrong = (rng.random(n) < 0.15).astype(float)
        vectors = rng.normal(size=(4, 6, d))[columns["label"], rng.integers(0, 6, n)]
        vectors += 2 * rng.normal(size=d) + 0.5 * rng.normal(size=(n, d))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        found = by_chance(columns, wrong, vectors.astype(np.float32), rng)
        proposed += bool(found)
        confirmed += any(found)
    print(
        f"nothing planted: {RUNS} runs, {proposed} with findings, {confirmed} with a confirmed one"
    )


def by_chance(
    columns: dict[str, np.ndarray],
    wrong: np.ndarray,
    vectors: np.ndarray,
    rng: np.random.Generator,
    least: int = 10,
) -> list[bool]:
    """Return of each finding whether it is confirmed, as `discover` does it on tables."""
    label, names = columns["label"], list(columns)
    half = half_of(rng.integers(0, 2**62, len(wrong)), None)
    at = np.flatnonzero(half)
    truth, said = np.eye(4)[label], np.eye(4)[np.where(wrong > 0, (label + 1) % 4, label)]
    judged = Judged(vectors[at], wrong[at], truth[at], said[at], rng.integers(0, 5, len(at)))
    plain = [cells_of(pa.table(columns), names)]
    fair, kinds = [*plain], ["columns"] * len(names)
    for k, region in enumerate(regions(judged, least)):
        scores = vectors @ summed(judged.vectors, region.like, region.unlike)
        scores = (scores - scores[at].mean()) / scores[at].std()
        honest = scores.copy()
        honest[at] = region.fair
        limits = cuts(region.fair, judged.error, least)
        queries = [f"r{k} >= {limit}" for limit in limits]
        plain.append(marks(f"r{k}", queries, [scores >= limit for limit in limits]))
        fair.append(marks(f"r{k}", queries, [honest >= limit for limit in limits]))
        kinds.append("vectors")
    where = Conditions(joined(plain), joined(fair), tuple(kinds), tuple(names), 0, "vectors")
    found = search(where, wrong, half, Wanted(), least)
    return [f.confirmed for f, _ in tested(where, found, wrong, half, None, Wanted())]


def demo(path: str) -> None:
    """Print what is found in the demo, whose faults are forks and Indian desserts."""
    for seed in range(5):
        found = slicedb.open(path).discover("food_v2", seed=seed).confirmed
        print(f"demo, halves {seed}: {' | '.join(f.query for f in found[:2])}")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="conjunctions,clusters,nothing")
    parser.add_argument("--demo", help="the database of the demo")
    parser.add_argument("--peer", help="a Python with sliceline")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if "conjunctions" in asked.only:
            conjunctions(Path(folder), asked.peer)
        if "clusters" in asked.only:
            planted_clusters(Path(folder))
    if "nothing" in asked.only:
        nothing()
    if asked.demo:
        demo(asked.demo)


if __name__ == "__main__":
    main()
