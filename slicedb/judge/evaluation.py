"""Evaluate models on slices: the table of slice x model x metric."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypedDict

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import metrics as m
from slicedb import stats
from slicedb.errors import ClassesError, did_you_mean
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.aligned import Aligned, groups_of, load, universe
from slicedb.judge.drawn import values
from slicedb.judge.resampling import resampled
from slicedb.judge.sequences import note_of_videos
from slicedb.judge.sizes import boxes_of, samples_of
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys, distinct
from slicedb.metrics import Estimate, Membership, Metric, ratios
from slicedb.metrics.metric import Weighted
from slicedb.schema import schema_of
from slicedb.show import numbers
from slicedb.show.numbers import interval
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.store import Store

Bootstrap: TypeAlias = Literal["percentile", "bca"]
"""How bounds come from resamples; see `slicedb.stats.bootstrap`."""

_MACRO = ("precision", "recall", "f1")
"""Metrics of classes that are averaged over them where no class is named."""

_SCHEMA = schema_of(
    """
    slice string, model string, metric string, of string, value float64, low float64, high float64
    n int64, left_out int64, boxes int64, reason string
    """
)


class _Row(TypedDict):
    slice: str
    model: str
    metric: str
    of: str | None
    value: float
    low: float
    high: float
    n: int
    left_out: int
    boxes: int | None
    reason: str | None


@dataclass(frozen=True)
class Evaluation(Tabular):
    """Values with their intervals, one row per slice, model, metric and class."""

    table: pa.Table
    """slice, model, metric, of (class or null), value, low, high, n, left_out, boxes, reason."""
    confidence: float
    """Of the intervals, two-sided."""
    warnings: tuple[str, ...] = ()
    """What to know before the values are believed, such as many looks at a held-out slice."""
    truth: OtherTruth | None = None
    """What the models were judged against, if not the ground truth."""
    agreements: tuple[Agreement, ...] = ()
    """How far that truth agrees with the ground truth, and with each model."""

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.table

    def value(
        self, slice: str, model: str, metric: str = "accuracy", of: str | None = None
    ) -> float:
        """Return one value, NaN where it is undefined.

        Raises:
            KeyError: no such row.
        """
        for row in self.table.to_pylist():
            if (row["slice"], row["model"], row["metric"], row["of"]) == (slice, model, metric, of):
                return float(row["value"])
        raise KeyError((slice, model, metric, of))

    def grid(self) -> tuple[list[str], list[list[str]]]:
        """Return header and cells: one row per slice and metric, one column per model."""
        models = list(dict.fromkeys(self.table["model"].to_pylist()))
        has_boxes = self.table["boxes"].null_count < len(self.table)
        by_name: dict[tuple[str, str], dict[str, _Row]] = {}
        for row in self.table.to_pylist():
            metric = row["metric"] if row["of"] is None else f"{row['metric']} of {row['of']}"
            by_name.setdefault((row["slice"], metric), {})[row["model"]] = row
        lines = []
        for (name, metric), rows in by_name.items():
            n = _span(r["n"] for r in rows.values())
            left_out = _span(r["left_out"] for r in rows.values())
            boxes = [r["boxes"] for r in rows.values() if r["boxes"] is not None]
            counts = [n, _span(boxes) if boxes else "", left_out] if has_boxes else [n, left_out]
            lines.append([name, metric, *counts, *(_cell(rows.get(each)) for each in models)])
        counted = ["images", "boxes", "left out"] if has_boxes else ["n", "left out"]
        return ["slice", "metric", *counted, *models], lines

    def _asked(self) -> set[tuple[str, str | None]]:
        """Return the metrics in the table, each with its class."""
        columns = (self.table[name].to_pylist() for name in ("metric", "of", "boxes"))
        return {(metric, of) for metric, of, boxes in zip(*columns) if boxes is None}

    def parts(self) -> Iterator[Part]:
        """Yield the table, what is in brackets, and the warnings."""
        head, lines = self.grid()
        models = list(dict.fromkeys(self.table["model"].to_pylist()))
        n_counts = len(head) - 2 - len(models)
        align = "<<" + ">" * n_counts + "<" * len(models)
        drawn = lambda: values(self.table.to_pylist(), models)  # noqa: E731
        yield Grid(head, lines, align=align, drawn=drawn)
        yield f"in brackets: the {self.confidence:.0%} interval"
        averages = [m for m in _MACRO if (m, None) in self._asked()]
        if averages:
            yield (
                f"{', '.join(averages)}: averages over the classes that have samples or are "
                f"predicted; `{averages[0]} of CLASS` is that of one"
            )
        if self.truth is not None:
            yield f"judged against {self.truth}, not the ground truth"
        yield from map(str, self.agreements)
        yield from (f"warning: {w}" for w in self.warnings)


def evaluate(
    store: Store,
    models: str | Sequence[str],
    members: Mapping[str, Keys],
    *,
    metrics: Sequence[str] | None = None,
    per_class: bool = False,
    confidence: float = 0.95,
    group: str | None = None,
    bootstrap: Bootstrap | None = None,
    truth: OtherTruth | None = None,
    scopes: Sequence[str] = (),
) -> Evaluation:
    """Evaluate models on slices, all slices of a model in one pass; see `Database.evaluate`.

    Args:
        members: slice -> int64 keys; a sample counts once, however often its key occurs.
        truth: what stands in place of the ground truth.
        scopes: a predicate of the members of each slice, "" for all samples.

    Returns:
        Rows in the order slice, model, metric, class. `n` counts samples; for a share of one class
        its labels (recall), its predictions (precision), or both (F1); of a detector the images in
        which a box of the class is annotated or predicted. `boxes` counts the annotated boxes of a
        detector's samples and is null otherwise. `left_out` counts the members without a label or
        without a prediction; a value that is undefined is NaN and has a `reason`. Intervals are
        Wilson's for shares, and the bootstrap's of whole groups with `group`.
    """
    names = [models] if isinstance(models, str) else list(models)
    asked = None if metrics is None else [asked_metric(text) for text in metrics]
    every = universe(store)
    rows = [every.rows(np.asarray(keys, np.int64)) for keys in members.values()]
    sizes = np.array(
        [len(distinct(k)) if len(r) != len(k) else len(k) for r, k in zip(rows, members.values())],
        np.int64,
    )
    how = None
    if group is not None or bootstrap is not None:
        how = _Resampling(groups_of(store, group) if group else None, bootstrap or "percentile")
    blocks, warnings = [], []
    row_of = None
    # Of metrics that do not say what they need, anything may be needed.
    light = all(x.needs and "probabilities" not in x.needs for x, _ in asked or ())
    for aligned in [load(store, name, truth, light=light) for name in names]:
        if row_of is None or not np.array_equal(aligned.row_of, row_of):
            belongs, row_of = aligned.members(rows), aligned.row_of
        warnings += _warnings(aligned, members, rows)
        warnings += _outside(aligned, belongs)
        # models that saw the same samples share the matrix
        task = aligned.task.name
        primary: list[tuple[Metric, str | None]] = [(m.find(aligned.task.primary), None)]
        wanted = [(m.suit(metric, task), of) for metric, of in (asked or primary)]
        blocks.append(_one_model(aligned, belongs, sizes, wanted, per_class, confidence, how))
    every_key = np.concatenate([np.empty(0, np.int64), *members.values()])
    warnings += note_of_videos(store, every_key, group)
    table = _order(pa.concat_tables(blocks), list(members), names) if blocks else None
    shown = table if table is not None else _SCHEMA.empty_table()
    agreed = agreements(
        store, names, truth, list(members.values()), scopes=scopes, confidence=confidence
    )
    return Evaluation(shown, confidence, tuple(warnings), truth, agreed)


def asked_metric(text: str) -> tuple[Metric, str | None]:
    """Return a metric by name, and the class where it is `<metric> of <class>`.

    Raises:
        CheckError: there is no such metric.
    """
    name, _, of = text.partition(" of ")
    return m.find(name.strip()), of.strip().strip("'") or None


def _code_of(name: str, classes: Sequence[str], model: str) -> int:
    if name not in classes:
        raise ClassesError(
            f"'{model}' has no class '{name}'.", did_you_mean(name, classes, "classes")
        )
    return list(classes).index(name)


def _warnings(aligned: Aligned, members: Mapping[str, Keys], rows: Sequence[Keys]) -> list[str]:
    """Return what a table of boxes does not say of the members of the first slice that lacks it."""
    for (name, keys), of_slice in zip(members.items(), rows):
        if n := aligned.doubtful(of_slice):
            return [
                f"{n:,} of {numbers.count(len(keys), 'picture')} of {name} "
                f"{numbers.verb(n, 'has', 'have')} no row in the detections of {aligned.model} and "
                f"{numbers.verb(n, 'is', 'are')} left out, so that what was missed there is not "
                "counted; log them with looked_at= (--looked-at) if it looked at them"
            ]
    return []


def _outside(aligned: Aligned, members: Membership) -> list[str]:
    """Return what is to be known of labels that are none of a classifier's classes."""
    outcomes, known = aligned.outcomes, len(aligned.about.classes)
    if not isinstance(outcomes, m.Outcomes) or not known:
        return []
    is_outside = outcomes.label >= known
    if not is_outside.any():
        return []
    judged = np.zeros(outcomes.n, bool)
    for rows in members.positions:
        judged[rows] = True
    labels = outcomes.label[is_outside & judged]
    n = len(labels)
    if not n:
        return []
    names = [outcomes.classes[code] for code in np.unique(labels)[:3]]
    what = "a label" if aligned.truth is None else f"a class by {aligned.truth}"
    change = (
        f", `slicedb map-labels {shlex.quote(names[0])}=NAME` renames labels, and `slicedb "
        f"map-labels --model {aligned.model}` those that are numbers of its classes"
    )
    return [
        f"{numbers.count(n, 'sample has', 'samples have')} {what} that is none of the classes of "
        f"{aligned.model}, such as '{names[0]}': {numbers.verb(n, 'it counts', 'they count')} as "
        f"wrong. `slicedb model show {aligned.model}` names its "
        f"classes{change if aligned.truth is None else ''}"
    ]


