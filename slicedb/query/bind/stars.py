"""Bind `*`: it shows what the user stored, and none of the columns that ride along."""

from __future__ import annotations

from dataclasses import dataclass

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Bound, Edit, Frame
from slicedb.query.bound.relation import KEY, ROW, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted, string


def bind_star(binding: Binding, star: Node, scope: Scope, top: bool) -> None:
    """Bind one `*`, `t.*` or COLUMNS(...); `top` says whether it is listed by the outermost SELECT.

    A `*` leaves out `key` unless the text names it: then those of subqueries show it, so that it
    can be asked for outside.
    """
    bound = binding.bound
    of = star.relation_name.lower()
    shown = [r for r in scope.relations if not of or r.alias.lower() == of]
    names_key = star.star_names(KEY) or (bound.names_key and not scope.outermost)
    by_place = _by_place(bound.tree, bound.top)
    narrows = (
        top
        and bound.top is not None
        and star.is_plain_star
        and not (star.is_columns or bound.narrows or by_place is None)
        and not _is_bracketed(binding, star)
    )
    for relation in shown:
        relation.star = relation.star or narrows
        relation.all_columns = relation.all_columns or not narrows
        if names_key and relation.table is not None and relation.table.column(KEY):
            relation.columns.add(KEY)
    bound.narrows = bound.narrows or narrows
    if narrows and by_place and bound.top is not None:
        _write_names(bound, bound.top, by_place)
    unseen = Unseen(shown, names_key)
    if not any(relation.table or relation.keyed for relation in shown):
        return  # nothing of ours is in sight
    if star.is_columns and star.expr is not None:
        _leave_out_of_columns(binding, star.expr, unseen)
    elif star.at is not None:
        _leave_out(binding, star, unseen)
        if narrows:
            _write_narrow(binding, star.start, star.end)
    elif not star.is_columns:
        _write_implied(binding, scope, unseen, narrows)


@dataclass(frozen=True)
class Unseen:
    """The columns of relations that a `*` does not show; all are known when the text is written."""

    relations: list[Relation]
    names_key: bool
    """Whether `key` is shown."""

    def names(self, frame: Frame) -> list[tuple[str, str]]:
        """Return the alias and the name of each column."""
        return [
            (relation.alias, name)
            for relation in self.relations
            for name in self._of(relation, frame)
            if name != KEY or not self.names_key
        ]

    def _of(self, relation: Relation, frame: Frame) -> list[str]:
        return relation.unseen(frame.narrow) if relation.table else [KEY] * relation.keyed

    def listed(self, frame: Frame) -> str:
        """Return them as EXCLUDE takes them."""
        names = self.names(frame)
        if not all(alias for alias, _ in names):  # a subquery without an alias
            return ", ".join(dict.fromkeys(quoted(name) for _, name in names))
        return ", ".join(f"{quoted(alias)}.{quoted(name)}" for alias, name in names)


def _by_place(tree: Node, top: Relation | None) -> list[tuple[Node, str]] | None:
    """Return the numbers in an ORDER BY with the columns they stand for, as in `* ... ORDER BY 1`.

    None where they are not sure, and where `ALL`, `*` or `#1` counts columns.
    """
    ordering = [o.expression for o in tree.order.orders] if tree.order else []
    numbers = [o for o in ordering if o.constant == "INTEGER"]
    if any(node.kind in ("STAR", "POSITIONAL_REFERENCE") for node in nodes(ordering)):
        return None
    if not numbers:
        return []
    if top is None or top.table is None or top.aliases or len(tree.select_list) > 1:
        return None
    names = [name for name in top.table.types if name != KEY]
    if any(number.at is None or not 1 <= int(number.value) <= len(names) for number in numbers):
        return None
    return [(number, names[int(number.value) - 1]) for number in numbers]


def _write_names(bound: Bound, top: Relation, by_place: list[tuple[Node, str]]) -> None:
    """Write the names of columns in place of their numbers, which a narrow run does not have."""
    for number, name in by_place:
        top.columns.add(name)
        column = f"{quoted(top.alias)}.{quoted(name)}"
        bound.edits.append(Edit(number.start, number.end, (column,), "narrow"))


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
        if not names(frame):
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

    def columns(_: Frame) -> str:
        alias = quoted(top.alias)
        names = (KEY, ROW, *top.slots)
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
