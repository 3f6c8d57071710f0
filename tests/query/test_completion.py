"""What an editor of query texts is told: what may stand at a place, and what is wrong where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_models import png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import slicedb
from slicedb.cli import verbs
from slicedb.errors import CheckError, QueryError
from slicedb.query.editor.place import place_of, tokens_of


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """12 pictures with tags, boxes, a quoted column, two models, a slice, a broken one, a tag."""
    folder = tmp_path_factory.mktemp("editor")
    for i in range(12):
        part = (
            folder / "photos" / ("test" if i % 4 == 0 else "train") / ("it's" if i % 3 else "cat")
        )
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{i:02}.png").write_bytes(png((i * 5, 3, 4)))
    made = slicedb.open(folder / "e.slicedb")
    made.ingest(folder / "photos", progress=False)
    ids = made.query("ORDER BY id").ids()
    kind = pa.list_(pa.struct([("label", pa.string()), ("bbox", pa.list_(pa.float64()))]))
    box = {"label": "car", "bbox": [0.0, 0.0, 2.0, 2.0]}
    columns = {
        "id": ids,
        "lux": [i / 2 for i in range(12)],
        "odd name": ["x" if i % 2 else 'a"b' for i in range(12)],
        "is_wet": [i % 2 == 0 for i in range(12)],
        "objects": pa.array([[box] if i % 2 else [] for i in range(12)], kind),
    }
    made.attach(pa.table(columns))
    made.tag("lux < 3", "night")
    for model in ("m1", "run7-epoch3"):
        guesses = ["cat" if i % 2 else "it's" for i in range(12)]
        made.log_predictions(model, {"id": ids, "prediction": guesses, "confidence": [0.5] * 12})
    made.slices.add("bright", "lux > 3", description="much light")
    made.commit("all of it", tag="first")
    return made


def offered(db: slicedb.Database, marked: str) -> list[str]:
    at = marked.index("|")
    return [option.insert for option in db.complete(marked.replace("|", "", 1), at)]


@pytest.mark.parametrize(
    ("marked", "first"),
    [
        ("la|", ["label", "labels"]),
        ("LAB|", ["label", "labels"]),
        ("label = |", ["'it''s'", "'cat'"]),
        ("label = 'c|", ["'cat'"]),
        ("label='it''|", ["'it''s'"]),
        ("label <> |", ["'it''s'", "'cat'"]),
        ("label IN (|", ["'it''s'", "'cat'"]),
        ("label NOT IN ('cat', 'i|", ["'it''s'"]),
        ("label IN ['cat', |", ["'it''s'", "'cat'"]),
        ("lower(label) = '|", ["'it''s'", "'cat'"]),
        ("samples.label = '|", ["'it''s'", "'cat'"]),
        ("split != 'te|", ["'test'"]),
        ('"odd name" = |', ["'a\"b'", "'x'"]),
        ("odd|", ['"odd name"']),
        ("is_wet = |", ["true", "false"]),
        ("m1.|", ["id", "prediction", "confidence"]),
        ("m1.pre|", ["prediction"]),
        ("NOT m1.corr|", ["correct"]),
        ("m1.prediction = '|", ["'cat'", "'it''s'"]),
        ('"run7-epoch3".pr|', ["prediction"]),
        ("run7|", ['"run7-epoch3".']),
        ("m1.prediction = m1|", ["m1."]),
        ("in_slice(|", ["'bright'"]),
        ("in_slice('b|')", ["'bright'"]),
        ("has_tag('|", ["'night'"]),
        ("list_contains(tags, |", ["'night'"]),
        ("has_object('|", ["'car'"]),
        ("count_objects('c|') > 1", ["'car'"]),
        ("in_split('|", ["'train'", "'test'"]),
        ("lux > 3 AT '|", ["'first'"]),
        ("lux > 3 |", ["AND", "OR"]),
        ("lux > 3 o|", ["OR", "ORDER BY"]),
        ("ORDER BY lux |", ["DESC", "ASC"]),
        ("ORDER BY m1.l|", ["loss"]),
        ("SELECT label, count(*) FROM |", ["m1", '"run7-epoch3"', "samples", "objects"]),
        ("SELECT s.lu| FROM samples s", ["lux"]),
        ("SELECT p.pred| FROM samples JOIN m1 AS p USING (key)", ["prediction"]),
        ("FROM m1 WHERE prediction = '|", ["'cat'", "'it''s'"]),
        ("simi|", ["similarity("]),
        ("regexp_ma|", ["regexp_matches("]),
        ("label = 'cat' AND (lux > 3 OR lab|", ["label", "labels"]),
        ("label = 'c|at' AND lux > 3", ["'cat'"]),
        ("lab|le = 'cat'", ["label", "labels"]),
    ],
)
def test_what_may_stand_at_a_place(db: slicedb.Database, marked: str, first: list[str]) -> None:
    assert offered(db, marked)[: len(first)] == first


@pytest.mark.parametrize(
    "marked",
    [
        "-- lab|",
        "lux > 3 /* lab|",
        "similarity('a ca|",
        "matches('night', 'da|",
        "LIMIT |",
        "lux > 1|",
        "nothing.|",
        "id = '|",
        "lux = '|",
        "nope = '|",
    ],
)
def test_where_nothing_is_offered(db: slicedb.Database, marked: str) -> None:
    assert offered(db, marked) == []


def test_an_option_says_what_it_is_and_replaces(db: slicedb.Database) -> None:
    label, *_ = db.complete("split = 'test' AND lab", 22)
    assert (label.kind, label.detail, label.start, label.end) == ("column", "VARCHAR", 19, 22)
    function = next(o for o in db.complete("simil") if o.kind == "function")
    assert function.detail.startswith("similarity(target, ...") and function.help.endswith(".")
    value, *_ = db.complete("label = 'ca' AND lux > 1", 11)
    assert (value.detail, value.start, value.end) == ("4 samples", 8, 12)
    in_slice, *_ = db.complete("in_slice(")
    assert (in_slice.label, in_slice.kind, in_slice.detail) == ("bright", "slice", "lux > 3")
    assert {o.kind for o in db.complete("m", most=300)} >= {"model", "function", "column"}


def test_every_option_of_a_whole_text_may_be_asked(db: slicedb.Database) -> None:
    for marked in ("label = |", '"odd name" = |', "in_slice(|)", "has_tag(|)", "has_object(|)"):
        at = marked.index("|")
        for option in db.complete(marked.replace("|", ""), at):
            if option.kind in ("value", "slice"):
                text = marked.replace("|", option.insert)
                assert not db.check(text), text


def test_values_follow_the_table(db: slicedb.Database) -> None:
    db.tag("lux > 5", "late")
    assert "'late'" in offered(db, "has_tag('|")


def test_a_place_that_is_not_there_is_refused(db: slicedb.Database) -> None:
    for place in (-1, 4):
        with pytest.raises(CheckError, match="no place"):
            db.complete("lux", place)
    with pytest.raises(CheckError, match="offers nothing"):
        db.complete("lux", most=0)


TEXTS = st.lists(
    st.sampled_from(
        "label = ' '' \" ( ) [ ] , . m1 -- /* */ IN NOT AND ORDER BY SELECT FROM samples $x ? ; é"
        " in_slice LIMIT 3 1e :: => 😀 \n \t AT".split(" ")
    ),
    max_size=14,
).map(" ".join)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.one_of(TEXTS, st.text(max_size=30)), at=st.integers(0, 60))
def test_no_text_makes_it_fail(text: str, at: int) -> None:
    place = place_of(text, min(at, len(text)))
    assert 0 <= place.start <= min(at, len(text)) <= place.end <= len(text)
    assert all(text[t.start : t.end] == t.text for t in tokens_of(text))


def test_unfinished_texts_are_completed_without_an_error(db: slicedb.Database) -> None:
    text = (
        "SELECT s.label, count(*) FROM samples s WHERE m1.prediction IN ('cat', 'x\"y') "
        "AND -- é\n 3"
    )
    for at in range(len(text) + 1):
        for option in db.complete(text[:at]):
            assert 0 <= option.start <= option.end <= at


# --- what is wrong ----------------------------------------------------------------------------


def places(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield a text without its marks, and where they stood."""
    start, end = text.index("«"), text.index("»") - 1
    yield re.sub("[«»]", "", text), start, end


