"""What the page shows of models: heat map, confusion, classes, flips, curves, mistakes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slicedb import judge, sql
from slicedb import metrics as m
from slicedb.decide import Operating, operating, reliability
from slicedb.errors import CheckError, SliceDBError
from slicedb.judge.drawn import differences
from slicedb.runs import record_evaluation, record_look
from slicedb.schema import PREDICTIONS, Row
from slicedb.show import charts, numbers
from slicedb.show.heat import share_of
from slicedb.show.html import Cell, Html, element, table, td, th
from slicedb.show.style import shade
from slicedb.tasks import TASKS, About
from slicedb.tasks.detection import NOTHING
from slicedb.web.slicing import reference

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.judge import Confusion

ALL = "all"
"""The row of every sample."""
MATRIX = 30
"""Classes up to which a whole matrix is shown; beyond, those with the most mistakes."""
PAIRS = 40
"""Confused pairs that are listed."""
PICTURES = 12
"""Flipped samples of each kind that are shown."""

METRICS = {
    "classification": "accuracy balanced_accuracy f1 precision recall log_loss ece top_5",
    "detection": "map ap50 recall@0.5 precision@0.5 f1@0.5 mean_iou",
    "multilabel": "f1 precision recall f1_micro hamming_loss",
    "regression": "mae rmse bias",
    "segmentation": "miou dice pixel_accuracy",
}
"""Metrics that the page offers, by task."""

BY_CLASS = {
    "classification": ("recall", "precision", "f1"),
    "detection": ("map", "recall@0.5", "precision@0.5"),
    "multilabel": ("recall", "precision", "f1"),
    "segmentation": ("miou", "dice"),
}
"""Metrics of one class, by task."""


def models(db: Database) -> list[dict[str, object]]:
    """Return the models that have predictions, with their tasks; scores alone are no model."""
    rows: list[dict[str, object]] = []
    for name in sorted(db.store.names()):
        if not name.startswith(PREDICTIONS):
            continue
        about = About.read(db.store, name.removeprefix(PREDICTIONS))
        task = TASKS[about.task]
        if task.is_judged:
            rows.append(
                {
                    "name": name.removeprefix(PREDICTIONS),
                    "task": about.task,
                    "classes": list(about.classes),
                    "n": db.store.count(name),
                    "metrics": METRICS.get(about.task, task.primary).split(),
                }
            )
    return rows


def scopes(db: Database) -> list[dict[str, object]]:
    """Return the slices that models can be judged on, and whether each is held out."""
    return [
        {"name": s.name, "held_out": s.holdout is not None, "count": count}
        for s, state, count in db.slices.states()
        if count is not None
    ]


def _on(db: Database, scope: str) -> str | None:
    """Return the slice that is looked at, None for every sample.

    Raises:
        UnknownSliceError: there is no such slice.
    """
    return None if scope == ALL else db.slices.get(scope).title


def _look(db: Database, figures: str, model: str, scope: str) -> None:
    """Count a look at a slice, where figures are made here and by no verb that counts it."""
    if scope != ALL:
        record_look(db.store, figures, [model], [db.slices.get(scope)])


def _within(scope: str, query: str) -> str:
    """Return a query inside a slice."""
    return query if scope == ALL else sql.conjunction(reference(scope), query)


def grid(db: Database, names: Sequence[str], metric: str, held_out: bool) -> dict[str, object]:
    """Return a metric of every slice and model as a heat map, with intervals, n and queries.

    Args:
        names: models.
        metric: "" takes what the task of the first model is known by.
        held_out: also the slices with a holdout, which is a look at them.
    """
    if not names:
        raise CheckError("No model was named.", "choose one or more.")
    listed = [s for s in db.slices.list() if s.holdout is None or held_out]
    members = {ALL: db.keys()}
    for s in listed:
        try:
            members[s.name] = s.keys()
        except SliceDBError:  # its text does not bind any more
            continue
    wanted = metric or TASKS[About.read(db.store, names[0]).task].primary
    found = judge.evaluate(db.store, names, members, metrics=[wanted])
    seen = [s for s in listed if s.name in members]
    found = record_evaluation(db.store, found, names, members, seen, always=False)
    rows = found.table.to_pylist()
    return {
        "html": _heat(db, rows, names, list(members), wanted),
        "metric": wanted,
        "rises": m.find(wanted).rises,
        "confidence": found.confidence,
        "warnings": list(found.warnings),
        "n_held_back": sum(s.holdout is not None for s in db.slices.list()) if not held_out else 0,
        "rows": rows,
    }


def _heat(
    db: Database,
    rows: Sequence[Row],
    names: Sequence[str],
    slices: Sequence[str],
    metric: str,
) -> Html:
    cells = {(row["slice"], row["model"]): row for row in rows}
    known = [row["value"] for row in rows if not math.isnan(row["value"])]
    ends = (min(known), max(known)) if known else (0.0, 1.0)
    rises = m.find(metric).rises
    wrong = {name: _wrong(db, name) for name in names}
    lines = []
    for name in slices:
        tiles = [_tile(cells.get((name, each)), ends, rises, wrong[each]) for each in names]
        lines.append((th(name, scope="row", data_slice=name), *tiles))
    head = [th("slice", scope="col"), *(th(name, scope="col") for name in names)]
    return element("div", table(head, lines, class_="heat grid-of-models"), class_="wide")


def _wrong(db: Database, model: str) -> str:
    """Return the condition of a model's mistakes, worst first where nothing is plainly wrong."""
    columns = db.store.schema(PREDICTIONS + model).names
    name = sql.name(model)
    return f"NOT {name}.correct" if "correct" in columns else f"{name}.loss > 0"