def _one_model(
    aligned: Aligned,
    members: Membership,
    sizes: npt.NDArray[np.int64],
    wanted: Sequence[tuple[Metric, str | None]],
    per_class: bool,
    confidence: float,
    how: _Resampling | None,
) -> pa.Table:
    classes = aligned.outcomes.classes
    asked: list[tuple[Metric, str | None]] = []
    for metric, one in wanted:
        if one is not None:
            asked.append((m.for_class(metric, _code_of(one, classes, aligned.model)), one))
            continue
        asked.append((metric, None))
        if per_class and (metric.per_class is not None or metric.by_class):
            asked += [(m.for_class(metric, code), name) for code, name in enumerate(classes)]
    whole = m.estimates(aligned.outcomes, members, [metric for metric, of in asked if of is None])
    parts = []
    for metric, of in asked:
        missing = m.missing(metric, aligned.outcomes)
        estimate = whole[metric.name] if of is None or missing else _again(aligned, members, metric)
        bounds = m.interval(metric, estimate, confidence)
        if how is not None and not missing and metric.interval != "exact":
            bounds = how.interval(aligned, members, metric, confidence)
        empty = missing or aligned.task.empty
        why = [empty if missing or n == 0 else metric.undefined for n in members.sizes]
        why = [reason if size else m.NO_SAMPLES for reason, size in zip(why, sizes)]
        code = None if of is None else classes.index(of)
        n = samples_of(aligned, members, metric, estimate, code)
        boxes = boxes_of(aligned, members, code)
        left_out = sizes - members.sizes
        parts.append(_rows(aligned.model, metric, of, estimate, bounds, (n, left_out, boxes), why))
    return pa.concat_tables(parts)


