"""A person's answers mean classes, whatever type their column has."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fakes_models import fill, png

import slicedb
from slicedb.errors import ClassesError, SliceError
from slicedb.tasks.answers import answer_codes

N = 200
SICK = np.arange(N) % 10 == 0
ANSWER = SICK ^ (np.arange(N) % 40 == 0)
"""Misses a quarter of the sick, raises no false alarm: 5 of 200 times 1.5."""
COST = 5 / N * 1.5


def made(path: Path, classes: tuple[str, str], answers: object) -> slicedb.Database:
    """Return a database of two classes, a model that says the first, and a person's answers."""
    db = slicedb.open(path / "data.slicedb")
    ids = [f"{i:03d}" for i in range(N)]
    labels = {i: classes[int(sick)] for i, sick in zip(ids, SICK)}
    fill(db.store, dict.fromkeys(ids, png((1, 2, 3))), labels)
    rows = pa.table({"id": ids, "probabilities": [[0.9, 0.1]] * N})
    db.log_predictions("m", rows, classes=list(classes))
    db.attach(pa.table({"id": ids, "person": answers}))
    return db


BINARY = [
    (("0", "1"), ANSWER.astype(int)),
    (("0", "1"), ANSWER.astype(np.int8)),
    (("0", "1"), ANSWER.astype(float)),
    (("0", "1"), ANSWER),
    (("0", "1"), np.where(ANSWER, "1", "0")),
    (("0", "1"), np.where(ANSWER, "yes", "no")),
    (("0", "1"), np.where(ANSWER, "1.0", "0.0")),
    (("no", "yes"), ANSWER),
    (("no", "yes"), ANSWER.astype(int)),
    (("False", "True"), ANSWER),
    (("good", "mould"), ANSWER),
    (("good", "mould"), ANSWER.astype(int)),
    (("good", "mould"), np.where(ANSWER, "mould", "good")),
    (("good", "mould"), np.where(ANSWER, "Yes", "No")),
]


@pytest.mark.parametrize(("classes", "answers"), BINARY)
def test_the_human_baseline_of_one_class_is_right_for_every_type(
    tmp_path: Path, classes: tuple[str, str], answers: Any
) -> None:
    db = made(tmp_path, classes, answers)
    report = db.cost(
        "m", positive=classes[1], false_positive=0.25, false_negative=1.5, human="person"
    )
    assert report.row("human").cost == pytest.approx(COST)


@pytest.mark.parametrize(
    ("answers", "error", "message"),
    [
        ([2] * N, ClassesError, "'2' in the human baseline 'person' is no class"),
        (["mold"] * N, ClassesError, "'mold' in the human baseline.*did you mean 'mould'"),
        ([0.5] * N, ClassesError, "'0.5' in the human baseline"),
        (["mould", *["nothing"] * (N - 1)], ClassesError, "'nothing' in the human baseline"),
        ([None, *[1] * (N - 1)], SliceError, "no answer for 1 of 200 samples"),
        ([float("nan"), *[1.0] * (N - 1)], SliceError, "no answer for 1 of 200 samples"),
        ([["mould"]] * N, ClassesError, "is list<.*not one answer per sample"),
    ],
)
def test_answers_that_are_no_class_are_refused(
    tmp_path: Path, answers: object, error: type[Exception], message: str
) -> None:
    db = made(tmp_path, ("good", "mould"), answers)
    with pytest.raises(error, match=message):
        db.cost("m", positive="mould", human="person")


def test_answers_of_many_classes_are_spelt_numbered_or_true() -> None:
    def codes(values: list[Any], classes: list[str]) -> list[int]:
        return answer_codes(pa.array(values), classes, "c").tolist()

    assert codes([10, 9, None], ["9", "10", "11"]) == [1, 0, -1]
    assert codes([9.0, 10.0], ["9", "10"]) == [0, 1]
    assert codes(["01", "1"], ["01", "1"]) == [0, 1]
    assert codes([1], ["0.0", "1.0"]) == [1]
    assert codes([" a ", "b"], ["a", "b"]) == [0, 1]
    dictionary = pa.array(["b", "a", None]).dictionary_encode()
    assert answer_codes(dictionary, ["a", "b"], "c").tolist() == [1, 0, -1]
    with pytest.raises(ClassesError, match="'1' in c is no class"):
        codes([1], ["01", "1.0"])  # both are the number 1
    with pytest.raises(ClassesError, match="'2026-01-02' in c is no class"):
        codes([datetime.date(2026, 1, 2)], ["a"])
