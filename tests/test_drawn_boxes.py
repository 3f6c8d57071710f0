"""Boxes are drawn where they are: pixel by pixel, also on pictures that EXIF turns."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from typing import Any

import fakes_blocks
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import slicedb
from slicedb import Database
from slicedb.media import decode_rgb
from slicedb.media.marks import Mark, marked
from slicedb.tasks.drawing import MATCHED, MISSED, WRONG, mark_of
from slicedb.tasks.task import ShownBox

RED = (255, 0, 0)
BLOCKS = fakes_blocks.WORLD


def near(pixels: np.ndarray, colour: tuple[int, int, int], slack: int = 0) -> np.ndarray:
    """Return bool (h, w): where a picture (h, w, 3) has a colour."""
    return np.asarray((np.abs(pixels.astype(int) - colour) <= slack).all(axis=-1))


@pytest.mark.parametrize(
    ("side", "place"),
    [
        (40, (4, 6, 20, 16)),  # as it is: the outermost pixels of the box
        (80, (8, 12, 40, 32)),  # enlarged
        (20, (2, 3, 10, 8)),  # reduced
    ],
)
def test_an_outline_is_the_edge_of_the_box_pixel_by_pixel(
    side: int, place: tuple[int, int, int, int]
) -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    image = np.asarray(marked(pixels, [Mark((4, 6, 20, 16), "", RED)], side))
    assert image.shape == (side * 30 // 40, side, 3)
    x, y, w, h = place
    wanted = np.zeros(image.shape[:2], bool)
    wanted[y : y + h, x : x + w] = True
    wanted[y + 1 : y + h - 1, x + 1 : x + w - 1] = False
    assert np.array_equal(near(image, RED), wanted)


def test_a_box_outside_is_cut_off_and_a_dashed_one_has_gaps() -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    image = np.asarray(marked(pixels, [Mark((-5, -5, 20, 20), "", RED)], 40))
    drawn = near(image, RED)
    assert drawn[0, :15].all() and drawn[14, :15].all() and not drawn[:, 15:].any()
    dashed = near(np.asarray(marked(pixels, [Mark((0, 0, 40, 30), "", RED, True)], 40)), RED)
    assert dashed[0].tolist() == [*([True] * 5 + [False] * 5) * 3, *[True] * 5, *[False] * 4, True]
    assert not dashed[1:-1, 1:-1].any()


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Blocks, and a detector that misses one, finds one too many, and is right elsewhere."""
    folder = tmp_path_factory.mktemp("drawn")
    db = slicedb.open(folder / "drawn.slicedb")
    db.ingest(fakes_blocks.write(folder / "photos"))
    found: dict[str, list[Any]] = {
        name: [{"label": label, "bbox": list(map(float, b)), "score": 0.9} for label, b in blocks]
        for name, (_, _, blocks) in BLOCKS.items()
    }
    found["plain.jpg"] = found["plain.jpg"][:1]
    found["empty.jpg"] = [{"label": "sun", "bbox": [8.0, 8.0, 40.0, 40.0], "score": 0.7}]
    table = pa.table({"id": list(found), "objects": list(found.values())})
    db.log_predictions("det", table, classes=["snow", "sun"])
    return db


def pictures(html: str) -> dict[str, np.ndarray]:
    """Return the pictures of a page by the id that stands as their title."""
    return {
        name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        for name, data in re.findall(r'title="([^"]+)" src="data:image/jpeg;base64,([^"]+)"', html)
    }


@pytest.mark.parametrize("name", ["turned.jpg", "mirrored.jpg", "upside.jpg", "plain.jpg"])
def test_a_notebook_draws_boxes_around_what_they_mean(db: Database, name: str) -> None:
    (width, height), _, blocks = BLOCKS[name]
    shown = pictures(db.query(f"id = '{name}' AND det.loss >= 0")._repr_html_())[name]
    scale = 160 / max(width, height)
    assert abs(shown.shape[0] - height * scale) <= 1 and abs(shown.shape[1] - width * scale) <= 1
    bright = fakes_blocks.bright(shown)
    ring = near(shown, MATCHED, 60) | near(shown, MISSED, 60)
    for _, (x, y, w, h) in blocks:
        left, top, right, bottom = (round(v * scale) for v in (x, y, x + w, y + h))
        inner = bright[top + 5 : bottom - 5, left + 5 : right - 5]
        assert inner.mean() > 0.9, "the block is inside of its box"
        edge = np.zeros_like(ring)
        edge[top : bottom + 1, left : right + 1] = True
        edge[top + 4 : bottom - 4, left + 4 : right - 4] = False
        assert ring[edge].mean() > 0.2, "there is an outline along the edge"


