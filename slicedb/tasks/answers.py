"""Find the class that each value of a column means, whatever type the column has.

People's answers come as 0 and 1, as true and false, as 1.0, as 'Yes': each stands for the class
that is written the same way, or that is the same number or the same truth value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import ClassesError, did_you_mean
from slicedb.metrics.outcomes import Ints
from slicedb.tasks.arrays import ArrowColumn, one_array

_TRUE = frozenset("true t yes y 1 1.0".split())
_FALSE = frozenset("false f no n 0 0.0".split())


def answer_codes(
    column: ArrowColumn, classes: Sequence[str], place: str, *, positive: str | None = None
) -> Ints:
    """Return int64 (n,): the place among the classes of each answer, -1 where there is none.

    A value means the class that it spells; else the class that is the same number ('1' for 1.0);
    else the class that is the same truth value ('yes' for true). With `positive`, a column of
    truth values that spell no class says whether the sample is of that class: the answer is then
    the place of `positive`, or `len(classes)`, which stands for "another class".

    Args:
        column: the answers, of any plain type; null and NaN are no answer.
        classes: their names.
        place: what errors call the column.
        positive: the class that truth values are about.

    Raises:
        ClassesError: a value means no class, or two of them.

    >>> answer_codes(pa.array([True, False, None]), ["0", "1"], "column 'nurse'").tolist()
    [1, 0, -1]
    >>> answer_codes(pa.array([1.0, 0.0]), ["bad", "good"], "c", positive="bad").tolist()
    [0, 2]
    """
    encoded = _encoded(column, place)
    values = encoded.dictionary.to_pylist()
    meant = [_class_of(value, classes) for value in values]
    if positive is not None and all(one is None for one in meant):
        meant = [_truth_code(value, classes.index(positive), len(classes)) for value in values]
    unknown = next((v for v, one in zip(values, meant) if one is None), None)
    if unknown is not None:
        raise ClassesError(
            f"'{_text(unknown)}' in {place} is no class.",
            did_you_mean(_text(unknown), classes, "classes"),
        )
    codes = np.array([*(-1 if one is None else one for one in meant), -1], np.int64)
    return np.asarray(codes[pc.fill_null(encoded.indices, len(values)).to_numpy()])


def answer_names(column: ArrowColumn, classes: Sequence[str], place: str) -> pa.Array:
    """Return the class name that each answer means, as `answer_codes` finds it; null without one.

    An answer that means none of the classes keeps its own text: it is another class.

    Args:
        column: the answers, of any plain type; null and NaN are no answer.
        classes: their names.
        place: what errors call the column.

    Raises:
        ClassesError: no value means a class.

    >>> answer_names(pa.array([1.0, 0.0, None, 7.0]), ["0", "1"], "c").to_pylist()
    ['1', '0', None, '7']
    """
    encoded = _encoded(column, place)
    values = encoded.dictionary.to_pylist()
    meant = [_class_of(value, classes) for value in values]
    if values and classes and all(one is None for one in meant):
        shown = _text(values[0])
        raise ClassesError(
            f"'{shown}' in {place} is no class, and neither is any other value there.",
            did_you_mean(shown, classes, "classes"),
        )
    names = [_text(v) if one is None else classes[one] for v, one in zip(values, meant)]
    return pa.array(names, pa.string()).take(encoded.indices)


def texts_of(values: Sequence[object]) -> list[str]:
    """Return values as text: whole numbers without a point, truth values in lower case."""
    return [_text(value) for value in values]


def number_text(column: pa.Array) -> pa.Array:
    """Return values of any plain type as text: whole numbers without a point, as a CSV has them.

    >>> number_text(pa.array([1.0, 2.5, None])).to_pylist()
    ['1', '2.5', None]
    """
    if pa.types.is_nested(column.type):
        # what they are is for whoever looks the names up to say
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
    encoded = column.dictionary_encode()
    values = encoded.dictionary.to_pylist()
    missing = [isinstance(value, float) and math.isnan(value) for value in values]
    texts = [None if gone else _text(value) for value, gone in zip(values, missing, strict=True)]
    return pa.array(texts, pa.string()).take(encoded.indices)


def _encoded(column: ArrowColumn, place: str) -> pa.DictionaryArray:
    """Return one plain answer per sample, as codes into the distinct ones; NaN is none."""
    array = one_array(column)
    if pa.types.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pa.types.is_nested(array.type) or pa.types.is_binary(array.type):
        raise ClassesError(
            f"{place} is {array.type}, not one answer per sample.",
            "name a column of class names, numbers or true and false.",
        )
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    return array.dictionary_encode()


def _class_of(value: object, classes: Sequence[str]) -> int | None:
    text = _text(value)
    if text in classes:
        return list(classes).index(text)
    for same in (_number, _truth):
        key = same(value)
        if key is None:
            continue
        matches = [i for i, name in enumerate(classes) if same(name) == key]
        if matches:
            return matches[0] if len(matches) == 1 else None
    return None


def _truth_code(value: object, positive: int, other: int) -> int | None:
    truth = _truth(value)
    return None if truth is None else positive if truth else other


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return float(value)
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _truth(value: object) -> bool | None:
    word = _text(value).casefold()
    return True if word in _TRUE else False if word in _FALSE else None
