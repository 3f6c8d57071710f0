"""Remember what the files of tables hold, so that a flipped byte is found and its file is named.

Lance checks no sums: a flipped bit in a data file or a manifest is read as another value. No file
of a table is changed once a version names it, so its SHA-256 is written down when it is new:
`.checksums/<table>.sha256` in the database, in the format of `sha256sum`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import lance

_FOLDER = ".checksums"
_LINE = re.compile(rb"([0-9a-f]{64})  (\S[^\n]*)$")
_REFS = ".lance/_refs/"
_WHOLE = ("_versions/*.manifest", "_transactions/*.txn", "_refs/tags/*.json")
"""Files that come into being whole; data is whole once a version names it."""
_MANIFEST = re.compile(r"(\d{20})\.manifest$")
_NEWEST = (1 << 64) - 1
"""What Lance takes a version from to name its manifest, so that the newest is listed first."""


@dataclass(frozen=True)
class Compared:
    """The files of a table beside what was written down of them."""

    changed: tuple[str, ...]
    """Files that do not hold what they held; from the root of the database."""
    lost: tuple[str, ...]
    """Manifests of versions beyond the newest there is."""
    unknown: tuple[str, ...]
    """Files that the newest version names and nobody wrote down."""


@dataclass(frozen=True)
class _List:
    """What was read of a file of checksums."""

    inode: int
    end: int = 0
    """Bytes of whole lines that were read."""
    known: dict[str, str] = field(default_factory=dict)


class Checksums:
    """The checksums of one database.

    Args:
        root: its folder.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._lists: dict[str, _List] = {}

    def record(self, name: str, dataset: lance.LanceDataset, since: float | None = None) -> int:
        """Write down the files of a table that are not yet, and return how many.

        Args:
            name: the table.
            dataset: its newest version.
            since: only files that changed after it (epoch seconds); None takes all of them.
        """
        known = self._read(name)
        fresh = [
            path
            for path in self._files(name, dataset)
            if (path not in known or _REFS in path)
            and (since is None or self._modified(path) >= since)
        ]
        lines = [
            f"{digest}  {path}\n"
            for path in fresh
            if (digest := self._digest(path)) not in (None, known.get(path))
        ]
        if lines:
            os.makedirs(os.path.join(self._root, _FOLDER), exist_ok=True)
            text = "\n" * self._is_cut_off(name) + "".join(lines)
            # One write at the end of the file: lines of two processes do not mix.
            handle = os.open(self._list(name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(handle, text.encode())
            finally:
                os.close(handle)
        return len(lines)

    def compare(self, name: str, dataset: lance.LanceDataset | None) -> Compared:
        """Read the files of a table again.

        Args:
            name: the table.
            dataset: its newest version; None where it cannot be opened.
        """
        known = self._read(name)
        changed = [
            path
            for path, digest in known.items()
            if os.path.exists(os.path.join(self._root, path)) and self._digest(path) != digest
        ]
        if dataset is None:
            return Compared(tuple(changed), (), ())
        newest = int(dataset.version)
        lost = [path for path in known if _version_of(path) > newest]
        unknown = [path for path in self._files(name, dataset) if path not in known]
        return Compared(tuple(changed), tuple(lost), tuple(unknown))

    def tables(self) -> list[str]:
        """Return the names of tables of which something is written down, sorted."""
        return sorted(path.stem for path in Path(self._root, _FOLDER).glob("*.sha256"))

    def prune(self, name: str) -> None:
        """Forget files that are no more; those of the newest manifests are kept."""
        known = self._read(name)
        here = {p: d for p, d in known.items() if os.path.exists(os.path.join(self._root, p))}
        if len(here) < len(known):
            text = "".join(f"{digest}  {path}\n" for path, digest in here.items())
            draft = f"{self._list(name)}.{os.getpid()}"
            Path(draft).write_text(text, encoding="utf-8")
            os.replace(draft, self._list(name))

    def forget(self, name: str) -> None:
        """Forget a table that was dropped."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._list(name))

    def _files(self, name: str, dataset: lance.LanceDataset) -> Iterator[str]:
        """Yield the files that a version is made of, and all that come into being whole."""
        folder = f"{name}.lance"
        for fragment in dataset.get_fragments():
            yield from (f"{folder}/data/{file.path}" for file in fragment.data_files())
            deleted = fragment.deletion_file()
            if deleted:
                yield f"{folder}/{deleted}"
        for pattern in (*_WHOLE, *self._indexes(dataset)):
            where, _, name_like = pattern.rpartition("/")
            ending = name_like.removeprefix("*")
            names = self._names(f"{folder}/{where}")
            yield from (f"{folder}/{where}/{name}" for name in names if name.endswith(ending))

    def _names(self, folder: str) -> list[str]:
        """Return what lies in a folder, sorted; a tenth of the time of `Path.glob`."""
        try:
            return sorted(os.listdir(os.path.join(self._root, folder)))
        except FileNotFoundError:
            return []

    @staticmethod
    def _indexes(dataset: lance.LanceDataset) -> Iterable[str]:
        for index in dataset.describe_indices():
            yield from (f"_indices/{segment.uuid}/*" for segment in index.segments)

    def _read(self, name: str) -> dict[str, str]:
        """Return the digest by file, as it was written down first; of a pin, last."""
        try:
            with open(self._list(name), "rb") as file:
                about, before = os.fstat(file.fileno()), self._lists.get(name)
                if before is None or before.inode != about.st_ino or before.end > about.st_size:
                    before = _List(about.st_ino)  # another file; else only its end is new
                file.seek(before.end)
                text = file.read()
        except FileNotFoundError:
            return {}
        known = before.known.copy()
        whole = text.rfind(b"\n") + 1
        self._add(known, text[:whole])
        self._lists[name] = _List(before.inode, before.end + whole, known)
        if whole == len(text):
            return known
        rest = known.copy()
        self._add(rest, text[whole:])
        return rest

    @staticmethod
    def _add(known: dict[str, str], text: bytes) -> None:
        for line in text.split(b"\n"):
            found = _LINE.search(line)  # a line may have been cut off by a kill
            if found:
                path, digest = found[2].decode(errors="replace"), found[1].decode()
                # A pin may be made anew under its name; what holds data never is.
                known[path] = digest if _REFS in path else known.get(path, digest)

    def _is_cut_off(self, name: str) -> bool:
        """Return whether a kill has left the last line without its end."""
        try:
            with open(self._list(name), "rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read() != b"\n"
        except OSError:  # there is none, or it is empty
            return False

    def _list(self, name: str) -> str:
        return os.path.join(self._root, _FOLDER, f"{name}.sha256")

    def _modified(self, path: str) -> float:
        try:
            return os.stat(os.path.join(self._root, path)).st_mtime
        except FileNotFoundError:
            return -1.0

    def _digest(self, path: str) -> str | None:
        """Return the SHA-256 of a file; None where it is gone or cannot be read."""
        try:
            with open(os.path.join(self._root, path), "rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None


def _version_of(path: str) -> int:
    """Return the version that a manifest is of, 0 for other files.

    >>> _version_of("t.lance/_versions/18446744073709551613.manifest")
    2
    """
    found = _MANIFEST.search(path)
    return _NEWEST - int(found[1]) if found else 0
