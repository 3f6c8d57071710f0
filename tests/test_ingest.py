"""Folders, CSV and Parquet into a database, and in again."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from slicedb.errors import DatabaseError, IngestError, SourceError, TooManyBrokenError
from slicedb.ingest import IngestReport, fingerprint
from slicedb.ingest import ingest as ingest_into
from slicedb.schema import keys_of
from slicedb.store import Store

CIFAR = Path(__file__).parents[2] / "shared/data/cifar10-train.parquet"


def jpeg(seed: int = 0, size: tuple[int, int] = (24, 16)) -> bytes:
    """A small picture that differs by its seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    return out.getvalue()


def fill(root: Path, files: dict[str, bytes]) -> Path:
    """Write files, as of a while ago: fresh ones are read again, whatever their times say."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "test.slicedb")


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as old at once."""
    monkeypatch.setattr("slicedb.ingest.fingerprint._RACY_NS", -(10**12))


def ingest(store: Store, source: Path, **options: Any) -> IngestReport:
    return ingest_into(store, source, progress=False, **options)


def rows(store: Store, *columns: str) -> dict[str, Any]:
    """Return id -> value, or tuple of values."""
    table = store.table("samples", ["id", *columns]).sort_by("id").to_pylist()
    return {
        r["id"]: r[columns[0]] if len(columns) == 1 else tuple(r[c] for c in columns) for r in table
    }


def counts(report: IngestReport) -> tuple[int, int, int, int]:
    return report.added, report.changed, report.unchanged, report.missing


# --- folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("cat/1.jpg dog/2.jpg", {"cat/1.jpg": ("cat", None), "dog/2.jpg": ("dog", None)}),
        ("1.jpg 2.jpg", {"1.jpg": (None, None), "2.jpg": (None, None)}),
        (
            "train/cat/1.jpg Test/dog/1.jpg",
            {"Test/dog/1.jpg": ("dog", "Test"), "train/cat/1.jpg": ("cat", "train")},
        ),
        ("val/1.jpg train/2.jpg", {"train/2.jpg": (None, "train"), "val/1.jpg": (None, "val")}),
        ("images/train/cat/1.jpg", {"images/train/cat/1.jpg": ("cat", "train")}),
        ("images/1.jpg", {"images/1.jpg": (None, None)}),
        ("train/1.jpg bus/2.jpg", {"bus/2.jpg": ("bus", None), "train/1.jpg": ("train", None)}),
        ("0.jpg cat/1.jpg", {"0.jpg": (None, None), "cat/1.jpg": ("cat", None)}),
        ("a/1.jpg b/c/2.jpg", {"a/1.jpg": ("a", None), "b/c/2.jpg": ("b", None)}),
        ("x/cat/1.jpg y/dog/2.jpg", {"x/cat/1.jpg": ("x", None), "y/dog/2.jpg": ("y", None)}),
    ],
)
def test_layout_gives_label_and_split(
    store: Store, tmp_path: Path, files: str, expected: dict[str, Any]
) -> None:
    fill(tmp_path / "in", {name: jpeg(i) for i, name in enumerate(files.split())})
    ingest(store, tmp_path / "in")
    assert rows(store, "label", "split") == expected


def test_a_sample_has_all_that_was_measured(store: Store, tmp_path: Path) -> None:
    data = jpeg(3)
    root = fill(tmp_path / "in", {"cat/1.jpg": data})
    report = ingest(store, root)
    assert counts(report) == (1, 0, 0, 0)
    [row] = store.table("samples").to_pylist()
    assert row["key"] == keys_of(["cat/1.jpg"])[0]
    assert row["uri"] == str(root / "cat/1.jpg")
    assert (row["width"], row["height"], row["format"]) == (24, 16, "jpeg")
    assert (row["bytes"], row["status"], row["error"]) == (len(data), "ok", None)
    assert len(row["sha256"]) == 64 and isinstance(row["phash"], int)
    assert abs(row["ingested_at"] - dt.datetime.now(dt.UTC).replace(tzinfo=None)).seconds < 60
    assert dict(store.read_images(keys_of(["cat/1.jpg"]))) == {row["key"]: data}


