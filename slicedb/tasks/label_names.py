"""Other names for labels: a mapping, or the class names that numbers stand for."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import ClassesError
from slicedb.show import numbers

Given: TypeAlias = "Mapping[str, str] | Sequence[str] | str | os.PathLike[str]"
"""A mapping of labels, class names in their order, `old=new` texts, or a file of any of these."""

_NUMBERED = re.compile(r"(?:.*\D)?0*(\d+)")
_SHOWN = 3


class LabelNames:
    """Gives labels other names, and counts what it could not name.

    Args:
        given: a mapping from label to name; or class names in the order of their numbers, which
            `0`, `00`, `class_00` and `c-0` count from 0; or texts `old=new`; or a file: JSON, a
            line `old=new` (or `old,new`) each, or a class name each.

    Raises:
        ClassesError: nothing is named, a label is named twice, or the file cannot be read.

    >>> names = LabelNames(["Bread", "Dairy"])
    >>> [names.name(label) for label in ("class_00", "1", "Dairy", "7")]
    ['Bread', 'Dairy', 'Dairy', '7']
    >>> LabelNames(["cat=Cat"]).name("cat")
    'Cat'
    """

    def __init__(self, given: Given) -> None:
        self._mapping, self._classes = _parsed(given)
        self._unnamed: Counter[str] = Counter()
        self._seen: set[str] = set()

    def name(self, label: str) -> str:
        """Return the name of a label, itself where it has none."""
        if self._classes:
            if label in self._classes:
                return label
            match = _NUMBERED.fullmatch(label)
            at = int(match[1]) if match and len(match[1]) < 9 else len(self._classes)
            return self._classes[at] if at < len(self._classes) else label
        return self._mapping.get(label, label)

    def knows(self, label: str) -> bool:
        """Return whether a label is named, or is a name itself."""
        known = self._classes or tuple(self._mapping.values())
        return self.name(label) in known or label in self._mapping

    def rename(self, column: pa.Array) -> pa.Array:
        """Return a column of labels under their names."""
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        encoded = column.cast(pa.string()).dictionary_encode()
        counts = np.bincount(
            pc.fill_null(encoded.indices, len(encoded.dictionary)).to_numpy(),
            minlength=len(encoded.dictionary) + 1,
        )
        labels = encoded.dictionary.to_pylist()
        for label, count in zip(labels, counts.tolist()):
            self._seen.add(label)
            if not self.knows(label):
                self._unnamed[label] += count
        names = pa.array([self.name(label) for label in labels], pa.string())
        return names.take(encoded.indices)

    def rename_batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return a batch with `label`, `labels` and the labels of `objects` under their names."""
        for name in ("label", "labels", "objects"):
            at = batch.schema.get_field_index(name)
            if at < 0 or pa.types.is_null(batch.schema.field(at).type):
                continue
            column = batch.column(at)
            if name == "label":
                column = self.rename(column)
            elif name == "labels":
                column = _relisted(column, self.rename(pc.list_flatten(column)))
            else:
                column = _relisted(column, self._objects(pc.list_flatten(column)))
            field = batch.schema.field(at).with_type(column.type)
            batch = batch.set_column(at, field, column)
        return batch

    def _objects(self, boxes: pa.StructArray) -> pa.StructArray:
        fields = list(boxes.type)
        parts = [
            self.rename(pc.struct_field(boxes, field.name))
            if field.name == "label"
            else pc.struct_field(boxes, field.name)
            for field in fields
        ]
        return pa.StructArray.from_arrays(parts, fields=fields)

    def notes(self) -> list[str]:
        """Return what was not named, one sentence each."""
        notes = []
        if self._unnamed:
            first = ", ".join(repr(label) for label, _ in self._unnamed.most_common(_SHOWN))
            notes.append(
                f"{numbers.count(sum(self._unnamed.values()), 'label has', 'labels have')} no "
                f"name and stay as they are: {first}"
                f"{', ...' if len(self._unnamed) > _SHOWN else ''}."
            )
        idle = [label for label in self._mapping if label not in self._seen]
        if idle:
            shown = ", ".join(map(repr, idle[:_SHOWN]))
            more = ", ..." if len(idle) > _SHOWN else ""
            notes.append(f"Nothing has the label {shown}{more}, which a name was given for.")
        return notes


def _relisted(column: pa.Array, flat: pa.Array) -> pa.Array:
    """Return lists of other elements, as long as those of a column."""
    sizes = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), pa.int32())
    mask = column.is_null() if column.null_count else None
    return pa.ListArray.from_arrays(offsets, flat, mask=mask)


def _parsed(given: Given) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return a mapping, or else class names."""
    if isinstance(given, Mapping):
        return _checked({str(k): str(v) for k, v in given.items()}), ()
    if isinstance(given, (str, os.PathLike)):
        given = [os.fspath(given)]
    items = [str(item) for item in given]
    if len(items) == 1 and "=" not in items[0]:
        return _parsed(_read(items[0]))
    if items and all("=" in item for item in items):
        pairs = [item.partition("=") for item in items]
        twice = [k for k, n in Counter(k.strip() for k, _, _ in pairs).items() if n > 1]
        if twice:
            raise ClassesError(f"The label '{twice[0]}' is named twice.", "name it once.")
        return _checked({k.strip(): v.strip() for k, _, v in pairs}), ()
    mixed = next((item for item in items if "=" in item), None)
    if mixed is not None:
        raise ClassesError(
            f"'{mixed}' is among class names.", "give old=new for each, or names alone."
        )
    twice = [name for name, n in Counter(items).items() if n > 1]
    if twice or not items:
        fact = f"The class name '{twice[0]}' comes twice." if twice else "No labels are named."
        raise ClassesError(fact, "give the names in the order of their numbers, each once.")
    return {}, tuple(items)


def _checked(mapping: dict[str, str]) -> dict[str, str]:
    if not mapping or not all(mapping.values()):
        raise ClassesError("No labels are named, or one by nothing.", "write old=new.")
    return mapping


def _read(path: str) -> Mapping[str, str] | list[str]:
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise ClassesError(
            f"The labels in '{path}' cannot be read: {error}.",
            "name a file, or give old=new.",
        ) from None
    if file.suffix.lower() == ".json":
        try:
            held = json.loads(text)
        except ValueError as error:
            raise ClassesError(f"'{path}' is not JSON: {error}.") from None
        if isinstance(held, dict):
            return {str(k): str(v) for k, v in held.items()}
        return _several([str(item) for item in held] if isinstance(held, list) else [], path)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for sign in ("=", "\t", ","):
        if lines and all(line.count(sign) == 1 for line in lines):
            return _several([line.replace(sign, "=", 1) for line in lines], path)
    return _several(lines, path)


def _several(lines: list[str], path: str) -> Mapping[str, str] | list[str]:
    if len(lines) > 1:
        return lines
    if lines and "=" in lines[0]:
        old, _, new = lines[0].partition("=")
        return {old.strip(): new.strip()}
    raise ClassesError(
        f"'{path}' names {numbers.count(len(lines), 'label')}.",
        "one class name a line, or old=new.",
    )
