"""A text while it is being bound: what every step of the binder and every function works on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TypeAlias, TypeVar

from slicedb.errors import BindError, QueryError
from slicedb.query.bound.bound import Bound, Edit, Part, Pool
from slicedb.query.bound.catalog import Catalog
from slicedb.query.bound.relation import Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.text import Source
from slicedb.query.language.tree import Node
from slicedb.show import numbers

_Error = TypeVar("_Error", bound=QueryError)

_OFTEN = 1024
"""Nodes between two looks at the time."""

SliceNamed: TypeAlias = "Callable[[Binding, str, Node], Bound | str]"
"""Gives the bound text of a live slice, or the registered table of a frozen one."""


@dataclass(frozen=True, eq=False)
class Binding:
    """One text, and what is known of it so far."""

    bound: Bound
    """Grows with every step."""
    pool: Pool
    """What the text shares with the slices inside it."""
    slice_named: SliceNamed
    visit: Callable[[Binding, Node, Scope], None]
    """Binds an expression, whatever it is."""
    check: Callable[[], None] = lambda: None
    """Raises when the time or the memory is used up."""
    heading: Callable[[str], str] = str
    """Gives the name that DuckDB gives to the column of an expression."""
    queries: Iterator[int] = field(default_factory=lambda: count(1))
    """Counts the subqueries in expressions."""
    _steps: Iterator[int] = field(default_factory=count)

    def step(self) -> None:
        """Count one more node, and look at the time now and then."""
        if next(self._steps) % _OFTEN == 0:
            self.check()

    @property
    def source(self) -> Source:
        """The text."""
        return self.bound.source

    @property
    def catalog(self) -> Catalog:
        """The tables that the text may name."""
        return self.pool.catalog

    def visit_all(self, nodes: Iterable[Node], scope: Scope) -> None:
        """Bind several expressions."""
        for node in nodes:
            self.visit(self, node, scope)

    def edit(self, start: int, end: int, *parts: Part, only_bounds: bool = False) -> None:
        """Replace a place of the text; see `Edit.only_bounds`."""
        self.bound.edits.append(Edit(start, end, parts, only_bounds=only_bounds))

    def error(
        self, kind: type[_Error], message: str, hint: str, node: Node, length: int = 0
    ) -> _Error:
        """Return an error that points at a node."""
        # The place of a table takes in its alias, so the token that begins there is marked.
        size = 0 if node.is_table else node.length
        return self.source.error(kind, message, hint, at=node.at, length=length or size)

    def written(self, node: Node) -> str:
        """Return a node as the text has it."""
        return self.source.sql[node.start : node.end].decode(errors="replace")

    def anchor(self, node: Node, scope: Scope) -> Relation:
        """Return the relation whose samples a model or a function speaks of.

        Raises:
            BindError: there is none in sight, or several.
        """
        name = self.written(node)
        for inner in scope.chain():
            samples = [r for r in inner.relations if r.kind == "samples"]
            boxes = [r for r in inner.relations if r.kind == "boxes"]
            if len(samples) > 1:
                message = f"'{name}' could speak of {len(samples)} samples relations."
                hint = "name one, as in a.model.column, or join the model's table yourself."
                raise self.error(BindError, message, hint, node)
            if not samples and len(boxes) > 1:
                message = (
                    f"'{name}' could speak of {numbers.count(len(boxes), 'relation')} of boxes."
                )
                raise self.error(BindError, message, "JOIN samples USING (key).", node)
            if samples or boxes:
                return (samples or boxes)[0]
        message = f"'{name}' needs the samples table, which is not in this FROM."
        hint = "write FROM samples, or JOIN samples USING (key)."
        raise self.error(BindError, message, hint, node)
