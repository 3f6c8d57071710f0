"""What is read of tables without Lance: versions and schemas."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

import slicedb
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import Store
from slicedb.store.manifests import manifest, newest

N = 300


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = slicedb.open(tmp_path / "data.slicedb").store
    ids = [f"{i:04d}" for i in range(N)]
    rows = {"id": ids, "key": keys_of(ids), "label": ["a"] * N, "status": ["ok"] * N}
    made.append(SAMPLES, pa.table(rows))
    return made


def folder(store: Store) -> str:
    return f"{store.path}/{SAMPLES}.lance"


def test_the_newest_version_is_that_of_lance(store: Store) -> None:
    for i in range(3):
        store.upsert(SAMPLES, pa.table({"id": ["0000"], "label": [f"l{i}"]}), insert=False)
        assert newest(folder(store)) == store.version(SAMPLES) == store.dataset(SAMPLES).version


@pytest.mark.parametrize("hint", [b"", b"{}", b'{"version": 1}', b'{"version": 99}', b"[7", None])
def test_a_hint_that_is_old_wrong_or_gone_does_no_harm(store: Store, hint: bytes | None) -> None:
    path = Path(folder(store)) / "_versions" / "latest_version_hint.json"
    if hint is None:
        path.unlink()
    else:
        path.write_bytes(hint)
    assert store.version(SAMPLES) == store.dataset(SAMPLES).version == 2


def test_other_names_of_manifests_are_left_to_lance(store: Store, tmp_path: Path) -> None:
    old = tmp_path / "old.lance" / "_versions"
    old.mkdir(parents=True)
    (old / "3.manifest").write_bytes(b"")
    assert newest(str(old.parent)) is None
    assert newest(str(tmp_path / "nothing.lance")) is None


def test_two_processes_see_each_others_versions(store: Store) -> None:
    other = Store.open(store.path)
    before = other.version(SAMPLES)
    store.add_columns(SAMPLES, [pa.field("late", pa.int64())])
    assert other.version(SAMPLES) == before + 1
    assert "late" in other.schema(SAMPLES).names
    assert "late" not in other.schema(SAMPLES, before).names


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:40],
        lambda data: data[:-3] + b"abc",
        lambda data: bytes(len(data)),
        lambda data: data[:30] + b"\xff" + data[31:],
    ],
)
def test_a_damaged_schema_is_read_again(store: Store, damage: object) -> None:
    expected = store.schema(SAMPLES)
    path = store.cache_dir / "schemas" / SAMPLES
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert Store.open(store.path).schema(SAMPLES) == expected


def test_a_schema_belongs_to_the_content_of_a_version(store: Store) -> None:
    version = store.version(SAMPLES)
    store.schema(SAMPLES)
    path = manifest(folder(store), version)
    os.rename(path, path + ".old")
    assert store.stamp(SAMPLES, version) is None
    store.metadata(SAMPLES)  # of the version before, which is now the newest
    os.rename(path + ".old", path)
    assert json.loads(json.dumps(store.metadata(SAMPLES)))["slicedb:format"]


def test_a_count_of_kept_columns_needs_no_lance(store: Store) -> None:
    code = (
        "import sys\n"
        "from slicedb.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "heavy = ('lance', 'lancedb', 'pandas', 'pyarrow.dataset', 'pyarrow.compute', 'torch',\n"
        "         'scipy', 'slicedb.metrics')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, "--db", store.path, "label = 'a'"]
    for option in ("--count", "--ids"):
        for _ in range(2):
            done = subprocess.run([*command, option], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[]"
