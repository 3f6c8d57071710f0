"""Walk a folder once, for all readers: its images, its other files, and what is passed over.

Every file below the folder is an image, or another file that a reader may read, or hidden, or of
a kind that is never read; what no reader asks for is counted by its ending.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from slicedb import media
from slicedb.errors import SourceError
from slicedb.sources import NOT_UTF8, Location, is_utf8

_SIDECARS = frozenset(
    """
    .txt .csv .tsv .json .jsonl .xml .yaml .yml .toml .md .rst .html .pdf .log .py .ipynb .sql
    .parquet .npy .npz .mat .h5 .hdf5 .pkl .pt .pth .safetensors .onnx .db .sqlite .zip .tar .gz
    .tgz .7z .rar .mp4 .avi .mov .mkv .webm .wav .mp3 .names .data .cfg .cache .tfrecord
    """.split()
)
"""Endings of files that are not looked into to see whether they are images."""
_HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")
_DATABASES = (".lance", ".slicedb")


@dataclass(frozen=True)
class Folder:
    """One folder and what lies right in it, sorted."""

    parts: tuple[str, ...]
    """Its path below the root."""
    images: list[str]
    """Names of the images."""
    others: list[str]
    """Names of the other files that are not hidden."""

    @property
    def place(self) -> str:
        """Its path below the root with "/" behind; "" of the root."""
        return "".join(f"{part}/" for part in self.parts)

    def ending_in(self, *endings: str) -> list[str]:
        """Return the names of the other files that end so, whatever their case."""
        return [name for name in self.others if name.lower().endswith(endings)]

    def stems(self) -> dict[str, list[str]]:
        """Return the images by their name without the ending; `a.jpg` and `a.png` are both `a`."""
        by_stem: dict[str, list[str]] = {}
        for name in self.images:
            by_stem.setdefault(os.path.splitext(name)[0], []).append(name)
        return by_stem


@dataclass
class Tree:
    """Every folder below a root, in the order of their paths."""

    root: Location
    folders: dict[tuple[str, ...], Folder] = field(default_factory=dict)
    hidden: Counter[str] = field(default_factory=Counter)
    """Files that no reader gets to see, by the reason."""
    used: set[str] = field(default_factory=set)
    """Other files that a reader read, by their path below the root."""

    def read(self, folder: Folder, name: str) -> Location:
        """Return one of the other files, and note that it is read."""
        self.used.add(folder.place + name)
        return self.root.join(*folder.parts, name)

    def note_read(self, file: Location) -> None:
        """Note that a file below the root is read."""
        self.used.add("/".join(file.parts_below(self.root)))

    def files(self, *endings: str) -> Iterator[tuple[Folder, str]]:
        """Yield the other files that end so, those nearest to the root first."""
        for folder in sorted(self.folders.values(), key=lambda folder: len(folder.parts)):
            for name in folder.ending_in(*endings):
                yield folder, name

    def beside(self, folder: Folder, *names: str) -> list[Folder]:
        """Return the folders next to one, or to one above it, of given names in lower case.

        Below a folder beside one above, the same path is meant: `images/train` is beside
        `labels/train`. The nearest come first.
        """
        near: list[Folder] = []
        for depth in range(len(folder.parts) - 1, -1, -1):
            above, below = folder.parts[:depth], folder.parts[depth + 1 :]
            for parts in self._below.get(above, []):
                if parts[-1].lower() in names and parts != folder.parts[: depth + 1]:
                    same = self.folders.get((*parts, *below))
                    near += [same] if same else []
                    near += [self.folders[parts]] if below else []
        return near

    @cached_property
    def _below(self) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
        """The folders right in each folder; for a walk that has ended."""
        below: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for parts in self.folders:
            if parts:
                below.setdefault(parts[:-1], []).append(parts)
        return below

    def skipped(self) -> dict[str, int]:
        """Count what is passed over, by its reason or its ending."""
        counts = self.hidden.copy()
        for folder in self.folders.values():
            place = folder.place
            for name in folder.others:
                if place + name not in self.used:
                    counts[os.path.splitext(name)[1].lower() or "without extension"] += 1
        return dict(counts)


def tree_of(root: Location) -> Tree:
    """Return what lies below a folder; links to folders are followed once.

    A location is walked the first time only: those who recognise it and its reader see the same.

    Raises:
        SourceError: the folder itself cannot be read.
    """
    tree = root.known.get("tree")
    if not isinstance(tree, Tree):
        tree = root.known["tree"] = _walk(root)
    return tree


def _walk(root: Location) -> Tree:
    tree = Tree(root)
    pending: list[tuple[str, ...]] = [()]
    seen: set[object] = set()
    while pending:
        parts = pending.pop()
        here = root.join(*parts)
        try:
            identity = here.identity()
            if identity in seen:
                continue
            seen.add(identity)
            images, others, below = _sort_out(here, tree.hidden)
        except OSError as error:
            if not parts:
                raise SourceError(
                    f"Cannot read '{root.path}': {error.strerror}.", "check its permissions."
                ) from error
            tree.hidden["unreadable folder"] += 1
            continue
        tree.folders[parts] = Folder(parts, images, others)
        pending += [(*parts, name) for name in reversed(below)]
    return tree


def _sort_out(folder: Location, hidden: Counter[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the names of images, of other files and of folders in one folder; count the rest."""
    images, others, below = [], [], []
    for name, kind, is_link in folder.list():
        at = name.rfind(".")
        extension = name[at:].lower() if at > 0 else ""
        if not is_utf8(name):
            hidden[NOT_UTF8] += 1
        elif name[0] == "." or name in _HIDDEN:
            hidden["hidden"] += 1
        elif kind == "folder":
            if extension not in _DATABASES:
                below.append(name)
        elif extension in media.EXTENSIONS:
            if kind == "file" or is_link:
                images.append(name)
            else:
                hidden["special file"] += 1
        elif kind != "file":
            hidden[extension or "without extension"] += 1
        elif extension not in _SIDECARS and _is_image(folder.join(name)):
            images.append(name)
        else:
            others.append(name)
    return sorted(images), sorted(others), sorted(below)


def _is_image(file: Location) -> bool:
    try:
        with file.open() as opened:
            return media.looks_like_image(opened.read(32))
    except (OSError, SourceError):
        return False
