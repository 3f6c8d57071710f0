"""Long work tells how far it is, stops when it is told to, and keeps what was finished."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes_discovery import planted
from fakes_models import MeanColour, coloured_store, colours, fill
from PIL import Image

from slicedb import Database
from slicedb.errors import CancelledError, QueryCancelledError
from slicedb.models import Model
from slicedb.models.trying import encoded
from slicedb.progress import Cancel, Progress, bar, note
from slicedb.store import Store


class Halting(MeanColour):
    """Calls a function in front of a batch, counted from 1; what tries the model is no batch."""

    def __init__(self, at: int, call: Any) -> None:
        super().__init__()
        self.at, self.call, self.n = at, call, 0

    def fingerprint(self, stored: str = "") -> str:
        return "ab" * 32

    def predict_batch(self, images: Any) -> Any:
        self.n += len(images) > 3
        if self.n == self.at:
            self.call()
        return super().predict_batch(images)


@pytest.fixture
def db(tmp_path: Path) -> Database:
    return Database(coloured_store(tmp_path, 30))


def test_a_function_hears_every_stage_from_its_first_unit_to_its_last(db: Database) -> None:
    heard: list[Progress] = []
    db.models.add("mean", MeanColour())
    db.embed(progress=heard.append)
    db.predict("mean", progress=heard.append, batch_size=4)
    stages = list(dict.fromkeys(progress.stage for progress in heard))
    assert stages == ["embed default", "predict mean"]
    for stage in stages:
        of_stage = [progress for progress in heard if progress.stage == stage]
        done = [progress.done for progress in of_stage]
        assert done[0] == 0 and done[-1] == 30 and done == sorted(done)
        assert {(p.total, p.unit) for p in of_stage} == {(30, "sample")}
    assert heard[-1].share == 1.0 and "30/30" in str(heard[-1])
    assert Progress("list", 7, None, "object", 1.0).share is None


def test_a_cancelled_prediction_keeps_what_was_counted_and_goes_on_from_there(
    db: Database,
) -> None:
    cancel = Cancel()
    model = Halting(3, cancel.cancel)
    with pytest.raises(CancelledError, match="predict halting was cancelled after 12 of 30") as e:
        db.predict("halting", source=model, batch_size=4, device="cpu", progress=cancel)
    # What is counted is what is stored.
    assert "kept" in e.value.hint and e.value.progress is not None
    assert e.value.progress.done == db.store.count("predictions__halting") == 12
    report = db.predict("halting", source=model, batch_size=4, progress=False)
    assert (report.predicted, report.unchanged) == (18, 12)


def test_a_cancelled_embedding_keeps_its_vectors(db: Database) -> None:
    calls: list[int] = []

    def stop(progress: Progress) -> bool:
        calls.append(progress.done)
        return progress.done < 1

    # told at once, whatever the clock says
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slicedb.progress._PAUSE", -1.0)
        with pytest.raises(CancelledError, match="embed default was cancelled after 8 of 30"):
            db.embed(batch_size=8, progress=stop)
    assert calls == [0, 8] and db.store.count("embeddings__default") == 8
    assert db.embed(progress=False).embedded == 22


def test_a_function_may_raise_the_error_itself_and_others_pass(db: Database) -> None:
    def cancelled(progress: Progress) -> None:
        raise CancelledError("enough")

    with pytest.raises(CancelledError, match="embed default was cancelled after 0 of 30"):
        db.embed(progress=cancelled)

    def broken(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.embed(progress=broken)


def test_work_that_was_cancelled_before_it_began_does_nothing(db: Database) -> None:
    cancel = Cancel()
    cancel.cancel()
    assert cancel.is_cancelled
    with pytest.raises(CancelledError, match="after 0 of 30 samples"):
        db.embed(progress=cancel)
    assert db.store.count("embeddings__default") == 0


def test_two_jobs_of_one_process_are_stopped_apart(db: Database) -> None:
    first, second = Cancel(), Cancel()
    heard: list[Progress] = []
    meet = threading.Barrier(2, timeout=30)
    errors: dict[str, BaseException | None] = {}

    def stop_and_meet() -> None:
        first.cancel()
        meet.wait()

    def job(name: str, model: Model, cancel: Cancel) -> None:
        try:
            db.predict(name, source=model, batch_size=5, device="cpu", progress=cancel)
            errors[name] = None
        except CancelledError as error:
            errors[name] = error

    second.watch = heard.append
    threads = [
        threading.Thread(target=job, args=("one", Halting(2, stop_and_meet), first)),
        threading.Thread(target=job, args=("two", Halting(2, meet.wait), second)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert "predict one was cancelled after 10 of 30" in str(errors["one"])
    assert errors["two"] is None and heard[-1].done == 30
    assert db.store.count("predictions__one") == 10
    assert db.store.count("predictions__two") == 30


def test_threads_that_count_together_call_one_at_a_time_and_all_stop() -> None:
    inside, most = 0, 0

    def tell(progress: Progress) -> bool | None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        inside -= 1
        return False if progress.done >= 500 else None

    stopped: list[int] = []

    def count(shown: Any) -> None:
        try:
            for _ in range(1000):
                shown.advance()
        except CancelledError:
            stopped.append(1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slicedb.progress._PAUSE", -1.0)
        with pytest.raises(CancelledError), bar(8000, "count", tell) as shown:
            threads = [threading.Thread(target=count, args=(shown,)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            shown.advance()
    assert most == 1 and len(stopped) == 8


def test_a_cancelled_suite_records_nothing_and_keeps_its_predictions(db: Database) -> None:
    cancel = Cancel()
    db.models.add("halting", Halting(1, cancel.cancel))
    every = db.slices.add("every", "true", expect=["accuracy >= 0.5", "count > 3"])
    with pytest.raises(CancelledError, match="predict halting"):
        db.test([every], model="halting", progress=cancel)
    assert db.store.count("predictions__halting") == 30 and not len(db.runs.list())
    heard: list[Progress] = []
    report = db.test([every], model="halting", progress=heard.append)
    assert report.ok and len(db.runs.list()) == 1
    judged = [p for p in heard if p.stage == "judge"]
    assert (judged[-1].done, judged[-1].total, judged[-1].unit) == (2, 2, "expectation")


def test_a_suite_is_cancelled_while_it_judges(db: Database) -> None:
    db.models.add("mean", MeanColour())
    every = db.slices.add("every", "true", expect=["accuracy >= 0.5"])
    with pytest.raises(CancelledError, match="judge was cancelled after 0 of 1 expectation"):
        db.test([every], model="mean", progress=lambda progress: progress.stage != "judge")
    assert not len(db.runs.list()) and db.store.count("predictions__mean") == 30


def test_a_discovery_tells_its_stages_and_stops(tmp_path: Path) -> None:
    night = np.arange(400) % 4 == 0
    wrong = np.random.default_rng(0).random(400) < np.where(night, 0.7, 0.05)
    db = planted(tmp_path, {"light": np.where(night, "night", "day")}, wrong)
    heard: list[Progress] = []
    assert db.discover("m", progress=heard.append).findings
    assert {"conditions", "search"} <= {progress.stage for progress in heard}
    with pytest.raises(CancelledError, match="search was cancelled") as error:
        db.discover("m", progress=lambda progress: progress.stage != "search")
    assert "nothing of this stage is kept" in error.value.hint


def test_cancelled_hashes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store.open(tmp_path / "noise.slicedb")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (30, 8, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)
    fill(store, {f"{i:02}": encoded(Image.fromarray(one)) for i, one in enumerate(noise)})
    db = Database(store)
    monkeypatch.setattr("slicedb.curate.looks._PIECE", 10)
    monkeypatch.setattr("slicedb.progress._PAUSE", -1.0)
    with pytest.raises(CancelledError, match="decode was cancelled after 10 of 30 pictures"):
        db.duplicates(progress=lambda p: p.stage != "decode" or p.done < 10)
    assert db.query("dct_hash IS NOT NULL").count() == 10
    with pytest.raises(CancelledError, match="compare hashes"):
        db.duplicates(progress=lambda p: p.stage != "compare hashes")
    assert db.query("dct_hash IS NOT NULL").count() == 30


def test_a_cancelled_health_report_is_none(db: Database) -> None:
    with pytest.raises(CancelledError):
        db.health(progress=lambda progress: False)


def test_a_cancelled_ingest_keeps_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicedb

    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in colours(60).items():
        (folder / f"{name}.png").write_bytes(data)
    monkeypatch.setattr("slicedb.ingest.folder.ROWS", 10)
    monkeypatch.setattr("slicedb.progress._PAUSE", -1.0)
    db = slicedb.open(tmp_path / "data.slicedb")
    with pytest.raises(CancelledError, match="ingest was cancelled after 20"):
        db.ingest(folder, progress=lambda progress: progress.done < 20)
    assert db.store.count("samples") == db.store.count("images") == 20
    report = db.ingest(folder, progress=False)
    assert (report.added, report.unchanged) == (40, 20)


def test_cancelled_maps_are_kept(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from slicedb.models import TorchClassifier

    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 3, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    db.models.add("net", TorchClassifier(net, classes=("red", "green", "blue"), input_size=8))
    monkeypatch.setattr("slicedb.progress._PAUSE", -1.0)
    with pytest.raises(CancelledError, match="cam net was cancelled after 5 of 30"):
        db.cam("net", progress=lambda progress: progress.done < 5)
    assert db.store.count("cams__net") == 5
    assert db.cam("net", progress=False).unchanged == 5


def test_notes_are_told_to_whoever_watches(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Progress] = []
    note("two names", heard.append)
    note("two names", Cancel(heard.append))
    assert [str(progress) for progress in heard] == ["two names", "two names"]
    assert capsys.readouterr().err == ""
    note("two names", False)
    note("two names", Cancel())
    assert capsys.readouterr().err == "Note: two names\n"


def test_a_cancelled_query_is_cancelled_work() -> None:
    assert issubclass(QueryCancelledError, CancelledError)
    assert np.isclose(Progress("x", 1, 3, "sample", 0.0).share or 0, 1 / 3)
