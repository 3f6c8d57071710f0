"""Tell splits and labels from the folders that images lie in.

    train/cat/1.jpg  test/2.jpg       folders with names of splits; labels lie right below them
    cat/1.jpg        dog/a/2.jpg      the uppermost folder is the label, as ImageFolder has it
    cat/train/1.jpg  dog/test/2.jpg   splits below the labels
    x/cat/1.jpg      y/cat/2.jpg      the same folders below several: those are the labels
    1.jpg                             no label

It is decided for each split by itself: images that lie right in it have no label and disturb no
others. Folders above all images (`photos/train/...`) and names that mean nothing (`images/1.jpg`)
are looked through.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from slicedb.ingest.splits import names_split
from slicedb.show.numbers import count, verb

_MEANINGLESS = frozenset("images image imgs img jpegimages photos pictures frames data".split())
Parts = tuple[str, ...]
"""A folder below the root."""


def layout(
    folders: list[Parts], counts: Sequence[int], split_folders: bool = False
) -> tuple[list[str | None], list[str | None], list[str]]:
    """Return split and label of each folder, and notes on what was decided.

    Args:
        folders: those with images.
        counts: images right in each.
        split_folders: whether the uppermost are splits, whatever they are called.
    """
    folders = [_once(parts) for parts in folders]
    inside = [parts for parts in folders if parts]
    depth = _common_depth(inside)
    notes: list[str] = []
    has_splits = _are_splits(inside, depth, split_folders, notes)
    start = depth + (has_splits or _hold_classes(inside, depth))
    below = _below(folders, start)
    splits = [parts[depth] if parts and has_splits else None for parts in folders]
    if not has_splits and (inner := _inner_splits(below)):
        splits = [rest[1] if rest else None for rest in below]
        notes.append(f"Splits, by the folders below the labels: {', '.join(inner)}.")
        below = [rest[:1] for rest in below]
    at = 1 if _is_grid(below) else 0
    labels = [rest[at] if len(rest) > at else None for rest in below]
    if {label.lower() for label in labels if label} <= _MEANINGLESS:
        return splits, [None] * len(folders), notes
    return splits, labels, [*notes, *_decided(labels, below, at, splits, counts)]


def _once(parts: Parts) -> Parts:
    """Return a path without a folder in one of its own name, as unpacked archives have them."""
    return tuple(part for i, part in enumerate(parts) if not i or part != parts[i - 1])


def _below(folders: list[Parts], start: int) -> list[Parts]:
    """Return the part of each path that may hold a label.

    A folder whose name means nothing is left out where all of a split lies in it.
    """
    rests = [parts[start:] for parts in folders]
    for branch in {parts[:start] for parts in folders}:
        mine = [i for i, parts in enumerate(folders) if parts[:start] == branch and rests[i]]
        heads = {rests[i][0] for i in mine}
        if len(heads) == 1 and next(iter(heads)).lower() in _MEANINGLESS:
            for i in mine:
                rests[i] = rests[i][1:]
    return rests


def _inner_splits(below: list[Parts]) -> list[str]:
    """Return the splits that lie below the labels, sorted; none where they are something else."""
    inner = {rest[1] if len(rest) > 1 else "" for rest in below if rest}
    return sorted(inner) if inner and all(map(names_split, inner)) else []


def _is_grid(below: list[Parts]) -> bool:
    """Return whether several folders hold the same several folders, which are the labels then."""
    held: dict[str, set[str]] = {}
    for rest in below:
        if rest:
            held.setdefault(rest[0], set()).add(rest[1] if len(rest) > 1 else "")
    kinds = list(held.values())
    same = len(kinds) > 1 and all(kind == kinds[0] for kind in kinds)
    return same and len(kinds[0]) > 1 and "" not in kinds[0]


def _decided(
    labels: list[str | None],
    below: list[Parts],
    at: int,
    splits: list[str | None],
    counts: Sequence[int],
) -> list[str]:
    """Say which folders became labels, where it is not plain, and which images have none."""
    names = Counter(label for label in labels if label)
    if not names:
        return []
    notes = []
    deeper = sum(len(rest) > at + 1 for rest in below)
    if at or deeper:
        shown = ", ".join(sorted(names)[:6]) + (", ..." if len(names) > 6 else "")
        which = "the uppermost folders, as ImageFolder has it" if not at else "the inner folders"
        are = verb(deeper, "is no label", "are no labels")
        more = "" if at else f"; {count(deeper, 'folder')} below them {are}"
        notes.append(f"Labels are {which}: {shown}{more}.")
    without: Counter[str] = Counter()
    for label, split, n in zip(labels, splits, counts):
        if label is None:
            without[split or ""] += n
    for split, n in without.items():
        where = f" of the split '{split}'" if split else ""
        notes.append(
            f"{count(n, 'image')}{where} {verb(n, 'lies', 'lie')} in no folder of a class: "
            f"{verb(n, 'its', 'their')} label is NULL."
        )
    return notes


def _hold_classes(inside: list[Parts], depth: int) -> bool:
    """Return whether folders that were not taken for splits have the names of some all the same.

    Labels then lie below them, unless images lie right in them: `test` may be a class.
    """
    known = [parts for parts in inside if len(parts) > depth and names_split(parts[depth])]
    return bool(known) and all(len(parts) > depth + 1 for parts in known)


def _are_splits(inside: list[Parts], depth: int, asked: bool, notes: list[str]) -> bool:
    """Return whether the folders at a depth are splits, and note why where it is not plain.

    They are where all have the name of a split, and where some have and the others hold the same
    folders (of classes) as those.
    """
    names = sorted({parts[depth] for parts in inside if len(parts) > depth})
    if not names or any(len(parts) <= depth for parts in inside):
        return False
    known = [name for name in names if names_split(name)]
    others = [name for name in names if name not in known]
    shown = ", ".join(others[:8]) + (", ..." if len(others) > 8 else "")
    below = {name: {p[depth + 1 :] for p in inside if p[depth] == name} for name in names}
    alike = {rest for name in known for rest in below[name] if rest}
    if asked or (known and not others):
        notes.append(f"Splits, by folder: {', '.join(names)}.")
        return True
    if known and all(below[name] & alike for name in others):
        notes.append(
            f"Splits, by folder: {', '.join(names)}. {shown} "
            f"{'holds' if len(others) == 1 else 'hold'} the same classes as {', '.join(known)}."
        )
        return True
    if known:
        notes.append(
            f"No splits were taken from the folders: {', '.join(known)} "
            f"{'is the name' if len(known) == 1 else 'are names'} of splits, {shown} "
            f"{'is' if len(others) == 1 else 'are'} not. split_folders=True (--split-folders) "
            "takes all of them for splits."
        )
    return False


def _common_depth(folders: list[Parts]) -> int:
    """Return how many leading folders lie above all images and are neither split nor label."""
    # Of one folder in one folder, without a split between, the upper one is the label.
    is_chain = len(set(folders)) == 1 and not any(map(names_split, folders[0]))
    depth = 0
    while folders and all(len(parts) > depth + 1 for parts in folders):
        names = {parts[depth] for parts in folders}
        name = names.pop()
        if names or names_split(name):
            break
        if is_chain and name.lower() not in _MEANINGLESS:
            break
        depth += 1
    return depth
