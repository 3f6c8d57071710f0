"""Read every file of a database again, and compare it with what was written down of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.commits import Commits
from slicedb.doctor.finding import DAMAGE, WAY_BACK, Finding
from slicedb.errors import SliceDBError
from slicedb.keys import KeyIndex
from slicedb.schema import COMMITS, IMAGES, MODELS, PER_SAMPLE, RUNS, SAMPLES, SLICES, Row, keys_of

if TYPE_CHECKING:
    from slicedb.store import Store

_SHOWN = 3
_JSON = {
    SLICES: ("head", "tables"),
    COMMITS: ("tables",),
    MODELS: ("preprocessing", "details"),
    RUNS: ("tables", "fingerprints", "queries", "summary"),
}
"""Columns of our own tables that hold JSON."""
_AGAIN = "`slicedb ingest` the source of these samples again"


def look_deep(store: Store, before: list[Finding], *, mend: bool = False) -> list[Finding]:
    """Compare what is stored with its checksums, images with their hashes, ids with their keys.

    Args:
        store: the database.
        before: what was found without reading everything.
        mend: write down the checksums of files that have none and can be read.

    Returns:
        What is wrong beside that.
    """
    if not store.is_local:
        return []
    findings = []
    names = store.names()
    known = sorted({*names, *store.without_version(), *store.checksums.tables()})
    unreadable = {f.table for f in before if f.problem in ("damaged files", "lost manifests")}
    for name in known:
        if name not in names and name not in unreadable and not _folder(store, name).is_dir():
            findings.append(Finding(name, "lost tables", 1, WAY_BACK))
            continue
        findings += _files(store, name, name in names, unreadable, mend)
    lost = unreadable | {f.table for f in findings if f.problem in DAMAGE}
    parts: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        (IMAGES, partial(_images, store)),
        *((name, partial(_keys, store, name)) for name in (SAMPLES, IMAGES, *_per_sample(names))),
        *((name, partial(_rows, store, name)) for name in _JSON),
        (COMMITS, partial(_history, store)),
    ]
    for name, part in parts:
        if name in names and name not in lost and not lost & {SAMPLES}:
            findings += part()
    return findings


def _folder(store: Store, name: str) -> Path:
    return Path(store.path, f"{name}.lance")


def _per_sample(names: list[str]) -> Iterator[str]:
    return (name for name in names if name.startswith(PER_SAMPLE))


def _files(
    store: Store, name: str, is_table: bool, unreadable: set[str], mend: bool
) -> Iterator[Finding]:
    """Find files that do not hold what they held, are gone, or were never written down."""
    dataset = None
    if is_table and name not in unreadable:
        dataset = store.dataset(name)
    compared = store.checksums.compare(name, dataset)
    pins = tuple(file for file in compared.changed if "/_refs/" in file)
    if pins:
        advice = f"delete {', '.join(pins[:_SHOWN])}, then `slicedb doctor --mend` pins anew"
        yield Finding(name, "changed pins", len(pins), advice)
    changed = tuple(file for file in compared.changed if file not in pins)
    if changed:
        yield Finding(name, "changed files", len(changed), _way(changed))
    if compared.lost:
        yield Finding(name, "lost manifests", len(compared.lost), _way(compared.lost))
    if dataset is None:
        return
    yield from _old_versions(store, name)
    yield from _hint(store, name, int(dataset.version))
    if compared.unknown and not compared.changed:
        problem = _unreadable(store, name)
        if problem:
            yield Finding(name, "damaged files", 1, f"{WAY_BACK} ({problem})")
            return
        n = len(compared.unknown)
        if mend:
            store.checksums.record(name, dataset)
        advice = "written by another program, or cut off; `slicedb doctor --deep --mend`"
        yield Finding(name, "unrecorded files", n, advice, mended=mend)


def _way(files: tuple[str, ...]) -> str:
    more = ", ..." if len(files) > _SHOWN else ""
    return f"{WAY_BACK} ({', '.join(files[:_SHOWN])}{more})"


def _unreadable(store: Store, name: str) -> str:
    """Return why a table cannot be read from end to end, "" where it can."""
    try:
        for _ in store.scan(name):
            pass
    except SliceDBError as error:
        return error.message.removesuffix(".")
    return ""


def _old_versions(store: Store, name: str) -> Iterator[Finding]:
    """Find files that only versions kept by commits and frozen slices need."""
    lost: dict[str, None] = {}
    try:
        for version in sorted(set(store.pins(name).values())):
            lost |= dict.fromkeys(store.damaged_files(name, version))
    except (SliceDBError, OSError, ValueError) as error:
        yield Finding(name, "damaged files", 1, f"{WAY_BACK} ({error})")
        return
    now = set(store.damaged_files(name))
    if old := tuple(file for file in lost if file not in now):
        yield Finding(name, "damaged files", len(old), f"earlier versions need them: {_way(old)}")


def _hint(store: Store, name: str, newest: int) -> Iterator[Finding]:
    """Find a note of the newest version that names another one; Lance does not rely on it."""
    path = _folder(store, name) / "_versions" / "latest_version_hint.json"
    try:
        noted = json.loads(path.read_bytes())["version"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        noted = None
    if noted is None or noted > newest or store.version(name) != newest:
        where = os.path.relpath(path, store.path)
        yield Finding(name, "changed files", 1, f"delete it, it is written anew ({where})")


def _images(store: Store) -> Iterator[Finding]:
    """Find stored images that are not those whose hash their sample has."""
    samples = store.table(SAMPLES, ["key", "id", "sha256"])
    index = KeyIndex(samples["key"].to_numpy())
    digests, ids = samples["sha256"].to_pylist(), samples["id"].to_pylist()
    wrong: list[str] = []
    for batch in store.scan(IMAGES, ["key", "image"], batch_size=256):
        rows = index.find(batch["key"].to_numpy())
        for row, image in zip(rows.tolist(), batch["image"]):
            digest = digests[row] if row >= 0 else None
            data = image.as_buffer()
            if digest and data is not None and hashlib.sha256(data).hexdigest() != digest:
                wrong.append(ids[row])
    if wrong:
        shown = ", ".join(repr(name) for name in wrong[:_SHOWN])
        yield Finding(IMAGES, "changed images", len(wrong), f"{_AGAIN} ({shown})")


def _keys(store: Store, name: str) -> Iterator[Finding]:
    """Find rows whose key is not that of their id."""
    wrong = 0
    for batch in store.scan(name, ["id", "key"], batch_size=1 << 16):
        ids = batch["id"].to_pylist()
        keys = batch["key"].to_numpy(zero_copy_only=False)
        wrong += int((keys_of(i or "" for i in ids) != keys).sum())
    if wrong:
        yield Finding(name, "wrong keys", wrong, WAY_BACK)


def _rows(store: Store, name: str) -> Iterator[Finding]:
    """Find rows of our own tables whose JSON does not parse."""
    table = store.table(name, ["id", *_JSON[name]])
    wrong = [row["id"] for row in table.to_pylist() if not _parses(row)]
    if wrong:
        yield Finding(name, "damaged rows", len(wrong), f"{WAY_BACK} ({wrong[0]})")


def _parses(row: Row) -> bool:
    try:
        return all(
            text is None or json.loads(text) is not ... for k, text in row.items() if k != "id"
        )
    except ValueError:
        return False


def _history(store: Store) -> Iterator[Finding]:
    """Find commits and branches that name a commit that is not there."""
    commits = Commits(store)
    ids = {commit.id for commit in commits.history()}
    named = [c.parent for c in commits.history()] + list(commits.branches().values())
    lost = {name for name in named if name is not None and name not in ids}
    if lost:
        advice = f"{WAY_BACK} ({', '.join(sorted(lost)[:_SHOWN])})"
        yield Finding(COMMITS, "lost commits", len(lost), advice)
