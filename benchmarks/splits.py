"""Splits beside scikit-learn and iterative stratification: time, deviation, and what crosses.

    python benchmarks/splits.py [--rows 1000000] [--structures 100]

Bars: nothing crosses in 100 random structures of groups; the deviation is no worse than that of
StratifiedGroupKFold on one column, and than that of `iterative-stratification` (where it is
installed) on several with groups of one; a million rows take under five seconds.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import slicedb
from slicedb import schema
from slicedb.curate.placing import count, place


def spread(fold: np.ndarray, labels: list[np.ndarray], k: int = 5) -> float:
    """Mean deviation of a value's share between folds, over all values of all columns."""
    of = [
        np.std([(label[fold == f] == v).mean() for f in range(k)])
        for label in labels
        for v in np.unique(label)
    ]
    return float(np.mean(of))


def placed(labels: list[np.ndarray], unit: np.ndarray, k: int = 5) -> np.ndarray:
    n = len(unit)
    cell, base = [], 1
    for label in labels:
        cell.append(label + base)
        base += int(label.max()) + 1
    counts = count(
        np.concatenate(cell), np.tile(np.arange(n), len(labels)), unit, int(unit.max()) + 1, base
    )
    return place(counts, np.full(k, 1 / k))[unit]


def one_column(structures: int) -> None:
    from sklearn.model_selection import StratifiedGroupKFold

    worse, ratios, seconds = 0, [], np.zeros(2)
    for seed in range(structures):
        rng = np.random.default_rng(seed)
        n, n_groups = 2000, int(rng.integers(20, 200))
        group = rng.zipf(1.6, n) % n_groups if seed % 2 else rng.integers(0, n_groups, n)
        label = (rng.integers(0, 5, n) + group) % 5 if seed % 3 else rng.choice(5, n)
        _, unit = np.unique(group, return_inverse=True)
        start = time.process_time()
        ours = placed([label], unit)
        middle = time.process_time()
        theirs = np.empty(n, int)
        folds = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for k, (_, test) in enumerate(folds.split(label, label, unit)):
            theirs[test] = k
        seconds += (middle - start, time.process_time() - middle)
        assert all(len(np.unique(ours[unit == u])) == 1 for u in range(unit.max() + 1))
        a, b = spread(ours, [label]), spread(theirs, [label])
        worse += a > b + 1e-9
        ratios.append(a / b)
    print(
        f"{structures} structures: no group crosses; deviation over StratifiedGroupKFold's "
        f"{np.median(ratios):.2f} (worst {np.max(ratios):.2f}), worse in {worse}; "
        f"time over its {seconds[0] / seconds[1]:.2f}"
    )


def several_columns(runs: int) -> None:
    try:
        from iterstrat.ml_stratifiers import MultilabelStratifiedKFold
    except ImportError:
        print("several columns: iterative-stratification is not installed")
        return
    worse, ratios = 0, []
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        labels = [(rng.random(1000) < share).astype(int) for share in (0.5, 0.3, 0.1, 0.05, 0.02)]
        ours = placed(labels, np.arange(1000))
        theirs = np.empty(1000, int)
        folds = MultilabelStratifiedKFold(5, shuffle=True, random_state=seed)
        for k, (_, test) in enumerate(folds.split(np.zeros(1000), np.stack(labels, axis=1))):
            theirs[test] = k
        a, b = spread(ours, labels), spread(theirs, labels)
        worse += a > b + 1e-9
        ratios.append(a / b)
    print(
        f"several columns, {runs} runs: deviation over iterative-stratification's "
        f"{np.median(ratios):.2f} (worst {np.max(ratios):.2f}), worse in {worse}"
    )


def large(rows: int) -> None:
    folder = Path(tempfile.mkdtemp())
    db = slicedb.open(folder / "s.slicedb")
    rng = np.random.default_rng(0)
    ids = [f"s{i:08d}" for i in range(rows)]
    table = {
        "id": ids,
        "key": schema.keys_of(ids),
        "status": ["ok"] * rows,
        "label": [f"c{v}" for v in rng.integers(0, 10, rows)],
    }
    db.store.append(schema.SAMPLES, pa.table(table))
    db.attach(
        pa.table(
            {
                "id": ids,
                "age": rng.normal(50, 10, rows),
                "patient": [f"p{v}" for v in rng.integers(0, rows // 5, rows)],
            }
        )
    )
    for name, options in {
        "by label": {"stratify": "label"},
        "by patient, label and age": {"group": "patient", "stratify": ["label", "age"]},
    }.items():
        start, wall = time.process_time(), time.perf_counter()
        report = db.split(into=f"part_{len(name)}", **options)  # type: ignore[arg-type]
        print(
            f"{rows:,} rows {name}: {time.process_time() - start:.1f} processor seconds, "
            f"{time.perf_counter() - wall:.1f} s; shares deviate by at most "
            f"{max(d.size for d in report.deviations):.5f}"
        )
    shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--structures", type=int, default=100)
    given = parser.parse_args()
    one_column(given.structures)
    several_columns(20)
    large(given.rows)


if __name__ == "__main__":
    main()
