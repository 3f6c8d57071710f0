"""The names that one SELECT can see."""

from __future__ import annotations

from dataclasses import dataclass, field

from slicedb.query.bound.relation import Relation
from slicedb.query.language.tree import Node


@dataclass(frozen=True)
class Output:
    """What is known of the columns of a query."""

    names: frozenset[str] = frozenset()
    """Names of columns, in lower case; there may be more."""
    keyed: bool = False
    """Whether a `*` in it shows the `key` of samples, since the text names that somewhere."""


@dataclass
class Scope:
    """The names one SELECT can see."""

    parent: Scope | None
    ctes: dict[str, Output]
    node: Node
    outermost: bool = False
    """Whether its rows are those of the result."""
    opened: int | None = None
    """Offset of the bracket that it stands in, for one in a FROM."""
    relations: list[Relation] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    """Names of the lambdas around the expression being bound."""

    @property
    def select_list(self) -> list[Node]:
        """The entries of its SELECT; none of a set operation."""
        return self.node.select_list if self.node.type == "SELECT_NODE" else []

    def chain(self) -> list[Scope]:
        """Return this scope and those around it, inside out."""
        scopes = [self]
        while (parent := scopes[-1].parent) is not None:
            scopes.append(parent)
        return scopes
