"""compare, power and their rows on the command line and the handle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import slicedb
from slicedb.cli import main
from slicedb.database import Database


@pytest.fixture
def db(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """`v1` is right but for every fifth sample, `v2` but for every fourth, at night for none."""
    monkeypatch.chdir(scenes)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    db = slicedb.open("data.slicedb", create=False)
    rows = db.sql("SELECT id, label, light FROM samples ORDER BY id").to_pylist()
    other = {r["label"]: rows[0]["label"] for r in rows}
    other[rows[0]["label"]] = next(r["label"] for r in rows if r["label"] != rows[0]["label"])
    for name, step in (("v1", 5), ("v2", 4)):
        said = [
            other[r["label"]]
            if i % step == 0 or (name == "v2" and r["light"] == "night")
            else r["label"]
            for i, r in enumerate(rows)
        ]
        import pyarrow as pa

        db.log_predictions(name, pa.table({"id": [r["id"] for r in rows], "prediction": said}))
    db.slices.add("night", "light = 'night'")
    return db


def run(line: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    try:
        code = main(line) or 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    return (code, *capsys.readouterr())


def test_the_flipped_samples_of_every_kind_of_slice_are_a_query_that_counts_them(
    db: Database,
) -> None:
    some = db.query("light = 'night' ORDER BY id LIMIT 9")
    kinds = ["night", "light = 'night' OR light = 'day'", some, "SELECT * FROM samples LIMIT 50"]
    found = db.compare("v2", "v1", slices=kinds)
    assert found.to_arrow().num_rows == 4
    for row in found.to_arrow().to_pylist():
        assert db.query(row["lost"]).count() == row["losses"]
        assert db.query(row["won"]).count() == row["wins"]
        assert db.query(found.query(row["slice"])).count() == row["wins"] + row["losses"]
    assert found.row("night")["losses"] > 0 and found.row("night")["wins"] == 0


def test_compare_names_what_was_lost(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(["compare", "v2", "v1", "--on", "night", "--name", "lost"], capsys)
    assert code == 0 and "A = v2, B = v1" in out
    assert "lost_night" in err
    assert db.slices.get("lost_night").count() == db.compare("v2", "v1").row("night")["losses"]


@pytest.mark.parametrize("verb", ["compare", "power"])
def test_rows_leave_as_json(db: Database, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = run([verb, "v2", "v1", "-f", "json"], capsys)
    assert code == 0 and [r["slice"] for r in json.loads(out)] == ["all", "night"]
    assert run([verb, "v2", "v1"], capsys)[1].startswith("slice")


def test_evaluate_by_group(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["evaluate", "v1", "--group", "light", "-f", "json"], capsys)
    assert code == 0 and json.loads(out)[0]["high"] < 1
    code, _, err = run(["evaluate", "v1", "--group", "ligth"], capsys)
    assert code == 1 and "did you mean 'light'" in err


def test_the_group_of_a_slice_and_of_a_suite_are_read_from_files(db: Database) -> None:
    folder = Path("queries_by_group")
    folder.mkdir()
    (folder / "a.sql").write_text(
        "/*\nslice: by_light\ngroup: light\nexpect: accuracy > 0.1\n*/\ntrue"
    )
    (folder / "b.sql").write_text("/*\nslice: by_dish\nexpect: accuracy > 0.1\n*/\ntrue")
    (folder / "suite.toml").write_text('model = "v1"\ngroup = "dish"\ndetect = 0.05\n')
    by_dish, by_light = sorted(db.test(folder).results, key=lambda r: r.slice)
    n = db.sql(
        "SELECT count(DISTINCT light) AS a, count(DISTINCT dish) AS b FROM samples"
    ).to_pylist()
    assert f"in {n[0]['a']} groups" in by_light.message
    assert f"in {n[0]['b']} groups" in by_dish.message


def test_what_is_judged_reads_at_a_prompt_as_it_prints(db: Database) -> None:
    night = db.slices.add("night", "light = 'night'", expect=["accuracy >= 0.1"], replace=True)
    assert repr(night) == (
        "<Slice 'night' (live, version 2): \"light = 'night'\", expect=['accuracy >= 0.1']>"
    )
    shown = night._repr_html_()
    assert shown is not None and f"<p>{night.count()} samples" in shown and "<img" in shown
    for found in (
        db.evaluate(["v1", "v2"]),
        db.compare("v1", "v2"),
        db.slices.diff("night"),
        db.test(["night"], model="v1"),
    ):
        assert repr(found) == str(found) and len(repr(found)) < 2000


def test_strict_of_a_suite_holds_where_the_command_line_does_not_speak(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.sql").write_text(
        "/*\nslice: everything\nexpect:\n  - accuracy >= 0.8\n*/\ntrue\n"
    )
    (tmp_path / "suite.toml").write_text('model = "v1"\nstrict = true\n')
    code, out, _ = run(["test", str(tmp_path)], capsys)
    assert "INCONCLUSIVE" in out and code == 1
    assert run(["test", str(tmp_path), "--no-strict"], capsys)[0] == 0
