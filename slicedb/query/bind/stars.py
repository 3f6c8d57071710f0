"""Bind `*`: it shows what the user stored, and none of the columns that ride along."""

from __future__ import annotations

from slicedb.query.bound.binding import Binding
from slicedb.query.bound.bound import Edit, Frame
from slicedb.query.bound.relation import ROW, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.tree import Node, nodes
from slicedb.sql import quoted


def bind_star(binding: Binding, star: Node, scope: Scope, top: bool) -> None:
    """Bind one `*`, `t.*` or COLUMNS(...)."""
    of = star.relation_name.lower()
    shown = [r for r in scope.relations if not of or r.alias.lower() == of]
    bound = binding.bound
    narrows = top and bound.top is not None and star.is_plain_star and not bound.narrows
    for relation in shown:
        if narrows:
            relation.star = True
        else:
            relation.all_columns = True
    if star.is_columns:
        return
    bound.narrows = bound.narrows or narrows
    if star.at is None:
        _write_implied(binding, scope, shown, narrows)
    else:
        _leave_out_hidden(binding, star, shown)
        if narrows:
            _write_narrow(binding, star.start, star.end)


def _hidden(shown: list[Relation]) -> str:
    """Return the columns of relations that `*` does not show; they are known after binding."""
    return ", ".join(map(quoted, dict.fromkeys(h for r in shown for h in r.hidden)))


def _leave_out_hidden(binding: Binding, star: Node, shown: list[Relation]) -> None:
    """Add the hidden columns to the EXCLUDE of a `*`, or give it one."""

    def excluded(_: Frame) -> str:
        return f" EXCLUDE ({hidden})" if (hidden := _hidden(shown)) else ""

    def more(_: Frame) -> str:
        return f"{hidden}, " if (hidden := _hidden(shown)) else ""

    inside = binding.source.tokens_in(star.start, star.end)
    mark = next(token for token in inside if token.text == b"*")
    words = (n for n, token in enumerate(inside) if token.word in (b"exclude", b"except"))
    word = next(words, None)
    if word is None:
        binding.bound.edits.append(Edit(mark.end, mark.end, (excluded,), "wide"))
        return
    first = inside[word + 1]
    if first.text == b"(":
        binding.edit(first.end, first.end, more)
    else:
        binding.edit(first.start, first.end, "(", more, (first.start, first.end), ")")


def _write_implied(binding: Binding, scope: Scope, shown: list[Relation], narrows: bool) -> None:
    """Write the `SELECT *` that a text leaves out when it begins with FROM."""
    at = _begin_of_from(binding, scope)
    if at is None:
        return

    def whole(_: Frame) -> str:
        hidden = _hidden(shown)
        return f"SELECT * EXCLUDE ({hidden}) " if hidden else "SELECT * "

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
        names = ("key", ROW, *top.slots)
        return before + ", ".join(f"{alias}.{quoted(name)}" for name in names) + after

    binding.bound.edits.append(Edit(start, end, (columns,), "narrow"))


def _begin_of_from(binding: Binding, scope: Scope) -> int | None:
    """Return where `FROM x` without SELECT begins, or None for VALUES."""
    table = scope.node.from_table
    places = [node.at for node in nodes(table) if node.at is not None]
    if not places or table.type == "EXPRESSION_LIST":
        return None
    before = binding.source.tokens[: binding.source.number_at(min(places))]
    return next((token.start for token in reversed(before) if token.word == b"from"), None)
