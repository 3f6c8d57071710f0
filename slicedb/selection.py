"""Resolve what a verb works on: names of slices, query texts, queries, slices and keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from slicedb import progress, schema, sql
from slicedb.errors import OptionError
from slicedb.keys import Keys, distinct
from slicedb.query import Query
from slicedb.slices import Slice, Slices
from slicedb.store import Store

On: TypeAlias = str | Query | Slice | np.ndarray | None
"""What a verb works on: the name of a slice, a query text, a Query, a Slice, int64 keys, or None
for every sample that is ok."""

Single: TypeAlias = str | Slice | Query
"""One slice that a model is judged on: its name, a query text, a Slice or a Query."""

Several: TypeAlias = Single | Sequence[Single] | None
"""Slices, or one of them; None is every registered slice."""


_STRING = r"'(?:[^']|'')*'"
_BY_ID = re.compile(
    rf"\s*id\s*(?:=\s*{_STRING}|IN\s*\(\s*{_STRING}(?:\s*,\s*{_STRING})*\s*\))\s*", re.I
)
_MOST_IDS = 1000
"""Ids in a text up to which they are looked up."""


class Selection:
    """Finds the samples that an argument names.

    Args:
        store: the database.
        slices: its registered slices.
        ask: gives the query of a text.
    """

    def __init__(self, store: Store, slices: Slices, ask: Callable[[str], Query]) -> None:
        self._store = store
        self._slices = slices
        self._ask = ask

    def keys(self, on: On = None) -> Keys:
        """Return the int64 keys of what `on` names, in its order."""
        if isinstance(on, np.ndarray):
            return on
        named = self._named(on)
        keys = named.keys()
        if not len(keys) and isinstance(named, Query):
            for sentence in named.absent():
                progress.note(sentence)
        return keys

    def ids(self, on: On) -> list[str]:
        """Return the ids of what `on` names, in its order."""
        if isinstance(on, str) and (named := named_ids(on)) and on not in self._slices:
            return self._by_id(named)
        if not isinstance(on, np.ndarray):
            return self._named(on).ids()
        ids: list[str] = self._store.take(schema.SAMPLES, on, ["id"])["id"].to_pylist()
        return ids

    def _by_id(self, named: Sequence[str]) -> list[str]:
        """Return those ids that queries show, in stored order, without loading any column.

        An edit of a named sample then costs a look-up, where a query would read the keys of all
        samples anew after every edit.
        """
        where = f"{sql.is_in('id', named)} AND ({schema.IS_SHOWN})"
        ids: list[str] = self._store.table(schema.SAMPLES, ["id"], where=where)["id"].to_pylist()
        return ids

    def _named(self, on: object) -> Query | Slice:
        if isinstance(on, str) and on in self._slices:
            return self._slices.get(on)
        if on is None or isinstance(on, str):
            return self._ask(on or "")
        if isinstance(on, Query):
            return on.exact()
        if not isinstance(on, Slice):
            raise OptionError(
                f"A {type(on).__name__} names no samples.",
                "give the name of a slice, a query text such as \"id IN ('a.jpg', 'b.jpg')\", a "
                "Query, a Slice, or int64 keys.",
            )
        return on

    def union(self, on: On | Iterable[On]) -> Keys:
        """Return the distinct keys of what `on` names, or of all its parts, ascending."""
        if isinstance(on, (list, tuple, set)):
            parts = [self.keys(part) for part in on]
            return distinct(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        return distinct(self.keys(on))  # type: ignore[arg-type]

    def members(self, slices: Several) -> dict[str, Keys]:
        """Return slice -> keys; every registered slice after "all" where none is named."""
        if slices is None:
            names = [s.name for s in self._slices.list()]
            return {"all": self.keys(), **{name: self.keys(name) for name in names}}
        return {title(part): self.keys(part) for part in listed(slices)}

    def predicates(self, slices: Several) -> dict[str, str]:
        """Return slice -> a predicate of its members, for the slices that are named."""
        if slices is None:
            return {"all": ""}
        return {title(part): self._predicate(part) for part in listed(slices)}

    def _predicate(self, part: Single) -> str:
        if isinstance(part, Slice) or (isinstance(part, str) and part in self._slices):
            return f"in_slice({sql.string(title(part))})"
        text = (self._ask(part) if isinstance(part, str) else part).predicate()
        # A lone condition comes in parentheses, against a comment at its end; without one it is
        # given as it was written.
        plain = text.startswith("(") and text.endswith("\n)") and "--" not in text
        return text[1:-2] if plain else text

    def scope(self, on: On) -> str:
        """Return the query text of what `on` names; "" for keys and for every sample."""
        if isinstance(on, Slice) or (isinstance(on, str) and on in self._slices):
            return f"in_slice({sql.string(title(on))})"
        return on if isinstance(on, str) else on.text if isinstance(on, Query) else ""

    def registered(self, slices: Several) -> list[Slice]:
        """Return the registered slices among those named; all of them where none is named."""
        if slices is None:
            return self._slices.list()
        return [
            self._slices.get(part) if isinstance(part, str) else part
            for part in listed(slices)
            if isinstance(part, Slice) or (isinstance(part, str) and part in self._slices)
        ]

    def registered_one(self, on: On) -> list[Slice]:
        """Return the registered slice that `on` names, none where it names anything else."""
        return self.registered([on]) if isinstance(on, (str, Slice)) else []


def named_ids(text: str) -> list[str]:
    """Return the ids of a text that does nothing but name them; none of any other text.

    >>> named_ids("id = 'a''b'"), named_ids("id IN ('a', 'b')"), named_ids("id = 'a' OR true")
    (["a'b"], ['a', 'b'], [])
    """
    if not _BY_ID.fullmatch(text):
        return []
    ids = [quoted[1:-1].replace("''", "'") for quoted in re.findall(_STRING, text)]
    return ids if len(ids) <= _MOST_IDS else []


def listed(slices: Single | Sequence[Single]) -> Sequence[Single]:
    """Return one slice or several as several."""
    return [slices] if isinstance(slices, (str, Slice, Query)) else slices


def title(part: Single) -> str:
    """Return what a slice is called in a table: its name, or the text of its query."""
    if isinstance(part, Slice):
        return part.name
    return part if isinstance(part, str) else part.text
