"""Write a slice where other tools can read it: folder, CSV, Parquet, COCO, VOC, YOLO.

A format is one function. An installed package adds one as the `write` of its
`slicedb.ingest.Format`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.errors import SliceDBError, did_you_mean
from slicedb.export.coco import write_coco
from slicedb.export.folder import renamed, write_folder
from slicedb.export.outlines import outlines_of
from slicedb.export.tables import write_csv, write_parquet
from slicedb.export.voc import write_voc
from slicedb.export.whole import is_taken, written_whole
from slicedb.export.yolo import write_yolo
from slicedb.keys import Keys
from slicedb.show import numbers
from slicedb.show.tabular import Record

if TYPE_CHECKING:
    from slicedb.store import Store

__all__ = ["WRITERS", "ExportReport", "export", "writers"]

Exporter = Callable[["Store", Keys, Path], int]

WRITERS: dict[str, Exporter] = {
    "folder": write_folder,
    "csv": write_csv,
    "parquet": write_parquet,
    "coco": write_coco,
    "voc": write_voc,
    "yolo": write_yolo,
}
_BY_SUFFIX = {".csv": "csv", ".parquet": "parquet", ".json": "coco"}
_TAKEN = frozenset(
    """
    .tsv .jsonl .xlsx .xml .txt .yaml .zip .tar .arrow .feather .pkl .npz .h5 .tfrecord .tfrecords
    .lance .slicedb
    """.split()
)
"""Endings that name another kind of file, so that no folder is made of them by mistake."""


def writers() -> dict[str, Exporter]:
    """Return the formats that can be written, by name, those of installed packages included."""
    from slicedb.ingest import FORMATS

    more = {**FORMATS.added, **FORMATS.installed}
    return WRITERS | {name: form.write for name, form in more.items() if form.write is not None}


@dataclass(frozen=True)
class ExportReport(Record):
    """What was written."""

    n: int
    form: str
    dest: str
    notes: tuple[str, ...] = ()
    """What is named otherwise than in the database."""

    def __str__(self) -> str:
        text = f"{numbers.count(self.n, 'sample')} written to {self.dest} ({self.form})"
        return "\n".join([text, *(f"Note: {note}" for note in self.notes)])


def export(
    store: Store, keys: Keys, dest: str | os.PathLike[str], *, form: str | None = None
) -> ExportReport:
    """Write samples and their metadata, in the order of the keys; see `Database.export`."""
    path = Path(dest)
    suffix = path.suffix.lower()
    if form is None and suffix in _TAKEN:
        raise SliceDBError(
            f"No export format for '{suffix}' ({path.name}).",
            f"end the name in {', '.join(_BY_SUFFIX)}, or give a folder.",
        )
    form = form or _BY_SUFFIX.get(suffix, "folder")
    write = WRITERS.get(form) or writers().get(form)
    if write is None:
        known = did_you_mean(form, writers(), "formats")
        raise SliceDBError(f"No export format '{form}'.", known)
    if is_taken(path):
        raise SliceDBError(f"'{path}' exists already.", "name a new file or folder.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        notes = tuple(renamed(store, keys)) if form == "folder" else ()
        if form in ("voc", "yolo"):
            notes = tuple(outlines_of(store, keys).lost(form))
        with written_whole(path) as part:
            n = write(store, keys, part)
        return ExportReport(n, form, str(path), notes)
    except OSError as error:
        raise SliceDBError(
            f"'{path}' cannot be written: {error.strerror or error}.", "name another place."
        ) from error
