"""Merge what the other database says of columns: expressions that give them, and full text."""

from __future__ import annotations

import json
from dataclasses import dataclass

from slicedb.errors import DatabaseError
from slicedb.merge.pair import Pair
from slicedb.schema import COMPUTED, SAMPLES, SEARCHED, searchable
from slicedb.slices.model_names import with_model
from slicedb.store import Store


@dataclass(frozen=True)
class ColumnsTold:
    """What the other says of columns, and ours does not."""

    computed: dict[str, str]
    """Expressions by column."""
    searched: tuple[str, ...]
    """Columns that full text reads."""

    def __bool__(self) -> bool:
        return bool(self.computed or self.searched)


def compare_columns(pair: Pair) -> ColumnsTold:
    """Return what the other says of columns, and ours does not.

    Raises:
        DatabaseError: a column is given by another expression here, or by none.
    """
    mine, yours = computed_of(pair.ours), computed_of(pair.theirs)
    stored = pair.ours.schema(SAMPLES).names
    new = {}
    for name, text in yours.items():
        for old, named in pair.names.items():
            text = with_model(text, old, named)
        if name in mine and mine[name] != text:
            raise DatabaseError(
                f"The column '{name}' is {mine[name]} here and {text} in the other database.",
                f"drop one (`slicedb column drop {name}`); nothing was written.",
            )
        if name in mine:
            continue
        if name in stored:  # its values would be overwritten
            raise DatabaseError(
                f"The column '{name}' is computed in the other database ({text}), and has values "
                "of its own here.",
                "give one of the two another name; nothing was written.",
            )
        new[name] = text
    marks = [searchable(store.metadata(SAMPLES))[1:] for store in (pair.ours, pair.theirs)]
    return ColumnsTold(new, tuple(name for name in marks[1] if name not in marks[0]))


def write_computed(pair: Pair, told: ColumnsTold) -> None:
    """Write the expressions, before the columns: a column without one is not computed again."""
    if told.computed:
        pair.ours.change_metadata(
            SAMPLES, COMPUTED, lambda text: json.dumps(json.loads(text or "{}") | told.computed)
        )


def write_searched(pair: Pair, told: ColumnsTold) -> None:
    """Let full text read what it reads in the other."""
    if told.searched:
        pair.ours.change_metadata(
            SAMPLES,
            SEARCHED,
            lambda text: json.dumps(
                list(dict.fromkeys(json.loads(text or "[]") + [*told.searched]))
            ),
        )


def computed_of(store: Store) -> dict[str, str]:
    """Return the expressions that give columns, by column."""
    texts: dict[str, str] = json.loads(store.metadata(SAMPLES).get(COMPUTED) or "{}")
    return {name: text for name, text in texts.items() if name in store.schema(SAMPLES).names}
