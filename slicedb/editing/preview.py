"""Show samples as one author's pending decisions would leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slicedb.editing.deciding import look_up, pending_by_sample
from slicedb.editing.entry import Edit, author_of
from slicedb.editing.folding import effective, overlaid
from slicedb.editing.wanted import Values
from slicedb.store import Store


@dataclass(frozen=True)
class Preview:
    """A sample as it would be if an author's pending decisions were applied."""

    label: str | None
    labels: tuple[str, ...] | None
    """Of a sample that may have several; None where it was never said which it has."""
    tags: tuple[str, ...]
    boxes: tuple[Values, ...]
    """As `objects` has them; a decision names them by their place, from 1."""
    is_gone: bool
    """Whether it would be deleted."""
    edits: tuple[Edit, ...]
    """The decisions that count, the first one first."""


def preview(store: Store, ids: Sequence[str], author: str | None = None) -> dict[str, Preview]:
    """Return samples with an author's pending decisions laid over them, by id.

    Args:
        store: the database.
        ids: the samples.
        author: by default SLICEDB_AUTHOR, or the user.

    Raises:
        UnknownSampleError: there is no such sample.
    """
    rows = look_up(store, ids)
    pending = pending_by_sample(store, author_of(author), ids)
    shown = {}
    for sample, row in rows.items():
        edits = pending.get(sample, [])
        now, is_gone = overlaid(row, edits)
        labels = None if now["labels"] is None else tuple(now["labels"])
        shown[sample] = Preview(
            now["label"],
            labels,
            tuple(now["tags"] or ()),
            tuple(now["objects"] or ()),
            is_gone,
            tuple(effective(edits)),
        )
    return shown
