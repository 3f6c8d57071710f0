"""Detectors end to end: a torch module with exact answers, through the real hook."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from fakes_detector import NAMES, WORLD, detector, fill, picture, world
from fakes_models import rows

from slicedb import inference
from slicedb.errors import CheckError, ClassesError, ModelError, PredictionError
from slicedb.models import Detector, Models, TorchDetector, load
from slicedb.predictions import PredictionLog, log, predict, refresh
from slicedb.schema import OBJECT, SAMPLES, keys_of
from slicedb.store import Store

FACTORY = """
import torch

class Corner(torch.nn.Module):
    task = "detection"
    classes = ("red", "green", "blue")
    confidence = 0.25

    def forward(self, images):
        one = {"boxes": torch.tensor([[0.0, 0, 4, 4]]), "labels": torch.tensor([1]),
               "scores": torch.tensor([0.5])}
        return [one for _ in images]

def build():
    return Corner()
"""


def test_boxes_are_in_pixels_of_the_original_and_rows_hold_what_follows(tmp_path: Path) -> None:
    store = world(tmp_path)
    report = predict(store, "blobs", detector(sure=0.9))
    assert (report.predicted, report.failed) == (7, 0)
    said = rows(store, "predictions__blobs")
    first = said["both"]["objects"]
    assert [o["label"] for o in first] == ["red", "blue"]
    assert [o["bbox"] for o in first] == [[5, 5, 10, 10], [30, 20, 8, 8]]
    assert first[0]["score"] == pytest.approx(0.9)
    counts = {name: (r["tp"], r["fp"], r["fn"]) for name, r in said.items()}
    assert counts == {
        "both": (2, 0, 0),
        "missed": (1, 0, 1),
        "extra": (0, 1, 0),
        "half": (1, 0, 0),
        "wrong": (0, 1, 1),
        "unknown": (None, None, None),
        "empty": (0, 0, 0),
    }
    ious = {name: r["iou"] for name, r in said.items()}
    assert ious["both"] == 1 and ious["half"] == pytest.approx(10 / 16)
    assert ious["missed"] == 0.5 and ious["wrong"] == 0 and ious["extra"] == 0
    assert ious["unknown"] is None and ious["empty"] is None
    losses = {name: r["loss"] for name, r in said.items()}
    assert losses["both"] == pytest.approx(0.1, abs=1e-6)
    assert losses["missed"] == pytest.approx((0.1 + 1) / 2, abs=1e-6)
    assert losses["extra"] == pytest.approx(0.9, abs=1e-6)
    assert losses["half"] == pytest.approx(1 - 0.9 * 10 / 16, abs=1e-6)
    assert losses["wrong"] == pytest.approx(1.9, abs=1e-6)
    assert losses["unknown"] is None and losses["empty"] == 0


def test_images_of_different_sizes_share_a_batch(tmp_path: Path) -> None:
    store, model = world(tmp_path), detector()
    predict(store, "blobs", model, batch_size=4)
    widths = model.module.seen[2:]  # after the check's black image, and the noise
    assert [len(batch) for batch in widths] == [4, 3]
    assert sorted(w for batch in widths for w in batch) == sorted(
        s[0] for _, _, s in WORLD.values()
    )


def test_one_bad_image_costs_one_row_and_is_tried_again(tmp_path: Path) -> None:
    store = world(tmp_path)
    fill(store, {"bad": b"no picture"}, {"bad": []})
    report = predict(store, "blobs", detector())
    assert (report.predicted, report.failed) == (7, 1)
    bad = rows(store, "predictions__blobs")["bad"]
    assert bad["objects"] is None and bad["tp"] is None and bad["loss"] is None
    assert bad["error"]
    fill(store, {"bad": picture([("red", 0, 0, 8, 8)])}, {"bad": []})
    again = predict(store, "blobs", detector())
    assert (again.predicted, again.unchanged, again.failed) == (1, 7, 0)
    assert rows(store, "predictions__blobs")["bad"]["fp"] == 1


def test_only_what_is_missing_runs_and_an_interruption_keeps_what_was_done(tmp_path: Path) -> None:
    store = world(tmp_path)
    keys = keys_of(["both", "half"])
    assert predict(store, "blobs", detector(), keys).predicted == 2

    class Falls(type(detector().module)):  # type: ignore[misc]
        def forward(self, images: Any) -> Any:
            if len(self.seen) == 5:
                raise KeyboardInterrupt
            return super().forward(images)

    Falls.__name__ = Falls.__qualname__ = "Blobs"
    falling = detector()
    falling.check()  # tells what the network counts
    same = falling.fingerprint()
    falling.module.__class__ = Falls
    falling.fingerprint = lambda: same  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        predict(store, "blobs", falling, batch_size=1)
    done = len(rows(store, "predictions__blobs"))
    assert 3 <= done < 7
    assert predict(store, "blobs", detector()).predicted == 7 - done
    assert predict(store, "blobs", detector()).predicted == 0
    assert predict(store, "blobs", detector(sure=0.4)).predicted == 7  # other weights


def test_new_boxes_are_judged_without_the_model(tmp_path: Path) -> None:
    store = world(tmp_path)
    model = detector()
    predict(store, "blobs", model)
    assert refresh(store) == 0
    change = {
        "id": ["missed", "unknown"],
        "objects": pa.array(
            [
                [{"label": "red", "bbox": [2.0, 2, 6, 6]}],
                [{"label": "blue", "bbox": [1.0, 1, 5, 5]}],
            ],
            pa.list_(OBJECT),
        ),
    }
    store.upsert(SAMPLES, pa.table(change), insert=False)
    calls = len(model.module.seen)
    assert refresh(store) == 2
    assert len(model.module.seen) == calls
    said = rows(store, "predictions__blobs")
    assert (said["missed"]["tp"], said["missed"]["fn"]) == (1, 0)
    assert (said["unknown"]["tp"], said["unknown"]["fp"], said["unknown"]["fn"]) == (0, 1, 1)
    nothing = pa.table({"id": ["both"], "objects": pa.nulls(1, pa.list_(OBJECT))})
    store.upsert(SAMPLES, nothing, insert=False)
    assert refresh(store) == 1
    assert rows(store, "predictions__blobs")["both"]["tp"] is None


def test_another_confidence_counts_again_without_the_model(tmp_path: Path) -> None:
    store = world(tmp_path)
    predict(store, "blobs", detector(sure=0.4, confidence=0.3))
    assert rows(store, "predictions__blobs")["both"]["tp"] == 2
    stricter = detector(sure=0.4, confidence=0.5)
    assert predict(store, "blobs", stricter).predicted == 0
    assert rows(store, "predictions__blobs")["both"]["tp"] == 0
    assert rows(store, "predictions__blobs")["both"]["fn"] == 2


def test_a_reduced_image_gives_boxes_of_the_original() -> None:
    data = picture([("red", 40, 20, 40, 60)], (200, 100))
    model = detector(longest=100)
    batch = next(inference.predict(model, [("a", data)]))
    assert model.module.seen == [(100,)]
    (one,) = batch["objects"].to_pylist()[0]
    np.testing.assert_allclose(one["bbox"], [40, 20, 40, 60], atol=2)

    def doubled(image: Any) -> torch.Tensor:
        pixels = np.asarray(image.resize((400, 200), 0)) / np.float32(255)
        return torch.from_numpy(pixels).permute(2, 0, 1)

    batch = next(inference.predict(detector(transform=doubled), [("a", data)]))
    assert batch["objects"].to_pylist()[0][0]["bbox"] == [40, 20, 40, 60]


def test_only_the_surest_boxes_are_kept_in_the_order_of_their_scores() -> None:
    class Many(Detector):
        classes = ("thing",)
        most = 3
        min_score = 0.2

        def predict_batch(self, images: Any) -> Any:
            scores = torch.tensor([0.1, 0.9, 0.3, 0.5, 0.4])
            boxes = torch.arange(5.0)[:, None] + torch.tensor([0.0, 0, 2, 2])
            return [{"boxes": boxes, "labels": torch.ones(5), "scores": scores}] * len(images)

    found = next(inference.predict(Many(), [("a", picture([]))]))["objects"].to_pylist()[0]
    assert [round(o["score"], 2) for o in found] == [0.9, 0.5, 0.4]
    assert [o["bbox"][0] for o in found] == [1, 3, 4]


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"boxes": [[0, 0, 1, 1]], "labels": [4], "scores": [1.0]}, ClassesError, "label 4"),
        ({"boxes": [[0, 0, 1, 1]], "labels": [0], "scores": [1.0]}, ClassesError, "1 to 3"),
        ({"boxes": [[0, 0, 1, 1]], "labels": [1, 1], "scores": [1.0]}, ModelError, "2 labels"),
        ({"boxes": [[0, 0, 1]], "labels": [1], "scores": [1.0]}, ModelError, "boxes"),
        ({"boxes": [[0, 0, 1, 1]]}, ModelError, "a dict with boxes"),
        ([1, 2], ModelError, "list"),
    ],
)
def test_a_detector_that_breaks_the_contract_is_told_so(
    said: Any, error: type[Exception], message: str
) -> None:
    class Broken(Detector):
        classes = NAMES

        def predict_batch(self, images: Any) -> Any:
            return [said] * len(images)

    with pytest.raises(error, match=message):
        Broken().check()


def test_values_that_are_no_boxes_cost_their_image() -> None:
    class Odd(Detector):
        classes = NAMES

        def predict_batch(self, images: Any) -> Any:
            ends = {16: [0, 0, float("nan"), 4], 20: [8, 0, 4, 4]}
            return [
                {"boxes": [ends.get(im.shape[2], [0, 0, 4, 4])], "labels": [1], "scores": [0.5]}
                for im in images
            ]

    items = [(str(w), picture([], (w, 12))) for w in (16, 20, 24)]
    batch = next(inference.predict(Odd(), items))
    assert batch["error"].to_pylist() == [
        "the model's output is not a finite number",
        "a box of the model's output ends before it begins",
        None,
    ]
    assert [o is None for o in batch["objects"].to_pylist()] == [True, True, False]


def test_out_of_memory_halves_the_batch() -> None:
    class Tight(type(detector().module)):  # type: ignore[misc]
        def forward(self, images: Any) -> Any:
            if len(images) > 3:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(images)

    model = TorchDetector(Tight(), classes=NAMES)
    items = [(str(i), picture([("red", 1, 1, 9, 9)])) for i in range(7)]
    batches = list(inference.predict(model, items, batch_size=7))
    assert sum(len(b) for b in batches) == 7
    assert max(len(seen) for seen in model.module.seen) == 3
    assert all(len(o) == 1 for b in batches for o in b["objects"].to_pylist())


def test_a_factory_and_the_registry_know_detectors(tmp_path: Path) -> None:
    store = world(tmp_path)
    (tmp_path / "corner.py").write_text(FACTORY)
    registry = Models(store)
    row = registry.add("corner", f"{tmp_path}/corner.py:build")
    assert row.details["object"] == "Corner" and row.classes == NAMES
    model = Models(store).get("corner")
    assert isinstance(model, TorchDetector) and model.confidence == 0.25
    predict(store, "corner", model)
    assert rows(store, "predictions__corner")["unknown"]["objects"][0]["bbox"] == [0, 0, 4, 4]


@pytest.mark.slow
def test_torchvision_detectors_load_and_run(tmp_path: Path) -> None:
    model = load("torchvision:ssdlite320_mobilenet_v3_large", weights="random", classes=list(NAMES))
    assert isinstance(model, TorchDetector) and model.classes == NAMES
    (batch,) = inference.predict(model, [("a", picture([("red", 2, 2, 30, 30)]))])
    assert batch["error"].to_pylist() == [None]
    assert model.module.training
    torch.save(model.module.state_dict(), tmp_path / "weights.pt")
    again = load(
        "torchvision:ssdlite320_mobilenet_v3_large",
        weights=tmp_path / "weights.pt",
        classes=list(NAMES),
    )
    assert again.fingerprint() == model.fingerprint()


def test_what_is_for_classifiers_refuses_a_detector(tmp_path: Path) -> None:
    from slicedb.behaviour.spoilt import spoil
    from slicedb.cam import cam

    store, keys = world(tmp_path), keys_of(["both"])
    with pytest.raises(ModelError, match="does detection"):
        cam(store, "blobs", detector(), keys)
    with pytest.raises(CheckError, match="does detection"):
        spoil(store, "blobs", detector(), keys, [])


# --- made elsewhere -------------------------------------------------------------------------------


def one(label: str = "red", bbox: Any = (5, 5, 10, 10), score: Any = 0.9) -> dict[str, Any]:
    return {"label": label, "bbox": None if bbox is None else list(bbox), "score": score}


def test_detections_made_elsewhere_are_logged_from_python_parquet_and_csv(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    store = world(tmp_path)
    table = pa.table({"id": ["both", "empty"], "objects": [[one()], []]})
    assert log(store, "python", table).classes == ("blue", "green", "red")
    pq.write_table(table, tmp_path / "d.parquet")
    log(store, "parquet", tmp_path / "d.parquet", classes=NAMES)
    (tmp_path / "d.csv").write_text(
        "id,label,x,y,width,height,score\nboth,red,5,5,10,10,0.9\nempty,,,,,,\n"
    )
    log(store, "csv", tmp_path / "d.csv", classes=NAMES)
    with PredictionLog(store, "training", classes=NAMES) as sink:
        boxes = torch.tensor([[5.0, 5, 15, 15]])
        said = {"boxes": boxes, "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}
        sink.add(["both"], detections=[said])
        sink.add(["empty"], objects=[[]], note=["x"])
    for name in ("python", "parquet", "csv", "training"):
        said_rows = rows(store, f"predictions__{name}")
        assert set(said_rows) == {"both", "empty"}
        both = said_rows["both"]
        assert both["objects"][0]["bbox"] == [5, 5, 10, 10]
        assert (both["tp"], both["fp"], both["fn"], both["iou"]) == (1, 0, 1, 0.5)
        assert said_rows["empty"]["objects"] == [] and said_rows["empty"]["fn"] == 0
    assert rows(store, "predictions__training")["empty"]["note"] == "x"


def coco_files(path: Path) -> tuple[Path, Path]:
    images = [{"id": i, "file_name": f"somewhere/{name}"} for i, name in enumerate(WORLD)]
    categories = [{"id": 10 * i, "name": name} for i, name in enumerate(NAMES, 1)]
    about = {"images": images, "annotations": [], "categories": categories}
    (path / "instances.json").write_text(json.dumps(about))
    said = [
        {"image_id": 0, "category_id": 10, "bbox": [5, 5, 10, 10], "score": 0.9},
        {"image_id": 0, "category_id": 30, "bbox": [30, 20, 8, 8], "score": 0.8},
    ]
    (path / "results.json").write_text(json.dumps(said))
    return path / "results.json", path / "instances.json"


def test_cocos_results_are_logged_with_its_annotations(tmp_path: Path) -> None:
    store = world(tmp_path)
    results, annotations = coco_files(tmp_path)
    assert log(store, "coco", results, annotations=annotations).logged == 7
    said = rows(store, "predictions__coco")
    assert [(r["tp"], r["fn"]) for r in (said["both"], said["wrong"])] == [(2, 0), (0, 1)]
    with pytest.raises(PredictionError, match="category 10, which has no name"):
        log(store, "other", results)
    (tmp_path / "short.json").write_text(json.dumps([{"image_id": 0, "bbox": [0, 0, 1, 1]}]))
    with pytest.raises(PredictionError, match=r"Entry 1 .* lacks 'category_id'"):
        log(store, "other", tmp_path / "short.json", annotations=annotations)
    with pytest.raises(PredictionError, match=r"'0' of .* is no sample here"):
        log(store, "other", results, classes=[f"c{i}" for i in range(40)])
    assert not store.has("predictions__other")


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ([[one("cat")]], "Box 1 of sample 'both' in the table has the label 'cat'"),
        ([[one(), one(bbox=(1, 2, 3))]], "Box 2 of sample 'both' .* not four finite numbers"),
        ([[one(bbox=(1, 2, float("nan"), 3))]], "not four finite numbers"),
        ([[one(bbox=None)]], "not four finite numbers"),
        ([[one(bbox=(1, 2, -3, 3))]], "negative width or height"),
        ([[one(score=1.5)]], r"score outside \[0, 1\]"),
        ([[one(score=float("nan"))]], r"score outside \[0, 1\]"),
        (["red"], "cannot be read"),
    ],
)
def test_boxes_that_are_none_are_refused_and_nothing_is_written(
    tmp_path: Path, objects: Any, message: str
) -> None:
    store = world(tmp_path)
    with pytest.raises(PredictionError, match=message):
        log(store, "bad", pa.table({"id": ["both"], "objects": objects}), classes=NAMES)
    assert not store.has("predictions__bad")


def test_ids_of_detections_are_checked_as_all_are(tmp_path: Path) -> None:
    store = world(tmp_path)
    for ids, message in ((["both", "nobody"], "no samples? here"), (["both", "both"], "twice")):
        with pytest.raises(PredictionError, match=message):
            log(store, "bad", pa.table({"id": ids, "objects": [[one()], []]}), classes=NAMES)
    log(store, "good", pa.table({"id": ["both"], "objects": [[one()]]}), classes=NAMES)
    with pytest.raises(PredictionError, match="logged before as detection"):
        log(store, "good", pa.table({"id": ["both"], "value": [1.0]}))
    with pytest.raises(PredictionError, match="logged from elsewhere"):
        predict(store, "good", detector())


def test_a_box_without_a_score_counts_as_sure(tmp_path: Path) -> None:
    store = world(tmp_path)
    log(store, "people", pa.table({"id": ["both"], "objects": [[one(score=None)]]}))
    assert rows(store, "predictions__people")["both"]["tp"] == 1


def test_digests_see_what_counts_and_not_the_order(tmp_path: Path) -> None:
    from slicedb.tasks.digests import digest_of_labels, digest_of_objects

    a, b = one(score=None), one("blue", (1, 2, 3, 4), None)
    crowd = {**b, "attributes": '{"iscrowd": 1}'}
    column = pa.array([[a, b], [b, a], [a], [a, crowd], [], None, [a, a]], pa.list_(OBJECT))
    found = digest_of_objects(column, 0.5).to_pylist()
    assert found[0] == found[1] and found[5] is None
    assert len({found[0], *found[2:]}) == 6
    assert digest_of_objects(column, 0.4)[0].as_py() != found[0]
    sets = pa.array([["x", "y"], ["y", "x"], ["x"], [], None], pa.list_(pa.string()))
    sets_found = digest_of_labels(sets).to_pylist()
    assert sets_found[0] == sets_found[1] and sets_found[4] is None
    assert len(set(sets_found)) == 4


# --- numbers and sets of labels -------------------------------------------------------------------


def people(path: Path) -> Store:
    store = Store.open(path / "people.slicedb")
    names = [f"p{i}" for i in range(6)]
    images = {name: picture([("red", 0, 0, 6 * i + 6, 40)]) for i, name in enumerate(names)}
    ages = [10.0, 20.0, 30.0, 40.0, None, 60.0]
    lists = [["a"], ["a", "b"], [], None, ["b"], ["c"]]
    labels = {"label": ["10", "20", "thirty", None, "50.5", "-6e1"]}
    fill(store, images, {}, age=ages, labels=pa.array(lists, pa.list_(pa.string())), **labels)  # type: ignore[arg-type]
    return store


def test_numbers_made_elsewhere_are_held_against_their_target(tmp_path: Path) -> None:
    store = people(tmp_path)
    table = pa.table({"id": ["p0", "p3", "p4"], "value": [12.5, 30, 44]})
    log(store, "ages", table, target="age")
    said = rows(store, "predictions__ages")
    assert [said["p0"][k] for k in ("target", "residual", "abs_error", "loss")] == [
        10,
        2.5,
        2.5,
        6.25,
    ]
    assert [said["p3"][k] for k in ("target", "residual", "abs_error")] == [40, -10, 10]
    assert said["p4"]["target"] is None and said["p4"]["residual"] is None
    store.upsert(SAMPLES, pa.table({"id": ["p4"], "age": [44.0]}), insert=False)
    assert refresh(store) == 1
    assert rows(store, "predictions__ages")["p4"]["abs_error"] == 0
    with pytest.raises(PredictionError, match="No column 'agee'"):
        log(store, "other", table, target="agee")
    with pytest.raises(PredictionError, match="not finite"):
        log(store, "other", pa.table({"id": ["p0"], "value": [float("nan")]}), target="age")
    with PredictionLog(store, "numbers") as sink:
        sink.add([f"p{i}" for i in range(6)], value=torch.zeros(6, 1))
    targets = [rows(store, "predictions__numbers")[f"p{i}"]["target"] for i in range(6)]
    assert targets == [10, 20, None, None, 50.5, -60]


def test_a_regressor_predicts_numbers(tmp_path: Path) -> None:
    from slicedb.models import TorchRegressor

    class Width(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return (images[:, 0].mean((1, 2)) * 60).round()

    store = people(tmp_path)
    model = TorchRegressor(
        Width(), target="age", input_size=(40, 60), resize=60, mean=(0, 0, 0), std=(1, 1, 1)
    )
    model.transform = lambda image: torch.from_numpy(
        np.asarray(image).astype(np.float32) / 255
    ).permute(2, 0, 1)
    report = predict(store, "widths", model)
    assert (report.predicted, report.outside) == (6, 0)
    said = rows(store, "predictions__widths")
    assert [said[f"p{i}"]["value"] for i in range(6)] == [6, 12, 18, 24, 30, 36]
    assert [said[f"p{i}"]["residual"] for i in (0, 1, 4)] == [-4, -8, None]
    assert predict(store, "widths", model).predicted == 0
    two = TorchRegressor(torch.nn.Flatten(), target="age", input_size=8)
    with pytest.raises(ModelError, match="192 numbers per image"):
        two.check()
    other = TorchRegressor(Width(), target="nothing", input_size=8)
    with pytest.raises(PredictionError, match="No column 'nothing'"):
        predict(store, "other", other)


def test_several_labels_a_sample_are_logged_with_or_without_probabilities(tmp_path: Path) -> None:
    store = people(tmp_path)
    p = [[0.9, 0.2, 0.1], [0.8, 0.6, 0.0], [0.1, 0.2, 0.7]]
    table = pa.table({"id": ["p0", "p1", "p2"], "probabilities": p})
    log(store, "kinds", table, classes=["a", "b", "c"], multilabel=True)
    said = rows(store, "predictions__kinds")
    assert [said[f"p{i}"]["labels"] for i in range(3)] == [["a"], ["a", "b"], ["c"]]
    assert [said[f"p{i}"]["correct"] for i in range(3)] == [True, True, False]
    expected = -np.log([0.9, 0.8, 0.9]).mean()
    assert said["p0"]["loss"] == pytest.approx(expected, abs=1e-6)
    log(store, "names", pa.table({"id": ["p4", "p3"], "labels": [["b", "a"], ["c"]]}))
    named = rows(store, "predictions__names")
    assert named["p4"]["correct"] is False and named["p3"]["correct"] is None
    assert named["p4"]["loss"] == pytest.approx(1 / 3)
    store.upsert(
        SAMPLES,
        pa.table({"id": ["p4"], "labels": pa.array([["a", "b"]], pa.list_(pa.string()))}),
        insert=False,
    )
    assert refresh(store) == 1
    assert rows(store, "predictions__names")["p4"]["correct"] is True
    with pytest.raises(PredictionError, match="Label 'z' of sample 'p0'"):
        log(store, "bad", pa.table({"id": ["p0"], "labels": [["z"]]}))
    with pytest.raises(PredictionError, match="sum to"):
        log(store, "bad", table, classes=["a", "b", "c"])
    with PredictionLog(store, "logits", classes=["a", "b", "c"], multilabel=True) as sink:
        sink.add(["p0"], logits=torch.tensor([[2.0, -2.0, -9.0]]))
    assert rows(store, "predictions__logits")["p0"]["labels"] == ["a"]
