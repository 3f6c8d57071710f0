"""Bind `*`: it shows what the user stored, and none of the columns that ride along."""

from __future__ import annotations

from dataclasses import dataclass

from slicedb.query.bind.columns import mark
from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Bound, Edit, Frame
from slicedb.query.bound.relation import KEY, OWN_ID, ROW, Relation, Stars
from slicedb.query.bound.scope import Scope
from slicedb.query.functions.duckdb import any_matches
from slicedb.query.language.text import Source, Span
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted, string


def bind_star(binding: Binding, star: Node, scope: Scope, top: bool) -> None:
    """Bind one `*`, `t.*` or COLUMNS(...); `top` says whether it is listed by the outermost SELECT.

    A `*` leaves out `key` unless it names it itself, as in EXCLUDE, or a name outside means it.
    """
    bound = binding.bound
    shown = shown_by(star, scope)
    if star.relation_name and not shown:  # `st.*` are the fields of a struct
        mark(star.relation_name, scope)
        return
    names_key = star.star_names(KEY) and not any(r.names_key for r in shown)
    by_place = _by_place(bound)
    narrows = (
        top
        and bound.top is not None
        and star.is_plain_star
        and not (star.is_columns or bound.narrows or by_place is None)
        and not any(_is_ours(entry) for entry in scope.select_list)
        and not _is_bracketed(binding, star)
    )
    for relation in shown:
        relation.star = relation.star or narrows
        relation.all_columns = relation.all_columns or not narrows
        if names_key:
            relation.name_key()
    bound.narrows = bound.narrows or narrows
    if narrows and by_place and bound.top is not None:
        _write_names(bound, bound.top, by_place)
    unseen = Unseen(shown, names_key, scope.stars)
    if not any(relation.table or relation.may_show_key for relation in shown):
        return  # nothing of ours is in sight
    if star.is_columns and star.expr is not None:
        _leave_out_of_columns(binding, star.expr, unseen)
    elif star.at is not None:
        _leave_out(binding, star, unseen)
        if narrows:
            _write_narrow(binding, star.start, star.end)
    elif not star.is_columns:
        _write_implied(binding, scope, unseen, narrows)


def shown_by(star: Node, scope: Scope) -> list[Relation]:
    """Return the relations whose columns a `*` or `t.*` shows."""
    of = star.relation_name.lower()
    return [r for r in scope.relations if not of or r.alias.lower() == of]


def _is_ours(entry: Node) -> bool:
    """Return whether an entry of a SELECT is named as a column that a narrow run carries."""
    name = entry.alias or (entry.names[-1] if entry.kind == "COLUMN_REF" else "")
    return name.lower() == KEY or name.startswith("~")


@dataclass(frozen=True)
class Unseen:
    """The columns of relations that a `*` does not show; all are known when the text is written."""

    relations: list[Relation]
    names_key: bool
    """Whether the `*` itself names `key`."""
    stars: Stars
    """Whether `key` goes through to a query outside."""

    def names(self, frame: Frame) -> list[tuple[str, str]]:
        """Return the alias and the name of each column."""
        return [
            (relation.alias, name)
            for relation in self.relations
            for name in self._of(relation, frame)
            if name != KEY or not (self.names_key or self.stars.show_key)
        ]

    def _of(self, relation: Relation, frame: Frame) -> list[str]:
        if relation.table is None:
            return [KEY] * relation.has_key(frame.narrow)
        return relation.unseen(frame.narrow)

    def listed(self, frame: Frame) -> str:
        """Return them as EXCLUDE takes them."""
        names = self.names(frame)
        if not all(alias for alias, _ in names):  # a subquery without an alias
            return ", ".join(dict.fromkeys(quoted(name) for _, name in names))
        return ", ".join(f"{quoted(alias)}.{quoted(name)}" for alias, name in names)


def _by_place(bound: Bound) -> list[tuple[Span, str]] | None:
    """Return the numbers in an ORDER BY with the columns they stand for, as in `* ... ORDER BY 1`.

    None where they are not sure, and where `*` or `#1` counts columns. ALL is the first column
    alone, where that is `id`: no two samples have the same.
    """
    tree, top = bound.tree, bound.top
    ordering = [o.expression for o in tree.order.orders] if tree.order else []
    numbers = [o for o in ordering if o.constant == "INTEGER"]
    counts = any(node.kind in ("STAR", "POSITIONAL_REFERENCE") for node in nodes(ordering))
    if not numbers and not counts:
        return []
    if top is None or top.table is None or top.aliases or len(tree.select_list) > 1:
        return None
    names = [name for name in top.table.types if name != KEY]
    if counts:
        is_all = len(ordering) == 1 and ordering[0].kind == "STAR" and ordering[0].at is None
        place = _place_of_all(bound.source) if is_all and names[0] == "id" else None
        return None if place is None else [(place, names[0])]
    if any(number.at is None or not 1 <= int(number.value) <= len(names) for number in numbers):
        return None
    return [((number.start, number.end), names[int(number.value) - 1]) for number in numbers]


def _place_of_all(source: Source) -> Span | None:
    """Return the place of `ALL` in the one `ORDER BY ALL` outside all brackets."""
    tokens = source.outermost()
    words = [token.word for token in tokens]
    places = [
        (all_.start, all_.end)
        for order, by, all_ in zip(tokens, tokens[1:], tokens[2:])
        if (order.word, by.word, all_.word) == (b"order", b"by", b"all")
    ]
    return places[0] if len(places) == 1 and words.count(b"order") == 1 else None


