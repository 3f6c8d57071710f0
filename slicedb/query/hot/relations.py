"""Write relations as SQL over the loaded tables: samples, models, and tables of boxes."""

from __future__ import annotations

from slicedb.query.bound.bound import Frame
from slicedb.query.bound.boxes import DERIVED
from slicedb.query.bound.relation import OWN_ID, OWN_KEY, ROW, Count, Matching, Relation
from slicedb.schema import IS_SHOWN, MISTAKES
from slicedb.sql import quoted, string


def hot_name(relation: Relation) -> str:
    """Return the name of the loaded table behind a relation."""
    assert relation.table is not None
    return f"{relation.table.name}@{relation.table.version}"


def hot_column(version: int, shown: str) -> str:
    """Return the name of a model's column in the loaded samples table."""
    return f"{shown}@{version}"


def hot_number(boxes: str) -> str:
    """Return the name of the column, in the loaded samples table, that counts each one's boxes."""
    return f"~n:{boxes}"


def hot_match(matching: Matching, column: str) -> str:
    """Return the name of a column of a matching in a loaded table of boxes."""
    rule = "label" if matching.same_label else "any"
    rule += f":{matching.confidence:g}" if matching.confidence else ""
    return f"{matching.model}@{matching.version}:{matching.iou:g}:{rule}.{column}"


def hot_relation(relation: Relation, frame: Frame) -> str:
    """Return a relation over the loaded tables."""
    if relation.boxes == "matches":
        return _matches(relation, frame)
    if relation.kind == "boxes":
        return _boxes(relation, frame)
    assert relation.table is not None
    shown = [f"s.{quoted(name)}" for name in relation.wanted(frame.narrow)]
    if relation.row:
        shown.append(f's.rowid AS "{ROW}"')
    if relation.keyed:
        shown.append(f's.key AS "{OWN_KEY}"')
    if frame.named and relation.kind == "samples" and relation.star:
        shown.append(f's.id AS "{OWN_ID}"')
    for extra, info in relation.extras.items():
        stored = hot_column(info.version, extra.shown)
        shown.append(f"s.{quoted(stored)} AS {quoted(extra.shown)}")
    slots = relation.slots if frame.scored else []
    shown += [f"t.{quoted(slot)}" for slot in slots]
    shown += [_figure(count) for count in relation.counts.values()]
    source = f"hot.{quoted(hot_name(relation))} AS s"
    if relation is frame.pruned:
        source += f' JOIN {quoted(frame.scores)} AS t ON s.rowid = t."~at"'
    elif slots:
        source += f" POSITIONAL JOIN {quoted(frame.scores)} AS t"
    for count in relation.counts.values():
        if count.sql:
            source += f" LEFT JOIN ({_sql(count, frame)}) AS {quoted(count.slot)}"
            source += f' ON s.rowid = {quoted(count.slot)}."~at"'
    where = ""
    if relation.kind == "samples" and not relation.unfiltered:
        where = f" WHERE ({IS_SHOWN.replace('status', 's.status')})"
    return f"(SELECT {', '.join(shown)} FROM {source}{where})"


def _figure(count: Count) -> str:
    """Return a figure of a sample's boxes; null where one of its lists is."""
    numbers = [f"s.{quoted(hot_number(hot_name(r)))}" for r in count.boxes]
    value = f"coalesce({quoted(count.slot)}.v, 0)" if count.sql else numbers[0]
    known = " AND ".join(f"{number} IS NOT NULL" for number in numbers)
    return f"CASE WHEN {known} THEN {value} END AS {quoted(count.slot)}"


def _sql(count: Count, frame: Frame) -> str:
    return "".join(p if isinstance(p, str) else hot_relation(p, frame) for p in count.sql)


def _boxes(relation: Relation, frame: Frame) -> str:
    shown = [_column(relation, name) for name in relation.wanted(frame.narrow)]
    if relation.keyed:
        shown.append(f's.key AS "{OWN_KEY}"')
    shown += [f's."{name}"' for name in relation.inner]
    for name, (matching, column) in relation.matched.items():
        shown.append(f"s.{quoted(hot_match(matching, column))} AS {quoted(name)}")
    borrowed = _borrowed(relation, frame)
    shown += [f"p.{quoted(column)} AS {quoted(name)}" for name, column in borrowed.items()]
    source = f"hot.{quoted(hot_name(relation))} AS s"
    if borrowed:
        assert relation.owner is not None
        source += f' JOIN {hot_relation(relation.owner, frame)} AS p ON p."{OWN_KEY}" = s.key'
    where = "" if relation.unfiltered else ' WHERE s."~ok"'
    return f"(SELECT {', '.join(shown)} FROM {source}{where})"


