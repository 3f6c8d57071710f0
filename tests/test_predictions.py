"""Predictions: only what is missing, resumed, refreshed, logged from elsewhere."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_models import COLOURS, SURE, MeanColour, coloured_store, colours, fill, png, rows

from slicedb import predictions
from slicedb.errors import ClassesError, ModelError, PredictionError
from slicedb.predictions import PredictionLog, log, predict, refresh
from slicedb.schema import PREDICTIONS, SAMPLES, keys_of
from slicedb.store import Store
from slicedb.tasks import About

TABLE = PREDICTIONS + "mean"
WRONG = 9.99991
"""-ln softmax([10, 0, 0])[1]: the loss of MeanColour where it is wrong, less 0.0001."""


@pytest.fixture(autouse=True)
def fresh_counter() -> None:
    MeanColour.batches = []


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return coloured_store(tmp_path)


# --- predict -----------------------------------------------------------------------------------


def test_rows_hold_prediction_and_truth(store: Store) -> None:
    report = predict(store, "mean", MeanColour())
    row = rows(store, TABLE)["4_green"]
    assert (report.predicted, report.unchanged, report.failed) == (9, 0, 0)
    assert (row["prediction"], row["correct"], row["label"]) == ("green", True, "green")
    assert row["confidence"] == pytest.approx(SURE)
    assert row["loss"] == pytest.approx(-np.log(SURE), rel=1e-3)
    assert row["key"] == keys_of(["4_green"])[0]
    assert About.read(store, "mean").classes == ("red", "green", "blue")
    assert "9 predicted, 0 unchanged" in str(report)


def test_second_run_computes_nothing(store: Store) -> None:
    predict(store, "mean", MeanColour())
    MeanColour.batches, before = [], store.version(TABLE)
    report = predict(store, "mean", MeanColour())
    assert (report.predicted, report.unchanged) == (0, 9)
    assert MeanColour.batches == [1, 2]  # the black image that checks the class list, and noise
    assert store.version(TABLE) == before


def test_new_samples_alone_go_through_the_model(store: Store) -> None:
    predict(store, "mean", MeanColour())
    fill(store, colours(2, "new"))
    MeanColour.batches = []
    assert predict(store, "mean", MeanColour()).predicted == 2
    assert sum(MeanColour.batches) == 1 + 2 + 2  # a black image, two of noise, the new ones


def test_overlapping_slices_cost_one_pass_over_their_union(store: Store) -> None:
    ids = list(colours(9))
    slices = [keys_of(ids[start : start + 5]) for start in range(4)] * 5
    report = predict(store, "mean", MeanColour(), np.concatenate(slices))
    assert report.predicted == 8
    assert sum(MeanColour.batches) == 1 + 2 + 8


def test_a_changed_image_is_predicted_again(store: Store) -> None:
    predict(store, "mean", MeanColour())
    fill(store, {"0_red": png(COLOURS["blue"])}, {"0_red": "red"})
    report = predict(store, "mean", MeanColour())
    row = rows(store, TABLE)["0_red"]
    assert (report.predicted, report.unchanged) == (1, 8)
    assert (row["prediction"], row["correct"]) == ("blue", False)
    assert store.count(TABLE) == 9


def test_changed_weights_make_every_row_stale(store: Store) -> None:
    predict(store, "mean", MeanColour())
    some = keys_of(["0_red", "1_green"])
    report = predict(store, "mean", MeanColour(scale=5.0), some)
    assert report.predicted == 2
    assert sorted(rows(store, TABLE)) == ["0_red", "1_green"]  # never two models in one table
    assert rows(store, TABLE)["0_red"]["confidence"] == pytest.approx(0.98670, abs=1e-4)


def test_other_classes_replace_the_table_and_its_pins_stay(store: Store) -> None:
    class Two(MeanColour):
        classes = ("red", "other")

        def predict_batch(self, images: Any) -> Any:
            return images.mean((2, 3))[:, :2]

    predict(store, "mean", MeanColour())
    before = store.version(TABLE)
    store.pin(TABLE, before, "commit-1")
    assert predict(store, "mean", Two()).predicted == 9
    assert store.pins(TABLE) == {"commit-1": before}
    old = store.table(TABLE, ["probabilities"], version=before)["probabilities"]
    assert len(old[0].as_py()) == 3
    assert len(rows(store, TABLE)["0_red"]["probabilities"]) == 2


def test_a_bad_image_costs_one_row_and_is_tried_again(store: Store) -> None:
    fill(store, {"bad": b"junk", "gone": png((0, 0, 0))}, status={"gone": "truncated"})
    report = predict(store, "mean", MeanColour())
    assert (report.predicted, report.failed, report.quarantined) == (9, 1, 1)
    assert report.examples == ("bad: not_an_image: No known image format.",)
    row = rows(store, TABLE)["bad"]
    assert row["prediction"] is None and row["loss"] is None and row["correct"] is None
    fill(store, {"bad": png(COLOURS["red"])})
    assert predict(store, "mean", MeanColour()).predicted == 1
    assert rows(store, TABLE)["bad"]["error"] is None
    assert store.count(TABLE) == 10


def test_an_interrupted_run_goes_on_where_it_stopped(store: Store) -> None:
    class Interrupted(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            if len(MeanColour.batches) == 4:  # the check, the noise, and two batches
                MeanColour.batches.append(0)
                raise KeyboardInterrupt
            MeanColour.batches.append(len(images))
            return self.scale * images.mean((2, 3))

    with pytest.raises(KeyboardInterrupt):
        predict(store, "mean", Interrupted(), batch_size=2)
    assert store.count(TABLE) == 4
    MeanColour.batches = []
    assert predict(store, "mean", Interrupted(), batch_size=100).predicted == 5
    assert sorted(rows(store, TABLE)) == sorted(colours(9))


def test_rows_of_another_writer_are_not_doubled(store: Store) -> None:
    class Raced(MeanColour):
        def predict_batch(self, images: Any) -> Any:
            if len(images) == 9:
                predict(Store.open(store.path), "mean", model_of(type(self)))
            return super().predict_batch(images)

    def model_of(kind: type[MeanColour]) -> MeanColour:
        quiet = kind()
        quiet.predict_batch = lambda images: 10 * images.mean((2, 3))  # type: ignore[method-assign]
        quiet.fingerprint = kind().fingerprint  # type: ignore[method-assign]
        return quiet

    predict(store, "mean", Raced())
    assert store.count(TABLE) == 9


def test_labels_missing_or_unknown(store: Store) -> None:
    fill(store, {"none": png(COLOURS["red"]), "odd": png(COLOURS["red"])}, {"odd": "purple"})
    report = predict(store, "mean", MeanColour())
    found = rows(store, TABLE, ["correct", "loss"])
    assert found["none"] == {"id": "none", "correct": None, "loss": None}
    assert found["odd"] == {"id": "odd", "correct": False, "loss": None}
    assert report.outside == 1
    assert "1 sample has a label that is none of the model's classes" in str(report)


def test_bad_names_and_bad_models_write_nothing(store: Store) -> None:
    class Wide(MeanColour):
        classes = ("red", "green")

    with pytest.raises(ClassesError):
        predict(store, "wide", Wide())
    with pytest.raises(ModelError, match="is a word of SQL"):
        predict(store, "select", MeanColour())
    assert [n for n in store.names() if n.startswith(PREDICTIONS)] == []


def test_an_empty_database_predicts_nothing(tmp_path: Path) -> None:
    report = predict(Store.open(tmp_path / "empty.slicedb"), "mean", MeanColour())
    assert (report.predicted, report.unchanged) == (0, 0)


# --- refresh -----------------------------------------------------------------------------------


def relabel(store: Store, **labels: str | None) -> None:
    table = {"id": list(labels), "label": pa.array(list(labels.values()), pa.string())}
    store.upsert(SAMPLES, pa.table(table), insert=False)


def test_refresh_derives_truth_without_the_model(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "r.slicedb")
    names = ["a", "b", "c", "d"]
    fill(store, {n: png(COLOURS["red"]) for n in names}, dict.fromkeys(names, "red"))
    predict(store, "mean", MeanColour())
    relabel(store, a="green", b=None, c="purple")
    MeanColour.batches = []
    assert refresh(store) == 3
    assert MeanColour.batches == []
    found = rows(store, TABLE, ["correct", "loss", "label", "prediction"])
    assert found["a"]["correct"] is False
    assert found["a"]["loss"] == pytest.approx(WRONG + 1e-4, abs=1e-3)
    assert (found["b"]["correct"], found["b"]["loss"], found["b"]["label"]) == (None, None, None)
    assert (found["c"]["correct"], found["c"]["loss"]) == (False, None)
    assert found["d"]["correct"] is True
    assert all(row["prediction"] == "red" for row in found.values())
    assert refresh(store) == 0


def test_predict_refreshes_what_it_keeps(store: Store) -> None:
    predict(store, "mean", MeanColour())
    store.upsert(SAMPLES, pa.table({"id": ["0_red"], "label": ["blue"]}), insert=False)
    predict(store, "mean", MeanColour())
    assert rows(store, TABLE)["0_red"]["correct"] is False


def test_refresh_of_no_predictions(store: Store) -> None:
    assert refresh(store) == 0
    assert refresh(store, "nobody") == 0


# --- log ---------------------------------------------------------------------------------------

IDS = ["0_red", "1_green", "2_blue"]
CLASSES = ["red", "green", "blue"]
P = [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.0, 0.0, 1.0]]


def test_log_from_training_code(store: Store) -> None:
    with PredictionLog(store, "run7-epoch3", classes=CLASSES) as sink:
        sink.add(IDS[:2], logits=torch.log(torch.tensor(P[:2])).requires_grad_())
        sink.add(IDS[2:], logits=[[0.0, 0.0, 5.0]], epoch=[3])
    found = rows(store, PREDICTIONS + "run7-epoch3")
    assert found["0_red"]["loss"] == pytest.approx(-np.log(0.7), rel=1e-5)
    assert found["1_green"]["prediction"] == "red" and found["1_green"]["correct"] is False
    assert found["2_blue"]["margin"] == pytest.approx(0.98670 - 0.00665, abs=1e-4)
    assert found["2_blue"]["epoch"] == 3 and found["0_red"]["epoch"] is None


def test_log_of_a_table_with_probabilities(store: Store) -> None:
    report = log(store, "other", pa.table({"id": IDS, "probabilities": P}), classes=CLASSES)
    assert report.logged == 3
    assert rows(store, PREDICTIONS + "other")["0_red"]["entropy"] == pytest.approx(0.8018, abs=1e-4)


@pytest.mark.parametrize("form", ["csv", "parquet", "columns", "pandas", "json"])
def test_log_reads_files(store: Store, tmp_path: Path, form: str) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    plain = pa.table({"id": IDS, "prediction": ["red", "red", "blue"], "confidence": [0.7, 0.5, 1]})
    data: Any = tmp_path / "p.csv"
    classes = None
    if form == "csv":
        pyarrow.csv.write_csv(plain, data)
    elif form == "parquet":
        data = tmp_path / "p.parquet"
        pyarrow.parquet.write_table(plain, data)
    elif form == "pandas":
        data = plain.to_pandas()
    elif form == "columns":
        classes = CLASSES
        spread = {name: [row[i] for row in P] for i, name in enumerate(CLASSES)}
        pyarrow.csv.write_csv(pa.table({"id": IDS, **spread}), data)
    else:
        classes = CLASSES
        pyarrow.csv.write_csv(pa.table({"id": IDS, "probabilities": [str(r) for r in P]}), data)
    log(store, "other", data, classes=classes)
    found = rows(store, PREDICTIONS + "other")
    assert [found[i]["prediction"] for i in IDS] == ["red", "red", "blue"]
    assert [found[i]["correct"] for i in IDS] == [True, False, True]
    assert [found[i]["confidence"] for i in IDS] == pytest.approx([0.7, 0.5, 1.0])
    assert (found["0_red"]["loss"] is None) == (classes is None)


def test_ids_come_from_any_column_and_behind_a_prefix(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "d.slicedb")
    picture = png(COLOURS["red"])
    fill(
        store, {"photos/7": picture, "photos/8": picture}, {"photos/7": "red", "photos/8": "green"}
    )
    (tmp_path / "p.csv").write_text("file,number,prediction\n7,x,red\n8,y,green\n")
    report = log(store, "theirs", tmp_path / "p.csv", id_column="file", prefix="photos/")
    assert report.logged == 2
    assert set(rows(store, PREDICTIONS + "theirs")) == {"photos/7", "photos/8"}
    assert store.table("predictions__theirs", ["number"])["number"].to_pylist() == ["x", "y"]
    (tmp_path / "two.csv").write_text("file,id,prediction\n7,x,red\n8,y,green\n")
    with pytest.raises(PredictionError, match="has a column 'id' beside 'file'"):
        log(store, "theirs", tmp_path / "two.csv", id_column="file", prefix="photos/")
    with pytest.raises(PredictionError, match=r"no column 'name'.*--id-column"):
        log(store, "theirs", tmp_path / "p.csv", id_column="name")
    with pytest.raises(PredictionError, match=r"prefix='photos/' \(--prefix\) makes samples"):
        log(store, "theirs", tmp_path / "p.csv", id_column="file")
    (tmp_path / "q.csv").write_text("id,prediction\n7,red\n9,green\n")
    with pytest.raises(PredictionError, match="are no samples here") as error:
        log(store, "theirs", tmp_path / "q.csv")
    assert "--prefix" not in str(error.value)


def test_numbers_of_classes_are_understood(store: Store) -> None:
    log(store, "other", pa.table({"id": IDS, "prediction": [0, 1, 2]}), classes=CLASSES)
    assert rows(store, PREDICTIONS + "other")["2_blue"]["prediction"] == "blue"


def test_logging_again_replaces_rows(store: Store) -> None:
    log(store, "other", pa.table({"id": IDS, "prediction": ["red"] * 3}))
    log(store, "other", pa.table({"id": IDS[1:], "prediction": ["green", "blue"]}))
    found = rows(store, PREDICTIONS + "other")
    assert [found[i]["prediction"] for i in IDS] == ["red", "green", "blue"]


def test_a_new_model_logged_by_two_at_once_is_not_doubled(store: Store) -> None:
    ids = store.table("samples", ["id"])["id"].to_pylist()
    table = pa.table({"id": ids, "prediction": ["red"] * len(ids)})
    for number in range(4):
        start = threading.Barrier(2)

        def write(name: str = f"m{number}", start: threading.Barrier = start) -> None:
            mine = Store.open(store.path, create=False)
            start.wait()
            log(mine, name, table)

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(write) for _ in range(2)]:
                done.result()
        assert store.count(f"predictions__m{number}") == len(ids)


def bad(**columns: Any) -> dict[str, Any]:
    return {"id": IDS, **columns}


@pytest.mark.parametrize(
    ("data", "classes", "message"),
    [
        (bad(id=["0_red", "x", "y"], prediction=CLASSES), None, "2 of 3 ids .* 'x', 'y'"),
        (bad(id=["0_red", "1_green", "0_red"], prediction=CLASSES), None, "rows 1 and 3"),
        (bad(id=[1, 2, 3], prediction=CLASSES), None, "An id in .* is 1, a int"),
        (bad(prediction=["red", "gren", "blue"]), None, "'gren' .*row 2.* did you mean 'green'"),
        (bad(prediction=[0, 1, 7]), CLASSES, "Prediction 7 of sample '2_blue' .row 3"),
        (
            bad(prediction=CLASSES, confidence=[0.5, float("nan"), 1]),
            None,
            "'1_green' .row 2. is n",
        ),
        (bad(prediction=CLASSES, confidence=[0.5, 1.5, 1]), None, "is 1.5"),
        (bad(probabilities=[[0.5, 0.5]] * 3), CLASSES, "2 probabilities a row .* for 3 classes"),
        (bad(probabilities=[[2.0, 3.0, -1.0]] * 3), CLASSES, "pass logits="),
        (bad(probabilities=[[0.1, 0.2, 0.3]] * 3), CLASSES, "sum to 0.600"),
        (bad(probabilities=[[0.5, 0.5, float("nan")]] * 3), CLASSES, "is nan"),
        (bad(logits=[[0.5, 0.5, float("inf")]] * 3), CLASSES, "not finite"),
        (bad(logits=[[1.0, 2.0], [1.0], [1.0, 2.0]]), CLASSES, "Row 2 of .* has 1 logits"),
        (bad(probabilities=P, prediction=["red", "green", "blue"]), CLASSES, "probabilities say"),
        (bad(red=[1.0] * 3, green=[0.0] * 3), CLASSES, "for 2 of 3 classes; 'blue' has none"),
        (bad(), CLASSES, "Nothing is predicted"),
        ({"name": IDS, "prediction": CLASSES}, None, "no column 'id'; it has name, prediction"),
        (bad(id=[], prediction=[]), None, "no rows"),
    ],
)
def test_what_does_not_fit_is_refused_whole(
    store: Store, data: dict[str, Any], classes: list[str] | None, message: str
) -> None:
    with pytest.raises(PredictionError, match=message):
        log(store, "other", pa.table(data), classes=classes)
    assert not store.has(PREDICTIONS + "other")


def test_a_given_loss_is_kept_where_none_can_be_computed(store: Store) -> None:
    data = pa.table({"id": IDS, "prediction": CLASSES, "loss": [0.5, 3.0, 1.5], "tp": [1, 2, 3]})
    report = log(store, "other", data)
    table = store.table(PREDICTIONS + "other", ["id", "loss", "tp", "correct"])
    assert table.to_pydict() == {
        "id": IDS,
        "loss": [0.5, 3.0, 1.5],
        "tp": [1, 2, 3],
        "correct": [True, True, True],
    }
    assert report.as_given == ("loss",)
    assert "As given, not computed here: loss." in str(report)


def test_a_given_loss_is_gone_when_the_label_that_it_speaks_of_changes(store: Store) -> None:
    log(store, "other", pa.table({"id": IDS, "prediction": CLASSES, "loss": [0.5, 3.0, 1.5]}))
    key = store.table(SAMPLES, ["id", "key"]).filter(pa.compute.field("id") == IDS[1])
    store.upsert(SAMPLES, key.append_column("label", pa.array(["red"])), insert=False)
    assert refresh(store, "other") == 1
    row = rows(store, PREDICTIONS + "other")
    assert [row[i]["loss"] for i in IDS] == [0.5, None, 1.5]
    assert [row[i]["correct"] for i in IDS] == [True, False, True]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"loss": [0.357, 1.204, 9.0]}, "has 9 for sample '2_blue', where .* 'loss' has 0[.]"),
        ({"label": ["red", "red", "blue"]}, "'label' .* 'red' for sample '1_green', .* 'green'"),
        ({"correct": [True] * 3}, "'correct' .* True for sample '1_green'.*to 'correct_given'"),
        ({"margin": ["?", "?", "?"]}, "'margin' of the table has '.' for sample '0_red'"),
        ({"confidence": [0.7, 0.2, 1.0]}, "'confidence' of the table has 0.2"),
        ({"error": [None, "late", None]}, "'error' of the table has 'late' for sample '1_green'"),
        ({"Correct": [True] * 3}, "'Correct' .* differs from 'correct' by its case only"),
        ({"Prediction": CLASSES}, "'Prediction' .* differs from 'prediction'"),
        ({"note": [1, 2, 3], "Note": [1, 2, 3]}, "'Note' .* differs from 'note'"),
    ],
)
def test_a_column_that_would_be_lost_is_refused_by_name(
    store: Store, columns: dict[str, Any], message: str
) -> None:
    data = pa.table({"id": IDS, "probabilities": P, **columns})
    with pytest.raises(PredictionError, match=message):
        log(store, "other", data, classes=CLASSES)
    with PredictionLog(store, "other", classes=CLASSES) as sink:
        sink.place = "the table"
        with pytest.raises(PredictionError, match=message):
            sink.add(IDS, probabilities=np.array(P), **columns)
    assert not store.has(PREDICTIONS + "other")


def test_columns_that_say_what_ours_say_are_accepted(store: Store) -> None:
    log(store, "one", pa.table({"id": IDS, "probabilities": P}), classes=CLASSES)
    table = store.table(PREDICTIONS + "one")
    log(store, "two", table, classes=CLASSES)
    assert store.table(PREDICTIONS + "two").equals(table)


def test_a_later_column_may_not_differ_by_its_case_either(store: Store) -> None:
    log(store, "other", pa.table({"id": IDS, "prediction": CLASSES, "note": [1, 2, 3]}))
    with pytest.raises(PredictionError, match=r"'Note' .* differs from 'note' by its case"):
        log(store, "other", pa.table({"id": IDS, "prediction": CLASSES, "Note": [1, 2, 3]}))


def test_nothing_is_written_when_the_block_fails(store: Store) -> None:
    with (
        pytest.raises(PredictionError, match="was logged before in this run"),
        PredictionLog(store, "other", classes=CLASSES) as sink,
    ):
        sink.add(IDS, probabilities=P)
        sink.add(IDS[:1], probabilities=P[:1])
    assert not store.has(PREDICTIONS + "other")


def test_computed_and_logged_are_not_mixed(store: Store) -> None:
    predict(store, "mean", MeanColour())
    with pytest.raises(PredictionError, match="computed by the registered model"):
        log(store, "mean", pa.table({"id": IDS, "prediction": CLASSES}))
    log(store, "other", pa.table({"id": IDS, "prediction": CLASSES}))
    with pytest.raises(PredictionError, match="were logged from elsewhere"):
        predict(store, "other", MeanColour())
    with pytest.raises(PredictionError, match="logged without probabilities before"):
        log(store, "other", pa.table({"id": IDS, "logits": P}), classes=sorted(CLASSES))
    log(store, "other", pa.table({"id": IDS, "logits": P}), classes=CLASSES, replace=True)
    with pytest.raises(PredictionError, match="with 3 other classes"):
        log(store, "other", pa.table({"id": IDS, "prediction": CLASSES}), classes=[*CLASSES, "x"])


def test_log_files_that_are_not_there_or_not_tables(store: Store, tmp_path: Path) -> None:
    with pytest.raises(PredictionError, match="No file"):
        log(store, "other", tmp_path / "none.csv")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(PredictionError, match="neither CSV nor Parquet"):
        log(store, "other", tmp_path / "a.txt")
    (tmp_path / "a.parquet").write_text("x")
    with pytest.raises(PredictionError, match="cannot be read"):
        log(store, "other", tmp_path / "a.parquet")


def test_relabelled_samples_refresh_logged_rows_too(store: Store) -> None:
    log(store, "other", pa.table({"id": IDS, "prediction": CLASSES}))
    store.upsert(SAMPLES, pa.table({"id": ["0_red"], "label": ["blue"]}), insert=False)
    assert predictions.refresh(store) == 1
    assert rows(store, PREDICTIONS + "other")["0_red"]["correct"] is False
