"""How well pictures can be seen: measures, cut-offs, columns of ingest, and the verb."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes_looks import encoded, fill, picture
from PIL import Image, ImageFilter, ImageStat

import slicedb
from slicedb import media
from slicedb.cli import verbs
from slicedb.errors import CheckError
from slicedb.schema import QUALITY

LIGHT = QUALITY.names[:6]


def pictures() -> dict[str, Image.Image]:
    """Return pictures with one thing wrong each."""
    plain = picture(1)
    framed = Image.new("RGB", plain.size, (20, 20, 20))
    framed.paste(plain.crop((0, 0, 256, 120)), (0, 36))
    return {
        "plain": plain,
        "blurred": plain.filter(ImageFilter.GaussianBlur(12)),
        "dark": plain.point(lambda v: v // 5),
        "overexposed": plain.point(lambda v: 243 + v // 21),
        "gray": plain.convert("L"),
        "framed": framed,
        "long": plain.resize((400, 60)),
    }


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    files = {f"{name}.png": encoded(image) for name, image in pictures().items()}
    files["broken.jpg"] = encoded(picture(2), "JPEG")[:200]
    db = slicedb.open(tmp_path / "db")
    db.ingest(fill(tmp_path / "in", files), quality=True, progress=False)
    return db


def reference(image: Image.Image) -> dict[str, float]:
    """Return the measures by Pillow and NumPy, one picture at a time, as cleanvision has them."""
    gray = np.asarray(image.convert("L"))
    ratio = max(image.size) / 64
    small = image.convert("L")
    if ratio > 1:
        small = small.resize(
            (max(int(image.width // ratio), 1), max(int(image.height // ratio), 1))
        )
    edges = ImageStat.Stat(small.filter(ImageFilter.FIND_EDGES)).var[0] ** 0.5
    spread, levels = (1 - np.exp(-0.01 * v) for v in (edges, np.std(small.histogram())))
    return {
        "sharpness": min(spread + (levels if levels > 0.18 else 0), 1),
        "brightness": gray.mean() / 255,
        "dark": np.percentile(gray, 99) / 255,
        "light": np.percentile(gray, 5) / 255,
        "contrast": gray.std() / 255,
    }


@pytest.mark.parametrize("name", pictures())
def test_measures_are_those_of_pillow_and_numpy(name: str) -> None:
    image = pictures()[name]
    [values] = zip(*media.quality.measure([media.quality.see(np.asarray(image.convert("L")))]))
    for measure, expected in reference(image).items():
        got = dict(zip(media.quality.Light._fields, values))[measure]
        assert got == pytest.approx(expected, abs=0.03), measure


def test_small_pictures_are_measured_exactly_and_together() -> None:
    grays = [np.asarray(picture(i, (32, 32)).convert("L")) for i in range(5)]
    together = np.stack(media.quality.measure([media.quality.see(one) for one in grays]))
    for gray, values in zip(grays, together.T):
        for value, expected in zip(values, reference(Image.fromarray(gray)).values()):
            assert value == pytest.approx(expected, abs=0.006)


def test_entropy_is_that_of_pillow_and_saturation_of_gray_is_zero() -> None:
    image = picture(3, (96, 64))
    entropy, saturation = media.quality.colour(np.asarray(image), is_gray=False)
    assert entropy == pytest.approx(image.entropy(), abs=1e-9) and saturation > 0.05
    gray = image.convert("L")
    assert media.is_gray(encoded(gray, "JPEG")) and media.is_gray(encoded(gray))
    assert not media.is_gray(encoded(image, "JPEG"))
    found = media.quality.colour(np.asarray(gray.convert("RGB")), is_gray=True)
    assert found == (pytest.approx(gray.entropy(), abs=1e-9), 0.0)


def test_each_fault_is_found_with_its_query(db: slicedb.Database) -> None:
    report = db.quality(progress=False)
    assert (report.n, report.measured, report.computed) == (7, 7, 7)
    found = {i.name: db.query(i.query).ids() for i in report.issues if i.cut == "fixed" and i.n}
    assert found["blurred"] == ["blurred.png"]
    assert found["dark"] == ["dark.png"]
    assert found["overexposed"] == ["overexposed.png"]
    assert "gray.png" in found["near grayscale"]
    assert "framed.png" in found["plain border"] and "plain.png" not in found["plain border"]
    assert found["odd aspect"] == ["long.png"]
    for issue in report.issues:
        assert db.query(issue.query).count() == issue.n
    [border] = db.sql("SELECT quality_border AS b FROM samples WHERE id = 'framed.png'").to_pylist()
    assert border["b"] == pytest.approx(36 / 192, abs=0.03)


def test_ingest_writes_what_the_verb_would_and_the_verb_only_what_is_missing(
    db: slicedb.Database, tmp_path: Path
) -> None:
    columns = ", ".join(["id", *LIGHT])
    text = f"SELECT {columns} FROM samples ORDER BY id"
    written = db.sql(text)
    assert db.sql("SELECT count(quality_entropy) AS n FROM samples").to_pylist() == [{"n": 0}]
    plain = slicedb.open(tmp_path / "plain")
    plain.ingest(tmp_path / "in", progress=False)
    assert "quality_dark" not in plain.store.schema("samples").names
    plain.quality(progress=False)
    assert plain.sql(text).equals(written)
    db.quality(progress=False)
    assert db.quality(progress=False).computed == 0


def test_a_picture_that_changed_is_measured_anew(db: slicedb.Database, tmp_path: Path) -> None:
    db.quality(progress=False)
    fill(tmp_path / "in", {"dark.png": encoded(picture(9))})
    db.ingest(tmp_path / "in", progress=False)
    [row] = db.sql("SELECT * FROM samples WHERE id = 'dark.png'").to_pylist()
    assert row["quality_dark"] > 0.5 and row["quality_entropy"] is None
    assert db.quality(progress=False).computed == 1


def test_pictures_that_are_verified_later_are_measured_then(tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a.png": encoded(picture(1))})
    db = slicedb.open(tmp_path / "db")
    db.ingest(root, verify="later", quality=True, progress=False)
    db.verify(progress=False)
    [row] = db.sql("SELECT quality_sharpness AS s FROM samples").to_pylist()
    assert row["s"] > 0.2


def test_the_data_give_cut_offs_of_their_own(tmp_path: Path) -> None:
    files = {f"{i}.png": encoded(picture(i, (64, 64))) for i in range(12)}
    files["tiny.png"] = encoded(picture(99, (8, 8)))
    db = slicedb.open(tmp_path / "db")
    db.ingest(fill(tmp_path / "in", files), progress=False)
    report = db.quality(progress=False)
    found = {i.name: db.query(i.query).ids() for i in report.issues if i.cut == "data" and i.n}
    assert "tiny.png" in found["low information"]
    for issue in report.issues:
        assert db.query(issue.query).count() == issue.n


def test_scope_at_an_earlier_commit_and_no_samples(db: slicedb.Database) -> None:
    part = db.quality("id LIKE 'd%'", progress=False)
    assert part.n == 1 and all(i.query.startswith("id LIKE 'd%' AND ") for i in part.issues)
    assert db.quality("id = 'none'").issues == ()
    db.store.drop_columns("samples", list(QUALITY.names))
    db.commit("before", tag="before")
    version = db.store.version("samples")
    earlier = db.at("before").quality(progress=False)
    assert earlier.computed == 7 and db.store.version("samples") == version
    assert {i.name for i in earlier.issues if i.n} >= {"dark", "blurred"}
    with pytest.raises(CheckError, match="is not a predicate"):
        db.quality("label = 'x' ORDER BY id")


def test_the_command_prints_a_report_and_rows(db: slicedb.Database, tmp_path: Path) -> None:
    run = CliRunner().invoke
    shown = run(verbs, ["quality", "--db", db.path])
    assert shown.exit_code == 0, shown.output
    assert "7 pictures measured, 7 of them now" in shown.output
    assert "quality_dark < 0.32" in shown.output
    rows = json.loads(run(verbs, ["quality", "--db", db.path, "-f", "json"]).output)
    assert {row["issue"] for row in rows} >= {"dark", "blurred", "odd aspect"}
    done = run(
        verbs, ["ingest", "--db", str(tmp_path / "other"), str(tmp_path / "in"), "--quality"]
    )
    assert done.exit_code == 0, done.output
