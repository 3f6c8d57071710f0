"""Plans are kept, and never answer for data, slices or marks that are gone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fuzzing import known_texts
from hypothesis import given, settings
from hypothesis import strategies as st
from world import build, engine_of

from slicedb.errors import SliceDBError, UnknownSliceError
from slicedb.query import Engine
from slicedb.query.language.parse import parse
from slicedb.query.language.text import read
from slicedb.query.run.search import mark
from slicedb.schema import EMBEDDINGS, PREDICTIONS, SAMPLES, keys_of
from slicedb.store import Store

ASKED = [
    "label = 'red'",
    "in_slice('mine')",
    "m1.loss > 0.5 AND NOT in_slice('mine')",
    "similarity('red') > 0.5",
    "nearest('green', 2)",
    "search('red') IS NOT NULL",
    "search('sunny') > 0",
    "ORDER BY similarity('blue') DESC LIMIT 3",
    "label = 'red' AND in_slice('mine') ORDER BY similarity('blue') DESC LIMIT 3",
    "m1.loss > 0.5 AND lux > 4 ORDER BY similarity('red') DESC LIMIT 2",
    "SELECT label, count(*), round(avg(m1.loss), 3) FROM samples GROUP BY ALL ORDER BY ALL",
    "count_objects() = 0",
    "new_column IS NOT NULL",
]


def change(store: Store, slices: dict[str, Any], rng: random.Random) -> None:
    """Change one thing that a query may see."""
    name = rng.choice(["a1", "a2", "b1", "b3", "c1", "c2"])
    one: dict[str, Any] = {"id": [name]}
    kind = rng.randrange(8)
    if kind == 0:
        store.upsert(
            SAMPLES, pa.table(one | {"label": [rng.choice(["red", "blue"])]}), insert=False
        )
    elif kind == 1:
        store.upsert(
            SAMPLES, pa.table(one | {"caption": [rng.choice(["red", "sunny"])]}), insert=False
        )
    elif kind == 2:
        loss = pa.array([rng.random() * 2], pa.float32())
        store.upsert(PREDICTIONS + "m1", pa.table(one | {"loss": loss}), insert=False)
    elif kind == 3:
        vector = pa.array([np.eye(4)[rng.randrange(4)].tolist()], pa.list_(pa.float32(), 4))
        store.upsert(EMBEDDINGS + "default", pa.table(one | {"vector": vector}), insert=False)
    elif kind == 4:
        slices["mine"] = rng.choice(["label = 'red'", "lux > 4", keys_of([name])])
    elif kind == 5:
        mark(store, rng.choice([[], ["weather"]]))
    elif kind == 6:
        store.delete(SAMPLES, [name])
    else:
        store.add_columns(SAMPLES, [pa.field("new_column", pa.string())])


def answer(engine: Engine, text: str) -> Any:
    """Return what a query gives, an error by its words."""
    try:
        query = engine.query(text)
        return query.ids() if query.is_rows else query.to_arrow().to_pylist()
    except SliceDBError as error:
        return str(error)


@pytest.mark.slow
def test_a_kept_plan_never_answers_for_what_is_gone(tmp_path: Path) -> None:
    store = build(tmp_path / "world")
    slices: dict[str, Any] = {"mine": "label = 'red'"}

    def named(name: str) -> Any:
        if name not in slices:
            raise UnknownSliceError(f"No slice '{name}'.")
        return slices[name]

    rng = random.Random(3)
    warm = engine_of(store, named=named)
    for _ in range(14):
        change(store, slices, rng)
        fresh = engine_of(store, named=named)
        for text in rng.sample(ASKED, 6):
            assert answer(warm, text) == answer(fresh, text), text


_RESERVED = [
    "select",
    "from",
    "where",
    "and",
    "or",
    "not",
    "order",
    "by",
    "limit",
    "group",
    "having",
    "is",
    "null",
    "in",
    "between",
]


def placeless(node: Any) -> Any:
    if isinstance(node, list):
        return [placeless(item) for item in node]
    if isinstance(node, dict):
        left_out = ("query_location", "query_location_length")
        return {name: placeless(item) for name, item in node.items() if name not in left_out}
    return node


def written(text: str, rng: random.Random) -> str:
    """Return a text with other spaces, comments and cases of keywords."""
    source = read(text)
    pieces = []
    for token in source.tokens:
        shown = token.text.decode()
        if shown.lower() in _RESERVED:
            shown = rng.choice([shown.upper(), shown.lower()])
        pieces += [shown, rng.choice([" ", "\n", " /* ; */ ", " -- 'x\n", "\t"])]
    return "".join(pieces)


VALID = [text for text in known_texts() if text.strip()]


@settings(max_examples=60, deadline=None)
@given(text=st.sampled_from(VALID), seed=st.integers(0, 1000))
def test_a_text_written_anew_parses_to_the_same_tree(engine: Engine, text: str, seed: int) -> None:
    try:
        first = parse(text, engine.session.cursor())
    except SliceDBError:
        return
    again = parse(written(text, random.Random(seed)), engine.session.cursor())
    assert placeless(again.tree) == placeless(first.tree)
    assert not again.source.is_predicate  # a predicate is written as its whole SELECT
