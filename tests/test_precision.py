"""Classes that differ by less than float32 tells are told apart, and sums that are off are said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from fakes_models import fill, png
from torch import nn

import slicedb
from slicedb.errors import PredictionError
from slicedb.models import TorchClassifier
from slicedb.tasks import probabilities as p

IDS = ["0", "1", "2", "3"]
NEAR = np.array([[0.5 + 1e-10, 0.5 - 1e-10], [0.5 - 1e-10, 0.5 + 1e-10], [0.9, 0.1], [0.2, 0.8]])
SAID = ["a", "b", "a", "b"]


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "data.slicedb")
    pictures = {i: png((40 * k, 5, 250 - 40 * k)) for k, i in enumerate(IDS)}
    fill(made.store, pictures, dict(zip(IDS, "abab")))
    return made


def predicted(db: slicedb.Database, model: str = "m") -> list[str]:
    rows = db.sql(f"SELECT {model}.prediction AS p FROM samples ORDER BY id")
    return [str(text) for text in rows["p"].to_pylist()]


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"id": IDS, "probabilities": list(values)})


def csv(values: np.ndarray, path: Path) -> str:
    frame = pd.DataFrame({"id": IDS, "a": values[:, 0], "b": values[:, 1]})
    frame.to_csv(path / "p.csv", index=False)
    return str(path / "p.csv")


def json_csv(values: np.ndarray, path: Path) -> str:
    lists = [str(row) for row in values.tolist()]
    pd.DataFrame({"id": IDS, "probabilities": lists}).to_csv(path / "j.csv", index=False)
    return str(path / "j.csv")


def parquet(values: np.ndarray, path: Path) -> str:
    table = pa.table({"id": IDS, "probabilities": values.tolist()})
    pq.write_table(table, path / "p.parquet")
    return str(path / "p.parquet")


FORMS: dict[str, Callable[[np.ndarray, Path], object]] = {
    "array": lambda v, _: {"id": IDS, "probabilities": v},
    "lists": lambda v, _: {"id": IDS, "probabilities": v.tolist()},
    "tensor": lambda v, _: {"id": IDS, "probabilities": torch.tensor(v)},
    "tensors": lambda v, _: {"id": IDS, "probabilities": list(torch.tensor(v))},
    "logits": lambda v, _: {"id": IDS, "logits": np.log(v) * 1.5},
    "pandas": lambda v, _: frame(v),
    "a column a class": lambda v, _: {"id": IDS, "a": v[:, 0], "b": v[:, 1]},
    "csv": csv,
    "csv of json": json_csv,
    "parquet": parquet,
}


@pytest.mark.parametrize("form", FORMS)
def test_classes_apart_by_less_than_float32_keep_their_order(
    db: slicedb.Database, tmp_path: Path, form: str
) -> None:
    db.log_predictions("m", FORMS[form](NEAR, tmp_path), classes=["a", "b"])
    assert predicted(db) == SAID
    assert db.query("m.probabilities['a'] = m.probabilities['b']").ids() == []
    assert db.query("m.margin < 1e-6").ids() == ["0", "1"]
    assert db.query("m.margin > 0").ids() == IDS


def test_batches_of_a_training_loop_keep_the_wider_precision(db: slicedb.Database) -> None:
    with db.log_predictions("m", classes=["a", "b"]) as log:
        log.add(IDS[2:], probabilities=torch.tensor(NEAR[2:], dtype=torch.float16))
        log.add(IDS[:2], probabilities=NEAR[:2])
    assert predicted(db) == SAID


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_shorter_floats_are_kept_as_float32(db: slicedb.Database, dtype: torch.dtype) -> None:
    values = torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5], [0.125, 0.875]], dtype=dtype)
    report = db.log_predictions("m", {"id": IDS, "probabilities": values}, classes=["a", "b"])
    kind = db.store.schema("predictions__m").field("probabilities").type.value_type
    assert kind == pa.float32()
    assert str(report).count("\n") == 0
    assert predicted(db) == ["b", "a", "a", "b"]


def test_a_prediction_beside_tied_probabilities_stays_and_is_counted(db: slicedb.Database) -> None:
    rounded = NEAR.astype(np.float16)
    rows = {"id": IDS, "probabilities": rounded, "prediction": SAID}
    report = db.log_predictions("m", rows, classes=["a", "b"])
    assert predicted(db) == SAID
    assert "The prediction of 1 row is the given one" in str(report)
    assert "1" in db.query("m.margin < 1e-6").ids()


def test_logits_decide_where_their_probabilities_are_equal(db: slicedb.Database) -> None:
    logits = np.float32([[0, 1e-9], [1e-9, 0], [3, 0], [0, 3]])
    report = db.log_predictions("m", {"id": IDS, "logits": logits}, classes=["a", "b"])
    assert predicted(db) == ["b", "a", "a", "b"]
    assert "The two best classes of 2 rows differ in their logits" in str(report)
    assert db.query("m.margin < 1e-6 AND m.margin > 0").ids() == ["0", "1"]


def test_a_label_is_given_by_its_own_probability(db: slicedb.Database) -> None:
    values = np.array([[0.5 - 1e-10, 0.5], [0.5, 0.2], [0.1, 0.9], [0.1, 0.1]])
    rows = {"id": IDS, "probabilities": values}
    db.log_predictions("m", rows, classes=["x", "y"], multilabel=True)
    labels = db.sql("SELECT m.labels AS l FROM samples ORDER BY id")["l"].to_pylist()
    assert labels == [["y"], ["x"], ["y"], []]
    logits = np.float32([[-1e-9, 0], [1, -1], [-1, 1], [-1, -1]])
    db.log_predictions("n", {"id": IDS, "logits": logits}, classes=["x", "y"], multilabel=True)
    labels = db.sql("SELECT n.labels AS l FROM samples ORDER BY id")["l"].to_pylist()
    assert labels == [["y"], ["x"], ["y"], []]


class Even(nn.Module):
    """Says of every picture that the second class is likelier by a billionth."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([0.0, 1e-9], dtype=dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(x), 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_is_believed_in_its_own_precision(
    db: slicedb.Database, dtype: torch.dtype
) -> None:
    db.models.add("m", TorchClassifier(Even(dtype), classes=["a", "b"], input_size=8))
    db.predict("m")
    assert predicted(db) == ["b"] * 4
    assert db.query("m.margin > 0 AND m.margin < 1e-6").ids() == IDS


