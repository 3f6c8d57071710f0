"""Write an image folder: `dest/<split>/<class>/<name>`, with metadata.csv beside it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.export.tables import flatten, metadata

if TYPE_CHECKING:
    from slicedb.store import Store

_SUFFIX = {
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "TIFF": ".tif",
    "BMP": ".bmp",
}

_LONGEST = 200
"""Bytes of one part of a path, 255 on most file systems, with room for a number."""
_DEEPEST = 2000
"""Bytes of a whole path below the folder; one that is longer keeps its last part alone."""


def write_folder(store: Store, keys: np.ndarray, path: Path) -> int:
    """Write the encoded bytes as they were ingested; metadata.csv has a `path` column.

    The layout is what `slicedb ingest` reads back: `split/class/` where samples have both,
    `class/` where they have a label alone.
    """
    from pyarrow import csv

    path.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    writer = None
    with (path / "metadata.csv").open("wb") as file:
        for chunk, table in metadata(store, keys):
            names = [_unique(name, taken) for name in _names(table)]
            for name, (_, data) in zip(names, store.read_images(chunk), strict=True):
                target = path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            flat = flatten(table).add_column(0, "path", pa.array(names, pa.string()))
            writer = writer or csv.CSVWriter(file, flat.schema)
            writer.write(flat)
        if writer is not None:
            writer.close()
    return len(keys)


def write_images(
    store: Store,
    keys: np.ndarray,
    names: list[str],
    folder: Path,
    taken: set[str],
    *,
    by_stem: bool = False,
) -> list[str]:
    """Write the encoded bytes of some samples below a folder.

    Args:
        keys: int64 (n,).
        names: relative paths wanted; parts are cleaned, and numbered where they are taken.
        taken: the paths taken so far, in lower case; kept up to date.
        by_stem: whether names have to differ without their extension.

    Returns:
        The relative paths they got.
    """
    written = []
    for name, (_, data) in zip(names, store.read_images(keys), strict=True):
        parts = [_safe(part) for part in PurePosixPath(name).parts if part != "/"]
        cleaned = "/".join(parts)
        if len(cleaned.encode()) > _DEEPEST:
            cleaned = parts[-1]
        if by_stem:
            path = PurePosixPath(cleaned)
            stem = _unique(str(path.with_suffix("")), taken)
            cleaned = stem + path.suffix
        else:
            cleaned = _unique(cleaned, taken)
        target = folder / cleaned
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        written.append(cleaned)
    return written


def _names(table: pa.Table) -> list[str]:
    columns = (table[c].to_pylist() for c in ("id", "split", "label", "format"))
    return [_name(*row) for row in zip(*columns, strict=True)]


def file_name(sample: str, form: str | None) -> str:
    """Return an id as a file name, with the ending of its format."""
    if PurePosixPath(sample).suffix:
        return sample
    return sample + _SUFFIX.get((form or "").upper(), "")


def _name(sample: str, split: str | None, label: str | None, form: str | None) -> str:
    stem = file_name(PurePosixPath(sample).name or sample, form)
    parts = [part for part in (split, label) if part]
    return "/".join(_safe(part) for part in [*parts, stem])


def _safe(part: str) -> str:
    """Return one part of a path that every file system takes.

    >>> _safe("a/b?.jpg"), _safe(".."), len(_safe("é" * 300 + ".jpg").encode())
    ('a-b-.jpg', '-', 200)
    """
    cleaned = re.sub(r"[^\w.+ -]", "-", part).strip(". ")
    if len(cleaned.encode()) > _LONGEST:
        stem, dot, ending = cleaned.rpartition(".")
        ending = dot + ending if stem and len(ending) < 10 else ""
        start = cleaned.encode()[: _LONGEST - len(ending.encode())]
        cleaned = start.decode(errors="ignore") + ending
    return cleaned or "-"


def _unique(name: str, taken: set[str]) -> str:
    path, n, free = PurePosixPath(name), 1, name
    while free.lower() in taken:
        n += 1
        free = str(path.with_name(f"{path.stem}-{n}{path.suffix}"))
    taken.add(free.lower())
    return free
