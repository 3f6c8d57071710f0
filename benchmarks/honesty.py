"""What verdicts promise, beside what happens: simulated models whose true values are known.

    python benchmarks/honesty.py [--only plain|paired|needs|suites|calibrated] [--runs 2000]
        [--sizes 30 100] [--metrics log_loss brier]

plain   each metric against its true value: the share of slices that PASS and that FAIL, both at
        most 5 %, and the width of the interval beside that of the samples' own spread.
paired  each metric of two models at their true difference: the same.
needs   slices that are INCONCLUSIVE: the share of fresh samples, as large as "about N samples would
        settle it" says, that reach a verdict (80 % is meant), by the distance of the truth from the
        bound in standard errors.

suites  suites of 20 overlapping slices with margins 0 and 0.01: the share with any FAIL where each
        slice lies at its margin, and in which a slice of 1,000 samples that lost five points FAILs.

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

from slicedb import metrics as m
from slicedb import stats
from slicedb.expectations import Check
from slicedb.judge import Aligned
from slicedb.judge.absolute import absolute
from slicedb.judge.evidence import Evidence, Inputs
from slicedb.judge.paired import paired
from slicedb.judge.trials import JudgedSlice, Trial
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.keys import Keys
from slicedb.metrics import Membership, Outcomes
from slicedb.metrics.outcomes import Bools, Floats, Ints
from slicedb.slices import Slice
from slicedb.stats.cuts import choose
from slicedb.stats.ranking import Ranking

CLASSES = tuple(f"class_{i}" for i in range(10))
POPULATION = 200_000
SIZES = (10, 30, 100, 300, 1000, 5000)
METRICS = ("accuracy", "balanced_accuracy", "f1", "log_loss", "brier", "top_5", "auroc")
MODELS = {"even": (3.0, 1.0), "good": (12.0, 1.0), "sure": (12.0, 0.6), "best": (30.0, 1.0)}
"""Scale of the logits, and the temperature that they are divided by."""


# --- models ---------------------------------------------------------------------------------------


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of logits (n, c)."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def truth(rng: np.random.Generator, n: int, scale: float) -> tuple[Floats, Ints]:
    """Return logits, and labels that are drawn from them: a model that says them is calibrated."""
    logits = rng.normal(size=(n, len(CLASSES))) * scale
    below = softmax(logits).cumsum(axis=1) < rng.random(n)[:, None]
    return logits, below.sum(axis=1).clip(0, len(CLASSES) - 1)


def model(name: str, logits: Floats, label: Ints, temperature: float = 1.0) -> Aligned:
    """Return a model that says some logits, over a universe of its own."""
    p = softmax(logits / temperature)
    outcomes = Outcomes(CLASSES, label, p.argmax(axis=1), p.max(axis=1), p)
    return Aligned(name, outcomes, np.arange(len(label)), np.arange(len(label)))


# --- verdicts -------------------------------------------------------------------------------------


def samples(rng: np.random.Generator, runs: int, size: int, n: int = POPULATION) -> list[Keys]:
    """Return the rows of random slices, each ascending and without repetition."""
    return [np.sort(rng.choice(n, size, replace=False, shuffle=False)) for _ in range(runs)]


def evidence(check: Check, rows: Sequence[Keys], *models: Aligned) -> list[Evidence]:
    """Return the evidence of one expectation on each slice."""
    scopes = [JudgedSlice(Slice(f"s{i}", "true"), r, r) for i, r in enumerate(rows)]
    metric = m.find(check.metric)
    trials = [Trial(scope, check, models[0].model, metric) for scope in scopes]
    # Nothing is read: the outcomes are at hand, and no groups are asked for.
    inputs = Inputs(None, {a.model: a for a in models}, 0.95)  # type: ignore[arg-type]
    return list((absolute if check.baseline is None else paired)(trials, inputs))


def value(metric: str, aligned: Aligned) -> float:
    """Return a metric over the whole population."""
    whole = Membership([np.arange(aligned.outcomes.n)], aligned.outcomes.n)
    return float(m.estimates(aligned.outcomes, whole, [m.find(metric)])[metric].value[0])


def rate(k: int, n: int) -> str:
    """Return a share with its Monte-Carlo interval."""
    low, high = stats.wilson(k, n)
    return f"{k / n:6.1%} [{low:.1%}, {high:.1%}]" + (" *" if low > 0.05 else "")


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


def needed(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print how often as many samples as were said to be needed settle what was undecided."""
    alone = SuiteSettings(correction="none")
    scale, temperature = MODELS["good"]
    rng = np.random.default_rng(seed)
    tested = model("new", *truth(rng, POPULATION, scale), temperature)
    for metric in metrics:
        found, exact = m.find(metric), value(metric, tested)
        better = 1 if found.rises else -1
        for size in sizes:
            first = evidence(Check(metric, ">=", exact), samples(rng, 200, size), tested)
            error = float(np.std([e.value for e in first]))
            settled, asked, beyond = 0, 0, 0
            for distance in rng.normal(0, 2, runs):
                bound = exact - better * distance * error
                check = Check(metric, ">=" if found.rises else "<=", bound)
                result = verdicts(evidence(check, samples(rng, 1, size), tested), alone)[0]
                if result.verdict != "INCONCLUSIVE" or result.needed is None:
                    continue
                if result.needed > POPULATION // 2:
                    beyond += 1
                    continue
                fresh = evidence(check, samples(rng, 1, result.needed), tested)
                settled += verdicts(fresh, alone)[0].verdict != "INCONCLUSIVE"
                asked += 1
            print(f"{metric:32} {size:6,}  {rate(settled, asked)} of {asked}, {beyond} too large")


