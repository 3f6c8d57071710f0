"""Write an image folder: `dest/<split>/<class>/<name>`, with metadata.csv beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from slicedb.export.tables import flatten, metadata
from slicedb.ingest.format import Written
from slicedb.schema import SAMPLES

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

_SHOWN = 5
"""Folders of other names than their labels that a report lists."""
_LONGEST = 200
"""Bytes of one part of a path, 255 on most file systems, with room for a number."""
_DEEPEST = 2000
"""Bytes of a whole path below the folder; one that is longer keeps its last part alone."""


def write_folder(store: Store, keys: np.ndarray, path: Path) -> Written:
    """Write the encoded bytes as they were ingested; metadata.csv has a `path` column.

    The layout is what `slicedb ingest` reads back: `split/class/` where samples have both,
    `class/` where they have a label alone.
    """
    from pyarrow import csv

    path.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    folders = {name: _folders(store, keys, name) for name in ("split", "label")}
    writer = None
    with (path / "metadata.csv").open("wb") as file:
        for chunk, table in metadata(store, keys):
            names = [_unique(name, taken) for name in _names(table, folders)]
            for name, (_, data) in zip(names, store.read_images(chunk), strict=True):
                target = path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
            flat = flatten(table).add_column(0, "path", pa.array(names, pa.string()))
            writer = writer or csv.CSVWriter(file, flat.schema)
            writer.write(flat)
        if writer is not None:
            writer.close()
    return Written(len(keys), tuple(renamed(store, keys)))


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


def _names(table: pa.Table, folders: Mapping[str, Mapping[str, str]]) -> list[str]:
    columns = (table[c].to_pylist() for c in ("id", "split", "label", "format"))
    return [
        _name(sample, folders["split"].get(split), folders["label"].get(label), form)
        for sample, split, label, form in zip(*columns, strict=True)
    ]


def _folders(store: Store, keys: np.ndarray, column: str) -> dict[str, str]:
    """Return the folder of each value of a column: two values never share one.

    'a/b' and 'a-b' would; so would 'Cat' and 'cat' where letters of both cases are one.
    """
    values = store.take(SAMPLES, keys, [column])[column].unique().to_pylist()
    names = sorted({v for v in values if v}, key=lambda v: (_safe(v) != v, v))
    folders: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:  # what needs no cleaning keeps its name
        folders[name] = _unique(_safe(name), taken)
    return folders


def renamed(store: Store, keys: np.ndarray) -> list[str]:
    """Return a sentence on the labels and splits whose folders have other names."""
    moved = [
        f"{column} '{value}' is in '{folder}'"
        for column in ("split", "label")
        for value, folder in _folders(store, keys, column).items()
        if folder != _safe(value)
    ]
    if not moved:
        return []
    more = f", and {len(moved) - _SHOWN:,} more" if len(moved) > _SHOWN else ""
    return [f"{'; '.join(moved[:_SHOWN])}{more}; metadata.csv has the values as they are."]


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
