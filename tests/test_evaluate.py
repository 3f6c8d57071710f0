"""The slice x model x metric table and the confusion matrix, against scikit-learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_judge import add_predictions, add_samples, small_store
from sklearn import metrics as sk

import slicedb
from slicedb import metrics, schema, stats
from slicedb.errors import CheckError, UnknownModelError
from slicedb.judge import confusion, evaluate
from slicedb.schema import keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS

NAMES = ("bird", "cat", "dog")
N = 600


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[str], list[str], dict]:
    """600 samples in random order; `a` saw all, `b` the first 400 in another order."""
    rng = np.random.default_rng(0)
    store = Store.open(str(tmp_path_factory.mktemp("evaluate") / "e.slicedb"))
    ids = [f"{i:04}.jpg" for i in rng.permutation(N)]
    labels = [NAMES[i] for i in rng.integers(0, 3, N)]
    add_samples(store, ids, labels)
    add_samples(store, ["unlabelled.jpg"], [None])
    said = {}
    for model, n in (("a", N), ("b", 400)):
        order = rng.permutation(n)
        p = rng.dirichlet(np.ones(3), n)
        add_predictions(
            store, model, [ids[i] for i in order], [NAMES[k] for k in p.argmax(axis=1)], p
        )
        said[model] = {ids[i]: row for i, row in zip(order, p.astype(np.float32))}
    return store, ids, labels, said


def members(ids: list[str]) -> dict[str, np.ndarray]:
    return {
        "all": keys_of(ids),
        "first": keys_of(ids[:100]),
        "last": keys_of(ids[-150:]),
        "none": keys_of([]),
        "odd": keys_of([*ids[:5], ids[0], "unlabelled.jpg", "deleted.jpg"]),
    }


def test_rows_equal_scikit_learn(world: tuple) -> None:
    store, ids, labels, said = world
    names = ["accuracy", "f1", "log_loss", "auroc"]
    found = evaluate(store, ["a", "b"], members(ids), metrics=names)
    rows = {(r["slice"], r["model"], r["metric"]): r for r in found.to_arrow().to_pylist()}
    assert len(rows) == 5 * 2 * 4
    for slice_name, chosen in (("all", ids), ("first", ids[:100]), ("last", ids[-150:])):
        for model in ("a", "b"):
            seen = [i for i in chosen if i in said[model]]
            if not seen:
                continue
            truth = [labels[ids.index(i)] for i in seen]
            p = np.array([said[model][i] for i in seen], float)
            guess = [NAMES[k] for k in p.argmax(axis=1)]
            expected = {
                "accuracy": sk.accuracy_score(truth, guess),
                "f1": sk.f1_score(truth, guess, average="macro"),
                "log_loss": -np.mean(np.log(p[np.arange(len(p)), [NAMES.index(t) for t in truth]])),
                "auroc": np.mean(
                    [
                        sk.roc_auc_score([t == c for t in truth], p[:, k])
                        for k, c in enumerate(NAMES)
                    ]
                ),
            }
            for name in names:
                row = rows[slice_name, model, name]
                assert row["value"] == pytest.approx(expected[name], abs=1e-9)
                assert (row["n"], row["left_out"]) == (len(seen), len(chosen) - len(seen))
                assert row["low"] < row["value"] < row["high"] and row["reason"] is None


def test_accuracy_has_the_wilson_interval(world: tuple) -> None:
    store, ids, _, _ = world
    row = evaluate(store, "a", {"all": keys_of(ids)}, confidence=0.9).to_arrow().to_pylist()[0]
    k = round(row["value"] * N)
    assert (row["low"], row["high"]) == pytest.approx(tuple(stats.wilson(k, N, 0.9)))


def test_what_is_left_out_is_counted_and_duplicates_are_not(world: tuple) -> None:
    store, ids, _, _ = world
    found = evaluate(store, "a", {"odd": members(ids)["odd"]}).to_arrow().to_pylist()[0]
    assert (found["n"], found["left_out"]) == (5, 2)


def test_samples_whose_prediction_failed_are_left_out(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path)
    ids = store.table("samples", ["id"])["id"].to_pylist()
    said = [None if n % 3 == 0 else i.split("/")[0] for n, i in enumerate(ids)]
    add_predictions(store, "m", ids, said)
    row = evaluate(store, "m", {"all": keys_of(ids)}).to_arrow().to_pylist()[0]
    assert (row["value"], row["n"], row["left_out"]) == (1.0, 8, 4)


def test_undefined_is_nan_with_a_reason(world: tuple) -> None:
    store, ids, _, _ = world
    found = evaluate(store, "a", members(ids), metrics=["accuracy", "ece"], per_class=True)
    rows = [r for r in found.to_arrow().to_pylist() if r["slice"] == "none"]
    assert len(rows) == 5 and all(np.isnan(r["value"]) and np.isnan(r["low"]) for r in rows)
    assert {r["reason"] for r in rows} == {"the slice has no samples"}
    assert "undefined: the slice has no samples" in str(found)


def test_the_n_of_a_class_is_what_its_share_is_of(world: tuple) -> None:
    store, ids, labels, said = world
    asked = ["recall", "precision", "f1"]
    found = evaluate(store, "a", {"all": keys_of(ids)}, metrics=asked, per_class=True)
    n = {(r["metric"], r["of"]): r["n"] for r in found.to_arrow().to_pylist()}
    guess = [NAMES[int(np.argmax(said["a"][i]))] for i in ids]
    for name in NAMES:
        assert n["recall", name] == labels.count(name)
        assert n["precision", name] == guess.count(name)
        either = sum(name in pair for pair in zip(labels, guess))
        assert n["f1", name] == either and n["f1", None] == len(ids)


def test_per_class_accuracy_is_recall(world: tuple) -> None:
    store, ids, labels, said = world
    found = evaluate(store, "a", {"all": keys_of(ids)}, per_class=True)
    guess = [NAMES[said["a"][i].argmax()] for i in ids]
    for c, expected in zip(NAMES, sk.recall_score(labels, guess, average=None)):
        assert found.value("all", "a", "accuracy", c) == pytest.approx(expected, abs=1e-9)
    with pytest.raises(KeyError):
        found.value("all", "zzz")


def test_a_model_without_probabilities_says_so(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path)
    name = schema.PREDICTIONS + "logged"
    store.create(name, TASKS["classification"].schema(None))
    ids = store.table("samples", ["id"])["id"].to_pylist()
    store.upsert(name, pa.table({"id": ids, "key": keys_of(ids), "prediction": ["cat"] * 12}))
    found = evaluate(store, "logged", {"all": keys_of(ids)}, metrics=["accuracy", "log_loss"])
    accuracy, loss = found.to_arrow().to_pylist()
    assert accuracy["value"] == pytest.approx(1 / 3)
    assert np.isnan(loss["value"]) and loss["reason"] == "the predictions have no probabilities"


def test_predictions_and_labels_that_change_are_read_again(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path)
    ids = store.table("samples", ["id"])["id"].to_pylist()
    add_predictions(store, "m", ids, ["cat"] * 12)
    everything = {"all": keys_of(ids)}
    assert evaluate(store, "m", everything).value("all", "m") == pytest.approx(4 / 12)
    add_samples(store, [ids[0]], ["cat"])
    assert evaluate(store, "m", everything).value("all", "m") == pytest.approx(5 / 12)
    add_predictions(store, "m", [ids[0]], ["dog"])
    assert evaluate(store, "m", everything).value("all", "m") == pytest.approx(4 / 12)


def test_unknown_models_and_metrics(world: tuple) -> None:
    store, ids, _, _ = world
    with pytest.raises(UnknownModelError, match="No predictions of a model 'c'"):
        evaluate(store, "c", {"all": keys_of(ids)})
    with pytest.raises(CheckError, match="'accuracy'"):
        evaluate(store, "a", {"all": keys_of(ids)}, metrics=["acuracy"])


def test_the_text_table_has_a_row_a_slice_and_a_column_a_model(world: tuple) -> None:
    store, ids, _, _ = world
    text = str(evaluate(store, ["a", "b"], members(ids))).splitlines()
    assert text[0].split() == ["slice", "metric", "n", "left", "out", "a", "b"]
    assert text[2].startswith("all") and "400-600" in text[2]
    assert "<table>" in evaluate(store, "a", members(ids))._repr_html_()


def test_no_slices_and_no_models_give_an_empty_table(world: tuple) -> None:
    store, ids, _, _ = world
    assert evaluate(store, "a", {}).to_arrow().num_rows == 0
    assert evaluate(store, [], {"all": keys_of(ids)}).to_arrow().num_rows == 0


def test_confusion_equals_scikit_learn(world: tuple) -> None:
    store, ids, labels, said = world
    found = confusion(store, "b", keys_of([*ids, "unlabelled.jpg"]))
    seen = [i for i in ids if i in said["b"]]
    truth = [labels[ids.index(i)] for i in seen]
    guess = [NAMES[said["b"][i].argmax()] for i in seen]
    np.testing.assert_array_equal(found.matrix, sk.confusion_matrix(truth, guess))
    assert (found.classes, found.n, found.left_out) == (NAMES, 400, 201)
    label, prediction, n = found.pairs(1)[0]
    off = found.matrix - np.diag(np.diagonal(found.matrix))
    assert n == off.max()
    assert found.query(label, prediction) == f"label = '{label}' AND b.prediction = '{prediction}'"
    assert sum(found.to_arrow()["n"].to_pylist()) == 400
    assert found.to_pandas().loc["cat", "dog"] == found.matrix[1, 2]
    assert "accuracy" in str(found) and '<table class="heat">' in found._repr_html_()


def test_a_thousand_slices_equal_a_loop(world: tuple) -> None:
    store, ids, labels, said = world
    rng = np.random.default_rng(1)
    chosen = [rng.permutation(N)[: rng.integers(1, N)] for _ in range(200)]
    found = evaluate(
        store, "a", {f"s{i}": keys_of([ids[k] for k in c]) for i, c in enumerate(chosen)}
    )
    right = np.array([labels[i] == NAMES[said["a"][ids[i]].argmax()] for i in range(N)])
    expected = [right[c].mean() for c in chosen]
    np.testing.assert_allclose(found.to_arrow()["value"].to_numpy(), expected, atol=1e-12)
    assert metrics.find("accuracy").name == "accuracy"


def test_predictions_logged_anew_are_judged_and_asked_anew(tmp_path: Path) -> None:
    store, _ = small_store(tmp_path)
    db = slicedb.open(store.path, create=False)
    ids = db.query().ids()

    def label_of(sample: str, right: bool) -> str:
        label = sample.split("/")[0]
        return label if right else {"cat": "dog"}.get(label, "cat")

    for right in (12, 4, 8):  # as a notebook does, cell after cell
        table = {"id": ids, "prediction": [label_of(i, n < right) for n, i in enumerate(ids)]}
        db.log_predictions("m", pa.table(table), replace=True)
        assert db.evaluate("m", record=False).value("all", "m") == pytest.approx(right / 12)
        assert db.query("m.prediction = label").count() == right
