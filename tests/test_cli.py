"""The command line, through the real entry point."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

import slicedb
from slicedb.cli import main, verbs
from slicedb.demo.scenes import render


@pytest.fixture
def here(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory is a folder with a database; `slicedb` finds it by its name."""
    monkeypatch.chdir(scenes)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    return scenes


class Said:
    """What a command printed, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], line: list[str]) -> None:
        try:
            self.code = main(line) or 0
        except SystemExit as stop:
            self.code = stop.code or 0
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]):
    return lambda *line: Said(capsys, list(line))


def test_every_command_has_help_with_an_example(say) -> None:
    for name, command in verbs.commands.items():
        parts = getattr(command, "commands", None) or {"": command}
        for inner in parts:
            said = say(name, *([inner] if inner else []), "--help")
            assert said.code == 0
            assert "Example" in said.out, f"slicedb {name} {inner}"


def test_an_unknown_verb_is_a_usage_error_with_a_hint(say) -> None:
    said = say("ingst")
    assert said.code == 2
    assert "No verb 'ingst'. Hint: did you mean 'ingest'?" in said.err


def test_a_missing_database_is_refused_by_verbs_that_read(say, tmp_path: Path) -> None:
    said = say("--db", str(tmp_path / "none"), "info")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Error: No database at")
    assert not (tmp_path / "none").exists()


def test_a_text_in_place_of_a_verb_is_a_query(here: Path, say) -> None:
    said = say("light = 'night' LIMIT 3", "--ids")
    assert said.code == 0
    assert len(said.out.splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT * FROM (SELECT count(*) AS n FROM samples WHERE false)", ["n", "-", "0", "1 row"]),
        ("WITH t AS (SELECT 7 AS n, NULL AS m) FROM t", ["n  m", "-", "7", "1 row"]),
        ("SELECT * FROM (VALUES (3)) AS t(x)", ["x", "-", "3", "1 row"]),
        ("VALUES (3)", ["col0", "----", "   3", "1 row"]),
    ],
)
def test_a_star_over_what_are_no_samples_is_shown(
    here: Path, say, text: str, shown: list[str]
) -> None:
    said = say("query", text)
    assert said.code == 0
    lines = [*said.out.splitlines(), *said.err.splitlines()]
    assert [line.strip("- ") for line in lines] == [line.strip("- ") for line in shown]


@pytest.mark.parametrize("form", ["csv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("named", [True, False], ids=["by --format", "by the ending"])
def test_rows_leave_in_every_format(here: Path, say, form: str, named: bool) -> None:
    out = here / f"out.{form}"
    text = "SELECT label, count(*) AS n FROM samples GROUP BY ALL ORDER BY n DESC, label LIMIT 2"
    assert say("query", text, "-o", str(out), *(["-f", form] if named else [])).code == 0
    if form == "parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(out).to_pylist()
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(out.read_text())))
    elif form == "json":
        rows = json.loads(out.read_text())
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows[0]["label"] == "Dessert"
    assert len(rows) == 2


def test_what_a_notebook_shows_leaves_as_a_page(here: Path, say) -> None:
    assert say("model", "add", "warm", "model.py:build").code == 0
    said = say("errors", "warm", "-n", "3", "-o", "errors.html")
    assert said.err == "errors.html is written; a browser shows it.\n"
    assert (here / "errors.html").read_text().count("<img ") == 3
    for words in (["query", "LIMIT 30"], ["confusion", "warm"], ["model", "list"], ["info"]):
        page = say(*words, "-f", "html").out
        assert page.startswith("<!doctype html>") and page.endswith("</html>\n")
        assert page.count("<img ") == (30 if words[0] == "query" else 0)
    say("query", "LIMIT 2", "-o", "rows.txt")
    assert "label" in (here / "rows.txt").read_text().splitlines()[0]


@pytest.mark.parametrize("verb", ["confusion", "errors", "calibration", "cost", "power"])
def test_a_model_without_any_prediction_is_run_first(here: Path, say, verb: str) -> None:
    assert say("model", "add", "warm", "model.py:build").code == 0
    assert say(verb, "warm", *(["warm"] if verb == "power" else [])).code == 0
    assert say("query", "warm.confidence > 0", "--count").out != "0\n"
    said = say(verb, "wram", *(["warm"] if verb == "power" else []))
    assert "No predictions of a model 'wram'. Hint: did you mean 'warm'?" in said.err


def test_edits_can_commit(here: Path, say) -> None:
    first = say("query", "LIMIT 1", "--ids").out.strip()
    said = say("relabel", f"id = '{first}'", "Soup", "--commit", "one soup more")
    assert said.out.startswith("1 relabelled\n") and "one soup more" in said.out
    say("tag", "true", "all", "--commit", "all tagged")
    say("delete", f"id = '{first}'", "--yes", "--commit", "one less")
    history = say("history", "-f", "csv").out
    assert [m in history for m in ("one soup more", "all tagged", "one less")] == [True] * 3


def test_several_sources_are_read_in_one_go(here: Path, say) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        (here / name).mkdir()
        render(seed)[0].save(here / name / f"{name}.jpg")
    said = say("ingest", "a", "b", "--split", "new")
    assert said.out.count("1 added") == 2
    assert say("query", "split = 'new'", "--ids").out.split() == ["a.jpg", "b.jpg"]
    n = say("query", "--count").out
    assert "No folder or file 'c'" in say("ingest", "a", "c").err
    assert say("query", "--count").out == n


def test_lists_for_people_show_whole_lines_and_no_inner_names(here: Path, say) -> None:
    said = say("functions").out
    assert "  Example: nearest(sample('a1'), 3)" in said and "..." not in said.split("\n")[1]
    assert max(map(len, said.splitlines())) < 160
    say("model", "add", "warm", "model.py:build")
    say("predict", "warm")
    for verb in (["versions", "list"], ["doctor"], ["info"]):
        shown = say(*verb).out
        assert "predictions of warm" in shown and "__" not in shown
    counts = say("query", "SELECT count(*) FROM samples").out
    assert counts.splitlines()[0].strip() == "count(*)"
    assert "count_star()" in say("query", 'SELECT count(*) AS "count_star()" FROM samples').out


def test_a_confusion_fits_the_terminal_unless_told_otherwise(
    here: Path, say, monkeypatch: pytest.MonkeyPatch
) -> None:
    say("model", "add", "warm", "model.py:build")
    say("predict", "warm")
    whole = say("confusion", "warm").out.splitlines()
    narrow = slicedb.open("data.slicedb").confusion("warm").within(60)
    first = str(narrow).splitlines()[0]
    assert 2 <= narrow.top < len(narrow.classes) and len(first) <= 60 < len(whole[0])
    assert "those with the most mistakes; top= (--top)" in str(narrow)


def test_query_counts_explains_and_points_at_errors(here: Path, say) -> None:
    assert say("query", "label = 'Dessert'", "--count").out.strip().isdigit()
    assert "samples" in say("query", "label = 'Dessert'", "--explain").out
    said = say("query", "lable = 'Dessert'")
    assert said.code == 1
    assert "No column 'lable'" in said.err
    assert "did you mean 'label'" in said.err
    assert "  lable = 'Dessert'\n  ^^^^^" in said.err


def test_the_sandbox_holds_on_the_command_line(here: Path, say) -> None:
    for text in (
        "DROP TABLE samples",
        "SELECT * FROM read_csv('/etc/passwd')",
        "COPY samples TO 'x.csv'",
    ):
        said = say("query", text)
        assert said.code == 1, text
        assert said.err.startswith("Error: ")
    assert not (here / "x.csv").exists()


def test_the_whole_path_from_model_to_verdict(here: Path, say) -> None:
    assert say("model", "add", "warm", "model.py:build").code == 0
    assert "warm" in say("model", "list").out
    assert say("slice", "add", "night", "light = 'night'", "--expect", "accuracy >= 0.9").code == 0
    assert say("slice", "add", "night", "light = 'day'").code == 1
    assert "night" in say("slice", "list").out
    assert say("predict", "warm", "--on", "night").code == 0
    again = say("predict", "warm", "--on", "night")
    assert "0 predicted" in again.out
    table = say("evaluate", "warm", "-f", "csv")
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert {row["slice"] for row in rows} == {"all", "night"}
    assert say("confusion", "warm").code == 0
    said = say("test", "--model", "warm", "--junit", "report.xml")
    assert said.code == 1
    assert "FAIL" in said.out
    assert "<testsuite" in (here / "report.xml").read_text()


def test_slices_freeze_diff_and_drop(here: Path, say) -> None:
    assert say("slice", "add", "dim", "light <> 'day'").code == 0
    assert "frozen" in say("slice", "freeze", "dim").out
    assert say("slice", "show", "dim").code == 0
    assert say("slice", "diff", "dim").code == 0
    assert "live" in say("slice", "thaw", "dim").out
    assert say("slice", "drop", "dim").code == 0
    said = say("slice", "show", "dmi")
    assert (said.code, said.err.startswith("Error: No slice 'dmi'.")) == (1, True)


def test_apply_reads_a_folder_of_slices(here: Path, say) -> None:
    folder = here / "queries"
    folder.mkdir()
    (folder / "wooden.sql").write_text("table_top = 'wooden'")
    assert "wooden" in say("apply", "queries", "--dry-run").out
    assert "no slices yet" in say("slice", "list").err
    assert "wooden" in say("apply", "queries").out
    assert "wooden" in say("slice", "list").out


def test_relabel_tag_delete_and_export(here: Path, say) -> None:
    first = say("query", "LIMIT 1", "--ids").out.strip()
    this = f"id = '{first}'"
    assert say("relabel", this, "Soup").out == "1 relabelled\n"
    assert say("tag", this, "review").out == "1 changed\n"
    assert say("query", "has_tag('review') AND label = 'Soup'", "--count").out == "1\n"
    assert say("export", "has_tag('review')", "out.csv").code == 0
    assert first in (here / "out.csv").read_text()
    assert say("delete", this, "--yes").out == "1 removed\n"
    assert say("query", this, "--count").out == "0\n"


def test_versions(here: Path, say) -> None:
    assert "no commits yet" in say("history").err
    assert say("commit", "first", "--tag", "v1").code == 0
    assert say("delete", "light = 'night'", "--yes").code == 0
    assert " removed" in say("diff").out
    assert say("query", "light = 'night'", "--count").out == "0\n"
    assert int(say("query", "light = 'night'", "--count", "--at", "v1").out) > 10
    assert say("commit", "no nights").code == 0
    assert say("checkout", "v1").code == 0
    assert int(say("query", "light = 'night'", "--count").out) > 10


def test_info_and_doctor(here: Path, say) -> None:
    said = say("info")
    assert "samples: 120 (120 ok)" in said.out
    assert "embeddings: default" in said.out
    assert say("doctor").out.endswith("All is well.\n")


def test_ingest_of_a_missing_and_an_empty_folder(here: Path, say) -> None:
    assert "nowhere" in say("ingest", "nowhere").err
    (here / "empty").mkdir()
    said = say("ingest", "empty")
    assert said.code == 1
    assert said.err.startswith("Error: ")


def test_predictions_made_elsewhere(here: Path, say) -> None:
    ids = say("query", "LIMIT 2", "--ids").out.split()
    rows = "".join(f"{i},Soup,0.9\n" for i in ids)
    (here / "made.csv").write_text("id,prediction,confidence\n" + rows)
    assert say("log-predictions", "made", "made.csv").code == 0
    assert say("query", "made.prediction = 'Soup'", "--count").out == "2\n"
    (here / "wrong.csv").write_text("id,prediction\nnobody,Soup\n")
    said = say("log-predictions", "other", "wrong.csv")
    assert said.code == 1
    assert "nobody" in said.err


def test_mistakes_costs_and_calibration(here: Path, say) -> None:
    say("model", "add", "warm", "model.py:build")
    say("predict", "warm")
    said = say("errors", "warm", "--by", "cuisine", "--tag")
    assert said.code == 0, said.err
    assert "NOT warm.correct" in said.out
    assert say("cost", "warm", "--ask", "0.4").code == 0
    curve = say(
        "cost", "warm", "--positive", "Dessert", "--false-negative", "9", "--curve", "c.csv"
    )
    assert curve.code == 0, curve.err
    assert (here / "c.csv").read_text().startswith("threshold")
    assert "temperature" in say("calibration", "warm").out
    (here / "costs.csv").write_text("truth,Soup\nSoup,0\n")
    said = say("cost", "warm", "--matrix", "costs.csv")
    assert (said.code, said.err.startswith("Error: ")) == (1, True)


def test_templates_are_composed_and_a_net_without_layers_has_no_cam(here: Path, say) -> None:
    from PIL import Image

    for folder, mode in (("foregrounds/Soup", "RGBA"), ("backgrounds", "RGB")):
        (here / "templates" / folder).mkdir(parents=True)
        Image.new(mode, (64, 64)).save(here / "templates" / folder / "one.png")
    said = say("compose", "templates")
    assert (said.code, "1 added" in said.out) == (0, True), said.err
    assert say("query", "template IS NOT NULL", "--count").out == "1\n"
    assert say("compose", "nowhere").code == 1
    say("model", "add", "warm", "model.py:build")
    said = say("cam", "warm", "--on", "LIMIT 3")
    assert (said.code, said.err.startswith("Error: ")) == (1, True)


@pytest.mark.slow
def test_slices_are_compared_and_told_apart_on_the_command_line(here: Path, say) -> None:
    assert say("slice", "add", "night", "light = 'night'", "--holdout", "20%").code == 0
    assert say("slice", "add", "soup", "label = 'Soup'", "--group", "lihgt").code == 1
    say("slice", "add", "soup", "label = 'Soup'")
    say("slice", "add", "dark_soup", "in_slice('soup') AND in_slice('night')")
    say("slice", "freeze", "soup")
    assert say("commit", "before", "--tag", "before").code == 0
    assert say("relabel", "label = 'Soup' ORDER BY id LIMIT 1", "Meat").out == "1 relabelled\n"
    listed = say("slice", "list", "-f", "json").out
    states = {row["slice"]: row["state"] for row in json.loads(listed)}
    assert states["soup"] == "stale: its query now finds +0 -1" and states["night"] == "live"
    assert "(relabelled: Soup -> Meat)" in say("slice", "diff", "soup").out
    rows = json.loads(say("slice", "diff", "soup", "--from", "before", "-f", "json").out)
    assert rows == []  # frozen is frozen
    moved = say("slice", "diff", "night@1", "dark_soup").out
    assert "definition differs: +0 -" in moved
    assert "1 relabelled" in say("diff").out
    assert "Jaccard" in say("slice", "overlap").out
    matrix = json.loads(say("slice", "overlap", "--matrix", "shared", "-f", "json").out)
    assert [row["slice"] for row in matrix] == ["dark_soup", "night", "soup"]
    assert "held out" in say("slice", "breakdown").out
    assert "held_out" in say("slice", "list", "--splits", "-f", "csv").out
    assert "* soup@2" in say("slice", "show", "soup").out
    assert say("slice", "show", "soup", "--version", "1").out.startswith("soup  live, version 1")
    assert say("slice", "history", "soup", "-f", "csv").out.count("soup@") == 2
    assert say("query", "in_slice('dark_soup') AT 'before'", "--count").code == 0


def test_versions_are_tagged_dropped_and_cleaned_up(here: Path, say) -> None:
    say("commit", "first", "--tag", "one")
    say("relabel", "light = 'night' LIMIT 1", "Meat")
    say("commit", "second")
    assert say("versions", "tag", "one", "release").code == 0
    assert "(one)" in say("versions", "untag", "release").out
    assert "could be removed" in say("versions", "cleanup", "--older-than", "0", "--dry-run").out
    assert say("versions", "drop", "one", "--yes").out.startswith("dropped")
    assert say("versions", "cleanup", "--older-than", "0").out.endswith("removed\n")
    assert "samples" in say("versions", "list").out
    assert say("branch", "side").code == 0
    assert say("checkout", "main").code == 0
    assert say("branch", "side", "--drop").out == "dropped branch side\n"
    said = say("doctor", "-f", "json")
    assert said.code == 0 and "All is well." in said.err
    assert {row["table"] for row in json.loads(said.out)} >= {"samples", "images", "commits"}


def test_a_predicate_shows_what_says_something_with_its_score(here: Path, say) -> None:
    said = say("ORDER BY similarity('soup') DESC LIMIT 2")
    head, _, *lines = said.out.splitlines()
    assert head.split()[:2] == ["id", "score"] and len(lines) == 2
    assert not {"sha256", "stamp", "uri", "tags"} & set(head.split())
    assert said.err.startswith("2 rows; -f json or --columns shows ")
    assert " bytes" in say("bytes > 0 LIMIT 1").out.splitlines()[0]
    assert (say("false").out, say("false").err) == ("", "0 rows\n")


def test_columns_are_names_or_expressions(here: Path, say) -> None:
    ids = say("query", "LIMIT 2", "--ids").out.split()
    rows = "".join(f"{i},Soup,0.75\n" for i in ids)
    (here / "made.csv").write_text("id,prediction,confidence\n" + rows)
    assert say("log-predictions", "made", "made.csv").code == 0
    shown = "id,made.prediction,1 - made.confidence AS doubt"
    said = say("made.confidence > 0.5 ORDER BY id LIMIT 1", "--columns", shown, "-f", "csv")
    assert said.out == f"id,made.prediction,doubt\n{min(ids)},Soup,0.25\n"
    assert "did you mean 'label'" in say("LIMIT 1", "--columns", "id,lable").err
    assert "No column 'lss'" in say("LIMIT 1", "--columns", "id,made.lss").err


def test_text_says_whom_it_cannot_see(here: Path, say) -> None:
    from PIL import Image

    (here / "more").mkdir()
    Image.new("RGB", (40, 40), "red").save(here / "more" / "new.png")
    assert say("ingest", "more").code == 0
    asked = say("matches('soup')", "--count")
    assert asked.err == (
        "1 sample has no vector in the embedding 'default'; `slicedb embed` adds it.\n"
    )
    assert asked.out.strip().isdigit()
    assert "no vector" not in say("label = 'Soup'", "--count").err
    assert "no vector" in say("slice", "add", "soups", "matches('soup')").err
    assert "no vector" in say("slice", "freeze", "soups").err
    assert "no vector" in say("slice", "diff", "soups").err


def test_what_cannot_be_written_is_one_line(here: Path, say) -> None:
    (here / "file").write_text("")
    said = say("export", "true", "file/out")
    assert (said.code, said.err.count("\n")) == (1, 1)
    assert said.err.startswith("Error: 'file/out' cannot be written: ")
    said = say("query", "true", "-f", "csv", "-o", "nowhere/x.csv")
    assert (said.code, said.err) == (1, "Error: No such file or directory: 'nowhere/x.csv'.\n")


def test_reset_to_nothing_does_not_ask(here: Path, say) -> None:
    assert say("reset", "nope").err.startswith("Error: No commit 'nope'.")


def test_info_lists_the_metadata_with_its_types(here: Path, say) -> None:
    assert "light (string)" in say("info").out


def test_ctrl_c_says_that_the_command_resumes(
    here: Path, say, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.database import Database

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Database, "embed", interrupted)
    said = say("embed")
    assert said.code == 130
    assert said.err == "\nInterrupted; what was written is kept, the same command resumes.\n"


def test_files_without_predictions_say_what_is_missing(here: Path, say) -> None:
    sample = say("query", "LIMIT 1", "--ids").out.strip()
    (here / "spread.csv").write_text(f"id,p_cat,p_dog\n{sample},0.5,0.5\n")
    said = say("log-predictions", "m", "spread.csv")
    assert "Nothing is predicted in spread.csv; it has id, p_cat, p_dog." in said.err
    assert "--classes" in said.err
    (here / "nan.csv").write_text(f"id,prediction,confidence\n{sample},Soup,nan\n")
    said = say("log-predictions", "m", "nan.csv")
    assert f"A confidence of sample '{sample}' (row 1) is nan. Hint: " in said.err


def test_values_come_from_the_command_line(here: Path, say) -> None:
    night = say("query", "light = $light", "--param", "light=night", "--count")
    assert night.out == say("query", "light = 'night'", "--count").out
    few = say(
        "query", "width > $w AND light IN $l", "--param", "w=9", "--param", 'l=["night"]', "--count"
    )
    assert few.out == night.out
    assert "'light' is not NAME=VALUE" in say("query", "LIMIT 1", "--param", "light").err
    assert "parameter $light has no value" in say("query", "light = $light").err


def test_verbs_look_at_a_commit(here: Path, say) -> None:
    say("model", "add", "warm", "model.py:build")
    say("predict", "warm")
    say("commit", "before", "--tag", "v1")
    before = say("errors", "warm", "-f", "json").out
    cost = say("cost", "warm", "--ask", "0.4").out
    calibration = say("calibration", "warm").out
    say("relabel", "light = 'night'", "Soup")
    assert say("errors", "warm", "-f", "json").out != before
    assert say("errors", "warm", "-f", "json", "--at", "v1").out == before
    assert say("cost", "warm", "--ask", "0.4").out != cost
    assert say("cost", "warm", "--ask", "0.4", "--at", "v1").out == cost
    assert say("calibration", "warm", "--at", "v1").out == calibration
    say("delete", "light = 'night'", "--yes")
    assert say("export", "light = 'night'", "old.csv", "--at", "v1").code == 0
    assert len(list(csv.DictReader(io.StringIO((here / "old.csv").read_text())))) > 10
