"""Several processes that share one database: equal to one clean run, whatever dies on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_crew import N, assert_alike, crew_database, rows_of, write_model
from fakes_models import MeanColour
from hypothesis import given
from hypothesis import strategies as st

import slicedb
from slicedb.cli import verbs
from slicedb.database import Database
from slicedb.errors import CancelledError, CheckError, ModelError, OptionError, SliceDBError
from slicedb.models.elsewhere import code_of, meant
from slicedb.progress import Progress
from slicedb.store.shares import divide


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("CREW_PARENT", str(os.getpid()))
    monkeypatch.setenv("CREW_TROUBLE", str(tmp_path / "trouble"))
    return crew_database(tmp_path)


@pytest.fixture
def clean(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The same database, done by one process without trouble."""
    folder = tmp_path_factory.mktemp("clean")
    return crew_database(folder)


@given(
    n=st.integers(0, 6000),
    workers=st.integers(1, 9),
    size=st.integers(1, 3000),
    row_bytes=st.integers(1, 1 << 27),
)
def test_shares_are_all_rows_in_order_and_in_whole_batches(
    n: int, workers: int, size: int, row_bytes: int
) -> None:
    shares = divide(pa.table({"key": range(n)}), workers, size, row_bytes)
    assert [key for share in shares for key in share["key"].to_pylist()] == list(range(n))
    assert all(len(share) % size == 0 for share in shares[:-1])
    assert all(len(share) <= max(size, 2048) for share in shares)


def test_a_share_is_at_most_64_mb_of_rows() -> None:
    rows = pa.table({"key": range(4000)})
    assert {len(s) for s in divide(rows, 1, 8, 1 << 20)} == {64, 32}
    assert {len(s) for s in divide(rows, 1, 8, 1 << 30)} == {8}


@pytest.mark.slow
@pytest.mark.scale
def test_two_processes_give_what_one_gives(db: Database, clean: Database) -> None:
    said = db.predict("m", workers=2, batch_size=16)
    assert (said.predicted, said.failed) == (N, 0)
    clean.predict("m", batch_size=16)
    assert rows_of(db, "predictions__m").equals(rows_of(clean, "predictions__m"))
    assert db.store.small_fragments("predictions__m") == 1
    again = db.predict("m", device="cpu,cpu")
    assert (again.predicted, again.unchanged) == (0, N)


