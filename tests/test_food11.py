"""The suite of queries/food11: on a Food-11 folder of drawn pictures, and on the real cases."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import slicedb
from slicedb.cli import main
from slicedb.models import Model, TorchClassifier

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "queries" / "food11"
CLASSES = (SUITE / "classes.txt").read_text().split("\n")[:-1]
FILES = ("overall", "per_class", "templates", "indian_desserts", "plastic_fork")


def colour(code: int, light: int = 0) -> tuple[int, int, int]:
    return (20 * code + 10, 200 - light, 90)


class Reader(Model):
    """Reads the class off the red of the lower left part, or of the fork's place."""

    classes = tuple(CLASSES)
    input_size = 32
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, column: int) -> None:
        self.column = column

    def predict_batch(self, images: Any) -> Any:
        import torch

        red = images[:, 0, 22, self.column] * 255
        centres = torch.arange(len(CLASSES)) * 20.0 + 10
        return -((red[:, None] - centres) ** 2)


def draw(root: Path, each: int) -> None:
    """Write evaluation/, indian_dessert/ and templates/ with flat colours for classes."""
    for code, name in enumerate(CLASSES):
        folder = root / "evaluation" / name.replace("/", "-")
        folder.mkdir(parents=True)
        for i in range(each):
            Image.new("RGB", (40, 40), colour(code, i)).save(folder / f"{code}_{i}.png")
    (root / "indian_dessert").mkdir()
    for i in range(10):
        Image.new("RGB", (40, 40), colour(2, i)).save(root / f"indian_dessert/{i}.png")
    templates = root / "templates"
    for code in (5, 9, 10):
        (templates / f"food/{code:02}").mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (60, 60), colour(code, i)).save(templates / f"food/{code:02}/{i}.png")
    (templates / "background").mkdir()
    (templates / "extras").mkdir()
    for i in range(3):
        Image.new("RGB", (80, 80), (30 * i,) * 3).save(templates / f"background/{i}.png")
    for i, name in enumerate(("fork", "plastic_fork", "spoon")):
        extra = Image.new("RGB", (30, 40), colour(3 * i))
        extra.save(templates / f"extras/{name}.png")


def fill(db: slicedb.Database, root: Path) -> None:
    """Bring the pictures in as the page says."""
    for code, name in enumerate(CLASSES):
        folder = root / "evaluation" / name.replace("/", "-")
        db.ingest(folder, split="test", label=name, prefix=f"test/{code}")
    db.ingest(root / "indian_dessert", split="indian_dessert", label="Dessert", prefix="indian")
    db.compose(root / "templates", labels=CLASSES, split="templates")


def test_there_are_five_tests_with_the_bounds_of_the_tutorial() -> None:
    from slicedb.slices import read_folder

    found = {Path(f.path).stem: [str(c) for c in f.expect] for f in read_folder(SUITE)}
    assert found == {
        "overall": ["accuracy >= 0.85"],
        "per_class": ["accuracy per class >= 0.75"],
        "templates": [
            "accuracy over compositions >= 0.8",
            "invariance(background) >= 0.6",
            "invariance(extra) >= 0.6",
        ],
        "indian_desserts": ["accuracy >= 0.6"],
        "plastic_fork": ["accuracy >= 0.6"],
    }
    assert len(CLASSES) == 11 and CLASSES[2] == "Dessert"


@pytest.mark.slow
def test_a_good_model_passes_and_one_that_looks_at_the_fork_fails(tmp_path: Path) -> None:
    draw(tmp_path, 14)
    db = slicedb.open(tmp_path / "d.slicedb")
    fill(db, tmp_path)
    db.models.add("good", Reader(column=13))
    db.models.add("fork", Reader(column=27))
    good = db.test(SUITE, model="good")
    assert len(good.results) == 1 + 11 + 3 + 1 + 1
    assert {r.verdict for r in good.results} == {"PASS"}
    fork = db.test(SUITE, model="fork")
    failed = {r.title for r in fork.results if r.verdict == "FAIL"}
    assert "food11_templates: invariance(extra) >= 0.6" in failed
    assert "food11_plastic_fork: accuracy >= 0.6" in failed
    assert not any(title.startswith(("food11_overall", "food11_indian")) for title in failed)


