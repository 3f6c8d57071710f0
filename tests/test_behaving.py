"""Behaviour in suites, on the handle and on the command line: templates and corruptions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fakes_models import MeanColour, colours, fill
from PIL import Image
from test_plugins import install

import slicedb
from slicedb.behaviour.corruptions import CORRUPTIONS, corrupt
from slicedb.behaviour.severity import changes
from slicedb.cli import verbs
from slicedb.errors import CheckError, PluginError, SourceError, UnknownModelError
from slicedb.expectations import behaviours as names
from slicedb.expectations import parse_check
from slicedb.models import Model
from slicedb.plugins import PluginWarning
from slicedb.schema import SPOILT

NAMES = ["red", "green", "blue"]


# --- the words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("invariance( backgrounds ) >= 80%", "invariance(background) >= 0.8"),
        ("invariance(extras) >= .9", "invariance(extra) >= 0.9"),
        ("invariance(fog) >= 0.9", "invariance(fog at 3) >= 0.9"),
        ("invariance(flip) > 0.95", "invariance(flip_horizontal) > 0.95"),
        ("direction(foreground) >= 0.8", "direction(foreground) >= 0.8"),
        ("accuracy under jpeg at 5 >= 60%", "accuracy under jpeg_compression at 5 >= 0.6"),
        ("accuracy over compositions >= 0.8", "accuracy over compositions >= 0.8"),
    ],
)
def test_expectations_of_behaviour_parse_and_print(text: str, canonical: str) -> None:
    check = parse_check(text)
    assert str(check) == canonical
    assert parse_check(canonical) == check


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("invariance >= 0.8", r"column 12: invariance of what.*invariance\(background\)"),
        ("invariance(bakground) >= 0.8", "column 11: no behaviour 'bakground'.*'background'"),
        ("invariance(fog at 7) >= 0.8", "severity 7 of 'fog'.*1 to 5"),
        ("invariance(extra at 2) >= 0.8", "'extra' has no severity"),
        ("direction(fog) >= 0.8", "direction does not speak of 'fog'.*foreground"),
        ("accuracy under background >= 0.8", "accuracy does not speak of 'background'"),
        ("invariance(extra) >= 80", "between 0 and 1"),
    ],
)
def test_mistakes_in_them_are_pointed_at(text: str, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        parse_check(text)


def test_the_words_know_every_corruption() -> None:
    assert CORRUPTIONS is names.CORRUPTIONS and len(CORRUPTIONS) == 18
    flips = {name for name, one in CORRUPTIONS.items() if one.severities == 1}
    assert flips == {"flip_horizontal", "flip_vertical"}


# --- templates in one command -------------------------------------------------------------------


class Looks(Model):
    """Says the colour of one pixel of an 8 x 8 picture."""

    classes = tuple(NAMES)
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def __init__(self, x: int) -> None:
        self.x = x

    def predict_batch(self, images: Any) -> Any:
        return 10 * images[:, :, 5, self.x]


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """12 foods of three colours on two backgrounds, with nothing, a red fork or a blue spoon."""
    root = tmp_path / "plates"
    for i in range(12):
        (root / f"food/{i % 3:02}").mkdir(parents=True, exist_ok=True)
        shade = [40, 40, 40]
        shade[i % 3] = 200 + i
        Image.new("RGB", (30, 30), tuple(shade)).save(root / f"food/{i % 3:02}/{i}.png")
    (root / "background").mkdir()
    for name, gray in (("dark", 10), ("light", 90)):
        Image.new("RGB", (80, 80), (gray, gray, gray)).save(root / f"background/{name}.png")
    (root / "extras").mkdir()
    Image.new("RGB", (20, 30), (255, 0, 0)).save(root / "extras/fork.png")
    Image.new("RGB", (20, 30), (0, 0, 255)).save(root / "extras/spoon.png")
    return root


@pytest.mark.slow
def test_a_model_that_looks_at_the_fork_fails_and_one_that_looks_at_the_food_passes(
    templates: Path, tmp_path: Path
) -> None:
    db = slicedb.open(tmp_path / "d.slicedb")
    db.models.add("food", Looks(x=3))
    db.models.add("fork", Looks(x=6))
    good = db.behaviour("food", templates, labels=NAMES, least=0.75)
    assert [r.check for r in good.results] == [
        "accuracy over compositions >= 0.75",
        "invariance(background) >= 0.75",
        "invariance(extra) >= 0.75",
        "direction(foreground) >= 0.75",
    ]
    assert [r.value for r in good.results] == [1, 1, 1, 1]
    assert [r.verdict for r in good.results] == ["PASS", "PASS", "PASS", "INCONCLUSIVE"]
    assert good.results[2].n == 72 and "24 sets in 12 foregrounds" in good.results[2].message
    assert good.ok and good.results[3].needed is not None

    bad = db.behaviour("fork", least=0.75)
    assert [r.verdict for r in bad.results] == ["FAIL", "PASS", "FAIL", "FAIL"]
    extra = bad.results[2]
    assert "'plates/00/3+dark+none' is red, 'plates/00/3+dark+spoon' blue" in extra.message
    assert set(extra.worst_ids) <= set(db.query("extra IS NOT NULL").ids())
    assert "are both" in bad.results[3].message
    assert bad.exit_code == 1


def test_slice_files_can_ask_behaviour(templates: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "d.slicedb")
    db.compose(templates, labels=NAMES)
    db.models.add("fork", Looks(x=6))
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/cutlery.sql").write_text(
        "/*\nexpect:\n  - invariance(extra) >= 0.7\n  - invariance(flip_vertical) >= 0.5\n"
        "  - accuracy under brightness at 1 <= 0.9\n  - count = 0\n*/\ntemplate = 'plates'".replace(
            "  - count = 0\n", ""
        )
    )
    report = db.test(tmp_path / "queries", model="fork")
    assert [r.verdict for r in report.results] == ["FAIL", "PASS", "PASS"]
    assert report.results[0].slice == "cutlery"
    pair = report.results[0].worst_ids[:2]
    assert len(pair) == 2 and all(i.startswith("plates/") for i in pair)
    for text in (report.to_json(), report.to_markdown(), report.to_junit(), report.to_html()):
        assert pair[0] in text and pair[1] in text
    tests = db.store.table("tests", ["check", "verdict"]).to_pylist()
    assert tests[0] == {"check": "invariance(extra) >= 0.7", "verdict": "FAIL"}


def test_without_compositions_it_says_so(templates: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "d.slicedb")
    fill(db.store, colours(12), {name: name.split("_")[1] for name in colours(12)})
    db.models.add("m", MeanColour())
    with pytest.raises(CheckError, match="no compositions"):
        db.behaviour("m")
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries/a.sql").write_text("/*\nexpect: invariance(extra) >= 0.7\n*/\ntrue")
    report = db.test(tmp_path / "queries", model="m")
    assert report.results[0].verdict == "INCONCLUSIVE"
    assert "no compositions" in report.results[0].message
    for part in (templates / "food").iterdir():
        part.rename(templates / part.name)
    (templates / "food").rmdir()
    with pytest.raises(SourceError, match="No foregrounds in"):
        db.behaviour("m", templates)


# --- corruptions --------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    found = slicedb.open(tmp_path / "d.slicedb")
    pictures = colours(12) | {"bad": b"no picture"}
    fill(found.store, pictures, {name: name.split("_")[-1] for name in pictures})
    found.models.add("m", MeanColour())
    return found


def test_accuracy_against_severity_is_a_table_of_slices(db: slicedb.Database) -> None:
    db.slices.add("reds", "label = 'red'")
    found = db.corrupt("m", on=["", "reds"], kinds=["brightness", "flip"], severities=[1, 5])
    rows = found.to_arrow().to_pylist()
    assert [(r["slice"], r["kind"], r["severity"], r["n"]) for r in rows] == [
        ("", "clean", 0, 12),
        ("", "brightness", 1, 12),
        ("", "brightness", 5, 12),
        ("", "flip_horizontal", 1, 12),
        ("reds", "clean", 0, 4),
        ("reds", "brightness", 1, 4),
        ("reds", "brightness", 5, 4),
        ("reds", "flip_horizontal", 1, 4),
    ]
    assert found.value("reds", "flip_horizontal", 1) == 1.0
    assert all(r["low"] <= r["accuracy"] <= r["high"] for r in rows)
    assert rows[3]["same"] == 1.0
    assert found.left_out == 4  # the broken picture, as it is and changed
    assert "flip_horizontal" in str(found) and "n = 12" in str(found)


def test_without_labels_it_shows_which_predictions_stay(db: slicedb.Database) -> None:
    db.relabel("label = 'red'", None)
    found = db.corrupt("m", "label IS NULL", kinds=["flip"])
    assert found.to_arrow()["n"].to_pylist() == [0, 0]
    assert found.to_arrow()["same"].to_pylist() == [1.0, 1.0]
    assert "no labels; share of predictions that stay" in str(found) and "nan" not in str(found)


def test_predictions_equal_those_of_pictures_corrupted_one_by_one(db: slicedb.Database) -> None:
    db.severity("m", "", kinds=["gaussian_noise"], severities=[5], batch_size=5)
    stored = {r["sample"]: r for r in db.store.table(SPOILT + "m").to_pylist()}
    model = MeanColour()
    for key, data in db.store.read_images(db.keys("id <> 'bad'")):
        row = np.zeros((1, 8, 8, 3), np.uint8)
        model.preprocessing.fill(data, row[0])
        import torch

        pixels = torch.from_numpy(corrupt(row, "gaussian_noise", 5, keys=np.array([key])))
        logits = model.predict_batch(model.preprocessing.normalise(pixels)).numpy()[0]
        assert stored[key]["prediction"] == NAMES[int(logits.argmax())]
        p = np.exp(logits - logits.max())
        assert stored[key]["confidence"] == pytest.approx(p.max() / p.sum(), abs=1e-5)


def test_only_what_is_missing_is_predicted(db: slicedb.Database) -> None:
    from slicedb.behaviour.spoilt import spoil

    model, fog = MeanColour(), changes(["fog"], [1, 2])
    keys = db.keys()
    first = spoil(db.store, "m", model, keys[:5], fog[:1])
    assert (first.computed, first.unchanged, first.failed) == (5, 0, 0)
    second = spoil(db.store, "m", model, keys, fog, batch_size=3)
    assert (second.computed, second.unchanged, second.failed) == (19, 5, 2)
    assert spoil(db.store, "m", model, keys, fog).computed == 0
    fill(db.store, {"0_red": colours(3)["1_green"]}, {"0_red": "red"})
    assert spoil(db.store, "m", model, keys, fog).computed == 2
    assert spoil(db.store, "m", MeanColour(scale=5.0), keys, fog).computed == 24
    assert db.store.count(SPOILT + "m") == 26


def test_a_model_with_its_own_transform_gets_the_whole_picture_corrupted(
    db: slicedb.Database,
) -> None:
    import torch

    sizes = []

    class Own(MeanColour):
        @staticmethod
        def transform(image: Any) -> Any:  # type: ignore[override]
            sizes.append(image.size)
            return torch.from_numpy(np.asarray(image, np.float32) / 255).mean((0, 1))[:, None, None]

    db.models.add("own", Own())
    found = db.severity("own", "label = 'red'", kinds=["brightness"], severities=[1])
    assert found.value("label = 'red'", "brightness", 1) == 1.0
    assert set(sizes[-4:]) == {(12, 10)}


def test_dropping_a_model_drops_what_it_said_of_corrupted_pictures(db: slicedb.Database) -> None:
    db.severity("m", "", kinds=["flip"])
    assert db.store.has(SPOILT + "m")
    db.models.drop("m")
    assert not db.store.has(SPOILT + "m")


def test_unknown_kinds_are_named(db: slicedb.Database) -> None:
    with pytest.raises(CheckError, match="did you mean 'fog'"):
        db.severity("m", kinds=["fogg"])
    with pytest.raises(CheckError, match="1 to 5"):
        db.severity("m", kinds=["fog"], severities=[6])


def test_a_model_that_cannot_answer_is_refused_before_anything_is_drawn(
    db: slicedb.Database, tmp_path: Path
) -> None:
    with pytest.raises(UnknownModelError, match="No predictions of a model 'nosuch'"):
        db.corrupt("nosuch", kinds=["fog"])
    with pytest.raises(UnknownModelError, match="No predictions of a model 'nosuch'"):
        db.behaviour("nosuch", tmp_path / "is not read")
    ids = db.query("").ids()
    db.log_predictions("logged", {"id": ids, "prediction": ["red"] * len(ids)}, classes=NAMES)
    with pytest.raises(CheckError, match="'logged' has predicted no corrupted picture"):
        db.corrupt("logged", kinds=["fog"])
    db.log_predictions("boxes", {"id": ids, "objects": [[] for _ in ids]}, classes=NAMES)
    with pytest.raises(CheckError, match="'boxes' does detection"):
        db.corrupt("boxes", kinds=["fog"])


# --- the command line ---------------------------------------------------------------------------


def test_the_verb_composes_predicts_and_judges_in_one_command(
    templates: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "d.slicedb")
    slicedb.open(path)
    factory = tmp_path / "model.py"
    factory.write_text(
        "from slicedb.models import Model\n"
        "class Looks(Model):\n"
        "    classes = ('red', 'green', 'blue')\n"
        "    input_size = 8\n"
        "    def predict_batch(self, images):\n"
        "        return 10 * images[:, :, 5, 6]\n"
        "def build():\n    return Looks()\n"
    )
    runner = CliRunner()

    def call(*arguments: str) -> Any:
        return runner.invoke(verbs, ["--db", path, *arguments])

    assert call("model", "add", "fork", f"{factory}:build").exit_code == 0
    done = call("behaviour", "run", "fork", str(templates), "--labels", "red,green,blue")
    assert done.exit_code == 1, done.output
    assert "invariance(extra)" in done.output and "FAIL" in done.output
    done = call(
        "behaviour", "corrupt", "fork", "--on", "label = 'red'", "--kind", "fog", "-f", "csv"
    )
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[0].startswith('"slice","kind","severity"') or (
        done.output.startswith("slice,kind,severity")
    )
    listed = call("behaviour", "list")
    assert "direction(foreground)" in listed.output and "glass_blur" in listed.output


# --- corruptions of installed packages -----------------------------------------------------------

SEPIA = """
import torch

