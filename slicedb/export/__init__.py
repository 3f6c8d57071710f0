"""Write a slice where other tools can read it: the formats that are read, in the other direction.

A format is the `write` of its `slicedb.ingest.Format`, built in or of an installed package.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.errors import SliceDBError, did_you_mean
from slicedb.export.labelmaps import count_maps
from slicedb.export.whole import is_taken, written_whole
from slicedb.ingest import FORMATS
from slicedb.ingest.format import Format, Writer, Written
from slicedb.keys import Keys
from slicedb.show import numbers
from slicedb.show.tabular import Record

if TYPE_CHECKING:
    from slicedb.store import Store

__all__ = ["ExportReport", "export", "writers"]

_WITH_MAPS = ("coco", "masks")
"""Formats that label maps are written in."""
_TAKEN = frozenset(
    """
    .tsv .jsonl .xlsx .xml .txt .yaml .zip .tar .arrow .feather .pkl .npz .h5 .tfrecord .tfrecords
    .lance .slicedb
    """.split()
)
"""Endings that name another kind of file, so that no folder is made of them by mistake."""


def writers() -> dict[str, Format]:
    """Return the formats that can be written, by name, those of installed packages included."""
    return {name: form for name, form in FORMATS.items() if form.write is not None}


def _by_ending(suffix: str) -> str | None:
    """Return the format that an ending means; those of installed packages come last."""
    own = (form for form in FORMATS.values() if form.write is not None)
    return next((form.name for form in own if suffix and suffix in form.endings), None)


@dataclass(frozen=True)
class ExportReport(Record):
    """What was written."""

    n: int
    form: str
    dest: str
    notes: tuple[str, ...] = ()
    """What the format has no room for, counted, and what is named otherwise."""

    def __str__(self) -> str:
        text = f"{numbers.count(self.n, 'sample')} written to {self.dest} ({self.form})"
        return "\n".join([text, *(f"Note: {note}" for note in self.notes)])


def export(
    store: Store, keys: Keys, dest: str | os.PathLike[str], *, form: str | None = None
) -> ExportReport:
    """Write samples and their metadata, in the order of the keys; see `Database.export`."""
    path = Path(dest)
    suffix = path.suffix.lower()
    chosen = form or _by_ending(suffix)
    if chosen is None and suffix in _TAKEN:
        known = sorted({end for member in writers().values() for end in member.endings})
        raise SliceDBError(
            f"No export format for '{suffix}' ({path.name}).",
            f"end the name in {', '.join(known)}, or give a folder.",
        )
    chosen = chosen or "folder"
    write = _writer(chosen)
    if is_taken(path):
        raise SliceDBError(f"'{path}' exists already.", "name a new file or folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            written = write(store, keys, part)
        if isinstance(written, int):
            written = Written(written)
        notes = (*written.notes, *_lost_maps(store, keys, chosen))
        return ExportReport(written.n, chosen, str(path), notes)
    except OSError as error:
        raise SliceDBError(
            f"'{path}' cannot be written: {error.strerror or error}.", "name another place."
        ) from error


def _writer(form: str) -> Writer:
    """Return the function that writes a format.

    Raises:
        SliceDBError: there is no such format, or it is only read.
    """
    write = FORMATS[form].writer() if form in FORMATS else None
    if write is None:
        raise SliceDBError(f"No export format '{form}'.", did_you_mean(form, writers(), "formats"))
    return write


def _lost_maps(store: Store, keys: Keys, form: str) -> list[str]:
    """Return a note on label maps that a format has no place for."""
    n = 0 if form in _WITH_MAPS or form not in FORMATS.builtin else count_maps(store, keys)
    if not n:
        return []
    text = numbers.count(n, "label map")
    return [f"{text} left out: {form} has no place for them. coco and masks keep them."]
