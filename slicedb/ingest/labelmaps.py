"""Keep label maps of samples: from files, arrays and run-length codes into the table of masks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from slicedb.errors import IngestError, MediaError, SourceError, did_you_mean
from slicedb.ingest import fingerprint
from slicedb.ingest.attach import read_table
from slicedb.ingest.cocomaps import CocoMaps, holds_maps
from slicedb.ingest.ends import Ends
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


class _Given(NamedTuple):
    """A label map on its way in."""

    id: str
    value: Any
    """Numbers, a PNG, run-length codes, or the path of a file."""
    uri: str | None
    stamp: int


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
        given, lost = _of_folder(store, Location(os.fspath(source)), prefix)
    elif isinstance(source, str | os.PathLike) and holds_maps(Location(os.fspath(source))):
        coco = CocoMaps(Location(os.fspath(source)))
        given, lost = _of_coco(store, coco, prefix)
        classes = coco.classes if classes is None else classes
        ignore = coco.ignored if ignore is None else ignore
    else:
        given, lost = _of_table(store, source, on, prefix), []
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
    uris = [_resolved(uri, source) for uri, source in zip(*columns)]
    stamps = fingerprint.files(uris)[1].tolist()
    given = [
        _Given(name, Location(uri), uri, stamp)
        for name, uri, stamp in zip(rows["id"].to_pylist(), uris, stamps)
    ]
    return _kept(store, given, [], classes, ignore, threads, started)


def _resolved(uri: str, source: str | None) -> str:
    here = Location(uri)
    if here.is_remote or os.path.isabs(uri) or not source:
        return here.path
    root = Location(source)
    beside = (root if not root.is_file() else root.parent).join(uri)
    return beside.path if beside.is_file() or not here.is_file() else here.path


def class_names(given: Sequence[str] | str | os.PathLike[str] | None) -> tuple[str, ...] | None:
    """Return class names: a list of them, names between commas, or a file with one in each line.

    Raises:
        IngestError: the file cannot be read.
    """
    if given is None or not isinstance(given, str | os.PathLike):
        return None if given is None else tuple(given)
    text = os.fspath(given)
    if not os.path.isfile(text) and ("," in text or not os.path.splitext(text)[1]):
        return tuple(part.strip() for part in text.split(","))
    try:
        lines = Location(text).read_text().splitlines()
    except OSError as error:
        raise IngestError(
            f"Cannot read '{text}': {error.strerror}.", "a name in each line."
        ) from error
    return tuple(line.strip() for line in lines if line.strip())


# --- what is given --------------------------------------------------------------------------------


def _of_folder(store: Store, folder: Location, prefix: str) -> tuple[list[_Given], list[str]]:
    """Return the label maps below a folder with their samples, and those that have none.

    The stem of a file is that of its sample's picture: of the whole path below the folder, else of
    its end, where that is of one sample alone.
    """
    from slicedb.ingest.walk import tree_of

    tree = tree_of(folder)
    ends = Ends(store.table(SAMPLES, ["id"])["id"].to_pylist())
    given, lost = [], []
    for below in tree.folders.values():
        for name in below.images:
            place = below.place + name
            sample = ends.sample_of(f"{prefix.strip('/')}/{place}" if prefix else place)
            if sample is None:
                lost.append(place)
            else:
                where = folder.join(*below.parts, name)
                given.append(_Given(sample, where, where.path, 0))
    if not given:
        raise SourceError(
            f"No label map in '{folder}' is called like a sample"
            + (f": {', '.join(lost[:_SHOWN])}." if lost else "."),
            "a label map has the path of its picture, with another ending; prefix= (--prefix) is "
            "put before it.",
        )
    stamps = fingerprint.files([one.uri for one in given])[1].tolist()
    return [one._replace(stamp=stamp) for one, stamp in zip(given, stamps)], lost


def _of_coco(store: Store, coco: CocoMaps, prefix: str) -> tuple[list[_Given], list[str]]:
    """Return the label maps of a COCO file with their samples, and the images that are none."""
    ends = Ends(store.table(SAMPLES, ["id"])["id"].to_pylist())
    given, lost = [], []
    for place, codes in coco.maps():
        sample = ends.sample_of(f"{prefix.strip('/')}/{place}" if prefix else place)
        if sample is None:
            lost.append(place)
        else:
            given.append(_Given(sample, codes, None, 0))
    if not given:
        raise SourceError(
            f"No image of '{coco.file}' is called like a sample"
            + (f": {', '.join(lost[:_SHOWN])}." if lost else "."),
            "an image has the path of its sample; prefix= (--prefix) is put before it.",
        )
    return given, lost


def _of_table(store: Store, source: object, on: str, prefix: str) -> list[_Given]:
    if isinstance(source, Mapping):
        if on not in source or not {"mask", "rle"} & set(source):
            raise IngestError(
                f"The label maps need '{on}' and 'mask'.", 'give {"id": [...], "mask": [...]}.'
            )
        ids, values = list(source[on]), list(source.get("mask", source.get("rle")))
        root = None
        if len(ids) != len(values):
            raise IngestError(
                f"{numbers.count(len(ids), 'id')} and {numbers.count(len(values), 'label map')}.",
                "one for each.",
            )
    else:
        table, _ = read_table(source, store.schema(SAMPLES), on)
        name = next((n for n in ("mask", "rle", "mask_uri") if n in table.column_names), None)
        if name is None:
            raise IngestError(
                f"No column 'mask' among {', '.join(table.column_names)}.",
                "it holds paths of PNG files, their bytes, or run-length codes.",
            )
        ids, values = table[on].to_pylist(), table[name].to_pylist()
        root = os.fspath(source) if isinstance(source, str | os.PathLike) else None
    names = [f"{prefix.strip('/')}/{i}" if prefix else str(i) for i in ids]
    _refuse_unknown(store, names)
    return [
        _Given(name, _located(value, root), None, 0)
        for name, value in zip(names, values)
        if value is not None
    ]


def _located(value: Any, root: str | None) -> Any:
    is_path = isinstance(value, str) and value.lstrip()[:1] not in ("{", "[")
    return Location(_resolved(value, root)) if is_path else value


def _refuse_unknown(store: Store, names: list[str]) -> None:
    keys = keys_of(names)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise IngestError(f"The id '{twice}' comes more than once.", "one label map per sample.")
    known = store.present(SAMPLES, keys, ids=names)
    if not known.all():
        wrong = names[int(np.flatnonzero(~known)[0])]
        some = store.table(SAMPLES, ["id"])["id"][:20_000].to_pylist()
        raise IngestError(
            f"{int((~known).sum()):,} of {numbers.count(len(names), 'id')} "
            f"{numbers.verb(int((~known).sum()), 'is not a sample', 'are not samples')} here, the "
            f"first is '{wrong}'.",
            did_you_mean(wrong, some, "samples") + " Nothing was written.",
        )


# --- what is kept ---------------------------------------------------------------------------------


def _kept(
    store: Store,
    given: list[_Given],
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
    store: Store, given: list[_Given], names: tuple[str, ...] | None, ignored: int
) -> tuple[list[_Given], int]:
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
    one: _Given, names: tuple[str, ...] | None, ignored: int
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
    good: list[tuple[_Given, LabelMap, bytes | None]],
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
