"""Formats of sources: a reader, and a writer, that an installed package adds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from test_plugins import install

import slicedb
from slicedb.cli import main
from slicedb.errors import IngestError, SliceDBError, SourceError
from slicedb.ingest import FORMATS, Location
from slicedb.plugins import PluginWarning

SHOTS = """
import pyarrow as pa
from slicedb.ingest import Format, Source
from slicedb.schema import SAMPLES


def recognises(location):
    names = [entry.name for entry in location.list()] if location.is_folder() else []
    return "list.shots" in names or location.suffix == ".shots"


def read(location, options):
    file = location.join("list.shots") if location.is_folder() else location
    rows = [line.split() for line in file.read_text().splitlines()]
    columns = {
        "id": [options.id_of(name) for name, _ in rows],
        "uri": [file.parent.join(name).path for name, _ in rows],
        "iso": pa.array([int(iso) for _, iso in rows], pa.int64()),
    }
    batches = iter([pa.RecordBatch.from_pydict(columns)])
    fields = [pa.field("iso", pa.int64())]
    return Source(location.path, fields, batches, len(rows), wins=frozenset(["iso"]))


def write(store, keys, path):
    rows = store.take(SAMPLES, keys, ["id", "iso"]).to_pylist()
    path.mkdir(parents=True)
    lines = [f"{row['id']} {row['iso']}\\n" for row in rows]
    (path / "list.shots").write_text("".join(lines))
    return len(rows)


SHOTS = Format("shots", "a folder with a list of shots", recognises, read, write)
ALIEN = "no format"
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of installed packages, one of which reads and writes shots."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder)])
    install(folder, "shots", "slicedb.formats", {"shots": "shots:SHOTS"}, SHOTS)
    FORMATS.forget()
    yield folder
    sys.modules.pop("shots", None)
    FORMATS.forget()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a folder in that format."""
    folder = tmp_path / "trip"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (20, 20), (40 * i, 90, 200)).save(folder / f"{i}.png")
    (folder / "list.shots").write_text("0.png 100\n2.png 400\n")
    return folder


def test_a_format_of_a_package_is_recognised_before_a_mere_folder(
    site: Path, source: Path, tmp_path: Path
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    assert db.ingest(source).added == 2
    assert db.query("iso > 200").ids() == ["2.png"]
    assert db.ingest(source).unchanged == 2
    (source / "list.shots").write_text("0.png 100\n2.png 50\n")
    assert db.ingest(source).changed == 1
    assert db.query("iso > 200").ids() == []


def test_a_format_of_a_package_can_be_named_and_another_one_too(
    site: Path, source: Path, tmp_path: Path
) -> None:
    path = str(tmp_path / "data.slicedb")
    with pytest.raises(SystemExit, match=r"^0$"):
        main(["ingest", str(source), "--db", path, "--as", "shots", "--prefix", "x"])
    db = slicedb.open(path)
    assert db.query("").ids() == ["x/0.png", "x/2.png"]
    again = db.ingest(source, form="folder")
    assert (again.added, again.unchanged) == (1, 2)  # two files are samples already


def test_errors_list_the_formats_of_packages(site: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    (tmp_path / "film.mp4").write_bytes(b"?")
    with pytest.raises(SourceError, match=r"a Parquet file, .*a folder with a list of shots"):
        db.ingest(tmp_path / "film.mp4")
    with pytest.raises(IngestError, match=r"No format 'shot'.*did you mean 'shots'"):
        db.ingest(tmp_path, form="shot")


def test_a_format_of_a_package_is_written(site: Path, source: Path, tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    db.ingest(source)
    report = db.export("iso = 400", tmp_path / "out", form="shots")
    assert (report.n, report.form) == (1, "shots")
    assert (tmp_path / "out" / "list.shots").read_text() == "2.png 400\n"
    with pytest.raises(SliceDBError, match=r"No export format 'shot'.*did you mean 'shots'"):
        db.export("", tmp_path / "out2", form="shot")


def test_a_plug_in_that_is_no_format_is_left_out_by_name(site: Path) -> None:
    install(site, "alien", "slicedb.formats", {"alien": "alien:ALIEN"}, SHOTS)
    FORMATS.forget()
    with pytest.warns(PluginWarning, match="'alien' of the package 'alien'"):
        assert list(FORMATS) == [
            *("cvat", "voc", "label-studio", "coco", "yolo", "shards", "masks", "folder"),
            *("csv", "parquet", "webdataset", "huggingface", "copy", "panlabel", "shots"),
        ]


def test_a_location_gives_what_a_reader_needs(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.JPG").write_bytes(b"abc")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "nowhere")
    folder = Location(str(tmp_path / "a"))
    file = folder.join("1.JPG")
    assert sorted(folder.list()) == [("1.JPG", "file", False), ("link", "other", True)]
    assert (file.name, file.stem, file.suffix) == ("1.JPG", "1", ".jpg")
    assert file.size() == 3 and file.read_bytes() == b"abc"
    assert file.is_file() and not file.is_folder()
    assert file.parts_below(Location(str(tmp_path))) == ("a", "1.JPG")
    assert folder.parts_below(folder) == () and file.parent == folder
    assert file.join("..", "..", "b").path == str(tmp_path / "b")
    assert str(Location("a/b").join("../c")) == "a/c"
