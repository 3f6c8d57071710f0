"""Write a plain copy: the pictures under their ids, and manifest.csv with their hashes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from slicedb.export.folder import file_name, write_images
from slicedb.export.tables import flatten, metadata
from slicedb.ingest.copied import MANIFEST
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.store import Store


def write_copy(store: Store, keys: Keys, path: Path) -> Written:
    """Write the encoded bytes as they were ingested; manifest.csv has a row per sample.

    `path` is where the picture lies, relative to the folder; `id`, `sha256`, `bytes` and all
    metadata stand beside it.
    """
    from pyarrow import csv

    path.mkdir(parents=True, exist_ok=True)
    taken = {MANIFEST}
    renamed = 0
    writer = None
    with (path / MANIFEST).open("wb") as file:
        for chunk, table in metadata(store, keys):
            ids, forms = table["id"].to_pylist(), table["format"].to_pylist()
            wanted = [file_name(name, form) for name, form in zip(ids, forms)]
            names = write_images(store, chunk, wanted, path, taken)
            renamed += sum(name != given for name, given in zip(names, ids))
            flat = flatten(table).add_column(0, "path", pa.array(names, pa.string()))
            writer = writer or csv.CSVWriter(file, flat.schema)
            writer.write(flat)
        if writer is not None:
            writer.close()
    notes = []
    if renamed:
        count = numbers.count(renamed, "picture")
        notes.append(f"{count} lie under another name than their id; {MANIFEST} has both.")
    return Written(len(keys), tuple(notes))