class Blank:
    name, family, about = "{name}", "colour", "swap red and blue"
    severities = {severities}

    def apply(self, images, severity, keys):
        assert len(keys) == len(images) and images.dtype == torch.uint8
        {body}

ONE = Blank()
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages that is looked at anew, before and after."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    CORRUPTIONS.forget()
    yield folder
    CORRUPTIONS.forget()


def blank(site: Path, module: str, name: str, body: str, severities: int = 2) -> None:
    sys.modules.pop(module, None)
    code = SEPIA.format(name=name, body=body, severities=severities)
    install(site, module, "slicedb.corruptions", {name: f"{module}:ONE"}, code)


def test_a_corruption_of_another_package_works_everywhere(
    plugged: Path, db: slicedb.Database
) -> None:
    blank(plugged, "adds_swapped", "swapped", "return images.flip(3) if severity == 2 else images")
    assert str(parse_check("invariance(swapped)>=0.5")) == "invariance(swapped at 2) >= 0.5"
    found = db.severity("m", "label = 'red'", kinds=["swapped"])
    assert [found.value("label = 'red'", "swapped", s) for s in (1, 2)] == [1.0, 0.0]
    asked = ["invariance(swapped at 1) >= 0.5", "accuracy under swapped at 2 >= 0.5"]
    db.slices.add("reds", "label = 'red'", expect=asked)
    report = db.test(["reds"], model="m")
    assert [r.value for r in report.results] == [1.0, 0.0]
    listed = CliRunner().invoke(verbs, ["behaviour", "list", "-f", "csv"]).output
    assert "swapped,colour,swap red and blue,invariance(swapped at 2) >= 0.8" in listed


