"""A damaged database: every read names the table and the file, and the doctor goes on."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from fakes_copies import LONG
from fakes_verbs import sources, world

import slicedb
from slicedb.cli import main
from slicedb.errors import DatabaseError
from slicedb.schema import spoken
from slicedb.store import Store

TABLE = "predictions__m"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose files are all written down."""
    root = tmp_path_factory.mktemp("whole")
    db = world(root / "db", sources(root / "given"))
    db.delete("id = 'green/0.png'")
    db.doctor(mend=True, deep=True)
    return Path(db.path)


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "db"))


def one(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


def flip(file: Path, at: int | None = None) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 4
    file.write_bytes(data)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def newest_first(folder: Path) -> Path:
    return one(folder, "_versions/*.manifest")


def change(path: Path, table: str, rows: dict[str, list[object]]) -> None:
    Store.open(path).upsert(table, pa.table(rows), insert=False)


def doubled(path: Path) -> None:
    store = Store.open(path)
    store.append("images", store.table("images").slice(0, 1))


def orphaned(path: Path) -> None:
    Store.open(path).delete("samples", ["red/0.png"])


def unpinned(path: Path) -> None:
    store = Store.open(path)
    store.unpin("samples", next(tag for tag in store.pins("samples") if "commit" in tag))


def referenced(path: Path) -> None:
    Store.open(path).delete("images", ["red/0.png"])
    change(path, "samples", {"id": ["red/0.png"], "uri": ["/nowhere/0.png"]})


def blank(path: Path) -> None:
    change(path, "images", {"id": ["red/0.png"], "image": [b"another picture"]})


KINDS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "data cut": (lambda p: cut(one(p / f"{TABLE}.lance", "data/*")), TABLE, "data/"),
    "data gone": (lambda p: one(p / "images.lance", "data/*").unlink(), "images", "data/"),
    "data empty": (lambda p: one(p / f"{TABLE}.lance", "data/*").write_bytes(b""), TABLE, "data/"),
    "data flipped": (lambda p: flip(one(p / "images.lance", "data/*"), 300), "images", "data/"),
    "data of an old version gone": (
        lambda p: [f.unlink() for f in sorted(p.glob("samples.lance/data/*"))[-1:]],
        "samples",
        "data/",
    ),
    "deletions gone": (lambda p: one(p / "samples.lance", "_deletions/*").unlink(), "samples", ""),
    "deletions flipped": (lambda p: flip(one(p / "images.lance", "_deletions/*")), "images", ""),
    "newest manifest cut": (lambda p: cut(newest_first(p / f"{TABLE}.lance")), TABLE, "manifest"),
    "newest manifest flipped": (
        lambda p: flip(newest_first(p / "images.lance")),
        "images",
        "manifest",
    ),
    "newest manifest gone": (
        lambda p: newest_first(p / "slices.lance").unlink(),
        "slices",
        "manifest",
    ),
    "manifests gone": (lambda p: shutil.rmtree(p / f"{TABLE}.lance" / "_versions"), TABLE, ""),
    "manifest of a pin gone": (
        lambda p: sorted((p / "samples.lance" / "_versions").glob("*.manifest"))[-2].unlink(),
        "samples",
        "",
    ),
    "table gone": (lambda p: shutil.rmtree(p / "embeddings__own.lance"), "embeddings__own", ""),
    "commits gone": (lambda p: shutil.rmtree(p / "commits.lance"), "commits", ""),
    "transaction flipped": (
        lambda p: flip(one(p / "images.lance", "_transactions/*")),
        "images",
        "txn",
    ),
    "pin flipped": (lambda p: flip(one(p / "samples.lance", "_refs/tags/*"), 1), "samples", "json"),
    "pin gone": (unpinned, "samples", ""),
    "keys doubled": (doubled, "images", ""),
    "keys wrong": (lambda p: change(p, "images", {"id": ["red/0.png"], "key": [7]}), "images", ""),
    "rows without samples": (orphaned, "images", ""),
    "image changed": (blank, "images", "red/0.png"),
    "image gone": (referenced, "samples", ""),
    "truths stale": (
        lambda p: change(p, "samples", {"id": ["red/0.png"], "label": ["blue"]}),
        TABLE,
        "",
    ),
    "text broken": (lambda p: change(p, "slices", {"id": ["reds@1"], "head": ["{"]}), "slices", ""),
}
"""What was done, the table that the doctor has to name, and what else it says."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_doctor_finds_every_kind_of_damage_and_names_it(
    kind: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, table, words = KINDS[kind]
    table = spoken(table)
    spoil(path)
    with pytest.raises(SystemExit) as stop:
        main(["--db", str(path), "doctor", "--deep"])
    said = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert stop.value.code == 1
    assert any(s.startswith(f"{table}: ") and words in s for s in said), said


@pytest.mark.slow
def test_the_doctor_names_the_file_of_every_flipped_byte(whole: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    files = [f for f in whole.glob("*.lance/**/*") if f.is_file() and f.suffix != ".json"]
    path = Path(shutil.copytree(whole, tmp_path / "db"))
    for _ in range(60 if LONG else 25):
        file = path / chance.choice(sorted(files)).relative_to(whole)
        before = file.read_bytes()
        flip(file, chance.randrange(len(before)))
        try:
            said = [str(finding) for finding in slicedb.open(path).doctor(deep=True)]
        except DatabaseError as error:  # samples cannot be opened at all
            said = [str(error)]
        assert any(file.name in s for s in said), (file, said)
        file.write_bytes(before)


def test_a_whole_database_has_no_damage_and_a_record_is_renewed(path: Path) -> None:
    db = slicedb.open(path)
    assert db.doctor(deep=True) == []
    (path / ".checksums" / "samples.sha256").unlink()
    (found,) = db.doctor(deep=True)
    assert (found.table, found.problem) == ("samples", "unrecorded files")
    assert [f.mended for f in db.doctor(deep=True, mend=True)] == [True]
    assert db.doctor(deep=True) == []
    lines = (path / ".checksums" / "samples.sha256").read_text().splitlines()
    assert all(len(line.split("  ")[0]) == 64 for line in lines)


def test_what_is_written_is_written_down_and_what_is_dropped_is_forgotten(path: Path) -> None:
    db = slicedb.open(path)
    db.tag("label = 'red'", "new")
    db.commits.untag("first")
    assert db.doctor(deep=True) == []
    db.log_predictions("n", pa.table({"id": ["red/0.png"], "prediction": ["red"]}), classes=["red"])
    assert "predictions__n" in db.store.checksums.tables()
    db.store.drop("predictions__n")
    assert "predictions__n" not in db.store.checksums.tables()


@pytest.mark.parametrize("spoil", [cut, Path.unlink], ids=["cut", "gone"])
@pytest.mark.parametrize("table", ["samples", TABLE])
def test_every_read_names_the_table_and_the_file(
    path: Path, table: str, spoil: Callable[[Path], object]
) -> None:
    for file in (path / f"{table}.lance").glob("data/*"):
        spoil(file)
    db = slicedb.open(path)
    named = pytest.raises(
        DatabaseError, match=rf"'{spoken(table)}' cannot be read: {table}\.lance/da"
    )
    with named:
        db.store.table(table)
    with named:
        list(db.store.scan(table))
    with named:
        db.store.arrow_dataset(table).to_table()
    with named:
        db.store.find(table, [1, 2])
    with named:
        db.query("m.prediction = 'red'" if table == TABLE else "label = 'red'").ids()
    advice = next(f.advice for f in db.doctor() if f.problem == "damaged files")
    assert f"{table}.lance/data/" in advice and "backup" in advice


def test_a_manifest_that_cannot_be_read_is_named(path: Path) -> None:
    cut(newest_first(path / "samples.lance"))
    with pytest.raises(DatabaseError, match=r"samples\.lance/_versions/\d+\.manifest"):
        slicedb.open(path)


def test_a_database_without_samples_says_what_is_lost(path: Path) -> None:
    shutil.rmtree(path / "samples.lance")
    with pytest.raises(DatabaseError, match=r"table 'samples' of .* is lost"):
        slicedb.open(path)


@pytest.mark.slow
def test_a_damaged_pin_is_made_anew_when_its_file_is_deleted(path: Path) -> None:
    file = one(path / "samples.lance", "_refs/tags/*")
    flip(file, 1)
    with pytest.raises(DatabaseError, match="'samples' cannot be read"):
        slicedb.open(path).commit("fourth")
    file.unlink()
    assert [f.problem for f in slicedb.open(path).doctor(mend=True)] == ["missing pins"]
    left = {f.problem for f in slicedb.open(path).doctor(deep=True)}
    assert left <= {"unrecorded files"} and file.is_file()  # pins of the commit that was refused


def test_mend_says_first_what_it_will_do(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    orphaned(path)
    with pytest.raises(SystemExit) as stop:
        main(["--db", str(path), "doctor", "--mend"])
    out, planned = capsys.readouterr()
    assert stop.value.code == 0
    assert "images: delete rows that belong to no sample (1 orphans)" in planned
    assert "images: 1 orphans (mended)" in out


def test_a_table_whose_making_was_cut_off_is_no_damage(path: Path) -> None:
    """Data without a version, of a table of which nothing was ever written down."""
    data = path / "embeddings__new.lance" / "data"
    data.mkdir(parents=True)
    (data / "0.lance").write_bytes(b"half")
    db = slicedb.open(path)
    found = [f for f in db.doctor() if f.table == "embeddings__new"]
    assert [f.problem for f in found] == ["cut-off creation"]
    db.log_embeddings("new", pa.table({"id": db.query("true").ids()[:1], "vector": [[1.0, 0.0]]}))
    assert [f for f in db.doctor() if f.table == "embeddings__new"] == []
