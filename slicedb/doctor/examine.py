"""Examine the health of a database, and mend what is fragmented, orphaned or left over."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.cache import give_back
from slicedb.commits import Commits, frozen_slices
from slicedb.doctor.deep import look_deep
from slicedb.doctor.finding import WAY_BACK, Finding
from slicedb.errors import DatabaseError
from slicedb.keys import KeyIndex, distinct
from slicedb.schema import (
    ANSWERS,
    COMMITS,
    DECISIONS,
    EDITS,
    IMAGES,
    OK,
    PER_SAMPLE,
    SAMPLES,
    SLICES,
    keys_of,
)
from slicedb.store.files import file_in, is_panic

if TYPE_CHECKING:
    from slicedb.store import Store

_MANY_FRAGMENTS = 20
_MANY_DELETED = 0.2
"""Share of deleted rows from which a table is rewritten."""
_SETTLED = timedelta(hours=1)
"""Age from which a pin that nothing asks for is no commit being made."""


def examine(store: Store, *, mend: bool = False, deep: bool = False) -> list[Finding]:
    """Look for trouble in every table.

    Args:
        store: the database.
        mend: compact what is fragmented, delete rows that belong to no sample, renew pins that
            are missing, remove those of commits and slices that are gone, and throw away caches
            of versions that are gone. What cannot be mended without losing something is only
            reported.
        deep: also read every file and compare it with what it held when it was written.

    Returns:
        the findings; empty when all is well.
    """
    findings = _lost_manifests(store)
    samples: np.ndarray | None = None
    with _damage(store, SAMPLES, findings):
        samples = _column(store, SAMPLES, "key")
    for name in store.names():
        with _damage(store, name, findings):
            findings += _of_table(store, name, samples, mend)
        give_back()
    parts: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        (SAMPLES, lambda: _lost(store)),
        (COMMITS, lambda: _pins(store, mend)),
        (COMMITS, lambda: _cut_off(store)),
        (".cache", lambda: _caches(store, mend)),
    )
    for name, part in parts:
        with _damage(store, name, findings):
            findings += part()
    if mend:
        store.sync()
    return findings + look_deep(store, findings, mend=mend) if deep else findings


def _of_table(store: Store, name: str, samples: np.ndarray | None, mend: bool) -> Iterator[Finding]:
    damaged = store.damaged_files(name)
    if damaged:
        shown = ", ".join(damaged[:3])
        yield Finding(name, "damaged files", len(damaged), f"{WAY_BACK} ({shown})")
        return
    yield from _fragments(store, name, mend) or _deleted(store, name, mend)
    yield from _stray_files(store, name, mend)
    if "key" not in store.schema(name).names:
        return
    keys = _column(store, name, "key")
    is_of_samples = name == IMAGES or name.startswith(PER_SAMPLE)
    if samples is not None and is_of_samples and not np.array_equal(keys, samples):
        yield from _orphans(store, name, keys, samples, mend)
    if name in (ANSWERS, DECISIONS, EDITS):  # a sample has several; their key is that of it
        keys = keys_of(store.table(name, ["id"])["id"])
    yield from _duplicates(name, keys)


@contextlib.contextmanager
def _damage(store: Store, name: str, findings: list[Finding]) -> Iterator[None]:
    """Report what cannot be read, once a table, and go on with the next."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) and not is_panic(error):
            raise
        if not any(f.table == name and f.problem == "damaged files" for f in findings):
            findings.append(Finding(name, "damaged files", 1, f"{WAY_BACK} ({_place(error)})"))


def _place(error: BaseException) -> str:
    """Return the damaged file where an error names it, else what it says."""
    if isinstance(error, DatabaseError):
        return error.message.removesuffix(".")
    return file_in(error)


def _lost_manifests(store: Store) -> list[Finding]:
    """Find folders of tables that hold data and no version that says what it is.

    A table that was finished has its checksums written down; one that has none, where others have,
    was being made when its process was killed, and nothing of it was acknowledged.
    """
    known = store.checksums.tables() if store.is_local else []
    return [
        Finding(name, "lost manifests", 1, WAY_BACK)
        if name in known or not known
        else Finding(name, "cut-off creation", 1, "say the command that makes it again")
        for name in store.without_version()
    ]


def _column(store: Store, name: str, column: str) -> np.ndarray:
    return store.table(name, [column])[column].to_numpy()  # type: ignore[no-any-return]


def _fragments(store: Store, name: str, mend: bool) -> list[Finding]:
    n = store.small_fragments(name)
    if n < _MANY_FRAGMENTS:
        return []
    return [_finding(name, "fragments", n, mend, lambda: store.compact(name))]


def _deleted(store: Store, name: str, mend: bool) -> list[Finding]:
    fragments = store.dataset(name).get_fragments()
    stored = sum(fragment.physical_rows for fragment in fragments)
    deleted = stored - store.count(name)
    if deleted < 1000 or deleted < _MANY_DELETED * stored:
        return []
    return [_finding(name, "deleted rows", deleted, mend, lambda: store.compact(name))]


