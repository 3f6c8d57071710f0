"""Templates and what is expected of predictions over them."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from slicedb.behaviour.expect import Rate, accuracy, agreement, composed, direction, invariance
from slicedb.behaviour.templates import NOTHING, Templates, compose, source
from slicedb.errors import CheckError, SourceError
from slicedb.expectations import parse_check
from slicedb.judge.behaviours import evidence_of
from slicedb.judge.trials import JudgedSlice, Trial
from slicedb.judge.verdicts import SuiteSettings, verdicts
from slicedb.schema import SAMPLES
from slicedb.slices import Slice
from slicedb.store import Store
from slicedb.tasks import TASKS


def cut_out(path: Path, colour: tuple[int, int, int]) -> None:
    image = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((10, 10, 49, 49), fill=(*colour, 255))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "plates"
    cut_out(root / "food/00/a.png", (255, 0, 0))
    cut_out(root / "food/00/b.png", (200, 0, 0))
    cut_out(root / "food/01/a.png", (0, 0, 255))
    (root / "background").mkdir()
    Image.new("RGB", (100, 80), (10, 120, 10)).save(root / "background/wood.jpg")
    Image.new("RGB", (90, 90), (120, 120, 120)).save(root / "background/cloth.png")
    cut_out(root / "extras/fork.png", (255, 255, 255))
    return root


def test_every_combination_is_a_sample_with_its_lineage(folder: Path, tmp_path: Path) -> None:
    store = Store.open(tmp_path / "d.slicedb")
    report = compose(store, folder, labels=["Bread", "Egg"], split="test")
    assert report.added == 3 * 2 * 2
    rows = {r["id"]: r for r in store.table(SAMPLES).to_pylist()}
    row = rows["plates/01/a+wood+fork"]
    assert (row["label"], row["split"], row["status"]) == ("Egg", "test", "ok")
    assert (row["template"], row["foreground"]) == ("plates", "01/a")
    assert (row["background"], row["extra"]) == ("wood", "fork")
    assert rows["plates/00/b+cloth+none"]["label"] == "Bread"
    assert compose(store, folder, labels=["Bread", "Egg"], split="test").unchanged == 12


def test_order_and_batch_do_not_change_a_byte(folder: Path) -> None:
    templates = Templates.open(folder)
    every = templates.compositions()
    straight = {c.id: templates.encode(c) for c in every}
    random.Random(0).shuffle(every)
    again = Templates.open(folder)
    for batch in source(again, every).batches:
        for sample, data in zip(batch["id"].to_pylist(), batch["image"].to_pylist()):
            assert data == straight[sample]


def test_things_lie_where_the_layout_says(folder: Path) -> None:
    (folder / "layout.toml").write_text(
        "[foreground]\nx = 0.25\ny = 0.5\nwidth = 0.4\nheight = 0.4\n"
        "[extras.fork]\nx = 0.75\ny = 0.5\n[classes]\n'00' = 'Bread'\n"
    )
    templates = Templates.open(folder)
    made = templates.compositions(classes=["00"], backgrounds=["wood"], extras=["fork"])
    assert [c.label for c in made] == ["Bread", "Bread"]
    picture = np.asarray(templates.compose(made[0]))
    assert picture.shape == (80, 100, 3)
    assert picture[40, 25].tolist() == [255, 0, 0]
    assert picture[40, 75].tolist() == [255, 255, 255]
    assert abs(picture[5, 50].astype(int) - (10, 120, 10)).max() <= 3


def test_extras_are_a_choice(folder: Path) -> None:
    templates = Templates.open(folder)
    bare = templates.compositions(extras=[NOTHING])
    assert len(bare) == 6 and {c.extra for c in bare} == {"none"}
    with pytest.raises(SourceError, match=r"No extra 'frok' in 'plates'.*did you mean 'fork'"):
        templates.compositions(extras=["frok"])
    with pytest.raises(SourceError, match="No class '07'"):
        templates.compositions(classes=["07"])


def test_folders_that_cannot_be_composed_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="No foregrounds in"):
        Templates.open(tmp_path / "empty")
    (folder / "layout.toml").write_text("[extras.spoon]\nx = 0.5\n")
    with pytest.raises(SourceError, match="Unknown extra 'spoon'"):
        Templates.open(folder)
    (folder / "layout.toml").write_text("[foreground]\nx = 40\n")
    with pytest.raises(SourceError, match="share between 0 and 1"):
        Templates.open(folder)
    (folder / "layout.toml").unlink()
    (folder / "food/01/a.png").write_bytes(b"no picture")
    templates = Templates.open(folder)
    with pytest.raises(SourceError, match=r"Cannot read the template picture '.*a\.png'"):
        [templates.encode(c) for c in templates.compositions()]
    for file in (folder / "background").iterdir():
        file.unlink()
    with pytest.raises(SourceError, match="No backgrounds"):
        Templates.open(folder)


def grid(predict: object, foregrounds: int = 9) -> pa.Table:
    """Compositions of 3 classes on 3 backgrounds with 4 extras, and what a model says of them."""
    rows = []
    for f in range(foregrounds):
        for b in range(3):
            for e in ("none", "fork", "spoon", "plastic_fork"):
                row = {"template": "t", "label": f"c{f % 3}", "foreground": f"c{f % 3}/{f}"}
                row |= {"background": str(b), "extra": e, "id": f"{f}+{b}+{e}"}
                row["prediction"] = predict(row)  # type: ignore[operator]
                rows.append(row)
    return pa.Table.from_pylist(rows)


def verdict_of(rate: Rate, bound: float) -> str:
    """Return the verdict of a suite of one expectation."""
    nobody = np.empty(0, np.int64)
    scope = JudgedSlice(Slice("compositions", "true"), nobody, nobody)
    trial = Trial(scope, parse_check(f"accuracy over compositions >= {bound}"), "m")
    (result,) = verdicts([evidence_of(trial, rate, 0.95)], SuiteSettings())
    return result.verdict


def test_a_model_that_looks_at_the_fork_fails() -> None:
    rows = grid(lambda r: "c0" if "fork" in r["extra"] else r["label"])
    rate = invariance(rows, "extra")
    assert (rate.value, rate.n, rate.groups) == (pytest.approx(1 / 3), 27, 9)
    assert verdict_of(rate, 0.7) == "FAIL"
    assert "1+0+fork" in rate.broken[0]
    assert rate.pairs[0] == ("1+0+none", "c1", "1+0+fork", "c0")
    assert verdict_of(invariance(rows, "background"), 0.7) == "PASS"


def test_a_model_that_does_not_passes_in_95_of_100_seeds() -> None:
    passed = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        said = {f: f"c{rng.integers(3)}" for f in range(9)}  # wrong as often as not, but steady
        rows = grid(lambda r, said=said: said[int(r["foreground"].split("/")[1])])
        passed += verdict_of(invariance(rows, "extra"), 0.7) == "PASS"
    assert passed >= 95


def test_sets_of_one_foreground_are_no_independent_evidence() -> None:
    """A food that is unsteady is so on every table: the true rate is 0.6, the bound 0.6 holds."""
    wrong = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        unsteady = rng.random(9) < 0.4
        said = [f"c{f % 3}" for f in range(9)]
        rows = grid(
            lambda r, u=unsteady, s=said: (
                "c9"
                if r["extra"] == "fork" and u[int(r["foreground"].split("/")[1])]
                else s[int(r["foreground"].split("/")[1])]
            )
        )
        rate = invariance(rows, "extra")
        wrong += not rate.low <= 0.6 <= rate.high
    assert wrong <= 200 * 0.1  # two bounds of 95 % each


def test_direction_wants_another_prediction_for_another_class() -> None:
    right = direction(grid(lambda r: r["label"]))
    assert (right.value, right.n, right.groups) == (1.0, 27, 4)
    assert right.low == pytest.approx(0.05 ** (1 / 4))
    assert verdict_of(right, 0.4) == "PASS"
    blind = direction(grid(lambda r: r["background"]))
    assert (blind.value, verdict_of(blind, 0.8)) == (0.0, "FAIL")
    assert len(blind.broken) == 27
    assert blind.pairs[0] == ("0+0+none", "0", "1+0+none", "0")


def test_accuracy_and_missing_predictions() -> None:
    rows = grid(lambda r: None if r["extra"] == "spoon" else r["label"], foregrounds=3)
    rate = accuracy(rows)
    assert (rate.value, rate.n, rate.left_out, rate.groups) == (1.0, 27, 9, 3)
    assert rate.low == pytest.approx(0.05 ** (1 / 3))
    assert invariance(rows, "extra").n == 0
    assert verdict_of(invariance(rows, "extra"), 0.8) == "INCONCLUSIVE"
    assert accuracy(grid(lambda r: None)).n == 0
    assert direction(rows).left_out == 3


def test_agreement_counts_equal_pairs() -> None:
    rate = agreement(["a", "b", None, "c"], ["a", "c", "b", "c"], ["1", "2", "3", "4"], "flip")
    assert (rate.value, rate.n, rate.left_out, rate.broken) == (pytest.approx(2 / 3), 3, 1, [["2"]])


def test_unknown_behaviours_are_named() -> None:
    with pytest.raises(CheckError, match="did you mean 'background'"):
        invariance(grid(lambda r: "x", 1), "backgrounds")
    with pytest.raises(CheckError, match="No column 'light'"):
        invariance(grid(lambda r: "x", 1), ["light"])


def test_lineage_and_predictions_are_joined(folder: Path, tmp_path: Path) -> None:
    from fakes_models import MeanColour

    from slicedb.predictions import predict

    store = Store.open(tmp_path / "d.slicedb")
    with pytest.raises(CheckError, match="no compositions"):
        composed(store, "m")
    compose(store, folder)
    with pytest.raises(CheckError, match="No predictions of 'm'"):
        composed(store, "m")
    store.create("predictions__boxes", TASKS["detection"].schema(None))
    with pytest.raises(CheckError, match="'boxes' predicts no class"):
        composed(store, "boxes")
    predict(store, "m", MeanColour(), None)
    rows = composed(store, "m")
    assert rows.num_rows == 12 and rows["prediction"].null_count == 0
    assert invariance(rows).n == 3


@pytest.mark.realdata
def test_food11_templates_compose(shared_data: Path) -> None:
    templates = Templates.open(shared_data / "food11-cases/templates")
    every = templates.compositions()
    assert len(every) == 9 * 3 * 4
    assert every[0].id == "templates/05/001+001+none"
    picture = templates.compose(every[-1])
    assert picture.mode == "RGB" and min(picture.size) > 300
