"""Read folders of images: `class/img`, `split/class/img`, flat; `layout` tells which."""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator

import pyarrow as pa

from slicedb.errors import IngestError, SourceError
from slicedb.ingest.format import Format
from slicedb.ingest.layout import layout
from slicedb.ingest.sidecar import Sidecar
from slicedb.ingest.source import ROWS, Options, Source
from slicedb.ingest.walk import Folder, Tree, tree_of
from slicedb.show.numbers import count, verb
from slicedb.sources import Location

_BOX = re.compile(r"\s*\d+( [01]?\.\d+){4,}")
_LOOKED_AT = 8
"""Text files that are looked into."""


def read(location: Location, options: Options) -> Source:
    """Open a folder of images.

    Raises:
        SourceError: it cannot be read, or holds no image.
    """
    return read_tree(location, tree_of(location), options)


def read_tree(location: Location, tree: Tree, options: Options) -> Source:
    """Open the images of a folder that was walked.

    Raises:
        SourceError: it holds no image.
    """
    root = location.path
    folders = [folder for folder in tree.folders.values() if folder.images]
    if not folders:
        most = Counter(tree.skipped()).most_common(5)
        others = ", ".join(f"{n:,} {kind}" for kind, n in most) or "nothing"
        raise SourceError(
            f"No images in '{location}'.",
            f"it holds {others}; CSV and Parquet files are ingested by their own name.",
        )
    counts = [len(folder.images) for folder in folders]
    parts = [folder.parts for folder in folders]
    splits, labels, notes = layout(parts, counts, options.split_folders)
    notes += _looks_like_yolo(tree)
    if options.split is not None:
        splits = [options.split] * len(folders)
    if options.label is not None:
        labels = [options.label] * len(folders)
    sidecar = Sidecar(tree, options)
    if options.columns and not sidecar.found:
        role, column = next(iter(options.columns.items()))
        raise IngestError(
            f"{role}_column='{column}' does nothing for '{location}', which has no metadata file.",
            "leave it out; a CSV or Parquet file is ingested by its own name.",
        )
    told = {column.name: column.type for column in sidecar.columns}
    below = [(folder.place, folder.images) for folder in folders]
    notes += [*sidecar.notes, *sidecar.unmatched([at + n for at, names in below for n in names])]
    guesses = {"split": splits, "label": labels}
    columns = {n: values for n, values in guesses.items() if any(values) and n not in told}
    fields = [pa.field(name, pa.string()) for name in columns]
    given = {name for name in ("split", "label") if getattr(options, name) is not None}
    batches = _batches(root, folders, columns, options)
    return Source(
        where=root,
        fields=[*fields, *(pa.field(name, kind) for name, kind in told.items())],
        batches=_with_metadata(batches, sidecar, options) if told else batches,
        total=sum(len(folder.images) for folder in folders),
        wins=frozenset(given | told.keys()),
        by_place=True,
        skipped=tree.skipped(),
        notes=notes,
    )


def _looks_like_yolo(tree: Tree) -> list[str]:
    """Say that labels lie beside the images, which nothing names the classes of."""
    texts = list(tree.files(".txt"))
    if not texts:
        return []
    stems = {stem for folder in tree.folders.values() for stem in folder.stems()}
    same = [f.place + n for f, n in texts if os.path.splitext(n)[0] in stems]
    boxes = [place for place in same[:_LOOKED_AT] if _BOX.match(_head(tree, place))]
    if not boxes:
        return []
    return [
        f"{count(len(same), 'text file is', 'text files are')} called as images are, for example "
        f"'{boxes[0]}', and {verb(len(same), 'looks', 'look')} like YOLO's boxes; "
        f"{verb(len(same), 'it was', 'they were')} not read, since nothing names the classes. "
        "data.yaml with `names`, or classes.txt, does."
    ]


def _head(tree: Tree, place: str) -> str:
    with contextlib.suppress(OSError), tree.root.join(place).open() as file:
        return file.read(200).decode("utf-8", errors="replace")
    return ""


def _batches(
    root: str, folders: list[Folder], columns: dict[str, list[str | None]], options: Options
) -> Iterator[pa.RecordBatch]:
    rows: dict[str, list[str | None]] = {name: [] for name in ("id", "uri", *columns)}
    for i, folder in enumerate(folders):
        stem = "".join(f"{_text(part)}/" for part in folder.parts)
        start_of_id, start_of_uri = options.id_of(stem), f"{root}/{stem}"
        start = 0
        while start < len(folder.images):
            room = ROWS - len(rows["id"])
            names = [_text(name) for name in folder.images[start : start + room]]
            rows["id"] += [start_of_id + name for name in names]
            rows["uri"] += [start_of_uri + name for name in names]
            for name, values in columns.items():
                rows[name] += [values[i]] * len(names)
            start += room
            if len(rows["id"]) == ROWS:
                yield _batch(rows)
                rows = {name: [] for name in rows}
    if rows["id"]:
        yield _batch(rows)


def _with_metadata(
    batches: Iterator[pa.RecordBatch], sidecar: Sidecar, options: Options
) -> Iterator[pa.RecordBatch]:
    start = len(options.id_of(""))
    for batch in batches:
        places = [name[start:] for name in batch["id"].to_pylist()]
        own = {name: batch[name] for name in batch.schema.names}
        yield pa.RecordBatch.from_pydict(own | sidecar.values(places))


def _batch(rows: dict[str, list[str | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({n: pa.array(v, pa.string()) for n, v in rows.items()})


def _text(name: str) -> str:
    """Return a file name as valid Unicode; a name that is none ends up as unreadable."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")


FOLDER = Format(
    "folder",
    "a folder of images",
    Location.is_folder,
    read,
    "slicedb.export.folder:write_folder",
    takes=frozenset({"columns", "split_folders"}),
)
