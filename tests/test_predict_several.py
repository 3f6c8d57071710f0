"""`predict` with several models in one pass: their tables are those of a pass for each."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_crew import N, crew_database, rows_of, write_model
from fakes_detector import detector
from fakes_models import coloured_store, colours, fill, png

import slicedb
from slicedb import media
from slicedb.cli import verbs
from slicedb.database import Database
from slicedb.errors import (
    CancelledError,
    CheckError,
    ModelError,
    PredictionError,
    UnknownModelError,
)
from slicedb.models import Model
from slicedb.models.elsewhere import code_of
from slicedb.predictions import PredictReports
from slicedb.predictions.joint import JointJob, wants_of, with_wants
from slicedb.predictions.shares import PredictJob
from slicedb.progress import Progress
from slicedb.store.shares import Place


def means(size: int = 8, fail_at: int = 0) -> Model:
    """Return a model whose logits are ten times the mean of each channel.

    Args:
        size: of its input.
        fail_at: which of its batches of four fails.
    """

    class Means(Model):
        classes = ("red", "green", "blue")
        mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        input_size = size
        seen: list[int] = []  # of the class: what running a model changes there is no part of it

        def predict_batch(self, images: Any) -> Any:
            self.seen.append(len(images))
            if len(images) == 4 and self.seen.count(4) == fail_at:
                raise RuntimeError("it was told to fail")
            return 10.0 * images.mean((2, 3))  # (n, 3, h, w) -> (n, 3)

    return Means()


def database(folder: Path, *models: tuple[str, Model], n: int = 30) -> Database:
    """Return a database of n pictures, the last of which does not decode."""
    store = coloured_store(folder, n)
    fill(store, {"broken": png((255, 0, 0))[:50]}, {"broken": "red"})
    fill(store, {"quarantined": b"?"}, status={"quarantined": "corrupt"})
    db = slicedb.open(store.path)
    for name, model in models:
        db.models.add(name, model)
    return db


def three() -> list[tuple[str, Model]]:
    return [("small", means()), ("wide", means(14)), ("boxes", detector())]


NAMES = ["small", "wide", "boxes"]


def assert_same(db: Database, other: Database, models: list[str]) -> None:
    for model in models:
        table = f"predictions__{model}"
        assert rows_of(db, table).equals(rows_of(other, table)), model


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """Count how often each picture is decoded."""
    counted: Counter[bytes] = Counter()
    decode = media._pillow_rgb

    def count(data: bytes, max_pixels: int) -> np.ndarray:
        counted[data] += 1
        return decode(data, max_pixels)

    monkeypatch.setattr(media, "_pillow_rgb", count)
    return counted


def test_one_pass_gives_the_tables_of_a_pass_for_each(
    tmp_path: Path, decodings: Counter[bytes]
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "each").mkdir()
    db, other = database(tmp_path / "one", *three()), database(tmp_path / "each", *three())
    reports = db.predict(NAMES)
    assert sum(decodings.values()) == 31  # 30 pictures, and one that does not decode
    each = {name: other.predict(name) for name in NAMES}
    assert_same(db, other, NAMES)
    for name, report in each.items():
        got = reports[name]
        assert (got.predicted, got.unchanged, got.failed) == (30, 0, 1)
        assert (got.quarantined, got.outside) == (report.quarantined, report.outside)
        assert (got.examples, got.notes) == (report.examples, report.notes)
    assert reports.pictures == 31
    assert [len(one) for one in (reports, reports.to_arrow())] == [3, 3]
    lines = str(reports).splitlines()
    assert lines[0].startswith("small: 30 predicted, 0 unchanged (")
    assert lines[1].startswith("  1 failed and are tried again next time:")
    assert lines[-1].startswith("one pass over 31 pictures, ")


def test_each_model_computes_what_it_lacks(tmp_path: Path, decodings: Counter[bytes]) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "each").mkdir()
    db, other = database(tmp_path / "one", *three()), database(tmp_path / "each", *three())
    for one in (db, other):
        one.predict("small")
        one.predict("wide", "id < '2'")
        one.relabel("id = '0_red'", "blue")
    decodings.clear()
    reports = db.predict(NAMES, "id <> 'broken'")
    assert [(r.predicted, r.unchanged) for r in reports.values()] == [(0, 30), (18, 12), (30, 0)]
    assert sum(decodings.values()) == 30
    for name in NAMES:
        other.predict(name, "id <> 'broken'")
    assert_same(db, other, NAMES)
    again = db.predict(NAMES, "id <> 'broken'")
    assert [(r.predicted, r.unchanged) for r in again.values()] == [(0, 30)] * 3
    assert again.pictures == 0
    assert "one pass" not in str(again)


def test_a_model_that_changed_is_replaced_and_the_other_stays(tmp_path: Path) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14)))
    db.predict(["a", "b"])
    version = db.store.version("predictions__b")
    db.models.add("a", means(9), replace=True)
    reports = db.predict(["a", "b"], "id <> 'broken'")
    assert (reports["a"].predicted, reports["a"].replaced) == (30, 31)
    assert (reports["b"].predicted, reports["b"].unchanged) == (0, 30)
    assert db.store.version("predictions__b") == version


def test_a_model_that_fails_is_told_at_the_end_and_both_keep_their_rows(tmp_path: Path) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14, 3)))
    with pytest.raises(ModelError) as caught:
        db.predict(["a", "b"], batch_size=4)
    text = str(caught.value)
    assert "failed on a batch of shape (4, 14, 14, 3) on cpu: RuntimeError: it was told" in text
    assert text.startswith("Model 'b' failed on")
    assert "'a' is complete (30 predicted, 0 unchanged, 1 failed)." in text
    assert text.endswith("What 'b' predicted before is kept.")
    assert isinstance(caught.value.__cause__, RuntimeError)
    n = len(db.store.table("predictions__b"))
    assert 0 < n < 30
    reports = db.predict(["a", "b"], "id <> 'broken'")
    assert [(r.predicted, r.unchanged) for r in reports.values()] == [(0, 30), (30 - n, n)]


def test_several_that_fail_are_all_told(tmp_path: Path) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14, 1)), ("c", means(9, 3)))
    with pytest.raises(ModelError, match=r"2 models of 3 failed\. ") as caught:
        db.predict(["a", "b", "c"], batch_size=4)
    assert "'a' is complete (30 predicted" in str(caught.value)
    assert "What 'b' and 'c' predicted before is kept." in str(caught.value)


def test_stopping_keeps_the_rows_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slicedb.progress._PAUSE", 0.0)
    db = database(tmp_path, ("a", means()), ("b", means(14)), n=60)
    with pytest.raises(CancelledError, match=r"predict a, b was cancelled after \d+ of 122"):
        db.predict(["a", "b"], batch_size=4, progress=lambda p: p.done < 40)
    kept = [len(db.store.table(f"predictions__{m}")) for m in "ab"]
    assert all(0 < n < 60 for n in kept)
    reports = db.predict(["a", "b"])
    assert [r.predicted + n for r, n in zip(reports.values(), kept)] == [60] * 2


def test_the_bar_counts_predictions(tmp_path: Path) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14)))
    db.predict("a", "id < '2'")
    seen: list[Progress] = []
    db.predict(["a", "b"], progress=seen.append)
    last = seen[-1]
    assert (last.stage, last.done, last.total) == ("predict a, b", 19 + 31, 50)
    assert last.unit == "prediction"


def test_a_name_given_twice_counts_once(tmp_path: Path) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14)))
    assert list(db.predict(["b", "a", "b"])) == ["b", "a"]
    assert list(db.predict(name for name in ["a"])) == ["a"]
    assert isinstance(db.predict(("a",)), PredictReports)


def test_what_is_wrong_with_one_name_is_told_before_anything_is_computed(tmp_path: Path) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14)))
    db.log_predictions("theirs", {"id": ["0_red"], "prediction": ["red"]})
    with pytest.raises(UnknownModelError, match="No model 'c'"):
        db.predict(["a", "c"])
    with pytest.raises(ModelError, match="Of 'theirs' there are logged predictions alone"):
        db.predict(["a", "theirs"])
    with pytest.raises(CheckError, match=r"No model is named to predict with\. .*: a, b, theirs\."):
        db.predict([])
    with pytest.raises(CheckError, match="this is a Means"):
        db.predict(["a", means()])  # type: ignore[list-item]
    with pytest.raises(CheckError, match="source= is one model, and 2 names"):
        db.predict(["a", "b"], source=means())  # type: ignore[call-overload]
    db.log_predictions("x", {"id": ["0_red"], "prediction": ["red"]})
    db.models.add("x", means())
    with pytest.raises(PredictionError, match="'x' were logged from elsewhere"):
        db.predict(["a", "x"])
    assert not db.store.has("predictions__a")


def test_judging_fills_in_all_models_in_one_pass(tmp_path: Path, decodings: Counter[bytes]) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14)))
    chosen = "id <> 'broken'"
    db.compare("a", "b", [chosen])
    assert sum(decodings.values()) == 30
    decodings.clear()
    fill(db.store, colours(3, "new_"), dict.fromkeys(colours(3, "new_"), "red"))
    db.evaluate(["a", "b"], [chosen])
    assert sum(decodings.values()) == 3


def test_what_predicts_after_a_sync_shares_a_pass(
    tmp_path: Path, decodings: Counter[bytes]
) -> None:
    db = database(tmp_path, ("a", means()), ("b", means(14)), n=3)
    (tmp_path / "new").mkdir()
    for name, data in colours(6, "new_").items():
        (tmp_path / "new" / f"{name}.png").write_bytes(data)
    db.predict(["a", "b"])
    decodings.clear()
    report = db.sync(tmp_path / "new", then="predict:a,predict:b", progress=False)
    lines = str(report).splitlines()
    assert [line.split(" (")[0] for line in lines if line.startswith("predict: ")] == [
        "predict: a: 6 predicted, 3 unchanged",
        "predict: b: 6 predicted, 3 unchanged",
    ]
    # Once when it is verified, once for both models; and the broken one is tried again.
    assert sum(decodings.values()) <= 6 + 6 + 1


def test_shares_give_each_model_whole_batches() -> None:
    rng = np.random.default_rng(0)
    for sizes, share in (((8, 32), 1.0), ((8, 6), 0.4), ((4, 24, 7), 0.7)):
        wants = rng.random((3000, len(sizes))) < [1.0, *[share] * (len(sizes) - 1)]
        jobs = [PredictJob("m", ("", None), "", 1, None, size, 100) for size in sizes]
        rows = with_wants(pa.table({"key": np.arange(3000)}), wants)
        shares = JointJob(tuple(jobs), None).divide(rows, 3)
        assert len(shares) > 9
        for model, size in enumerate(sizes):
            mine = [s["key"].to_numpy()[wants_of(s)[:, model]] for s in shares]
            assert np.array_equal(np.concatenate(mine), np.flatnonzero(wants[:, model]))
            assert all(len(keys) % size == 0 for keys in mine[:-1])
        n = sum(len(share) for share in shares)
        assert n == 3000 if share == 1.0 else 3000 <= n <= 3000 + len(shares) * sum(sizes)


def test_every_model_is_held_against_its_fingerprint(tmp_path: Path) -> None:
    db = crew_database(tmp_path)
    model, code = db.models.get("m"), code_of(db.models.show("m"))
    job = PredictJob.of("m", model, code, db.store.version("samples"), None, "cpu")
    JointJob((job, job), None).open(db.store, Place("cpu"))
    with pytest.raises(ModelError, match=r"Model 'm' is another one on .*: its weights, code or"):
        JointJob((job, replace(job, fingerprint="other")), None).open(db.store, Place("cpu"))


@pytest.fixture
def crew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Database, Database]:
    """Return a database with two models that any process can load, and another like it."""
    monkeypatch.setenv("CREW_PARENT", str(os.getpid()))
    monkeypatch.setenv("CREW_TROUBLE", str(tmp_path / "one" / "trouble"))
    made = []
    for name in ("one", "each"):
        (tmp_path / name).mkdir()
        db = crew_database(tmp_path / name)
        (tmp_path / name / "second").mkdir()
        write_model(tmp_path / name / "second", 3.0)
        db.models.add("second", f"{tmp_path / name / 'second' / 'model.py'}:build")
        made.append(db)
    return made[0], made[1]


@pytest.mark.slow
@pytest.mark.scale
def test_processes_share_the_pass_and_one_that_dies_is_replaced(
    crew: tuple[Database, Database],
) -> None:
    db, other = crew
    (Path(db.path).parent / "trouble" / "kill").touch()
    db.predict("second", "id < '15'", batch_size=16)
    reports = db.predict(["m", "second"], workers=2, batch_size=16)
    assert (reports["m"].predicted, reports["m"].unchanged) == (N, 0)
    assert reports["second"].predicted + reports["second"].unchanged == N
    assert (Path(db.path).parent / "trouble" / "kill-done").exists()
    for name in ("m", "second"):
        other.predict(name, batch_size=16)
    assert_same(db, other, ["m", "second"])
    assert [db.store.small_fragments(f"predictions__{m}") for m in ("m", "second")] == [1, 1]


@pytest.mark.slow
@pytest.mark.scale
def test_a_model_that_fails_in_a_process_costs_the_other_nothing(
    crew: tuple[Database, Database],
) -> None:
    db, _ = crew
    (Path(db.path).parent / "trouble" / "raise").touch()
    with pytest.raises(ModelError, match="RuntimeError: it was told to fail") as caught:
        db.predict(["m", "second"], workers=1, batch_size=16)
    assert f"is complete ({N} predicted, 0 unchanged)." in str(caught.value)
    reports = db.predict(["m", "second"], workers=1, batch_size=16)
    assert sorted(r.unchanged == N for r in reports.values()) == [False, True]
    assert [r.predicted + r.unchanged for r in reports.values()] == [N, N]


def test_the_command_takes_several_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = crew_database(tmp_path)
    db.models.add("again", f"{tmp_path / 'model.py'}:build")
    run = CliRunner().invoke
    said = run(verbs, ["predict", "m", "again", "--db", db.path, "--batch-size", "32"])
    assert said.exit_code == 0, said.output
    assert "m: 300 predicted, 0 unchanged" in said.output
    assert "again: 300 predicted, 0 unchanged" in said.output
    assert "one pass over 300 pictures, " in said.output
    said = run(verbs, ["predict", "m", "agian", "--db", db.path])
    assert said.exit_code == 1
    assert "No model 'agian'" in str(said.exception)
    assert run(verbs, ["predict", "--db", db.path]).exit_code == 2
