"""Merge the slices of another database into ours: every version of those that are new here."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pyarrow as pa

from slicedb.errors import SliceError
from slicedb.merge.pair import Pair
from slicedb.predictions.tables import models_of
from slicedb.schema import ANSWERS, ANSWERS_SCHEMA, MODELS, SLICES, SLICES_SCHEMA, Row, keys_of
from slicedb.slices.files import check_name
from slicedb.slices.model_names import check_with_model, with_model
from slicedb.slices.renaming import with_reference
from slicedb.store import Store

_DEFINED = ("kind", "text", "expect", "ids")
"""Columns in which two slices of one name may not differ."""
_OF_HEAD = ("holdout", "decide", "group", "calibration")


@dataclass(frozen=True)
class SlicesTold:
    """What the slices of the other are beside ours."""

    rows: pa.Table
    """The versions of those that are new here."""
    answers: pa.Table
    """What people answered about their texts."""
    added: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def compare_slices(pair: Pair) -> SlicesTold:
    """Return what merging the slices would do; nothing is written.

    Raises:
        SliceError: a slice of that name is, or was, another one here, or a new name is none.
    """
    mine = _newest(_rows(pair.ours))
    changed = {row["id"]: _as_here(pair, row) for row in _rows(pair.theirs)}
    added, unchanged = [], []
    for name, row in _newest(list(changed.values())).items():
        if row["dropped"]:
            continue
        if name not in mine:
            added.append(check_name(name))
        elif not mine[name]["dropped"] and _definition(mine[name]) == _definition(row):
            unchanged.append(name)
        else:
            raise SliceError(
                f"The slice '{name}' is, or was, another one here.",
                f"rename= (--rename {name}=NEW) keeps both; nothing was written.",
            )
    rows = [row for row in changed.values() if row["name"] in added]
    return SlicesTold(
        pa.Table.from_pylist(rows, schema=SLICES_SCHEMA),
        _answers(pair, set(added)),
        tuple(added),
        tuple(unchanged),
    )


def write_slices(pair: Pair, told: SlicesTold) -> None:
    """Write what `compare_slices` told: the answers first, then all versions in one step."""
    if len(told.answers):
        pair.ours.create(ANSWERS, ANSWERS_SCHEMA)
        pair.ours.upsert(ANSWERS, told.answers)
    if len(told.rows):
        pair.ours.create(SLICES, SLICES_SCHEMA)
        pair.ours.insert(SLICES, told.rows)


def slices_of(store: Store) -> list[str]:
    """Return the names of the slices that a database has."""
    return [name for name, row in _newest(_rows(store)).items() if not row["dropped"]]


def _rows(store: Store) -> list[Row]:
    rows: list[Row] = store.table(SLICES).to_pylist() if store.has(SLICES) else []
    return sorted(rows, key=lambda row: row["version"])


def _newest(rows: list[Row]) -> dict[str, Row]:
    return {row["name"]: row for row in rows}


def _as_here(pair: Pair, row: Row) -> Row:
    """Return a version of a slice with the names and ids that hold here.

    A frozen one keeps its members. The versions of tables that it was frozen at are those of the
    other database, and stay there.
    """
    name = pair.named(row["name"])
    text, expect = row["text"] or "", list(row["expect"] or ())
    head = json.loads(row["head"] or "{}")
    head["token"] = ""
    models = {*models_of(pair.theirs), *_registered(pair.theirs)}
    for old, new in pair.names.items():
        text = with_reference(text, old, new)
        if old in models:
            text = with_model(text, old, new)
            expect = [check_with_model(check, old, new) for check in expect]
    if head.get("predicted") is not None:
        head["predicted"] = [pair.named(model) for model in head["predicted"]]
    ids = None if row["ids"] is None else [pair.sample(i) for i in row["ids"]]
    return {
        **row,
        "id": f"{name}@{row['version']}",
        "name": name,
        "text": text,
        "expect": expect,
        "head": json.dumps(head),
        "ids": ids,
        "keys": None if ids is None else keys_of(ids).tolist(),
        "tables": None,
    }


def _registered(store: Store) -> list[str]:
    return store.table(MODELS, ["id"])["id"].to_pylist() if store.has(MODELS) else []


def _definition(row: Row) -> tuple[object, ...]:
    head = json.loads(row["head"] or "{}")
    return (*(row[name] or None for name in _DEFINED), *(head.get(name) for name in _OF_HEAD))


def _answers(pair: Pair, added: set[str]) -> pa.Table:
    """Return what was answered about the texts of slices that are new here."""
    if not pair.theirs.has(ANSWERS):
        return ANSWERS_SCHEMA.empty_table()
    rows = []
    for row in pair.theirs.table(ANSWERS).to_pylist():
        if pair.named(row["slice"]) in added:
            _, text, sample = json.loads(row["id"])
            name, sample = pair.named(row["slice"]), pair.sample(sample)
            whole = json.dumps([name, text, sample])
            key = int(keys_of([sample])[0])
            rows.append({**row, "id": whole, "key": key, "slice": name, "sample": sample})
    return pa.Table.from_pylist(rows, schema=ANSWERS_SCHEMA)
