"""Estimate a model's accuracy on samples without labels, from labelled ones that differ.

Three ways, each with the assumption that carries it. None of them is evidence: an estimate never
decides a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import progress
from slicedb.curate.seen import seen
from slicedb.errors import CheckError
from slicedb.keys import KeyIndex, Keys
from slicedb.schema import PREDICTIONS
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.stats.intervals import wilson
from slicedb.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slicedb.show.tabular import Part

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_LEAST = 30
_DRAWS = 300
_CLASSES = 50
"""Classes up to which the predicted class is a slice, too."""
_LOOKED = 20_000
"""Samples of each side whose confidences are resampled."""
_SHRINK = 1e-3
"""Ridge on the weights' exponents, so that a slice that holds all or nothing stays finite."""

ASSUMED = {
    "slices": "accuracy inside of each combination of slices is what it was",
    "confidence": "a confidence means what it meant, once slices are weighted",
    "threshold": "the share of errors below a confidence is what it was",
}


@dataclass(frozen=True)
class ExpectedRow:
    """One estimate of accuracy."""

    method: str
    """slices: the labelled samples weighted to the shares of slices (Mandoline, Chen et al. 2021).
    confidence: calibrated confidences, weighted likewise (as CBPE and PAPE have it). threshold:
    average thresholded confidence (Garg et al. 2022)."""
    estimate: float
    low: float
    """95 % bound, by resampling both sides."""
    high: float
    assumes: str


@dataclass(frozen=True)
class Expected(Tabular):
    """What accuracy to expect on samples without labels; an estimate, not a test."""

    model: str
    n_reference: int
    """Labelled samples."""
    n: int
    """Samples that the accuracy is estimated for."""
    reference: float
    """Accuracy of the labelled samples as they are."""
    rows: tuple[ExpectedRow, ...]
    slices: tuple[str, ...]
    """What samples are weighted by."""
    unsupported: float
    """Share of the samples whose combination of slices no labelled sample has."""
    left_out: int = 0
    """Labelled samples that the model was trained on; they do not count."""
    actual: float | None = None
    """The accuracy, where the samples have labels after all."""

    def to_arrow(self) -> pa.Table:
        """Return one row per method."""
        return pa.Table.from_pylist([asdict(row) for row in self.rows])

    def parts(self) -> Iterable[Part]:
        """Yield what was compared, the estimates, and a warning."""
        yield (
            f"{self.model}: {numbers.count(self.n, 'sample')} beside {self.n_reference:,} labelled "
            f"ones, whose accuracy is {self.reference:.3f}."
        )
        cells = [
            (row.method, f"{row.estimate:.3f}", numbers.interval(row.low, row.high), row.assumes)
            for row in self.rows
        ]
        yield Grid(["by", "expected accuracy", "95%", "if"], cells, align="<>><")
        if self.left_out:
            yield (
                f"{numbers.count(self.left_out, 'labelled sample')} left out, since the model was "
                "trained on them."
            )
        if self.actual is not None:
            yield f"These samples have labels: the accuracy is {self.actual:.3f}."
        if self.unsupported:
            yield (
                f"{self.unsupported:.1%} of them are of a combination of slices that no labelled "
                "sample has; nothing speaks for these."
            )
        yield "An estimate: it holds if its assumption does, and it never decides a test."


