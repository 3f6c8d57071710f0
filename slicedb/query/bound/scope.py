"""The names that one SELECT can see."""

from __future__ import annotations

from dataclasses import dataclass, field

from slicedb.query.bound.relation import Relation
from slicedb.query.language.tree import Node


@dataclass
class Scope:
    """The names one SELECT can see."""

    parent: Scope | None
    ctes: frozenset[str]
    node: Node
    relations: list[Relation] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)
    """Names of the lambdas around the expression being bound."""

    def chain(self) -> list[Scope]:
        """Return this scope and those around it, inside out."""
        found: list[Scope] = []
        scope: Scope | None = self
        while scope is not None:
            found.append(scope)
            scope = scope.parent
        return found
