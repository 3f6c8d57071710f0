"""One format of sources: built in, or from an installed package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from slicedb.ingest.source import Options, Source
from slicedb.plugins import Registry
from slicedb.sources import Location

if TYPE_CHECKING:
    from slicedb.keys import Keys
    from slicedb.store import Store


@dataclass(frozen=True)
class Written:
    """What a writer wrote."""

    n: int
    """Samples."""
    notes: tuple[str, ...] = ()
    """What the format has no room for, counted, and what is named otherwise; a sentence each."""


Writer: TypeAlias = "Callable[[Store, Keys, Path], int | Written]"
"""Writes samples, int64 (n,) keys in order, to a new folder or file; returns how many."""


@dataclass(frozen=True)
class Format:
    """One format of sources. A package adds one by an entry point in the group `slicedb.formats`.

    A reader looks, opens, and yields rows in batches as they are asked for; verifying and hashing
    the images, recognising known ones, quarantine, threads and storage are SliceDB's.

    Example:
        def open_shots(location, options):
            lines = location.read_text().split()
            paths = [location.parent.join(line).path for line in lines]
            ids = [options.id_of(line) for line in lines]
            rows = pa.RecordBatch.from_pydict({"id": ids, "uri": paths})
            return Source(where=location.path, fields=[], batches=[rows], total=len(ids))

        SHOTS = Format("shots", "a list of shots", lambda l: l.suffix == ".shots", open_shots)
    """

    name: str
    """The word a user picks it by: `slicedb ingest SOURCE --as NAME`."""
    title: str
    """What errors call it, with its article: "a CSV or TSV file"."""
    recognises: Callable[[Location], bool]
    """Whether a location that exists is of this format; quick, and reads a few bytes at most."""
    open: Callable[[Location, Options], Source]
    """Opens a location. Raises `SourceError` where something is broken, with its place, before
    anything is written."""
    write: Writer | str | None = None
    """Writes samples for `slicedb export`; "module:function" of one that is imported when it is
    used. None: the format is only read."""
    takes: frozenset[str] = frozenset({"images", "columns", "split_folders"})
    """Which of these options of an ingest do something; one that would do nothing is refused."""

    endings: tuple[str, ...] = ()
    """Endings of files that an export is written to in this format without being asked."""

    def writer(self) -> Writer | None:
        """Return the function that writes the format; None where it is only read."""
        if not isinstance(self.write, str):
            return self.write
        module, _, name = self.write.partition(":")
        function: Writer = getattr(import_module(module), name)
        return function


def _problem(member: Format) -> str:
    return "" if isinstance(member, Format) else f"{member!r} is no slicedb.ingest.Format."


FORMATS: Registry[Format] = Registry(
    "slicedb.formats",
    (
        "slicedb.ingest.cvat:CVAT",
        "slicedb.ingest.voc:VOC",
        "slicedb.ingest.labelstudio:LABEL_STUDIO",
        "slicedb.ingest.coco:COCO",
        "slicedb.ingest.yolo:YOLO",
        "slicedb.ingest.shards:SHARDS",
        "slicedb.ingest.maskfolder:LABEL_MAPS",
        "slicedb.ingest.folder:FOLDER",
        "slicedb.ingest.csv:CSV",
        "slicedb.ingest.parquet:PARQUET",
        "slicedb.ingest.webdataset:WEBDATASET",
        "slicedb.ingest.huggingface:HUGGING_FACE",
        "slicedb.ingest.copied:COPY",
        "slicedb.ingest.panlabel:PANLABEL",
    ),
    check=_problem,
)
"""The formats by name."""

_GENERAL = "folder"
"""Every folder is a folder of images, so this format is tried after those of packages."""


def recognise(location: Location) -> Format | None:
    """Return the format of a location that exists; None where no reader knows it."""
    names = [*(name for name in FORMATS if name != _GENERAL), _GENERAL]
    return next((FORMATS[name] for name in names if FORMATS[name].recognises(location)), None)
