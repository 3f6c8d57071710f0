"""What an ingest survives in real processes: kills, other writers, a disk that fills."""

from __future__ import annotations

import io
import random
import subprocess
import sys
import time
from pathlib import Path

import lancedb
import numpy as np
import pytest
from PIL import Image

from slicedb.doctor import examine
from slicedb.ingest import ingest
from slicedb.store import Store

INGEST = """
import sys
from slicedb.ingest import folder, ingest
from slicedb.store import Store
folder.ROWS = 80
store = Store.open(sys.argv[1])
print("ready", flush=True)
ingest(store, sys.argv[2], prefix=sys.argv[3], progress=False)
"""
LIMITED = """
import resource, sys
from slicedb.cli import main
from slicedb.ingest import folder
folder.ROWS = 10
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


def pictures(root: Path, n: int, *, side: int = 24, start: int = 0) -> Path:
    """Write a folder of small JPEGs that all differ."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(start, start + n):
        out = io.BytesIO()
        pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(out, "JPEG", quality=95)
        (root / f"{i:05}.jpg").write_bytes(out.getvalue())
    return root


def start(db: Path, source: Path, prefix: str = "") -> subprocess.Popen[str]:
    """Ingest in a process of its own."""
    command = [sys.executable, "-c", INGEST, str(db), str(source), prefix]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check_whole(db: Path, n: int) -> None:
    """Hold that every sample is there once with its image, and that LanceDB opens every table."""
    store = Store.open(db, create=False)
    ids = {name: store.table(name, ["id"])["id"].to_pylist() for name in ("samples", "images")}
    assert len(ids["samples"]) == n and set(ids["samples"]) == set(ids["images"])
    assert [len(found) for found in ids.values()] == [n, n]
    assert examine(store) == []
    connection = lancedb.connect(db)
    counts = {name: connection.open_table(name).count_rows() for name in store.names()}
    assert counts == {"images": n, "samples": n}


@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    source, db = pictures(tmp_path / "in", 1000), tmp_path / "db"
    moments = random.Random(5)
    for _ in range(4):
        process = start(db, source)
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        time.sleep(moments.uniform(0, 1))
        process.kill()
        process.communicate()
        if (db / "images.lance").exists():
            store = Store.open(db, create=False)  # no sample without its image
            lacking = store.positions("images", store.table("samples", ["key"])["key"].to_numpy())
            assert (lacking >= 0).all()
    report = ingest(Store.open(db), source, progress=False)
    assert report.added + report.unchanged == 1000
    check_whole(db, 1000)


@pytest.mark.slow
def test_processes_ingest_into_one_new_database_at_once(tmp_path: Path) -> None:
    db = tmp_path / "db"
    one, other = pictures(tmp_path / "1", 200), pictures(tmp_path / "2", 200, start=200)
    running = [start(db, one, "1"), start(db, other, "2"), start(db, other, "2")]
    for process in running:
        assert process.communicate()[1] == ""
    check_whole(db, 400)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
@pytest.mark.parametrize("limit", [100, 60_000])
def test_full_disk_is_said_and_what_was_written_stays(tmp_path: Path, limit: int) -> None:
    source, db = pictures(tmp_path / "in", 20), tmp_path / "db"
    pictures(source, 10, side=200, start=20)  # the third piece does not fit
    command = [sys.executable, "-c", LIMITED, str(limit), "--db", str(db), "ingest", str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = "Cannot create table 'samples'" if limit == 100 else "Writing table 'images' failed"
    assert f"Error: {said}: " in done.stderr and "check the free space" in done.stderr
    if limit == 100:
        assert list(db.glob("*.lance")) == []
    else:
        check_whole(db, 20)
    assert ingest(Store.open(db), source, progress=False).added == (30 if limit == 100 else 10)
    check_whole(db, 30)
