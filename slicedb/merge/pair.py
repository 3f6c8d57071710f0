"""Two databases that become one: ours, which is written, and the other, which is only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.errors import DatabaseError, OptionError, did_you_mean
from slicedb.schema import keys_of
from slicedb.store import Store

Side: TypeAlias = Literal["ours", "theirs"]
Names: TypeAlias = "Mapping[str, str] | Sequence[str]"
"""Other names by name, or texts `old=new`."""

_SHOWN = 3


@dataclass(frozen=True)
class Pair:
    """Two databases, and what was said of how they are to be merged."""

    ours: Store
    theirs: Store
    side: Side | None = None
    """Whose value holds where the two differ; None refuses."""
    prefix: str = ""
    """What is put before every id of the other, with a slash."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Names that models, embeddings and slices of the other get here."""

    def named(self, name: str) -> str:
        """Return what a model, an embedding or a slice of the other is called here."""
        return self.names.get(name, name)

    def sample(self, name: str) -> str:
        """Return what the sample of an id of the other is called here."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def keyed(self, rows: pa.Table) -> pa.Table:
        """Return rows of the other with the ids and keys that their samples have here."""
        if not self.prefix:
            return rows
        ids = pc.binary_join_element_wise(self.prefix, rows["id"], "/")
        at = rows.column_names.index
        rows = rows.set_column(at("id"), rows.schema.field("id"), ids)
        if "key" not in rows.column_names:
            return rows
        return rows.set_column(at("key"), rows.schema.field("key"), pa.array(keys_of(ids)))


def names_of(rename: Names) -> dict[str, str]:
    """Return the new names by the old ones.

    Raises:
        OptionError: a text is no `old=new`.

    >>> names_of(["v3=v3_of_week_2"])
    {'v3': 'v3_of_week_2'}
    """
    if isinstance(rename, Mapping):
        return dict(rename)
    names = {}
    for text in [rename] if isinstance(rename, str) else rename:
        old, sign, new = text.partition("=")
        if not (old and sign and new):
            raise OptionError(f"'{text}' is no OLD=NEW.", "such as v3=v3_of_week_2.")
        names[old] = new
    return names


def refuse_unknown(names: Mapping[str, str], known: Sequence[str]) -> None:
    """Raise DatabaseError for a new name of something that the other database does not have."""
    for name in names:
        if name not in known:
            raise DatabaseError(
                f"The other database has no model, embedding or slice '{name}' to rename.",
                did_you_mean(name, known, "names"),
            )


def first_few(ids: Sequence[str], n: int | None = None) -> str:
    """Return the first ids of some, for an error.

    >>> first_few(["a", "b", "c", "d"])
    "'a', 'b', 'c', ..."
    """
    shown = ", ".join(repr(name) for name in ids[:_SHOWN])
    return f"{shown}, ..." if (len(ids) if n is None else n) > _SHOWN else shown