def _borrowed(relation: Relation, frame: Frame) -> dict[str, str]:
    """Return the columns of its samples that a relation of boxes shows, without missing scores."""
    slots = relation.owner.slots if relation.owner else []
    return {n: c for n, c in relation.borrowed.items() if frame.scored or c not in slots}


def _column(relation: Relation, name: str) -> str:
    if name in DERIVED:
        return f"{DERIVED[name]} AS {quoted(name)}"
    if relation.boxes == "found" and name in ("tp", "iou", "object"):
        assert relation.matching is not None
        return f"s.{quoted(hot_match(relation.matching, name))} AS {quoted(name)}"
    return f"s.{quoted(name)}"


def _state(matching: Matching, template: str) -> str:
    return template.format(f"s.{quoted(hot_match(matching, 'state'))}")


_OUTCOMES = {"truth": ("fn", "tp", "ignored"), "found": ("fp", None, "ignored")}


def _matches(relation: Relation, frame: Frame) -> str:
    """Return both sides: ground truth found or missed, then boxes that found nothing."""
    assert relation.matching is not None
    names = relation.wanted(frame.narrow)
    parts = []
    for side in relation.sides:
        shown = [f"{_side(relation.matching, side, n)} AS {quoted(n)}" for n in names]
        shown += [f's.key AS "{OWN_KEY}"'] * relation.keyed
        shown += [f's."~p:{i}" AS {quoted(n)}' for i, n in enumerate(_borrowed(relation, frame))]
        parts.append(f"SELECT {', '.join(shown)} FROM {_scanned(relation, side, frame)}")
    return f"({' UNION ALL '.join(parts)})"


def _scanned(relation: Relation, side: Relation, frame: Frame) -> str:
    """Return the loaded boxes of one side that have an outcome, with what is borrowed."""
    assert relation.matching is not None and relation.owner is not None
    state = f"s.{quoted(hot_match(relation.matching, 'state'))}"
    chosen = f"{state} IS NOT NULL" if side.boxes == "truth" else f"{state} IN (0, 2)"
    seen = "" if relation.unfiltered else ' AND s."~ok"'
    source = f"hot.{quoted(hot_name(side))} AS s"
    borrowed = _borrowed(relation, frame)
    if borrowed:
        lent = ", ".join(f'p.{quoted(c)} AS "~p:{i}"' for i, c in enumerate(borrowed.values()))
        owner = hot_relation(relation.owner, frame)
        source += f' JOIN {owner} AS p ON p."{OWN_KEY}" = s.key'
        return f"(SELECT s.*, {lent} FROM {source} WHERE {chosen}{seen}) AS s"
    return f"(SELECT * FROM {source} WHERE {chosen}{seen}) AS s"


def _side(matching: Matching, side: Relation, name: str) -> str:
    """Return a column of `matches` for one side."""
    is_truth = side.boxes == "truth"
    if name == "outcome":
        words = _OUTCOMES[side.boxes]
        cases = "".join(f" WHEN {i} THEN {string(w)}" for i, w in enumerate(words) if w)
        return _state(matching, "CASE {}" + cases + " END")
    if name == "mistake":
        code = f"s.{quoted(hot_match(matching, name))}"
        cases = "".join(f" WHEN {i} THEN {string(kind)}" for i, kind in enumerate(MISTAKES))
        return f"CASE {code}{cases} END"
    if name == "about":
        return f"s.{quoted(hot_match(matching, name))}"
    if name in ("detection", "object"):
        return (
            's."index"'
            if (name == "object") == is_truth
            else f"s.{quoted(hot_match(matching, name))}"
        )
    if name == "prediction":
        return f"s.{quoted(hot_match(matching, name))}" if is_truth else "s.label"
    if name == "iou" or (name == "score" and is_truth):
        return f"s.{quoted(hot_match(matching, name))}"
    return DERIVED.get(name, f"s.{quoted(name)}")
