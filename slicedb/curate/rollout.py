"""Look after a roll-out: what a model predicts period by period, beside the one before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import sql, stats
from slicedb.curate.times import times_of
from slicedb.errors import CheckError, did_you_mean
from slicedb.keys import KeyIndex, Keys
from slicedb.schema import PREDICTIONS, SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slicedb.show.tabular import Part

Every: TypeAlias = Literal["hour", "day", "week"]

ALPHA = 0.05
RATIO = 1.5
"""How many times as often, or as seldom, a class is predicted before it is an alarm."""

_SECONDS = {"hour": 3600, "day": 86_400, "week": 604_800}
_BEFORE = 7
"""Periods before one that it is compared with, where no other model is."""
_MONDAY = 4 * 86_400
"""1970-01-01 was a Thursday: weeks begin so many seconds later, on a Monday."""


@dataclass(frozen=True)
class RolloutRow:
    """One class in one period."""

    period: str
    """When it begins, UTC."""
    value: str
    """The predicted class."""
    n: int
    """Samples of the period with a prediction."""
    share: float
    """Of them predicted as the class."""
    before: float
    """The same by the other model on the same samples, or in the seven periods before."""
    p: float
    q: float
    """p after Benjamini and Hochberg, over all classes and periods."""
    query: str

    @property
    def ratio(self) -> float:
        """How many times as often."""
        return self.share / self.before if self.before else float("inf")

    @property
    def is_alarm(self) -> bool:
        """Whether it is more than chance, and at least half as often again, or as seldom."""
        return self.q <= ALPHA and not 1 / RATIO < self.ratio < RATIO


@dataclass(frozen=True)
class Rollout(Tabular):
    """What a model predicts period by period, beside what was predicted before."""

    model: str
    against: str
    """The other model; "" for the periods before."""
    rows: tuple[RolloutRow, ...]

    @property
    def alarms(self) -> tuple[RolloutRow, ...]:
        """Classes that are predicted far more often or more seldom, the latest first."""
        return tuple(row for row in reversed(self.rows) if row.is_alarm)

    def to_arrow(self) -> pa.Table:
        """Return one row per class and period."""
        rows = [{**asdict(r), "ratio": r.ratio, "is_alarm": r.is_alarm} for r in self.rows]
        return pa.Table.from_pylist(rows)

    def parts(self) -> Iterable[Part]:
        """Yield the number of alarms, the alarms, and the latest period."""
        beside = self.against or f"the {_BEFORE} periods before"
        alarms = self.alarms
        yield (
            f"{self.model} beside {beside}: {numbers.count(len(alarms), 'alarm')} among "
            f"{numbers.count(len(self.rows), 'comparison')}."
        )
        head = ["period", "class", "n", "share", "before", "times", "q", "query"]
        if alarms:
            yield Grid(head, [_cells(row) for row in alarms], align="<<>>>>><", limit=20)
        if self.rows:
            last = [row for row in self.rows if row.period == self.rows[-1].period]
            last.sort(key=lambda row: -row.share)
            yield "The latest period:"
            yield Grid(head, [_cells(row) for row in last], align="<<>>>>><", limit=20)


def _cells(row: RolloutRow) -> tuple[object, ...]:
    times = f"{row.ratio:.2f}" if np.isfinite(row.ratio) else "new"
    return (
        row.period,
        row.value,
        row.n,
        numbers.percent(row.share),
        numbers.percent(row.before),
        times,
        numbers.p_value(row.q),
        row.query,
    )


def rollout(
    store: Store, model: str, keys: Keys, time: str, every: Every, against: str | None
) -> Rollout:
    """Compare what is predicted period by period; see `Database.rollout`."""
    there = store.schema(SAMPLES).names
    if time not in there:
        raise CheckError(
            f"There is no column '{time}' in samples.", did_you_mean(time, there, "columns")
        )
    rows = store.take(SAMPLES, keys, [time])
    known = np.asarray(rows[time].combine_chunks().is_valid())
    said, classes = _predicted(store, model, keys)
    other, others = _predicted(store, against, keys) if against else (said, classes)
    kept = known & (said >= 0) & (other >= 0)
    if not kept.any():
        raise CheckError(
            f"No sample has a '{time}' and a predicted class of {against or model}.",
            "`captured_at` comes from EXIF; time= names another column.",
        )
    when = times_of(rows.filter(pa.array(kept)), time)
    if not when.is_time:
        raise CheckError(f"The column '{time}' holds numbers, not times.", "name another column.")
    names = [*classes, *(name for name in others if name not in classes)]
    place = np.array([names.index(name) for name in others] or [0])
    said, other = said[kept], place[other[kept]]
    length = _SECONDS[every] * 1e6
    shift = _MONDAY * 1e6 if every == "week" else 0
    period = np.floor((when.values - shift) / length).astype(np.int64)
    starts, period = np.unique(period, return_inverse=True)
    if not against and len(starts) < 2:
        raise CheckError(
            f"All of the samples are of one {every}: '{model}' has no past to compare with.",
            "name the model before it, or take shorter periods: every= (--every).",
        )
    counts = _counts(period, said, len(starts), len(names))
    if against:
        before, p = _paired(period, said, other, counts, len(names))
    else:
        before, p = _earlier(counts, starts)
    spans = [
        _span(time, (start * length + shift, (start + 1) * length + shift), every)
        for start in starts.tolist()
    ]
    result = _rows(model, names, spans, counts, before, p)
    return Rollout(model, against or "", tuple(result))


def _span(time: str, ends: tuple[float, float], every: Every) -> tuple[str, str]:
    """Return how a period is written, and the predicate of its samples; ends in microseconds."""
    moments = [np.datetime64(int(end), "us") for end in ends]
    predicate = " AND ".join(
        f"{sql.name(time)} {sign} TIMESTAMP '{str(moment)[:19].replace('T', ' ')}'"
        for sign, moment in zip((">=", "<"), moments)
    )
    return str(moments[0])[: 13 if every == "hour" else 10].replace("T", " "), predicate


def _rows(
    model: str,
    names: Sequence[str],
    spans: Sequence[tuple[str, str]],
    counts: npt.NDArray[np.float64],
    before: npt.NDArray[np.float64],
    p: npt.NDArray[np.float64],
) -> list[RolloutRow]:
    """Return one row per period and class that can be compared.

    Args:
        spans: how each period is written, and its predicate.
        counts: float64 (t, c): predictions by period and class.
        before: float64 (t, c): the shares they are compared with.
        p: float64 (t, c): NaN where there is nothing to compare with.
    """
    q = stats.benjamini_hochberg(p.ravel()).reshape(p.shape)
    n = counts.sum(axis=1)
    return [
        RolloutRow(
            written,
            name,
            int(n[i]),
            float(counts[i, k] / n[i]),
            float(before[i, k]),
            float(p[i, k]),
            float(q[i, k]),
            f"{sql.name(model)}.prediction = {sql.string(name)} AND {span}",
        )
        for i, (written, span) in enumerate(spans)
        for k, name in enumerate(names)
        if not np.isnan(p[i, k])
    ]


def _predicted(store: Store, model: str, keys: Keys) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return int64 (n,): the predicted class of each sample, -1 for none; and the classes."""
    table = f"{PREDICTIONS}{model}"
    if "prediction" not in store.schema(table).names:
        raise CheckError(f"Model '{model}' predicts no class.", "name a classifier.")
    stored = store.table(table, ["key", "prediction"])
    coded = stored["prediction"].combine_chunks().cast(pa.string()).dictionary_encode()
    codes = np.append(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), -1)
    return codes[KeyIndex(stored["key"].to_numpy()).find(keys)].astype(np.int64), (
        coded.dictionary.to_pylist()
    )