@pytest.mark.slow
def test_what_a_killed_process_began_is_done_by_the_other(
    db: Database, clean: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = Path(db.path).parent
    (folder / "trouble" / "kill").touch()
    assert db.predict("m", workers=2, batch_size=16).predicted == N
    assert (folder / "trouble" / "kill-done").exists()
    clean.predict("m", batch_size=16)
    assert rows_of(db, "predictions__m").equals(rows_of(clean, "predictions__m"))
    shown = capfd.readouterr().err
    assert "Note: 2 processes on cpu, " in shown
    assert "Note: A process was killed by signal 9; the others do its share." in shown


@pytest.mark.slow
@pytest.mark.scale
def test_where_all_processes_die_the_next_run_goes_on(db: Database, clean: Database) -> None:
    trouble = Path(db.path).parent / "trouble"
    (trouble / "kill").touch()
    (trouble / "kill2").touch()
    with pytest.raises(SliceDBError, match=r"All 2 processes died at this work; the last one was"):
        db.predict("m", workers=2, batch_size=16)
    db.predict("m", workers=2, batch_size=16)
    clean.predict("m", batch_size=16)
    assert rows_of(db, "predictions__m").equals(rows_of(clean, "predictions__m"))


@pytest.mark.slow
@pytest.mark.scale
def test_an_error_of_the_model_is_told_as_in_one_process(db: Database) -> None:
    (Path(db.path).parent / "trouble" / "raise").touch()
    with pytest.raises(ModelError, match="RuntimeError: it was told to fail"):
        db.predict("m", workers=2)


@pytest.mark.slow
@pytest.mark.scale
def test_who_stops_it_keeps_what_was_computed(db: Database, clean: Database) -> None:
    sleep = Path(db.path).parent / "trouble" / "sleep"
    sleep.write_text("0.1")

    def stop(progress: Progress) -> bool:
        return progress.done < 32

    with pytest.raises(CancelledError, match=r"predict m was cancelled after \d+ of 300 samples"):
        db.predict("m", workers=2, batch_size=8, progress=stop)
    assert 0 < _written(db) < N
    sleep.unlink()
    db.predict("m", workers=2, batch_size=8)
    clean.predict("m", batch_size=8)
    assert rows_of(db, "predictions__m").equals(rows_of(clean, "predictions__m"))


@pytest.mark.slow
@pytest.mark.scale
def test_a_changed_model_replaces_its_rows_once(db: Database, tmp_path: Path) -> None:
    db.predict("m")
    write_model(tmp_path, 20.0)
    again = slicedb.open(db.path)
    again.models.add("m", f"{tmp_path / 'model.py'}:build", replace=True)
    said = again.predict("m", workers=2, batch_size=8)
    assert (said.predicted, said.replaced) == (N, N)
    rows = rows_of(again, "predictions__m")
    assert len(rows) == len(set(rows["id"].to_pylist())) == N
    assert len(set(rows["fingerprint"].to_pylist())) == 1
    sure = {round(value, 6) for value in rows["confidence"].to_pylist()}
    assert sure == {1.0}  # softmax([20, 0, 0])[0]; it was 0.999909


@pytest.mark.slow
@pytest.mark.scale
def test_vectors_values_maps_and_pictures_are_shared_too(
    db: Database, clean: Database, tmp_path: Path
) -> None:
    for one, workers in ((db, 2), (clean, None)):
        one.embed(workers=workers, batch_size=16)
        code = Path(one.path).parent / "model.py"
        one.tag_with(f"{code}:brightness", name="bright", workers=workers)
        one.tag_with("tone=red,green,blue", workers=workers)
    for table in ("embeddings__default", "samples"):
        assert_alike(rows_of(db, table), rows_of(clean, table))
    assert db.query("bright = 85").count() == N
    (tmp_path / "pictures").mkdir()
    for i, (name, data) in enumerate(db.store.read_images(db.keys("id LIKE '1%'"))):
        (tmp_path / "pictures" / f"{name}.png").write_bytes(data if i else data[:40])
    parts = [
        slicedb.open(tmp_path / f"{n}.slicedb").ingest(tmp_path / "pictures", workers=n)
        for n in (None, 2)
    ]
    assert parts[0].reasons == parts[1].reasons == {"truncated": 1}
    tables = [rows_of(slicedb.open(tmp_path / f"{n}.slicedb"), "samples") for n in (None, 2)]
    assert tables[0].equals(tables[1]) and len(tables[0]) == parts[0].added > 100


@pytest.mark.slow
@pytest.mark.scale
def test_maps_are_shared(scenes: Path) -> None:
    code = (
        "import torch\nfrom slicedb.models import TorchClassifier\n"
        "def build():\n"
        "    torch.manual_seed(0)\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.ReLU(),\n"
        "        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 2))\n"
        "    return TorchClassifier(net, classes=['a', 'b'], input_size=32)\n"
    )
    (scenes / "net.py").write_text(code)
    db = slicedb.open(scenes / "data.slicedb")
    db.models.add("one", f"{scenes / 'net.py'}:build")
    db.models.add("two", f"{scenes / 'net.py'}:build")
    first, second = db.cam("one", batch_size=8), db.cam("two", batch_size=8, workers=2)
    assert first.computed == second.computed == 120
    assert rows_of(db, "cams__one").equals(rows_of(db, "cams__two"))


@pytest.mark.slow
@pytest.mark.scale
def test_after_the_parent_was_killed_nothing_runs_on_and_the_next_run_completes(
    db: Database, clean: Database, tmp_path: Path
) -> None:
    (tmp_path / "trouble" / "sleep").write_text("0.2")
    command = [sys.executable, "-m", "slicedb", "--db", db.path, "predict", "m"]
    command += ["--workers", "2", "--batch-size", "8"]
    parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while parent.poll() is None and not _written(db):  # however busy the machine is
        time.sleep(0.1)
    children = _children(parent.pid)
    assert len(children) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 600  # they look each second whether the parent is there
    while time.monotonic() < deadline and any(map(_runs, children)):
        time.sleep(0.1)
    assert not any(map(_runs, children))
    assert 0 < _written(db) < N
    (tmp_path / "trouble" / "sleep").unlink()
    db.predict("m", workers=2, batch_size=8)
    clean.predict("m", batch_size=8)
    assert rows_of(db, "predictions__m").equals(rows_of(clean, "predictions__m"))


def _written(db: Database) -> int:
    return db.store.count("predictions__m") if db.store.has("predictions__m") else 0


def _children(pid: int) -> list[int]:
    text = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in text.stdout.split()]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return (
            "Z"
            not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split(")")[1].split()[0]
        )
    except (OSError, FileNotFoundError):
        return False


