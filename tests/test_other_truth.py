"""Models judged against a heavy model's answers, or a second annotator's, not the labels."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_boxes import box, objects
from fakes_judge import add_samples

import slicedb
from slicedb import Database
from slicedb.cli import main
from slicedb.errors import CheckError, ClassesError, SliceDBError, UnknownModelError
from slicedb.schema import SAMPLES, keys_of

N = 200
NAMES = np.array(["cat", "dog"])
RNG = np.random.default_rng(4)
LABEL = RNG.integers(0, 2, N)
HEAVY = np.where(np.arange(N) % 10 == 0, 1 - LABEL, LABEL)
"""Wrong about 20 of 200."""
LIGHT = np.where(np.arange(N) % 4 == 0, 1 - HEAVY, HEAVY)
"""Another answer than the heavy model's on 50 of 200."""
POOR = np.where(np.arange(N) % 3 == 0, HEAVY, 1 - HEAVY)
"""The heavy model's answer on 67 of 200."""
SURE = RNG.uniform(0.6, 0.95, N)
IDS = [f"{i:03d}" for i in range(N)]


def probabilities(code: np.ndarray) -> list[list[float]]:
    return [[s, 1 - s] if c == 0 else [1 - s, s] for c, s in zip(code.tolist(), SURE.tolist())]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Labels of all but the last 5; heavy has no answer for the first 10, the nurse for 20."""
    db = slicedb.open(tmp_path_factory.mktemp("truth") / "data.slicedb")
    labels: list[str | None] = NAMES[LABEL].tolist()
    add_samples(db.store, IDS, [*labels[:-5], *[None] * 5])
    for name, code, start in (("heavy", HEAVY, 10), ("light", LIGHT, 0), ("poor", POOR, 0)):
        rows = pa.table({"id": IDS[start:], "probabilities": probabilities(code)[start:]})
        db.log_predictions(name, rows, classes=NAMES.tolist())
    nurse = [None if i < 20 else int(c) for i, c in enumerate(HEAVY)]
    text = [None if c is None else str(NAMES[c]) for c in nurse]
    shout = [None if c is None else ["no", "yes"][c] for c in nurse]
    columns = {"nurse": text, "code": pa.array(nurse, pa.int16()), "shout": shout}
    db.attach(pa.table({"id": IDS, **columns}))
    db.slices.add("late", "id >= '100'", expect=["accuracy >= 0.7"])
    return db


def test_evaluate_counts_equal_answers_of_two_models(db: Database) -> None:
    evaluation = db.evaluate("light", truth="heavy", metrics=["accuracy", "log_loss"])
    seen = np.arange(10, N)
    share = float((LIGHT == HEAVY)[seen].mean())
    assert evaluation.value("all", "light") == pytest.approx(share)
    p = np.where(LIGHT == HEAVY, SURE, 1 - SURE)[seen]
    assert evaluation.value("all", "light", "log_loss") == pytest.approx(
        -np.log(p).mean(), abs=1e-6
    )
    assert evaluation.to_arrow()["n"][0].as_py() == 190
    assert evaluation.to_arrow()["left_out"][0].as_py() == 10
    assert db.evaluate("light").value("all", "light") != pytest.approx(share)


def test_agreement_of_label_truth_and_model_is_stated(db: Database) -> None:
    evaluation = db.evaluate("light", ["late"], truth="heavy")
    label, light = evaluation.agreements
    late = np.arange(100, N)
    known = late[late < N - 5]
    assert (label.a, label.b, label.n, label.left_out) == ("label", "heavy", 95, 5)
    assert label.n_equal == int((LABEL == HEAVY)[known].sum())
    assert (light.a, light.n, light.left_out) == ("light", 100, 0)
    assert light.n_equal == int((LIGHT == HEAVY)[late].sum())
    assert label.low < label.share < label.high
    assert db.query(label.query).count() == 5
    text = str(evaluation)
    assert "judged against heavy, not the ground truth" in text
    assert "label and heavy: 95 of 100 samples have both" in text
    assert f"5 left out: {label.query}" in text


def test_what_is_left_out_is_found_by_its_query(db: Database) -> None:
    for truth, n in (("heavy", 10), ("nurse", 20)):
        line = db.evaluate("light", truth=truth).agreements[1]
        assert line.left_out == n and db.query(line.query).count() == n


def test_a_second_annotator_is_a_column(db: Database) -> None:
    evaluation = db.evaluate("light", truth="nurse")
    seen = np.arange(20, N)
    assert evaluation.value("all", "light") == pytest.approx((LIGHT == HEAVY)[seen].mean())


KINDS = {
    ("0", "1"): [pa.int8(), pa.float64(), pa.bool_(), pa.string()],
    ("no", "yes"): [pa.bool_(), pa.int64(), pa.string()],
}


@pytest.mark.parametrize("classes", list(KINDS))
def test_answers_of_any_type_mean_classes_also_in_queries(
    tmp_path: Path, classes: tuple[str, str]
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, IDS, np.array(classes)[LABEL].tolist())
    rows = pa.table({"id": IDS, "probabilities": probabilities(LIGHT)})
    db.log_predictions("light", rows, classes=list(classes))
    values = pa.array([None if i < 20 else c for i, c in enumerate(HEAVY.tolist())])
    columns = {f"nurse{i}": values.cast(kind) for i, kind in enumerate(KINDS[classes])}
    db.attach(pa.table({"id": IDS, **columns}))
    wrong = int((LIGHT != HEAVY)[20:].sum())
    for column in columns:
        mistakes = db.errors("light", truth=column, by=["label"])
        assert mistakes.n_errors == wrong and mistakes.n == 180
        assert sum(db.query(f.query).count() for f in mistakes.findings[:3]) == wrong
        assert {p.truth for p in mistakes.pairs} == set(classes)
        matrix = db.confusion("light", truth=column)
        for (i, label), (j, said) in product(enumerate(classes), repeat=2):
            assert db.query(matrix.query(label, said)).count() == matrix.matrix[i, j]


def test_compare_finds_wins_and_losses_against_the_truth(db: Database) -> None:
    comparison = db.compare("light", "poor", ["late"], truth="heavy")
    row = comparison.row("late")
    late = np.arange(100, N)
    assert row["wins"] == int(((LIGHT == HEAVY) & (POOR != HEAVY))[late].sum())
    assert row["losses"] == int(((LIGHT != HEAVY) & (POOR == HEAVY))[late].sum()) > 0
    assert db.query(comparison.query("late", "won")).count() == row["wins"]
    assert db.query(comparison.query("late", "lost")).count() == row["losses"]
    assert len(comparison.agreements) == 3


@pytest.mark.parametrize(("truth", "start"), [("heavy", 10), ("nurse", 20)])
def test_cost_and_calibration_judge_against_the_truth(db: Database, truth: str, start: int) -> None:
    wrong = (LIGHT != HEAVY)[start:]
    report = db.cost("light", truth=truth)
    assert report.row("prediction").cost == pytest.approx(wrong.mean())
    assert (report.row("prediction").n, report.left_out) == (N - start, start)
    assert f"judged against {truth}, not the label" in str(report)
    people = db.cost("light", truth=truth, human="poor").row("human")
    assert people.cost == pytest.approx((POOR != HEAVY)[start:].mean())
    calibration = db.calibration("light", truth=truth)
    assert calibration.before.accuracy == pytest.approx(1 - wrong.mean())
    assert (calibration.n, calibration.left_out) == (N - start, start)
    assert f"judged against {truth}, not the label" in str(calibration)


def test_the_table_of_costs_says_what_its_columns_and_policies_are(db: Database) -> None:
    said = str(db.cost("light", positive="cat", ask=0.1, confidence=0.9))
    assert "cost: mean per sample, with its 90% interval; saving: how much less than" in said
    assert "asked: share handed to a person" in said and "ask always: a person for all" in said
    assert "asked" not in str(db.cost("light")).partition("saving: ")[2]


def test_errors_say_losses_of_the_other_truth(db: Database) -> None:
    mistakes = db.errors("light", "in_slice('late')", truth="heavy", n=5)
    late = np.arange(100, N)
    wrong = late[(LIGHT != HEAVY)[late]]
    worst = wrong[np.argsort(-SURE[wrong])][:5]
    assert mistakes.top["id"].to_pylist() == [IDS[i] for i in worst]
    assert mistakes.top["label"].to_pylist() == NAMES[HEAVY[worst]].tolist()
    assert mistakes.top["loss"].to_pylist() == pytest.approx(-np.log(1 - SURE[worst]), abs=1e-5)
    assert set(db.query(mistakes.top_query).ids()) == {IDS[i] for i in worst}
    for share in mistakes.shares:
        assert db.query(share.query).count() == share.n_errors
    assert len(db.query(mistakes.findings[0].query).ids()) == mistakes.findings[0].n


def test_a_suite_judges_against_the_truth_and_keeps_its_looks_apart(
    db: Database, tmp_path: Path
) -> None:
    plain = db.test(["late"], model="light", correction="none")
    other = db.test(["late"], model="light", truth="heavy")
    assert plain.results[0].looks == other.results[0].looks == 1
    assert db.test(["late"], model="light", truth="heavy").results[0].looks == 2
    assert db.test(["late"], model="light").results[0].looks == 2
    late = np.arange(100, N)
    assert other.results[0].value == pytest.approx((LIGHT == HEAVY)[late].mean())
    assert "(truth: heavy)" in str(other) and "label and heavy: 95 of 100" in str(other)
    said = json.loads(other.to_json())
    assert said["truth"] == "heavy" and said["agreements"][0]["n"] == 95
    checks = {trend.check for trend in db.runs.trends("late")}
    assert checks == {"accuracy >= 0.7", "accuracy >= 0.7 (truth: heavy)"}
    assert "heavy.prediction" in other.to_html() and "truth: heavy" in other.to_markdown()
    summary = json.loads(db.runs.list("test")["summary"][0].as_py())
    assert summary["truth"] is None


def test_suite_toml_names_the_truth(db: Database, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text('model = "light"\ntruth = "nurse"\n')
    (tmp_path / "s.sql").write_text("/*\nslice: s\nexpect: accuracy >= 0.5\n*/\nid >= '050'\n")
    report = db.test(tmp_path)
    assert report.results[0].n == 150
    assert report.results[0].value == pytest.approx((LIGHT == HEAVY)[50:].mean())
    (tmp_path / "suite.toml").write_text('model = "light"\ntruths = "nurse"\n')
    with pytest.raises(SliceDBError, match="unknown setting 'truths'"):
        db.test(tmp_path)


def test_a_changed_answer_changes_the_judgement(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, ["a", "b"], ["cat", "dog"])
    for name in ("light", "heavy"):
        rows = pa.table({"id": ["a", "b"], "prediction": ["cat", "dog"]})
        db.log_predictions(name, rows)
    assert db.evaluate("light", truth="heavy").value("all", "light") == 1.0
    rows = pa.table({"id": ["a", "b"], "prediction": ["dog", "dog"]})
    db.log_predictions("heavy", rows, replace=True)
    assert db.evaluate("light", truth="heavy").value("all", "light") == 0.5
    assert db.evaluate("light").value("all", "light") == 1.0
    db.relabel("id = 'b'", "cat")
    assert db.evaluate("light", truth="heavy").value("all", "light") == 0.5


def test_what_cannot_be_a_truth_is_refused(db: Database) -> None:
    with pytest.raises(UnknownModelError, match=r"neither a model.*did you mean 'heavy'"):
        db.evaluate("light", truth="heavi")
    with pytest.raises(CheckError, match="always right about itself"):
        db.evaluate(["light", "heavy"], truth="heavy")
    with pytest.raises(CheckError, match="always right about itself"):
        db.compare("light", "heavy", truth="heavy")
    with pytest.raises(ClassesError, match="'no' in the column shout is no class"):
        db.evaluate("light", truth="shout")
    with pytest.raises(CheckError, match="no scored boxes"):
        db.errors("light", truth="heavy", truth_score=0.4)
    with pytest.raises(SliceDBError, match="no truth is named"):
        db.confusion("light", truth_score=0.4)
    with pytest.raises(ClassesError, match="not one answer per sample"):
        db.evaluate("light", truth="tags")


def test_no_answer_at_all_is_said(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, ["a", "b", "c"], ["cat", "dog", None])
    db.log_predictions("light", pa.table({"id": ["a", "b"], "prediction": ["cat", "dog"]}))
    db.log_predictions("heavy", pa.table({"id": ["c"], "prediction": ["dog"]}))
    evaluation = db.evaluate("light", truth="heavy")
    assert np.isnan(evaluation.value("all", "light"))
    assert [line.n for line in evaluation.agreements] == [0, 0]
    with pytest.raises(SliceDBError, match="no predictions"):
        db.errors("light", truth="heavy")
    with pytest.raises(SliceDBError, match="None of the 2 samples has the answers of heavy"):
        db.errors("light", "label IS NOT NULL", truth="heavy")


def test_numbers_are_judged_against_another_column_or_model(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    ids = ["a", "b", "c", "d"]
    add_samples(db.store, ids, [None] * 4)
    db.attach(pa.table({"id": ids, "age": [1, 2, 3, 4], "second": ["1", "4", "old", None]}))
    rows = pa.table({"id": ids, "value": [1.0, 2.5, 3.0, 4.0]})
    db.log_predictions("light", rows, target="age")
    db.log_predictions("heavy", pa.table({"id": ids[:3], "value": [2.0, 2.5, 5.0]}), target="age")
    by_model = db.evaluate("light", truth="heavy")
    assert by_model.value("all", "light", "mae") == pytest.approx((1 + 0 + 2) / 3)
    age, light = by_model.agreements
    assert (age.a, age.n, age.n_equal, age.difference) == ("age", 3, 0, pytest.approx(3.5 / 3))
    assert (light.n_equal, light.difference) == (1, pytest.approx(1.0))
    by_column = db.evaluate("light", truth="second")
    assert by_column.value("all", "light", "mae") == pytest.approx(0.75)
    with pytest.raises(CheckError, match="has no number in it"):
        db.evaluate("light", truth="status")


def test_sets_of_labels_are_judged_against_another_annotator(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    ids = ["a", "b", "c"]
    add_samples(db.store, ids, [None] * 3)
    nurse = pa.array([["x"], ["x", "y"], None], pa.list_(pa.string()))
    db.attach(pa.table({"id": ids, "nurse": nurse}))
    rows = pa.table({"id": ids, "labels": pa.array([["x"], ["x"], ["y"]])})
    db.log_predictions("light", rows, classes=["x", "y"])
    evaluation = db.evaluate("light", truth="nurse", metrics=["accuracy", "hamming_loss"])
    assert evaluation.value("all", "light", "accuracy") == 0.5
    assert evaluation.value("all", "light", "hamming_loss") == 0.25
    assert "have the same set of labels" in str(evaluation)
    with pytest.raises(CheckError, match="not a list of labels"):
        db.evaluate("light", truth="status")
    db.log_predictions("one", pa.table({"id": ids, "prediction": ["x"] * 3}), classes=["x"])
    with pytest.raises(CheckError, match="'one' does classification, and 'light' does multilabel"):
        db.evaluate("light", truth="one")


HEAVY_BOXES = [
    [box("cat", 0, 0, 10, 10, 0.9), box("dog", 50, 0, 10, 10, 0.4)],
    [box("cat", 0, 0, 10, 10, 0.7)],
    [],
    [box("dog", 5, 5, 20, 20, 0.95)],
]
LIGHT_BOXES = [
    [box("cat", 1, 0, 10, 10, 0.8)],
    [box("cat", 50, 50, 10, 10, 0.9)],
    [],
    [box("cat", 5, 5, 20, 20, 0.6)],
]
BOX_IDS = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Database:
    db = slicedb.open(tmp_path_factory.mktemp("boxes") / "data.slicedb")
    add_samples(db.store, BOX_IDS, [None] * 4)
    truth = objects([[box("cat", 0, 0, 10, 10)], [box("cat", 0, 0, 10, 10)], [], None])
    db.store.upsert(SAMPLES, pa.table({"id": BOX_IDS, "key": keys_of(BOX_IDS), "objects": truth}))
    for name, said in (("heavy", HEAVY_BOXES), ("light", LIGHT_BOXES)):
        rows = pa.table({"id": BOX_IDS, "objects": objects(said)})
        db.log_predictions(name, rows, classes=["cat", "dog"])
    silent = pa.table({"id": BOX_IDS, "objects": objects([[], [], [], []])})
    db.log_predictions("silent", silent, classes=["cat", "dog"])
    return db


def test_boxes_of_a_detector_are_the_truth_from_a_score_on(boxes: Database) -> None:
    # light finds one cat: of two from 0.5 and from 0.3 on, of one from 0.8 on; and no dog
    for score, n_boxes, of_cat in ((None, 3, 0.5), (0.3, 4, 0.5), (0.8, 2, 1.0)):
        evaluation = boxes.evaluate(
            "light", truth="heavy", truth_score=score, metrics=["recall of cat", "recall of dog"]
        )
        whole = boxes.evaluate("light", truth="heavy", truth_score=score)
        assert whole.to_arrow()["boxes"].to_pylist() == [n_boxes]
        assert [row["value"] for row in evaluation.to_arrow().to_pylist()] == [of_cat, 0.0]
    text = str(boxes.evaluate("light", truth="heavy", truth_score=0.3))
    assert "judged against heavy from a score of 0.3" in text
    objects_line, light_line = boxes.evaluate("light", truth="heavy").agreements
    assert (objects_line.a, objects_line.n, objects_line.n_equal) == ("objects", 3, 3)
    assert (light_line.n, light_line.n_equal) == (4, 2)
    assert boxes.query(objects_line.query).ids() == ["d"]


def test_queries_by_id_that_are_cut_in_print_are_whole_elsewhere(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    ids = [f"photos/of/the/first/week/{i:02}.jpg" for i in range(12)]
    add_samples(db.store, ids, [None] * 12)
    for name, said in (("heavy", HEAVY_BOXES[:1]), ("light", [[]])):
        rows = pa.table({"id": ids, "objects": objects(said * 12)})
        db.log_predictions(name, rows, classes=["cat", "dog"])
    truth = objects([[box("cat", 0, 0, 10, 10)]] * 12)
    db.store.upsert(SAMPLES, pa.table({"id": ids, "key": keys_of(ids), "objects": truth}))
    mistakes = db.errors("light", truth="heavy")
    assert db.query(mistakes.finding("missed").query).ids() == ids
    text = str(mistakes)
    assert "A query that ends in ... is whole with -f json, or in to_arrow()." in text
    queries = [row["query"] for row in mistakes.to_arrow().to_pylist()]
    assert mistakes.finding("missed").query in queries
    assert db.query(mistakes.top_query).ids() == ids


def test_mistakes_of_boxes_are_named_by_their_pictures(boxes: Database) -> None:
    mistakes = boxes.errors("light", truth="heavy")
    kinds = {f.name: f.n for f in mistakes.findings if f.n}
    assert kinds == {"missed": 1, "extra": 1, "wrong class": 1}
    assert boxes.query(mistakes.finding("wrong class").query).ids() == ["d"]
    assert boxes.query(mistakes.finding("missed").query).ids() == ["b"]
    assert boxes.query(mistakes.pairs[0].query).ids() == ["d"]
    assert mistakes.finding("missed").boxes == ""
    assert "A query that ends in" not in str(mistakes)
    matrix = boxes.confusion("light", truth="heavy")
    assert boxes.query(matrix.query("dog", "cat")).ids() == ["d"]
    assert boxes.query(matrix.query("cat", "(nothing)")).ids() == ["b"]
    with pytest.raises(CheckError, match="matched with heavy"):
        matrix.boxes_query("dog", "cat")
    comparison = boxes.compare("light", "silent", truth="heavy")
    row = comparison.row("all")
    assert (row["boxes"], row["wins"], row["losses"]) == (3, 1, 0)
    assert boxes.query(comparison.query("all", "won")).ids() == ["a"]
    assert boxes.query(comparison.query("all", "lost")).count() == 0


def test_boxes_of_a_second_annotator_are_a_column(boxes: Database) -> None:
    second = pa.array(
        [[{"label": "cat", "bbox": [1.0, 0, 10, 10]}], None, [], []],
        pa.list_(pa.struct({"label": pa.string(), "bbox": pa.list_(pa.float64())})),
    )
    report = boxes.attach({"id": BOX_IDS, "second": second})
    assert "Boxes: second; `--truth second` judges a detector against them." in str(report)
    evaluation = boxes.evaluate("light", truth="second", metrics=["recall", "precision"])
    assert evaluation.value("all", "light", "recall") == 1.0
    assert evaluation.to_arrow()["left_out"].to_pylist() == [1, 1]
    with pytest.raises(CheckError, match="not boxes"):
        boxes.evaluate("light", truth="split")


def test_every_verb_of_the_command_line_takes_a_truth(
    db: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str, str]:
        try:
            code = main([*words, "--db", db.path]) or 0
        except SystemExit as end:
            code = int(end.code or 0)
        return (code, *capsys.readouterr())

    code, out, _ = run("evaluate", "light", "--truth", "heavy", "--on", "late")
    assert code == 0 and "label and heavy: 95 of 100" in out
    _, out, remarks = run("evaluate", "light", "--truth", "heavy", "-f", "csv")
    assert "label and heavy" in remarks and "label and heavy" not in out
    for verb in ("cost", "calibration"):
        code, out, _ = run(verb, "light", "--truth", "heavy")
        assert code == 0 and "judged against heavy, not the label" in out
    for words in (["confusion", "light"], ["errors", "light"], ["compare", "light", "poor"]):
        code, out, _ = run(*words, "--truth", "heavy")
        assert code == 0 and "label and heavy: 185 of 200" in out
    (tmp_path / "s.sql").write_text("/*\nslice: s\nexpect: accuracy >= 0.5\n*/\nid >= '050'\n")
    code, out, _ = run("test", str(tmp_path), "--model", "light", "--truth", "nurse")
    assert "(truth: nurse)" in out and code == 0
    code, _, remarks = run("evaluate", "light", "--truth", "nobody")
    assert code == 1 and "neither a model" in remarks
