"""Temperature scaling: one number that makes confidence agree with accuracy, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb.decide import scaling
from slicedb.decide.crossfit import fold_of
from slicedb.decide.reliability import Binning, Reliability, reliability
from slicedb.decide.scaling import WAYS, HeldOut, Scaling, Way
from slicedb.errors import ClassesError, SliceError
from slicedb.judge import OtherTruth
from slicedb.judge.predicted import select
from slicedb.metrics.outcomes import Floats, Ints
from slicedb.show.html import Html, element
from slicedb.show.tabular import Figure, Grid, Part, Tabular

if TYPE_CHECKING:
    from slicedb.store import Store


COLDEST, HOTTEST = 0.01, 100.0
"""Temperatures are searched between these; perfect separation drives it down, noise up to the
last."""

_BLOCK = 65_536
_TINY = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Temperature:
    """The temperature that logits are divided by; above 1 the model was too sure."""

    value: float
    low: float
    """Lower bound at 95 %."""
    high: float
    """Upper bound at 95 %."""
    n: int
    """Samples it was fitted on."""

    def apply(self, probabilities: npt.ArrayLike) -> Floats:
        """Return calibrated probabilities, float64 (n, c), from the model's."""
        return softmax(log_probabilities(probabilities), self.value)

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g} to {self.high:.4g}]"


@dataclass(frozen=True)
class Quality:
    """How well calibrated a model is."""

    ece: float
    """Expected calibration error."""
    ece_debiased: float
    """The same without what chance adds."""
    log_loss: float
    """Mean negative log-likelihood, in nats."""
    brier: float
    """Mean squared distance to the one-hot label, in [0, 2]."""
    accuracy: float
    """Unchanged by temperature scaling."""


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(Tabular):
    """A model before and after temperature scaling; "after" is on rows not fitted on."""

    model: str
    temperature: Temperature
    """Fitted on all rows."""
    before: Quality
    after: Quality
    diagram_before: Reliability
    diagram_after: Reliability
    n: int
    left_out: int
    """Samples without a label, without probabilities, or with a label the model does not know."""
    way: Way = "temperature"
    """How "after" was calibrated: by the temperature, unless held-out samples tell that it leaves
    an error; see `slicedb.decide.scaling.WAYS`."""
    scaling: Scaling | None = None
    """The same, fitted on all rows: `apply(log_probabilities)`."""
    loss_by_way: Mapping[Way, float] = field(default_factory=dict)
    """Mean held-out log loss of each way that was tried."""
    truth: OtherTruth | None = None
    """What stood in place of the label."""

    def to_arrow(self) -> pa.Table:
        """Return two rows, before and after."""
        rows = [
            {
                "model": self.model,
                "when": when,
                "way": way,
                "temperature": t,
                **vars(q),
                "n": self.n,
            }
            for when, way, t, q in (
                ("before", None, 1.0, self.before),
                ("after", self.way, self.temperature.value, self.after),
            )
        ]
        return pa.Table.from_pylist(rows)

    def parts(self) -> Iterator[Part]:
        """Yield the temperature, and the quality before and after."""
        yield (
            f"{self.model}: temperature {self.temperature}, n {self.n:,}, "
            f"{self.left_out:,} left out"
        )
        if self.truth is not None:
            yield f"judged against {self.truth}, not the label"
        if self.way != "temperature":
            yield (
                f"one temperature is not enough; after: {WAYS[self.way]}"
                f"{_details(self.scaling)} (held-out log loss {self.loss_by_way[self.way]:.4f} "
                f"instead of {self.loss_by_way['temperature']:.4f})"
            )
        names = ("ece", "ece_debiased", "log_loss", "brier", "accuracy")
        rows = [
            [when, *(f"{getattr(q, name):.4f}" for name in names)]
            for when, q in (("before", self.before), ("after", self.after))
        ]
        yield Grid(["", *names], rows, align="<>>>>>")
        yield Figure(self._drawn)

    def _drawn(self) -> Html:
        """Draw the reliability diagrams before and after, beside each other."""
        diagrams = (("before", self.diagram_before), ("after", self.diagram_after))
        shown = [element("div", element("p", when), Html(d.draw())) for when, d in diagrams]
        return element("div", *shown, class_="beside")


def _details(fitted: Scaling | None) -> str:
    return f", {fitted.floor:.1%}" if fitted is not None and fitted.floor else ""


def log_probabilities(probabilities: npt.ArrayLike) -> Floats:
    """Return the logarithms, float64 (n, c); zeros become the least float32."""
    return np.asarray(np.log(np.maximum(np.asarray(probabilities, np.float64), _TINY)))