def test_broken_files_are_quarantined_with_their_reason_and_kept(
    store: Store, tmp_path: Path
) -> None:
    whole = jpeg(1, (200, 100))
    png = io.BytesIO()
    Image.new("RGB", (300, 300)).save(png, "PNG")
    root = fill(
        tmp_path / "in",
        {
            "fine.jpg": whole,
            "half.jpg": whole[: len(whole) // 2],
            "empty.png": b"",
            "text.jpg": b"this is no image\n" * 9,
            "renamed.png": whole,
            "large.png": png.getvalue(),
        },
    )
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    report = ingest(store, root, max_pixels=50_000)
    assert rows(store, "status") == {
        "empty.png": "empty",
        "fine.jpg": "ok",
        "gone.jpg": "unreadable",
        "half.jpg": "truncated",
        "large.png": "too_large",
        "renamed.png": "wrong_extension",
        "text.jpg": "not_an_image",
    }
    assert report.quarantined == 6 and report.reasons["truncated"] == 1
    assert all(error for name, error in rows(store, "error").items() if name != "fine.jpg")
    assert rows(store, "width")["renamed.png"] == 200
    assert store.count("images") == 6  # all but the unreadable one
    [(_, kept)] = store.read_images(keys_of(["half.jpg"]))
    assert kept == whole[: len(whole) // 2]
    assert "6 quarantined: " in str(report) and "status <> 'ok'" in str(report)
    again = ingest(store, root, max_pixels=50_000)
    assert counts(again) == (0, 0, 7, 0) and again.reasons == report.reasons


def test_sidecars_and_hidden_files_are_passed_over_and_counted(
    store: Store, tmp_path: Path
) -> None:
    root = fill(
        tmp_path / "in",
        {
            "a.jpg": jpeg(1),
            "b": jpeg(2),
            "c.image": jpeg(3),
            "README": b"words",
            "a.xml": b"",
            ".hidden.jpg": jpeg(4),
            ".cache/d.jpg": jpeg(5),
            "other.lance/x.jpg": jpeg(6),
            "notes.txt": jpeg(7),
        },
    )
    report = ingest(store, root)
    assert list(rows(store, "status").values()) == ["ok"] * 3
    assert set(rows(store, "status")) == {"a.jpg", "b", "c.image"}
    assert report.skipped == {"hidden": 2, ".xml": 1, ".txt": 1, "without extension": 1}


def test_linked_folders_are_followed_once(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a/1.jpg": jpeg(1)})
    fill(tmp_path / "elsewhere", {"2.jpg": jpeg(2)})
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a/loop").symlink_to(root)
    ingest(store, root)
    assert list(rows(store, "status")) == ["a/1.jpg", "b/2.jpg"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_beyond_unicode_are_left_out_and_do_not_stop(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"é ü.jpg": jpeg(1)})
    with open(os.path.join(os.fsencode(root), b"bad\xff.jpg"), "wb") as file:
        file.write(jpeg(2))
    ingest(store, root)
    assert rows(store, "status") == {"é ü.jpg": "ok"}


def test_split_and_label_of_the_caller_win(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"train/cat/1.jpg": jpeg(1)})
    ingest(store, root, split="test", label="animal", prefix="first/")
    assert rows(store, "label", "split") == {"first/train/cat/1.jpg": ("animal", "test")}


def test_missing_empty_and_unknown_sources_say_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"No folder or file '.*nowhere'\. Hint: .* exists"):
        ingest(store, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"No images in .*holds nothing"):
        ingest(store, tmp_path / "empty")
    fill(tmp_path / "texts", {"a.csv": b"path\n", "b.csv": b""})
    with pytest.raises(SourceError, match=r"holds 2 \.csv"):
        ingest(store, tmp_path / "texts")
    fill(tmp_path, {"movie.mp4": b"..."})
    with pytest.raises(SourceError, match="no format that can be ingested"):
        ingest(store, tmp_path / "movie.mp4")
    assert store.count("samples") == 0


def test_unreadable_folders_say_so_or_are_counted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "in", {"a/1.jpg": jpeg(1), "b/2.jpg": jpeg(2)})
    scan = os.scandir

    def deny(path: str, last: str) -> Any:
        if str(path).endswith(last):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr("slicedb.sources.local.os.scandir", lambda path: deny(path, "/b"))
    assert ingest(store, root).skipped == {"unreadable folder": 1}
    monkeypatch.setattr("slicedb.sources.local.os.scandir", lambda path: deny(path, "/in"))
    with pytest.raises(SourceError, match=r"Cannot read .*: Permission denied"):
        ingest(store, root)


