"""Try: a dropped picture, what each model says of it, what it looked at, and what is near."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import apps
import pytest
from PIL import Image

import slicedb

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

MODELS = '''
import torch
from slicedb.models import Detector, TorchClassifier


def mean():
    """Say how red, green and blue a picture is."""
    ends = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    weights = torch.nn.Conv2d(3, 3, 1, bias=False)
    with torch.no_grad():
        weights.weight.copy_(10 * torch.eye(3)[:, :, None, None])
    names = ("red", "green", "blue")
    plain = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "input_size": 16, "resize": "squash"}
    return TorchClassifier(torch.nn.Sequential(weights, *ends), classes=names, **plain)


class Square(Detector):
    """Finds what is red."""

    classes = ("square",)

    def predict_batch(self, images):
        found = []
        for image in images:
            rows, columns = torch.where((image[0] > 0.6) & (image[1] < 0.4))
            boxes, n = torch.zeros(0, 4), min(1, len(rows))
            if n:
                ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                boxes = torch.tensor([[float(end) for end in ends]])
            ones = torch.ones(n)
            found.append({"boxes": boxes, "labels": ones.long(), "scores": 0.8 * ones})
        return found
'''


@pytest.fixture(scope="module")
def trying(web_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[apps.App]:
    root = tmp_path_factory.mktemp("trying")
    shutil.copytree(web_scenes, root / "scenes.slicedb")
    (root / "models.py").write_text(MODELS)
    db = slicedb.open(root / "scenes.slicedb")
    db.models.add("mean", f"{root}/models.py:mean")
    db.models.add("square", f"{root}/models.py:Square")
    with apps.run(root / "scenes.slicedb") as app:
        yield app


def picture() -> bytes:
    """Return a gray picture with a red part, 80 × 60."""
    image = Image.new("RGB", (80, 60), (90, 90, 90))
    image.paste((250, 10, 10), (10, 20, 50, 50))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def test_models_answer_about_an_uploaded_picture(trying: apps.App) -> None:
    offered = trying.ask("/try.json")
    assert [model["name"] for model in offered["models"]] == ["mean", "square"]
    assert offered["elsewhere"] == ["good", "weak"] and offered["embeddings"] == ["default"]
    name = trying.ask("/api/uploads", body=picture())["name"]
    said = trying.ask("/api/try", model="mean", picture=name)
    assert (said["prediction"], said["task"]) == ("red", "classification")
    assert said["classes"][0]["name"] == "red" and said["n_classes"] == 3
    assert sum(c["p"] for c in said["classes"]) == pytest.approx(1, abs=1e-4)
    found = trying.ask("/api/try", model="square", picture=name)
    assert found["task"] == "detection" and found["prediction"] == "1 square"
    assert found["boxes"] == [
        {"label": "square", "score": pytest.approx(0.8), "xywh": [10, 20, 40, 30]}
    ]
    assert trying.ask("/api/try/size", picture=name) == {"width": 80, "height": 60}
    near = trying.ask("/api/try/nearest", picture=name, n=3)
    assert len(near["rows"]) == 3 and near["rows"][0]["similarity"] >= near["rows"][2]["similarity"]
    shown = trying.ask("/api/page", q=near["query"], p=f'{{"upload": "{name}"}}', a=0, b=3)
    assert [row["id"] for row in shown["rows"]] == [row["id"] for row in near["rows"]]


def got(app: apps.App, path: str) -> tuple[int, str, bytes]:
    headers = {"X-SliceDB": "1", "Cookie": app.cookie}
    try:
        with urlopen(Request(app.url + path, None, headers)) as answer:
            return answer.status, answer.headers["content-type"], answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read()


def test_pictures_that_come_back_are_jpegs_of_ours(trying: apps.App) -> None:
    name = trying.ask("/api/uploads", body=picture())["name"]
    plain = got(trying, f"/api/try/picture?picture={name}")
    map = got(trying, f"/api/try/picture?picture={name}&model=mean&target=red")
    boxes = got(trying, f"/api/try/picture?picture={name}&model=square")
    for status, kind, data in (plain, map, boxes):
        assert (status, kind) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(data)).format == "JPEG"
    assert len({plain[2], map[2], boxes[2]}) == 3


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/try?model=mean&picture=u_0000000000000000", 400, "not held any more"),
        ("/api/try?model=mean&picture=../../etc/passwd", 400, "no uploaded picture"),
        ("/api/try?model=gone&picture=u_0000000000000000", 404, "No model 'gone'"),
        ("/api/try?model=good&picture=u_0000000000000000", 404, "cannot be run here"),
        ("/api/try/picture?picture=/etc/passwd", 400, "no uploaded picture"),
        ("/api/try/nearest?picture=x", 400, "no uploaded picture"),
    ],
)
def test_what_cannot_be_tried_is_said(trying: apps.App, path: str, status: int, words: str) -> None:
    code, _, text = got(trying, path)
    assert code == status and words in text.decode()


def test_bombs_and_what_is_no_picture_are_refused(trying: apps.App) -> None:
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    for data in (out.getvalue(), b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        assert trying.ask("/api/uploads", body=data)["error"]["kind"] == "MediaError"


@pytest.fixture
def tab(context: BrowserContext, trying: apps.App) -> Page:
    trying.enter(context)
    page = context.new_page()
    page.goto(trying.url + "/try")
    return page


@pytest.mark.slow
def test_a_reader_drops_a_picture(tab: Page, axe: Callable[[Page], list[str]]) -> None:
    file = {"name": "red.png", "mimeType": "image/png", "buffer": picture()}
    tab.locator("#file").set_input_files(file)
    tab.locator("[data-model=square] table").wait_for()
    assert tab.locator("[data-model=mean] .best b").text_content() == "red"
    tab.locator("#stage svg rect").first.wait_for()  # the boxes are shown at once
    tab.get_by_role("button", name="red", exact=True).click()
    tab.locator("#about", has_text="what speaks for red, by mean").wait_for()
    assert tab.locator("#stage svg").count() == 0
    tab.locator("#nearest .tiles a").nth(11).wait_for()
    assert axe(tab) == []
    tab.emulate_media(color_scheme="dark")
    assert axe(tab) == []
    tab.reload()
    tab.locator("[data-model=square] table").wait_for()
    link = tab.get_by_role("link", name="Open in Explore").get_attribute("href") or ""
    assert "similarity" in link and "u_" in link
    big = {"name": "big.png", "mimeType": "image/png", "buffer": b"x" * 10_500_000}
    tab.locator("#file").set_input_files(big)
    tab.get_by_text("a picture may have 10 MB").wait_for()
