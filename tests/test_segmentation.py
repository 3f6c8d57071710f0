"""Segmentation: label maps in and out, exact metrics, shares, and the whole way to a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from fakes_segmenter import CLASSES, COLOURS, Nearest, folder, png, scene, segmenter, trained

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import (
    BindError,
    ClassesError,
    IngestError,
    ModelError,
    PredictionError,
    SliceError,
)
from slicedb.media.labelmap import codes_in, fitted, png_of
from slicedb.media.rle import rle_of
from slicedb.metrics import METRICS, find, names
from slicedb.metrics.segmented import PixelCounts
from slicedb.models import Segmenter, load
from slicedb.schema import MASKS
from slicedb.tasks.labelmaps import LabelMap, cells_of

N = 44
IDS = [f"images/{i:03}.png" for i in range(N)]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """Scenes with their label maps, read from `images/` and `masks/`."""
    folder(tmp_path / "road", N)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "road", mask_classes=CLASSES, progress=False)
    return db


def run(db: Database, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit):
        main([*args, "--db", db.path])
    out = capsys.readouterr()
    return out.out + out.err


def column(db: Database, expression: str) -> list[Any]:
    return db.sql(f"SELECT {expression} AS v FROM samples ORDER BY id")["v"].to_pylist()


def shares(label: int) -> list[float]:
    return [float((scene(i)[1] == label).mean()) for i in range(N)]


# --- metrics --------------------------------------------------------------------------------------


def counted(
    truth: list[npt.NDArray[Any]],
    predicted: list[npt.NDArray[Any]],
    classes: tuple[str, ...],
    ignore: int | None,
) -> PixelCounts:
    rows = [
        (i, cell)
        for i, (t, p) in enumerate(zip(truth, predicted))
        for cell in cells_of(LabelMap(t, classes, ignore), LabelMap(p, classes, None))
    ]
    return PixelCounts.of(
        classes,
        [i for i, _ in rows],
        [classes.index(c["truth"]) for _, c in rows],
        [classes.index(c["prediction"]) for _, c in rows],
        [c["pixels"] for _, c in rows],
        len(truth),
    )


def reference(
    truth: npt.NDArray[Any], predicted: npt.NDArray[Any], n_classes: int, ignore: int | None
) -> tuple[float, list[float], float]:
    """Return mean IoU, IoU by class and pixel accuracy, from one confusion matrix over pixels."""
    kept = np.ones(truth.shape, bool) if ignore is None else truth != ignore
    matrix = np.zeros((n_classes, n_classes))
    np.add.at(matrix, (truth[kept], predicted[kept]), 1)
    hit, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    iou = [h / u if u else float("nan") for h, u in zip(hit, union)]
    accuracy = hit.sum() / matrix.sum() if matrix.sum() else float("nan")
    known = [v for v in iou if v == v]
    return (float(np.mean(known)) if known else float("nan")), iou, accuracy


@pytest.mark.slow  # torchmetrics takes seconds to import
@pytest.mark.parametrize("ignore", [None, 255, 1])
@pytest.mark.parametrize("absent", [(), (2,), (0, 3)])
def test_mean_iou_is_that_of_torchmetrics_and_of_the_plain_sums(
    ignore: int | None, absent: tuple[int, ...]
) -> None:
    torchmetrics = pytest.importorskip("torchmetrics.classification")
    rng = np.random.default_rng(3)
    present = [c for c in range(5) if c not in absent]
    shapes = [(7, 9), (1, 1), (12, 5), (4, 4)]
    truth = [rng.choice(present, shape) for shape in shapes]
    predicted = [
        np.where(rng.random(s) < 0.6, t, rng.choice(present, s)) for s, t in zip(shapes, truth)
    ]
    if ignore is not None:
        truth = [np.where(rng.random(t.shape) < 0.2, ignore, t) for t in truth]
        truth[3][:] = ignore  # a label map of which nothing counts
    outcomes = counted(truth, predicted, tuple("abcde"), ignore)
    flat = [np.concatenate([one.ravel() for one in side]) for side in (truth, predicted)]
    mean, by_class, accuracy = reference(*flat, 5, ignore)
    metric = find("miou")
    assert metric.compute("miou", outcomes).value[0] == pytest.approx(mean, abs=1e-12)
    for code, value in enumerate(by_class):
        assert metric.bind is not None
        bound = metric.bind(code).compute("miou", outcomes).value[0]
        assert bound == pytest.approx(value, abs=1e-12, nan_ok=True)
    pixels = METRICS["segmentation.pixel_accuracy"].compute("pixel_accuracy", outcomes).value[0]
    assert pixels == pytest.approx(accuracy, abs=1e-12)
    theirs = torchmetrics.MulticlassConfusionMatrix(5, ignore_index=ignore)
    matrix = theirs(*(torch.from_numpy(one).long() for one in reversed(flat))).double().numpy()
    if ignore == 1:
        matrix = np.delete(np.delete(matrix, [], 0), [], 1)
    hit, union = np.diag(matrix), matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    assert metric.compute("miou", outcomes).value[0] == pytest.approx(
        float(np.mean((hit / np.maximum(union, 1))[union > 0])), abs=1e-9
    )
    jaccard = torchmetrics.MulticlassJaccardIndex(5, ignore_index=ignore if ignore == 255 else None)
    if ignore != 1:  # of an ignored class torchmetrics leaves out the predictions, too
        value = float(jaccard(*(torch.from_numpy(one).long() for one in reversed(flat))))
        assert value == pytest.approx(mean, abs=1e-6)  # it divides in single precision


def test_nothing_that_counts_is_undefined_and_not_zero() -> None:
    empty = np.full((3, 3), 255)
    outcomes = counted([empty], [np.zeros((3, 3), np.int64)], ("a", "b"), 255)
    assert np.isnan(find("miou").compute("miou", outcomes).value).all()
    assert np.isnan(outcomes.ious()).all() and outcomes.losses().tolist() == [0.0]
    assert names("segmentation") == [
        *("count", "miou", "pixel_accuracy", "dice", "recall", "precision", "dice_loss")
    ]


def test_some_pictures_are_taken_in_any_order_and_several_times() -> None:
    outcomes = PixelCounts.of(("a", "b"), [0, 0, 1, 2], [0, 1, 1, 0], [0, 0, 1, 1], [4, 2, 9, 3], 3)
    some = outcomes.take(np.array([2, 0, 0]))
    assert some.row.tolist() == [0, 1, 1, 2, 2] and some.pixels.tolist() == [3, 4, 2, 4, 2]
    assert outcomes.take(np.empty(0, np.int64)).n == 0
    wide = outcomes.with_classes(("z", "b"))
    assert wide.classes == ("z", "b", "a") and wide.matrix(np.arange(3)).tolist() == [
        [0, 0, 0],
        [0, 9, 2],
        [0, 3, 4],
    ]


def test_pixels_that_a_model_says_nothing_of_are_missed() -> None:
    truth = LabelMap(np.array([[0, 0], [1, 255]], np.uint8), ("a", "b"))
    said = LabelMap(np.array([[0, 255], [1, 1]], np.uint8), ("a", "b"))
    cells = cells_of(truth, said)
    assert {"truth": "a", "prediction": None, "pixels": 1} in cells
    assert sum(cell["pixels"] for cell in cells) == 3


# --- label maps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_maps_keep_every_number(dtype: Any) -> None:
    codes = np.arange(300 if dtype is np.uint16 else 250, dtype=dtype).reshape(10, -1)
    assert (codes_in(png_of(codes)) == codes).all()
    assert (codes_in(png(codes.astype(np.uint8), palette=True)) == codes.astype(np.uint8)).all()
    assert fitted(codes, (20, codes.shape[1])).shape == (20, codes.shape[1])


def test_masks_beside_images_are_label_maps_and_no_samples(db: Database) -> None:
    assert sorted(db.query().ids()) == IDS
    rows = {row["id"]: row for row in db.store.table(MASKS).to_pylist()}
    assert len(rows) == N and rows[IDS[1]]["mask"]["classes"] == list(CLASSES)
    assert (codes_in(rows[IDS[1]]["mask"]["png"]) == scene(1)[1]).all()
    assert column(db, "pixel_share('road')") == pytest.approx(shares(1), abs=1e-12)
    assert column(db, "pixel_share('car')")[0] == 0.0  # every fourth scene has none
    assert db.query("pixel_share('road') > 0.5 AND pixel_share('sky') < 0.5").count() == sum(
        s > 0.5 for s in shares(1)
    )
    with pytest.raises(BindError, match=r"No class 'roda'.*'road'"):
        db.query("pixel_share('roda') > 0")


def test_palette_masks_and_a_second_ingest(tmp_path: Path) -> None:
    root = folder(tmp_path / "road", 3, palette=True)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(root, mask_classes=",".join(CLASSES), progress=False)
    assert column(db, "pixel_share('road')") == pytest.approx(shares(1)[:3], abs=1e-12)
    folder(root, 1, first=3, palette=True)
    (root / "masks" / "000.png").write_bytes(png(np.full((40, 60), 1, np.uint8), palette=True))
    (root / "masks" / "no-picture.png").write_bytes(png(scene(0)[1]))
    report = db.ingest(root, progress=False)  # the classes are known by now
    assert column(db, "pixel_share('road')") == pytest.approx([1.0, *shares(1)[1:4]], abs=1e-12)
    assert any("1 label map without a picture" in note for note in report.notes)


@pytest.mark.parametrize(
    ("images", "masks", "n"),
    [
        ("images/training/a.png", "annotations/training/a.png", 1),  # ADE20K
        ("images/val/bonn/a_leftImg8bit.png", "gt/val/bonn/a_gtFine_labelIds.png", 1),  # Cityscapes
        ("JPEGImages/a.png", "SegmentationClass/a.png", 1),
        ("train/images/a.png", "train/masks/a_mask.png", 1),
        ("images/a.png", "masks/b.png", 2),  # of another name: a picture as any
    ],
)
def test_masks_lie_where_data_sets_have_them(
    tmp_path: Path, images: str, masks: str, n: int
) -> None:
    pixels, codes = scene(1)
    for place, array in ((images, pixels), (masks, codes)):
        file = tmp_path / "data" / place
        file.parent.mkdir(parents=True)
        file.write_bytes(png(array))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "data", mask_classes=CLASSES, progress=False)
    assert db.query().count() == n
    if n == 1:
        assert column(db, "pixel_share('road')") == pytest.approx(shares(1)[1:2])


def test_pictures_in_colours_beside_pictures_are_samples(tmp_path: Path) -> None:
    for place in ("images/a.png", "labels/a.png"):
        (tmp_path / "data" / place).parent.mkdir(parents=True)
        (tmp_path / "data" / place).write_bytes(png(scene(1)[0]))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "data", progress=False)
    assert sorted(db.query().ids()) == ["images/a.png", "labels/a.png"]


def test_a_sync_reads_label_maps_that_came_since(tmp_path: Path) -> None:
    root = folder(tmp_path / "road", 2)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.sync(root, mask_classes=CLASSES, progress=False)
    folder(root, 1, first=2)
    db.sync(root, progress=False)
    assert column(db, "pixel_share('road')") == pytest.approx(shares(1)[:3])


def test_masks_without_class_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(folder(tmp_path / "road", 2), progress=False)
    assert column(db, "pixel_share('1')") == pytest.approx(shares(1)[:2], abs=1e-12)


def test_a_column_of_a_table_names_masks(tmp_path: Path) -> None:
    root = folder(tmp_path / "road", 3)
    lines = ["path,mask_path", *(f"images/{i:03}.png,masks/{i:03}.png" for i in range(3))]
    (root / "list.csv").write_text("\n".join(lines))
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(root / "list.csv", mask_classes=CLASSES, progress=False)
    assert column(db, "pixel_share('road')") == pytest.approx(shares(1)[:3], abs=1e-12)


def test_masks_are_attached_from_folders_arrays_and_run_lengths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = folder(tmp_path / "road", 4)
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(root / "images", progress=False)
    shown = run(db, capsys, "attach-masks", str(root / "masks"), "--classes", ",".join(CLASSES))
    assert "4 label maps added, 0 changed, 0 unchanged" in shown
    assert column(db, "pixel_share('sky')") == pytest.approx(shares(0)[:4], abs=1e-12)
    codes = [scene(i)[1] for i in range(2)]
    assert db.attach_masks({"id": ["000.png"], "mask": [codes[0]]}).changed == 1  # encoded anew
    by_name = {name: rle_of(codes[1] == i) for i, name in enumerate(CLASSES)}
    report = db.attach_masks({"id": ["001.png"], "rle": [by_name]})
    assert (report.added, report.changed, report.without) == (0, 1, 0)
    assert column(db, "pixel_share('car')") == pytest.approx(shares(2)[:4], abs=1e-12)
    with pytest.raises(IngestError, match="the value 9 is none of the 3 classes"):
        db.attach_masks({"id": ["000.png"], "mask": [np.full((4, 4), 9)]})
    with pytest.raises(IngestError, match="the first is 'x'"):
        db.attach_masks({"id": ["x"], "mask": [codes[0]]})
    other = db.attach_masks({"id": ["000.png"], "mask": [codes[0][:20]]})
    assert "1 is not as large as its picture" in str(other)


def test_colour_masks_and_broken_ones_are_counted_by_name(tmp_path: Path) -> None:
    root = folder(tmp_path / "road", 3)
    (root / "masks" / "000.png").write_bytes(png(scene(0)[0]))
    (root / "masks" / "001.png").write_bytes(b"\x89PNG no more")
    db = slicedb.open(tmp_path / "data.slicedb")
    report = db.ingest(root, mask_classes=CLASSES, progress=False)
    said = " ".join(report.notes)
    assert "2 left out" in said and "000.png" in said and "it has colours" in said
    assert column(db, "pixel_share('road')") == [None, None, pytest.approx(shares(1)[2])]


# --- the whole way --------------------------------------------------------------------------------


def test_a_segmenter_predicts_is_evaluated_tested_and_compared(db: Database) -> None:
    db.models.add("good", segmenter())
    db.models.add("off", segmenter(Nearest(shift=5)))
    report = db.predict("good", progress=False)
    assert (report.predicted, report.failed) == (N, 0)
    assert db.predict("good", progress=False).predicted == 0
    db.predict("off", progress=False)
    rows = db.store.table("predictions__off").sort_by("id").to_pylist()
    truth = [scene(i)[1] for i in range(N)]
    said = [np.asarray(codes_in(row["mask"]["png"])) for row in rows]
    mean, by_class, accuracy = reference(
        np.concatenate([t.ravel() for t in truth]),
        np.concatenate([s.ravel() for s in said]),
        3,
        None,
    )
    for row, t, s in zip(rows, truth, said):
        assert row["iou"] == pytest.approx(reference(t, s, 3, None)[0], abs=1e-6)
        assert row["accuracy"] == pytest.approx(float((t == s).mean()), abs=1e-6)
    table = db.evaluate(["off"], metrics=["miou", "miou of car", "pixel_accuracy"]).to_arrow()
    assert table["value"].to_pylist() == pytest.approx([mean, by_class[2], accuracy], abs=1e-12)
    low, high = table["low"][0].as_py(), table["high"][0].as_py()
    assert low < mean < high
    assert db.query("ORDER BY off.loss DESC LIMIT 1").count() == 1
    db.slices.add("cars", "pixel_share('car') > 0", expect=["miou >= 0.9", "iou of car >= 0.2"])
    verdicts = db.test(model="good")
    assert [r.verdict for r in verdicts.results] != ["FAIL", "FAIL"]
    worse = db.test(model="off", baseline="good")
    assert worse.results[0].verdict == "FAIL"
    page = worse.to_html()
    assert "data:image/jpeg" in page and "miou" in page
    confusion = db.confusion("off")
    assert confusion.unit == "pixels" and confusion.matrix.sum() == sum(t.size for t in truth)
    assert confusion.n == N * 40 * 60
    taken = [i for i, t, s in zip(IDS, truth, said) if ((t == 2) & (s == 1)).any()]
    assert sorted(db.query(confusion.query("car", "road")).ids()) == taken != []


def test_shares_of_predictions_are_columns_after_two_commands(
    db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    db.models.add("seg", segmenter(trained(range(100, 124))))
    db.predict("seg", progress=False)
    truth, said = np.array(shares(1)), np.array(column(db, "seg.pixel_share('road')"))
    assert np.abs(truth - said).mean() <= 0.02
    report = db.tag_with("seg", "road_pct", share="road", progress=False)
    db.tag_with("seg", "sky_pct", share="sky", progress=False)
    assert report.changed == N and column(db, "road_pct") == pytest.approx(said.tolist())
    expected = [i for i, s in enumerate(said) if s < 0.4]
    sky = column(db, "sky_pct")
    chosen = [IDS[i] for i in expected if sky[i] > 0.55]
    assert db.query("road_pct < 0.4 AND sky_pct > 0.55 ORDER BY id").ids() == chosen != []
    with pytest.raises(BindError, match="No class 'ocean'"):
        db.query("seg.pixel_share('ocean') > 0.7")


def test_a_changed_label_map_is_judged_anew_without_the_model(db: Database) -> None:
    db.models.add("seg", segmenter(Nearest(shift=5)))
    db.predict("seg", progress=False)
    before = column(db, "seg.iou")
    codes = scene(3)[1].copy()
    codes[:, :30] = 255
    db.attach_masks({"id": [IDS[3]], "mask": [codes]})
    after = column(db, "seg.iou")
    assert before[:3] == after[:3] and before[3] != after[3]
    cells = db.sql(
        f"SELECT sum(c.pixels) n FROM (SELECT unnest(cells) c FROM seg WHERE id = '{IDS[3]}')"
    )
    assert cells["n"].to_pylist() == [40 * 30]


def test_predictions_are_logged_as_arrays_files_and_run_lengths(
    db: Database, tmp_path: Path
) -> None:
    codes = [scene(i)[1] for i in range(N)]
    db.log_predictions("arrays", {"id": IDS, "mask": codes}, classes=CLASSES)
    assert column(db, "arrays.iou") == [1.0] * N
    coded = [json.dumps({n: rle_of(c == i) for i, n in enumerate(CLASSES)}) for c in codes]
    db.log_predictions("rle", pa.table({"id": IDS, "rle": coded}), classes=CLASSES)
    assert column(db, "rle.accuracy") == [1.0] * N
    files = [str(tmp_path / "road" / "masks" / f"{i:03}.png") for i in range(N)]
    table = tmp_path / "said.csv"
    table.write_text("\n".join(["id,mask", *(f"{i},{f}" for i, f in zip(IDS, files))]))
    db.log_predictions("files", table, classes=CLASSES)
    assert column(db, "files.pixel_share('road')") == pytest.approx(shares(1))
    with db.log_predictions("parts", classes=CLASSES) as log:
        for i, one in zip(IDS, codes):
            log.add([i], mask=[torch.from_numpy(one.astype(np.int64))])
    assert column(db, "parts.loss") == pytest.approx([0.0] * N)
    with pytest.raises(PredictionError, match=r"images/000.png.*value 7 is none of the 3"):
        db.log_predictions("bad", {"id": IDS[:1], "mask": [np.full((2, 2), 7)]}, classes=CLASSES)
    assert db.evaluate("arrays", truth="rle").to_arrow()["value"].to_pylist()[0] == 1.0


def test_two_segmenters_are_compared_picture_by_picture(db: Database) -> None:
    db.models.add("good", segmenter())
    db.models.add("off", segmenter(Nearest(shift=5)))
    table = db.compare("off", "good", ["pixel_share('car') > 0", "true"])
    rows = table.to_arrow().to_pylist()
    metrics = db.evaluate(["off", "good"], slices=["pixel_share('car') > 0"], metrics=["miou"])
    a, b = metrics.to_arrow()["value"].to_pylist()
    assert (rows[0]["miou_a"], rows[0]["miou_b"]) == pytest.approx((a, b), abs=1e-12)
    assert rows[0]["low"] < rows[0]["difference"] < rows[0]["high"] < 0 and rows[0]["p"] < 0.001
    iou = {i: (x, y) for i, x, y in zip(IDS, column(db, "off.iou"), column(db, "good.iou"))}
    lost = [i for i, (x, y) in iou.items() if y - x > 1e-6]
    assert sorted(db.query(rows[1]["lost"]).ids()) == lost and rows[1]["losses"] == len(lost)
    assert rows[1]["wins"] + rows[1]["losses"] + rows[1]["ties"] == N
    with pytest.raises(SliceError, match=r"'hollm'.*'holm'"):
        db.compare("off", "good", correction="hollm")  # type: ignore[arg-type]
    other = db.compare("off", "good", ["true"], truth=None)
    assert "mean IoU" in str(other) and "lost in true" in str(other)


def test_errors_of_a_segmenter_are_queries(db: Database) -> None:
    db.models.add("off", segmenter(Nearest(shift=12)))
    mistakes = db.errors("off", by=["split"], tag=True)
    for finding in mistakes.findings:
        assert sorted(db.query(finding.query).ids()) == sorted(
            db.query(f"has_tag('{finding.name}')").ids()
        )
        assert finding.n == len(db.query(finding.query).ids())
    assert mistakes.finding("missed").n > 0
    classes = {row["label"]: row for row in mistakes.classes.to_pylist()}
    values = db.evaluate("off", metrics=[f"miou of {name}" for name in CLASSES]).to_arrow()
    assert [classes[name]["iou"] for name in CLASSES] == pytest.approx(values["value"].to_pylist())
    pair = mistakes.pairs[0]
    assert len(db.query(pair.query).ids()) == pair.pictures
    assert mistakes.top["loss"].to_pylist() == sorted(
        mistakes.top["loss"].to_pylist(), reverse=True
    )
    assert db.query(mistakes.top_query).ids() == mistakes.top["id"].to_pylist()
    assert next(iter(db.clean(model="off"))).id == mistakes.top["id"][0].as_py()
    assert "wrong" in str(mistakes) and "car" in mistakes._repr_html_()


@pytest.mark.slow
def test_maps_explain_a_class_of_a_segmenter(db: Database) -> None:
    db.models.add("seg", segmenter(trained(range(100, 108), steps=60)))
    cars = db.keys("pixel_share('car') > 0 ORDER BY id")[:4]
    report = db.cam("seg", cars, target="car")
    assert (report.computed, report.failed, report.layer) == (4, 0, "features.2")
    maps = db.store.table("cams__seg").sort_by("id").to_pylist()
    high, wide = report.grid
    inside, outside = [], []
    for row in maps:
        grid = np.asarray(row["map"], float).reshape(high, wide)
        car = fitted(scene(int(row["id"][7:10]))[1], (high, wide)) == 2
        inside.append(grid[car].mean())
        outside.append(grid[~car].mean())
    assert np.mean(inside) > 2 * np.mean(outside)
    assert db.query("cam_border('seg') IS NOT NULL").count() == 4


def test_a_notebook_shows_the_classes_on_the_picture(db: Database) -> None:
    db.models.add("seg", segmenter())
    db.predict("seg", progress=False)
    shown = db.query(f"id = '{IDS[1]}' AND seg.iou > 0")._repr_html_()
    assert "left: annotated, right: predicted" in shown and "road" in shown
    plain = db.query(f"id = '{IDS[1]}'")._repr_html_()
    assert '<rect width="10" height="10" fill="rgb(' in plain and "left: annotated" not in plain


# --- models ---------------------------------------------------------------------------------------


def test_torchvisions_segmenters_are_opened_by_name() -> None:
    model = load("torchvision:lraspp_mobilenet_v3_large", weights="random")
    assert isinstance(model, Segmenter) and len(model.classes) == 21
    assert model.classes[0] == "__background__"


@pytest.mark.parametrize(
    ("module", "error", "message"),
    [
        (torch.nn.Conv2d(3, 2, 1), ClassesError, "3 class names, its output has 2"),
        (torch.nn.Flatten(), ModelError, "returned shape"),
    ],
)
def test_a_network_of_another_form_is_refused(
    db: Database, module: torch.nn.Module, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        db.models.add("bad", segmenter(module))


def test_pictures_of_any_size_and_a_fixed_input(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    sizes = [(20, 31), (64, 48), (7, 5)]
    for i, size in enumerate(sizes):
        (tmp_path / "photos" / f"{i}.png").write_bytes(
            png(np.full((*size, 3), COLOURS[1], np.uint8))
        )
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(tmp_path / "photos", progress=False)
    db.models.add("whole", segmenter())
    db.models.add("fixed", segmenter(input_size=16, longest=32))
    for name in ("whole", "fixed"):
        db.predict(name, progress=False)
        rows = db.store.table(f"predictions__{name}").sort_by("id").to_pylist()
        assert [codes_in(row["mask"]["png"]).shape for row in rows] == sizes
        assert column(db, f"{name}.pixel_share('road')") == [1.0] * 3
