"""Register slice files: what is new, what changed, which samples enter and leave."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from slicedb.errors import QueryError, SliceDBError, SliceError
from slicedb.keys import KeyIndex, Keys
from slicedb.slices.broken import BrokenSlice, unless_all
from slicedb.slices.definitions import references
from slicedb.slices.files import SliceFile, find_files, in_two_files, read_file, read_folder
from slicedb.slices.slice import Slice

if TYPE_CHECKING:
    from slicedb.slices.registry import Slices


@dataclass(frozen=True)
class Applied:
    """What applying one file does."""

    name: str
    kind: Literal["new", "changed", "unchanged"]
    added: int
    """Members that come: all of them for a new slice."""
    removed: int
    """Members that go."""
    count: int
    """Members afterwards."""
    path: str
    slice: Slice
    """The slice as it is afterwards; with `dry_run` as it would be."""

    def __str__(self) -> str:
        moves = (
            f"+{self.added:,} -{self.removed:,}" if self.added or self.removed else "same members"
        )
        return f"{self.kind:9}  {self.name:32}  {self.count:>9,} samples  {moves}"


def apply_files(
    slices: Slices,
    files: Sequence[SliceFile],
    *,
    dry_run: bool,
    broken: list[BrokenSlice] | None = None,
) -> list[Applied]:
    """Check all files, then register those that are new or changed; see `Slices.apply`.

    Args:
        slices: the registry.
        files: what is applied.
        dry_run: only say what would change.
        broken: takes the files that are not right, and the others are applied; where it is None
            an error of one file is raised, and nothing is applied.
    """
    texts = {file.name: file.text for file in files}
    if broken is None:
        slices.definitions.check_loops(texts)
    moved = _moved(slices, texts)
    before, after = {}, {}
    for file in files:
        with _kept_apart(file, broken):
            if broken is not None:
                slices.definitions.check_loops(texts, [file.name])
            if file.name in slices and file.name in moved:
                before[file.name] = slices.get(file.name).keys()
            with slices.definitions.standing(texts):
                after[file.name] = _members(slices, file)
    sound = [file for file in files if file.name in after]
    changes = [_change(slices, file, before, after[file.name]) for file in sound]
    if dry_run:
        return changes
    return [
        c if c.kind == "unchanged" else replace(c, slice=slices.register(c.slice)) for c in changes
    ]


def sound_slices(
    slices: Slices, path: str | os.PathLike[str], *, register: bool
) -> tuple[list[Slice], list[BrokenSlice]]:
    """Return the slices of the files that are right, and the files that are not.

    Args:
        slices: the registry.
        path: a folder (subfolders are suites) or a file.
        register: whether those that are new or changed are registered.

    Raises:
        SliceError: there is no slice file.
        SliceDBError: none of the files is right; the error of the first.
    """
    root, broken = Path(path), list[BrokenSlice]()
    files: dict[str, SliceFile] = {}
    for place in find_files(root) or [Path(file.path) for file in read_folder(root)]:
        try:
            file = read_file(place, root=root if root.is_dir() else root.parent)
            if file.name in files:
                raise in_two_files(files[file.name], file)
        except SliceDBError as error:
            broken.append(BrokenSlice(place.stem, str(error), str(place), error=error))
        else:
            files[file.name] = file
    # What is made of a slice whose file is not right would be made of an earlier version of it.
    unread = {b.name for b in broken}
    for name, wanting in {n: unread & _made_of(n, files) for n in files}.items():
        if wanting:
            file = files.pop(name)
            named = ", ".join(sorted(wanting))
            fact = f"{file.path}: it is made of {named}, whose file is not right."
            wrong = SliceError(fact, "mend that file.")
            broken.append(BrokenSlice(name, str(wrong), file.path, file.suite, wrong))
    changes = apply_files(slices, [*files.values()], dry_run=not register, broken=broken)
    unless_all(broken, len(changes))
    return [slices.get(c.name) if register else c.slice for c in changes], broken


def _made_of(name: str, files: Mapping[str, SliceFile]) -> set[str]:
    """Return the slices that a file names, and those that these are made of."""
    made: set[str] = set()
    waiting = references(files[name].text)
    while waiting:
        other = waiting.pop()
        if other not in made:
            made.add(other)
            waiting += references(files[other].text) if other in files else []
    return made


@contextmanager
def _kept_apart(file: SliceFile, broken: list[BrokenSlice] | None) -> Iterator[None]:
    """Note an error of a file where there is a list of those, and raise it where there is none."""
    try:
        yield
    except SliceDBError as error:
        if broken is None:
            raise
        broken.append(BrokenSlice(file.name, str(error), file.path, file.suite, error))


def _moved(slices: Slices, texts: dict[str, str]) -> set[str]:
    """Return the slices whose text, or that of one they are made of, is not the registered one."""
    moved = {n for n, text in texts.items() if n not in slices or slices.get(n).text != text}
    while True:
        more = {n for n, text in texts.items() if moved.intersection(references(text))} - moved
        if not more:
            return moved
        moved |= more


def _members(slices: Slices, file: SliceFile) -> Keys:
    """Return the members of a file's query; an error in it is located in the file."""
    try:
        slices.definitions.check_group(file.group)
        question = slices.definitions.question(file.name, file.text)
        return np.asarray(slices.definitions.validate(question).keys(), np.int64)
    except QueryError as error:
        line = error.line + file.first_line - 1 if error.line else 0
        raise error.within(file.path, text=file.source, line=line) from error
    except SliceDBError as error:
        raise SliceError(f"{file.path}: {error.message}", error.hint) from error


def _change(slices: Slices, file: SliceFile, before: dict[str, Keys], after: Keys) -> Applied:
    wanted = _as_slice(file, after, slices)
    if file.name not in slices:
        return Applied(file.name, "new", len(after), 0, len(after), file.path, wanted)
    old = slices.get(file.name)
    same = all(
        getattr(old, part) == getattr(wanted, part)
        for part in ("text", "description", "expect", "holdout", "decide", "group", "suite")
    )
    if same and old.kind == "frozen":
        return Applied(file.name, "unchanged", 0, 0, old.count(), file.path, old)
    was = before.get(file.name, after)
    return Applied(
        file.name,
        "unchanged" if same else "changed",
        int((~KeyIndex(was).has(after)).sum()),
        int((~KeyIndex(after).has(was)).sum()),
        len(after),
        file.path,
        wanted,
    )


def _as_slice(file: SliceFile, keys: Keys, slices: Slices) -> Slice:
    """Return the slice of a file with its members, for runs that register nothing."""
    text = slices.definitions.question(file.name, file.text)
    calibration = slices.get(file.name).calibration if text != file.text else None
    return Slice(
        file.name,
        file.text,
        description=file.description,
        expect=tuple(str(check) for check in file.expect),
        holdout=file.holdout,
        decide=file.decide,
        group=file.group,
        suite=file.suite,
        path=file.path,
        calibration=calibration,
        answer=lambda: slices.definitions.validate(text),
        stored=lambda: (keys, slices.definitions.validate(text).ids()),
    )