def test_an_empty_database_is_told_and_fails_nothing(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "d.slicedb")
    draw(tmp_path, 1)
    db.ingest(tmp_path / "evaluation")
    db.models.add("good", Reader(column=13))
    db.predict("good")
    report = db.test(SUITE, model="good")
    assert report.ok and {r.verdict for r in report.results} == {"INCONCLUSIVE"}


@pytest.mark.slow
def test_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    import torchvision
    from safetensors.torch import save_file

    draw(tmp_path, 1)
    shutil.copytree(SUITE, tmp_path / "queries" / "food11")
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v2(weights=None, num_classes=11)
    save_file(net.state_dict(), tmp_path / "food11.safetensors")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    page = (ROOT / "queries" / "README.md").read_text()
    commands = [
        shlex.split(line) for line in re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[1].split("\n")
    ]
    assert [c[0] for c in commands if c] == ["slicedb"] * 5 + ["pytest"]
    for command in commands[:4]:
        with pytest.raises(SystemExit) as done:
            main(command[1:])
        assert done.value.code == 0, command
    with pytest.raises(SystemExit) as done:
        main(commands[4][1:])
    assert done.value.code == 1  # untrained
    said = capsys.readouterr().out
    assert all(f"food11_{name}" in said for name in FILES)
    run = [sys.executable, "-m", *commands[5], "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(run, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stdout
    assert "templates.sql" in ran.stdout and "failed" in ran.stdout


def fitted(db: slicedb.Database, seed: int = 0) -> TorchClassifier:
    """MobileNetV2 as it is born, its head fitted on half of what is there by least squares."""
    import torch
    import torchvision

    torch.manual_seed(seed)
    net = torchvision.models.mobilenet_v2(weights=None, num_classes=11).eval()
    model = TorchClassifier(net, classes=CLASSES, name="mobilenet")
    keys = db.keys("label IS NOT NULL")
    labels = db.store.take("samples", keys, ["label"])["label"].to_pylist()
    pixels = np.zeros((len(keys), 224, 224, 3), np.uint8)
    for row, (_, data) in zip(pixels, db.store.read_images(keys)):
        model.preprocessing.fill(data, row)
    with torch.no_grad():
        x = torch.cat(
            [
                net.features(model.preprocessing.normalise(torch.from_numpy(part))).mean((2, 3))
                for part in np.array_split(pixels, 12)
            ]
        )
        mean, scale = x.mean(0), x.std() + 1e-9
        y = torch.nn.functional.one_hot(torch.tensor([CLASSES.index(n) for n in labels]), 11)
        z = (x - mean) / scale
        weight = torch.linalg.lstsq(z.T @ z + 1e-3 * torch.eye(1280), z.T @ (y - 1 / 11)).solution
        net.classifier[1].weight.copy_((20 * weight / scale).T)
        net.classifier[1].bias.copy_(-20 * (mean / scale) @ weight)
    return model


@pytest.mark.realdata
@pytest.mark.slow
def test_the_real_cases_with_a_mobilenet(shared_data: Path, tmp_path: Path) -> None:
    cases = shared_data / "food11-cases"
    db = slicedb.open(tmp_path / "d.slicedb")
    added = db.ingest(cases / "indian_dessert", split="indian_dessert", label="Dessert")
    assert added.added == 10
    assert db.compose(cases / "templates", labels=CLASSES, split="templates").added == 108
    db.models.add("mobilenet", fitted(db))
    report = db.test(SUITE, model="mobilenet")
    by_title = {r.title: r for r in report.results}
    composed = by_title["food11_templates: accuracy over compositions >= 0.8"]
    assert (composed.verdict, composed.n) == ("PASS", 108)  # the head has seen them
    assert "in 9 foregrounds" in composed.message
    assert by_title["food11_indian_desserts: accuracy >= 0.6"].verdict == "PASS"
    assert by_title["food11_overall: accuracy >= 0.85"].verdict == "INCONCLUSIVE"  # no such photos
    assert by_title["food11_templates: invariance(extra) >= 0.6"].value > 0.6
