"""Decide which vectors and predictions of the other may be merged with those of ours."""

from __future__ import annotations

import json
from dataclasses import replace

import pyarrow as pa

from slicedb.embedding.fingerprint import differing, is_logged
from slicedb.embedding.shares import FINGERPRINT
from slicedb.embedding.table import check_name as check_embedding
from slicedb.errors import DatabaseError, FingerprintError
from slicedb.merge.pair import Pair
from slicedb.merge.rows import RowTable
from slicedb.models.names import check_name, refuse_twin
from slicedb.models.registered import Registered, from_row, is_other
from slicedb.predictions.tables import models_of
from slicedb.schema import EMBEDDINGS, MODELS, PREDICTIONS, SAMPLES, TAGGED
from slicedb.store import Store
from slicedb.tagging.definition import FACTS, tag_named, text_of
from slicedb.tasks import LOGGED, TASKS, About


def vectors(pair: Pair) -> list[RowTable]:
    """Return the embeddings of the other.

    Raises:
        FingerprintError: another encoder made the vectors of that name here.
        EmbeddingError: a new name is none.
    """
    tables = []
    for name in _behind(pair.theirs, EMBEDDINGS):
        new = pair.named(name)
        check_embedding(new)
        theirs, ours = EMBEDDINGS + name, EMBEDDINGS + new
        compared: tuple[str, ...] = ()
        if pair.ours.has(ours):
            facts = _fingerprint(pair.ours, ours), _fingerprint(pair.theirs, theirs)
            kinds = pair.ours.schema(ours), pair.theirs.schema(theirs)
            other = differing(*facts)
            if is_logged(facts[0]) != is_logged(facts[1]):
                other = ["encoder"]
            elif kinds[0].field("vector").type != kinds[1].field("vector").type:
                other = ["width"]
            if other:
                raise FingerprintError(
                    f"The embedding '{new}' is of another kind in the other database: "
                    f"{', '.join(other)} differ.",
                    f"rename= (--rename {name}=NEW) keeps both; nothing was written.",
                )
            compared = ("vector",) if is_logged(facts[0]) else ()
        tables.append(RowTable(theirs, ours, compared, ("vector",)))
    return tables


def predictions(pair: Pair) -> list[RowTable]:
    """Return the tables of predictions of the other.

    Raises:
        DatabaseError: the predictions of that name here are another model's.
        ModelError: a new name cannot be one.
    """
    tables = []
    for name in models_of(pair.theirs):
        new = pair.named(name)
        theirs, ours = PREDICTIONS + name, PREDICTIONS + new
        about = About.read(pair.theirs, name)
        task = TASKS[about.task]
        own = [n for n in pair.theirs.schema(theirs).names if n not in task.schema(1).names]
        said = tuple(n for n in task.reads if n in pair.theirs.schema(theirs).names) or tuple(own)
        compared: tuple[str, ...] = ()
        if pair.ours.has(ours):
            before = About.read(pair.ours, new)
            if differ := _differ(before, about):
                raise DatabaseError(
                    f"The predictions of '{new}' are another model's in the other database: "
                    f"{differ} differ.",
                    f"rename= (--rename {name}=NEW) keeps both; nothing was written.",
                )
            compared = tuple(dict.fromkeys([*said, *own])) if about.fingerprint == LOGGED else ()
        tables.append(RowTable(theirs, ours, compared, said))
    return tables


def written(pair: Pair) -> list[RowTable]:
    """Return the values of the other that models wrote into columns, where ours are the same.

    Where the column is here and something else wrote it, its values are merged as anybody's, and
    what wrote those of the other stays there.
    """
    tables = []
    columns = pair.ours.schema(SAMPLES).names
    for name in _behind(pair.theirs, TAGGED):
        tag, here = tag_named(pair.theirs, name), tag_named(pair.ours, name)
        same = here is not None and tag is not None and here.fingerprint == tag.fingerprint
        if tag is None or not (same or (here is None and name not in columns)):
            continue
        if tag.kind == "model":
            tag = replace(tag, what=pair.named(tag.what))
        facts = ((FACTS, text_of(tag)),)
        tables.append(RowTable(TAGGED + name, TAGGED + name, (), tag.columns, facts))
    return tables


def registered(pair: Pair) -> pa.Table:
    """Return the rows of models that are registered in the other and not here.

    Raises:
        DatabaseError: a model of that name is another one here.
        ModelError: a name cannot be that of a model here.
    """
    ours, theirs = _models(pair.ours), _models(pair.theirs)
    here = [*ours, *models_of(pair.ours)]
    columns = pair.ours.schema(SAMPLES).names + pair.theirs.schema(SAMPLES).names
    for name in dict.fromkeys([*theirs, *models_of(pair.theirs)]):
        new = pair.named(name)
        check_name(new, columns=columns, loose=name not in theirs)
        refuse_twin(new, here)
        row = theirs.get(name)
        if new in ours and (row is None or is_other(ours[new], row)):
            raise DatabaseError(
                f"The model '{new}' has other weights, code or classes in the other database.",
                f"rename= (--rename {name}=NEW) keeps both; nothing was written.",
            )
        if row is not None and new not in ours and new in here:
            _refuse_logged(pair, name)
    if not theirs:
        return pa.table({})
    rows = pair.theirs.table(MODELS).to_pylist()
    new_rows = [{**r, "id": pair.named(r["id"])} for r in rows if pair.named(r["id"]) not in ours]
    return pa.Table.from_pylist(new_rows, schema=pair.theirs.schema(MODELS))


def _refuse_logged(pair: Pair, name: str) -> None:
    """Refuse a registered model whose name has predictions here that were logged."""
    new = pair.named(name)
    if About.read(pair.ours, new).fingerprint == LOGGED:
        raise DatabaseError(
            f"The predictions of '{new}' were logged from elsewhere here, and the other database "
            "has a model of that name.",
            f"rename= (--rename {name}=NEW) keeps both; nothing was written.",
        )


def _models(store: Store) -> dict[str, Registered]:
    if not store.has(MODELS):
        return {}
    return {row["id"]: from_row(row) for row in store.table(MODELS).to_pylist()}


def _differ(before: About, about: About) -> str:
    """Return what two tables of predictions do not agree on, "" where they may be mixed."""
    parts = {
        "task": before.task == about.task,
        "classes": before.classes == about.classes,
        "fingerprint": before.fingerprint == about.fingerprint,
        "confidence": before.confidence == about.confidence,
        "target": before.target == about.target,
    }
    return ", ".join(name for name, same in parts.items() if not same)


def _fingerprint(store: Store, table: str) -> dict[str, object]:
    facts: dict[str, object] = json.loads(store.metadata(table).get(FINGERPRINT, "{}"))
    return facts


def _behind(store: Store, prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in store.names() if name.startswith(prefix)]
