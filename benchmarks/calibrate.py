"""Whether the intervals of a calibration cover, and what a recall target costs.

    python benchmarks/calibrate.py --cifar ../shared/data/cifar10-train.parquet

Simulated: slices of 10,000 samples, prevalence 0.1 to 20 % (log-uniform), 100 labels, in seven
kinds: two normals of equal and of unequal spread; up to 20 % of the positives where the negatives
are (hidden); clouds of hard negatives; heavy tails (t with 3 degrees of freedom); scores that are
the probability, drawn from a beta distribution, as in SUPG's own simulations; two modes. All scores
are log-odds with a wrong scale (factor exp(N(0, 0.4))) and shift. The method was chosen on seeds 0
and 11 to 13; seed 2026 was the first measured on, and 4711 was not looked at before.

Real: CIFAR's classes by the bundled tiny CLIP, on rows it was not trained on (`--cifar`).

`--promises` prints for 30, 100 and 300 labels, with Wilson's intervals, how often the intervals
cover and goals are missed, and F1 beside zero-shot and logistic regression with the same labels: on
the vectors alone, and with the text's score as one more feature. Its slices are CIFAR's classes;
texts that mean something else (another class, one of two, two that are averaged, two that are
excluded, a word such as 'an animal', a class that is most of its slice); and simulated ones with a
prevalence from 0.1 to 99 %.

References: `uniform`, Wilson's interval of 100 uniform labels at our cut; `weighted`, the normal
interval of the stratified estimate from our own labels; SUPG (Kang et al., VLDB 2020), its
importance-sampled rule for a recall target with the authors' defaults. A stricter confidence does
not mend its misses, as its cut never lies below the last positive drawn; so `SUPG, deeper` puts the
cut at so many times its rank that it missed at most 5 % on seeds 11 to 13 (100 labels).
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from slicedb.errors import SliceError
from slicedb.slices.answers import Question
from slicedb.slices.calibrate import Goal, calibrate
from slicedb.stats import wilson
from slicedb.stats.ranking import Ranking
from slicedb.vectors import Calibrated

DEEPER = 48
"""48 times SUPG's rank missed the target in 4.9 % of 2,100 slices, 40 times in 5.5 %."""
GOALS = {
    "recall 0.9": Goal("recall", 0.9),
    "precision 0.8": Goal("precision", 0.8),
    "best balance": Goal("f1"),
}


@dataclass
class Slice:
    """A population whose truth is known; stands for `Population` and `Answers`."""

    log_odds: np.ndarray
    truth: np.ndarray
    x: np.ndarray
    spans: tuple[Any, ...] = ()
    known: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.keys = np.arange(len(self.log_odds))
        self.now = int((self.log_odds >= 0).sum())
        self.ranking = Ranking(self.log_odds)

    def calibrated(self, cut: float, slope: float = 1.0, direction: Any = None) -> Calibrated:
        raw = b"" if direction is None else np.asarray(direction, np.float32).tobytes()
        return Calibrated("'x'", "default", "", cut, slope, raw)

    def scores(self, made: Calibrated) -> np.ndarray:
        found = np.float32(made.slope) * self.log_odds.astype(np.float32)
        return (
            found + self.x @ np.frombuffer(made.direction, np.float32) if made.direction else found
        )

    def vectors(self) -> np.ndarray:
        return self.x

    def states(self) -> dict[int, str]:
        return self.known

    def put(self, asked: list[Question], states: list[str], source: str) -> None:
        self.known |= {question.key: state for question, state in zip(asked, states)}

    def question(self, keys: np.ndarray) -> list[Question]:
        return [Question("", int(key), "", "") for key in keys]

    def answer(self, asked: list[Question]) -> list[tuple[Question, str]]:
        return [(question, "yes" if self.truth[question.key] else "no") for question in asked]


