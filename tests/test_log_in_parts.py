"""Predictions made elsewhere are checked and stored a part after the other, all or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import slicedb
from slicedb.errors import PredictionError
from slicedb.predictions import checks, collected
from slicedb.schema import SAMPLES, keys_of

IDS = [f"s{i:03d}" for i in range(100)]
CLASSES = ["a", "b", "c"]
LOGITS = np.random.default_rng(0).normal(size=(100, 3))
P = (np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)).astype(np.float32)
NAMED = [CLASSES[i] for i in P.argmax(1)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some rows be several parts."""
    monkeypatch.setattr(collected, "_ROWS", 30)
    monkeypatch.setattr(checks, "_FEW", 10)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """Return samples whose label is always a."""
    made = slicedb.open(tmp_path / "data.slicedb")
    columns = {"id": IDS, "key": keys_of(IDS), "label": ["a"] * 100, "status": ["ok"] * 100}
    made.store.append(SAMPLES, pa.table(columns))
    return made


def fixed(matrix: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), 3)


@pytest.mark.parametrize(
    "given",
    [
        pa.table({"id": IDS, "probabilities": fixed(P)}),
        pa.table({"id": IDS, "probabilities": fixed(P.astype(np.float64))}),
        pa.table({"id": IDS, "probabilities": fixed(P.astype(np.float16))}),
        pa.table({"id": IDS, "probabilities": P.tolist()}),
        pa.table({"id": IDS, "probabilities": pa.array(P.tolist(), pa.large_list(pa.float32()))}),
        pa.table({"id": pa.array(IDS, pa.large_string()), "logits": fixed(LOGITS)}),
        pa.table({"id": pa.array(IDS).dictionary_encode(), "probabilities": fixed(P)}).slice(0),
        pa.table({"id": IDS, **{name: P[:, i] for i, name in enumerate(CLASSES)}}),
        {"id": IDS, "probabilities": P},
        {"id": np.array(IDS), "probabilities": P.astype(np.float64)},
        pd.DataFrame({"id": IDS, "probabilities": list(P)}),
        pd.DataFrame({"id": pd.Categorical(IDS), "probabilities": P.tolist()}),
    ],
    ids=lambda given: type(given).__name__,
)
def test_probabilities_of_every_kind_are_the_same(db: slicedb.Database, given: object) -> None:
    assert db.log_predictions("m", given, classes=CLASSES).logged == 100
    rows = db.store.table("predictions__m")
    assert rows["id"].to_pylist() == IDS
    assert rows["prediction"].to_pylist() == NAMED
    stored = np.array(rows["probabilities"].to_pylist())
    assert np.abs(stored - P).max() < 1e-3
    assert np.allclose(rows["loss"].to_numpy(), -np.log(P[:, 0]), atol=5e-3)
    assert rows["correct"].to_pylist() == [name == "a" for name in NAMED]


@pytest.mark.parametrize("kind", ["parquet", "csv", "table"])
def test_ids_in_any_order_and_columns_of_ones_own(
    db: slicedb.Database, tmp_path: Path, kind: str
) -> None:
    order = np.random.default_rng(1).permutation(100)
    frame = pd.DataFrame(
        {
            "name": [IDS[i][1:] for i in order],
            "prediction": [NAMED[i] for i in order],
            "confidence": P.max(1)[order],
            "epoch": [None if i % 2 else int(i) for i in order],
        }
    )
    source: object = pa.Table.from_pandas(frame, preserve_index=False)
    if kind == "parquet":
        frame.to_parquet(tmp_path / "m.parquet", row_group_size=45)
        source = tmp_path / "m.parquet"
    elif kind == "csv":
        frame.to_csv(tmp_path / "m.csv", index=False)
        source = tmp_path / "m.csv"
    db.log_predictions("m", source, classes=CLASSES, id_column="name", prefix="s")
    assert db.query("m.epoch = 98").ids() == ["s098"]
    assert db.query("m.epoch IS NULL").count() == 50
    assert db.query("m.correct").count() == NAMED.count("a")


def test_errors_count_rows_from_the_beginning_and_leave_nothing(
    db: slicedb.Database, tmp_path: Path
) -> None:
    bad = P.copy()
    bad[77, 1] += 0.5
    pq.write_table(pa.table({"id": IDS, "probabilities": fixed(bad)}), tmp_path / "m.parquet")
    for source in (tmp_path / "m.parquet", pq.read_table(tmp_path / "m.parquet")):
        with pytest.raises(PredictionError, match=r"'s077' \(row 78 of .*not to 1"):
            db.log_predictions("m", source, classes=CLASSES)
        assert "predictions__m" not in db.store.names()
    db.log_predictions("m", {"id": IDS, "probabilities": P}, classes=CLASSES)
    version = db.store.version("predictions__m")
    for replace in (False, True):
        with pytest.raises(PredictionError, match="row 78"):
            db.log_predictions("m", tmp_path / "m.parquet", classes=CLASSES, replace=replace)
        assert db.store.version("predictions__m") == version
    bad[77, 1] = np.nan
    with pytest.raises(PredictionError, match=r"sample 's077' \(row 78\) is nan"):
        db.log_predictions("n", {"id": IDS, "probabilities": bad}, classes=CLASSES)


def test_again_changes_and_adds_rows(db: slicedb.Database) -> None:
    db.log_predictions("m", {"id": IDS[:60], "probabilities": P[:60]}, classes=CLASSES)
    report = db.log_predictions("m", {"id": IDS[40:], "probabilities": P[40:][:, ::-1].copy()})
    assert report.logged == 60
    rows = db.store.table("predictions__m", ["id", "prediction"])
    said = dict(zip(rows["id"].to_pylist(), rows["prediction"].to_pylist()))
    other = [CLASSES[2 - i] for i in P.argmax(1)]
    assert said == dict(zip(IDS, [*NAMED[:40], *other[40:]]))


def test_a_given_loss_is_kept_where_some_rows_have_no_label(db: slicedb.Database) -> None:
    db.relabel("id < 's030'", None)
    table = {"id": IDS, "prediction": NAMED, "loss": np.arange(100.0)}
    report = db.log_predictions("m", table, classes=CLASSES)
    assert report.as_given == ("loss",)
    assert db.query("ORDER BY m.loss DESC LIMIT 2").ids() == ["s099", "s098"]
    with pytest.raises(PredictionError, match="Column 'loss' of the table has 0 for sample 's000'"):
        own = {"id": IDS, "probabilities": P, "loss": -np.log(P[:, 0]) * 0}
        db.log_predictions("n", own, classes=CLASSES)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([*IDS[:99], "x"], "1 of 100 ids in the table is no sample here: 'x'"),
        ([*IDS[:99], None], "An id in the table is None, a NoneType"),
        ([*IDS[:99], IDS[0]], "Sample 's000' comes twice in the table: rows 1 and 100"),
        (list(range(100)), "An id in the table is 0, a int"),
    ],
)
def test_bad_ids_are_named(db: slicedb.Database, ids: list[object], says: str) -> None:
    with pytest.raises(PredictionError, match=says):
        db.log_predictions("m", {"id": ids, "probabilities": P}, classes=CLASSES)
    assert "predictions__m" not in db.store.names()
