"""One picture through a classifier: what `predict` over a database stores."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes_models import COLOURS, SURE, MeanColour, fill, png
from PIL import Image

import slicedb
from slicedb import Database
from slicedb.errors import CancelledError, CheckError, MediaError, ModelError
from slicedb.media import decode
from slicedb.models import Detector, Model
from slicedb.progress import Progress


def test_one_picture_is_predicted_as_in_a_database(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, {name: png(colour) for name, colour in COLOURS.items()})
    db.models.add("mean", MeanColour())
    db.predict("mean")
    model = db.models.get("mean")
    (tmp_path / "red.png").write_bytes(png(COLOURS["red"]))
    forms = [tmp_path / "red.png", str(tmp_path / "red.png"), png(COLOURS["red"])]
    for image in [*forms, Image.open(io.BytesIO(png(COLOURS["red"])))]:
        said = model.predict(image)
        assert next(iter(said)) == "red" and set(said) == set(COLOURS)
        assert said["red"] == pytest.approx(SURE, abs=1e-3)
        assert sum(said.values()) == pytest.approx(1, abs=1e-6)
    rows = db.sql("SELECT mean.confidence AS c FROM samples WHERE id = 'red'")
    assert said["red"] == pytest.approx(rows["c"][0].as_py(), abs=1e-6)
    with pytest.raises(MediaError):
        model.predict(b"no picture")
    with pytest.raises(ModelError, match="A value of type int is no picture"):
        model.predict([1, 2])


class Left(Model):
    """Tells a bright left half ("left") from a bright right half, by one convolution."""

    classes = ("left", "right")
    input_size = 32
    resize = 32
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self) -> None:
        self.network = torch.nn.Conv2d(3, 1, 1, bias=False).eval()
        torch.nn.init.constant_(self.network.weight, 1 / 3)

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        bright = self.network(images)[:, 0]  # (n, 32, 32)
        half = bright.shape[2] // 2
        sides = bright[:, :, :half].mean((1, 2)), bright[:, :, half:].mean((1, 2))
        return 10 * torch.stack(sides, 1)


def halves(size: tuple[int, int] = (64, 32)) -> Image.Image:
    """Return a picture whose left third is white and whose rest is black."""
    picture = Image.new("RGB", size)
    picture.paste((255, 255, 255), (0, 0, size[0] // 3, size[1]))
    return picture


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "data.slicedb")
    pictures = {name: png(colour) for name, colour in COLOURS.items()}
    fill(db.store, pictures, {name: name.upper() for name in pictures})
    db.models.add("sides", Left())
    return db


def test_a_map_lies_where_the_network_sees_the_class(db: Database, tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 32))
    picture.paste((255, 255, 255), (0, 0, 12, 32))
    file = tmp_path / "map.png"
    tried = db.try_out("sides", picture, cam=str(file))
    assert tried.prediction == "left" and tried.confidence > 0.9
    assert file.is_file() and "gradcam of 'left'" in tried.about
    drawn = np.asarray(Image.open(file).convert("RGB"), int)
    assert drawn.shape == (32, 32, 3)
    redness = drawn[:, :, 0] - drawn[:, :, 2]
    assert redness[:, :10].mean() > 40 and redness[:, 16:].mean() < -40
    assert np.array_equal(np.asarray(tried.overlay, int), drawn)


def test_the_part_that_is_cropped_away_has_no_map(db: Database) -> None:
    picture = Image.new("RGB", (64, 32))
    picture.paste((250, 250, 250), (16, 0, 32, 32))
    overlay = db.try_out("sides", picture, cam="").overlay
    assert overlay is not None
    drawn = np.asarray(overlay, int)
    gray = np.ptp(drawn, axis=2).max(axis=0)  # per column, over all rows
    assert gray[:15].max() == 0 and gray[49:].max() == 0 and gray[17:47].min() > 0


def test_the_nearest_samples_are_those_of_a_loop(db: Database) -> None:
    assert "no nearest samples: There is no embedding 'default'" in str(
        db.try_out("sides", halves())
    )
    with pytest.raises(CheckError, match="no embedding 'default'"):
        db.try_out("sides", halves(), neighbours=2)
    db.embed(progress=False)
    tried = db.try_out("sides", png((240, 30, 30)), neighbours=2)
    encoder = db.encoder()
    names = list(COLOURS)
    vectors = db.store.table("embeddings__default", ["id", "vector"]).to_pylist()
    mine = encoder.encode_images([decode(png((240, 30, 30)))])[0]
    wanted = sorted((1 - float(np.dot(mine, row["vector"])), row["id"]) for row in vectors)[:2]
    rows = tried.neighbours.to_pylist()
    assert [r["id"] for r in rows] == [name for _, name in wanted]
    assert [r["distance"] for r in rows] == pytest.approx([d for d, _ in wanted], abs=1e-3)
    assert [r["label"] for r in rows] == [name.upper() for _, name in wanted]
    assert set(names) >= {r["id"] for r in rows}
    assert rows[0]["id"] in str(tried) and "nearest sample" in tried._repr_html_()
    assert len(db.try_out("sides", halves(), neighbours=0).neighbours) == 0


def test_what_cannot_be_tried_is_refused(db: Database, tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="No target 'up'"):
        db.try_out("sides", halves(), cam="", target="up")
    with pytest.raises(CheckError, match="cannot be saved"):
        db.try_out("sides", halves(), cam=str(tmp_path / "map.docx"))
    with pytest.raises(ModelError, match="No picture"):
        db.try_out("sides", tmp_path / "none.jpg")
    with pytest.raises(MediaError):
        db.try_out("sides", b"no picture")
    with pytest.raises(ModelError, match="is empty"):
        db.try_out("sides", Image.new("RGB", (32, 32)), cam="")


def test_the_command_shows_the_classes_of_one_picture(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from slicedb.cli import verbs

    factory = tmp_path / "colours.py"
    factory.write_text(
        "import torch\nfrom slicedb.models import Model\n\n\nclass Mean(Model):\n"
        "    classes = ('red', 'green', 'blue')\n    input_size = 8\n"
        "    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)\n\n"
        "    def predict_batch(self, images):\n        return 10 * images.mean((2, 3))\n"
    )
    path = str(tmp_path / "data.slicedb")
    slicedb.open(path).models.add("mean", f"{factory}:Mean")
    (tmp_path / "green.png").write_bytes(png(COLOURS["green"]))
    asked = ["try", "mean", str(tmp_path / "green.png"), "--db", path]
    shown = CliRunner().invoke(verbs, asked)
    assert "mean: green, confidence 1.000" in shown.output
    assert "no nearest samples" in shown.output
    asked += ["-f", "csv"]
    result = CliRunner().invoke(verbs, asked)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1].startswith("green,0.999")


class Corner(Detector):
    """Finds a red square, one sure box and one that does not count."""

    classes = ("square", "other")

    def predict_batch(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        found = []
        for image in images:
            rows, columns = torch.where((image[0] > 0.5) & (image[2] < 0.5))
            if not len(rows):
                rows = columns = torch.tensor([0])
            box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
            boxes = torch.tensor([[float(side) for side in box], [0.0, 0.0, 5.0, 5.0]])
            scores = torch.tensor([0.9, 0.2])
            found.append({"boxes": boxes, "labels": torch.tensor([1, 2]), "scores": scores})
        return found


def test_a_detector_is_tried_with_its_boxes_drawn(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.models.add("corner", Corner())
    picture = Image.new("RGB", (120, 80), (250, 250, 250))
    picture.paste((255, 0, 0), (40, 20, 90, 60))
    file = tmp_path / "boxes.png"
    said = db.try_out("corner", picture, save=str(file))
    assert said.prediction == "1 square"
    assert said.to_arrow().to_pylist() == [
        {
            "label": "square",
            "score": pytest.approx(0.9),
            "x": 40.0,
            "y": 20.0,
            "width": 50.0,
            "height": 40.0,
        }
    ]
    assert "corner: 1 square" in str(said) and "saved as" in str(said)
    drawn = np.asarray(Image.open(file).convert("RGB")).astype(int)
    changed = np.abs(drawn - np.asarray(picture).astype(int)).sum(axis=2) > 120
    assert changed[57:62, 45:85].any(axis=0).all()  # the lower edge of the box
    assert changed[30:55, 87:92].any(axis=1).all()  # and the right one
    assert not changed[40:55, 45:85].any()  # and not inside it
    assert "<img" in said._repr_html_()
    with pytest.raises(ModelError, match="detection"):
        db.try_out("corner", picture, cam="")


def test_a_classifier_draws_no_boxes(db: Database, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing is drawn"):
        db.try_out("sides", halves(), save=str(tmp_path / "a.png"))


def every_form(picture: Image.Image, folder: Path) -> list[Any]:
    """Return one picture as each thing that is taken."""
    file = folder / "one.png"
    picture.save(file)
    return [file, str(file), file.read_bytes(), picture, np.asarray(picture)]


def test_several_pictures_are_predicted_in_batches_as_in_a_database(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, {name: png(colour) for name, colour in COLOURS.items()})
    db.models.add("mean", MeanColour())
    db.predict("mean")
    stored = db.sql(
        "SELECT id, mean.prediction AS p, mean.confidence AS c FROM samples ORDER BY id"
    )
    model = db.models.get("mean")
    MeanColour.batches.clear()
    heard: list[Progress] = []
    given = [png(COLOURS[name]) for name in stored["id"].to_pylist()] * 3
    said = model.predict(iter(given), batch_size=4, progress=heard.append)
    assert MeanColour.batches[-3:] == [4, 4, 1] and len(said) == 9
    assert said.rows["picture"].to_pylist() == [str(i) for i in range(9)]
    assert said.rows["prediction"].to_pylist() == stored["p"].to_pylist() * 3
    assert said.rows["confidence"].to_pylist() == pytest.approx(stored["c"].to_pylist() * 3)
    assert (heard[-1].done, heard[-1].unit) == (9, "picture")
    picture = Image.new("RGB", (20, 10), (0, 200, 30))
    rows = model.predict(every_form(picture, tmp_path)).rows
    assert rows["prediction"].to_pylist() == ["green"] * 5
    assert len(set(rows["confidence"].to_pylist())) == 1
    assert rows["picture"].to_pylist()[:2] == ["one.png", "one.png"]
    for one in every_form(picture, tmp_path):
        assert next(iter(model.predict(one))) == "green"
    assert model.predict([]).rows.num_rows == 0
    array = np.zeros((2, 8, 8, 3), np.uint8)  # a batch of two
    assert len(model.predict(array)) == 2


def test_a_broken_picture_costs_its_own_row(tmp_path: Path) -> None:
    said = MeanColour().predict([png(COLOURS["red"]), b"no picture", png(COLOURS["blue"])])
    assert said.rows["prediction"].to_pylist() == ["red", None, "blue"]
    assert said.rows["error"].to_pylist()[1].startswith("not_an_image")
    assert "3 pictures, 1 failed" in str(said)
    with pytest.raises(ModelError, match="No picture"):
        MeanColour().predict([tmp_path / "none.png"])
    with pytest.raises(ModelError, match=r"An array \(8, 8, 3\) of float64 is no picture"):
        MeanColour().predict(np.zeros((8, 8, 3)))
    with pytest.raises(ModelError, match=r"An array \(8, 8, 2\) of uint8"):
        MeanColour().predict([np.zeros((8, 8, 2), np.uint8)])
    with pytest.raises(
        CancelledError, match="predict MeanColour was cancelled after 0 of 2 pictures"
    ):
        MeanColour().predict([png(COLOURS["red"])] * 2, progress=lambda progress: False)


def test_a_pillow_picture_is_read_as_its_file_is(tmp_path: Path) -> None:
    turned = Image.new("RGB", (40, 20))
    turned.paste((255, 255, 255), (0, 0, 40, 8))
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was turned: the bright stripe is on the right as displayed
    file = tmp_path / "turned.jpg"
    turned.save(file, exif=exif)
    sides = Left()
    from_file = sides.predict(file)
    assert next(iter(from_file)) == "right"
    assert sides.predict(Image.open(file)) == pytest.approx(from_file, abs=0.02)
    clear = Image.new("RGBA", (12, 12), (255, 0, 0, 0))  # red below, and nothing of it seen
    clear.save(tmp_path / "clear.png")
    model = MeanColour()
    assert model.predict(clear) == pytest.approx(model.predict(tmp_path / "clear.png"))
    assert model.predict(clear)["red"] == pytest.approx(1 / 3)


def test_each_of_several_pictures_has_its_map(db: Database, tmp_path: Path) -> None:
    left = Image.new("RGB", (32, 32))
    left.paste((255, 255, 255), (0, 0, 12, 32))
    right = left.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    tried = db.try_out("sides", [left, b"no picture", right], cam=str(tmp_path / "maps"))
    assert tried.predicted.rows["prediction"].to_pylist() == ["left", None, "right"]
    assert [one.target for one in tried.maps] == ["left", "", "right"]
    alone = db.try_out("sides", left, cam="").overlay
    assert tried.maps[0].overlay is not None and alone is not None
    assert np.array_equal(np.asarray(tried.maps[0].overlay), np.asarray(alone))
    saved = sorted(p.name for p in (tmp_path / "maps").iterdir())
    assert saved == ["0.png", "2.png"] and tried.maps[1].error is not None
    assert "1 failed" in str(tried) and "saved in" in str(tried)
    with pytest.raises(CheckError, match=r"neighbours.* is for one picture"):
        db.try_out("sides", [left], neighbours=3)  # type: ignore[call-overload]
    with pytest.raises(CheckError, match="No target 'up'"):
        db.try_out("sides", [left], cam="", target="up")


def test_a_detector_says_what_it_finds_in_several_pictures(tmp_path: Path) -> None:
    picture = Image.new("RGB", (120, 80), (250, 250, 250))
    picture.paste((255, 0, 0), (40, 20, 90, 60))
    said = Corner().predict([picture, b""])
    assert said.shown == ("1 square", "")
    with pytest.raises(ModelError, match="give a list, also of one picture"):
        Corner().predict(picture)


def test_the_command_tries_a_folder(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from slicedb.cli import verbs

    factory = tmp_path / "colours.py"
    factory.write_text(
        "import torch\nfrom slicedb.models import Model\n\n\nclass Mean(Model):\n"
        "    classes = ('red', 'green', 'blue')\n    input_size = 8\n"
        "    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)\n\n"
        "    def predict_batch(self, images):\n        return 10 * images.mean((2, 3))\n"
    )
    path = str(tmp_path / "data.slicedb")
    slicedb.open(path).models.add("mean", f"{factory}:Mean")
    folder = tmp_path / "photos" / "more"
    folder.mkdir(parents=True)
    for name, colour in COLOURS.items():
        (folder / f"{name}.png").write_bytes(png(colour))
    asked = ["try", "mean", str(tmp_path / "photos"), "--db", path, "-f", "csv"]
    result = CliRunner().invoke(verbs, asked)
    assert result.exit_code == 0, result.output
    lines = [line.split(",")[:2] for line in result.output.splitlines()]
    assert lines == [
        ["picture", "prediction"],
        ["blue.png", "blue"],
        ["green.png", "green"],
        ["red.png", "red"],
    ]
    (tmp_path / "empty").mkdir()
    asked[2] = str(tmp_path / "empty")
    assert "No picture in" in str(CliRunner().invoke(verbs, asked).exception)