def test_what_other_processes_cannot_load_is_refused_at_once(db: Database) -> None:
    db.models.add("held", MeanColour())
    with pytest.raises(ModelError, match="Model 'held' is a Python object, which lives in this"):
        db.predict("held", workers=2)
    with pytest.raises(CheckError, match="source= is an object of this process"):
        db.predict("m", source=MeanColour(), workers=2)
    with pytest.raises(ModelError, match="is an object of this process"):
        db.tag_with(lambda images: [1] * len(images), name="one", workers=2)
    assert "one" not in db.store.schema("samples").names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"workers": 0}, "workers=0. Hint: give the number of processes, at least 1."),
        ({"engine": "rays"}, "No engine 'rays'. Hint: give ray, ray@HOST:PORT or ray://"),
        ({"device": "cpu,cpu,cpu", "workers": 2}, "3 devices and 2 workers."),
        ({"device": "cpu,warp:1"}, "No device 'warp:1' here: "),
        ({"device": "cpu,cuda:99"}, "No device 'cuda:99' here: "),
    ],
)
def test_a_wrong_word_about_processes_is_told(
    db: Database, given: dict[str, object], message: str
) -> None:
    with pytest.raises(SliceDBError) as raised:
        db.predict("m", **given)  # type: ignore[arg-type]
    assert message in str(raised.value)
    assert isinstance(raised.value, OptionError | ModelError)


def test_on_ray_is_refused_where_a_slice_has_that_name(db: Database) -> None:
    db.slices.add("ray", "label = 'red'")
    done = CliRunner().invoke(verbs, ["predict", "m", "--db", db.path, "--on", "ray"])
    assert isinstance(done.exception, CheckError)
    assert str(done.exception) == (
        "There is a slice or a column 'ray', so --on ray may mean two things. Hint: write "
        "--engine ray for the engine, or --on \"in_slice('ray')\"."
    )


def test_without_ray_the_engine_says_how_to_install_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(OptionError, match=r"Ray is not installed. Hint: pip install 'slicedb\[ray"):
        db.embed(engine="ray")


def test_a_process_refuses_a_model_that_is_another_one_there(db: Database) -> None:
    code = code_of(db.models.show("m"))
    assert meant(db.models, "m", code, db.models.get("m").fingerprint()) is db.models.get("m")
    with pytest.raises(ModelError, match=r"Model 'm' is another one on .*: its weights, code or"):
        meant(db.models, "m", code, "0" * 64)
    with pytest.raises(ModelError, match="Model 'm' was registered anew meanwhile, as "):
        meant(db.models, "m", ("torchvision:resnet18", None), "0" * 64)


def test_a_process_runs_the_code_that_its_parent_trusts_and_no_other(
    db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    row = db.models.show("m")
    fingerprint = db.models.get("m").fingerprint()
    monkeypatch.setenv("SLICEDB_CONFIG", str(tmp_path / "elsewhere"))
    there = slicedb.open(db.path)
    with pytest.raises(ModelError, match="was registered by somebody else or on another machine"):
        there.models.get("m")
    meant(there.models, "m", code_of(row), fingerprint)