def simulated(
    kind: str, n: int, rng: np.random.Generator, common: tuple[float, float] | None = None
) -> Slice:
    """Return one slice of a kind; `common`: prevalences, even in the log-odds, to choose from."""
    share = float(np.exp(rng.uniform(np.log(0.001), np.log(0.2))))
    if common is not None:
        share = float(expit(rng.uniform(*logit(common))))
    if kind == "beta":
        b = float(rng.choice([1, 2]))
        p = np.sort(rng.beta(share / (1 - share) * b, b, n))[::-1]
        truth = rng.random(n) < p
        truth[0] |= not truth.any()
        odds = logit(np.clip(p, 1e-12, 1 - 1e-12))
    else:
        ones = min(max(1, rng.binomial(n, share)), n - 1)
        d = rng.uniform(1, 4)
        yes, no = rng.normal(d, 1, ones), rng.normal(0, 1, n - ones)
        if kind == "unequal":
            yes = d + (yes - d) * np.exp(rng.uniform(np.log(0.5), np.log(2)))
        elif kind == "hidden":
            yes = np.where(rng.random(ones) < rng.uniform(0, 0.2), rng.normal(0, 1, ones), yes)
        elif kind == "hard":
            cloud = min(int(ones * rng.uniform(0.5, 4)), (n - ones) // 2)
            no[:cloud] = rng.normal(d * rng.uniform(0.4, 0.9), 1, cloud)
        elif kind == "heavy":
            yes, no = rng.standard_t(3, ones) + d, rng.standard_t(3, n - ones)
        elif kind == "modes":
            yes = rng.normal(d, 0.6, ones)
            yes -= (rng.random(ones) < rng.uniform(0.1, 0.5)) * rng.uniform(0.5, 2)
        score = np.concatenate([yes, no])
        truth = np.arange(n) < ones
        order = np.argsort(-score)
        score, truth = score[order], truth[order]
        odds = d * score - d * d / 2 + np.log(share / (1 - share))
    odds = np.clip(odds * np.exp(rng.normal(0, 0.4)) + rng.normal(0, 1.5), -60, 60)
    return Slice(odds, truth, np.zeros((n, 1), np.float32))


KINDS = ("equal", "unequal", "hidden", "hard", "heavy", "beta", "modes")


def supg(
    s: Slice, budget: int, rng: np.random.Generator, deeper: int = 1, least: float = 0.9
) -> tuple[float, float]:
    """Return recall and precision of what SUPG's rule IS-CI-R returns at 95 % (its section 5.2).

    Its cut is moved down to `deeper` times its rank.
    """
    n, proxy = len(s.truth), expit(s.log_odds)
    weight = np.sqrt(proxy)
    weight = 0.9 * weight / weight.sum() + 0.1 / n
    drawn = np.sort(rng.choice(n, budget, p=weight))
    mass = s.truth[drawn] / (n * weight[drawn])
    reached = np.cumsum(mass)
    if reached[-1] <= 0:
        return 1.0, float(s.truth.mean())

    def rank(share: float) -> int:
        at = min(int(np.searchsorted(reached / reached[-1], min(share, 1.0) - 1e-12)), budget - 1)
        return int(drawn[at]) + 1

    first = rank(least)
    above, below = np.where(drawn < first, mass, 0), np.where(drawn >= first, mass, 0)
    width = np.sqrt(2 * np.log(2 / 0.05) / budget)
    high = above.mean() + above.std() * width
    low = max(below.mean() - below.std() * width, 0.0)
    cut = min(rank(high / (high + low)) * deeper, n)
    extra = len(np.unique(drawn[s.truth[drawn] & (drawn >= cut)]))
    found = int(s.truth[:cut].sum()) + extra
    return found / max(int(s.truth.sum()), 1), found / (cut + extra)


def uniform(s: Slice, above: np.ndarray, budget: int, rng: np.random.Generator) -> list[Any]:
    """Return Wilson's intervals of precision and recall by labels drawn alike."""
    drawn = rng.choice(len(s.truth), min(budget, len(s.truth)), replace=False)
    yes, inside = s.truth[drawn], above[drawn]
    pairs = [((yes & inside).sum(), inside.sum()), ((yes & inside).sum(), yes.sum())]
    return [(0.0, 1.0) if not n else tuple(map(float, wilson(k, n))) for k, n in pairs]


def weighted(s: Slice, above: np.ndarray) -> list[Any]:
    """Return the normal intervals of the stratified estimates, from our own labels."""
    ranking = Ranking(s.log_odds)
    ranks = np.array(sorted(s.known))
    strata = ranking.strata(ranks)
    asked = np.bincount(strata, minlength=len(ranking.edges) - 1)
    each = (np.diff(ranking.edges) / np.maximum(asked, 1))[strata]
    yes, inside = s.truth[ranks], above[ranks]
    found = []
    for base in (inside, yes):
        total = (each * base).sum()
        if not total:
            found.append((0.0, 1.0))
            continue
        share = (each * (yes & inside)).sum() / total
        rest = each * base * ((yes & inside) - share)
        half = 1.96 * np.sqrt((rest**2).sum()) / total
        found.append((max(share - half, 0.0), min(share + half, 1.0)))
    return found


@dataclass
class Tally:
    """What is counted over slices."""

    rows: list[list[float]] = field(default_factory=list)

    def add(self, shares: tuple[float, float], empty: bool, *intervals: list[Any]) -> None:
        row: list[float] = [*shares, empty]
        for interval in intervals:
            for value, (low, high) in zip(shares, interval):
                row += [low - 1e-9 <= value <= high + 1e-9, high - low]
        self.rows.append(row)

    def lines(self, names: tuple[str, ...]) -> list[str]:
        table = np.array(self.rows, float)
        lines = []
        for number, name in enumerate(names):
            p, pw, r, rw = table[:, 3 + 4 * number : 7 + 4 * number].T
            p, pw = p[table[:, 2] == 0], pw[table[:, 2] == 0]  # of nothing there is no precision
            lines.append(
                f"  {name:9} precision covered {p.mean():.3f}, median width {np.median(pw):.3f}; "
                f"recall covered {r.mean():.3f}, median width {np.median(rw):.3f}"
            )
        return lines


def judge(s: Slice, goal: Goal, budget: int, seed: int) -> tuple[Any, np.ndarray] | None:
    """Return the calibration and which samples match, or None where the goal is out of reach."""
    s.known = {}  # labels go where the goal needs them
    try:
        made = calibrate(s, s, s.answer, budget=budget, goal=goal, seed=seed)  # type: ignore[arg-type]
    except SliceError:
        return None
    return made, s.scores(made.calibrated) >= np.float32(made.calibrated.cut)


def run(slices: Any, budget: int, title: str) -> None:
    """Calibrate slices for every goal, and print what came of it."""
    tallies = {name: Tally() for name in GOALS}
    theirs, deeper, oracle, refined, zero = [], [], [], 0, []
    kinds: list[str] = []
    for seed, (kind, s) in enumerate(slices):
        rng = np.random.default_rng([seed, 3])
        kinds.append(kind)
        total = int(s.truth.sum())
        rank = int(np.searchsorted(np.cumsum(s.truth), 0.9 * total - 1e-9)) + 1
        oracle.append(s.truth[:rank].mean())
        theirs.append(supg(s, budget, np.random.default_rng([seed, 3])))
        deeper.append(supg(s, budget, np.random.default_rng([seed, 3]), DEEPER))
        zero.append(_f1(s.log_odds >= 0, s.truth))
        for name, goal in GOALS.items():
            found = judge(s, goal, budget, seed)
            if found is None:
                continue
            made, above = found
            hits = int((s.truth & above).sum())
            shares = (hits / max(int(above.sum()), 1), hits / total)
            own = [(made.precision.low, made.precision.high), (made.recall.low, made.recall.high)]
            others = uniform(s, above, budget, rng), weighted(s, above)
            tallies[name].add(shares, not above.any(), own, *others)
            if name == "best balance":
                refined += made.is_refined
                zero[-1] = (zero[-1], _f1(above, s.truth))
    print(f"\n{title}: {len(kinds):,} slices, {budget} labels")
    _intervals(tallies)
    _recall(kinds, np.array(tallies["recall 0.9"].rows), np.array(theirs), np.array(deeper), oracle)
    _balance(np.array(zero))
    print(f"  a direction of its own in {refined} of {len(kinds)}")


def _f1(above: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (above & truth).sum() / max(above.sum() + truth.sum(), 1))


def _intervals(tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        empty = sum(row[2] for row in tally.rows)
        nothing = f", nothing above it in {empty:.0f}" if empty else ""
        print(f" {name}: a cut in {len(tally.rows):,}{nothing}")
        print("\n".join(tally.lines(("ours", "uniform", "weighted"))))
    missed = np.array(tallies["precision 0.8"].rows)[:, 0] < 0.8 - 1e-9
    print(f" precision 0.8 missed in {missed.mean():.3f}")


def _recall(
    kinds: list[str], rows: np.ndarray, theirs: np.ndarray, deeper: np.ndarray, oracle: list[float]
) -> None:
    """Print how often each rule missed the recall of 0.9, and its median precision."""
    rules = {
        "ours": rows[:, 1::-1],
        "SUPG": theirs,
        f"SUPG, deeper ({DEEPER} x)": deeper,
    }
    print(f" recall 0.9; median precision with all labels {np.median(oracle):.3f}")
    for kind in ("all", *dict.fromkeys(kinds)):
        mine = np.array([kind in ("all", k) for k in kinds])
        parts = [
            f"{name} missed {(found[mine, 0] < 0.9 - 1e-9).mean():.3f}, "
            f"precision {np.median(found[mine, 1]):.3f}"
            for name, found in rules.items()
        ]
        print(f"  {kind:11} " + "; ".join(parts))
        covered = [f"{rows[mine, at].mean():.3f}" for at in (3, 5)]
        print(f"  {'':11} ours covered: precision {covered[0]}, recall {covered[1]}")


def _balance(zero: np.ndarray) -> None:
    worse = (zero[:, 1] < zero[:, 0] - 1e-9).mean()
    print(
        f" best balance: median F1 {np.median(zero[:, 0]):.3f} zero-shot, "
        f"{np.median(zero[:, 1]):.3f} calibrated; lower in {worse:.3f}"
    )


def photos(path: Path, step: int = 10) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return unit vectors and labels of each `step`-th row, and the encoder; 10: held-out rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    from slicedb.embedding import load_encoder

    encoder = load_encoder()
    rows = pq.read_table(path)
    rows = rows.take(pa.array(range(0, len(rows), step)))
    images = [Image.open(io.BytesIO(data.as_py())).convert("RGB") for data in rows["image"]]
    return encoder.encode_images(images), np.array(rows["label"].to_pylist()), encoder


def real(path: Path, repeats: int, budget: int, seed: int) -> Any:
    """Yield slices of CIFAR's classes, thinned to a prevalence of 1 to 10 %."""
    from slicedb.vectors.background import NEAR, ODDS

    vectors, labels, encoder = photos(path)
    bank = np.stack([encoder.encode_prompt(phrase) for phrase in encoder.background])
    scale = encoder.logit_scale
    rng = np.random.default_rng([seed, 5])
    for _ in range(repeats):
        for name in sorted(set(labels)):
            text = encoder.encode_prompt(f"a photo of a {name}")
            kept = bank[bank @ text < NEAR]
            against = np.logaddexp.reduce(scale * vectors @ kept.T, axis=1) - np.log(len(kept))
            odds = scale * vectors @ text - against - np.log(ODDS)
            truth = labels == name
            share = np.exp(rng.uniform(np.log(0.1), 0))
            rows = np.flatnonzero(~truth | (rng.random(len(truth)) < share))
            rows = rows[np.argsort(-odds[rows], kind="stable")]
            yield name, Slice(odds[rows].astype(float), truth[rows], vectors[rows])


WORDS = ("an animal", "a vehicle", "a pet", "something that flies", "a dark picture", "a toy")


class Photos:
    """CIFAR's rows, embedded, and the log-odds of texts."""

    def __init__(self, path: Path, step: int) -> None:
        self.x, self.label, self.encoder = photos(path, step)
        self.bank = np.stack([self.encoder.encode_prompt(p) for p in self.encoder.background])

    def slice(
        self, texts: list[str], truth: np.ndarray, rows: np.ndarray, unlike: tuple[str, ...] = ()
    ) -> Slice:
        """Return rows by falling log-odds of the mean of texts, against the bank and `unlike`."""
        from slicedb.vectors.background import NEAR, ODDS

        scale, x = self.encoder.logit_scale, self.x[rows]
        text = np.sum([self.encoder.encode_prompt(t) for t in texts], axis=0)
        text /= np.linalg.norm(text)
        kept = self.bank[self.bank @ text < NEAR]
        against = np.logaddexp.reduce(scale * x @ kept.T, axis=1) + np.log(ODDS / len(kept))
        for other in unlike:
            against = np.logaddexp(against, scale * x @ self.encoder.encode_prompt(other))
        odds = (scale * x @ text - against).astype(float)
        order = np.argsort(-odds, kind="stable")
        return Slice(odds[order], truth[rows][order], x[order])


def composed(data: Photos, count: int, seed: int) -> Iterator[tuple[str, Slice]]:
    """Yield slices whose text means something else than their truth, of six kinds in turn."""
    names = sorted(set(data.label))
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        rows = rng.choice(len(data.x), min(5000, len(data.x)), replace=False)
        a, b, c = rng.choice(names, 3, replace=False).tolist()
        one, two, three = (f"a photo of a {name}" for name in (a, b, c))
        either = np.isin(data.label, [a, b])
        match number % 6:
            case 0:
                yield "another class", data.slice([one], data.label == b, rows)
            case 1:
                yield "one of two", data.slice([one], either, rows)
            case 2:
                yield "two averaged", data.slice([one, two], either, rows)
            case 3:
                yield "two excluded", data.slice([three], either, rows, (one, two))
            case 4:
                some = rng.choice(names, rng.integers(2, 6), replace=False)
                yield (
                    "a word",
                    data.slice([str(rng.choice(WORDS))], np.isin(data.label, some), rows),
                )
            case _:
                others = rng.permutation(np.flatnonzero(data.label != a))
                mine = np.flatnonzero(data.label == a)
                few = int(len(mine) * (1 / rng.uniform(0.5, 0.95) - 1))
                rows = np.concatenate([mine, others[:few]])
                yield "most of it", data.slice([one], data.label == a, rows)


def promises(title: str, slices: Iterable[tuple[str, Slice]], budget: int) -> None:
    """Print for each goal how often intervals cover and the goal is missed, and F1."""
    rows: dict[str, list[list[float]]] = {name: [] for name in GOALS}
    f1 = []
    for seed, (_, s) in enumerate(slices):
        total = int(s.truth.sum())
        for name, goal in GOALS.items():
            found = judge(s, goal, budget, seed)
            if found is None:
                continue
            made, above = found
            hits = int((s.truth & above).sum())
            recall, precision = hits / max(total, 1), hits / max(int(above.sum()), 1)
            missed = {"recall": recall, "precision": precision, "f1": 1.0}[goal.aim] < goal.least
            rows[name].append(
                [
                    not above.any() or _inside(precision, made.precision),
                    _inside(recall, made.recall),
                    missed and above.any(),
                ]
            )
            if goal.aim == "f1":
                f1.append([_f1(s.log_odds >= 0, s.truth), _f1(above, s.truth), *_regressions(s)])
    print(f"\n{title}: {len(f1):,} slices, {budget} labels")
    for name, table in rows.items():
        if table:
            p, r, m = (_rate(column) for column in zip(*table))
            print(f"  {name:13} precision covered {p}, recall {r}; missed {m}; of {len(table)}")
    zero, ours, plain, scored = np.array(f1).T
    print(
        f"  median F1: zero-shot {np.median(zero):.3f}, ours {np.median(ours):.3f}, logistic "
        f"regression {np.median(plain):.3f}, with the text's score {np.median(scored):.3f}; ours "
        f"below zero-shot by more than 0.01: {_rate(ours < zero - 0.01)}"
    )


def _regressions(s: Slice) -> list[float]:
    """Return the F1 of logistic regression on the same labels: vectors, and with the score."""
    from sklearn.linear_model import LogisticRegression

    at = np.array(sorted(key for key, state in s.known.items() if state in ("yes", "no")))
    if len(set(s.truth[at].tolist())) < 2:
        return [0.0, 0.0]
    values = []
    for features in (s.x, np.column_stack([s.x, s.log_odds])):
        fitted = LogisticRegression(max_iter=2000).fit(features[at], s.truth[at])
        values.append(_f1(fitted.predict(features), s.truth))
    return values


def _inside(value: float, share: Any) -> bool:
    return bool(share.low - 1e-9 <= value <= share.high + 1e-9)


def _rate(values: Any) -> str:
    k, n = int(np.sum(values)), len(values)
    interval = wilson(k, n)
    return f"{k / n:.3f} [{float(interval.low):.3f}, {float(interval.high):.3f}]"


def promised(options: argparse.Namespace) -> None:
    """Print the table of promises."""
    for budget in (30, 100, 300):
        rngs = [np.random.default_rng([options.seed, n]) for n in range(options.slices)]
        slices = (
            (kind, simulated(kind, 4000, rng, (0.001, 0.99)))
            for kind, rng in zip(itertools.cycle(KINDS), rngs)
        )
        promises("simulated, prevalence 0.1 to 99 %", slices, budget)
        if options.cifar:
            held = Photos(options.cifar, 10)
            rows = np.arange(len(held.x))
            classes = [
                (name, held.slice([f"a photo of a {name}"], held.label == name, rows))
                for name in sorted(set(held.label))
            ]
            promises("CIFAR's classes", classes * options.repeats, budget)
            promises("composed texts", composed(held, options.slices, options.seed), budget)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--slices", type=int, default=1000)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=4711)
    parser.add_argument("--repeats", type=int, default=10, help="of the ten CIFAR classes")
    parser.add_argument("--promises", action="store_true")
    options = parser.parse_args()
    if options.promises:
        promised(options)
        return
    started = time.process_time()
    rngs = [np.random.default_rng([options.seed, n]) for n in range(options.slices)]
    kinds = [KINDS[n % len(KINDS)] for n in range(options.slices)]
    slices = ((k, simulated(k, options.size, rng)) for k, rng in zip(kinds, rngs))
    if options.slices:
        run(slices, options.labels, "simulated")
    print(f" {time.process_time() - started:.0f} s of CPU")
    if options.cifar:
        run(
            real(options.cifar, options.repeats, options.labels, options.seed),
            options.labels,
            "CIFAR",
        )


if __name__ == "__main__":
    main()
