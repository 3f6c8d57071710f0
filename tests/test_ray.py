"""Work on a cluster of Ray, two nodes on this machine, equals one clean run by row and value.

They run by `.ci/run scale`, where Ray is installed: `pip install 'slicedb[ray]'`.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes_crew import N, assert_alike, crew_database, rows_of

import slicedb
from slicedb.database import Database
from slicedb.errors import CancelledError, ModelError, OptionError
from slicedb.progress import Progress

pytestmark = [
    pytest.mark.scale,
    pytest.mark.slow,
    # What Ray itself leaves open or has deprecated says nothing of this package.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@dataclass
class Nodes:
    """The cluster, and the folder that says where its workers go wrong."""

    cluster: Any
    second: Any
    trouble: Path

    @property
    def address(self) -> str:
        return str(self.cluster.address)


@pytest.fixture(scope="session")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Two nodes with one core each, that this process is connected to."""
    with pytest.MonkeyPatch.context() as patch:
        trouble = tmp_path_factory.mktemp("trouble")
        patch.setenv("CREW_PARENT", str(os.getpid()))
        patch.setenv("CREW_TROUBLE", str(trouble))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        ray = pytest.importorskip("ray", reason="pip install 'slicedb[ray]'")
        utils = pytest.importorskip("ray.cluster_utils")
        cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        second = cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield Nodes(cluster, second, trouble)
        gc.collect()  # a reader that was left would ask Ray as it goes, which starts another Ray
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture
def db(nodes: Nodes, tmp_path: Path) -> Database:
    for left in nodes.trouble.iterdir():
        left.unlink()
    return crew_database(tmp_path)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The same database, done by this process."""
    db = crew_database(tmp_path_factory.mktemp("clean"))
    db.predict("m", batch_size=16)
    db.embed(batch_size=16)
    db.tag_with(f"{Path(db.path).parent / 'model.py'}:brightness", name="bright")
    return db


def is_equal(db: Database, clean: Database) -> bool:
    rows = rows_of(db, "predictions__m")
    assert len(set(rows["id"].to_pylist())) == len(rows) == N
    return bool(rows.equals(rows_of(clean, "predictions__m")))


def test_two_nodes_give_what_one_process_gives(
    db: Database, clean: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    said = db.predict("m", engine="ray", batch_size=16, progress=True)
    assert (said.predicted, said.failed, said.quarantined) == (N, 0, 0)
    assert is_equal(db, clean)
    assert db.store.small_fragments("predictions__m") == 1
    shown = capfd.readouterr().err
    assert "Note: Ray, 2 nodes: 2 workers on cpu, 1 thread each." in shown
    assert f"{N}/{N}" in shown
    assert db.predict("m", engine="ray").unchanged == N
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_vectors_values_and_pictures_are_shared_too(
    db: Database, clean: Database, tmp_path: Path
) -> None:
    db.embed(engine="ray", batch_size=16)
    db.tag_with(f"{tmp_path / 'model.py'}:brightness", name="bright", engine="ray")
    for table in ("embeddings__default", "samples"):
        assert_alike(rows_of(db, table), rows_of(clean, table))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i, (name, data) in enumerate(db.store.read_images(db.keys("id LIKE '1%'"))):
        (pictures / f"{name}.png").write_bytes(data if i else data[:40])
    one, two = (slicedb.open(tmp_path / name) for name in ("one.slicedb", "two.slicedb"))
    first, second = one.ingest(pictures), two.ingest(pictures, engine="ray")
    assert first.reasons == second.reasons == {"truncated": 1}
    assert rows_of(one, "samples").equals(rows_of(two, "samples"))
    assert rows_of(one, "images").equals(rows_of(two, "images"))


@pytest.mark.parametrize("word", ["kill", "after"])
def test_an_actor_that_dies_before_or_behind_its_write_doubles_and_loses_nothing(
    nodes: Nodes, db: Database, clean: Database, word: str
) -> None:
    (nodes.trouble / word).touch()
    db.predict("m", engine="ray", workers=2, batch_size=16)
    assert (nodes.trouble / f"{word}-done").exists()
    assert is_equal(db, clean)


def test_two_models_share_the_pass_of_the_actors(
    nodes: Nodes, db: Database, clean: Database
) -> None:
    db.models.add("again", db.models.show("m").spec)
    db.predict("again", "id < '15'", batch_size=16)
    (nodes.trouble / "after").touch()
    reports = db.predict(["m", "again"], engine="ray", workers=2, batch_size=16)
    assert (reports["m"].predicted, reports["again"].failed) == (N, 0)
    assert 0 < reports["again"].predicted < N
    assert (nodes.trouble / "after-done").exists()
    assert is_equal(db, clean)
    rows = rows_of(db, "predictions__again")
    assert rows.equals(rows_of(clean, "predictions__m").cast(rows.schema))


def test_an_error_of_the_model_is_told_as_in_one_process(nodes: Nodes, db: Database) -> None:
    (nodes.trouble / "raise").touch()
    with pytest.raises(ModelError, match="RuntimeError: it was told to fail"):
        db.predict("m", engine="ray")


def test_who_stops_it_keeps_what_was_computed(nodes: Nodes, db: Database, clean: Database) -> None:
    (nodes.trouble / "sleep").write_text("0.1")

    def stop(progress: Progress) -> bool:
        return progress.done < 32

    with pytest.raises(CancelledError, match=r"predict m was cancelled after \d+ of 300 samples"):
        db.predict("m", engine="ray", batch_size=8, progress=stop)
    assert 0 < _written(db) < N
    (nodes.trouble / "sleep").unlink()
    db.predict("m", engine="ray", batch_size=8)
    assert is_equal(db, clean)


def test_the_tables_of_a_database_are_read_by_lance_ray(db: Database) -> None:
    lance_ray = pytest.importorskip("lance_ray", reason="pip install 'slicedb[ray]'")
    rows = lance_ray.read_lance(f"{db.path}/samples.lance", columns=["id", "label"])
    assert sorted(row["id"] for row in rows.take_all()) == sorted(db.query().ids())


def test_after_the_driver_was_killed_the_next_run_completes(
    nodes: Nodes, db: Database, clean: Database
) -> None:
    (nodes.trouble / "sleep").write_text("0.2")
    command = [sys.executable, "-m", "slicedb", "--db", db.path, "predict", "m"]
    command += ["--on", f"ray@{nodes.address}", "--workers", "2", "--batch-size", "8"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while driver.poll() is None and not _written(db):  # however busy the machine is
        time.sleep(0.1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (nodes.trouble / "sleep").unlink()
    assert 0 < _written(db) < N
    db.predict("m", engine="ray", batch_size=8)
    assert is_equal(db, clean)


def test_a_cluster_that_is_not_there_is_told(db: Database) -> None:
    code = f"import slicedb; slicedb.open({db.path!r}).embed(engine='ray@127.0.0.1:1')"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "OptionError: No cluster of Ray at '127.0.0.1:1'" in told.stderr
    with pytest.raises(OptionError, match="3 workers on 2 cores of the cluster"):
        db.embed(engine="ray", workers=3)
    with pytest.raises(OptionError, match="The cluster has no GPU"):
        db.embed(engine="ray", device="cuda")


def test_a_node_that_goes_away_doubles_and_loses_nothing(
    nodes: Nodes, db: Database, clean: Database
) -> None:
    (nodes.trouble / "sleep").write_text("0.1")
    over = threading.Event()

    def remove() -> None:
        while not over.wait(0.1) and not _written(db):
            pass
        nodes.cluster.remove_node(nodes.second)
        (nodes.trouble / "sleep").unlink()

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        db.predict("m", engine="ray", workers=2, batch_size=8)
    finally:
        over.set()
        thread.join()
    assert is_equal(db, clean)


def _written(db: Database) -> int:
    return db.store.count("predictions__m") if db.store.has("predictions__m") else 0
