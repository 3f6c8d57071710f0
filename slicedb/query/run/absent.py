"""Notice values that a text asks for and no sample has, such as a misspelt split or label."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import did_you_mean
from slicedb.query.language.tree import Node, nodes
from slicedb.schema import PLUMBING, SAMPLES

if TYPE_CHECKING:
    from slicedb.query.query import Query

_MOST = 1000
"""Different values of a column from which on it names samples rather than groups of them."""
_APART = PLUMBING | {"id", "caption", "error", "mask_uri"}
"""Columns whose values nobody means to choose from."""


def absent(query: Query) -> list[str]:
    """Return a sentence for each value that a text compares a column with and no sample has."""
    store = query.session.store
    schema = store.schema(SAMPLES)
    said = []
    for column, value in dict.fromkeys(_compared(query.plan().bound.tree)):
        if column not in schema.names or column in _APART:
            continue
        if not pa.types.is_string(schema.field(column).type):
            continue
        values = store.table(SAMPLES, [column])[column].unique().drop_null().to_pylist()
        if value not in values and len(values) <= _MOST:
            hint = did_you_mean(value, sorted(values), f"values of {column}")
            said.append(f"No sample has {column} '{value}'; {hint}")
    return said


def _compared(tree: Node) -> Iterator[tuple[str, str]]:
    """Yield the columns and the texts that a tree compares for equality."""
    for node in nodes(tree):
        if node.kind == "COMPARISON" and node.type == "COMPARE_EQUAL":
            sides = [node.left, node.right]
        elif node.kind == "OPERATOR" and node.type == "COMPARE_IN":
            sides = node.children
        else:
            continue
        columns = [side.names[-1] for side in sides if _is_column(side)]
        texts = [side.value for side in sides if side.constant == "STRING"]
        if len(columns) == 1:
            yield from ((columns[0], text) for text in texts)


def _is_column(node: Node) -> bool:
    """Return whether a node is a column of samples: one name, or behind `samples`."""
    if node.kind != "COLUMN_REF":
        return False
    names = node.names
    return len(names) == 1 or (len(names) == 2 and names[0].lower() == SAMPLES)
