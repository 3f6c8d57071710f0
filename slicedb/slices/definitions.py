"""Resolve the names of slices, and check whether a text can be a slice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.errors import BindError, SliceError, did_you_mean
from slicedb.keys import Keys
from slicedb.schema import SAMPLES
from slicedb.slices.calibration import SliceCalibration
from slicedb.slices.slice import Slice
from slicedb.slices.table import SliceTable
from slicedb.vectors.pictures import KEPT, named_in

if TYPE_CHECKING:
    from slicedb.query import Query
    from slicedb.vectors import Calibrated

_IN_SLICE = re.compile(r"\bin_slice\s*\(\s*'((?:[^']|'')*)'", re.IGNORECASE)
_NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


class SliceDefinitions:
    """The definitions of all slices: the registered ones, and texts that stand before them."""

    def __init__(self, table: SliceTable) -> None:
        self._table = table
        self._texts: dict[str, str | Keys] = {}  # what stands before the registered ones

    @contextmanager
    def standing(self, texts: Mapping[str, str | Keys]) -> Iterator[None]:
        """Let texts, or the members of frozen slices, stand before the registered slices."""
        before = self._texts
        self._texts = {**before, **texts}
        try:
            yield
        finally:
            self._texts = before

    def get(self, name: str) -> Slice:
        """Return a registered slice, by `name` or `name@version`.

        Raises:
            UnknownSliceError: there is no such slice or version.
        """
        return self._table.get(name, self._texts)

    def text_or_keys(self, name: str) -> str | Keys:
        """Return the text of a live slice, or the int64 keys of a frozen one.

        Raises:
            UnknownSliceError: there is no such slice.
        """
        if name in self._texts:
            standing = self._texts[name]
            return self.question(name, standing) if isinstance(standing, str) else standing
        s = self.get(name)
        return s.question if s.kind == "live" else self._table.members(s, present=False)[0]

    def question(self, name: str, text: str) -> str:
        """Return a text, bound to the calibration of the slice of that name that has it."""
        return text if self.calibration(name, text) is None else self.get(name).question

    def calibration(self, name: str, text: str) -> SliceCalibration | None:
        """Return the calibration of a slice, which holds as long as its text is the same."""
        registered = self._table.latest().get(name)
        return registered.calibration if registered and registered.text == text else None

    def calibrated(self, name: str) -> Calibrated:
        """Return what `matches(..., calibrated => name)` obeys.

        Raises:
            UnknownSliceError: there is no such slice.
            SliceError: it is not calibrated.
        """
        calibration = self.get(name).calibration
        if calibration is None:
            hint = f"`slicedb slice calibrate {name}`."
            raise SliceError(f"Slice '{name}' is not calibrated.", hint)
        return calibration.calibrated

    def validate(self, text: str) -> Query:
        """Return the query of a text that gives samples.

        Raises:
            SliceError: it gives groups or counts, or other samples each time.
        """
        refuse_handed(text)
        try:
            query = self._table.ask(text)
        except BindError as error:
            if error.token in self._table:
                error.hint = f"in_slice('{error.token}') is the slice of that name."
            raise
        if not query.is_rows:
            raise SliceError(
                "The query gives groups, not samples.", "a slice's rows keep the column id."
            )
        if query.chance:
            raise SliceError(
                f"The query gives other samples each time it is asked: {query.chance}.",
                "ORDER BY hash(id) LIMIT 100 draws the same ones, as query.take(100) does.",
            )
        return query

    def check_group(self, group: str) -> None:
        """Raise SliceError when there is no such column of samples, or it holds lists."""
        if not group:
            return
        columns = self._table.store.schema(SAMPLES)
        if group not in columns.names:
            hint = did_you_mean(group, columns.names, "columns")
            raise SliceError(f"No column '{group}' in samples to group by.", hint)
        if pa.types.is_nested(columns.field(group).type):
            raise SliceError(f"The column '{group}' holds lists.", "group by a plain column.")

    def check_loops(self, texts: Mapping[str, str], names: Iterable[str] | None = None) -> None:
        """Raise SliceError, which shows the ring, when slices and texts are made of each other.

        Args:
            texts: what stands before the registered slices.
            names: those that are looked at; None is all of the texts.
        """
        live = {s.name: s.text for s in self._table.latest().values() if s.kind == "live"}
        for name in texts if names is None else names:
            _follow(name, live | dict(texts), ())


def refuse_handed(text: str) -> None:
    """Raise SliceError where a text compares with a picture that nobody keeps."""
    if named_in(text):
        raise SliceError("The query compares with a picture that was handed in, not kept.", KEPT)


def references(text: str) -> list[str]:
    """Return the slices that a text names by `in_slice`, each once.

    >>> references("in_slice('a') AND NOT in_slice('b') -- in_slice('c')")
    ['a', 'b']
    """
    return list(dict.fromkeys(_IN_SLICE.findall(_NOT_CODE.sub(" ", text))))


def _follow(name: str, texts: Mapping[str, str], path: tuple[str, ...]) -> None:
    if name in path:
        ring = " -> ".join([*path[path.index(name) :], name])
        raise SliceError(f"Slices are made of each other: {ring}.", "break the ring.")
    for other in references(texts.get(name, "")):
        _follow(other, texts, (*path, name))