def expected(
    store: Store,
    model: str,
    reference: Keys,
    on: Keys,
    slices: Mapping[str, Keys],
    seed: int = 0,
    show: progress.Watch = None,
) -> Expected:
    """Estimate the accuracy of a model on samples; see `Database.expected`.

    Args:
        store: the database.
        model: its name.
        reference: int64: the labelled samples; those in `on` do not count among them.
        on: int64: the samples to estimate for.
        slices: name -> int64 keys, what samples are weighted by.
        seed: of the resampling.

    Raises:
        CheckError: there are too few samples with predictions, or none of them is labelled.
    """
    reference = reference[~KeyIndex(on).has(reference)]
    stored = _predictions(store, model)
    index = KeyIndex(stored["key"].to_numpy())
    right = np.asarray(stored["correct"].fill_null(False))
    is_labelled = np.asarray(pc.is_valid(stored["correct"]))
    confidence = stored["confidence"].fill_null(float("nan")).to_numpy().astype(np.float64)
    facts = seen(store, model)
    trained = KeyIndex(np.empty(0, np.int64) if facts is None else facts.keys).has(reference)
    ref = index.rows(reference[~trained])
    ref = ref[is_labelled[ref] & ~np.isnan(confidence[ref])]
    target = index.rows(on)
    target = target[~np.isnan(confidence[target])]
    _refuse_few(model, len(ref), len(target))
    named, member = _memberships(slices, stored, index)
    sides = _Sides(right[ref], confidence[ref], confidence[target], member[ref], member[target])
    ways = {"slices": by_slices, "confidence": by_confidence, "threshold": by_threshold}
    n_draws = _DRAWS * len(ways)
    with progress.bar(n_draws, "resample", show, unit="resample", keeps=False) as bar:
        rows = [
            ExpectedRow(name, *sides.estimate(way, seed, bar), ASSUMED[name])
            for name, way in ways.items()
        ]
    supported = np.isin(_patterns(sides.of_target), _patterns(sides.of_reference))
    labelled = is_labelled[target]
    actual = float(right[target][labelled].mean()) if labelled.mean() > 0.99 else None
    return Expected(
        model,
        len(ref),
        len(target),
        float(right[ref].mean()),
        tuple(rows),
        tuple(named),
        float(1 - supported.mean()),
        int(trained.sum()),
        actual,
    )


def _predictions(store: Store, model: str) -> pa.Table:
    """Return key, prediction, correct and confidence of a classifier's predictions, in one chunk.

    Raises:
        CheckError: the model predicts no class, or gives no confidence.
    """
    known = store.schema(f"{PREDICTIONS}{model}").names
    if "correct" not in known or "confidence" not in known:
        raise CheckError(
            f"Model '{model}' has no predicted class with a confidence.",
            "accuracy is estimated for classifiers; log `confidence` or `probabilities`.",
        )
    columns = ["key", "prediction", "correct", "confidence"]
    return store.table(f"{PREDICTIONS}{model}", columns).combine_chunks()


def _refuse_few(model: str, n_labelled: int, n: int) -> None:
    """Raise where there are too few labelled samples, or too few to estimate for."""
    of_reference = "label some, or name others with reference= (--reference)."
    of_target = "by default these are the samples without a label; on= (--on) names others."
    for kind, size, hint in (
        ("labelled samples", n_labelled, of_reference),
        ("samples to estimate for", n, of_target),
    ):
        if size < _LEAST:
            raise CheckError(
                f"The {kind} include {size} with a prediction of '{model}' and its confidence; an "
                f"estimate needs {_LEAST}.",
                hint,
            )


def _memberships(
    slices: Mapping[str, Keys], stored: pa.Table, index: KeyIndex
) -> tuple[list[str], Bools]:
    """Return names, and bool (n, k): which slices each predicted sample is in."""
    names, columns = [], []
    for name, keys in slices.items():
        inside = index.mask(keys)
        if 0 < inside.sum() < len(inside):
            names.append(name)
            columns.append(inside)
    coded = stored["prediction"].combine_chunks().dictionary_encode()
    if 1 < len(coded.dictionary) <= _CLASSES:
        codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        for code, value in enumerate(coded.dictionary.to_pylist()[1:], 1):  # the first is the rest
            names.append(f"predicted {value}")
            columns.append(codes == code)
    if not columns:
        return [], np.zeros((len(stored), 0), bool)
    return names, np.stack(columns, axis=1)


def _patterns(member: Bools) -> npt.NDArray[np.uint64]:
    """Return a number for each combination of slices."""
    draws = np.random.default_rng(0).integers(1, 2**63, member.shape[1], dtype=np.uint64)
    with np.errstate(over="ignore"):
        return np.asarray((member * draws).sum(axis=1, dtype=np.uint64))


Way = Callable[["_Sides", Floats, Floats], float]
"""Estimates the accuracy from counts of the labelled samples and of the others."""