def _tile(row: Row | None, ends: tuple[float, float], rises: bool, wrong: str) -> Cell:
    if row is None or math.isnan(row["value"]):
        why = "" if row is None else row["reason"] or "undefined"
        return td("–", element("small", why), class_="none")
    share = share_of(row["value"], *ends)
    spread = numbers.interval(row["low"], row["high"])
    boxes = "" if row["boxes"] is None else f" · {numbers.count(row['boxes'])} boxes"
    small = element("small", f"{spread} n {numbers.count(row['n'])}{boxes}")
    query = _within(row["slice"], wrong)
    return td(
        element("b", f"{row['value']:.3f}"),
        small,
        class_=shade(share if rises else 1 - share),
        data_query=query,
        data_about=f"mistakes of {row['model']} on {row['slice']}",
    )


def confusion(db: Database, model: str, scope: str) -> dict[str, object]:
    """Return the confusion matrix as HTML whose cells carry their queries, and the pairs."""
    found = db.confusion(model, _on(db, scope), top=MATRIX)
    pairs = [
        {
            "label": label,
            "prediction": prediction,
            "n": n,
            "query": _within(scope, found.query(label, prediction)),
        }
        for label, prediction, n in found.pairs(PAIRS)
    ]
    n = numbers.count(found.n)
    about = f"{n} {found.unit}, {numbers.count(found.left_out, 'sample')} left out"
    seen = found.matrix.sum(axis=0) + found.matrix.sum(axis=1)
    shown = [k for k in found.shown_classes() if seen[k]]
    absent = int((seen == 0).sum())
    if absent:
        about += f"; {numbers.count(absent, 'class', 'classes')} neither there nor predicted"
    if len(shown) < len(found.classes) - absent:
        classes = numbers.count(len(found.classes), "class", "classes")
        about += f"; {len(shown)} of {classes}, those with the most mistakes"
    return {"html": _matrix(found, shown, scope), "pairs": pairs, "about": about, "n": found.n}


def _matrix(found: Confusion, shown: Sequence[int], scope: str) -> Html:
    right = found.accuracy_per_class().to_pylist()
    lines = []
    for i in shown:
        total = int(found.matrix[i].sum())
        label = found.classes[i]
        if not total:
            continue
        tiles = []
        for j in shown:
            n, other = int(found.matrix[i, j]), found.classes[j]
            if not n:
                tiles.append(td(""))
                continue
            tiles.append(
                td(
                    numbers.count(n),
                    class_=shade(math.sqrt(n / total), bad=i != j),
                    data_query=_within(scope, found.query(label, other)),
                    data_about=f"{label} called {other}: {n:,} of {total:,}",
                )
            )
        row = right[i]
        spread = element("small", numbers.interval(row["low"], row["high"]))
        # A box where nothing is annotated is never right.
        hit = td("–") if label == NOTHING else td(f"{row['value']:.3f}", spread)
        lines.append((th(label, scope="row"), *tiles, td(f"{total:,}", class_="n"), hit))
    heads = [th("truth \\ predicted", scope="col")]
    heads += [th(element("span", found.classes[j]), scope="col", class_="turn") for j in shown]
    heads += [th("n", scope="col"), th("right", scope="col")]
    return element("div", table(heads, lines, class_="heat matrix"), class_="wide")