def _orphans(
    store: Store, name: str, keys: np.ndarray, samples: np.ndarray, mend: bool
) -> list[Finding]:
    alone = ~KeyIndex(samples).has(keys)
    if not alone.any():
        return []
    ids = store.table(name, ["id"])["id"].filter(pa.array(alone)).to_pylist()
    return [_finding(name, "orphans", len(ids), mend, lambda: store.delete(name, ids))]


def _finding(name: str, problem: str, n: int, mend: bool, act: Callable[[], object]) -> Finding:
    if mend:
        act()
    return Finding(name, problem, n, "`slicedb doctor --mend`", mended=mend)


def _duplicates(name: str, keys: np.ndarray) -> list[Finding]:
    doubled = len(keys) - len(distinct(keys))
    advice = "two writers added the same ids; delete and ingest them again"
    return [Finding(name, "duplicates", doubled, advice)] if doubled else []


def _lost(store: Store) -> list[Finding]:
    """Find samples that are ok, have no stored bytes and no file behind their uri."""
    table = store.table(SAMPLES, ["key", "uri", "status"])
    table = table.filter(pc.equal(table["status"], OK))
    keys = table["key"].to_numpy()
    inside = store.positions(IMAGES, keys) >= 0 if store.has(IMAGES) else np.zeros(len(keys), bool)
    outside = table["uri"].filter(pa.array(~inside))
    lost = outside.null_count + sum(not _exists(uri) for uri in outside.drop_null().to_pylist())
    advice = "bring the files back, or ingest without --reference"
    return [Finding(SAMPLES, "lost images", lost, advice)] if lost else []


def _stray_files(store: Store, name: str, mend: bool) -> list[Finding]:
    """Find data files that no version names and no writer can still be at: older than a week."""
    n = store.stray_files(name)
    if not n:
        return []
    return [_finding(name, "stray files", n, mend, lambda: store.stray_files(name, remove=True))]


def _pins(store: Store, mend: bool) -> list[Finding]:
    """Find pins that are missing, versions that are gone, and pins that nothing asks for."""
    wanted = dict(_wanted(store))
    findings = []
    for name in store.names():
        pins = store.pins(name)
        versions = {int(version["version"]) for version in store.dataset(name).versions()}
        mine = {tag: version for (table, tag), version in wanted.items() if table == name}
        lost = {tag for tag, version in mine.items() if version not in versions}
        if lost:
            advice = "commits or frozen slices name them; nothing can bring them back"
            findings.append(Finding(name, "lost versions", len(lost), advice))
        missing = {tag: v for tag, v in mine.items() if tag not in pins and tag not in lost}
        if missing:

            def renew(name: str = name, missing: dict[str, int] = missing) -> None:
                for tag, version in missing.items():
                    store.pin(name, version, tag)

            findings.append(_finding(name, "missing pins", len(missing), mend, renew))
        stray = [tag for tag in store.pins(name, older_than=_SETTLED) if _is_stray(tag, mine)]
        if stray:

            def remove(name: str = name, stray: list[str] = stray) -> None:
                for tag in stray:
                    store.unpin(name, tag)

            findings.append(_finding(name, "stray pins", len(stray), mend, remove))
    return findings


def _cut_off(store: Store) -> list[Finding]:
    """Find a checkout that was killed half way, or that another process is at."""
    going = Commits(store).cut_off()
    return (
        []
        if going is None
        else [Finding(COMMITS, "cut-off checkout", 1, f"`slicedb reset {going}`")]
    )


def _is_stray(tag: str, wanted: dict[str, int]) -> bool:
    return tag.startswith(("commit-", "slice-")) and tag not in wanted


def _wanted(store: Store) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield (table, tag), version of every pin that a commit or a frozen slice asks for."""
    yield from _of_slices(store, None, "")
    for commit in Commits(store).history():
        for name, version in commit.tables.items():
            yield (name, f"commit-{commit.id}"), version
        yield from _of_slices(store, commit.tables.get(SLICES, 0), f"commit-{commit.id}")


def _of_slices(store: Store, at: int | None, commit: str) -> Iterator[tuple[tuple[str, str], int]]:
    """Yield the pins of the frozen slices of the present, or those a commit holds for its own."""
    if at == 0:
        return
    try:
        slices = frozen_slices(store, at)
    except DatabaseError:  # reported as a lost version
        return
    for tag, tables in slices:
        for name, version in tables.items():
            yield (name, f"{commit}-{version}" if commit else tag), version


def _caches(store: Store, mend: bool) -> list[Finding]:
    """Find vectors kept for versions that are gone; they are computed again when needed."""
    try:
        folder = store.cache_dir / "vectors"
    except OSError:  # a database that may only be read, without a cache
        return []
    stale = []
    for path in sorted(folder.glob("*@*")) if folder.is_dir() else ():
        name, _, version = path.name.rpartition("@")
        if not store.has(name) or not _has_version(store, name, version):
            stale.append(path)
    if not stale:
        return []

    def remove() -> None:
        for path in stale:
            shutil.rmtree(path, ignore_errors=True)

    return [_finding(".cache", "stale caches", len(stale), mend, remove)]


def _has_version(store: Store, name: str, version: str) -> bool:
    known = {str(about["version"]) for about in store.dataset(name).versions()}
    return version in known


def _exists(uri: str) -> bool:
    return bool(uri) and ("://" in uri or os.path.isfile(uri))
