"""What is in a database: a dictionary that shows itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from slicedb.schema import spoken
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Part, Tabular

if TYPE_CHECKING:
    import pyarrow as pa


class Info(dict[str, Any], Tabular):
    """The facts that `Database.info` gives, by name."""

    def to_arrow(self) -> pa.Table:
        """Return one row per table of the database."""
        import pyarrow as pa

        return pa.Table.from_pylist(self["tables"])

    def parts(self) -> Iterable[Part]:
        """Yield where it is, what it has, and its tables."""
        status = ", ".join(f"{n:,} {name}" for name, n in self["status"].items()) or "none"
        yield f"{self['path']} (format {self['format']})"
        yield f"samples: {self['samples']:,} ({status})"
        brought = ", ".join(f"{name} ({kind})" for name, kind in self["metadata"].items())
        yield f"metadata: {brought or 'none'}"
        for line in self.get("written", ()):
            yield f"written by a model: {line}"
        for word in ("embeddings", "maps", "predictions", "slices"):
            if word == "maps" and not self.get(word):
                continue
            yield f"{word}: {', '.join(self[word]) or 'none'}"
        if self.get("stale"):
            stale = ", ".join(
                f"{n:,} {table.replace('__', ' of ', 1)}" for table, n in self["stale"].items()
            )
            yield f"stale, since their pictures changed: {stale}"
        tables = self["tables"]
        if tables:
            head = list(tables[0])
            called = [{**row, "table": spoken(row["table"])} for row in tables]
            rows = [[numbers.value(row[name]) for name in head] for row in called]
            yield ""
            yield Grid(head, rows)