@dataclass(frozen=True, eq=False)
class _Resampling:
    """Bounds by the bootstrap."""

    groups: Keys | None
    """Group of each row of the universe."""
    method: Bootstrap

    def interval(
        self, aligned: Aligned, members: Membership, metric: Metric, confidence: float
    ) -> stats.Interval:
        """Return the bounds of every slice."""
        bounds: list[tuple[float, float]] = []
        for rows in members.positions:
            codes = None if self.groups is None else self.groups[aligned.rows[rows]]
            statistic, units = resampled(metric, aligned.outcomes.take(rows), codes)
            if metric.bias and self.method == "percentile" and units:
                bounds.append(_moved(metric, statistic, units, confidence))
                continue
            both = stats.bootstrap(statistic, units, confidence=confidence, method=self.method)
            bounds.append((float(both.low), float(both.high)))
        low, high = np.array(bounds, float).reshape(-1, 2).T
        return stats.Interval(low, high)


def _moved(
    metric: Metric, statistic: Weighted, units: int, confidence: float
) -> tuple[float, float]:
    """Return percentile bounds, moved by the bias that the resamples show."""
    draws = ratios.drawn(statistic, units, metric.bias)
    low, high = m.interval(metric, draws, confidence)
    return float(low[0]), float(high[0])


