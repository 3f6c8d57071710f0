"""Labels and ids that command a terminal, turn a line around or leave their markup."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from fakes_models import png

import slicedb
from slicedb.cli import main
from slicedb.database import Database
from slicedb.report import Report

BAD = "ev\x1b[31mil\x07\u202egnp.|`<b>\x9b\u2066\ufffe"
HARMFUL = "\x1b\x07\u202e\x9b\u2066"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    root = tmp_path_factory.mktemp("texts")
    (root / "p").mkdir()
    with (root / "t.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "file", "label", "light"])
        for i in range(12):
            (root / "p" / f"{i}.png").write_bytes(png((i * 9, 5, 5)))
            rows.writerow([f"{i}{BAD}", f"p/{i}.png", BAD if i % 2 else "dog", BAD])
    db = slicedb.open(root / "db")
    db.ingest(root / "t.csv", progress=False)
    ids = db.query("").ids()
    for name, n in (("m", 3), ("n", 2)):
        given = [[0.9, 0.1] if i % n else [0.2, 0.8] for i in range(12)]
        db.log_predictions(name, {"id": ids, "probabilities": given}, classes=["dog", BAD])
    folder = root / "que\x1b\u202eries"
    folder.mkdir()
    head = "slice: s\nexpect:\n  - accuracy >= 0.99\n  - recall per class >= 0.9"
    (folder / "s.sql").write_text(f"/*\n{head}\n*/\ntrue\n")
    return db


@pytest.fixture(scope="module")
def report(db: Database) -> Report:
    return db.test(next(Path(db.path).parent.glob("que*")), model="m", baseline="n")


@pytest.mark.parametrize("form", ["to_html", "to_json", "to_junit", "to_markdown", "__str__"])
def test_no_form_of_a_report_commands_what_shows_it(form: str, report: Report) -> None:
    text = getattr(report, form)()
    assert not set(HARMFUL) & set(text)


def test_the_report_for_machines_is_whole(report: Report) -> None:
    ElementTree.fromstring(report.to_junit().split("\n", 1)[1])
    worst = json.loads(report.to_json())["results"][0]["worst_ids"]
    assert worst and all(name.endswith(BAD) for name in worst)


VERBS = [
    ["query", "true", "--columns", "id,label"],
    ["query", "true", "-f", "json"],
    ["query", "true", "-f", "jsonl"],
    ["errors", "m", "--by", "light"],
    ["confusion", "m"],
    ["evaluate", "m", "n"],
    ["compare", "m", "n"],
    ["cost", "m"],
    ["calibration", "m"],
    ["model", "show", "m"],
    ["info"],
    ["diff"],
    ["slice", "show", BAD],
    ["query", f"labell = '{BAD}'"],
    ["versions", "tag", BAD, BAD],
    ["export", f"label = '{BAD}'", "/dev/null/x"],
]


@pytest.fixture
def say(
    db: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Say a verb as at the shell; returns all that it prints."""
    monkeypatch.setenv("SLICEDB_DB", db.path)

    def say(*words: str) -> str:
        with contextlib.suppress(SystemExit):
            main(list(words))
        printed = capsys.readouterr()
        return printed.out + printed.err

    return say


@pytest.mark.parametrize("words", VERBS, ids=range(len(VERBS)))
def test_no_verb_commands_the_terminal(words: list[str], say: Callable[..., str]) -> None:
    printed = say(*words)
    assert printed and not set(HARMFUL) & set(printed)


def test_csv_is_exact_in_a_file_and_clean_at_a_terminal(
    say: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["query", "true", "-f", "csv", "--columns", "id,label"]
    exact = say(*words)
    assert {row["label"] for row in csv.DictReader(io.StringIO(exact))} == {"dog", BAD}
    monkeypatch.setattr("slicedb.cli.output._is_terminal", lambda: True)
    seen = say(*words)
    assert not set(HARMFUL) & set(seen) and seen.count("\n") == exact.count("\n")
