"""Files that are no files: pipes and devices are neither waited for nor swallowed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes_models import png

import slicedb
from slicedb.errors import SliceDBError
from slicedb.judge.settings import settings
from slicedb.slices.files import read_file
from slicedb.sources import Location, read_or_empty, read_regular

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.png").write_bytes(png((255, 0, 0)))
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "linked.png").symlink_to(folder / "pipe.png")
    return folder


def test_a_folder_with_pipes_and_devices_is_ingested_without_them(odd: Path) -> None:
    db = slicedb.open(odd.parent / "db")
    db.ingest(odd)
    assert db.query("status = 'ok'").count() == 1


def test_a_csv_that_names_pipes_and_devices_costs_those_rows(odd: Path) -> None:
    names = ["in/good.png", "in/pipe.png", "in/zero.png", "in/linked.png", "/dev/zero"]
    (odd.parent / "list.csv").write_text("file\n" + "\n".join(names) + "\n")
    db = slicedb.open(odd.parent / "db")
    db.ingest(odd.parent / "list.csv")
    assert db.query("status = 'ok'").count() == 1
    assert db.query("status = 'unreadable'").count() == 4


def test_readers_refuse_what_is_no_file(odd: Path) -> None:
    assert read_or_empty([str(odd / "pipe.png")]) == [b""]
    for name in ("pipe.png", "zero.png", "linked.png"):
        with pytest.raises(OSError, match="not a file"):
            read_regular(str(odd / name))
        with pytest.raises(OSError, match="regular"):
            Location(str(odd / name)).open()
    good = (odd / "good.png").read_bytes()
    assert [read_regular(str(odd / "good.png"), n) for n in (0, 5, len(good))] == [good] * 3


@pytest.mark.parametrize(
    "head",
    [
        "decide: !!timestamp soon",
        "slice: " + "1" * 5000,
        "expect: " + "[" * 3000,
        "expect: " + "[" * 3000 + "]" * 3000,
        "description: &a [x, x]\nexpect: [*a, *a]",
        "decide: !!python/object/apply:os.mkdir [ran]",
        "holdout: !!float x",
        "? [a, b]\n: c",
        "decide: 0x",
        "slice: " + "n" * 100_000,
        "holdout: 1e400",
        "decide: !!set {a, b}",
    ],
)
@pytest.mark.slow
def test_a_hostile_head_is_our_error_at_once(head: str, tmp_path: Path) -> None:
    file = tmp_path / "s.sql"
    file.write_text(f"/*\nslice: s\n{head}\n*/\nlabel = 'cat'\n")
    if head.startswith("slice"):
        file.write_text(f"/*\n{head}\n*/\nlabel = 'cat'\n")
    with pytest.raises(SliceDBError):
        read_file(file)


@pytest.mark.parametrize(
    "text", ["minimum = " + "[" * 5000, "minimum = " + "1" * 5000, "a = 1e400x"]
)
def test_a_hostile_suite_is_our_error_at_once(text: str, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(text)
    with pytest.raises(SliceDBError):
        settings(tmp_path)
