"""The same tree from a folder and from a bucket, in every format: ids, hashes and boxes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes_bucket import Bucket, create, serve
from PIL import Image

import slicedb
from slicedb.schema import SAMPLES
from slicedb.sources import reading, remote

_names = (f"forms-{i}" for i in itertools.count())
FORMS = ("coco", "voc", "yolo", "huggingface", "label-studio", "webdataset", "cvat")

CVAT = """<annotations><version>1.1</version>
<image id="0" name="0.jpg" width="60" height="40"><box label="cat" xtl="1" ytl="2" xbr="9" ybr="9"/>
<tag label="indoor"/></image><image id="1" name="b/1.jpg" width="60" height="40"/></annotations>"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serve() as address:
        yield address


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    return create(endpoint, next(_names))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder as CVAT leaves it: pictures below images/, and annotations.xml."""
    folder = tmp_path / "task"
    (folder / "images" / "b").mkdir(parents=True)
    for i, name in enumerate(("0.jpg", "b/1.jpg")):
        Image.new("RGB", (60, 40), (90 * i, 90, 200)).save(folder / "images" / name)
    (folder / "annotations.xml").write_text(CVAT)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    wanted = ("id", "sha256", "objects", "label", "split", "width", "status", "captured_at")
    found = slicedb.open(path).store.table(SAMPLES).to_pylist()
    return sorted(({name: r[name] for name in wanted} for r in found), key=lambda r: str(r["id"]))


@pytest.mark.parametrize("form", FORMS)
def test_a_folder_and_a_bucket_give_the_same_samples(
    bucket: Bucket, pictures: Path, tmp_path: Path, form: str
) -> None:
    source = pictures
    if form != "cvat":
        db = slicedb.open(tmp_path / "start.slicedb")
        db.ingest(pictures)
        source = tmp_path / "out"
        db.export("", source, form=form)
    bucket.put_tree(source, "set")
    here, there = tmp_path / "here.slicedb", tmp_path / "there.slicedb"
    slicedb.open(here).ingest(source)
    report = slicedb.open(there).ingest(f"{bucket.uri}/set", prefix="" if form != "yolo" else "p")
    expected = rows(here)
    if form == "yolo":
        expected = [{**row, "id": f"p/{row['id']}"} for row in expected]
    assert rows(there) == expected
    assert report.added == 2 and sum(len(row["objects"] or []) for row in expected) == 1


def test_tars_of_a_bucket_by_pattern(bucket: Bucket, pictures: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "start.slicedb")
    db.ingest(pictures)
    for i, where in enumerate(("label = 'indoor'", "label IS NULL")):
        db.export(where, tmp_path / f"{i}.tar")
        bucket.put(f"tars/val-{i:03d}.tar", (tmp_path / f"{i}.tar").read_bytes())
    found = slicedb.open(tmp_path / "end.slicedb")
    assert found.ingest(f"{bucket.uri}/tars/val-{{000..001}}.tar").added == 2
    assert found.query("split = 'val' AND label = 'indoor'").count() == 1


def test_heads_of_pictures_in_a_bucket_are_read_at_once_and_not_whole(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "voc"
    (source / "Annotations").mkdir(parents=True)
    (source / "JPEGImages").mkdir()
    for i in range(40):
        Image.effect_noise((600, 500), 90).save(source / "JPEGImages" / f"{i}.jpg", quality=95)
        (source / "Annotations" / f"{i}.xml").write_text(
            f"<annotation><filename>{i}.jpg</filename><object><name>a</name><bndbox><xmin>1</xmin>"
            "<ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>"
        )
    bucket.put_tree(source, "voc")
    started: list[int] = []
    whole: list[str] = []
    at_once, read = reading._at_once, remote.read
    monkeypatch.setattr(
        reading, "_at_once", lambda f, n: (started.append(len(n)), at_once(f, n))[1]
    )
    monkeypatch.setattr(remote, "read", lambda text: (whole.append(text), read(text))[1])
    slicedb.open(tmp_path / "data.slicedb").ingest(f"{bucket.uri}/voc", verify="now")
    assert 40 in started
    assert sum(text.endswith(".jpg") for text in whole) == 40  # once each, to be verified