def _again(aligned: Aligned, members: Membership, metric: Metric) -> Estimate:
    return m.estimates(aligned.outcomes, members, [metric])[metric.name]


def _rows(
    model: str,
    metric: Metric,
    of: str | None,
    estimate: Estimate,
    bounds: stats.Interval,
    sizes: tuple[Keys, Keys, Keys | None],
    why: Sequence[str],
) -> pa.Table:
    """Return one row per slice.

    Args:
        sizes: `n`, `left_out` and `boxes`.
        why: for each slice why its value is undefined, where it is.
    """
    n, left_out, boxes = sizes
    s = len(n)
    is_undefined = np.isnan(estimate.value)
    columns = {
        "slice": pa.array(np.arange(s)),  # replaced by its name when all models are together
        "model": pa.repeat(model, s),
        "metric": pa.repeat(metric.name, s),
        "of": pa.array([of] * s, pa.string()),
        "value": estimate.value,
        "low": bounds.low,
        "high": bounds.high,
        "n": n,
        "left_out": left_out,
        "boxes": pa.nulls(s, pa.int64()) if boxes is None else pa.array(boxes),
        "reason": pa.array(list(why), pa.string(), mask=~is_undefined),
    }
    return pa.table(columns)


def _order(table: pa.Table, slices: Sequence[str], models: Sequence[str]) -> pa.Table:
    """Put rows of one slice together and its name in place of its number."""
    number = table["slice"].to_numpy()
    order = np.argsort(number, kind="stable")  # within a slice: models, metrics, classes as asked
    table = table.take(order)
    names = pa.DictionaryArray.from_arrays(number[order].astype(np.int32), list(slices) or [""])
    return table.set_column(0, "slice", names.cast(pa.string())).cast(_SCHEMA)


def _span(values: Iterable[int]) -> str:
    ordered = sorted(set(values))
    low, high = ordered[0], ordered[-1]
    return f"{low:,}" if low == high else f"{low:,}-{high:,}"


def _cell(row: _Row | None) -> str:
    if row is None:
        return ""
    if np.isnan(row["value"]):
        return f"undefined: {row['reason']}"
    if row["metric"] == "count":
        return f"{row['value']:,.0f}"
    return f"{row['value']:.3f} {interval(row['low'], row['high'])}".rstrip()
