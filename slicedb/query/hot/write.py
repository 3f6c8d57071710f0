"""Write a bound text as SQL, and keep the way back from each place to the user's text."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, replace

from slicedb.query.bound.bound import Bound, Edit, Frame, SubQuery
from slicedb.query.bound.relation import ROW, Relation
from slicedb.query.hot.relations import hot_relation
from slicedb.query.language.text import Source
from slicedb.sql import quoted

TypesOf = Callable[[Relation], dict[str, str]]
"""Gives the DuckDB type of every column a relation can show."""


@dataclass
class Written:
    """SQL to run, and where each piece of it came from."""

    chunks: list[bytes]
    marks: list[tuple[int, Source, int, bool]]
    """(offset in the SQL, source, offset there, whether the text is the user's own)."""
    size: int = 0

    @property
    def sql(self) -> str:
        """The SQL."""
        return b"".join(self.chunks).decode()

    def add(self, text: bytes, source: Source, origin: int, verbatim: bool) -> None:
        """Append a piece."""
        if text:
            self.marks.append((self.size, source, origin, verbatim))
            self.chunks.append(text)
            self.size += len(text)

    def locate(self, offset: int) -> tuple[Source, int] | None:
        """Return the source that an offset in the SQL came from, and the place in it."""
        at = bisect.bisect_right(self.marks, offset, key=lambda mark: mark[0]) - 1
        if at < 0:
            return None
        start, source, origin, verbatim = self.marks[at]
        return source, origin + (offset - start if verbatim else 0)


class Writer:
    """Writes one bound text in one frame."""

    def __init__(self, frame: Frame, types_of: TypesOf) -> None:
        self.frame = frame
        self.types_of = types_of
        self.written = Written([], [])
        self._sorted: dict[tuple[int, bool, bool], list[Edit]] = {}

    def write(self, bound: Bound) -> Written:
        """Return the whole text as SQL."""
        self._span(bound, 0, len(bound.source.sql), self.frame)
        return self.written

    def candidates(self, bound: Bound, conditions: tuple[tuple[int, int], ...]) -> Written:
        """Return SQL for the row numbers of `bound.top` where all conditions hold."""
        assert bound.top is not None
        alias = quoted(bound.top.alias)
        relation = hot_relation(bound.top, self.frame)
        head = f'SELECT {alias}."{ROW}" AS row FROM {relation} AS {alias} WHERE true'
        self.written.add(head.encode(), bound.source, 0, False)
        for start, end in conditions:
            self.written.add(b" AND (", bound.source, start, False)
            self._span(bound, start, end, self.frame)
            self.written.add(b"\n)", bound.source, start, False)
        return self.written

    def _span(self, bound: Bound, start: int, end: int, frame: Frame) -> None:
        done = start
        for edit in self._edits(bound, start, end, frame):
            if edit.start < done or edit.end > end:
                continue
            self._verbatim(bound, done, edit.start)
            self._parts(bound, edit, frame)
            done = edit.end
        self._verbatim(bound, done, end)

    def _edits(self, bound: Bound, start: int, end: int, frame: Frame) -> list[Edit]:
        slot = (id(bound), frame.narrow, frame.ordered)
        if slot not in self._sorted:
            when = {"", "narrow" if frame.narrow else "wide"}
            when |= {"ordered"} if frame.ordered else set()
            edits = [edit for edit in bound.edits if edit.when in when]
            self._sorted[slot] = sorted(edits, key=lambda e: (e.start, e.start == e.end, -e.end))
        edits = self._sorted[slot]
        first = bisect.bisect_left(edits, start, key=lambda e: e.start)
        last = bisect.bisect_right(edits, end, key=lambda e: e.start)
        return [edit for edit in edits[first:last] if edit.end <= end]

    def _verbatim(self, bound: Bound, start: int, end: int) -> None:
        self.written.add(bound.source.sql[start:end], bound.source, start, True)

    def _parts(self, bound: Bound, edit: Edit, frame: Frame) -> None:
        for part in edit.parts:
            if isinstance(part, tuple):
                self._inner(bound, edit, part, frame)
                continue
            if isinstance(part, SubQuery):
                inner = part.bound
                sub = replace(
                    frame,
                    narrow=inner.narrows,
                    ordered=inner.top is not None,
                    pruned=None,
                    named=False,
                    keyed=True,
                )
                self._span(inner, 0, len(inner.source.sql), sub)
                continue
            if isinstance(part, Relation):
                text = self._relation(part, frame)
            else:
                text = part if isinstance(part, str) else part(frame)
            self.written.add(text.encode(), bound.source, edit.start, False)

    def _inner(self, bound: Bound, edit: Edit, span: tuple[int, int], frame: Frame) -> None:
        if span == (edit.start, edit.end):
            self._verbatim(bound, *span)
        else:
            self._span(bound, *span, frame)

    def _relation(self, relation: Relation, frame: Frame) -> str:
        if frame.schema == "bare":
            return self._bare(relation, frame)
        return hot_relation(relation, frame)

    def _bare(self, relation: Relation, frame: Frame) -> str:
        """Return a relation of the right types and no rows."""
        types = self.types_of(relation)
        names = relation.wanted(frame.narrow) + relation.hidden
        shown = ", ".join(f"NULL::{types[name]} AS {quoted(name)}" for name in names)
        return f"(SELECT {shown} LIMIT 0)"