def test_too_many_broken_raise_after_the_run(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1), "2.jpg": jpeg(2), "3.jpg": b"", "4.jpg": b"?"})
    with pytest.raises(TooManyBrokenError, match=r"2 of 4 images are broken \(50.0%\)") as caught:
        ingest(store, root, max_broken=0.49)
    assert isinstance(caught.value.report, IngestReport)
    assert store.count("samples") == 4
    assert ingest(store, root, max_broken=0.5).quarantined == 2
    with pytest.raises(TooManyBrokenError):  # known ones count as well
        ingest(store, root, max_broken=0.0)
    with pytest.raises(IngestError, match="between 0 and 1"):
        ingest(store, root, max_broken=5)


# --- in again ----------------------------------------------------------------------------------


def test_again_recognises_added_changed_unchanged_missing(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {f"cat/{i}.jpg": jpeg(i) for i in range(6)})
    assert counts(ingest(store, root)) == (6, 0, 0, 0)
    version = store.versions()
    assert counts(ingest(store, root)) == (0, 0, 6, 0)
    assert store.versions() == version  # nothing was written
    fill(root, {"cat/0.jpg": jpeg(100), "cat/9.jpg": jpeg(9)})
    (root / "cat/1.jpg").unlink()
    assert counts(ingest(store, root)) == (1, 1, 4, 1)
    [(_, data)] = store.read_images(keys_of(["cat/0.jpg"]))
    assert data == jpeg(100)
    assert store.count("samples") == 7  # the missing one is reported, not removed
    report = ingest(store, root, delete_missing=True)
    assert counts(report) == (0, 0, 6, 1) and report.deleted == 1
    assert store.count("samples") == store.count("images") == 6


def test_unchanged_files_are_not_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1), "2.jpg": jpeg(2)})
    ingest(store, root)

    def refuse(path: str, size: int) -> bytes:
        raise AssertionError(path)

    monkeypatch.setattr("slicedb.ingest.verify._read", refuse)
    assert counts(ingest(store, root)) == (0, 0, 2, 0)


def test_change_of_same_size_and_time_is_noticed(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)})
    ingest(store, root)
    path = root / "1.jpg"
    before = path.stat()
    other = bytearray(jpeg(1))
    other[-3] ^= 1
    path.write_bytes(bytes(other))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert counts(ingest(store, root)) == (0, 1, 0, 0)


def test_file_touched_a_moment_ago_is_read_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.ingest.fingerprint._RACY_NS", 60 * 10**9)
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)})
    ingest(store, root)
    assert rows(store, "stamp") == {"1.jpg": 0}
    assert counts(ingest(store, root)) == (0, 0, 1, 0)


def test_touched_file_with_the_same_bytes_is_unchanged(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)})
    ingest(store, root)
    os.utime(root / "1.jpg")
    assert counts(ingest(store, root)) == (0, 0, 1, 0)
    version = store.versions()
    assert counts(ingest(store, root)) == (0, 0, 1, 0)
    assert store.versions() == version  # its new times were noted the first time


def test_label_changed_in_the_database_stays(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"cat/1.jpg": jpeg(1), "cat/2.jpg": jpeg(2)})
    ingest(store, root)
    relabel = pa.table({"id": ["cat/1.jpg"], "label": ["dog"], "tags": [["odd"]]})
    store.upsert("samples", relabel, insert=False)
    ingest(store, root)
    fill(root, {"cat/1.jpg": jpeg(50)})  # even when the file is another
    assert counts(ingest(store, root)) == (0, 1, 1, 0)
    assert rows(store, "label", "tags")["cat/1.jpg"] == ("dog", ["odd"])


def test_split_given_anew_is_written(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"cat/1.jpg": jpeg(1)})
    ingest(store, root, split="test")
    assert counts(ingest(store, root, split="test")) == (0, 0, 1, 0)
    assert counts(ingest(store, root, split="train")) == (0, 1, 0, 0)
    assert rows(store, "split", "label") == {"cat/1.jpg": ("train", "cat")}


def test_repaired_file_leaves_quarantine(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)[:100]})
    assert ingest(store, root).quarantined == 1
    fill(root, {"1.jpg": jpeg(1)})
    report = ingest(store, root)
    assert counts(report) == (0, 1, 0, 0) and report.quarantined == 0
    assert rows(store, "status", "error") == {"1.jpg": ("ok", None)}