def _write_names(bound: Bound, top: Relation, by_place: list[tuple[Span, str]]) -> None:
    """Write the names of columns in place of their numbers, which a narrow run does not have."""
    for (start, end), name in by_place:
        top.columns.add(name)
        column = f"{quoted(top.alias)}.{quoted(name)}"
        bound.edits.append(Edit(start, end, (column,), "narrow"))


def _is_bracketed(binding: Binding, star: Node) -> bool:
    """Return whether a `*` stands in brackets, where several columns would be one row."""
    before = binding.source.tokens_in(0, star.at or 0)[-1:]
    return star.at is not None and bool(before) and before[0].text == b"("


def _leave_out(binding: Binding, star: Node, unseen: Unseen) -> None:
    """Add the unseen columns to the EXCLUDE of a `*`, or give it one."""

    def excluded(frame: Frame) -> str:
        return f" EXCLUDE ({names})" if (names := unseen.listed(frame)) else ""

    def more(frame: Frame) -> str:
        return f"{names}, " if (names := unseen.listed(frame)) else ""

    inside = binding.source.tokens_in(star.start, star.end)
    mark = next(token for token in inside if token.text == b"*")
    words = (n for n, token in enumerate(inside) if token.word in (b"exclude", b"except"))
    word = next(words, None)
    if word is None:
        binding.bound.edits.append(Edit(mark.end, mark.end, (excluded,), "wide"))
        return
    first = inside[word + 1]
    if first.text == b"(":
        binding.edit(first.start, first.end, "(", more)
    else:
        dots = range(word + 2, len(inside), 2)
        behind = next((n for n in dots if inside[n].text != b"."), len(inside))
        text = binding.source.sql[first.start : inside[behind - 1].end].decode()
        binding.edit(first.start, inside[behind - 1].end, "(", more, text, ")")


def _leave_out_of_columns(binding: Binding, chosen: Node, unseen: Unseen) -> None:
    """Keep the unseen columns out of COLUMNS('pattern') and COLUMNS(lambda ...)."""

    def names(frame: Frame) -> str:
        return ", ".join(string(name) for _, name in unseen.names(frame))

    def matching(frame: Frame) -> str:
        pattern = binding.written(chosen)
        # A lambda knows no groups, which `COLUMNS('(a|b)') AS 'x_\1'` names: only where it must be.
        if not any_matches(chosen.value, [name for _, name in unseen.names(frame)]):
            return pattern
        return f'lambda "~c": regexp_matches("~c", {pattern}) AND "~c" NOT IN ({names(frame)})'

    if chosen.constant == "STRING":
        binding.edit(chosen.start, chosen.end, matching)
        return
    test = chosen.values[-1] if chosen.kind == "FUNCTION" and chosen.at is None else None
    if test is None or test.kind != "LAMBDA" or test.at is None:
        return
    name = quoted(test.lhs.names[0])
    tokens = binding.source.tokens_in(test.start, test.end)
    begin = next(token for token in tokens if token.text in (b":", b"->"))

    def more(frame: Frame) -> str:
        return f") AND {name} NOT IN ({names(frame)})" if names(frame) else ")"

    binding.edit(begin.start, begin.end, begin.text.decode() + " (")
    binding.edit(test.end, test.end, more)


def _write_implied(binding: Binding, scope: Scope, unseen: Unseen, narrows: bool) -> None:
    """Write the `SELECT *` that a text leaves out when it begins with FROM."""
    at = _begin_of_from(binding, scope)
    if at is None:
        return
    # `(a JOIN b USING (id)) AS t` is a query without even its FROM.
    is_join = scope.opened is not None and at < scope.opened
    if scope.opened is not None and is_join:
        at = scope.opened + 1
        if binding.source.tokens[binding.source.number_at(at)].word in (b"pivot", b"unpivot"):
            return
    tail = " FROM " if is_join else " "

    def whole(frame: Frame) -> str:
        names = unseen.listed(frame)
        return f"SELECT * EXCLUDE ({names}){tail}" if names else f"SELECT *{tail}"

    binding.bound.edits.append(Edit(at, at, (whole,), "wide" if narrows else ""))
    if narrows:
        _write_narrow(binding, at, at, "SELECT ", " ")


def _write_narrow(
    binding: Binding, start: int, end: int, before: str = "", after: str = ""
) -> None:
    """Note how `*` is written where key, row number and scores are enough."""
    top = binding.bound.top
    assert top is not None

    def columns(frame: Frame) -> str:
        alias = quoted(top.alias)
        names = (*[KEY] * frame.keyed, ROW, *top.slots, *[OWN_ID] * frame.named)
        return before + ", ".join(f"{alias}.{quoted(name)}" for name in names) + after

    binding.bound.edits.append(Edit(start, end, (columns,), "narrow"))


def _begin_of_from(binding: Binding, scope: Scope) -> int | None:
    """Return where `FROM x` without SELECT begins, or None for VALUES, DESCRIBE, and PIVOT."""
    table = scope.node.from_table
    # Not the place of a comma between two tables, which is that of the FROM itself.
    places = [n.at for n in nodes(table) if n.at is not None and not n.is_join]
    if not places or table.type in ("EXPRESSION_LIST", "SHOW_REF"):
        return None
    before = binding.source.tokens[: binding.source.number_at(min(places))]
    return next((token.start for token in reversed(before) if token.word == b"from"), None)
