"""Find what models are judged against instead of the ground truth: a model's answers, or a column.

A heavy model that cannot run in production, or a second annotator, stands in for the ground truth.
Nothing that is stored changes: `loss` and `correct` in queries go on to speak of the ground truth,
and the queries of a judgement compare the prediction with the other truth themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema, sql
from slicedb.errors import CheckError, ClassesError, UnknownModelError, did_you_mean
from slicedb.keys import KeyIndex, Keys
from slicedb.predictions.tables import judged
from slicedb.store import Store
from slicedb.tasks import AnyTask, TruthColumn
from slicedb.tasks.answers import texts_of
from slicedb.tasks.arrays import one_array

_SHOWN = 3
"""Values that an error names."""


@dataclass(frozen=True)
class OtherTruth:
    """What a user names in place of the ground truth."""

    name: str
    """A model with predictions, or a column of samples."""
    score: float | None = None
    """Of a detector's boxes: the score from which on they are taken for truth; None is the one
    from which on they count."""

    def __str__(self) -> str:
        return self.name if self.score is None else f"{self.name} from a score of {self.score:g}"


@dataclass(frozen=True)
class Truth:
    """Another truth, for one model under test."""

    name: str
    source: TruthColumn
    is_model: bool
    least: float | None = None
    """Of a detector's boxes: the score from which on they are truth."""
    expression: str = ""
    """SQL of the class that it says, "" where a sample does not have one class."""

    @property
    def column(self) -> str:
        """The SQL of the column, NULL where there is no truth."""
        column = sql.name(self.source.column)
        return f"{sql.name(self.name)}.{column}" if self.is_model else column

    def __str__(self) -> str:
        if not self.is_model:
            return f"the column {self.name}"
        at = "" if self.least is None else f" from a score of {self.least:g}"
        return f"the answers of {self.name}{at}"


def resolve(store: Store, other: OtherTruth, model: str, task: AnyTask) -> Truth:
    """Return where another truth is for a model under test.

    Args:
        store: the database.
        other: what the user named.
        model: the model under test.
        task: what it does.

    Raises:
        UnknownModelError: there is neither such a model nor such a column.
        CheckError: the name is both, it is the model itself, or the two do not do the same.
    """
    if other.score is not None and not 0 <= other.score <= 1:
        raise CheckError(f"The score of the truth is {other.score:g}.", "scores lie in [0, 1].")
    models = [
        name.removeprefix(schema.PREDICTIONS)
        for name in store.names()
        if name.startswith(schema.PREDICTIONS)
    ]
    columns = store.schema(schema.SAMPLES).names
    is_model, is_column = other.name in models, other.name in columns
    if is_model and is_column:
        raise CheckError(
            f"'{other.name}' is a model and a column of samples.",
            f"`slicedb model rename {other.name} NEW` tells them apart.",
        )
    if not is_model and not is_column:
        raise UnknownModelError(
            f"The truth '{other.name}' is neither a model with predictions nor a column.",
            did_you_mean(other.name, [*models, *columns], "models and columns"),
        )
    if other.score is not None and not (is_model and task.name == "detection"):
        raise CheckError(
            f"A score of {other.score:g} is given for a truth that has no scored boxes.",
            "it is for a detector whose boxes are the truth.",
        )
    if not is_model:
        return Truth(other.name, TruthColumn(other.name), False)
    if other.name == model:
        raise CheckError(
            f"'{model}' is the truth, and always right about itself.",
            "name another model or truth.",
        )
    about = judged(store, other.name)
    if about.task != task.name:
        raise CheckError(
            f"'{other.name}' does {about.task}, and '{model}' does {task.name}.",
            "the truth has to be a model of the same task, or a column.",
        )
    least = None
    if task.name == "detection":
        least = about.confidence if other.score is None else other.score
    source = TruthColumn(task.reads[0], schema.PREDICTIONS + other.name)
    return Truth(other.name, source, True, least)


def read(
    store: Store, truth: Truth, keys: Keys, model: str, task: AnyTask, classes: tuple[str, ...]
) -> tuple[Truth, pa.Array]:
    """Return another truth of samples as the task compares it, null where there is none.

    Args:
        store: the database.
        truth: where it is.
        keys: int64 (n,), of the samples.
        model: the model under test.
        task: what it does.
        classes: its classes, or those that it ever predicted.

    Returns:
        The truth with its SQL, and one value per key.

    Raises:
        CheckError: the column does not hold what the task compares.
        ClassesError: none of its classes is one of the model's.
    """
    table = store.table(truth.source.table, ["key", truth.source.column])
    at = KeyIndex(table["key"].to_numpy()).find(keys)
    raw = one_array(table[truth.source.column]).take(pa.array(at, mask=at < 0))
    answers = task.answers(raw, classes, truth.least, str(truth))
    if task.has_classes and len(answers) > answers.null_count:
        _check_classes(task.classes_in(answers), classes, truth, model)
    if task.one_class:
        truth = replace(truth, expression=_expression(truth.column, raw, answers))
    return truth, answers


def _check_classes(said: list[str], classes: tuple[str, ...], truth: Truth, model: str) -> None:
    if not said or not classes or set(said) & set(classes):
        return
    shown = (", ".join(map(repr, names[:_SHOWN])) for names in (said, list(classes)))
    raise ClassesError(
        f"The classes of {truth} ({next(shown)}) are none of those of {model} ({next(shown)}).",
        "the two have to call the same things by the same names.",
    )


def _expression(column: str, raw: pa.Array, answers: pa.Array) -> str:
    """Return the SQL of the class that each value of a column stands for."""
    if pa.types.is_dictionary(raw.type):
        raw = raw.cast(raw.type.value_type)
    names = answers.cast(pa.string()) if pa.types.is_dictionary(answers.type) else answers
    pairs = pa.table({"value": raw, "name": names}).group_by(["value", "name"]).aggregate([])
    known = pairs.filter(pc.is_valid(pairs["name"]))
    values, classes = known["value"].to_pylist(), known["name"].to_pylist()
    if values == classes:
        return column
    if pa.types.is_integer(raw.type) and texts_of(values) == classes:
        return f"CAST({column} AS VARCHAR)"
    order = np.argsort(np.asarray(classes, object), kind="stable")
    cases = [f"WHEN {sql.literal(values[i])} THEN {sql.string(classes[i])}" for i in order]
    return f"CASE {column} {' '.join(cases)} END"