def classes(db: Database, model: str, scope: str) -> dict[str, object]:
    """Return the metrics of each class with their intervals and queries."""
    about = About.read(db.store, model)
    wanted = BY_CLASS.get(about.task)
    if wanted is None:
        raise CheckError(f"{model} does {about.task}: it has no classes.", "see the heat map.")
    found = judge.evaluate(
        db.store, model, {scope: db.keys(_on(db, scope))}, metrics=list(wanted), per_class=True
    )
    _look(db, "classes", model, scope)
    rows = [row for row in found.table.to_pylist() if row["of"] is not None]
    names = list(dict.fromkeys(row["of"] for row in rows))
    cells = {(row["of"], row["metric"]): row for row in rows}
    kinds = list(dict.fromkeys(row["metric"] for row in rows))
    lines: list[Sequence[object]] = []
    for name in names:
        tiles = [_of_class(cells.get((name, kind))) for kind in kinds]
        query = _class_query(about.task, model, name)
        lines.append((th(name, scope="row", data_query=_within(scope, query)), *tiles))
    head = [th("class", scope="col"), *(th(kind, scope="col") for kind in kinds)]
    shown = element("div", table(head, lines, class_="by-class"), class_="wide")
    return {"html": shown, "rows": rows, "confidence": found.confidence}


def _of_class(row: Row | None) -> Cell:
    if row is None or math.isnan(row["value"]):
        return td("–", element("small", "" if row is None else row["reason"] or ""), class_="soft")
    rail = Html(charts.interval(row["value"], row["low"], row["high"], math.nan, (0.0, 1.0)))
    of = f"n {row['n']:,}" if row["boxes"] is None else numbers.count(row["boxes"], "box", "boxes")
    spread = f"{numbers.interval(row['low'], row['high'])} {of}"
    return td(element("b", f"{row['value']:.3f}"), rail, element("small", spread))


def _class_query(task: str, model: str, name: str) -> str:
    """Return the query of a class's samples that are wrong."""
    value = sql.string(name)
    if task == "classification":
        return f"label = {value} AND NOT {sql.name(model)}.correct"
    if task == "detection":
        wrong = f"FROM {sql.name(model)}.matches WHERE outcome <> 'tp'"
        return f"id IN (SELECT id {wrong} AND (label = {value} OR prediction = {value}))"
    if task == "segmentation":
        cells = f"SELECT id, unnest(cells) AS c FROM {sql.name(model)}"
        wrong = f"c.truth = {value} AND c.prediction <> {value}"
        return f"id IN (SELECT id FROM ({cells}) WHERE {wrong})"
    return f"list_contains(labels, {value})"


def compared(db: Database, a: str, b: str, held_out: bool) -> dict[str, object]:
    """Return two models slice by slice, with the queries of what flipped."""
    names = [
        s.name
        for s, _, count in db.slices.states()
        if count is not None and (s.holdout is None or held_out)
    ]
    found = db.compare(a, b, [db.query(""), *names], predict=False)
    rows: list[Row] = found.table.to_pylist()
    for row in rows:
        row["slice"] = row["slice"] or ALL
        for flip in ("won", "lost"):
            row[flip] = row[flip].removeprefix("(true) AND ")
    cells = [[ALL, *texts[1:]] if not texts[0] else texts for texts in found.cells()]
    head = [str(text) for text in next(iter(found.parts())).head]  # type: ignore[union-attr]
    about = [part for part in found.parts() if isinstance(part, str)][:2]
    left_out = [f"{row['left_out']:,} of {row['slice']}" for row in rows if row["left_out"]]
    if left_out:
        about.append(f"left out, without a label or not seen by both: {', '.join(left_out)}")
    return {
        "html": element("div", differences(head, cells, rows), class_="wide"),
        "rows": rows,
        "about": about,
    }


def flipped(db: Database, query: str) -> dict[str, object]:
    """Return the first samples of a query, and how many there are."""
    found = db.query(query)
    return {"ids": found.limit(PICTURES).ids(), "n": found.count(), "query": query}


def curves(
    db: Database, model: str, scope: str, positive: str, costs: tuple[float, float]
) -> dict[str, object]:
    """Return reliability, threshold and cost curves, as far as the model's task has them.

    Args:
        positive: the class that a threshold decides for; "" takes the rarest.
        costs: of a false positive and of a false negative.
    """
    about = About.read(db.store, model)
    on = _on(db, scope)
    parts: dict[str, object] = {"task": about.task, "positive": "", "classes": list(about.classes)}
    missing: list[str] = []
    if about.task == "detection":
        parts["threshold"] = _boxes_by_score(db, model, scope)
        return {**parts, "missing": missing}
    if about.task != "classification":
        missing.append(f"{model} does {about.task}: confidence and thresholds are of classifiers.")
        return {**parts, "missing": missing}
    try:
        parts["reliability"] = _reliability(db, model, on)
    except SliceDBError as error:
        missing.append(str(error))
    try:
        parts |= _decided(db, model, on, positive or _rarest(db, about.classes, scope), costs)
    except SliceDBError as error:
        missing.append(str(error))
    return {**parts, "missing": missing}


