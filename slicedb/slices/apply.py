"""Register slice files: what is new, what changed, which samples enter and leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from slicedb.errors import QueryError, SliceDBError, SliceError
from slicedb.keys import KeyIndex, Keys
from slicedb.slices.definitions import references
from slicedb.slices.files import SliceFile
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


def apply_files(slices: Slices, files: Sequence[SliceFile], *, dry_run: bool) -> list[Applied]:
    """Check all files, then register those that are new or changed; see `Slices.apply`."""
    texts = {file.name: file.text for file in files}
    slices.definitions.check_loops(texts)
    moved = _moved(slices, texts)
    before = {
        file.name: slices.get(file.name).keys()
        for file in files
        if file.name in slices and file.name in moved
    }
    with slices.definitions.standing(texts):
        after = {file.name: _members(slices, file) for file in files}
    changes = [_change(slices, file, before, after[file.name]) for file in files]
    if dry_run:
        return changes
    return [
        c if c.kind == "unchanged" else replace(c, slice=slices.register(c.slice)) for c in changes
    ]


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
