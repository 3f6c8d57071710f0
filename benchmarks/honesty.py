"""What verdicts promise, beside what happens: simulated models whose true values are known.

    python benchmarks/honesty.py [--only plain|paired|tasks|needs|suites|looks|calibrated]
        [--runs 2000] [--sizes 30 100] [--metrics log_loss brier]

plain   each metric against its true value: the share of slices that PASS and that FAIL, both at
        most 5 %, and the width of the interval beside that of the samples' own spread.
paired  each metric of two models at their true difference: the same.
tasks   the metrics of other tasks (numbers, sets of labels, boxes), at their true values and at the
        true difference of two models.
needs   slices that are INCONCLUSIVE: the share of fresh samples, as large as "about N samples would
        settle it" says, that reach a verdict (80 % is meant); against a bound and paired, alone and
        in a suite of 20, at distances from the bound of about two standard errors.

suites  suites of 20 overlapping slices with margins 0 and 0.01: the share with any FAIL where each
        slice lies at its margin, and in which a slice of 1,000 samples that lost five points FAILs.

looks   30 nights of growing data and 20 candidates on one holdout: the share with any false verdict
        where each look stands alone, and with `sequential`; and the power that this costs.

calibrated  slices of 4,000 samples at prevalences from 2 to 97 %, 30 and 100 labels: how often the
        95 % intervals of precision and recall hold the truth, and a recall of 0.9 is missed.

The models see ten classes through noise. `even` is right in two thirds of the samples, `good` in
nine tenths, `sure` is as good as `good` and too sure of itself, `best` is right in 96 of 100.
Every rate stands with its Monte-Carlo interval (Wilson, 95 %).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from looks import looks
from simulated import (
    MODELS,
    POPULATION,
    evidence,
    model,
    rate,
    samples,
    truth,
    value,
)
from suites import KINDS, suites

from slicedb import metrics as m
from slicedb.expectations import Check
from slicedb.judge import Aligned
from slicedb.judge.evidence import Evidence
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.metrics.outcomes import Bools, Ints
from slicedb.stats.cuts import choose
from slicedb.stats.ranking import Ranking

SIZES = (10, 30, 100, 300, 1000, 5000)
METRICS = ("accuracy", "balanced_accuracy", "f1", "log_loss", "brier", "top_5", "auroc")


def row(name: str, size: int, found: Sequence[Evidence]) -> None:
    """Print how often each verdict was reached where the truth lies at the bound."""
    alone = SuiteSettings(correction="none")
    counts = Counter(result.verdict for result in verdicts(found, alone))
    half = np.nanmedian([(e.high - e.low) / 2 for e in found])
    passed, failed = rate(counts["PASS"], len(found)), rate(counts["FAIL"], len(found))
    print(f"{name:32} {size:6,}  {passed:28} {failed:28} {half:8.4f}", flush=True)


def plain(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print the verdicts of each metric against its true value."""
    for kind, (scale, temperature) in MODELS.items():
        rng = np.random.default_rng(seed)
        tested = model("new", *truth(rng, POPULATION, scale), temperature)
        for metric in metrics:
            found = m.find(metric)
            check = Check(metric, ">=" if found.rises else "<=", value(metric, tested))
            for size in sizes:
                rows = samples(rng, runs, size)
                row(f"{kind} {metric}", size, evidence(check, rows, tested))


def pairs(seed: int) -> Iterator[tuple[str, Aligned, Aligned, np.random.Generator]]:
    """Yield two models that see the same samples through noise of their own."""
    noise = {"even": 1.0, "good": 3.0, "sure": 3.0, "best": 5.0}
    for kind, (scale, temperature) in MODELS.items():
        rng = np.random.default_rng(seed)
        logits, label = truth(rng, POPULATION, scale)
        new, old = (
            model(name, logits + rng.normal(size=logits.shape) * noise[kind], label, t)
            for name, t in (("new", temperature), ("old", 1.0))
        )
        yield kind, new, old, rng


