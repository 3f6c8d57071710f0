"""One picture through a classifier: what `predict` over a database stores."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fakes_models import COLOURS, SURE, MeanColour, fill, png
from PIL import Image

import slicedb
from slicedb.errors import MediaError, ModelError


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
        assert said["red"] == pytest.approx(SURE, abs=1e-5)
        assert sum(said.values()) == pytest.approx(1, abs=1e-6)
    rows = db.sql("SELECT mean.confidence AS c FROM samples WHERE id = 'red'")
    assert said["red"] == pytest.approx(rows["c"][0].as_py(), abs=1e-6)
    with pytest.raises(MediaError):
        model.predict(b"no picture")
    with pytest.raises(ModelError, match="A list is no picture"):
        model.predict([1, 2])


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
    asked = ["try", "mean", str(tmp_path / "green.png"), "--db", path, "-f", "csv"]
    result = CliRunner().invoke(verbs, asked)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1].startswith("green,0.999")
