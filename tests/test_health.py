"""Health: each line has its query and its bound, and the exit status follows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fakes_models import png

import slicedb
from slicedb.cli import verbs
from slicedb.curate.bounds import BOUNDS, bounds
from slicedb.errors import CheckError, DatabaseError


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """40 pictures of one colour each, two of them broken, four twice, with a slice and a commit."""
    folder = tmp_path_factory.mktemp("health")
    rng = np.random.default_rng(0)
    for i in range(40):
        part = folder / "photos" / ("test" if i % 4 == 0 else "train") / ("a" if i % 2 else "b")
        part.mkdir(parents=True, exist_ok=True)
        data = png(tuple(int(v) for v in rng.integers(0, 255, 3)))
        (part / f"{i:02}.png").write_bytes(data if i > 1 else data[:40])
        if 8 <= i < 12:
            (part / f"{i:02}_again.png").write_bytes(data)
    made = slicedb.open(folder / "h.slicedb")
    made.ingest(folder / "photos", progress=False)
    made.slices.add("bees", "label = 'b'", holdout=0.5)
    made.commit("all")
    return made


def test_every_line_has_its_value_its_query_and_its_bound(db: slicedb.Database) -> None:
    report = db.health()
    of = {line.name: line for line in report.lines}
    assert list(of) == list(BOUNDS) and report.n == 44
    assert of["quarantined"].n == db.query(of["quarantined"].query).count() == 2
    assert of["quarantined"].value == pytest.approx(2 / 44) and not of["quarantined"].is_ok
    assert of["duplicates"].n == 4 and not of["duplicates"].is_ok
    assert of["leaks"].value == 0 and of["leaks"].is_ok
    assert of["quality"].value is None and "never run" in of["quality"].note
    assert of["label_errors"].value is None and of["label_errors"].is_ok
    assert "fewer than 30" in of["drift"].note or of["drift"].value in (0, None)
    assert of["holdout_looks"].value == 0
    assert not report.ok and report.exit_code == 1
    assert "BAD" in str(report) and "status <> 'ok'" in str(report)


def test_a_slice_that_broke_is_a_line(db: slicedb.Database) -> None:
    db.attach({"id": db.query().ids(), "weather": ["sun"] * db.query().count()})
    db.slices.add("sunny", "weather = 'sun'")
    db.store.drop_columns("samples", ["weather"])
    line = next(line for line in db.health().lines if line.name == "broken_slices")
    assert (line.value, line.note, line.is_ok) == (1, "sunny", False)
    db.slices.drop("sunny")


def test_damage_is_no_line_that_is_passed_over(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(*_: object) -> None:
        raise DatabaseError("The table 'samples' is damaged.", "")

    monkeypatch.setattr(type(db), "doctor", damaged)
    with pytest.raises(DatabaseError, match="is damaged"):
        db.health()


def test_bounds_come_from_a_file(db: slicedb.Database, tmp_path: Path) -> None:
    (tmp_path / "health.toml").write_text("quarantined = 0.1\nduplicates = 0.2\n")
    report = db.health(tmp_path)
    assert {line.bound for line in report.lines if line.name == "quarantined"} == {0.1}
    assert report.ok and report.exit_code == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("quarantine = 0.1", "did you mean 'quarantined'"),
        ("leaks = -1", "leaks = -1 is no bound"),
        ("leaks = true", "leaks = True is no bound"),
        ("leaks = nan", "no bound"),
        ("leaks", "is not TOML"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "health.toml"
    file.write_text(text)
    with pytest.raises(CheckError, match=says):
        bounds(file)
    with pytest.raises(CheckError, match=r"There is no .*missing\.toml"):
        bounds(tmp_path / "missing.toml")


def test_the_exit_status_is_for_machines(db: slicedb.Database, tmp_path: Path) -> None:
    args = ["--db", db.path, "health"]
    result = CliRunner().invoke(verbs, [*args, "--format", "json"])
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert {row["name"]: row["is_ok"] for row in rows}["quarantined"] is False
    (tmp_path / "health.toml").write_text("quarantined = 0.1\nduplicates = 0.2\n")
    page = tmp_path / "health.html"
    result = CliRunner().invoke(verbs, [*args, str(tmp_path), "-o", str(page)])
    assert result.exit_code == 0 and "<table" in page.read_text()
