"""Say which chip decoded the pictures of some work, where a GPU was asked to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicedb.show.numbers import count

if TYPE_CHECKING:
    from slicedb.store.tables import Store

_KEY = "slicedb:decoded_by_gpu"


@dataclass(frozen=True)
class Decoded:
    """What a GPU and the CPU decoded; all zero where the CPU alone was to do it."""

    on_gpu: int = 0
    """Pictures that a GPU decoded."""
    on_cpu: int = 0
    """Pictures that the CPU decoded although a GPU was to do it, or was tried."""
    by: tuple[str, ...] = ()
    """What decoded on the GPU."""
    why: tuple[str, ...] = ()
    """Why no GPU did."""

    def __add__(self, other: Decoded) -> Decoded:
        return Decoded(
            self.on_gpu + other.on_gpu,
            self.on_cpu + other.on_cpu,
            tuple(dict.fromkeys(self.by + other.by)),
            tuple(dict.fromkeys(self.why + other.why)),
        )

    def notes(self) -> tuple[str, ...]:
        """Return the lines of a report.

        >>> Decoded(1200, 34, ("nvJPEG by torchvision 0.26",)).notes()
        ('1,200 pictures were decoded by the GPU (nvJPEG by torchvision 0.26), 34 by the CPU.',)
        >>> Decoded().notes()
        ()
        """
        lines = []
        if self.on_gpu:
            pictures = count(self.on_gpu, "picture was", "pictures were")
            others = f", {self.on_cpu:,} by the CPU" if self.on_cpu else ""
            lines.append(f"{pictures} decoded by the GPU ({', '.join(self.by)}){others}.")
        if self.why or (self.on_cpu and not self.on_gpu):
            why = "; ".join(self.why) or "too few of them are plain JPEGs"
            lines.append(f"The CPU decoded: {why}.")
        return tuple(lines)

    def record(self, store: Store, table: str) -> None:
        """Add to what a table says of pictures that a GPU decoded; nothing where none was."""
        if self.on_gpu and store.has(table):
            store.change_metadata(table, _KEY, self._after)

    def _after(self, text: str | None) -> str:
        before = json.loads(text or "{}")
        by = dict.fromkeys([*before.get("by", ()), *self.by])
        return json.dumps({"pictures": before.get("pictures", 0) + self.on_gpu, "by": list(by)})


def decoded_by_gpu(store: Store, table: str) -> str:
    """Return what a table says of pictures that a GPU decoded, in words; "" where none was."""
    text = store.metadata(table).get(_KEY) if store.has(table) else None
    if not text:
        return ""
    facts = json.loads(text)
    pictures = count(facts["pictures"], "picture was", "pictures were")
    return f"{pictures} decoded by a GPU ({', '.join(facts['by'])})"
