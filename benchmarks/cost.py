"""Do the cost figures hold? Thresholds, their intervals, temperature scaling; and the time taken.

    python benchmarks/cost.py [--runs 500] [--n 5000] [--seed 0]

Scores are calibrated and drawn from known laws, so that the cost of every threshold is known to
five digits. Per law and costs: the mean and the 95th percentile of what the chosen threshold costs
above the Bayes cost, the mean for the smoothed threshold (steady) and for the decisions of least
expected cost after temperature scaling (rule); the optimism of the curve's minimum, the bias of the
held-out cost, the coverage of its interval (with the choice's own error left out, in brackets) and
of the threshold's.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scipy import stats

from slicedb.decide import best_threshold, ece, fit_temperature
from slicedb.decide.temperature import softmax
from slicedb.decide.thresholds import cross_fit, mean_cost

LAWS = {
    "uniform": stats.beta(1, 1),
    "easy": stats.beta(0.3, 0.3),
    "skewed": stats.beta(0.5, 2),
    "rare": stats.beta(0.4, 6),
}
COSTS = ((1.0, 1.0), (1.0, 5.0), (1.0, 20.0))
GRID = 200_000


def thresholds(n: int, runs: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = "law      fp:fn   Bayes   excess %  (95th) steady %  rule %  optimism %  bias %"
    head += "   covers  (plain)  threshold"
    print(f"n = {n:,}, {runs} runs\n{head}")
    for name, law in LAWS.items():
        q = law.ppf((np.arange(GRID) + 0.5) / GRID)
        for fp, fn in COSTS:
            below = np.append(0.0, np.cumsum(q)) * fn
            above = np.append(np.cumsum((1 - q)[::-1])[::-1], 0.0) * fp
            best = fp / (fp + fn)
            bayes = _at(q, below + above, best)
            rows = []
            for _ in range(runs):
                p = q[rng.integers(0, GRID, n)]
                sick = rng.random(n) < p
                yes, no = ~sick * fp, sick * fn
                found = best_threshold(p, yes, no)
                real = _at(q, below + above, found.value)
                _, low, high = mean_cost(cross_fit(p, yes, no).cost)
                inside = np.clip(p, 1e-12, 1 - 1e-12)
                logits = np.stack([np.zeros(n), np.log(inside / (1 - inside))], axis=1)
                scale = fit_temperature(logits, sick).value
                rule = 1 / (1 + (fn / fp) ** scale)  # logit(p) / scale = log(fp / fn)
                steady = found.value if np.isnan(found.steady) else found.steady
                rows.append(
                    (
                        real / bayes - 1,
                        _at(q, below + above, steady) / bayes - 1,
                        _at(q, below + above, rule) / bayes - 1,
                        1 - found.cost / real,
                        found.cost_held_out / real - 1,
                        found.cost_low <= real <= found.cost_high,
                        low <= real <= high,
                        found.low <= best <= found.high,
                    )
                )
            x = np.array(rows, float)
            mean = x.mean(axis=0)
            print(
                f"{name:8} {fp:g}:{fn:<4g} {bayes:7.4f} {100 * mean[0]:9.2f} "
                f"{100 * np.quantile(x[:, 0], 0.95):8.2f} {100 * mean[1]:8.2f} "
                f"{100 * mean[2]:7.2f} {100 * mean[3]:11.2f} {100 * mean[4]:7.2f} "
                f"{mean[5]:8.3f} {mean[6]:8.3f} {mean[7]:9.3f}",
                flush=True,
            )


def _at(q: np.ndarray, cost: np.ndarray, threshold: float) -> float:
    return float(cost[np.searchsorted(q, threshold)] / len(q))


def temperatures(runs: int, seed: int) -> None:
    """Print the ECE of 11 classes, logits 1.47 times too large, before and after."""
    print("\nfit on  held out   before    after  (worst)  by mass  debiased  under 0.01")
    for fit, rest in ((2_000, 40_000), (10_000, 40_000), (20_000, 40_000)):
        rows = []
        for run in range(runs):
            rng = np.random.default_rng((seed, run))
            z = 1.6 * rng.normal(size=(fit + rest, 11))
            z[np.arange(fit + rest), rng.integers(0, 11, fit + rest)] += 2.0
            y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
            z *= 1.47
            value = fit_temperature(z[:fit], y[:fit]).value
            before, after = (softmax(z[fit:], t) for t in (1.0, value))
            hit = after.argmax(axis=1) == y[fit:]
            sure = after.max(axis=1)
            rows.append(
                (
                    ece(before.max(axis=1), hit),
                    ece(sure, hit),
                    ece(sure, hit, binning="mass"),
                    ece(sure, hit, debiased=True),
                )
            )
        x = np.array(rows)
        mean = x.mean(axis=0)
        print(
            f"{fit:6,} {rest:9,} {mean[0]:8.4f} {mean[1]:8.4f} {x[:, 1].max():8.4f} "
            f"{mean[2]:8.4f} {mean[3]:9.4f} {(x[:, 1] < 0.01).mean():11.2f}"
        )


def times(seed: int) -> None:
    rng = np.random.default_rng(seed)
    print("\nbest threshold with intervals, seconds")
    for n in (10_000, 100_000, 1_000_000):
        p = rng.random(n)
        sick = rng.random(n) < p
        start = time.perf_counter()
        best_threshold(p, ~sick * 1.0, sick * 5.0)
        print(f"{n:9,} {time.perf_counter() - start:8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    thresholds(options.n, options.runs, options.seed)
    temperatures(max(5, options.runs // 25), options.seed)
    times(options.seed)


if __name__ == "__main__":
    main()
