"""Slices that a compared model chooses report but do not gate, however their text says it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from fakes_judge import CLASSES, add_predictions, add_samples

import slicedb
from slicedb.cam import cams_schema
from slicedb.database import Database
from slicedb.schema import CAMS, keys_of

N = 60
IDS = [f"i{i}" for i in range(N)]
CHECK = "accuracy no worse than baseline"

CANDIDATE = {
    "dotted": "cand.confidence < 0.9",
    "upper": "CAND.confidence < 0.9",
    "quoted": '"Cand"."confidence" < 0.9',
    "probability": "cand.probabilities['cat'] > 0.3",
    "joined": "SELECT s.id FROM samples s JOIN cand c ON c.key = s.key WHERE c.confidence < 0.9",
    "using": "SELECT id FROM samples JOIN CAND USING (id) WHERE confidence < 0.9",
    "member": "id IN (SELECT id FROM cand WHERE confidence < 0.9)",
    "exists": "EXISTS (SELECT 1 FROM cand AS x WHERE x.id = samples.id AND x.confidence < 0.9)",
    "with": "WITH w AS (FROM cand WHERE confidence < 0.9) "
    "SELECT id FROM samples WHERE id IN (SELECT id FROM w)",
    "other_from": "FROM cand SELECT id WHERE confidence < 0.9",
    "ranked": "SELECT id FROM samples ORDER BY cand.confidence LIMIT 40",
    "window": "SELECT id FROM samples QUALIFY row_number() OVER (ORDER BY cand.confidence) < 40",
    "average": "length(id) / 3 > (SELECT avg(confidence) FROM cand) - 0.5",
    "union_": "SELECT id FROM samples WHERE label = 'cat' "
    "UNION SELECT id FROM samples WHERE cand.confidence < 0.5",
    "lateral_": "SELECT s.id FROM samples s, "
    "LATERAL (SELECT c.confidence AS z FROM cand c WHERE c.id = s.id) t WHERE t.z < 0.9",
    "map_of_one": "cam_border(cand) > 0.1",
    "map": "cam_border() > 0.1",
    "nested": "in_slice('dotted')",
    "nested_twice": "NOT in_slice('nested') OR label = 'cat'",
    "of_frozen": "in_slice('frozen')",
    "of_frozen_map": "IN_SLICE ( 'frozen_map' )",
    "of_version": "in_slice('dotted@1')",
}

NEITHER = {
    "metadata": "label IS NOT NULL",
    "third": "third.confidence < 0.9",
    "comment": "/* cand */ label IS NOT NULL",
    "words": "id <> 'cand.confidence'",
    "shadow": "WITH cand AS (SELECT id, length(id) AS confidence FROM samples) "
    "SELECT id FROM cand WHERE confidence > 1",
    "of_early": "in_slice('early')",
}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Three models; `early` was frozen before `cand` had predictions, the other slices after."""
    database = slicedb.open(str(tmp_path_factory.mktemp("chosen") / "c.slicedb"))
    rng = np.random.default_rng(0)
    add_samples(database.store, IDS, [CLASSES[i % 3] for i in range(N)])
    for name in ("old", "third", "cand"):
        if name == "cand":
            database.slices.add("early", "old.confidence < 0.95", expect=[CHECK])
            database.slices.freeze("early")
        p = rng.dirichlet([1, 1, 1], N)
        add_predictions(database.store, name, IDS, [CLASSES[k] for k in p.argmax(axis=1)], p)
    schema = cams_schema(35).with_metadata({"slicedb:grid": json.dumps((5, 7))})
    columns = {
        "id": pa.array(IDS),
        "key": pa.array(keys_of(IDS)),
        "map": pa.array(list(rng.random((N, 35)).astype(np.float32))),
        "shown": pa.array([[0.0, 0.0, 10.0, 10.0]] * N),
    }
    fields = [
        columns[f.name].cast(f.type) if f.name in columns else pa.nulls(N, f.type) for f in schema
    ]
    database.store.create(CAMS + "cand", schema)
    database.store.append(CAMS + "cand", pa.Table.from_arrays(fields, schema=schema))
    for name, text in {
        "frozen": "cand.confidence < 0.9",
        "frozen_map": "cam_border(cand) > 0.1",
    }.items():
        database.slices.add(name, text, expect=[CHECK])
        database.slices.freeze(name)
    return database


def chosen_by(db: Database, texts: dict[str, str]) -> dict[str, str]:
    """Return the model that a verdict says a slice is chosen by, by name."""
    for name, text in texts.items():
        db.slices.add(name, text, expect=[CHECK], replace=True)
    results = db.test(list(texts), model="cand", baseline="old").results
    return {
        r.slice: r.message.partition("; the outputs of ")[2].partition(" choose the slice")[0]
        for r in results
    }


def test_every_way_to_read_the_candidate_is_seen(db: Database) -> None:
    assert chosen_by(db, CANDIDATE) == dict.fromkeys(CANDIDATE, "cand")


def test_metadata_third_models_and_older_frozen_slices_gate(db: Database) -> None:
    assert chosen_by(db, NEITHER) == dict.fromkeys(NEITHER, "")


def test_queries_with_parameters_and_their_algebra_are_seen(db: Database) -> None:
    asked = db.query("cand.confidence < $most", {"most": 0.9})
    made = {"parameters": asked, "both": asked & db.query("label = 'cat'"), "not_it": ~asked}
    for name, query in made.items():
        db.slices.add(name, query, expect=[CHECK])
    results = db.test(list(made), model="cand", baseline="old").results
    assert ["the outputs of cand choose" in r.message for r in results] == [True, True, True]


def test_a_slice_frozen_from_the_baseline_gates_only_if_it_is_older(db: Database) -> None:
    db.slices.add("late", "old.confidence < 0.95", expect=[CHECK])
    db.slices.freeze("late")
    results = db.test(["early", "late", "frozen"], model="cand", baseline="old").results
    assert ["the outputs of " in r.message for r in results] == [False, True, True]
    assert "the outputs of old choose the slice" in results[1].message
    assert all(np.isnan(r.p_adjusted) for r in results[1:])
