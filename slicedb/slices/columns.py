"""Named expressions as columns: computed by a query, stored with the samples, and computed again.

`num_people = count_objects('person')` becomes a column that every query, table and file has. Its
values are stored, so that they are versioned with the data; `ingest`, `attach`, `predict` and
`log_predictions` compute what changed, and `refresh` does so after edits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb import schema, sql
from slicedb.errors import CheckError, did_you_mean, suggesting
from slicedb.ingest.attach import attach
from slicedb.schema import COMPUTED, SAMPLES
from slicedb.show.numbers import count
from slicedb.show.tabular import Record
from slicedb.slices.definitions import refuse_handed
from slicedb.store import Store
from slicedb.tagging.definition import drop_tag, tag_named
from slicedb.tagging.names import check_column_name, refuse_taken

if TYPE_CHECKING:
    from slicedb.query import Query


@dataclass(frozen=True)
class ComputedColumn(Record):
    """A column of samples that an expression gives."""

    name: str
    expression: str
    type: str
    """Its Arrow type."""
    stale: int = 0
    """Samples whose stored value is another than the expression gives now."""

    def __str__(self) -> str:
        stale = (
            f"; {count(self.stale, 'sample is', 'samples are')} stale: `slicedb column refresh`"
            if self.stale
            else ""
        )
        return f"{self.name} = {self.expression} ({self.type}){stale}"


@suggesting
class Columns:
    """The computed columns of a database: `db.columns`.

    Args:
        store: the database.
        ask: gives the query of a text.
    """

    def __init__(self, store: Store, ask: Callable[[str], Query]) -> None:
        self._store, self._ask = store, ask

    def add(self, name: str, expression: str, *, replace: bool = False) -> ComputedColumn:
        """Compute an expression for every sample, and keep it as a column of samples.

        Args:
            name: letters, digits and "_"; no name of a column, a model or a word of SQL.
            expression: SQL of one value per sample, such as `count_objects('person')`.
            replace: give a computed column of that name another expression.

        Raises:
            CheckError: the name cannot be used, or the expression is not one value per sample.
            QueryError: the expression does not parse or bind.
        """
        held = self._held()
        if name not in held or not replace:
            self._check_name(name, held)
        values = self._computed(name, expression)
        if name in held:
            self._store.drop_columns(SAMPLES, [name])
        attach(self._store, values, partial=True)
        self._keep(name, expression)
        return self._column(name, expression)

    def list(self) -> Sequence[ComputedColumn]:
        """Return the computed columns, each with the number of samples that are stale."""
        columns = []
        for name, expression in self._held().items():
            column = self._column(name, expression)
            stale = self._stale(name, self._computed(name, expression))
            columns.append(ComputedColumn(name, expression, column.type, stale))
        return columns

    def refresh(self, *names: str) -> dict[str, int]:
        """Compute columns again, and return how many samples of each changed.

        Args:
            *names: of computed columns; all of them where none is named.

        Raises:
            CheckError: there is no such computed column.
        """
        held = self._held()
        for name in names:
            self._named(name, held)
        changed = {}
        for name in names or held:
            values = self._computed(name, held[name])
            changed[name] = self._stale(name, values)
            if changed[name]:
                attach(self._store, values, partial=True)
        return changed

    def drop(self, name: str) -> None:
        """Remove a computed column, or one that a model wrote with the columns beside it.

        Raises:
            CheckError: there is no such column, or a slice names it.
        """
        tag = tag_named(self._store, name)
        if tag is None:
            self._named(name, self._held())
        columns = (name,) if tag is None else tag.columns
        users = sorted({user for column in columns for user in self._users(column)})
        if users:
            raise CheckError(
                f"The column '{name}' is named by {', '.join(users)}.",
                "drop or redefine these first.",
            )
        if tag is not None:
            drop_tag(self._store, tag)
        else:
            self._store.drop_columns(SAMPLES, [name])
            self._keep(name, None)
        self._store.sync()

    # --- inside -----------------------------------------------------------------------------------

    def _held(self) -> dict[str, str]:
        held: dict[str, str] = json.loads(self._store.metadata(SAMPLES).get(COMPUTED) or "{}")
        stored = self._store.schema(SAMPLES).names
        return {name: text for name, text in held.items() if name in stored}

    def _keep(self, name: str, expression: str | None) -> None:
        def change(before: str | None) -> str:
            held = json.loads(before or "{}")
            held.pop(name, None)
            return json.dumps(held if expression is None else {**held, name: expression})

        self._store.change_metadata(SAMPLES, COMPUTED, change)
        self._store.sync()

    def _column(self, name: str, expression: str) -> ComputedColumn:
        kind = self._store.schema(SAMPLES).field(name).type
        return ComputedColumn(name, expression, str(kind))

    def _named(self, name: str, held: dict[str, str]) -> None:
        if name not in held:
            raise CheckError(
                f"There is no computed column '{name}'.",
                did_you_mean(name, held, "computed columns"),
            )

    def _check_name(self, name: str, held: dict[str, str]) -> None:
        if name in held:
            raise CheckError(
                f"There is a computed column '{name}' already: {held[name]}.",
                "replace=True (--replace) gives it another expression.",
            )
        check_column_name(self._store, name)
        refuse_taken(self._store, name)

    def _computed(self, name: str, expression: str) -> pa.Table:
        """Return id and the value of every sample that queries show."""
        if not expression.strip():
            raise CheckError("The expression is empty.", "such as count_objects('person').")
        refuse_handed(expression)
        query = self._ask(f"SELECT id, (\n{expression}\n) AS {sql.quoted(name)} FROM samples")
        table = query.to_arrow()
        if table.column_names != ["id", name] or len(table) != self._ask("").count():
            raise CheckError(
                f"{expression!r} is not one value per sample.",
                "give one expression, without FROM or GROUP BY around it.",
            )
        return table

    def _stale(self, name: str, values: pa.Table) -> int:
        """Return how many samples have another value stored."""
        from slicedb.tasks.arrays import differs

        if not len(values):
            return 0
        keys = schema.keys_of(values["id"].to_pylist())
        stored = self._store.take(SAMPLES, keys, [name])[name]
        return int(differs(stored, values[name]).sum())

    def _users(self, name: str) -> Sequence[str]:
        """Return the slices whose text names a column."""
        if not self._store.has(schema.SLICES):
            return []
        names = ["name", "version", "text", "kind", "dropped"]
        every = self._store.table(schema.SLICES, names).to_pylist()
        rows = {r["name"]: r for r in sorted(every, key=lambda r: r["version"])}.values()
        word = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        live = [r for r in rows if not r["dropped"] and r["kind"] == "live"]
        return sorted({r["name"] for r in live if word.search(r["text"] or "")})
