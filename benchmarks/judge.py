"""Judge the judge: false alarms, power, and the time that evaluation takes.

    python benchmarks/judge.py [--only null|power|speed|confusion] [--suites 1000] --dir SCRATCH

null       20 overlapping slices and two models that are exchangeable a sample: the share of suites
           that show any FAIL, and with a drop of 5 points planted in one slice of 1,000 images,
           the share in which that slice FAILs; beside it the rule "candidate >= baseline" and
           the limit, one slice alone.
power      the same at 18.6 % disagreement, in dense arithmetic, for many suites.
speed      50,000 rows x 1,000 slices x 6 metrics x 5 models with intervals, beside a loop over
           scikit-learn (timed on some slices and scaled up).
confusion  1,000,000 predictions x 20 slices: confusion matrices and accuracy a class, beside
           hand-written SQL over native DuckDB tables.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from slicedb import schema, stats
from slicedb.expectations import Check
from slicedb.judge import Aligned, confusion, evaluate
from slicedb.judge.evidence import Inputs
from slicedb.judge.paired import paired
from slicedb.judge.trials import JudgedSlice, Trial
from slicedb.judge.verdicts import Correction, SuiteSettings, verdicts
from slicedb.metrics import Outcomes, find
from slicedb.slices import Slice
from slicedb.store import Store
from slicedb.tasks import TASKS

CLASSES = [f"class_{i}" for i in range(10)]
METRICS = ["accuracy", "balanced_accuracy", "f1", "log_loss", "brier", "ece"]


# --- null -----------------------------------------------------------------------------------------


def judged(model: str, right: np.ndarray) -> Aligned:
    """Return a model that is right where told, over a universe of its own."""
    n = len(right)
    outcomes = Outcomes(("a", "b"), np.zeros(n, np.int64), np.where(right, 0, 1))
    return Aligned(model, outcomes, np.arange(n), np.arange(n))


def verdict_of(
    candidate: np.ndarray,
    baseline: np.ndarray,
    rows: list[np.ndarray],
    correction: Correction,
    detect: float | None = None,
) -> list[str]:
    """Return the verdict of "accuracy no worse than baseline" for each slice."""
    new, old = judged("new", candidate), judged("old", baseline)
    check = Check("accuracy", baseline="old")
    scopes = [JudgedSlice(Slice(f"s{i}", "true"), r, r) for i, r in enumerate(rows)]
    trials = [Trial(scope, check, "new", find("accuracy")) for scope in scopes]
    # Nothing is read: the outcomes are at hand, and no groups are asked for.
    inputs = Inputs(None, {"new": new, "old": old}, 0.95)  # type: ignore[arg-type]
    results = verdicts(
        list(paired(trials, inputs)), SuiteSettings(correction=correction, detect=detect)
    )
    return [result.verdict for result in results]


RULES: dict[str, tuple[Correction, float | None]] = {
    "auto (max-T)": ("auto", None),
    "max-T, detect = 0.05": ("auto", 0.05),
    "holm": ("holm", None),
}


def null(suites: int, difficulty: tuple[float, float], seeds: int) -> None:
    """Count false alarms and misses."""
    n = 8_000
    counts = {rule: [0, 0, 0] for rule in (*RULES, "candidate >= baseline", "one slice alone")}
    for seed in range(seeds, seeds + suites):
        rng = np.random.default_rng(seed)
        chance = rng.beta(*difficulty, n)  # of being right, a sample; 0.87 on average
        old, new = rng.random(n) < chance, rng.random(n) < chance
        rows = [np.arange(1000)]
        rows += [np.flatnonzero(rng.random(n) < rng.uniform(0.03, 0.5)) for _ in range(19)]
        dropped = new.copy()
        right = np.flatnonzero(new[:1000])
        dropped[rng.permutation(right)[:50]] = False
        for rule, (correction, detect) in RULES.items():
            counts[rule][0] += "FAIL" in verdict_of(new, old, rows, correction, detect)
            counts[rule][1] += verdict_of(dropped, old, rows, correction, detect)[0] == "FAIL"
        alone = counts["one slice alone"]
        alone[0] += verdict_of(new, old, rows[:1], "none")[0] == "FAIL"
        alone[1] += verdict_of(dropped, old, rows[:1], "none")[0] == "FAIL"
        naive = counts["candidate >= baseline"]
        naive[0] += any(new[r].mean() < old[r].mean() for r in rows)
        naive[1] += dropped[:1000].mean() < old[:1000].mean()
        naive[2] += new[:1000].mean() < old[:1000].mean()
    print(
        f"{suites:,} suites of 20 overlapping slices, {n:,} images, disagreement "
        f"{np.mean(old != new):.3f}, seeds from {seeds:,}"
    )
    print(f"{'rule':24} any FAIL, nothing changed   5 points lost in 1,000 images: FAIL")
    for rule, (false, found, _) in counts.items():
        print(f"{rule:24} {false / suites:26.1%}   {found / suites:36.1%}")
    print("one slice alone: exact McNemar at 5 % without the other 19, the limit of any suite")
    one = counts["candidate >= baseline"][2] / suites
    print(f"candidate >= baseline on one slice of 1,000 images: {one:.1%} when nothing changed")


# --- power ----------------------------------------------------------------------------------------


def power(suites: int, difficulty: tuple[float, float], seed: int) -> None:
    """Count the same with dense arithmetic and 2,000 flips, for many suites at high disagreement.

    The first rejection of step-down max-T is that of the single step made here.
    """
    from scipy.special import log_ndtr

    n, rng, differ = 8_000, np.random.default_rng(seed), []
    rules = ("max-T", "max-T, detect = 0.05", "holm", "one slice alone", "candidate >= baseline")
    counts = np.zeros((len(rules), 2))
    for _ in range(suites):
        chance = rng.beta(*difficulty, n)
        old, new = rng.random(n) < chance, rng.random(n) < chance
        members = np.zeros((20, n), np.float32)
        members[0, :1000] = 1
        for i in range(1, 20):
            members[i] = rng.random(n) < rng.uniform(0.03, 0.5)
        dropped = new.copy()
        dropped[rng.permutation(np.flatnonzero(new[:1000]))[:50]] = False
        differ.append(np.mean(old != new))
        for column, candidate in enumerate((new, dropped)):
            d = candidate.astype(np.float32) - old
            at = np.flatnonzero(d)
            weighted = members[:, at] * d[at]
            m, total = np.abs(weighted).sum(axis=1), weighted.sum(axis=1)
            signs = rng.integers(0, 2, (len(at), 2000), dtype=np.int8) * np.float32(2) - 1
            flips = log_ndtr((weighted @ signs) / np.sqrt(m)[:, None])
            seen = log_ndtr(total / np.sqrt(m))
            found = []
            for weights in (
                np.full(20, 0.05),
                stats.detection_weights(members.sum(axis=1), m, 0.05),
            ):
                lowest = (flips - np.log(weights)[:, None]).min(axis=0)
                as_low = lowest <= (seen - np.log(weights))[:, None] + 1e-5
                found.append((as_low.sum(axis=1) + 1) / 2001 <= 0.05)
            raw = stats.mcnemar((m + total) / 2, (m - total) / 2, "less")
            found += [stats.holm(raw) <= 0.05, np.append(raw[:1] <= 0.05, [False] * 19), total < 0]
            counts[:, column] += [f[0] if column else f.any() for f in found]
    print(f"{suites:,} suites, disagreement {np.mean(differ):.3f}, 2,000 flips, seed {seed}")
    for rule, (false, hit) in zip(rules, counts / suites):
        print(f"{rule:24} any FAIL {false:6.1%}   the slice FAILs {hit:6.1%}")


# --- speed ----------------------------------------------------------------------------------------


def build(path: Path, n: int, models: int) -> tuple[Store, np.ndarray]:
    """Return a database of n samples and models' predictions, and the keys; built once."""
    ids = [f"{i:07}.jpg" for i in range(n)]
    keys = schema.keys_of(ids)
    if path.exists():
        return Store.open(str(path)), keys
    rng = np.random.default_rng(0)
    partial = path.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    store = Store.open(str(partial))
    label = rng.integers(0, len(CLASSES), n)
    names = np.array(CLASSES)
    store.append(
        schema.SAMPLES,
        pa.table({"id": ids, "key": keys, "label": names[label], "status": ["ok"] * n}),
    )
    for k in range(models):
        logits = rng.normal(size=(n, len(CLASSES)))
        logits[np.arange(n), label] += 1.5 + 0.1 * k
        p = np.exp(logits)
        p = (p / p.sum(axis=1, keepdims=True)).astype(np.float32)
        about = {"slicedb:classes": json.dumps(CLASSES)}
        table = f"{schema.PREDICTIONS}m{k}"
        store.create(table, TASKS["classification"].schema(len(CLASSES)).with_metadata(about))
        store.append(
            table,
            pa.table(
                {
                    "id": ids,
                    "key": keys,
                    "prediction": names[p.argmax(axis=1)],
                    "confidence": p.max(axis=1),
                    "probabilities": pa.FixedSizeListArray.from_arrays(
                        pa.array(p.ravel()), len(CLASSES)
                    ),
                }
            ),
        )
    partial.rename(path)
    return Store.open(str(path)), keys