def paired_at_truth(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print the verdicts of each metric of two models at their true difference."""
    for kind, new, old, rng in pairs(seed):
        for metric in metrics:
            gap = value(metric, new) - value(metric, old)
            margin = -gap if m.find(metric).rises else gap
            check = Check(metric, baseline="old", margin=margin)
            for size in sizes:
                row(f"{kind} {metric}", size, evidence(check, samples(rng, runs, size), new, old))


def other_tasks(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print the verdicts of the metrics of other tasks at their true values and differences."""
    for task, (make, _, names) in KINDS.items():
        if task == "classification":
            continue
        rng = np.random.default_rng(seed)
        twins = make(rng)
        n, whole = twins.wrong.n, np.arange(twins.wrong.n)
        halves = (np.arange(n), np.arange(n, 2 * n))
        new, old = (
            Aligned(name, twins.both.take(half), whole, whole)
            for name, half in zip(("new", "old"), halves)
        )
        for name in names:
            rises = m.suit(m.find(name), task).rises
            exact, other = value(name, new), value(name, old)
            plain_check = Check(name, ">=" if rises else "<=", exact)
            margin = other - exact if rises else exact - other
            for size in (s for s in sizes if s <= n // 4):
                rows = samples(rng, runs, size, n)
                row(f"{name}", size, evidence(plain_check, rows, new))
                against = Check(name, baseline="old", margin=margin)
                row(f"{name}, paired", size, evidence(against, rows, new, old))


def needed(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print how often as many samples as were said to be needed settle what was undecided."""
    new, old, rng = next((new, old, rng) for kind, new, old, rng in pairs(seed) if kind == "good")
    for metric in metrics:
        for size in sizes:
            for models in ([new], [new, old]):
                for slices in (1, 20):
                    times = runs if slices == 1 else max(runs // 20, 20)
                    _settled(metric, size, models, slices, times, rng)


def _settled(
    metric: str,
    size: int,
    models: Sequence[Aligned],
    slices: int,
    runs: int,
    rng: np.random.Generator,
) -> None:
    """Print how often a slice of a suite is settled, the truth at random distances."""
    rises = m.find(metric).rises
    exact = value(metric, models[0])
    if len(models) == 2:
        exact -= value(metric, models[1])

    def check(bound: float) -> Check:
        if len(models) == 2:
            return Check(metric, baseline="old", margin=-bound if rises else bound)
        return Check(metric, ">=" if rises else "<=", bound)

    first = evidence(check(exact), samples(rng, 200, size), *models)
    error, settings = float(np.std([e.value for e in first])), SuiteSettings()
    settled = asked = beyond = 0
    for distance in rng.normal(0, 2, runs):
        asks = check(exact - distance * error)
        result = verdicts(evidence(asks, samples(rng, slices, size), *models), settings)[0]
        if result.verdict != "INCONCLUSIVE" or result.needed is None:
            continue
        if result.needed * slices > 10 * POPULATION or result.needed > POPULATION // 2:
            beyond += 1
            continue
        fresh = evidence(asks, samples(rng, slices, result.needed), *models)
        settled += verdicts(fresh, settings)[0].verdict != "INCONCLUSIVE"
        asked += 1
    name = f"{metric}{', paired' if len(models) == 2 else ''}, {slices} in the suite"
    print(f"{name:46} {size:6,}  {rate(settled, asked)} of {asked}, {beyond} too large", flush=True)


def calibrated(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print how often intervals of calibrated slices cover, by prevalence and labels."""
    for prevalence in (0.02, 0.2, 0.7, 0.9, 0.97):
        for budget in (30, 100):
            held, missed = 0, 0
            for run in range(runs):
                ranking, positive, draws = labelled(seed + run, prevalence, budget)
                for aim in ("recall", "f1"):
                    cut = choose(ranking, draws, aim, 0.9)  # type: ignore[arg-type]
                    recall = positive[: cut.rank].sum() / max(positive.sum(), 1)
                    precision = positive[: cut.rank].mean() if cut.rank else np.nan
                    held += bool(cut.recall.low <= recall <= cut.recall.high)
                    held += bool(
                        np.isnan(precision) or cut.precision.low <= precision <= cut.precision.high
                    )
                    missed += aim == "recall" and recall < 0.9
            print(f"{prevalence:5} {budget:4}  covered {rate(held, 4 * runs).rstrip(' *')}", end="")
            print(f"  recall missed {rate(missed, runs)}", flush=True)


def labelled(seed: int, prevalence: float, budget: int) -> tuple[Ranking, Bools, Ints]:
    """Return a ranking of two normals, which samples are positives, and draws after some labels."""
    rng, n = np.random.default_rng(seed), 4000
    positive = rng.random(n) < prevalence
    log_odds = 1.8 * (rng.normal(size=n) + 1.8 * positive) + np.log(prevalence / (1 - prevalence))
    log_odds = log_odds * np.exp(0.4 * rng.normal()) + rng.normal()
    order = np.argsort(-log_odds)
    ranking, positive = Ranking(log_odds[order]), positive[order]
    k, ranks = len(ranking.edges) - 1, np.empty(0, np.int64)
    for _ in range(4):
        strata = ranking.strata(ranks)
        yes, asked = np.bincount(strata, positive[ranks], k), np.bincount(strata, minlength=k)
        for stratum, wanted in enumerate(ranking.allocate(yes, asked, budget // 4, rng)):
            free = np.setdiff1d(np.arange(*ranking.edges[stratum : stratum + 2]), ranks)
            ranks = np.append(ranks, rng.choice(free, wanted, replace=False))
    return ranking, positive, ranking.draws(ranks, positive[ranks], rng)


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = {
        "plain": plain,
        "paired": paired_at_truth,
        "tasks": other_tasks,
        "needs": needed,
        "suites": suites,
        "looks": looks,
        "calibrated": calibrated,
    }
    parser.add_argument("--only", choices=parts)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--metrics", nargs="+", default=METRICS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name, part in parts.items():
        if args.only in (None, name):
            print(f"{name}, {args.runs:,} slices a line (* above 5 % beyond Monte-Carlo error)")
            if name in ("plain", "paired", "tasks"):
                print(f"{'':32} {'n':>6}  {'PASS':28} {'FAIL':28} {'half':>8}")
            part(args.runs, args.sizes, args.metrics, args.seed)


if __name__ == "__main__":
    main()