@pytest.mark.parametrize(
    ("name", "severities", "body", "problem"),
    [
        ("Fog", 2, "", "'Fog' is no lower-case word"),
        ("fog", 2, "", "name 'fog' is taken"),
        ("much", 6, "", "'much' has 6 severities, not 1 to 5"),
    ],
)
def test_a_corruption_that_does_not_fit_is_left_out(
    plugged: Path, name: str, severities: int, body: str, problem: str
) -> None:
    blank(plugged, "does_not_fit", name, "return images", severities)
    with pytest.warns(PluginWarning, match=problem), pytest.raises(CheckError, match="no_such"):
        parse_check("invariance(no_such) >= 0.5")


def test_a_corruption_that_returns_something_else_is_named(plugged: Path) -> None:
    blank(plugged, "returns_floats", "floats", "return images.float()")
    with pytest.raises(PluginError, match=r"'floats' returned torch.float32 \(1, 8, 8, 3\)"):
        corrupt(np.zeros((1, 8, 8, 3), np.uint8), "floats", 1, keys=np.zeros(1, np.int64))


def test_on_is_another_name_of_slices(db: slicedb.Database) -> None:
    options: dict[str, Any] = {"kinds": ["flip"], "severities": [1]}
    by_slices = db.corrupt("m", "label = 'red'", **options).to_arrow()
    assert db.corrupt("m", on="label = 'red'", **options).to_arrow() == by_slices
    assert db.severity("m", "label = 'red'", **options).to_arrow() == by_slices
    where = "label = 'red'"
    assert db.evaluate("m", on=where).to_arrow() == db.evaluate("m", where).to_arrow()
    assert db.compare("m", "m", on=where).to_arrow() == db.compare("m", "m", where).to_arrow()
    assert db.power("m", "m", on=where).to_arrow() == db.power("m", "m", where).to_arrow()
    with pytest.raises(CheckError, match="two names of one argument"):
        db.evaluate("m", "true", on="true")