def test_moved_folder_is_recognised(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)})
    ingest(store, root)
    root.rename(tmp_path / "moved")
    assert counts(ingest(store, tmp_path / "moved")) == (0, 0, 1, 0)
    assert rows(store, "uri") == {"1.jpg": str(tmp_path / "moved/1.jpg")}


def test_two_folders_with_the_same_names_do_not_overwrite_each_other(
    store: Store, tmp_path: Path
) -> None:
    first = fill(tmp_path / "a", {"1.jpg": jpeg(1)})
    second = fill(tmp_path / "b", {"1.jpg": jpeg(2), "2.jpg": jpeg(3)})
    ingest(store, first)
    with pytest.raises(IngestError, match=r"Id '1\.jpg' belongs to another image already"):
        ingest(store, second)
    assert counts(ingest(store, second, prefix="b")) == (2, 0, 0, 0)
    assert counts(ingest(store, first)) == (0, 0, 1, 0)  # the others are not its missing ones
    again = ingest(store, second, replace=True)
    assert counts(again) == (0, 1, 1, 0)  # the file 2.jpg is the sample b/2.jpg


def test_two_ids_with_one_key_are_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)})
    ingest(store, root)
    one = keys_of(["1.jpg"])[0]
    monkeypatch.setattr("slicedb.ingest.piece.keys_of", lambda ids: np.full(len(ids), one))
    (root / "1.jpg").rename(root / "2.jpg")
    with pytest.raises(IngestError, match=r"'2\.jpg' and '1\.jpg' have the same key"):
        ingest(store, root)
    with pytest.raises(IngestError, match="have the same key"):
        ingest(Store.open(tmp_path / "b.slicedb"), fill(root, {"3.jpg": jpeg(3)}))