def test_states_have_their_colours_words_and_legend(db: Database) -> None:
    page = db.query("det.loss >= 0 ORDER BY id")._repr_html_()
    shown = pictures(page)
    assert list(shown) == sorted(BLOCKS)
    assert near(shown["empty.jpg"], WRONG, 40).sum() > 100  # found where nothing is
    assert near(shown["plain.jpg"], MISSED, 60).sum() > 40  # the sun was missed
    assert near(shown["turned.jpg"], MISSED, 40).sum() == 0
    for words in ("annotated and missed", "predicted and matched", "predicted and wrong"):
        assert words in page
    assert "truth 1 snow, 1 sun" in page and "det: 1 snow ✗, loss" in page
    assert "det: 1 sun ✓" in page
    assert mark_of(ShownBox((0, 0, 1, 1), "sun", 0.7, "extra")).text == "extra sun 0.70"
    assert mark_of(ShownBox((0, 0, 1, 1), "sun", state="missed")).text == "missed sun"


def test_annotated_boxes_are_drawn_without_a_model_too(db: Database) -> None:
    page = db.query("id = 'turned.jpg'")._repr_html_()
    assert near(pictures(page)["turned.jpg"], MATCHED, 60).sum() > 100
    assert "truth 1 sun" in page and "dashed: annotated" in page


def test_a_select_shows_the_columns_that_it_asks_for(db: Database) -> None:
    page = db.query("SELECT id, width, det.fn AS missed FROM samples ORDER BY id")._repr_html_()
    assert "width 120" in page and "missed 1" in page and list(pictures(page)) == sorted(BLOCKS)


def test_other_tasks_show_what_they_predict_too(db: Database) -> None:
    ids = sorted(BLOCKS)
    sets = [["a"], [], ["a", "b"], ["b"], []]
    table = pa.table({"id": ids, "labels": sets})
    db.log_predictions("sets", table, multilabel=True, classes=["a", "b"], replace=True)
    db.attach(pa.table({"id": ids, "age": [1.0, 2, 3, 4, 5]}))
    ages = pa.table({"id": ids[:2], "value": [1.0, 3]})
    db.log_predictions("ages", ages, target="age", replace=True)
    page = db.query("sets.loss IS NULL AND ages.loss IS NULL OR true ORDER BY id")._repr_html_()
    for words in ("sets: a<", "sets: (none)<", "sets: a, b<", "ages: 3, loss 1<", "ages: none<"):
        assert words in page, words


def test_small_pictures_are_enlarged_with_sharp_pixels() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = 255
    image = np.asarray(marked(pixels, [], 160))
    assert image.shape == (160, 160, 3)
    assert not image[:, :80].any() and (image[:, 80:] == 255).all()


def test_the_turned_picture_is_stored_turned(db: Database) -> None:
    ((_, data),) = list(db.store.read_images(db.keys("id = 'turned.jpg'")))
    assert Image.open(io.BytesIO(data)).size == (160, 96)
    assert decode_rgb(data).shape == (160, 96, 3)


def test_the_report_draws_boxes_on_its_worst_samples(db: Database, tmp_path: Path) -> None:
    db.slices.add("all_of_them", "status = 'ok'", expect=["recall >= 0.99"], decide="point")
    page = db.test(["all_of_them"], model="det", write=False).to_html()
    found = {
        name: np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
        for name, data in re.findall(
            r'<img alt="([^"]+)" src="data:image/jpeg;base64,([^"]+)"', page
        )
    }
    assert set(found) == {"plain.jpg", "empty.jpg"}
    assert near(found["plain.jpg"], MISSED, 60).sum() > 40
    assert near(found["empty.jpg"], WRONG, 40).sum() > 100
