"""Bind the functions SliceDB adds: each becomes plain SQL over the samples relation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from slicedb.errors import BindError, did_you_mean
from slicedb.query.bound.bound import Bound, Edit, Part, Search, SubQuery
from slicedb.query.bound.relation import Relation
from slicedb.query.bound.scope import Scope
from slicedb.query.functions import cams, objects
from slicedb.query.functions import meanings as meaningcalls
from slicedb.query.functions import texts as textcalls
from slicedb.query.functions.words import BY_NAME
from slicedb.query.language.parse import Node
from slicedb.query.language.text import Token
from slicedb.sql import quoted
from slicedb.vectors import Term

if TYPE_CHECKING:
    from slicedb.query.bind.bind import Binder

SliceOf: TypeAlias = Callable[["Binder", str, Node], "Bound | str"]
"""Gives the bound text of a live slice, or the registered table of a frozen one."""


class Call:
    """One call of a function of ours, its arguments sorted into positional and named."""

    def __init__(self, binder: Binder, node: Node, scope: Scope) -> None:
        self.binder = binder
        self.node = node
        self.scope = scope
        self.word = BY_NAME[str(node["function_name"]).lower()]
        self.start = int(node["query_location"])
        self.end, self.spans = spans(binder.source.tokens, self.start)
        self.positional: list[Node] = []
        self.named: dict[str, Node] = {}
        for argument in node["arguments"]:
            name, value = str(argument["name"]).lower(), argument["expression"]
            if not name:
                self.positional.append(value)
            elif name in self.word.named:
                self.named[name] = value
            else:
                hint = did_you_mean(name, self.word.named, "options")
                message = f"{self.word.name} has no option '{name}'."
                raise binder.error(BindError, message, hint, value)
        if not self.word.least <= len(self.positional) <= self.word.most:
            raise self.error(f"{self.word.name} is given {len(self.positional)} arguments.")

    def error(self, message: str, at: Node | None = None, hint: str = "") -> BindError:
        """Return an error that points at the call, or at one argument."""
        hint = hint or f"{self.word.signature}."
        error: BindError = self.binder.error(BindError, message, hint, at or self.node)
        return error

    def text(self, value: Node) -> str:
        """Return an argument that must be a text, written out."""
        if value["class"] != "CONSTANT" or value["literal"]["kind"] != "STRING":
            hint = "text goes in single quotes."
            raise self.error(f"{self.word.name} needs a text written out here.", value, hint)
        text = str(value["literal"]["text"])
        if not text.strip():
            raise self.error(f"{self.word.name} is given an empty text.", value)
        return text

    def number(self, value: Node) -> float:
        """Return an argument that must be a number, written out."""
        try:
            if value["class"] == "CONSTANT" and value["literal"]["kind"] in ("INTEGER", "NUMERIC"):
                return float(value["literal"]["text"])
        except ValueError:
            pass
        raise self.error(f"{self.word.name} needs a number written out here.", value)

    def flag(self, name: str, default: bool) -> bool:
        """Return an option that must be true or false, written out."""
        value = self.named.get(name)
        if value is None:
            return default
        if value["class"] == "CONSTANT" and value["literal"]["kind"] == "BOOLEAN":
            return str(value["literal"]["text"]).lower() == "true"
        raise self.error(f"{name} is true or false.", value)

    def span(self, value: Node) -> tuple[int, int]:
        """Return the place of an argument; what stands there is bound too."""
        self.binder.walk(value, self.scope)
        number = next(n for n, a in enumerate(self.node["arguments"]) if a["expression"] is value)
        return self.spans[number]

    def replace(self, *parts: Part) -> None:
        """Write these parts instead of the call."""
        self.binder.bound.edits.append(Edit(self.start, self.end, parts))

    def anchor(self) -> Relation:
        """Return the samples relation the call speaks of."""
        return self.binder.anchor(self.node, self.scope)

    def scores(self, term: Term | Search) -> str:
        """Note a term and return its column of scores."""
        anchor, pool = self.anchor(), self.binder.pool
        self.binder.bound.meanings[int(self.node["query_location"])] = term
        slot = pool.terms.setdefault(term, f"~t{len(pool.terms)}")
        if slot not in anchor.sample.slots:
            anchor.sample.slots.append(slot)
        return anchor.of_sample(slot)

    def holds(self, term: Term, least: float) -> None:
        """Write that a term is at least a number, which is rounded to float32."""
        rounded = float(np.float32(least))
        column = self.scores(term)
        self.binder.bound.least[int(self.node["query_location"])] = rounded
        self.replace(f"({column} >= '{rounded!r}'::FLOAT)")  # a text is rounded once


def spans(tokens: tuple[Token, ...], start: int) -> tuple[int, list[tuple[int, int]]]:
    """Return where a call ends, and the place of each of its arguments."""
    first = next(n for n, token in enumerate(tokens) if token.start >= start)
    opened = next(n for n in range(first, len(tokens)) if tokens[n].text == b"(")
    depth, spans, begin = 0, [], opened + 1
    for number in range(opened, len(tokens)):
        text = tokens[number].text
        depth += (text in (b"(", b"[", b"{")) - (text in (b")", b"]", b"}"))
        if (depth == 1 and text == b",") or depth == 0:
            if begin + 2 < number and tokens[begin + 1].text in (b"=>", b":="):
                begin += 2
            if begin < number:
                spans.append((tokens[begin].start, tokens[number - 1].end))
            begin = number + 1
        if depth == 0:
            return tokens[number].end, spans
    raise AssertionError("DuckDB parsed a call that does not end")


def end_of(tokens: tuple[Token, ...], start: int) -> int:
    """Return where the call that starts there ends."""
    return spans(tokens, start)[0]


def bind(binder: Binder, node: Node, scope: Scope) -> None:
    """Bind one call.

    Raises:
        BindError: its arguments do not fit.
        SandboxError: it reads a file where that is not allowed.
    """
    call = Call(binder, node, scope)
    _BINDERS[call.word.name](call)


def _in_slice(call: Call) -> None:
    name = call.text(call.positional[0])
    anchor = call.anchor()
    found = call.binder.slice_of(call.binder, name, call.positional[0])
    alias = quoted(anchor.alias)
    if isinstance(found, str):
        call.replace(f'({alias}."key" IN (SELECT "key" FROM {quoted(found)}))')
        return
    call.binder.bound.parts.append(found)
    column = "key" if found.narrows else "id"
    anchor.columns.add(column)  # boxes have their sample's key and id too
    head = f'({alias}."{column}" IN (SELECT "{column}" FROM (\n'
    call.replace(head, SubQuery(found), "\n)))")


def _has_tag(call: Call) -> None:
    anchor = call.anchor()
    anchor.sample.columns.add("tags")
    tags = anchor.of_sample("tags", "samples.tags")
    span = call.span(call.positional[0])
    call.replace(f"coalesce(list_contains({tags}, ", span, "), false)")


def _in_split(call: Call) -> None:
    anchor = call.anchor()
    anchor.sample.columns.add("split")
    split = anchor.of_sample("split", "samples.split")
    span = call.span(call.positional[0])
    call.replace(f"coalesce({split} = (", span, "), false)")


_BINDERS: dict[str, Callable[[Call], None]] = {
    **meaningcalls.BINDERS,
    "search": textcalls.search,
    "fuse": textcalls.fuse,
    "in_slice": _in_slice,
    "has_tag": _has_tag,
    "in_split": _in_split,
    **objects.BINDERS,
    **cams.BINDERS,
}
