"""Read the labels of tables: what counts as missing, numbers as classes, several in one row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import IngestError
from slicedb.show.numbers import count, verb

MISSING = (
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)
"""Texts that mean that there is no value: those of `pandas.read_csv`."""
_MARKS = (";", "|", ",")
"""What stands between several labels of a row, tried in this order."""


def one_label(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, list[str]]:
    """Return the labels of rows as text, null where one is missing, and notes.

    A column of whole numbers that something wrote with decimals (pandas does where one is missing)
    is one of whole numbers: 1.0 is the class 1.

    Args:
        column: of any plain type.
    """
    coded = _coded(column)
    distinct, codes = coded.dictionary, coded.indices
    texts = _texts(distinct)
    rows = np.bincount(codes.drop_null().to_numpy(), minlength=len(distinct))
    is_missing = np.asarray(texts.is_null())
    notes = []
    if n := int(rows[is_missing].sum()):
        words = distinct.filter(pa.array(is_missing)).cast(pa.string()).to_pylist()
        notes.append(
            f"{count(n, 'label means', 'labels mean')} that there is none "
            f"({', '.join(repr(word) for word in words[:4])}) and {verb(n, 'is', 'are')} NULL. "
            "To see them: label IS NULL"
        )
    whole = pc.match_substring_regex(texts, r"^[+-]?\d+(\.0+)?$")
    with_point = pc.fill_null(pc.match_substring_regex(texts, r"\.0+$"), False)
    n = int(rows[np.asarray(with_point)].sum())
    if n and pc.all(whole).as_py():
        texts = pc.replace_substring_regex(texts, r"\.0+$", "")
        notes.append(
            f"{count(n, 'label is a whole number', 'labels are whole numbers')} with decimals and "
            f"{verb(n, 'loses', 'lose')} them: 1.0 is class 1."
        )
    return pa.chunked_array([texts.take(codes)]), notes


def _coded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return plain values as numbers of distinct ones, in the order in which they come first."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.string())
    coded = column.dictionary_encode()
    return coded.combine_chunks() if coded.num_chunks else pa.array([], coded.type)


def _texts(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return values as text without blanks at the ends; what means nothing becomes null."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        # so that 1.0 stays recognisable whatever the cast makes of it
        column = pa.array([None if v is None else repr(v) for v in column.to_pylist()], pa.string())
    texts = pc.utf8_trim_whitespace(column.cast(pa.string()))
    return pc.if_else(pc.is_in(texts, pa.array(MISSING)), pa.scalar(None, pa.string()), texts)


def several_labels(
    column: pa.ChunkedArray, mark: str | None = None
) -> tuple[pa.ChunkedArray, list[str]]:
    """Return lists of labels of texts such as "Cardiomegaly|Emphysema", and notes.

    Args:
        column: texts, a JSON list or words with a mark between; a list is returned as it is.
        mark: stands between the labels; by default the first of ; | and , that the column has.
    """
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        return column.cast(pa.list_(pa.string())), []
    texts = _texts(column)
    if mark is None:
        has = (m for m in _MARKS if pc.any(pc.match_substring(texts, m)).as_py())
        mark = next(has, None)
    lists = [None if text is None else _split(text, mark) for text in texts.to_pylist()]
    notes = [] if mark is None else [f"Labels are split at '{mark}'."]
    return pa.chunked_array([pa.array(lists, pa.list_(pa.string()))]), notes


def _split(text: str, mark: str | None) -> list[str]:
    if text.startswith("[") and text.endswith("]"):
        text, mark = text[1:-1], ","  # JSON, or as Python prints a list
    words = [text] if mark is None else text.split(mark)
    stripped = (word.strip().strip("\"'") for word in words)
    return list(dict.fromkeys(word for word in stripped if word))


def marked_labels(
    columns: dict[str, pa.ChunkedArray],
) -> tuple[pa.ChunkedArray, bool, list[str]]:
    """Return the labels of columns with a 1 where their label applies, and notes.

    Args:
        columns: label to a column of 0 and 1, or truths.

    Returns:
        The labels of each row; whether every row has exactly one, which are then text and not
        lists; notes.

    Raises:
        IngestError: a column holds something else.
    """
    names = list(columns)
    marks, odd = [], 0
    for name, column in columns.items():
        try:
            values = column.cast(pa.float64())
        except pa.ArrowException as error:
            raise IngestError(
                f"Column '{name}' is {column.type}, where a column of labels has 0 and 1.",
                "labels_column (--labels-column) names one column of texts, or several of 0 and 1.",
            ) from error
        is_set = pc.fill_null(pc.equal(values, 1), False)
        fits = pc.fill_null(pc.or_(is_set, pc.equal(values, 0)), False)
        odd += len(fits) - (pc.sum(fits).as_py() or 0)
        marks.append(is_set.to_pylist())
    rows = [[name for name, is_set in zip(names, row) if is_set] for row in zip(*marks)]
    notes = []
    if odd:
        notes.append(
            f"{count(odd, 'value')} of columns of labels {verb(odd, 'is', 'are')} neither 0 nor 1: "
            "taken for 0."
        )
    if all(len(row) == 1 for row in rows):
        notes.append(f"Each row has one label of {count(len(names), 'column')}: it is in `label`.")
        return pa.chunked_array([pa.array([row[0] for row in rows], pa.string())]), True, notes
    return pa.chunked_array([pa.array(rows, pa.list_(pa.string()))]), False, notes


def names_of(given: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the names of columns that were asked for; one text may name several.

    >>> names_of(["a,b"], ["a", "b"]), names_of(["a,b"], ["a,b"])
    (['a', 'b'], ['a,b'])
    """
    names: list[str] = []
    for text in given:
        names += [text] if text in known else [part.strip() for part in text.split(",")]
    return names
