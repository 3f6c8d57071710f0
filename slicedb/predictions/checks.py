"""Checks of predictions made elsewhere; each error names the place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import PredictionError, did_you_mean
from slicedb.inference import softmax
from slicedb.predictions import boxes

_SUM = 0.01
_SHOWN = 3


@dataclass(frozen=True)
class Part:
    """A batch of predictions as they come in."""

    ids: list[str]
    prediction: list[Any] | None = None
    confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None
    """float32 (n, c)."""
    columns: dict[str, Any] = field(default_factory=dict)
    """What else the user logs."""
    objects: pa.Array | None = None
    """Detections, a list a sample."""
    value: np.ndarray | None = None
    """float64 (n,): predicted numbers."""
    labels: pa.Array | None = None
    """list<string> (n,): predicted sets of labels."""
    several: bool = False
    """Whether probabilities are of labels that do not exclude one another."""

    @property
    def task(self) -> str:
        """What kind of predictions these are."""
        if self.objects is not None:
            return "detection"
        if self.value is not None:
            return "regression"
        return "multilabel" if self.several or self.labels is not None else "classification"

    @staticmethod
    def of(
        ids: list[str],
        logits: Any,
        probabilities: Any,
        prediction: Any,
        confidence: Any,
        columns: dict[str, Any],
    ) -> Part:
        """Turn tensors, arrays and lists into one form.

        Raises:
            PredictionError: nothing is predicted, two things are, or a value is no number.
        """
        if logits is not None and probabilities is not None:
            raise PredictionError("Both logits and probabilities are given.", "give one of them.")
        if logits is None and probabilities is None and prediction is None:
            raise PredictionError(
                "Nothing is predicted.",
                "give logits=, probabilities= or prediction=; objects= for boxes, value= for a "
                "number, labels= for several labels.",
            )
        matrix = None
        if logits is not None:
            matrix = _matrix(logits, "logits", ids)
            _finite(matrix, "logits", ids)
            matrix = softmax(matrix)
        elif probabilities is not None:
            matrix = _matrix(probabilities, "probabilities", ids)
        return Part(
            ids=ids,
            prediction=None if prediction is None else _listed(prediction),
            confidence=None if confidence is None else _numbers(confidence, "confidence"),
            probabilities=matrix,
            columns=columns,
        )

    @staticmethod
    def of_numbers(ids: list[str], value: Any, columns: dict[str, Any]) -> Part:
        """The same for predictions of a number a sample."""
        if hasattr(value, "detach"):
            value = value.detach().cpu().double().numpy()
        try:
            numbers = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PredictionError(f"value holds something that is no number: {error}") from error
        if numbers.ndim == 2 and numbers.shape[1] == 1:
            numbers = numbers[:, 0]
        if numbers.ndim != 1:
            raise PredictionError(f"value has shape {numbers.shape}.", "give one number a sample.")
        return Part(ids, value=numbers, columns=columns)

    @staticmethod
    def of_sets(
        ids: list[str], logits: Any, probabilities: Any, labels: Any, columns: dict[str, Any]
    ) -> Part:
        """The same for predictions of any number of labels a sample.

        Raises:
            PredictionError: nothing is predicted, or two things are.
        """
        if logits is not None and probabilities is not None:
            raise PredictionError("Both logits and probabilities are given.", "give one of them.")
        matrix = None
        if logits is not None:
            matrix = _matrix(logits, "logits", ids).astype(np.float64)
            _finite(matrix, "logits", ids)
            matrix = (0.5 + 0.5 * np.tanh(matrix / 2)).astype(np.float32)  # the sigmoid
        elif probabilities is not None:
            matrix = _matrix(probabilities, "probabilities", ids)
        if matrix is None and labels is None:
            raise PredictionError("Nothing is predicted.", "give probabilities= or labels=.")
        sets = None if labels is None else _sets(labels)
        return Part(ids, probabilities=matrix, labels=sets, columns=columns, several=True)


class Checker:
    """Holds predictions against the samples and the classes.

    Args:
        ids: of all samples.
        labels: theirs; the classes, when none are declared.
        classes: declared class names.
    """

    def __init__(
        self, ids: pa.ChunkedArray, labels: pa.Array, classes: Sequence[str] | None
    ) -> None:
        self._ids = set(ids.to_pylist())
        self._seen: set[str] = set()
        self.declared = classes is not None
        self.classes = (
            list(classes)
            if classes is not None
            else sorted(label for label in labels.unique().to_pylist() if label is not None)
        )
        self.place = "log.add"
        if len(set(self.classes)) != len(self.classes):
            raise PredictionError("A class is declared twice.", "names of classes are unique.")

    def check(self, part: Part) -> Part:
        """Return the part with every value in its place, or raise.

        Raises:
            PredictionError: with the count, the place and examples.
        """
        self._check_ids(part.ids)
        for what, values in (("prediction", part.prediction), ("confidence", part.confidence)):
            if values is not None and len(values) != len(part.ids):
                raise PredictionError(
                    f"{len(part.ids)} ids, but {len(values)} values of {what} in {self.place}."
                )
        prediction = part.prediction
        if prediction is not None:
            known = set(self.classes)
            prediction = [self._class(v, i, part.ids, known) for i, v in enumerate(prediction)]
        if part.probabilities is not None:
            self._check_probabilities(part.probabilities, part.ids, part.several)
            if prediction is not None:
                self._check_agreement(prediction, part)
        elif part.confidence is not None:
            _unit(part.confidence, "confidence", part.ids)
        if part.objects is not None:
            self._check_length(part.objects, part.ids, "objects")
            boxes.check(part.objects, part.ids, self.classes, self.place)
        if part.value is not None:
            self._check_length(part.value, part.ids, "value")
            _finite(part.value[:, None], "values", part.ids)
        if part.labels is not None:
            self._check_length(part.labels, part.ids, "labels")
            self._check_sets(part.labels, part.ids)
        return replace(part, prediction=prediction)

    def _check_length(self, values: Any, ids: list[str], what: str) -> None:
        if len(values) != len(ids):
            raise PredictionError(
                f"{len(ids)} ids, but {len(values)} values of {what} in {self.place}."
            )

    def _check_sets(self, labels: pa.Array, ids: list[str]) -> None:
        flat = pc.list_flatten(labels)
        known = pc.is_in(flat, value_set=pa.array(self.classes, pa.string()))
        bad = np.flatnonzero(~np.asarray(known))
        if len(bad):
            row = int(pc.list_parent_indices(labels)[int(bad[0])].as_py())
            name = flat[int(bad[0])].as_py()
            raise PredictionError(
                f"Label {name!r} of sample '{ids[row]}' (row {row + 1} of {self.place}) is no "
                "class.",
                did_you_mean(str(name), self.classes, "classes") + " Declare others: classes=.",
            )

    def _prefix(self, unknown: list[str]) -> str:
        """Say which prefix would make samples of all of them, if one does."""
        ending = "/" + unknown[0]
        found = [known for known in self._ids if known.endswith(ending)]
        prefix = found[0][: -len(unknown[0])] if len(found) == 1 else None
        if prefix is None or any(prefix + name not in self._ids for name in unknown):
            return ""
        return f" prefix='{prefix}' (--prefix) makes samples of all of them."

    def _check_ids(self, ids: list[str]) -> None:
        if not ids:
            raise PredictionError(f"There are no rows in {self.place}.")
        wrong = next((i for i in ids if not isinstance(i, str)), None)
        if wrong is not None or None in ids:
            raise PredictionError(
                f"An id in {self.place} is {wrong!r}, a {type(wrong).__name__}.", "ids are text."
            )
        unknown = [i for i in ids if i not in self._ids]
        if unknown:
            raise PredictionError(
                f"{len(unknown):,} of {len(ids):,} ids in {self.place} are no samples here: "
                f"{_examples(unknown)}.",
                did_you_mean(unknown[0], sorted(self._ids)[:20_000], "samples")
                + self._prefix(unknown),
            )
        seen = dict.fromkeys(ids)
        if len(seen) != len(ids):
            first: dict[str, int] = {}
            for row, name in enumerate(ids):
                if name in first:
                    raise PredictionError(
                        f"Sample '{name}' comes twice in {self.place}: rows {first[name] + 1} and "
                        f"{row + 1}.",
                        "keep one prediction a sample.",
                    )
                first[name] = row
        again = next((i for i in ids if i in self._seen), None)
        if again is not None:
            raise PredictionError(
                f"Sample '{again}' was logged before in this run.",
                "keep one prediction a sample; a distributed sampler pads its last batch.",
            )
        self._seen.update(ids)

    def _class(self, value: Any, row: int, ids: list[str], known: set[str]) -> str | None:
        if value is None or value in known:
            return value  # type: ignore[no-any-return]
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            if self.declared and 0 <= value < len(self.classes):
                return self.classes[int(value)]
            raise PredictionError(
                f"Prediction {value} of sample '{ids[row]}' (row {row + 1} of {self.place}) is no "
                f"number of a class: there are {len(self.classes)} declared.",
                "numbers count from 0, in the order of classes=.",
            )
        if not self.classes:
            return str(value)
        raise PredictionError(
            f"Prediction {value!r} of sample '{ids[row]}' (row {row + 1} of {self.place}) is no "
            f"class.",
            did_you_mean(str(value), self.classes, "classes") + " Declare others with classes=.",
        )

    def _check_probabilities(self, matrix: np.ndarray, ids: list[str], several: bool) -> None:
        if not self.classes:
            raise PredictionError(
                "There are probabilities, and nobody said of which classes.", "give classes=."
            )
        if matrix.shape[1] != len(self.classes):
            which = "declared" if self.declared else "labels of the samples (none are declared)"
            raise PredictionError(
                f"{matrix.shape[1]} probabilities a row in {self.place}, for {len(self.classes)} "
                f"classes: {which}.",
                "give classes= in the order of the probabilities.",
            )
        _unit(matrix, "probability", ids)
        if several:
            return
        sums = matrix.sum(axis=1)
        off = np.flatnonzero(np.abs(sums - 1) > _SUM)
        if len(off):
            raise PredictionError(
                f"The probabilities of sample '{ids[off[0]]}' (row {off[0] + 1} of {self.place}) "
                f"sum to {sums[off[0]]:.3f}, not to 1{_others(off)}.",
                "pass logits= for values before the softmax.",
            )

    def _check_agreement(self, prediction: list[str | None], part: Part) -> None:
        assert part.probabilities is not None
        for row, (name, values) in enumerate(zip(prediction, part.probabilities)):
            if name is not None and values[self.classes.index(name)] < values.max() - 1e-6:
                best = self.classes[int(values.argmax())]
                raise PredictionError(
                    f"Sample '{part.ids[row]}' (row {row + 1} of {self.place}) is predicted "
                    f"'{name}', its probabilities say '{best}'.",
                    "check the order of classes=, or leave one of the two away.",
                )


def _sets(labels: Any) -> pa.Array:
    try:
        if isinstance(labels, pa.ChunkedArray):
            labels = labels.combine_chunks()
        rows = labels if isinstance(labels, pa.Array) else [list(row) for row in labels]
        kind = pa.list_(pa.string())
        return rows.cast(kind) if isinstance(rows, pa.Array) else pa.array(rows, kind)
    except (pa.ArrowException, TypeError) as error:
        raise PredictionError(f"labels cannot be read: {error}", "a list of names each.") from error


def _listed(values: Any) -> list[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _numbers(values: Any, what: str) -> np.ndarray:
    if hasattr(values, "detach"):
        values = values.detach().cpu().float().numpy()
    try:
        return np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise PredictionError(f"{what} holds something that is no number: {error}") from error


def _matrix(values: Any, what: str, ids: list[str]) -> np.ndarray:
    matrix = _numbers(values, what)
    if matrix.ndim != 2 or len(matrix) != len(ids):
        raise PredictionError(
            f"{what} have shape {matrix.shape} for {len(ids)} ids.",
            f"give one row a sample: ({len(ids)}, number of classes).",
        )
    return matrix


def _finite(matrix: np.ndarray, what: str, ids: list[str]) -> None:
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise PredictionError(
            f"The {what} of {len(bad):,} samples are not finite numbers, the first is "
            f"'{ids[bad[0]]}' (row {bad[0] + 1}).",
            "leave those rows out.",
        )


def _unit(values: np.ndarray, what: str, ids: list[str]) -> None:
    """Refuse NaN and what lies outside [0, 1]."""
    flat = values.reshape(len(ids), -1)
    wrong = ~((flat >= 0) & (flat <= 1 + 1e-4))
    bad = np.flatnonzero(wrong.any(axis=1))
    if len(bad):
        value = flat[bad[0]][wrong[bad[0]]][0]
        raise PredictionError(
            f"A {what} of sample '{ids[bad[0]]}' (row {bad[0] + 1}) is {value:.4g}{_others(bad)}.",
            "probabilities lie in [0, 1]; pass logits= for values before the softmax.",
        )


def _others(rows: np.ndarray) -> str:
    """Say how many rows share a fault with the first of them."""
    n = len(rows) - 1
    return f", and {n:,} more row{'s' * (n != 1)} are wrong" if n else ""


def _examples(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_SHOWN])
    return shown + (", ..." if len(names) > _SHOWN else "")