@pytest.mark.slow
def test_interrupted_ingest_goes_on_where_it_stopped(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.ingest.folder.ROWS", 10)
    root = fill(tmp_path / "in", {f"{i:02}.jpg": jpeg(i) for i in range(45)})
    append, calls = Store.append, []

    def crash(self: Store, name: str, *args: Any, **options: Any) -> int:
        calls.append(name)
        if len(calls) == 6:
            raise DatabaseError("the disk is full")
        return append(self, name, *args, **options)

    monkeypatch.setattr(Store, "append", crash)
    with pytest.raises(DatabaseError, match="disk is full"):
        ingest(store, root)
    assert calls == ["images", "samples"] * 3
    assert store.count("images") == 30 and store.count("samples") == 20
    monkeypatch.setattr(Store, "append", append)
    read: list[str] = []
    monkeypatch.setattr(
        "slicedb.ingest.verify._read",
        lambda path, size: read.append(path) or Path(path).read_bytes(),
    )
    report = ingest(Store.open(store.path), root)
    assert counts(report) == (25, 0, 20, 0) and len(read) == 25
    assert store.count("images") == store.count("samples") == 45
    assert len(set(store.table("images", ["id"])["id"].to_pylist())) == 45


@pytest.mark.slow
def test_killed_process_leaves_whole_pieces(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {f"{i:02}.jpg": jpeg(i) for i in range(45)})
    script = f"""
import os, signal
from slicedb.ingest import folder, ingest
from slicedb.store import Store
folder.ROWS = 10
append, calls = Store.append, []
def kill(self, name, *args, **options):
    calls.append(name)
    if len(calls) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return append(self, name, *args, **options)
Store.append = kill
ingest(Store.open({store.path!r}), {str(root)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (store.count("images"), store.count("samples")) == (30, 20)
    assert ingest(store, root).total == 45
    assert store.count("images") == store.count("samples") == 45


def test_ctrl_c_keeps_what_was_verified(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.ingest.folder.ROWS", 10)
    root = fill(tmp_path / "in", {f"{i:02}.jpg": jpeg(i) for i in range(60)})
    from slicedb.progress import Bar

    def interrupt(self: Bar, n: int = 1) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ingest(store, root)
    monkeypatch.undo()
    assert store.count("samples") == store.count("images") == 10
    assert not store._dirty  # and the disk was asked to keep it
    assert ingest(store, root).total == 60
    assert store.count("samples") == 60


def test_by_content_leaves_out_copies_and_follows_moves(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"a/1.jpg": jpeg(1), "b/1.jpg": jpeg(1), "b/2.jpg": jpeg(2)})
    report = ingest(store, root, id_by="sha256")
    assert counts(report) == (2, 0, 0, 0) and report.duplicates == 1
    ids = set(rows(store, "label"))
    assert all(len(i) == 64 for i in ids)
    report = ingest(store, root, id_by="sha256")
    assert counts(report) == (0, 0, 2, 0) and report.duplicates == 1
    (root / "b/2.jpg").rename(root / "a/3.jpg")
    assert counts(ingest(store, root, id_by="sha256")) == (0, 0, 2, 0)
    assert set(rows(store, "label")) == ids
    fill(root, {"a/3.jpg": jpeg(4)})
    assert counts(ingest(store, root, id_by="sha256")) == (1, 0, 1, 1)
    with pytest.raises(IngestError, match="No id_by 'name'"):
        ingest(store, root, id_by="name")


def test_reference_keeps_the_paths_alone(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"1.jpg": jpeg(1)})
    ingest(store, root, reference=True)
    assert not store.has("images")
    assert dict(store.read_images(keys_of(["1.jpg"]))).popitem()[1] == jpeg(1)
    assert counts(ingest(store, root)) == (0, 0, 1, 0)  # now with the bytes
    assert store.count("images") == 1


# --- tables ------------------------------------------------------------------------------------


def write_csv(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_metadata_becomes_plain_types(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(tmp_path / "in", {"img/1.jpg": jpeg(1), "img/2.jpg": jpeg(2)})
    path = write_csv(
        tmp_path / "in/labels.csv",
        "filename,class,subset,count,ratio,sunny,taken,day,tags,Width,note\n"
        "img/1.jpg,007,test,3,0.5,true,2024-05-06 07:08:09,2024-05-06,a;b,9,\n"
        "./img//2.jpg,None,train,,1,false,2024-01-01T00:00:00,,,8,hm\n",
    )
    report = ingest_into(store, path)
    assert "Note: Column 'Width' is kept as 'Width_'.\n" in capsys.readouterr().err
    schema = store.schema("samples")
    assert {name: str(schema.field(name).type) for name in schema.names[-7:]} == {
        "count": "int64",
        "ratio": "double",
        "sunny": "bool",
        "taken": "timestamp[us]",
        "day": "date32[day]",
        "Width_": "int64",
        "note": "string",
    }
    assert rows(store, "label", "split", "tags", "count", "ratio", "sunny", "Width_", "note") == {
        "img/1.jpg": ("007", "test", ["a", "b"], 3, 0.5, True, 9, None),
        "img/2.jpg": (None, "train", None, None, 1.0, False, 8, "hm"),
    }
    assert rows(store, "day")["img/1.jpg"] == dt.date(2024, 5, 6)
    assert rows(store, "width")["img/1.jpg"] == 24
    assert report.notes == (
        "1 label means that there is none ('None') and is NULL. To see them: label IS NULL",
        "Column 'Width' is kept as 'Width_'.",
    )


def test_tsv_and_semicolons(store: Store, tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1), "2.jpg": jpeg(2)})
    ingest(store, write_csv(tmp_path / "a.tsv", "image\tlabel\n1.jpg\tcat, dog\n"))
    ingest(store, write_csv(tmp_path / "b.csv", "\ufeffimage;label\n2.jpg;cat\n"))
    assert rows(store, "label") == {"1.jpg": "cat, dog", "2.jpg": "cat"}


def test_a_column_spoilt_by_a_few_values_is_named_with_the_first(
    store: Store, tmp_path: Path
) -> None:
    pictures = {f"{i}.jpg": jpeg(i) for i in range(4)}
    fill(tmp_path, pictures)
    rows = """path,taken,lux,note,day
0.jpg,2026-01-01,1.5,3,x
1.jpg,,2,dark,2026-01-01
2.jpg,2026-01-02 10:00:00,n.a.,dim,2026-01-02
3.jpg,31/02/2026,4,,2026-01-03
"""
    path = write_csv(tmp_path / "a.csv", rows)
    report = ingest(store, path)
    assert report.notes == (
        "Column 'taken' is text, since 1 of 3 values is no date, first '31/02/2026' in row 4; "
        "correct it before the first ingest, or ask with TRY_CAST(taken AS TIMESTAMP).",
        "Column 'lux' is text, since 1 of 4 values is no number, first 'n.a.' in row 3; "
        "correct it before the first ingest, or ask with TRY_CAST(lux AS DOUBLE).",
        "Column 'day' is text, since 1 of 4 values is no date, first 'x' in row 1; "
        "correct it before the first ingest, or ask with TRY_CAST(day AS TIMESTAMP).",
    )
    assert ingest(store, path).notes == ()  # the columns are there now


def test_missing_file_of_a_csv_is_unreadable(store: Store, tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1)})
    path = write_csv(tmp_path / "a.csv", "path,label\n1.jpg,x\n2.jpg,y\nhttp://a/3.jpg,z\n")
    report = ingest(store, path)
    assert report.reasons == {"unreadable": 2}
    assert rows(store, "status", "label")["2.jpg"] == ("unreadable", "y")
    assert counts(ingest(store, path)) == (0, 0, 3, 0)
    fill(tmp_path, {"2.jpg": jpeg(2)})
    assert counts(ingest(store, path)) == (0, 1, 2, 0)


def test_paths_may_start_at_the_working_directory(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "here", {"img/1.jpg": jpeg(1)})
    monkeypatch.chdir(tmp_path / "here")
    ingest(store, write_csv(tmp_path / "lists/a.csv", "path\nimg/1.jpg\n"))
    assert rows(store, "status") == {"img/1.jpg": "ok"}


def test_edited_row_wins_and_an_unedited_one_does_not(store: Store, tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1), "2.jpg": jpeg(2)})
    path = write_csv(tmp_path / "a.csv", "path,label\n1.jpg,cat\n2.jpg,cat\n")
    ingest(store, path)
    images = store.version("images")
    store.upsert("samples", pa.table({"id": ["1.jpg"], "label": ["relabelled"]}), insert=False)
    assert counts(ingest(store, path)) == (0, 0, 2, 0)
    write_csv(path, "path,label\n1.jpg,cat\n2.jpg,dog\n")
    assert counts(ingest(store, path)) == (0, 1, 1, 0)
    assert rows(store, "label") == {"1.jpg": "relabelled", "2.jpg": "dog"}
    assert store.version("images") == images  # pixels were not written again
    write_csv(path, "path,label,city\n1.jpg,cat,Pune\n2.jpg,dog,\n")
    assert counts(ingest(store, path)) == (0, 1, 1, 0)  # an empty new value says nothing new
    assert rows(store, "city") == {"1.jpg": "Pune", "2.jpg": None}
    write_csv(path, "path,label,city\n1.jpg,cat,Pune\n")
    assert counts(ingest(store, path)) == (0, 0, 1, 1)


def test_csv_adds_metadata_to_an_ingested_folder(store: Store, tmp_path: Path) -> None:
    root = fill(tmp_path / "in", {"cat/1.jpg": jpeg(1), "dog/2.jpg": jpeg(2)})
    ingest(store, root)
    path = write_csv(root / "meta.csv", "path,city\ncat/1.jpg,Pune\n")
    assert counts(ingest(store, path)) == (0, 1, 0, 0)
    assert rows(store, "label", "city") == {
        "cat/1.jpg": ("cat", "Pune"),
        "dog/2.jpg": ("dog", None),
    }
    assert counts(ingest(store, root)) == (0, 0, 2, 0)
    assert counts(ingest(store, path)) == (0, 0, 1, 0)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path,label\n1.jpg,a\n1.jpg,b\n", {}, r"Id '1\.jpg' stands in rows 1 and 2"),
        ("path,lable\n1.jpg,a\n", {"label_column": "label"}, r"No column 'label'.*'lable'"),
        ("a,b\n1,2\n", {}, "no column of paths or images among a, b"),
        ("path,a,a\n1.jpg,2,3\n", {}, "two columns 'a'"),
        ("path,a\n1.jpg,2,3\n", {}, "Cannot read .*Expected 2 columns, got 3"),
        ("path,a\n,2\n", {}, r"Row 1 .*has no path"),
        ("path,captured_at\n1.jpg,soon\n", {}, "'captured_at' of .* is text, but timestamp.us. in"),
    ],
)
def test_csv_at_fault_is_refused_before_anything_is_written(
    store: Store, tmp_path: Path, text: str, options: dict[str, Any], message: str
) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1)})
    with pytest.raises(IngestError, match=message):
        ingest(store, write_csv(tmp_path / "a.csv", text), **options)
    assert store.names() == ["samples"] and store.count("samples") == 0


def test_empty_and_broken_tables_say_so(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is empty"):
        ingest(store, write_csv(tmp_path / "a.csv", ""))
    with pytest.raises(SourceError, match="has no rows"):
        ingest(store, write_csv(tmp_path / "b.csv", "path,label\n"))
    with pytest.raises(SourceError, match=r"Cannot read .*parquet"):
        ingest(store, write_csv(tmp_path / "c.parquet", "not parquet"))
    (tmp_path / "d.csv").write_bytes(b"path\n\xff\xfe.jpg\n")
    with pytest.raises(SourceError, match="Cannot read"):
        ingest(store, tmp_path / "d.csv")


def test_type_that_disagrees_names_column_and_both_types(store: Store, tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1)})
    pq.write_table(pa.table({"path": ["1.jpg"], "hour": [7]}), tmp_path / "a.parquet")
    ingest(store, tmp_path / "a.parquet")
    pq.write_table(pa.table({"path": ["1.jpg"], "hour": ["late"]}), tmp_path / "b.parquet")
    with pytest.raises(IngestError, match="'hour' is string in the source but int64 in samples"):
        ingest(store, tmp_path / "b.parquet")
    pq.write_table(pa.table({"path": ["1.jpg"], "HOUR": [7.0]}), tmp_path / "c.parquet")
    with pytest.raises(IngestError, match="'HOUR' is double in the source but int64"):
        ingest(store, tmp_path / "c.parquet")
    assert rows(store, "hour") == {"1.jpg": 7}


def test_parquet_carries_images_and_nested_metadata(store: Store, tmp_path: Path) -> None:
    when = dt.datetime(2024, 5, 6, 7, 8, 9)
    berlin = dt.timezone(dt.timedelta(hours=2))
    boxes = [{"label": "cup", "bbox": [1.0, 2.0, 3.0, 4.0], "score": None, "attributes": None}]
    table = pa.table(
        {
            "image": [jpeg(1), b"broken"],
            "name": ["one", "two"],
            "small": pa.array([1, None], pa.int8()),
            "half": pa.array([0.5, None], pa.float32()),
            "price": pa.array([1, None]).cast(pa.decimal128(22, 2)),
            "day": pa.array([when.date(), None], pa.date32()),
            "zoned": pa.array([when.replace(tzinfo=berlin), None], pa.timestamp("ms", "UTC")),
            "word": pa.array(["x", None]).dictionary_encode(),
            "numbers": pa.array([[1, 2], None], pa.list_(pa.int32())),
            "place": pa.array([{"city": "Pune", "at": [1.0, 2.0]}, None]),
            "pairs": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
            "objects": pa.array([boxes, None]),
            "thumb": [b"123", b"456"],
            "a.b": [1, 2],
            "status": ["good", "bad"],
            "nothing": pa.nulls(2),
            "captured_at": pa.array([when, None], pa.timestamp("s")),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    report = ingest(store, tmp_path / "a.parquet", id_column="name")
    row = store.table("samples", where="id = 'one'").to_pylist()[0]
    assert {name: row[name] for name in ("small", "half", "price", "word", "numbers", "place")} == {
        "small": 1,
        "half": 0.5,
        "price": 1.0,
        "word": "x",
        "numbers": [1, 2],
        "place": {"city": "Pune", "at": [1.0, 2.0]},
    }
    assert row["day"] == dt.date(2024, 5, 6)
    assert row["zoned"] == when.replace(tzinfo=berlin)
    assert row["pairs"] == [("a", 1)]
    assert row["objects"] == [boxes[0] | {"segmentation": None, "keypoints": None}]
    assert row["captured_at"] == when
    assert (row["a_b"], row["status"], row["status_"], row["nothing"]) == (1, "ok", "good", None)
    assert rows(store, "status") == {"one": "ok", "two": "not_an_image"}
    assert "thumb" not in row and any("'thumb' was left out" in note for note in report.notes)
    assert dict(store.read_images(keys_of(["one"]))).popitem()[1] == jpeg(1)
    assert counts(ingest(store, tmp_path / "a.parquet", id_column="name")) == (0, 0, 2, 0)
    with pytest.raises(IngestError, match="nothing to refer to"):
        ingest(store, tmp_path / "a.parquet", reference=True)


def test_hugging_face_images_and_class_names(store: Store, tmp_path: Path) -> None:
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    table = pa.table(
        {
            "image": [{"bytes": jpeg(1), "path": "1.jpg"}, {"bytes": jpeg(2), "path": "2.jpg"}],
            "label": [1, -1],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "a.parquet")
    ingest(store, tmp_path / "a.parquet", split="train")
    assert rows(store, "label", "split") == {"1.jpg": ("dog", "train"), "2.jpg": (None, "train")}


def test_images_without_names_are_numbered(store: Store, tmp_path: Path) -> None:
    pq.write_table(pa.table({"jpg": [jpeg(1), jpeg(2)]}), tmp_path / "pack.parquet")
    ingest(store, tmp_path / "pack.parquet")
    assert list(rows(store, "status")) == ["pack/00000000", "pack/00000001"]


def test_changed_bytes_in_parquet_are_noticed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"path": ["1.jpg", "2.jpg"], "image": [jpeg(1), jpeg(2)]}), path)
    ingest(store, path)
    pq.write_table(pa.table({"path": ["1.jpg", "2.jpg"], "image": [jpeg(1), jpeg(9)]}), path)
    assert counts(ingest(store, path)) == (0, 1, 1, 0)
    pq.write_table(pa.table({"path": ["1.jpg"], "image": [jpeg(5)]}), tmp_path / "b.parquet")
    with pytest.raises(IngestError, match="belongs to another image already"):
        ingest(store, tmp_path / "b.parquet")


@pytest.mark.slow
def test_pieces_are_bounded_in_bytes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.ingest.piece.BYTES", 10_000)
    root = fill(tmp_path / "in", {f"{i}.jpg": jpeg(i, (80, 60)) for i in range(9)})
    size = (root / "0.jpg").stat().st_size
    ingest(store, root)
    assert store.version("images") - 1 >= 9 * size // 10_000
    assert store.count("samples") == 9


def test_list_columns_may_be_written_as_text(store: Store, tmp_path: Path) -> None:
    fill(tmp_path, {"1.jpg": jpeg(1)})
    boxes = json.dumps([{"label": "cup", "bbox": [1, 2, 3, 4], "attributes": {"hot": True}}])
    quoted = '"' + boxes.replace('"', '""') + '"'
    path = write_csv(tmp_path / "a.csv", f"path,labels,objects\n1.jpg,a|b,{quoted}\n")
    ingest(store, path)
    [row] = store.table("samples", ["labels", "objects"]).to_pylist()
    assert row["labels"] == ["a", "b"]
    assert row["objects"][0]["bbox"] == [1, 2, 3, 4]
    assert json.loads(row["objects"][0]["attributes"]) == {"hot": True}


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.skipif(not CIFAR.is_file(), reason="the CIFAR file is not beside this checkout")
def test_real_images_as_parquet_csv_and_folder_agree(store: Store, tmp_path: Path) -> None:
    table = pq.ParquetFile(CIFAR).read_row_group(0).slice(0, 500)
    pq.write_table(table, tmp_path / "cifar.parquet")
    root = fill(tmp_path / "in", dict(zip(table["path"].to_pylist(), table["image"].to_pylist())))
    pacsv.write_csv(table.select(["path", "label"]), root / "cifar.csv")
    assert counts(ingest(store, tmp_path / "cifar.parquet")) == (500, 0, 0, 0)
    labels = rows(store, "label", "sha256", "phash")
    assert len({sha for _, sha, _ in labels.values()}) == 500
    assert counts(ingest(store, root)) == (0, 0, 500, 0)
    assert counts(ingest(store, root / "cifar.csv")) == (0, 0, 500, 0)
    assert rows(store, "label", "sha256", "phash") == labels
    other = Store.open(tmp_path / "other.slicedb")
    ingest(other, root)
    assert rows(other, "label", "sha256", "phash") == labels


def test_fingerprints_of_rows_are_those_that_databases_hold() -> None:
    day = dt.datetime(2026, 1, 2)
    table = pa.table(
        {
            "label": ["cat", None, "dog", None],
            "n": [1, -2, None, None],
            "x": [0.5, None, 1e300, None],
            "b": [True, False, None, None],
            "when": pa.array([day, None, None, None], pa.timestamp("us")),
            "tags": [["a", "b"], [], None, None],
        }
    )
    # written by earlier versions into `row_stamp`: another number would tell of a changed source
    stamps = [3688184351289451141, 7946813296530870963, 1514164289596323550, 0]
    assert fingerprint.rows(table).tolist() == stamps
