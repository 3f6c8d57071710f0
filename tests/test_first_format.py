"""A database written by an earlier SliceDB opens, anywhere, and answers as it did there."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import slicedb
from slicedb.schema import SAMPLES

DATA = Path(__file__).parent / "data"
sys.path.insert(0, str(DATA))

from first_format import answers  # noqa: E402


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the database and `answers.json`, away from where it was written."""
    folder = tmp_path_factory.mktemp("elsewhere")
    with tarfile.open(DATA / "first_format.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.slow
def test_an_old_database_answers_as_it_did(unpacked: Path) -> None:
    before: dict[str, Any] = json.loads((unpacked / "answers.json").read_text())
    now = answers(slicedb.open(unpacked / "old.slicedb"))
    assert sorted(now) == sorted(before)
    assert {row.pop("boxes") for row in now["evaluate"]} == {None, 2, 3, 7, 12}  # since then
    # `iou` counts missed boxes since then, and the doctor derives it again
    assert [f for f in now["doctor"] if f not in before["doctor"]] == [
        "predictions of boxes: 12 stale truths (`slicedb doctor --mend`)"
    ]
    now["doctor"] = before["doctor"]
    # the interval of a mean average precision of few pictures is wider since then
    new, old = ([r for r in made["evaluate"] if r["metric"] == "map"] for made in (now, before))
    assert all(a.pop("low") <= b.pop("low") for a, b in zip(new, old))
    assert all((a.pop("high") or 1) >= (b.pop("high") or 0) for a, b in zip(new, old))
    # `answers` evaluates "rainy", which has expectations: that is a look on record since then
    assert now["runs"].pop(0)["kind"] == "evaluate"
    for part in before:
        assert now[part] == before[part], part


def test_an_old_database_is_written_on(unpacked: Path) -> None:
    db = slicedb.open(unpacked / "old.slicedb")
    assert db.relabel("id = '04.png'", "red") == 1
    assert db.tag("label = 'red'", "seen") == 6
    assert db.delete("id = '16.png'") == 1
    assert db.embed().unchanged == 16
    assert db.query("list_contains(tags, 'seen') AND day.loss IS NOT NULL").count() == 6
    assert db.commit("edited again").tables[SAMPLES] > 6
    db.commits.checkout("clean", force=True)
    assert db.query("").count() == 18
    assert db.query("label = 'green'").ids() == db.query("label = 'green'", at="clean").ids()


def test_an_old_database_takes_outlines(unpacked: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    polygon = [[10, 10, 30, 10, 30, 40]]
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": polygon}
    whole = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{**annotation, "keypoints": [1, 2, 2]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(whole))
    db = slicedb.open(unpacked / "old.slicedb")
    before = db.query("objects IS NOT NULL").count()
    db.ingest(tmp_path / "a.json")
    [[box]] = db.sql("SELECT objects FROM samples WHERE id = 'a.png'")["objects"].to_pylist()
    assert (box["bbox"], box["keypoints"]) == ([10, 10, 20, 30], [1, 2, 2])
    assert json.loads(box["segmentation"]) == polygon
    assert db.query("objects IS NOT NULL").count() == before + 1
    assert db.relabel("id = 'a.png'", "red") == 1