def suites(runs: int, sizes: Sequence[int], metrics: Sequence[str], seed: int) -> None:
    """Print false alarms and power of suites with a margin; accuracy, 8,000 samples."""
    rng, n = np.random.default_rng(seed), 8_000
    for margin in (0.0, 0.01):
        false = hit = alone = 0
        for _ in range(runs):
            chance = rng.beta(0.35, 0.054, n)  # of being right; 0.87 on average
            old, new = rng.random(n) < chance, rng.random(n) < chance
            new &= rng.random(n) >= margin / chance.mean()  # worse by the margin, everywhere
            rows = [np.arange(1000)]
            rows += [np.flatnonzero(rng.random(n) < rng.uniform(0.03, 0.5)) for _ in range(19)]
            dropped = new.copy()
            dropped[rng.permutation(np.flatnonzero(new[:1000]))[:50]] = False
            false += "FAIL" in _accuracies(new, old, rows, margin)
            hit += _accuracies(dropped, old, rows, margin)[0] == "FAIL"
            alone += _accuracies(dropped, old, rows[:1], margin)[0] == "FAIL"
        print(f"margin {margin}: any FAIL {rate(false, runs)}")
        print(f"    five points lost: {hit / runs:.1%}, that slice alone {alone / runs:.1%}")


def _accuracies(new: Bools, old: Bools, rows: Sequence[Keys], margin: float) -> list[str]:
    """Return the verdict of "accuracy no worse than baseline" for each slice."""
    models = [right(name, was) for name, was in (("new", new), ("old", old))]
    found = evidence(Check("accuracy", baseline="old", margin=margin), rows, *models)
    return [result.verdict for result in verdicts(found, SuiteSettings())]


def right(name: str, was: Bools) -> Aligned:
    """Return a model that is right where told, over a universe of its own."""
    n = len(was)
    outcomes = Outcomes(("a", "b"), np.zeros(n, np.int64), np.where(was, 0, 1))
    return Aligned(name, outcomes, np.arange(n), np.arange(n))


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
        "needs": needed,
        "suites": suites,
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
            if name in ("plain", "paired"):
                print(f"{'':32} {'n':>6}  {'PASS':28} {'FAIL':28} {'half':>8}")
            part(args.runs, args.sizes, args.metrics, args.seed)


if __name__ == "__main__":
    main()
