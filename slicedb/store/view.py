"""Show a Lance table to DuckDB in types that it can read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

if TYPE_CHECKING:
    import lance


class ArrowView(pads.Dataset):
    """A Lance dataset without the columns DuckDB cannot bind.

    DuckDB refuses a dataset that has a half-precision column even when it is not asked for, and
    some filters it pushes down raise in Lance; those are applied by pyarrow to what was read.

    Args:
        dataset: the table at a version.
        reading: names the table and the file in what is raised while it is read.
    """

    def __init__(
        self,
        dataset: lance.LanceDataset,
        reading: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._dataset = dataset
        self._reading = reading
        self._schema = pa.schema([f for f in dataset.schema if _is_bindable(f.type)])

    @property
    def schema(self) -> pa.Schema:
        return self._schema

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: pc.Expression | None = None,
        batch_size: int = 65536,
        **_: object,
    ) -> pads.Scanner:
        names = list(columns) if columns is not None else self._schema.names
        try:
            scanner = self._dataset.scanner(columns=names, filter=filter, batch_size=batch_size)
            schema = scanner.projected_schema  # planning happens here, and raises here
            return pads.Scanner.from_batches(self._batches(scanner), schema=schema)
        except (OSError, ValueError, NotImplementedError):
            reader = self._dataset.scanner(batch_size=batch_size, columns=self._schema.names)
            return pads.Scanner.from_batches(
                self._batches(reader), schema=self._schema, columns=names, filter=filter
            )

    def _batches(self, scanner: lance.LanceScanner) -> Iterator[pa.RecordBatch]:
        with self._reading():
            yield from scanner.to_batches()

    def count_rows(self, filter: pc.Expression | None = None, **_: object) -> int:
        return int(self._dataset.count_rows(filter))


def _is_bindable(kind: pa.DataType) -> bool:
    if pa.types.is_float16(kind):
        return False
    if pa.types.is_nested(kind):
        return all(_is_bindable(kind.field(i).type) for i in range(kind.num_fields))
    return True