def _rarest(db: Database, names: Sequence[str], scope: str) -> str:
    """Return the class of fewest labelled samples of a slice, the first one where it has none."""
    inside = "" if scope == ALL else f" AND {reference(scope)}"
    where = f"WHERE label IS NOT NULL{inside}"
    counts = db.sql(f"SELECT label, count(*) n FROM samples {where} GROUP BY label ORDER BY label")
    known = {row["label"]: row["n"] for row in counts.to_pylist() if row["label"] in names}
    return min(known, key=lambda name: known[name]) if known else (names[0] if names else "")


def _reliability(db: Database, model: str, on: str | None) -> dict[str, object]:
    """Return the diagram with its error; before and after calibration where there are
    probabilities."""
    try:
        found = db.calibration(model, on)
    except SliceDBError:
        aligned = judge.load(db.store, model, light=True)
        outcomes = aligned.outcomes
        if not isinstance(outcomes, m.Outcomes) or outcomes.confidence is None:
            raise
        rows = judge.universe(db.store).rows(np.asarray(db.keys(on), np.int64))
        at = aligned.members([rows]).positions[0]
        diagram = reliability(outcomes.confidence[at], outcomes.correct[at])
        _look(db, "curves", model, ALL if on is None else on)
        about = f"expected calibration error {diagram.ece:.3f}, n {len(at):,}"
        return {"charts": [{"title": "confidence", "svg": diagram.draw()}], "about": about}
    shown = [
        {"title": "as it is", "svg": found.diagram_before.draw()},
        {"title": "after calibration, held out", "svg": found.diagram_after.draw()},
    ]
    about = (
        f"expected calibration error {found.before.ece:.3f}, after {found.way} calibration "
        f"{found.after.ece:.3f}; temperature {found.temperature}; n {found.n:,}, "
        f"{found.left_out:,} left out"
    )
    return {"charts": shown, "about": about}


def _decided(
    db: Database, model: str, on: str | None, positive: str, costs: tuple[float, float]
) -> dict[str, object]:
    """Return what is found and what it costs at each threshold of a class."""
    found = db.cost(model, on, positive=positive, false_positive=costs[0], false_negative=costs[1])
    drawn = found.draw()
    query = found.query if on is None else sql.conjunction(reference(on), found.query)
    policies = [
        {name: getattr(row, name) for name in ("policy", "cost", "low", "high", "n")}
        for row in found.rows
    ]
    return {
        "positive": positive,
        "threshold": {
            "svg": drawn["operating"],
            "about": f"of {positive}, the line at the cheapest threshold",
        },
        "cost": {
            "svg": drawn["cost"],
            "about": f"cheapest threshold {found.threshold}",
            "rates": str(found.rates) if found.rates else "",
            "policies": policies,
            "query": query,
        },
    }


def _boxes_by_score(db: Database, model: str, scope: str) -> dict[str, object]:
    """Return precision and recall of boxes by the score from which on a box counts."""
    inside = (
        "" if scope == ALL else f" WHERE id IN (SELECT id FROM samples WHERE {reference(scope)})"
    )
    rows = db.sql(f"SELECT outcome, score FROM {sql.name(model)}.matches(confidence => 0){inside}")
    _look(db, "curves", model, scope)
    outcome = np.array(rows["outcome"].to_pylist(), object)
    is_box, is_hit = outcome != "fn", outcome == "tp"
    n_truth = int((is_hit | ~is_box).sum())
    score = rows["score"].to_numpy().astype(float)[is_box]
    found = operating(score, is_hit[is_box])
    whole = Operating(found.threshold, found.n_yes, found.hits, n_truth, found.n)
    return {
        "svg": whole.draw(About.read(db.store, model).confidence),
        "about": f"boxes at IoU 0.5: {found.n:,} predicted, {n_truth:,} annotated; "
        "the line is where boxes count now",
    }


def mistakes(db: Database, model: str, scope: str) -> dict[str, object]:
    """Return what the model has wrong, each finding with its query, and the worst samples."""
    found = db.errors(model, _on(db, scope), n=PICTURES, slices=[])
    findings = [
        {name: getattr(one, name) for name in ("name", "description", "query", "n", "share")}
        for one in found.findings
    ]
    return {
        "findings": findings,
        "n": found.n,
        "top": found.top.to_pylist(),
        "top_query": getattr(found, "top_query", ""),
    }
