"""The plan of a bound text: what may be left out before rows are scored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from slicedb.query.bound.bound import Bound, Pool, Search
from slicedb.query.functions.words import WINDOWED
from slicedb.query.language.parse import Node
from slicedb.query.run.cuts import Condition
from slicedb.schema import EMBEDDINGS, PREDICTIONS
from slicedb.vectors import Term

_RANKED = ("similarity", "search")
"""Kinds of terms whose best k can be found without the others."""


@dataclass(frozen=True)
class TopK:
    """`ORDER BY similarity(...) DESC LIMIT k`: only the best k, and ties, need to be seen."""

    term: Term | Search
    k: int
    alone: bool
    """Whether nothing else orders or is shown, so that the scores are the whole answer."""


@dataclass(frozen=True)
class Reads:
    """What the samples of a query depend on."""

    columns: frozenset[str]
    """Columns of samples."""
    models: dict[str, frozenset[str]]
    """Model to columns of its predictions."""
    embeddings: frozenset[str]

    @property
    def tables(self) -> frozenset[str]:
        """Tables beside samples that are read."""
        models = {PREDICTIONS + name for name in self.models}
        return frozenset(models | {EMBEDDINGS + name for name in self.embeddings})


@dataclass(frozen=True)
class Plan:
    """A text, bound; nothing has been read."""

    text: str
    bound: Bound
    pool: Pool
    columns: list[tuple[str, str]]
    """Name and DuckDB type of each column of the result."""
    conditions: tuple[tuple[int, int], ...] = ()
    """Places of the parts of WHERE, joined by AND, that speak of no meaning."""
    cuts: tuple[Condition, ...] = ()
    """Parts of WHERE that scores alone decide."""
    filtered_by_more: bool = False
    """Whether WHERE has parts of neither kind."""
    approximate: bool = False
    """Whether the best k may come from an approximate index."""

    @property
    def is_rows(self) -> bool:
        """Whether the result is samples: it shows their id."""
        return any(name.lower() == "id" for name, _ in self.columns)

    @cached_property
    def hidden(self) -> set[str]:
        """Columns of the result that users do not see: those of `*` that are ours."""
        listed = self.bound.tree.get("select_list", [])
        star = any(e["class"] == "STAR" for e in listed)
        named = {n for e in listed if e["class"] == "COLUMN_REF" for n in e["column_names"][-1:]}
        own = {"key"} if star and "key" not in named else set()
        return own | {name for name, _ in self.columns if name.startswith("~")}

    @property
    def reads(self) -> Reads:
        """What the samples depend on; what is only shown by `*` does not count."""
        columns: set[str] = set()
        models: dict[str, set[str]] = {}
        relations = self.bound.everywhere()
        counted = [b for r in relations for count in r.counts.values() for b in count.boxes]
        for relation in (*relations, *counted, *(s for r in relations for s in r.sides)):
            if relation.kind == "boxes":
                found = models.setdefault(relation.model, set()) if relation.model else columns
                found.add("objects")
                continue
            if relation.table is None:
                continue
            named = set(relation.table.types) if relation.all_columns else relation.columns
            if relation.kind == "model":
                models.setdefault(relation.model, set()).update(named)
                continue
            columns |= named
            for extra in relation.extras:
                models.setdefault(extra.model, set()).add(extra.column)
        columns.update(c for term in self.terms if isinstance(term, Search) for c in term.columns)
        return Reads(
            frozenset(columns),
            {name: frozenset(named) for name, named in models.items()},
            frozenset(term.embedding for term in self.terms if isinstance(term, Term)),
        )

    @property
    def terms(self) -> dict[Term | Search, str]:
        """Terms of meaning and of full text, to their columns of scores."""
        return self.pool.terms

    @cached_property
    def prunes(self) -> bool:
        """Whether rows may be left out before scoring: all terms speak of the outermost FROM."""
        top = self.bound.top
        if top is None or not self.terms:
            return False
        return all(r is top or not r.slots for r in self.bound.everywhere())

    @cached_property
    def top_k(self) -> TopK | None:
        """The best k that are enough, or None."""
        tree = self.bound.tree
        if not self.prunes or self.filtered_by_more or tree["qualify"]:
            return None
        modifiers = {m["type"]: m for m in tree["modifiers"]}
        order, limit = modifiers.get("ORDER_MODIFIER"), modifiers.get("LIMIT_MODIFIER")
        if not order or not limit or _has_window([tree["select_list"], tree["modifiers"]]):
            return None
        first = order["orders"][0]
        term = self._ordering(first["expression"])
        if term is None or term.kind not in _RANKED or first["type"] != "DESCENDING":
            return None
        if first["null_order"] == "NULLS_FIRST" or limit["limit_type"] != "ROW_COUNT":
            return None
        sizes = [_integer(limit["limit"]), _integer(limit["offset"]) if limit["offset"] else 0]
        if None in sizes:
            return None
        alone = self._is_star and len(order["orders"]) == 1 and not sizes[1]
        return TopK(term, sum(size or 0 for size in sizes), alone)

    @property
    def _is_star(self) -> bool:
        listed = [e["class"] for e in self.bound.tree["select_list"]]
        return listed == ["STAR"] and self.bound.narrows

    @cached_property
    def is_decided(self) -> bool:
        """Whether the parts of WHERE, each worked out by itself, are the whole answer."""
        tree = self.bound.tree
        whole = self.prunes and self._is_star and not self.filtered_by_more
        return whole and not tree["modifiers"] and not tree["qualify"]

    @property
    def indexed(self) -> Term | None:
        """The term whose best k an approximate index may name, or None.

        Within a filter an index finds a third to a half of what is right, so it is asked only where
        nothing but the order chooses.
        """
        found = self.top_k
        if not self.approximate or found is None or self.conditions or self.cuts:
            return None
        return found.term if isinstance(found.term, Term) else None

    def _ordering(self, expression: Node) -> Term | Search | None:
        """Return the term an ORDER BY entry is, itself or by the name it has in the SELECT."""
        if expression["class"] == "COLUMN_REF" and len(expression["column_names"]) == 1:
            alias = expression["column_names"][0].lower()
            listed = [e for e in self.bound.tree["select_list"] if e["alias"].lower() == alias]
            expression = listed[0] if len(listed) == 1 else expression
        if expression["class"] != "FUNCTION":
            return None
        return self.bound.meanings.get(expression["query_location"])

    @cached_property
    def score_slot(self) -> str | None:
        """The column of scores the samples are shown with: what orders them, else the first."""
        top = self.bound.top
        if top is None or not top.slots:
            return None
        for modifier in self.bound.tree["modifiers"]:
            for order in modifier.get("orders", [])[:1]:
                term = self._ordering(order["expression"])
                if term is not None:
                    return self.terms[term]
        kinds = {slot: term.kind for term, slot in self.terms.items()}
        return min(top.slots, key=lambda s: (kinds[s] != "similarity", top.slots.index(s)))

    @property
    def is_ordered(self) -> bool:
        """Whether the text has an ORDER BY or LIMIT."""
        return any(
            "ORDER" in m["type"] or "LIMIT" in m["type"] for m in self.bound.tree["modifiers"]
        )


def _integer(node: Node | None) -> int | None:
    if node is None or node["class"] != "CONSTANT" or node["literal"]["kind"] != "INTEGER":
        return None
    return int(node["literal"]["text"])


def _has_window(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_has_window, value))
    if not isinstance(value, dict):
        return False
    if value.get("class") == "FUNCTION" and value["function_name"].lower() in WINDOWED:
        return True
    return value.get("class") == "WINDOW" or any(map(_has_window, value.values()))
