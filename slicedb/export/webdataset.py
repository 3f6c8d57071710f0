"""Write WebDataset: tars of <key>.jpg, <key>.json, <key>.cls and <key>.txt."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slicedb.export.about import about, as_text, said
from slicedb.export.boxes import without_nulls
from slicedb.export.folder import file_name
from slicedb.export.tables import Row, metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import SAMPLES
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.store import Store

_MOST = 10_000
"""Samples of one shard."""
_BYTES = 512 << 20
"""Bytes of pictures of one shard."""


def write_webdataset(store: Store, keys: Keys, path: Path) -> Written:
    """Write a folder of shards, `<split>-000000.tar`, or one tar where the name ends so.

    The json of a sample has its id, its split, its boxes and its metadata; its label is in cls and
    its caption in txt.
    """
    schema = store.schema(SAMPLES)
    columns = said(schema, "label", "caption")
    names: set[str] = set()
    without = 0
    with _Shards(path) as shards:
        for chunk, table in metadata(store, keys):
            rows = table.select(["id", "format", "split", "label", "caption", "objects"])
            told = zip(rows.to_pylist(), about(table, columns), store.read_images(chunk))
            for row, more, (_, data) in told:
                without += not data
                key, ending = _key(file_name(row["id"], row["format"]), names)
                shards.add(row["split"] or "all", key, _members(row, more, ending, data))
    notes = as_text(schema, columns)
    if without:
        count = numbers.count(without, "sample")
        notes.append(f"{count} have no picture here: their member of it is empty.")
    return Written(len(keys), tuple(notes))


def _key(name: str, taken: set[str]) -> tuple[str, str]:
    """Return a free key of a sample, which has no dot in its last part, and the ending."""
    path = PurePosixPath(name.lstrip("/"))
    stem = path.stem.replace(".", "_") or "_"
    key = free = str(path.with_name(stem)) if path.name else stem
    n = 1
    while free in taken:
        n += 1
        free = f"{key}-{n}"
    taken.add(free)
    return free, path.suffix.lower().removeprefix(".") or "jpg"


def _members(row: Row, more: Row, ending: str, data: bytes) -> dict[str, bytes]:
    """Return the members of a sample by their endings."""
    whole = {"sample_id": row["id"], **more}
    if row["split"] is not None:
        whole["split"] = row["split"]
    if row["objects"] is not None:
        whole["objects"] = without_nulls(row["objects"])
    members = {ending: data, "json": json.dumps(whole, ensure_ascii=False).encode()}
    for name, column in (("cls", "label"), ("txt", "caption")):
        if row[column] is not None:
            members[name] = row[column].encode()
    return members


class _Shards:
    """The tars that are being written, one per split at a time.

    Args:
        path: a folder, or one file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_file = path.suffix.lower() == ".tar"
        self._open: dict[str, tarfile.TarFile] = {}
        self._sizes: dict[str, tuple[int, int, int]] = {}
        """Split to the number of its shard, and the samples and bytes in it."""

    def __enter__(self) -> _Shards:
        (self._path.parent if self._is_file else self._path).mkdir(parents=True, exist_ok=True)
        if self._is_file:
            self._open["all"] = self._made(self._path)
        return self

    @staticmethod
    def _made(path: Path) -> tarfile.TarFile:
        return tarfile.TarFile(path, "w")

    def add(self, split: str, key: str, members: dict[str, bytes]) -> None:
        """Add one sample."""
        split = "all" if self._is_file else split.replace("/", "_")
        size = sum(map(len, members.values()))
        number, n, held = self._sizes.get(split, (0, 0, 0))
        if not self._is_file and n and (n >= _MOST or held + size > _BYTES):
            self._open.pop(split).close()
            number, n, held = number + 1, 0, 0
        if split not in self._open:
            self._open[split] = self._made(self._path / f"{split}-{number:06d}.tar")
        for ending, data in members.items():
            about_it = tarfile.TarInfo(f"{key}.{ending}")
            about_it.size = len(data)
            self._open[split].addfile(about_it, io.BytesIO(data))
        self._sizes[split] = (number, n + 1, held + size)

    def __exit__(self, *error: object) -> None:
        for tar in self._open.values():
            tar.close()