# --- sums -----------------------------------------------------------------------------------------


OFF = np.array([[0.9, 0.105], [0.2, 0.8], [0.395, 0.6], [0.5004, 0.5]])


@pytest.mark.parametrize("form", [form for form in FORMS if form != "logits"])
def test_rows_that_nearly_sum_to_one_are_divided_and_said(
    db: slicedb.Database, tmp_path: Path, form: str
) -> None:
    report = str(db.log_predictions("m", FORMS[form](OFF, tmp_path), classes=["a", "b"]))
    assert "2 rows sum to 0.995 to 1.005 rather than to 1" in report
    assert "m.given_sum IS NOT NULL" in report
    assert db.query("m.given_sum IS NOT NULL").ids() == ["0", "2"]
    assert db.query("abs(m.probabilities['a'] - 0.9 / 1.005) < 1e-6").ids() == ["0"]
    assert db.query("m.probabilities['a'] = 0.5004").ids() == ["3"]


def test_batches_that_nearly_sum_to_one_are_said_at_the_end(
    db: slicedb.Database, capsys: pytest.CaptureFixture[str]
) -> None:
    with db.log_predictions("m", classes=["a", "b"]) as log:
        for k in range(4):
            log.add(IDS[k : k + 1], probabilities=OFF[k : k + 1])
    assert "2 rows sum to 0.995 to 1.005" in capsys.readouterr().err
    assert db.query("m.given_sum < 1").ids() == ["2"]


def test_sums_speak_of_the_last_log(db: slicedb.Database) -> None:
    db.log_predictions("m", {"id": IDS, "probabilities": OFF}, classes=["a", "b"])
    again = {"id": IDS[:1], "probabilities": NEAR[2:3]}
    assert "sum" not in str(db.log_predictions("m", again, classes=["a", "b"]))
    assert db.query("m.given_sum IS NOT NULL").ids() == ["2"]


def test_a_column_of_the_same_name_stays_the_users(db: slicedb.Database) -> None:
    rows = {"id": IDS, "probabilities": OFF, "given_sum": [1, 2, 3, 4]}
    report = str(db.log_predictions("m", rows, classes=["a", "b"]))
    assert "id IN ('0', '2')" in report
    assert db.query("m.given_sum = 3").ids() == ["2"]


def test_sums_further_from_one_are_refused(db: slicedb.Database) -> None:
    off = np.array([[0.9, 0.1], [0.9, 0.111], [0.5, 0.4], [1, 0]])
    with pytest.raises(PredictionError, match=r"sample '1' .* sum to 1.011, not to 1, and 1 more"):
        db.log_predictions("m", {"id": IDS, "probabilities": off}, classes=["a", "b"])


def test_what_was_logged_with_seven_digits_stays_so_and_it_is_said(db: slicedb.Database) -> None:
    first = {"id": IDS[2:], "probabilities": NEAR[2:].astype(np.float32)}
    db.log_predictions("m", first, classes=["a", "b"])
    later = {"id": IDS[:2], "probabilities": NEAR[:2]}
    report = db.log_predictions("m", later, classes=["a", "b"])
    assert "rounded to seven digits" in str(report)
    assert predicted(db) == SAID


def test_float32_beside_float64_is_no_news(db: slicedb.Database) -> None:
    db.log_predictions("m", {"id": IDS[:2], "probabilities": NEAR[:2]}, classes=["a", "b"])
    later = {"id": IDS[2:], "probabilities": np.float32([[0.75, 0.25], [0.25, 0.75]])}
    assert "\n" not in str(db.log_predictions("m", later, classes=["a", "b"]))
    assert predicted(db) == SAID


def test_softmax_keeps_the_precision_of_its_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 4)) * 5
    exact = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p.softmax(logits), exact, rtol=1e-14)
    assert p.softmax(logits.astype(np.float32)).dtype == np.float32
    assert p.softmax(logits.astype(np.float16)).dtype == np.float32
