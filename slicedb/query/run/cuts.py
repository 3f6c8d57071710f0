"""Conditions that scores alone decide: `similarity(...) > 0.2`, `NOT matches(...)`, AND and OR.

They are worked out on the columns of scores, in single precision and with SQL's three values, as
DuckDB would; what is not of this form stays with DuckDB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from slicedb.query.bound.bound import Bound, Score
from slicedb.query.language.tree import Node

Mask: TypeAlias = np.ndarray

_COMPARE = {
    "COMPARE_GREATERTHAN": np.greater,
    "COMPARE_GREATERTHANOREQUALTO": np.greater_equal,
    "COMPARE_LESSTHAN": np.less,
    "COMPARE_LESSTHANOREQUALTO": np.less_equal,
}
_WORDS: dict[str, Literal["and", "or", "not"]] = {
    "CONJUNCTION_AND": "and",
    "CONJUNCTION_OR": "or",
    "OPERATOR_NOT": "not",
}
_PLAIN = re.compile(r"(\d*)\.?(\d*)")
_EXACT = 2**24  # whole numbers up to here are float32
_SCALE = 10  # powers of ten up to here are float32


@dataclass(frozen=True)
class Cut:
    """A score against a number or another score."""

    compare: str
    """DuckDB's name of the comparison."""
    left: Score | float
    right: Score | float


@dataclass(frozen=True)
class Logic:
    """Conditions joined."""

    word: Literal["and", "or", "not"]
    parts: tuple[Condition, ...]


Condition: TypeAlias = Cut | Logic


def condition(node: Node, bound: Bound) -> Condition | None:
    """Return a part of WHERE as a condition on scores, or None where it is more than that."""
    kind = node.kind
    if kind in ("CONJUNCTION", "OPERATOR") and node.type in _WORDS:
        parts = [condition(child, bound) for child in node.children]
        known = tuple(part for part in parts if part is not None)
        return Logic(_WORDS[node.type], known) if len(known) == len(parts) else None
    if kind == "COMPARISON":
        return _cut(node.type, node.left, node.right, bound)
    if kind == "BETWEEN":
        low = _cut("COMPARE_GREATERTHANOREQUALTO", node.input, node.lower, bound)
        high = _cut("COMPARE_LESSTHANOREQUALTO", node.input, node.upper, bound)
        return Logic("and", (low, high)) if low and high else None
    if kind == "FUNCTION" and node.at in bound.least:
        place = node.start
        return Cut("COMPARE_GREATERTHANOREQUALTO", bound.meanings[place], bound.least[place])
    return None


def scores_of(node: Condition) -> Iterator[Score]:
    """Yield the scores a condition depends on."""
    if isinstance(node, Logic):
        for part in node.parts:
            yield from scores_of(part)
        return
    for side in (node.left, node.right):
        if not isinstance(side, float):
            yield side


def holds(node: Condition, values: Mapping[Score, np.ndarray]) -> Mask:
    """Return bool (n,): where a condition is true.

    Args:
        node: the condition.
        values: score to float32 (n,), NaN for null.
    """
    return _truth(node, values)[0]


def _truth(node: Condition, values: Mapping[Score, np.ndarray]) -> tuple[Mask, Mask]:
    """Return where a condition is true and where it is false; it is null elsewhere."""
    if isinstance(node, Logic):
        each = [_truth(part, values) for part in node.parts]
        trues, falses = [t for t, _ in each], [f for _, f in each]
        if node.word == "not":
            return falses[0], trues[0]
        if node.word == "and":
            return np.logical_and.reduce(trues), np.logical_or.reduce(falses)
        return np.logical_or.reduce(trues), np.logical_and.reduce(falses)
    left, right = (
        np.float32(side) if isinstance(side, float) else values[side]
        for side in (node.left, node.right)
    )
    with np.errstate(invalid="ignore"):
        true: Mask = _COMPARE[node.compare](left, right)
    return true, ~true & ~np.isnan(left) & ~np.isnan(right)


def _cut(compare: str, left: Node, right: Node, bound: Bound) -> Cut | None:
    one, other = _side(left, bound), _side(right, bound)
    if compare not in _COMPARE or one is None or other is None:
        return None
    return None if isinstance(one, float) and isinstance(other, float) else Cut(compare, one, other)


def _side(node: Node, bound: Bound) -> Score | float | None:
    if node.kind == "CONSTANT":
        return _number(node)
    if node.kind != "FUNCTION" or node.at is None:
        return None
    if node.name == "-" and len(node.values) == 1:
        number = _number(node.values[0])
        return None if number is None else -number
    return None if node.at in bound.least else bound.meanings.get(node.at)


def _number(node: Node) -> float | None:
    """Return a number as DuckDB casts it to FLOAT, or None where that may round otherwise."""
    plain = _PLAIN.fullmatch(node.value) if node.is_number else None
    if plain is None or not any(plain.groups()) or len(plain[2]) > _SCALE:
        return None
    digits = int(plain[1] + plain[2])
    if digits > _EXACT:
        return None
    return float(np.float32(digits) / np.float32(10 ** len(plain[2])))
