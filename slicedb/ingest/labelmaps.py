"""Keep label maps of samples: from files, arrays and run-length codes into the table of masks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.errors import IngestError, MediaError, SourceError
from slicedb.ingest import fingerprint
from slicedb.ingest.cocomaps import CocoMaps, holds_maps
from slicedb.ingest.givenmaps import GivenMap, of_coco, of_folder, of_table, resolved
from slicedb.keys import KeyIndex
from slicedb.media import n_threads
from slicedb.media.labelmap import codes_in
from slicedb.schema import MASKS, MASKS_SCHEMA, SAMPLES, keys_of
from slicedb.show import numbers
from slicedb.show.tabular import Record
from slicedb.sources import Location
from slicedb.store import Store
from slicedb.tasks.givenmaps import map_from
from slicedb.tasks.labelmaps import IGNORE, LabelMap, areas_column, maps_column

CLASSES, IGNORED = "slicedb:classes", "slicedb:ignored"
"""Where the metadata of the table of masks keeps the classes by number, and the ignored one."""
_NAMED = "slicedb:named"
"""Whether somebody said what the classes are called; else they are called by their numbers."""
_CHUNK = 256
_SHOWN = 3


@dataclass(frozen=True)
class MasksReport(Record):
    """What reading label maps did."""

    added: int
    """Samples that had none."""
    changed: int
    unchanged: int
    """Label maps that are as they were."""
    failed: int = 0
    """Label maps that were left out, since they do not decode or hold a number that is no class."""
    examples: tuple[str, ...] = ()
    """The first of them, and why."""
    unmatched: int = 0
    """Label maps of no sample."""
    unmatched_examples: tuple[str, ...] = ()
    other_size: int = 0
    """Label maps of another size than their picture; predictions are fitted to them."""
    without: int = 0
    """Samples that have no label map now."""
    classes: tuple[str, ...] = ()
    """By number."""
    ids: list[str] = field(default_factory=list, repr=False)
    """Samples whose label map is new or another."""
    seconds: float = 0.0

    def __str__(self) -> str:
        text = (
            f"{numbers.count(self.added, 'label map')} added, {self.changed:,} changed, "
            f"{self.unchanged:,} unchanged ({self.seconds:.1f} s)."
        )
        return "\n  ".join([text, *self.notes()])

    def notes(self) -> list[str]:
        """Return what the user should know, one sentence each."""
        lines = []
        if self.failed:
            lines.append(f"{self.failed:,} left out: {'; '.join(self.examples)}.")
        if self.unmatched:
            shown = ", ".join(self.unmatched_examples)
            lines.append(f"{self.unmatched:,} belong to no sample: {shown}.")
        if self.other_size:
            lines.append(
                f"{self.other_size:,} {numbers.verb(self.other_size, 'is', 'are')} not as large as "
                f"{numbers.verb(self.other_size, 'its', 'their')} picture; predictions are "
                "fitted to the label map by its nearest pixels."
            )
        if self.without:
            lines.append(f"{numbers.count(self.without, 'sample')} without a label map.")
        return lines


def attach_masks(
    store: Store,
    source: object,
    *,
    classes: Sequence[str] | None = None,
    ignore: int | None = None,
    on: str = "id",
    prefix: str = "",
    threads: int | None = None,
) -> MasksReport:
    """Read label maps of samples; see `Database.attach_masks`."""
    started = time.perf_counter()
    if isinstance(source, str | os.PathLike) and Location(os.fspath(source)).is_folder():
        given, lost = of_folder(store, Location(os.fspath(source)), prefix)
    elif isinstance(source, str | os.PathLike) and holds_maps(Location(os.fspath(source))):
        coco = CocoMaps(Location(os.fspath(source)))
        given, lost = of_coco(store, coco, prefix)
        classes = coco.classes if classes is None else classes
        ignore = coco.ignored if ignore is None else ignore
    else:
        given, lost = of_table(store, source, on, prefix), []
    return _kept(store, given, lost, classes, ignore, threads, started)


def keep_named(
    store: Store,
    *,
    classes: Sequence[str] | None = None,
    ignore: int | None = None,
    threads: int | None = None,
) -> MasksReport | None:
    """Read the label maps that `mask_uri` of samples names; None where none does.

    A path is relative to the folder of the sample's source, or to the working directory.
    """
    started = time.perf_counter()
    if "mask_uri" not in store.schema(SAMPLES).names:
        return None
    rows = store.table(SAMPLES, ["id", "mask_uri", "source"], where="mask_uri IS NOT NULL")
    if not len(rows):
        return None
    columns = (rows[name].to_pylist() for name in ("mask_uri", "source"))
    uris = [resolved(uri, source) for uri, source in zip(*columns)]
    stamps = fingerprint.files(uris)[1].tolist()
    given = [
        GivenMap(name, Location(uri), uri, stamp)
        for name, uri, stamp in zip(rows["id"].to_pylist(), uris, stamps)
    ]
    return _kept(store, given, [], classes, ignore, threads, started)


def _kept(
    store: Store,
    given: list[GivenMap],
    lost: list[str],
    classes: Sequence[str] | None,
    ignore: int | None,
    threads: int | None,
    started: float,
) -> MasksReport:
    names, ignored = _settings(store, classes, ignore)
    todo, unchanged = _new(store, given, names, ignored)
    sizes = _sizes(store, [one.id for one in todo])
    known = set(store.table(MASKS, ["id"])["id"].to_pylist()) if store.has(MASKS) else set()
    ids: list[str] = []
    failed: list[str] = []
    other_size = 0
    seen: dict[str, None] = dict.fromkeys(names or ())
    with ThreadPoolExecutor(n_threads(threads), "slicedb-masks") as pool:
        for start in range(0, len(todo), _CHUNK):
            chunk = todo[start : start + _CHUNK]
            made = list(pool.map(lambda one: _made(one, names, ignored), chunk))
            failed += [m for m in made if isinstance(m, str)]
            good = [(one, m[0], m[1]) for one, m in zip(chunk, made) if not isinstance(m, str)]
            for one, made_map, _ in good:
                seen.update(dict.fromkeys(made_map.classes))
                other_size += sizes.get(one.id, made_map.codes.shape) != made_map.codes.shape
            ids += _written(store, good, tuple(seen), ignored)
    if todo and not ids and len(failed) == len(todo):
        raise IngestError(f"No label map could be read: {failed[0]}.", "nothing was written.")
    store.sync()
    added = sum(name not in known for name in ids)
    return MasksReport(
        added=added,
        changed=len(ids) - added,
        unchanged=unchanged + len(todo) - len(failed) - len(ids),
        failed=len(failed),
        examples=tuple(failed[:_SHOWN]),
        unmatched=len(lost),
        unmatched_examples=tuple(lost[:_SHOWN]),
        other_size=other_size,
        without=store.count(SAMPLES) - store.count(MASKS) if store.has(MASKS) else 0,
        classes=tuple(seen),
        ids=ids,
        seconds=time.perf_counter() - started,
    )


def _settings(
    store: Store, classes: Sequence[str] | None, ignore: int | None
) -> tuple[tuple[str, ...] | None, int]:
    """Return the classes by number, None where nobody said, and the number that is ignored."""
    facts = store.metadata(MASKS) if store.has(MASKS) else {}
    held = json.loads(facts.get(CLASSES) or "[]")
    ignored = int(facts.get(IGNORED) or IGNORE) if ignore is None else ignore
    if classes is None:
        return (tuple(held) if facts.get(_NAMED) else None), ignored
    names = tuple(classes)
    if len(set(names)) < len(names) or not all(names):
        raise IngestError(f"The classes {', '.join(names)} are not distinct.", "one name each.")
    return names, ignored


def _new(
    store: Store, given: list[GivenMap], names: tuple[str, ...] | None, ignored: int
) -> tuple[list[GivenMap], int]:
    """Return the label maps that are to be read, and how many are as they were."""
    if not store.has(MASKS):
        return given, 0
    rows = store.table(MASKS, ["key", "uri", "stamp"])
    facts = store.metadata(MASKS)
    same_names = names is None or list(names) == json.loads(facts.get(CLASSES) or "[]")
    if not same_names or int(facts.get(IGNORED) or IGNORE) != ignored:
        return given, 0
    at = KeyIndex(rows["key"].to_numpy()).find(keys_of([one.id for one in given])).tolist()
    uris, stamps = rows["uri"].to_pylist(), rows["stamp"].to_pylist()
    todo = [
        one
        for one, i in zip(given, at)
        if i < 0 or not one.stamp or uris[i] != one.uri or stamps[i] != one.stamp
    ]
    return todo, len(given) - len(todo)


def _made(
    one: GivenMap, names: tuple[str, ...] | None, ignored: int
) -> tuple[LabelMap, bytes | None] | str:
    """Return a label map and the file it was read from, or why there is none."""
    try:
        value = one.value.read_bytes() if isinstance(one.value, Location) else one.value
        data = bytes(value) if isinstance(value, bytes | bytearray) else None
        classes = _numbered(value, ignored) if names is None else names
        made = map_from(value, classes, ignored)
    except MediaError as error:
        return f"'{one.uri or one.id}': {error.why}"
    except (OSError, SourceError, ValueError) as error:
        return f"'{one.uri or one.id}': {error}"
    is_png = data is not None and data[:4] == b"\x89PNG"
    return made, data if is_png else None


def _numbered(value: Any, ignored: int) -> tuple[str, ...]:
    """Return the numbers of a label map as the names of its classes."""
    codes = codes_in(bytes(value)) if isinstance(value, bytes | bytearray) else np.asarray(value)
    if codes.dtype.kind not in "iub" or not codes.size:
        raise ValueError("run-length codes name classes: give classes= (--mask-classes)")
    used = codes[codes != ignored]
    return tuple(map(str, range(int(used.max()) + 1 if used.size else 1)))


def _written(
    store: Store,
    good: list[tuple[GivenMap, LabelMap, bytes | None]],
    classes: tuple[str, ...],
    ignored: int,
) -> list[str]:
    """Write label maps; return the ids of those that are new or others."""
    from slicedb.media.labelmap import png_of

    if not good:
        return []
    given = [one for one, _, _ in good]
    maps = [made for _, made, _ in good]
    encoded = [data or png_of(made.codes) for _, made, data in good]
    areas, pixels = areas_column(maps)
    ids = [one.id for one in given]
    table = pa.table(
        {
            "id": ids,
            "key": keys_of(ids),
            "mask": maps_column(maps, encoded),
            "areas": areas,
            "pixels": pixels,
            "uri": pa.array([one.uri for one in given], pa.string()),
            "stamp": pa.array([one.stamp for one in given], pa.int64()),
        }
    ).cast(MASKS_SCHEMA)
    facts = {CLASSES: json.dumps(list(classes)), IGNORED: str(ignored)}
    facts |= {_NAMED: "" if all(name.isdigit() for name in classes) else "1"}
    if not store.create(MASKS, MASKS_SCHEMA.with_metadata(facts)):
        held = store.metadata(MASKS)
        if any(held.get(name) != value for name, value in facts.items()):
            store.set_metadata(MASKS, facts)
    before, has_row = store.find(MASKS, table["key"].to_numpy(), ["key", "mask"])
    at = np.cumsum(has_row) - 1
    fresh = np.array(
        [
            not has or before["mask"][int(i)] != table["mask"][n]
            for n, (has, i) in enumerate(zip(has_row.tolist(), at.tolist()))
        ],
        bool,
    )
    store.upsert(MASKS, table)
    return [ids[i] for i in np.flatnonzero(fresh)]


def _sizes(store: Store, ids: list[str]) -> dict[str, tuple[int, int]]:
    """Return height and width of the pictures of samples, where they are known."""
    if not ids:
        return {}
    rows = store.take(SAMPLES, keys_of(ids), ["id", "width", "height"], ids=ids).to_pylist()
    return {row["id"]: (row["height"], row["width"]) for row in rows if row["width"]}
