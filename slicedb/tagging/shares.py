"""Run a callable over one share of the samples, in this process or in any other."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from slicedb.errors import ModelError
from slicedb.models.files import function_of
from slicedb.models.trust import vouch
from slicedb.progress import Bar
from slicedb.schema import content_of
from slicedb.store import Store
from slicedb.store.shares import Place, Tally
from slicedb.store.work import images_of
from slicedb.tagging import callables
from slicedb.tagging.callables import Captioner
from slicedb.tagging.definition import Tag, table_of
from slicedb.tagging.writing import ColumnWriter

TOGETHER = 512
"""Pictures of a callable after which its values are written."""
_SECONDS = 10.0
"""Seconds after which they are."""
_EXAMPLES = 3
_VALUE_BYTES = 1 << 10
"""Of a text that describes a picture; numbers take less."""


@dataclass(frozen=True)
class CallJob:
    """Which callable writes which column, in names."""

    tag: Tag
    kind: str | None
    """The type of the column, in Arrow's words."""
    overwrite: bool
    size: int
    """Pictures given to the callable at once."""

    @property
    def table(self) -> str:
        """The table of the written values."""
        return table_of(self.tag.name)

    @property
    def row_bytes(self) -> int:
        """Bytes of a value, roughly."""
        return _VALUE_BYTES

    def open(self, store: Store, place: Place) -> Calling:
        """Load the function.

        Raises:
            ModelError: its code is not the code that was meant.
        """
        vouch(self.tag.what)
        function = function_of(self.tag.what)
        if callables.fingerprint_of(function) != self.tag.fingerprint:
            raise ModelError(
                f"The function {self.tag.what} is another one on {socket.gethostname()}.",
                "give all machines the same files and the same versions of packages.",
            )
        kind = None if self.kind is None else pa.type_for_alias(self.kind)
        args = (kind, self.overwrite, self.size, place.threads)
        return Calling(store, self.tag, function, *args)


class Calling:
    """Computes and writes the values of some samples.

    Args:
        store: the database.
        tag: the column.
        function: gives the values.
        kind: the type of the column; None takes that of the first values.
        overwrite: also write where a person gave or corrected the value.
        size: pictures given to the function at once.
        threads: that decode; None is one per core.
    """

    def __init__(
        self,
        store: Store,
        tag: Tag,
        function: Captioner,
        kind: pa.DataType | None,
        overwrite: bool,
        size: int,
        threads: int | None,
    ) -> None:
        self.kind = kind
        self._store, self._tag, self._function = store, tag, function
        self._overwrite, self._size, self._threads = overwrite, size, threads

    def __call__(self, rows: pa.Table, shown: Bar) -> Tally:
        """Run the callable on samples: id, key and content, (n,)."""
        store, tag = self._store, self._tag
        place = callables.title_of(self._function)
        writer = ColumnWriter(store, tag, overwrite=self._overwrite)
        failed, examples = 0, list[str]()
        items = images_of(store, rows)
        batches = callables.run(self._function, items, size=self._size, threads=self._threads)
        for start, values, errors in _chunks(batches):
            column = callables.column_of(values, self.kind, place)
            self.kind = column.type
            part = rows.slice(start, len(values))
            writer.write(marked(tag, part, pa.table({tag.name: column})))
            wrong = [i for i, error in enumerate(errors) if error is not None]
            failed += len(wrong)
            names = part["id"]
            room = _EXAMPLES - len(examples)
            examples += [f"{names[i].as_py()}: {errors[i]}" for i in wrong[:room]]
            shown.advance(len(values))
        return Tally(failed, examples=tuple(examples), written=(writer.written,))


def marked(tag: Tag, samples: pa.Table, values: pa.Table) -> pa.Table:
    """Return values behind the id, key and content of their samples and the fingerprint."""
    first = {name: samples[name] for name in ("id", "key", "content")}
    fingerprint = pa.array(np.full(len(samples), number(tag.fingerprint), np.int64))
    return pa.table({**first, "fingerprint": fingerprint, **{n: values[n] for n in tag.columns}})


def number(fingerprint: str) -> int:
    """Return 60 bits of a fingerprint, as tables keep them."""
    return int(content_of([fingerprint])[0])


def _chunks(
    batches: Iterator[tuple[list[str], list[object], list[str | None]]],
) -> Iterator[tuple[int, list[object], list[str | None]]]:
    """Yield the first row, values and errors of batches that are written together."""
    start, values, errors = 0, list[object](), list[str | None]()
    last = time.monotonic()
    for _, more, why in batches:
        values, errors = values + more, errors + why
        if len(values) >= TOGETHER or time.monotonic() - last > _SECONDS:
            yield start, values, errors
            start, values, errors, last = start + len(values), [], [], time.monotonic()
    if values:
        yield start, values, errors