def softmax(logits: npt.ArrayLike, temperature: float = 1.0) -> Floats:
    """Return float64 (n, c): the softmax of logits / temperature.

    >>> softmax([[2.0, 0.0]], temperature=2.0).round(3).tolist()
    [[0.731, 0.269]]
    """
    z = np.asarray(logits, np.float64) / temperature
    z = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(z / z.sum(axis=1, keepdims=True))


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> Temperature:
    """Fit the temperature by maximum likelihood (Guo et al., ICML 2017).

    The negative log-likelihood is convex in 1 / temperature: Newton's steps, kept inside a
    shrinking bracket. The interval is the sandwich's, on the logarithm (White 1982).

    Args:
        logits: float (n, c): logits, or log-probabilities, which differ by a constant a row.
        labels: int (n,) in [0, c).

    Returns:
        The temperature, between `COLDEST` and `HOTTEST`.

    Raises:
        ClassesError: the shapes do not fit.
        SliceError: there are no samples.

    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(4000, 3))
    >>> y = (z + rng.gumbel(size=z.shape)).argmax(axis=1)
    >>> fitted = fit_temperature(3 * z, y)
    >>> fitted.low < 3 < fitted.high
    True
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    if z.ndim != 2 or y.shape != z.shape[:1]:
        raise ClassesError(
            f"Logits of shape {z.shape} and labels of shape {y.shape} do not fit.",
            "give (n, c) and (n,).",
        )
    if not len(y):
        raise SliceError("There are no samples to fit a temperature on.", "widen the slice.")
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise ClassesError(f"A label lies outside 0 to {z.shape[1] - 1}.", "leave those rows out.")
    low, high = 1 / HOTTEST, 1 / COLDEST
    beta = 1.0
    for _ in range(100):
        slope, bend, _ = _derivatives(z, y, beta)
        if abs(slope) <= 1e-10 * bend * beta or high <= low * (1 + 1e-9):
            break
        low, high = (beta, high) if slope < 0 else (low, beta)
        tried = beta - slope / bend if bend > 0 else np.inf
        beta = tried if low < tried < high else (low * high) ** 0.5
    _, bend, squares = _derivatives(z, y, beta)
    error = (squares / len(y)) ** 0.5 / (bend * beta) if bend > 1e-300 else np.inf
    spread = float(np.exp(1.959964 * error)) if error < 100 else float("inf")
    return Temperature(1 / beta, 1 / beta / spread, 1 / beta * spread, len(y))


def _derivatives(z: Floats, y: Ints, beta: float) -> tuple[float, float, float]:
    """Return d/d(beta) of the mean loss, the second derivative, the mean squared score."""
    slope = bend = squares = 0.0
    for start in range(0, len(y), _BLOCK):
        part, label = z[start : start + _BLOCK], y[start : start + _BLOCK]
        p = softmax(part, 1 / beta)
        mean = (p * part).sum(axis=1)
        score = mean - part[np.arange(len(label)), label]
        slope += float(score.sum())
        squares += float((score**2).sum())
        bend += float((p * (part - mean[:, None]) ** 2).sum())
    n = len(y)
    return slope / n, bend / n, squares / n


def held_out(
    probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, folds: int = 5, seed: int = 0
) -> HeldOut:
    """Calibrate each row by what was fitted on the other folds, in the way that held out best.

    Labels outside [0, c) are calibrated but not fitted on.
    """
    z, y = log_probabilities(probabilities), np.asarray(labels, np.int64)
    part = fold_of(len(y), folds, seed)
    known = (y >= 0) & (y < z.shape[1])
    tried: dict[Way, Floats] = {}
    for way in WAYS:
        result = np.empty_like(z)
        for fold in range(int(part.max()) + 1 if len(part) else 0):
            inside, fit_on = part == fold, (part != fold) & known
            value = fit_temperature(z[fit_on], y[fit_on]).value if fit_on.any() else 1.0
            fitted = scaling.fit(way, z[fit_on], y[fit_on], value) if fit_on.any() else None
            if fitted is None and way != "temperature":
                break
            result[inside] = fitted.apply(z[inside]) if fitted is not None else softmax(z[inside])
        else:
            tried[way] = result
    return scaling.chosen(tried, y, known)


def calibrate(
    store: Store,
    model: str,
    keys: Ints | None = None,
    *,
    folds: int = 5,
    bins: int = 15,
    binning: Binning = "width",
    seed: int = 0,
    truth: OtherTruth | None = None,
) -> Calibration:
    """Fit a model's temperature, and judge it before and after; see `Database.calibration`.

    Raises:
        SliceDBError: no predictions, no probabilities, no labels.
    """
    samples = select(store, model, keys, probabilities=True, truth=truth)
    assert samples.outcomes.probabilities is not None
    known = samples.outcomes.label < samples.n_classes
    if not known.any():
        rest = len(samples.classes) - 12
        more = f" and {rest:,} more" if rest > 0 else ""
        raise ClassesError(
            f"No label is one of the classes of '{model}'.",
            f"it knows {', '.join(samples.classes[:12])}{more}; `slicedb map-labels` gives labels "
            "these names.",
        )
    y = samples.outcomes.label[known]
    p = samples.outcomes.probabilities[known].astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)  # float32 rounding
    tried = held_out(p, y, folds=folds, seed=seed)
    q, z = tried.probabilities, log_probabilities(p)
    before, after = (_diagram(v, y, bins, binning) for v in (p, q))
    temperature = fit_temperature(z, y)
    fitted = scaling.fit(tried.way, z, y, temperature.value)
    assert fitted is not None  # there were enough samples in parts of them
    return Calibration(
        model,
        temperature,
        _quality(p, y, before),
        _quality(q, y, after),
        before,
        after,
        len(y),
        samples.left_out + int((~known).sum()),
        tried.way,
        fitted,
        tried.loss,
        truth,
    )


def _diagram(p: Floats, y: Ints, bins: int, binning: Binning) -> Reliability:
    sure = np.minimum(p.max(axis=1), 1.0)
    return reliability(sure, p.argmax(axis=1) == y, bins=bins, binning=binning)


def _quality(p: Floats, y: Ints, diagram: Reliability) -> Quality:
    true = p[np.arange(len(y)), y]
    return Quality(
        diagram.ece,
        diagram.ece_debiased,
        float(-np.log(np.maximum(true, _TINY)).mean()),
        float(((p**2).sum(axis=1) - 2 * true + 1).mean()),
        float((p.argmax(axis=1) == y).mean()),
    )
