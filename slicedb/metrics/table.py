"""The table of metrics: built in, added in this process, or of an installed package.

Several tasks have a metric of one name, such as `recall`; `suit` picks that of the model's task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from slicedb.errors import CheckError, did_you_mean
from slicedb.metrics import estimate as e
from slicedb.metrics.classification import NO_LABEL
from slicedb.metrics.metric import Metric, problem_of
from slicedb.metrics.outcomes import TaskOutcomes
from slicedb.plugins import Registry

METRICS: Registry[Metric] = Registry(
    "slicedb.metrics",
    [
        f"slicedb.metrics.{module}:ROWS"
        for module in ("classification", "multilabel", "detected", "regression", "segmented")
    ],
    check=problem_of,
    key=lambda metric: f"{metric.task}.{metric.name}",
)
"""Every metric, by its task and name: `METRICS["classification.recall"]`."""

NO_SAMPLES = "the slice has no samples"
"""Why nothing can be said of an empty slice."""


def names(task: str | None = None) -> list[str]:
    """Return the names of all metrics, or of one task's; `top_5` stands for every k."""
    every = (m.name for m in METRICS.values() if task in (None, m.task))
    return list(dict.fromkeys(every))


def listed() -> list[dict[str, str]]:
    """Return one row per metric: name, task, range, better, classes, other names.

    >>> [row["name"] for row in listed()][:2]
    ['count', 'accuracy']
    """
    return [
        {
            "name": metric.name,
            "task": metric.task,
            "range": f"{metric.range[0]:g} to {metric.range[1]:g}",
            "better": "higher" if metric.rises else "lower",
            "per_class": "yes" if metric.has_classes else "",
            "also": ", ".join(metric.aliases),
        }
        for metric in METRICS.values()
    ]


def find(name: str) -> Metric:
    """Return the metric of a name or alias; `top_<k>`, `ap<IoU>` and `recall@<IoU>` for any.

    Where several tasks have a metric of that name, `suit` picks the one of the model.

    Raises:
        CheckError: there is no such metric.

    >>> find("top-5").name, find("mAP@0.5").name
    ('top_5', 'ap50')
    """
    metric = _lookup(name)
    if metric is None:
        raise CheckError(f"There is no metric {name!r}.", did_you_mean(name, names(), "metrics"))
    return metric


def suit(metric: Metric, task: str) -> Metric:
    """Return the metric of that name for a task; itself where the task has none (see `missing`).

    >>> suit(find("recall"), "detection").undefined
    'no box is annotated'
    """
    if metric.task == task:
        return metric
    same = _lookup(metric.name, task)
    return metric if same is None else replace(same, name=metric.name)


def _lookup(name: str, task: str | None = None) -> Metric | None:
    for members in _layers():
        rows = [row for row in members if task in (None, row.task)]
        for word in (name, name.lower()):
            for row in rows:
                if word == row.name or word in row.aliases:
                    return row
            for row in rows:
                if row.family is not None and (relative := row.family(word)) is not None:
                    return relative
    return None


def _layers() -> Iterator[Iterable[Metric]]:
    """Yield the built-in metrics, then the others: looking for installed packages takes a while."""
    yield METRICS.builtin.values()
    yield METRICS.added.values()
    yield METRICS.installed.values()


def missing(metric: Metric, outcomes: TaskOutcomes) -> str:
    """Return why outcomes do not have what a metric reads; empty when they have."""
    if metric.task != outcomes.task:
        return f"{metric.name} is for {metric.task}, the model does {outcomes.task}"
    lacking = [name for name in metric.needs if name not in outcomes.columns]
    return f"the predictions have no {lacking[0]}" if lacking else ""


def for_class(metric: Metric, code: int) -> Metric:
    """Return the metric of one class.

    Args:
        metric: one with `per_class` or `by_class`.
        code: index of the class.

    Raises:
        CheckError: the metric is not defined for one class.
    """
    if metric.per_class is not None:
        reason = NO_LABEL if metric.per_class is e.recalls else metric.undefined
        return replace(metric, compute=e.of_class(metric.per_class, code), undefined=reason)
    if metric.bind is not None:
        return replace(metric.bind(code), name=metric.name)
    if metric.by_class:
        compute = metric.compute
        return replace(metric, compute=lambda name, outcomes: compute(name, outcomes, code))
    raise CheckError(f"{metric.name} is not defined for one class.", f"per class: {per_class()}.")


def per_class() -> str:
    """Return the names of the metrics that are defined for one class, for messages."""
    return ", ".join(dict.fromkeys(m.name for m in METRICS.values() if m.has_classes))