@pytest.mark.parametrize(
    ("marked", "words"),
    [
        ("«lable» = 'cat'", "No column 'lable'"),
        ("label = 'größe' AND\n  «lable» = 'x'", "No column 'lable'"),
        ("label = '😀' AND «lable» = 'x'", "No column 'lable'"),
        ("m1.«los» > 1", "No column 'los'"),
        ("in_slice(«'nope'»)", "No slice 'nope'"),
        ("label = 'cat' «GROUP» BY label", "GROUP BY"),
        ("label = 'cat' «UNION» SELECT * FROM samples", "UNION"),
        ("«-- nothing else»", "comment"),
        ("SELECT * EXCLUDE («foo») FROM samples", "foo"),
        ("SELECT * REPLACE (1 AS «foo») FROM samples", "foo"),
        ("label = «$x»", "no value"),
        ("lux > 1«;» lux > 2", "more than one statement"),
        ("SELECT * FROM «sample»", "No table"),
        ("«similarty»('x') > 1", "No function"),
        ("«COPY» samples TO 'x'", "COPY"),
        ("lux > 1 AND «»", ""),
        ("label = «'x»", ""),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    db: slicedb.Database, marked: str, words: str
) -> None:
    text, start, end = next(places(marked))
    (problem,) = db.check(text)
    assert words in problem.message
    if words:
        assert (problem.start, problem.end) == (start, end)
        assert problem.token == text[start:end]
    assert 0 <= problem.start < problem.end <= len(text)
    before = text[: problem.start]
    assert (problem.line, problem.column) == (
        before.count("\n") + 1,
        len(before) - before.rfind("\n"),
    )


def test_nothing_is_said_of_a_text_that_may_be_asked(db: slicedb.Database) -> None:
    for text in ("", "label = 'cat'", "SELECT count(*) FROM samples", "lux > 1 AT 'first'"):
        assert not db.check(text) and len(db.check(text)) == 0
    assert not db.check("label = $l", {"l": "cat"})
    (problem,) = db.check("lux > 1 AT 'never'")
    assert "never" in problem.message


def test_an_error_in_a_slice_is_marked_where_the_slice_is_named(db: slicedb.Database) -> None:
    ids = db.query().ids()
    db.log_predictions("gone", {"id": ids, "prediction": ["cat"] * len(ids)})
    db.slices.add("bad", "lux > 1 AND gone.prediction = 'cat'")
    db.store.drop("predictions__gone")
    text = "label = 'cat' OR in_slice('bad')"
    with pytest.raises(QueryError, match="In slice 'bad'") as caught:
        db.query(text)
    error = caught.value
    assert (error.asked, error.text) == (text, "lux > 1 AND gone.prediction = 'cat'")
    assert error.asked[error.start : error.end] == "'bad'"
    assert error.marked.splitlines()[1].index("^") == 2 + error.text.index("gone")
    (problem,) = db.check(text)
    assert text[problem.start : problem.end] == problem.token == "'bad'"


def test_errors_point_into_what_was_written_and_not_at_values(db: slicedb.Database) -> None:
    params = {"long": "a long value, written out", "x": 3}
    text = "label = $long AND lable > $x"
    with pytest.raises(QueryError, match="lable") as caught:
        db.query(text, params)
    error = caught.value
    assert (error.text, error.start, error.end) == (text, 18, 23)
    assert error.marked == f"  {text}\n  {' ' * 18}^^^^^"
    (problem,) = db.check("lux > 1 AND in_slice( $x )", {"x": "no such slice"})
    assert (problem.start, problem.end, problem.token) == (22, 24, "$x")
    (problem,) = db.check("lable = 1 AT 'first'")
    assert problem.token == "lable"


def test_the_value_of_a_row_is_found_too(db: slicedb.Database) -> None:
    query = db.query("strptime(label, '%Y') > now()")
    with pytest.raises(QueryError, match="Could not parse") as caught:
        query.count()
    error = caught.value
    assert error.text[error.start : error.end] == "'%Y'"


def test_the_command_line_checks_and_completes(db: slicedb.Database) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(verbs, [*words, "--db", db.path], catch_exceptions=False)
        return done.exit_code, done.output

    status, out = run("check", "lable = 'cat'")
    assert status == 1 and "No column 'lable'. (line 1, column 1) Hint: did you mean" in out
    assert run("check", "label = 'cat'") == (0, "nothing is wrong\n")
    status, out = run("check", "lable = 'cat'", "-f", "json")
    assert status == 1 and json.loads(out)[0]["end"] == 5
    status, out = run("complete", "label = 'cat' AND lab", "--place", "9", "-f", "json")
    assert status == 0 and json.loads(out)[0]["insert"] == "'it''s'"
    assert "VARCHAR" in run("complete", "lab")[1]
