"""Do the cost figures hold? Thresholds, their intervals, temperature scaling; and the time taken.

    python benchmarks/cost.py [--runs 200] [--n 300 1000 5000] [--seed 0] [--only thresholds]

Scores are drawn from known laws, calibrated or bent (`kinked`), so that the cost of every threshold
is known to five digits. Per law and costs: the mean and the 95th percentile of what the chosen
threshold costs above the best one, in percent of that one's cost; the mean of the exact optimum of
the samples (exact) and of the decisions of least expected cost after temperature scaling (rule);
how often the stated excess covers the true one, and its mean; the bias of the held-out cost and the
coverage of its interval and of the threshold's.

Calibration: eleven classes whose logits are 1.47 times too large, and ten of whose labels one in
ten is drawn at random, or whose classes are too sure to a different degree.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy import stats

from slicedb.decide import best_threshold, ece, fit_temperature, scaling
from slicedb.decide.temperature import held_out, log_probabilities, softmax

LAWS = {
    "uniform": stats.beta(1, 1),
    "easy": stats.beta(0.3, 0.3),
    "skewed": stats.beta(0.5, 2),
    "rare": stats.beta(0.4, 6),
}
COSTS = ((1.0, 1.0), (1.0, 5.0), (1.0, 20.0))
GRID = 200_000


def kinked(p: np.ndarray) -> np.ndarray:
    """Return scores that rise with p, by a line that bends at 0.3."""
    return np.where(p < 0.3, p / 3, 0.1 + (p - 0.3) * 0.9 / 0.7)


def thresholds(n: int, runs: int, seed: int) -> None:
    """Print what thresholds cost above the best, by law, costs and the shape of the scores."""
    rng = np.random.default_rng(seed)
    head = "scores  law      fp:fn     best   excess %  (95th)  exact %   rule %  said covers"
    print(f"n = {n:,}, {runs} runs\n{head}  mean %  bias %   cost covers  threshold")
    rows = []
    for (shape, bent), (name, law), (fp, fn) in itertools.product(
        (("as is", np.asarray), ("kinked", kinked)), LAWS.items(), COSTS
    ):
        q = law.ppf((np.arange(GRID) + 0.5) / GRID)
        below = np.append(0.0, np.cumsum(q)) * fn
        above = np.append(np.cumsum((1 - q)[::-1])[::-1], 0.0) * fp
        case = Case(q, bent(q), below + above, fp, fn)
        x = np.array([case.run(n, rng) for _ in range(runs)], float)
        mean = np.nanmean(x, axis=0)
        rows.append(mean)
        print(
            f"{shape:7} {name:8} {fp:g}:{fn:<4g} {case.best:8.4f} {100 * mean[0]:9.2f} "
            f"{100 * np.quantile(x[:, 0], 0.95):8.2f} {100 * mean[1]:8.2f} {100 * mean[2]:8.2f} "
            f"{mean[3]:12.3f} {100 * mean[4]:7.2f} {100 * mean[5]:7.2f} {mean[6]:12.3f} "
            f"{mean[7]:10.3f}",
            flush=True,
        )
    mean, most, least = (f(np.array(rows), axis=0) for f in (np.mean, np.max, np.min))
    print(
        f"all: excess {100 * mean[0]:.2f} % (exact {100 * mean[1]:.2f} %), at most "
        f"{100 * most[0]:.2f} % (exact {100 * most[1]:.2f} %); said covers {mean[3]:.3f}, at least "
        f"{least[3]:.3f}; cost covers {mean[6]:.3f}, at least {least[6]:.3f}",
        flush=True,
    )


@dataclass
class Case:
    """A law of scores and two costs."""

    q: np.ndarray
    """Chances, rising."""
    scores: np.ndarray
    """What is said of them."""
    cost: np.ndarray
    """Of the cut below each score."""
    fp: float
    fn: float

    @property
    def best(self) -> float:
        """The least cost there is."""
        return float(self.cost.min() / len(self.q))

    def at(self, threshold: float) -> float:
        """Return what a threshold costs."""
        return float(self.cost[np.searchsorted(self.scores, threshold)] / len(self.q))

    def run(self, n: int, rng: np.random.Generator) -> tuple[float, ...]:
        """Choose a threshold on n samples, and tell how it does."""
        rows = rng.integers(0, len(self.q), n)
        s, sick = self.scores[rows], rng.random(n) < self.q[rows]
        found = best_threshold(s, ~sick * self.fp, sick * self.fn)
        real, inside = self.at(found.value), np.clip(s, 1e-12, 1 - 1e-12)
        logits = np.stack([np.zeros(n), np.log(inside / (1 - inside))], axis=1)
        rule = 1 / (1 + (self.fn / self.fp) ** fit_temperature(logits, sick).value)
        more, low, high = real - self.best, found.excess_low, found.excess_high
        wanted = self.scores[self.cost.argmin() - 1]
        return (
            more / self.best,
            self.at(found.exact) / self.best - 1,
            self.at(rule) / self.best - 1,
            np.nan if np.isnan(high) else low - 1e-9 <= more <= high + 1e-9,
            found.excess / self.best,
            found.cost_held_out / real - 1,
            found.cost_low <= real <= found.cost_high,
            found.low <= wanted <= found.high,
        )


def temperatures(runs: int, seed: int) -> None:
    """Print the calibration error before, after one temperature, and after what held out best."""
    print("\nlabels      fit on   before  temperature   chosen  (worst)   way")
    for kind in ("clean", "noisy", "uneven"):
        for fit in (2_000, 10_000):
            rows, ways = [], Counter[str]()
            for run in range(runs):
                rng = np.random.default_rng((seed, run))
                z, y = logits_of(kind, fit + 40_000, rng)
                p = softmax(z)
                plain = fit_temperature(z[:fit], y[:fit]).value
                way = held_out(p[:fit], y[:fit]).way
                log_p = log_probabilities(p)
                fitted = scaling.fit(way, log_p[:fit], y[:fit], plain)
                after = fitted.apply(log_p[fit:])
                rows.append([_error(v, y[fit:]) for v in (p[fit:], softmax(z[fit:], plain), after)])
                ways[way] += 1
            x = np.array(rows)
            mean = x.mean(axis=0)
            print(
                f"{kind:9} {fit:8,} {mean[0]:8.4f} {mean[1]:12.4f} {mean[2]:8.4f} "
                f"{x[:, 2].max():8.4f}   {dict(ways)}",
                flush=True,
            )


def logits_of(kind: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (n, 11) that are too large, and labels."""
    z = 1.6 * rng.normal(size=(n, 11))
    z[np.arange(n), rng.integers(0, 11, n)] += 2.0
    y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    if kind == "noisy":
        y = np.where(rng.random(n) < 0.1, rng.integers(0, 11, n), y)
    return (z * np.linspace(1, 2, 11) if kind == "uneven" else z * 1.47), y


def _error(p: np.ndarray, y: np.ndarray) -> float:
    return ece(p.max(axis=1), p.argmax(axis=1) == y)


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
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--n", type=int, nargs="+", default=[300, 1000, 5000])
    parser.add_argument("--only", choices=("thresholds", "temperatures", "times"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.only in (None, "thresholds"):
        for n in options.n:
            thresholds(n, options.runs, options.seed)
    if options.only in (None, "temperatures"):
        temperatures(max(5, options.runs // 25), options.seed)
    if options.only in (None, "times"):
        times(options.seed)


if __name__ == "__main__":
    main()
