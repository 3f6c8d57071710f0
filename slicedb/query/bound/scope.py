"""The names that one SELECT can see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from slicedb.query.bound.relation import KEY, Relation, Stars
from slicedb.query.language.tree import Node

Clause: TypeAlias = Literal["", "having"]


@dataclass(frozen=True)
class Output:
    """What is known of the columns of a query."""

    names: frozenset[str] = frozenset()
    """Names of columns, in lower case; there may be more."""
    stars: Stars | None = None
    """What its `*` show."""


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
    stars: Stars = field(default_factory=Stars)
    """What the `*` of its SELECT show."""
    clause: Clause = ""
    """Where the expression being bound stands."""
    naming: str = ""
    """The alias, in lower case, of the entry of the SELECT being bound."""

    @property
    def select_list(self) -> list[Node]:
        """The entries of its SELECT; none of a set operation."""
        return self.node.select_list if self.node.type == "SELECT_NODE" else []

    def means_alias(self, name: str) -> bool:
        """Return whether a name means an alias of the SELECT before any column.

        In HAVING it does. The hidden `key` is no column, so an alias of that name is meant
        everywhere but in the entry that makes it.
        """
        word = name.lower()
        if self.clause != "having" and (word != KEY or self.naming == KEY):
            return False
        return any(
            entry.alias.lower() == word or (entry.kind == "STAR" and word in entry.given_names)
            for entry in self.select_list
        )

    def chain(self) -> list[Scope]:
        """Return this scope and those around it, inside out."""
        scopes = [self]
        while (parent := scopes[-1].parent) is not None:
            scopes.append(parent)
        return scopes