@dataclass(frozen=True, eq=False)
class _Sides:
    """The labelled samples and those to estimate for."""

    right: Bools
    confidence: Floats
    """Of the labelled samples."""
    other: Floats
    """Confidence of the others."""
    of_reference: Bools
    """bool (n, k): slices of the labelled samples."""
    of_target: Bools
    """bool (m, k)."""

    def estimate(
        self, way: Way, seed: int, bar: progress.Bar = progress.SILENT
    ) -> tuple[float, float, float]:
        """Return the estimate and its 95 % bounds."""
        whole = way(self, np.ones(len(self.right)), np.ones(len(self.other)))
        some, scale = self._some(seed)
        rng = np.random.default_rng(seed)
        n, m = len(some.right), len(some.other)
        draws = np.empty(_DRAWS)
        for k in range(_DRAWS):
            bar.advance()
            draws[k] = way(
                some,
                rng.multinomial(n, np.full(n, 1 / n)).astype(np.float64),
                rng.multinomial(m, np.full(m, 1 / m)).astype(np.float64),
            )
        # Around the estimate itself, and as narrow as all samples allow.
        spread = (draws - draws.mean()) * scale
        # The others' accuracy varies by chance, too, whatever is expected of it.
        chance = whole * (1 - whole) / len(self.other)
        spread *= np.sqrt(1 + chance / max(1e-12, float(spread.var())))
        low, high = whole + np.quantile(spread, [0.025, 0.975])
        # Resamples of samples that are all right, or all wrong, do not differ; the rate might.
        least, most = wilson(whole * len(self.right), len(self.right))
        low, high = min(low, float(least)), max(high, float(most))
        return whole, float(max(0.0, low)), float(min(1.0, high))

    def _some(self, seed: int) -> tuple[_Sides, float]:
        """Return at most so many samples of each side, and what their spread is to be scaled by."""
        n, m = len(self.right), len(self.other)
        if max(n, m) <= _LOOKED:
            return self, 1.0
        rng = np.random.default_rng(seed)
        a = rng.choice(n, min(n, _LOOKED), replace=False)
        b = rng.choice(m, min(m, _LOOKED), replace=False)
        some = _Sides(
            self.right[a],
            self.confidence[a],
            self.other[b],
            self.of_reference[a],
            self.of_target[b],
        )
        return some, float(np.sqrt(len(a) / n))


def weights(sides: _Sides, reference: Floats, target: Floats) -> Floats:
    """Return float64 (n,): the weight of each labelled sample, log-linear in its slices.

    The weighted shares of all slices are those of the other side (maximum entropy, as Mandoline
    has it); solved by Newton's method.
    """
    g = sides.of_reference.astype(np.float64)
    if not g.shape[1]:
        return reference
    wanted = target @ sides.of_target / target.sum()
    theta = np.zeros(g.shape[1])
    for _ in range(25):
        score = g @ theta
        w = reference * np.exp(score - score.max())
        w /= w.sum()
        mean = w @ g
        gradient = wanted - mean - _SHRINK * theta
        if np.abs(gradient).max() < 1e-8:
            break
        hessian = (g * w[:, None]).T @ g - np.outer(mean, mean)
        step = np.linalg.solve(hessian + _SHRINK * np.eye(len(theta)), gradient)
        theta += step * min(1.0, 5 / max(1e-12, float(np.abs(step).max())))
    return np.asarray(w * reference.sum())


def by_slices(sides: _Sides, reference: Floats, target: Floats) -> float:
    """Estimate by the accuracy of the labelled samples, weighted to the other side's slices."""
    w = weights(sides, reference, target)
    return float(w @ sides.right / w.sum())


def by_confidence(sides: _Sides, reference: Floats, target: Floats) -> float:
    """Estimate by the mean of the others' confidences, calibrated on weighted labelled samples."""
    from scipy.optimize import isotonic_regression

    w = weights(sides, reference, target)
    order = np.argsort(sides.confidence, kind="stable")
    used = order[w[order] > 1e-9 * w.max()]
    fitted = isotonic_regression(sides.right[used].astype(np.float64), weights=w[used]).x
    calibrated = np.interp(sides.other, sides.confidence[used], fitted)
    return float(target @ calibrated / target.sum())


def by_threshold(sides: _Sides, reference: Floats, target: Floats) -> float:
    """Estimate by the share of the others above the confidence that as many are wrong below."""
    order = np.argsort(sides.confidence, kind="stable")
    below = np.cumsum(reference[order])
    wrong = float(reference @ ~sides.right)
    at = int(np.searchsorted(below, wrong, side="left"))
    cut = sides.confidence[order[min(at, len(order) - 1)]]
    above = (sides.other > cut) + 0.5 * (sides.other == cut)
    return float(target @ above / target.sum())
