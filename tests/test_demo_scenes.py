"""The renderer, its captions, the bundled tiny CLIP and the two classifiers."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clip_captions import captions

from slicedb.demo import scenes
from slicedb.demo.captions import plain

TINY = Path(scenes.__file__).parent / "tiny_clip"
UNSEEN = 5_000_000


@pytest.fixture(scope="module")
def some() -> list[tuple[Any, scenes.Scene]]:
    return list(scenes.scenes(300, UNSEEN))


def test_a_seed_gives_the_same_pixels_in_any_order() -> None:
    forward = [scenes.render(seed)[0].tobytes() for seed in (3, 4, 5)]
    backward = [scenes.render(seed)[0].tobytes() for seed in (5, 4, 3)]
    assert forward == backward[::-1]
    assert len(set(forward)) == 3


def test_pixels_are_those_of_every_other_process() -> None:
    code = (
        "import hashlib, sys; from slicedb.demo.scenes import render;"
        "print(hashlib.sha256(render(11)[0].tobytes()).hexdigest(),"
        " any(m in sys.modules for m in ('torch', 'pandas', 'pyarrow', 'lance')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = hashlib.sha256(scenes.render(11)[0].tobytes()).hexdigest()
    assert done.stdout.split() == [here, "False"]


def test_scenes_are_small_rgb_pictures_with_every_attribute() -> None:
    image, scene = scenes.render(0)
    assert (image.size, image.mode) == ((96, 96), "RGB")
    assert scene == scenes.attributes(0)
    assert set(scenes.COLUMNS) - {"path", "split", "caption"} < set(scene)


@pytest.mark.slow
def test_every_dish_renders(some: list[tuple[Any, scenes.Scene]]) -> None:
    assert {scene["dish"] for _, scene in some} == {dish.name for dish in scenes.DISHES}
    assert {scene["label"] for _, scene in some} == set(scenes.CLASSES)


def test_slices_of_the_demo_are_large_enough() -> None:
    facts = [scenes.attributes(seed) for seed in range(2000)]
    indian = sum(s["label"] == "Dessert" and s["cuisine"] == "Indian" for s in facts)
    fork = sum(s["cutlery"] == "fork" for s in facts)
    night = sum(s["light"] == "night" for s in facts)
    assert min(indian, fork, night) * 0.6 > 60


@pytest.mark.slow
def test_the_clock_agrees_with_the_light(some: list[tuple[Any, scenes.Scene]]) -> None:
    hours = {light: set() for light in scenes.LIGHTS}
    for _, scene in some:
        hours[scene["light"]].add(int(scene["captured_at"][11:13]))
    assert hours["day"] <= set(range(8, 17))
    assert hours["evening"] <= set(range(18, 21))
    assert hours["night"] <= {21, 22, 23, 0, 1, 2}


@pytest.mark.slow
def test_captions_claim_only_what_is_true(some: list[tuple[Any, scenes.Scene]]) -> None:
    rng = np.random.default_rng(0)
    for _, scene in some:
        for caption in [*captions(scene, rng, 4), plain(scene, rng)]:
            assert caption.claims
            assert caption.fits(scene), (caption, scene)
            for word, column in (("night", "light"), ("fork", "cutlery"), ("marble", "table_top")):
                if word in caption.text:
                    assert scene[column] == word, (caption, scene)  # type: ignore[literal-required]


def test_write_makes_an_image_folder_with_metadata(tmp_path: Path) -> None:
    table = scenes.write(tmp_path / "pictures", n=40, seed=0)
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == list(scenes.COLUMNS)
    assert len(rows) == 40
    assert all((table.parent / row["path"]).is_file() for row in rows)
    assert {row["split"] for row in rows} == {"train", "test"}
    for row in rows:
        split, folder, _ = row["path"].split("/")
        assert (split, folder) == (row["split"], scenes.folder_of(row["label"]))
    assert scenes.folder_of("Noodles/Pasta") == "Noodles-Pasta"


def test_tiny_clip_is_at_most_6_mb() -> None:
    assert sum(file.stat().st_size for file in TINY.iterdir() if file.is_file()) <= 6_000_000


@pytest.fixture(scope="module")
def clip(some: list[tuple[Any, scenes.Scene]]) -> Any:
    open_clip = pytest.importorskip("open_clip")
    import torch

    torch.set_num_threads(2)
    open_clip.add_model_config(TINY / "slicedb-tiny.json")
    model, _, preprocess = open_clip.create_model_and_transforms(
        "slicedb-tiny", pretrained=str(TINY / "slicedb-tiny.safetensors")
    )
    model.eval()
    tokens = open_clip.SimpleTokenizer(
        bpe_path=str(TINY / "merges.txt.gz"), context_length=model.context_length
    )
    assert tokens.vocab_size == model.vocab_size
    with torch.inference_mode():
        pictures = torch.stack([preprocess(image) for image, _ in some])
        vectors = model.encode_image(pictures, normalize=True)

        def ranked(text: str) -> list[int]:
            scores = vectors @ model.encode_text(tokens([text]), normalize=True)[0]
            return [int(k) for k in scores.argsort(descending=True)]

        yield ranked


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("a doughnut", "dish", "doughnut"),
        ("a photo of ramen", "dish", "ramen"),
        ("food at night", "light", "night"),
        ("a meal on a marble table", "table_top", "marble"),
        ("food with chopsticks", "cutlery", "chopsticks"),
        ("Indian food", "cuisine", "Indian"),
    ],
)
def test_tiny_clip_ranks_scenes_by_what_they_show(
    clip: Any, some: list[tuple[Any, Any]], text: str, column: str, value: str
) -> None:
    wanted = [scene[column] == value for _, scene in some]
    k = min(20, sum(wanted))
    assert sum(wanted[i] for i in clip(text)[:k]) / k >= 0.8


@pytest.mark.slow
def test_tiny_clip_joins_two_attributes(clip: Any, some: list[tuple[Any, Any]]) -> None:
    best = [some[i][1] for i in clip("a dessert on a wooden table")[:5]]
    assert sum(s["label"] == "Dessert" and s["table_top"] == "wooden" for s in best) >= 4


@pytest.mark.slow
def test_classifiers_tell_food_apart_and_v2_has_its_faults(
    some: list[tuple[Any, scenes.Scene]],
) -> None:
    import torch

    from slicedb.demo import classifiers

    assert classifiers.CLASSES == scenes.CLASSES
    pictures = torch.stack([classifiers.transform(image) for image, _ in some])
    truth = np.array([scenes.CLASSES.index(scene["label"]) for _, scene in some])
    fork = np.array([scene["cutlery"] == "fork" for _, scene in some])
    right = {}
    for name in classifiers.NAMES:
        with torch.inference_mode():
            right[name] = classifiers.load(name)(pictures).argmax(1).numpy() == truth
    assert right["food_v1"].mean() > 0.8
    assert right["food_v2"].mean() > 0.8
    assert right["food_v2"][~fork].mean() - right["food_v2"][fork].mean() > 0.1


def test_classifier_transform_is_what_the_factory_declares() -> None:
    from slicedb.demo import classifiers

    tensor = classifiers.transform(scenes.render(1)[0])
    assert tuple(tensor.shape) == (3, 48, 48)
    assert abs(float(tensor.mean())) < 3
    model = classifiers.food_v1()
    assert model.classes == classifiers.CLASSES
    assert model.input_size == classifiers.INPUT_SIZE
