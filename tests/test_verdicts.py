"""Answers about likely label errors: kept, counted, carried out by `clean`, and when to stop."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_labels import detected, filled, planted

import slicedb
from slicedb.cli import verbs
from slicedb.database import Database
from slicedb.errors import CheckError, SourceError


def answered(path: Path, db: Database, said: list[tuple[str, str, str]], *names: str) -> Path:
    file = path / "answers.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(names or ("id", "verdict", "label"))
        writer.writerows(said)
    return file


def test_answers_are_kept_counted_and_carried_out(tmp_path: Path) -> None:
    db = filled(tmp_path)
    rows = db.labels("m").rows.to_pylist()
    said = [(r["id"], "wrong", r["suggested"]) for r in rows[:12]]
    said += [(r["id"], "right", r["label"]) for r in rows[12:15]]
    said += [(rows[15]["id"], "skip", ""), (rows[16]["id"], "", ""), (rows[17]["id"], "wrong", "")]
    report = db.labels("m", answers=answered(tmp_path, db, said), block=5, stop=0.6)
    verdicts = report.verdicts
    assert verdicts is not None
    assert (verdicts.n, verdicts.wrong, verdicts.pending) == (16, 13, 12)
    assert (round(verdicts.low, 4), round(verdicts.high, 4)) == (0.5699, 0.9341)  # Wilson, 13 of 16
    # the last five: two wrong ones, of which the last without a label, and three right ones
    assert (verdicts.last, verdicts.last_wrong) == (5, 2)
    assert round(verdicts.last_high, 4) == 0.7275 and not verdicts.is_done
    assert report.rows["verdict"].to_pylist()[10:18] == [
        *("wrong", "wrong", "right", "right", "right", "skip", None, "wrong")
    ]
    assert len(report.queue) == len(rows) - 17
    text = "\n".join(verdicts.lines())
    assert "16 answers: 13 labels were wrong, a precision of 81.2%" in text
    assert "`slicedb clean --session labels_m --apply` carries them out" in text
    fresh = slicedb.open(db.path, create=False)
    assert fresh.labels("m").verdicts == db.labels("m").verdicts
    saved = fresh.clean(session="labels_m").save()
    assert saved.relabelled == 12
    for row in rows[:12]:
        assert fresh.query(f"id = '{row['id']}' AND label = '{row['suggested']}'").count() == 1
    after = fresh.labels("m").verdicts
    assert after is not None and (after.n, after.wrong, after.pending) == (16, 13, 0)


def test_asking_stops_where_the_last_answers_found_little(tmp_path: Path) -> None:
    db = filled(tmp_path)
    rows = db.labels("m").rows.to_pylist()[:40]
    said = [(r["id"], "wrong" if i < 15 else "right", "") for i, r in enumerate(rows)]
    report = db.labels("m", answers=answered(tmp_path, db, said[:30]), block=20, stop=0.15)
    assert report.verdicts is not None and not report.verdicts.is_done
    report = db.labels("m", answers=answered(tmp_path, db, said), block=20, stop=0.15)
    assert report.verdicts is not None
    assert (report.verdicts.last_wrong, round(report.verdicts.last_high, 4)) == (0, 0.1192)
    assert report.verdicts.is_done and "stop here" in str(report)
    short = db.labels("m", block=41, stop=0.9).verdicts
    assert short is not None and not short.is_done  # a block that is not full says nothing


def test_a_label_is_an_answer(tmp_path: Path) -> None:
    db = filled(tmp_path)
    rows = db.labels("m").rows.to_pylist()
    said = [(rows[0]["id"], rows[0]["suggested"], ""), (rows[1]["id"], rows[1]["label"], "")]
    report = db.labels("m", answers=answered(tmp_path, db, said, "id", "label", "note"))
    assert report.verdicts is not None
    assert (report.verdicts.n, report.verdicts.wrong, report.verdicts.pending) == (2, 1, 1)


def test_boxes_are_answered_one_by_one(tmp_path: Path) -> None:
    db = detected(tmp_path)
    place = ["--db", str(tmp_path / "boxes.slicedb")]
    file = tmp_path / "likely.csv"
    CliRunner().invoke(verbs, ["labels", "cells", *place, "-o", str(file)])
    rows = list(csv.DictReader(file.read_text().splitlines()))
    for row in rows[:8]:
        row["verdict"] = "wrong" if row["kind"] == "swapped" else "right"
    with file.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    told = CliRunner().invoke(verbs, ["labels", "cells", *place, "--answers", str(file)])
    assert told.exit_code == 0, told.output
    assert "8 answers:" in told.output
    report = db.labels("cells")
    assert report.rows["verdict"].to_pylist()[:9].count(None) == 1
    refused = CliRunner().invoke(verbs, ["labels", "cells", *place, "--review"])
    assert "not reviewed at the terminal" in str(refused.exception)


def test_answers_at_the_terminal_count_too(tmp_path: Path) -> None:
    db = filled(tmp_path)
    first = db.labels("m").rows.to_pylist()[:3]
    place = ["--db", str(tmp_path / "made.slicedb")]
    told = CliRunner().invoke(verbs, ["labels", "m", *place, "--review"], input="r\nk\ns\nq\n")
    assert told.exit_code == 0, told.output
    assert "1 kept, 1 relabelled" in told.output and "2 answers: 1 label was wrong" in told.output
    assert db.query(f"id = '{first[0]['id']}' AND label = '{first[0]['suggested']}'").count() == 1
    left = Database(db.store).labels("m")
    assert first[2]["id"] in left.rows["id"].to_pylist()


@pytest.mark.parametrize(
    ("line", "match"),
    [
        (("0000", "maybe", ""), "line 2: 'maybe' is no verdict"),
        (("nowhere", "wrong", ""), "line 2: 'nowhere' is not among the likely errors"),
        (("WRONG", "wrong", "dgo"), "line 2: no sample has the label 'dgo'"),
    ],
)
def test_answers_that_are_none_are_refused(
    tmp_path: Path, line: tuple[str, str, str], match: str
) -> None:
    db = filled(tmp_path)
    first = db.labels("m").rows["id"][0].as_py()
    file = answered(tmp_path, db, [(line[0].replace("WRONG", first), *line[1:])])
    with pytest.raises(CheckError, match=match):
        db.labels("m", answers=file)
    verdicts = db.labels("m").verdicts
    assert verdicts is not None and verdicts.n == 0


def test_files_without_answers_are_refused(tmp_path: Path) -> None:
    db = filled(tmp_path)
    with pytest.raises(SourceError, match="has no column 'id'"):
        db.labels("m", answers=answered(tmp_path, db, [], "sample", "verdict"))
    with pytest.raises(SourceError, match="No such file"):
        db.labels("m", answers=tmp_path / "none.csv")
    with pytest.raises(CheckError, match="block is 0"):
        db.labels("m", block=0)


def test_what_is_doubted_is_exported_as_a_task(tmp_path: Path) -> None:
    filled(tmp_path)
    place = ["--db", str(tmp_path / "made.slicedb")]
    file = tmp_path / "tasks.csv"
    told = CliRunner().invoke(verbs, ["labels", "m", *place, "--export", str(file), "--as", "csv"])
    assert told.exit_code == 0, told.output
    ids = [row["id"] for row in csv.DictReader(file.read_text().splitlines())]
    assert planted()[0][[int(name) for name in ids]].mean() > 0.8
