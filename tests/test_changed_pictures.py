"""A picture that changed loses its vectors and predictions until they are renewed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_models import COLOURS, MeanColour, png

import slicedb
from slicedb.predictions.superseded import SUPERSEDED


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    for name, colour in COLOURS.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "1.png").write_bytes(png(colour))
    made = slicedb.open(tmp_path / "data.slicedb")
    made.ingest(tmp_path / "in")
    ids = [f"{name}/1.png" for name in COLOURS]
    made.models.add("mean", MeanColour())
    made.predict("mean")
    made.log_predictions(
        "said", pa.table({"id": ids, "prediction": list(COLOURS), "note": ["a", "b", "c"]})
    )
    made.log_embeddings("own", {"id": ids, "vector": np.eye(3, dtype=np.float32)})
    return made


def change(db: slicedb.Database, tmp_path: Path) -> str:
    """Make the red picture a blue one."""
    (tmp_path / "in" / "red" / "1.png").write_bytes(png(COLOURS["blue"], (20, 16)))
    return str(db.ingest(tmp_path / "in"))


def predictions(db: slicedb.Database, model: str) -> list[object]:
    return db.sql(f"SELECT {model}.prediction AS p FROM samples ORDER BY id")["p"].to_pylist()


def test_ingest_says_what_is_stale_and_leaves_it_out(db: slicedb.Database, tmp_path: Path) -> None:
    assert db.info()["stale"] == {}
    text = change(db, tmp_path)
    assert "1 changed" in text
    assert "1 prediction of 'mean' speaks of earlier pictures" in text
    assert "1 logged prediction of 'said' speaks of earlier pictures" in text
    assert "1 vector of 'own', of earlier pictures" in text
    assert predictions(db, "mean") == ["blue", "green", None]
    assert predictions(db, "said") == ["blue", "green", None]
    nearest = "ORDER BY similarity(sample('blue/1.png'), using => 'own') DESC"
    assert "red/1.png" not in db.query(nearest + " LIMIT 2").ids()
    assert db.sql("SELECT count(*) n FROM samples WHERE said.correct").to_pydict() == {"n": [2]}
    rows = db.sql("SELECT said.error AS e, said.note AS n FROM samples WHERE id = 'red/1.png'")
    assert rows.to_pylist() == [{"e": SUPERSEDED, "n": "a"}]
    row = db.evaluate("said", slices=[""]).to_arrow().to_pylist()[0]
    assert (row["n"], row["left_out"]) == (2, 1)


def test_info_and_doctor_count_it_until_it_is_renewed(db: slicedb.Database, tmp_path: Path) -> None:
    change(db, tmp_path)
    assert db.info()["stale"] == {"predictions__mean": 1, "predictions__said": 1}
    found = {f.table: str(f) for f in db.doctor() if f.problem == "stale pictures"}
    assert "`slicedb predict mean` renews them" in found["predictions__mean"]
    assert "`slicedb log-predictions said` renews them" in found["predictions__said"]
    assert db.predict("mean").predicted == 1
    assert predictions(db, "mean") == ["blue", "green", "blue"]
    again = pa.table({"id": ["red/1.png"], "prediction": ["blue"], "note": ["d"]})
    db.log_predictions("said", again)
    assert predictions(db, "said") == ["blue", "green", "blue"]
    assert db.info()["stale"] == {}
    assert [f for f in db.doctor() if f.problem == "stale pictures"] == []


def test_what_became_stale_otherwise_is_left_out_by_mending(
    db: slicedb.Database, tmp_path: Path
) -> None:
    rows = pa.table({"id": ["green/1.png"], "sha256": ["ab" * 32]})
    db.store.upsert("samples", rows, insert=False)
    assert db.info()["stale"] == {
        "embeddings__own": 1,
        "predictions__mean": 1,
        "predictions__said": 1,
    }
    db.doctor(mend=True)
    assert predictions(db, "said") == ["blue", None, "red"]
    assert db.info()["embeddings"] == ["own"]
    assert db.store.count("embeddings__own") == 2


def test_other_changes_leave_predictions_alone(db: slicedb.Database, tmp_path: Path) -> None:
    db.relabel("", "red")
    db.tag("", "seen")
    (tmp_path / "in" / "red" / "2.png").write_bytes(png((9, 9, 9)))
    assert "earlier pictures" not in str(db.ingest(tmp_path / "in"))
    assert db.info()["stale"] == {}