def _counts(
    period: npt.NDArray[np.int64], said: npt.NDArray[np.int64], n_periods: int, n_classes: int
) -> npt.NDArray[np.float64]:
    codes = period * n_classes + said
    counts = np.bincount(codes, minlength=n_periods * n_classes)
    return counts.reshape(n_periods, n_classes).astype(np.float64)


def _paired(
    period: npt.NDArray[np.int64],
    said: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
    counts: npt.NDArray[np.float64],
    n_classes: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the shares by the other model on the same samples, and McNemar's p."""
    then = _counts(period, other, len(counts), n_classes)
    differs = said != other
    gained = _counts(period[differs], said[differs], len(counts), n_classes)
    lost = _counts(period[differs], other[differs], len(counts), n_classes)
    p = np.asarray(stats.mcnemar(gained.astype(np.int64), lost.astype(np.int64)), np.float64)
    p[(counts + then) == 0] = np.nan
    return then / counts.sum(axis=1, keepdims=True), p


def _earlier(
    counts: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the shares in the periods before, and the p of two binomial shares (score test)."""
    from scipy.special import ndtr

    before, p = np.full(counts.shape, np.nan), np.full(counts.shape, np.nan)
    for i, start in enumerate(starts.tolist()):
        earlier = (starts < start) & (starts >= start - _BEFORE)
        if not earlier.any():
            continue
        then, now = counts[earlier].sum(axis=0), counts[i]
        m, n = then.sum(), now.sum()
        pooled = (then + now) / (m + n)
        error = np.sqrt(pooled * (1 - pooled) * (1 / m + 1 / n))
        with np.errstate(invalid="ignore", divide="ignore"):
            z = np.abs(now / n - then / m) / error
        before[i], p[i] = then / m, np.where(error > 0, 2 * ndtr(-z), np.nan)
    return before, p
