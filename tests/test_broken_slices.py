"""A slice that is not right is an error of its own: the others are judged, and the run fails."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest
from fakes_judge import add_predictions, add_samples, write

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import BindError, CheckError, SliceError

pytest_plugins = ["pytester"]

GOOD = "/*\nslice: {}\nexpect: accuracy >= 0.5\n*/\nlabel = 'cat'"
ASKED = GOOD.replace("label = 'cat'", "{}")
FILES = {
    "good": GOOD.format("good"),
    "also": GOOD.format("also"),
    "typo": ASKED.format("typo", "lable = 'cat'"),
    "torn": ASKED.format("torn", "label = 'cat' AND"),
    "late": ASKED.format("late", "label::INT = 3"),
    "groups": ASKED.format("groups", "SELECT label, count(*) FROM samples GROUP BY 1"),
    "head": "/*\nslice: head\nexpect: accurracy >= 0.5\n*/\nlabel = 'cat'",
    "uses": ASKED.format("uses", "in_slice('head')"),
    "hops": ASKED.format("hops", "in_slice('uses')"),
    "asks": ASKED.format("asks", "in_slice('typo')"),
    "ring": ASKED.format("ring", "in_slice('rung')"),
    "rung": ASKED.format("rung", "in_slice('ring')"),
    "twice": GOOD.format("also"),
    "class": "/*\nslice: of_class\nexpect: recall of horse >= 0.5\n*/\nlabel = 'cat'",
    "group": "/*\nslice: grouped\ngroup: nothing\nexpect: accuracy >= 0.5\n*/\nlabel = 'cat'",
}
WRONG = ["asks", "grouped", "groups", "head", "hops", "late", "of_class", "ring", "rung", "torn"]
WRONG += ["twice", "typo", "uses"]


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = slicedb.open(tmp_path / "d.slicedb")
    ids = [f"{i:03}.jpg" for i in range(40)]
    add_samples(db.store, ids, ["cat"] * 30 + ["dog"] * 10)
    add_predictions(db.store, "m", ids, ["cat"] * 35 + ["dog"] * 5)
    return db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "queries", **FILES)


def test_each_file_that_is_not_right_is_named_and_the_others_are_judged(
    db: Database, folder: Path
) -> None:
    report = db.test(folder, model="m")
    assert sorted(r.slice for r in report.results) == ["also", "good"]
    assert {r.verdict for r in report.results} == {"PASS"}
    assert sorted(b.name for b in report.broken) == WRONG
    said = {b.name: b.message for b in report.broken}
    assert "typo.sql" in said["typo"] and "'label'" in said["typo"]
    assert "head.sql" in said["head"] and "accuracy" in said["head"]
    assert "made of head, whose file is not right" in said["uses"]
    assert "made of head, whose file is not right" in said["hops"]
    assert "ring -> rung -> ring" in said["ring"] and "no class 'horse'" in said["of_class"]
    assert "also.sql" in said["twice"] and "twice.sql" in said["twice"]
    assert not report.ok and report.exit_code == 1
    assert sorted(s.name for s in db.slices.list()) == ["also", "good", "of_class"]


def test_every_form_of_the_report_tells_the_errors(db: Database, folder: Path) -> None:
    report = db.test(folder, model="m")
    assert "ERROR typo: " in str(report) and "13 ERROR, 2 PASS" in str(report)
    told = json.loads(report.to_json())
    assert told["counts"] == {"PASS": 2, "FAIL": 0, "INCONCLUSIVE": 0, "ERROR": 13}
    assert sorted(e["name"] for e in told["errors"]) == WRONG and not told["ok"]
    suites = xml.fromstring(report.to_junit())
    assert (suites.get("tests"), suites.get("errors"), suites.get("failures")) == ("15", "13", "0")
    assert sorted(c.get("classname", "") for c in suites.iter() if c.find("error") is not None) == (
        WRONG
    )
    assert "💥 ERROR | typo" in report.to_markdown()
    assert "<b>Error:</b> typo: " in report.to_html()
    summary = json.loads(db.runs.list()["summary"][0].as_py())
    assert sorted(summary["errors"]) == WRONG and not summary["ok"]


def test_the_command_line_and_a_database_that_is_only_read(
    db: Database, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as end:
        main(["test", str(folder), "--model", "m", "--db", db.path])
    assert end.value.code == 1
    out = capsys.readouterr().out
    assert "PASS" in out and "ERROR typo: " in out
    monkeypatch.setattr(type(db.store), "is_writable", False)
    assert sorted(b.name for b in db.test(folder, model="m").broken) == WRONG


def test_where_nothing_can_be_judged_the_error_is_raised(db: Database, folder: Path) -> None:
    with pytest.raises(BindError, match=r"typo\.sql"):
        db.test(folder / "typo.sql", model="m")
    with pytest.raises(CheckError, match="no class 'horse'"):
        db.test(folder / "class.sql", model="m")
    with pytest.raises(SliceError, match=r"has no \.sql files"):
        db.test(write(folder.parent / "empty"), model="m")
    with pytest.raises(BindError):  # apply stays all or nothing
        write(folder.parent / "two", good=FILES["good"], typo=FILES["typo"])
        db.slices.apply(folder.parent / "two")


def test_a_registered_slice_that_no_longer_binds_is_an_error_of_its_own(db: Database) -> None:
    db.slices.add("good", "label = 'cat'", expect=["accuracy >= 0.5"])
    db.log_predictions("n", {"id": ["000.jpg"], "prediction": ["cat"]})
    db.slices.add("of_n", "n.correct", expect=["accuracy >= 0.5"])
    db.models.drop("n")
    report = db.test(model="m")
    assert [r.slice for r in report.results] == ["good"]
    assert [b.name for b in report.broken] == ["of_n"] and "'n'" in report.broken[0].message


@pytest.mark.slow
def test_pytest_fails_the_file_that_is_not_right_and_passes_the_others(
    pytester: pytest.Pytester, db: Database
) -> None:
    names = ("good", "typo", "asks", "class", "late")
    write(pytester.path / "queries", **{name: FILES[name] for name in names})
    result = pytester.runpytest("queries", f"--slicedb-db={db.path}", "--slicedb-model=m")
    result.assert_outcomes(passed=1, failed=4)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*typo.sql*No column 'lable'*"])
