"""Bind `*`: it shows what the user stored, and none of the columns that ride along."""

from __future__ import annotations

from typing import Any

from slicedb.query.bind.names import Names
from slicedb.query.bound.bound import Edit, Frame, Part
from slicedb.query.bound.relation import ROW, Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.language.parse import NOWHERE, Node
from slicedb.sql import quoted


class Stars(Names):
    """Names, and what `*` means."""

    def star(self, star: Node, scope: Scope, top: bool) -> None:
        of = star.get("relation_name", "").lower()
        shown = [r for r in scope.relations if not of or r.alias.lower() == of]
        plain = not (
            star.get("exclude_list")
            or star.get("replace_list")
            or star.get("rename_list")
            or star.get("qualified_exclude_list")
        )
        narrows = top and self.bound.top is not None and plain and not self.bound.narrows
        for relation in shown:
            if narrows:
                relation.star = True
            else:
                relation.all_columns = True
        if star.get("columns"):
            return
        if narrows:
            self.bound.narrows = True
        self._edit_star(star, scope, shown, narrows)

    def _edit_star(self, star: Node, scope: Scope, shown: list[Relation], narrows: bool) -> None:
        def hidden(_: Frame) -> list[str]:
            return list(dict.fromkeys(h for r in shown for h in r.hidden))

        def excluded(frame: Frame) -> str:
            names = ", ".join(map(quoted, hidden(frame)))
            return f" EXCLUDE ({names})" if names else ""

        def more(frame: Frame) -> str:
            return "".join(quoted(name) + ", " for name in hidden(frame))

        if star["query_location"] == NOWHERE:
            start = self._implicit_star(scope)
            if start is None:
                return
            end = start
            before, after = "SELECT ", " "
            whole: tuple[Part, ...] = ("SELECT *", excluded, " ")
        else:
            start = star["query_location"]
            end = start + star["query_location_length"]
            inside = [t for t in self.source.tokens if start <= t.start < end]
            mark = next(t for t in inside if t.text == b"*")
            word = next(
                (n for n, t in enumerate(inside) if t.word in (b"exclude", b"except")), None
            )
            if word is None:
                self.bound.edits.append(Edit(mark.end, mark.end, (excluded,), "wide"))
            elif inside[word + 1].text == b"(":
                at = inside[word + 1].end
                self.bound.edits.append(Edit(at, at, (more,)))
            else:
                one = inside[word + 1]
                parts: tuple[Part, ...] = ("(", more, (one.start, one.end), ")")
                self.bound.edits.append(Edit(one.start, one.end, parts))
            before = after = ""
            whole = ()
        if narrows:
            assert self.bound.top is not None
            alias = quoted(self.bound.top.alias)
            listed = f'{before}{alias}."key", {alias}."{ROW}"'
            top = self.bound.top

            def scores(_: Frame) -> str:
                return "".join(f", {alias}.{quoted(slot)}" for slot in top.slots) + after

            self.bound.edits.append(Edit(start, end, (listed, scores), "narrow"))
        if whole:
            self.bound.edits.append(Edit(start, end, whole, "wide" if narrows else ""))

    def _implicit_star(self, scope: Scope) -> int | None:
        """Return where `FROM x` without SELECT begins, or None for VALUES."""
        places = [p for p in _places(scope.node["from_table"]) if p != NOWHERE]
        if not places or scope.node["from_table"]["type"] == "EXPRESSION_LIST":
            return None
        word = [t for t in self.source.tokens if t.word == b"from" and t.start < min(places)]
        return word[-1].start if word else None


def _places(value: Any) -> list[int]:
    if isinstance(value, list):
        return [p for item in value for p in _places(item)]
    if not isinstance(value, dict):
        return []
    own = [value["query_location"]] if "query_location" in value else []
    return own + [p for item in value.values() for p in _places(item)]