def median(call: Callable[[], object], times: int = 5) -> float:
    """Return the median seconds of some calls."""
    return both(call, times)[0]


def both(call: Callable[[], object], times: int = 5) -> tuple[float, float]:
    """Return the median seconds of some calls, and those of CPU (all threads)."""
    taken, cpu = [], []
    for _ in range(times):
        start, busy = time.perf_counter(), time.process_time()
        call()
        taken.append(time.perf_counter() - start)
        cpu.append(time.process_time() - busy)
    return statistics.median(taken), statistics.median(cpu)


def speed(folder: Path) -> None:
    """Time the big table."""
    from sklearn import metrics as sk

    store, keys = build(folder / "judge-50k.slicedb", 50_000, 5)
    rng = np.random.default_rng(1)
    sizes = np.exp(rng.uniform(np.log(50), np.log(25_000), 1000)).astype(int)
    chosen = [rng.permutation(50_000)[:size] for size in sizes]
    members = {f"s{i}": keys[rows] for i, rows in enumerate(chosen)}
    models = [f"m{k}" for k in range(5)]
    start, cpu = time.perf_counter(), time.process_time()
    table = evaluate(store, models, members, metrics=METRICS).to_arrow()
    first, cpu = time.perf_counter() - start, time.process_time() - cpu
    warm = median(lambda: evaluate(store, models, members, metrics=METRICS), 3)
    print(f"50,000 rows x 1,000 slices ({sizes.sum():,} memberships) x 6 metrics x 5 models")
    print(
        f"{table.num_rows:,} rows with intervals: {first:.2f} s ({cpu:.2f} s of CPU), "
        f"again {warm:.2f} s"
    )
    read = store.table(f"{schema.PREDICTIONS}m0", ["prediction", "probabilities"])
    labels = np.array(store.table(schema.SAMPLES, ["label"])["label"].to_pylist())
    guess = np.array(read["prediction"].to_pylist())
    p = read["probabilities"].combine_chunks().flatten().to_numpy().reshape(-1, 10).astype(float)
    some = range(0, 1000, 50)
    start = time.perf_counter()
    for i in some:
        y, g, q = labels[chosen[i]], guess[chosen[i]], p[chosen[i]]
        sk.accuracy_score(y, g)
        sk.balanced_accuracy_score(y, g)
        sk.f1_score(y, g, average="macro")
        sk.log_loss(y, q / q.sum(axis=1, keepdims=True), labels=CLASSES)
        ((q - (y[:, None] == np.array(CLASSES))) ** 2).sum(axis=1).mean()
        np.histogram(q.max(axis=1), 15, weights=(y == g) - q.max(axis=1))
    loop = (time.perf_counter() - start) * 5 * 1000 / len(some)
    print(f"scikit-learn loop without intervals: {loop:.0f} s (from {len(some)} slices of a model)")


