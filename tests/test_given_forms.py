"""Numbers given in another form than meant: class order, probabilities, one logit, huge logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from fakes_models import fill, png
from sklearn.metrics import roc_auc_score
from torch import nn

import slicedb
from slicedb.errors import CheckError, ClassesError, ModelError, PredictionError
from slicedb.metrics import Outcomes
from slicedb.metrics.ranked import area
from slicedb.models import TorchClassifier, TorchMultilabel
from slicedb.tasks.probabilities import softmax

N = 12
IDS = [f"{i:02d}" for i in range(N)]


def made(path: Path, labels: list[str]) -> slicedb.Database:
    db = slicedb.open(path / "data.slicedb")
    ids = [f"{i:02d}" for i in range(len(labels))]
    fill(
        db.store,
        {i: png((10 * k, 5, 250 - 10 * k)) for k, i in enumerate(ids)},
        dict(zip(ids, labels)),
    )
    return db


def accuracy(db: slicedb.Database, model: str = "m") -> float:
    rows = db.sql(f"SELECT avg({model}.correct::INT) AS a FROM samples")
    return float(rows["a"][0].as_py())


# --- the order of classes ---------------------------------------------------------------------


@pytest.mark.parametrize("names", [range(N), [f"{k}.5" for k in range(N)], range(-4, 8)])
def test_numeric_labels_are_classes_in_numeric_order(tmp_path: Path, names: Any) -> None:
    labels = [str(k) for k in names]
    db = made(tmp_path, labels)
    report = db.log_predictions("m", pa.table({"id": IDS, "logits": (np.eye(N) * 9).tolist()}))
    assert accuracy(db) == 1.0
    assert list(report.classes) == labels  # type: ignore[union-attr]
    assert f"in the order {labels[0]}, {labels[1]}, {labels[2]}" in str(report)
    assert db.confusion("m").classes == tuple(labels)
    assert db.query("").to_torch().classes == tuple(labels)


def test_other_labels_are_classes_in_the_order_of_text(tmp_path: Path) -> None:
    db = made(tmp_path, ["b", "10", "9"] * 4)
    logits = [[0, 0, 9], [9, 0, 0], [0, 9, 0]] * 4
    report = db.log_predictions("m", pa.table({"id": IDS, "logits": logits}))
    assert (accuracy(db), str(report).count("in the order 10, 9, b")) == (1.0, 1)


def forms(values: list[Any], tmp_path: Path) -> dict[str, Any]:
    """Return the same predictions as a table, a frame, a CSV file and a Parquet file."""
    table = pa.table({"id": IDS, "prediction": values})
    frame = pd.DataFrame({"id": IDS, "prediction": values})
    frame.to_csv(tmp_path / "p.csv", index=False)
    frame.to_parquet(tmp_path / "p.parquet")
    return {
        "arrow": table,
        "pandas": frame,
        "csv": tmp_path / "p.csv",
        "parquet": tmp_path / "p.parquet",
        "numpy": pa.table({"id": IDS, "prediction": np.asarray(values)}),
    }


@pytest.mark.parametrize("kind", ["arrow", "pandas", "csv", "parquet", "numpy"])
@pytest.mark.parametrize("number", [int, np.int8, np.uint64, float, str])
def test_numbers_that_are_names_of_classes_are_names_in_every_form(
    tmp_path: Path, kind: str, number: Any
) -> None:
    db = made(tmp_path, [str(k) for k in range(N)])
    given = forms([number(k) for k in range(N)], tmp_path)[kind]
    db.log_predictions("m", given)
    assert accuracy(db) == 1.0
    db.log_predictions("n", given, classes=[str(k) for k in reversed(range(N))])
    assert accuracy(db, "n") == 1.0  # names, not places


@pytest.mark.parametrize("kind", ["arrow", "pandas", "csv", "parquet", "numpy"])
@pytest.mark.parametrize("number", [int, float])
def test_numbers_are_places_in_the_declared_classes_in_every_form(
    tmp_path: Path, kind: str, number: Any
) -> None:
    db = made(tmp_path, ["cat", "dog", "emu"] * 4)
    given = forms([number(k) for k in [2, 0, 1] * 4], tmp_path)[kind]
    db.log_predictions("m", given, classes=["dog", "emu", "cat"])
    assert accuracy(db) == 1.0
    with pytest.raises(PredictionError, match=r"Prediction 2 of sample '00'.* is no class"):
        db.log_predictions("n", given)
    with pytest.raises(PredictionError, match=r"Prediction 2 of sample '00'.*there are 2 declared"):
        db.log_predictions("n", given, classes=["cat", "dog"])


def test_true_and_false_are_predictions_of_such_classes(tmp_path: Path) -> None:
    db = made(tmp_path, ["true", "false"] * 6)
    db.log_predictions("m", pa.table({"id": IDS, "prediction": [True, False] * 6}))
    assert accuracy(db) == 1.0


# --- probabilities where logits are meant -------------------------------------------------------


def head(*last: nn.Module, width: int = 3) -> nn.Module:
    torch.manual_seed(3)
    linear = nn.Linear(3, width)
    nn.init.normal_(linear.weight, std=4.0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear, *last)


def probabilities(db: slicedb.Database, model: str) -> np.ndarray:
    rows = db.store.table(f"predictions__{model}", ["id", "probabilities"]).sort_by("id")
    return np.array(rows["probabilities"].to_pylist())


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.Softmax(dim=-1)])
def test_a_network_that_ends_in_softmax_is_not_softmaxed_again(
    tmp_path: Path, last: nn.Module
) -> None:
    db = made(tmp_path, ["a", "b", "c"] * 4)
    for name, net in (("logits", head()), ("soft", head(last)), ("half", head(last).half())):
        model = TorchClassifier(net, classes=["a", "b", "c"], input_size=8)
        db.models.add(name, model)
        report = db.predict(name)
        assert ("no softmax is put on top" in str(report)) == (name != "logits")
    np.testing.assert_allclose(probabilities(db, "soft"), probabilities(db, "logits"), atol=1e-5)
    np.testing.assert_allclose(probabilities(db, "half"), probabilities(db, "logits"), atol=0.02)
    assert probabilities(db, "logits").max() > 0.9


def test_what_a_network_gives_can_be_said(tmp_path: Path) -> None:
    db = made(tmp_path, ["a", "b", "c"] * 4)
    soft = head(nn.Softmax(1))
    db.models.add(
        "again", TorchClassifier(soft, classes=["a", "b", "c"], input_size=8, output="logits")
    )
    db.predict("again")
    assert probabilities(db, "again").max() < 0.6  # softmaxed twice, as asked
    with pytest.raises(slicedb.errors.ModelError, match="No output 'both'"):
        TorchClassifier(soft, classes=["a"], output="both")  # type: ignore[arg-type]


def test_logged_logits_that_are_probabilities_are_taken_for_those(tmp_path: Path) -> None:
    db = made(tmp_path, ["a", "b"] * 6)
    report = db.log_predictions(
        "m", pa.table({"id": IDS, "logits": [[0.1, 0.9]] * N}), classes=["a", "b"]
    )
    np.testing.assert_allclose(probabilities(db, "m"), [[0.1, 0.9]] * N, atol=1e-6)
    assert "non-negative and sum to one: taken for probabilities" in str(report)
    with db.log_predictions("n", classes=["a", "b"]) as log:  # type: ignore[union-attr]
        log.add(IDS, logits=np.array([[0.25, 0.75]] * N))
        assert len(log.notes) == 1
    np.testing.assert_allclose(probabilities(db, "n"), [[0.25, 0.75]] * N, atol=1e-6)
    real = db.log_predictions(
        "r", pa.table({"id": IDS, "logits": [[0.1, 1.9]] * N}), classes=["a", "b"]
    )
    np.testing.assert_allclose(probabilities(db, "r"), softmax([[0.1, 1.9]] * N), atol=1e-6)
    assert "taken for" not in str(real)


@pytest.mark.parametrize("last", [[], [nn.Sigmoid()]])
def test_a_binary_head_with_one_logit_has_two_classes(
    tmp_path: Path, last: list[nn.Module]
) -> None:
    db = made(tmp_path, ["no", "yes"] * 6)
    net = head(*last, width=1)
    db.models.add("m", TorchClassifier(net, classes=["no", "yes"], input_size=8))
    db.predict("m")
    images = torch.stack([torch.from_numpy(p) for p in _pixels(db)])
    with torch.no_grad():
        raw = net(images)[:, 0].numpy()
    p = raw if last else 1 / (1 + np.exp(-raw))
    np.testing.assert_allclose(probabilities(db, "m"), np.stack([1 - p, p], 1), atol=1e-5)
    said = db.sql("SELECT m.prediction AS p FROM samples ORDER BY id")["p"].to_pylist()
    assert said == ["yes" if one > 0.5 else "no" for one in p]
    with pytest.raises(ClassesError, match=r"every picture would be of that.*give both names"):
        db.models.add("one", TorchClassifier(head(width=1), classes=["yes"], input_size=8))


def test_one_logged_logit_is_that_of_the_second_class(tmp_path: Path) -> None:
    db = made(tmp_path, ["no", "yes"] * 6)
    logits = np.array([[-2.0], [2.0]] * 6)
    db.log_predictions("m", pa.table({"id": IDS, "logits": logits.tolist()}), classes=["no", "yes"])
    assert accuracy(db) == 1.0
    np.testing.assert_allclose(probabilities(db, "m")[0], [0.8807971, 0.1192029], atol=1e-6)
    with pytest.raises(PredictionError, match="There is one class, 'yes'"):
        db.log_predictions("n", pa.table({"id": IDS, "logits": logits.tolist()}), classes=["yes"])


def test_a_binary_head_is_explained_for_both_classes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 1)
    )
    db = made(tmp_path, ["no", "yes"] * 6)
    db.models.add("m", TorchClassifier(net, classes=["no", "yes"], input_size=16))
    for target in ("yes", "no", "prediction", "label"):
        assert db.cam("m", target=target).failed == 0


def _pixels(db: slicedb.Database) -> list[np.ndarray]:
    model = db.models.get("m")
    out = np.zeros((N, 8, 8, 3), np.uint8)
    for row, (_, data) in zip(out, db.store.read_images(db.keys("ORDER BY id"))):
        model.preprocessing.fill(data, row)
    return list(model.preprocessing.normalise(torch.from_numpy(out)).numpy())


def test_a_multi_label_head_has_its_wrapper(tmp_path: Path) -> None:
    db = made(tmp_path, ["a"] * N)
    net = head(width=2)
    db.models.add("m", TorchMultilabel(net, classes=["wet", "dark"], input_size=8))
    db.predict("m")
    with torch.no_grad():
        p = torch.sigmoid(net(torch.stack([torch.from_numpy(x) for x in _pixels(db)]))).numpy()
    np.testing.assert_allclose(probabilities(db, "m"), p, atol=1e-5)
    said = db.sql("SELECT m.labels AS l FROM samples ORDER BY id")["l"].to_pylist()
    names = np.array(["wet", "dark"])
    assert said == [names[row >= 0.5].tolist() for row in p]


# --- huge logits keep their ranking ---------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_huge_logits_keep_their_ranking(classes: int) -> None:
    rng = np.random.default_rng(0)
    logits = rng.uniform(-1, 1, (400, classes))
    logits[:, 0] += np.linspace(30, 36, 400)  # all surely class 0, perfectly ranked by how surely
    logits = logits.astype(np.float32).astype(float)
    label = np.where(np.arange(400) >= 200, 0, 1)
    stored = softmax(logits.astype(np.float32))
    outcomes = Outcomes(tuple("abcde"[:classes]), label, np.zeros(400, int), None, stored)
    wide = logits[:, 0] - np.log(np.exp(logits[:, 1:]).sum(axis=1))
    right = roc_auc_score(label == 0, wide)
    assert (stored[:, 0] == 1).mean() > 0.9
    assert area("auroc", outcomes, of=0).value[0] == pytest.approx(right, abs=1e-12)


def test_perfectly_ranked_logits_of_thirty_have_an_auroc_of_one(tmp_path: Path) -> None:
    labels = ["no"] * 30 + ["yes"] * 30
    db = made(tmp_path, labels)
    ids = [f"{i:02d}" for i in range(60)]
    margin = np.linspace(30, 36, 60)
    logits = np.stack([-margin / 2, margin / 2], 1)
    db.log_predictions("m", pa.table({"id": ids, "logits": logits.tolist()}), classes=["no", "yes"])
    rows = db.evaluate("m", slices=[""], metrics=["auroc"]).to_arrow().to_pylist()
    assert rows[0]["value"] == 1.0


@pytest.mark.parametrize("names", [["score"], ["loss"], ["score", "loss"]])
def test_scores_without_a_prediction_are_columns_of_the_model(
    tmp_path: Path, names: list[str]
) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, {"a": png((1, 2, 3)), "b": png((4, 5, 6))}, {"a": "cat", "b": "dog"})
    table = pa.table({"id": ["a", "b"], **{name: [0.5, 0.25] for name in names}})
    report = db.log_predictions("m", table)
    assert (report.logged, report.classes) == (2, ())
    assert f"No prediction is beside {', '.join(names)}: queries read" in str(report)
    assert db.query(f"m.{names[0]} > 0.3").ids() == ["a"]
    assert db.query(f"ORDER BY m.{names[0]}").ids() == ["b", "a"]
    assert db.relabel("id = 'a'", "dog") == 1 and db.doctor() == []
    nothing = rf"'m' was logged with {', '.join(names)} alone: nothing is predicted"
    verbs = [
        lambda: db.evaluate("m"),
        lambda: db.compare("m", "m"),
        lambda: db.confusion("m"),
        lambda: db.errors("m"),
        lambda: db.cost("m"),
        lambda: db.calibration("m"),
        lambda: db.power("m", "m"),
        lambda: db.slices.coverage("m"),
        lambda: db.corrupt("m"),
        lambda: db.behaviour("m", tmp_path / "not read"),
    ]
    for verb in verbs:
        with pytest.raises(CheckError, match=nothing):
            verb()
    with pytest.raises(ModelError, match="Of 'm' there are logged predictions alone"):
        db.cam("m")


def test_scores_that_are_no_numbers_are_refused_and_new_ones_replace(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    fill(db.store, {"a": png((1, 2, 3)), "b": png((4, 5, 6))}, {"a": "cat", "b": "dog"})
    with pytest.raises(PredictionError, match="Column 'score' of the table is string"):
        db.log_predictions("m", pa.table({"id": ["a"], "score": ["high"]}))
    with pytest.raises(PredictionError, match=r"The loss of 1 sample are not finite.*'b'"):
        db.log_predictions("m", pa.table({"id": ["a", "b"], "loss": [1.0, float("nan")]}))
    db.log_predictions("m", pa.table({"id": ["a"], "score": [1], "camera": ["north"]}))
    db.log_predictions("m", pa.table({"id": ["b", "a"], "score": [3, 2]}))
    rows = db.sql("SELECT id, m.score AS s, m.camera AS c FROM samples ORDER BY id").to_pylist()
    assert rows == [{"id": "a", "s": 2, "c": "north"}, {"id": "b", "s": 3, "c": None}]
    wide = pa.table({"id": ["a", "b"], "cat": [0.9, 0.2], "dog": [0.1, 0.8], "score": [1.0, 2.0]})
    db.log_predictions("wide", wide)  # a column for each class beside it: probabilities
    assert db.query("wide.correct").ids() == ["a", "b"]
    assert "m: score 2" in db.query("m.score = 2")._repr_html_()


def test_a_score_of_an_earlier_picture_is_left_out(tmp_path: Path) -> None:
    for colour in (1, 2):
        (tmp_path / "a.png").write_bytes(png((colour, 2, 3)))
        db = slicedb.open(tmp_path / "data.slicedb")
        report = db.ingest(tmp_path, progress=False)
        if colour == 1:
            db.log_predictions("m", pa.table({"id": ["a.png"], "loss": [0.5]}))
    assert "1 logged prediction of 'm' speaks of earlier pictures" in str(report)
    assert db.sql("SELECT m.loss AS x FROM samples")["x"].to_pylist() == [None]
