"""Plan a bound text: which rows can be left out before scores are computed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from slicedb.query.bound.bound import Bound, Pool, Score, Search
from slicedb.query.functions.registry import function_named
from slicedb.query.language.tree import Node, nodes
from slicedb.query.run.cuts import Condition
from slicedb.schema import EMBEDDINGS, MAPS, PREDICTIONS
from slicedb.vectors import Lasso, Term

_RANKED = ("similarity", "search")
"""Kinds of terms whose best k can be found without the others."""


@dataclass(frozen=True)
class TopK:
    """`ORDER BY similarity(...) DESC LIMIT k`: only the best k, and ties, need to be seen."""

    term: Score
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
    maps: frozenset[str] = frozenset()

    @property
    def tables(self) -> frozenset[str]:
        """Tables beside samples that are read."""
        models = {PREDICTIONS + name for name in self.models}
        maps = {MAPS + name for name in self.maps}
        return frozenset(models | maps | {EMBEDDINGS + name for name in self.embeddings})


_UNSTEADY = re.compile(
    r"\bimage\b(?!\s*\(\s*'upload:)|"  # the name of a picture that was handed in is of its bytes
    r"\b(now|today|age|current_\w+|get_current_\w+|localtime\w*|transaction_timestamp)\b",
    re.IGNORECASE,
)
"""Words that may give another answer while no table changes: of files and of the clock."""


@dataclass(frozen=True, eq=False)
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
    def is_steady(self) -> bool:
        """Whether it gives the same samples for as long as it is current; false when unsure."""
        texts = [self.text, *(text for text in self.pool.slices.values() if isinstance(text, str))]
        return not self.bound.has_chance and not any(map(_UNSTEADY.search, texts))

    @property
    def is_star(self) -> bool:
        """Whether it shows samples with all their columns: a predicate, or SELECT *."""
        tree = self.bound.tree
        has_star = tree.type == "SELECT_NODE" and any(e.kind == "STAR" for e in tree.select_list)
        return has_star and self.is_rows

    @property
    def reads(self) -> Reads:
        """What decides which samples match; columns that only `*` shows do not count."""
        columns: set[str] = set()
        models: dict[str, set[str]] = {}
        maps = {term.name for term in self.terms if isinstance(term, Lasso)}
        relations = self.bound.everywhere()
        counted = [b for r in relations for count in r.counts.values() for b in count.boxes]
        for relation in (*relations, *counted, *(s for r in relations for s in r.sides)):
            if relation.kind == "boxes":
                owner = models.setdefault(relation.model, set()) if relation.model else columns
                owner.add("objects")
                continue
            if relation.table is None:
                continue
            named = set(relation.table.types) if relation.all_columns else relation.columns
            if relation.kind == "model":
                models.setdefault(relation.model, set()).update(named)
                continue
            columns |= named
            for extra in relation.extras:
                if extra.model.startswith(MAPS):
                    maps.add(extra.model.removeprefix(MAPS))
                    continue
                models.setdefault(extra.model, set()).add(extra.column)
        columns.update(c for term in self.terms if isinstance(term, Search) for c in term.columns)
        return Reads(
            frozenset(columns),
            {name: frozenset(named) for name, named in models.items()},
            frozenset(term.embedding for term in self.terms if isinstance(term, Term)),
            frozenset(maps),
        )

    @property
    def terms(self) -> dict[Score, str]:
        """Terms of meaning, of full text and of maps, to their columns of scores."""
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
        if not self.prunes or self.filtered_by_more or tree.qualify:
            return None
        order, limit = tree.order, tree.limit
        if not order or not limit or limit.type != "LIMIT_MODIFIER":
            return None
        first = order.orders[0]
        term = self._ordering(first.expression)
        if term is None or term.kind not in _RANKED or first.type != "DESCENDING":
            return None
        if first.null_order == "NULLS_FIRST" or limit.limit_type != "ROW_COUNT":
            return None
        if any(map(_is_window, nodes([*tree.select_list, *tree.modifiers]))):
            return None
        sizes = [_integer(limit.limit_rows), _integer(limit.offset) if limit.offset else 0]
        if None in sizes:
            return None
        alone = self._is_star and len(order.orders) == 1 and not sizes[1]
        return TopK(term, sum(size or 0 for size in sizes), alone)

    @property
    def _is_star(self) -> bool:
        listed = [e.kind for e in self.bound.tree.select_list]
        return listed == ["STAR"] and self.bound.narrows

    @cached_property
    def is_decided(self) -> bool:
        """Whether the parts of WHERE, each worked out by itself, are the whole answer."""
        tree = self.bound.tree
        whole = self.prunes and self._is_star and not self.filtered_by_more
        return whole and not tree.modifiers and not tree.qualify

    @property
    def indexed(self) -> Term | None:
        """The term whose best k an approximate index may name, or None.

        Within a filter an index finds a third to a half of what is right, so it is asked only where
        nothing but the order chooses.
        """
        best = self.top_k
        if not self.approximate or best is None or self.conditions or self.cuts:
            return None
        return best.term if isinstance(best.term, Term) else None

    def _ordering(self, expression: Node) -> Score | None:
        """Return the term an ORDER BY entry is, itself or by the name it has in the SELECT."""
        if expression.kind == "COLUMN_REF" and len(expression.names) == 1:
            alias = expression.names[0].lower()
            listed = [e for e in self.bound.tree.select_list if e.alias.lower() == alias]
            expression = listed[0] if len(listed) == 1 else expression
        if expression.kind != "FUNCTION" or expression.at is None:
            return None
        return self.bound.meanings.get(expression.at)

    @cached_property
    def score_slot(self) -> str | None:
        """The column of scores shown with the samples: the one that orders them, else the first."""
        top = self.bound.top
        if top is None or not top.slots:
            return None
        if order := self.bound.tree.order:
            term = self._ordering(order.orders[0].expression)
            if term is not None:
                return self.terms[term]
        kinds = {slot: term.kind for term, slot in self.terms.items()}
        return min(top.slots, key=lambda s: (kinds[s] != "similarity", top.slots.index(s)))

    @property
    def limit(self) -> tuple[int | None, int] | None:
        """LIMIT (None is all) and OFFSET of the text; None where they are not plain numbers."""
        limit = self.bound.tree.limit
        if limit is None or limit.type != "LIMIT_MODIFIER" or limit.limit_type != "ROW_COUNT":
            return None
        most, offset = _integer(limit.limit_rows), _integer(limit.offset)
        if (most is None and limit.limit_rows) or (offset is None and limit.offset):
            return None
        return most, offset or 0

    @property
    def is_ordered(self) -> bool:
        """Whether the text has an ORDER BY or LIMIT."""
        tree = self.bound.tree
        return tree.order is not None or tree.limit is not None


def _integer(node: Node | None) -> int | None:
    return int(node.value) if node is not None and node.constant == "INTEGER" else None


def _is_window(node: Node) -> bool:
    function = function_named(node.name, node.schema) if node.kind == "FUNCTION" else None
    return node.kind == "WINDOW" or (function is not None and function.ranks)