# --- confusion ------------------------------------------------------------------------------------


def confusions(folder: Path) -> None:
    """Time confusion matrices beside DuckDB."""
    import duckdb

    n = 1_000_000
    store, keys = build(folder / "judge-1m.slicedb", n, 1)
    rng = np.random.default_rng(2)
    chosen = [keys[np.flatnonzero(rng.random(n) < rng.uniform(0.02, 0.5))] for _ in range(20)]
    con = duckdb.connect()
    samples = store.table(schema.SAMPLES, ["key", "label"])
    said = store.table(f"{schema.PREDICTIONS}m0", ["key", "prediction"])
    belongs = pa.table(
        {"slice": np.repeat(np.arange(20), [len(c) for c in chosen]), "key": np.concatenate(chosen)}
    )
    for name, table in (("samples", samples), ("said", said), ("belongs", belongs)):
        con.register("arrow", table)
        con.sql(f"CREATE TABLE {name} AS FROM arrow")
        con.unregister("arrow")
    sql = """SELECT slice, label, prediction, count(*) AS n FROM belongs JOIN samples USING (key)
             JOIN said USING (key) GROUP BY ALL"""
    rows = con.sql(sql).fetchall()

    def ours() -> list[np.ndarray]:
        found = [confusion(store, "m0", c) for c in chosen]
        for one in found:
            one.accuracy_per_class()
        return [one.matrix for one in found]

    start = time.perf_counter()
    matrices = ours()
    first = time.perf_counter() - start
    code = {name: i for i, name in enumerate(CLASSES)}
    assert all(matrices[s][code[a], code[b]] == k for s, a, b, k in rows)
    pairs = [(both(ours, 1), both(lambda: con.sql(sql).fetchall(), 1)) for _ in range(9)]
    mine, theirs = (np.median([p[k] for p in pairs], axis=0) for k in (0, 1))
    ratio, busy = np.median([np.divide(*p) for p in pairs], axis=0)
    print(
        f"1,000,000 predictions x 20 slices ({belongs.num_rows:,} memberships): "
        f"{mine[0]:.3f} s ({mine[1]:.3f} of CPU; {first:.2f} s with reading), DuckDB native "
        f"tables {theirs[0]:.3f} s ({theirs[1]:.3f} of CPU), ratio {ratio:.2f}, of CPU "
        f"{busy:.2f} (medians of 9 turns)"
    )


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["null", "power", "speed", "confusion"])
    parser.add_argument("--suites", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1_000_000, help="the first of them")
    parser.add_argument("--dir", type=Path, default=Path("judge-scratch"))
    options = parser.parse_args()
    if options.only in (None, "null"):
        for difficulty in ((0.35, 0.054), (4, 0.6)):  # disagreement about 0.067 and 0.18
            null(options.suites, difficulty, options.seeds)
    if options.only == "power":
        power(options.suites, (4, 0.6), options.seeds)
        return
    if options.only != "null":
        options.dir.mkdir(parents=True, exist_ok=True)
    if options.only in (None, "speed"):
        speed(options.dir)
    if options.only in (None, "confusion"):
        confusions(options.dir)


if __name__ == "__main__":
    main()
