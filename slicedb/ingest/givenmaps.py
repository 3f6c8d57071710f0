"""Find the label maps that are given: in a folder, a COCO file or a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from slicedb.errors import IngestError, SourceError, did_you_mean
from slicedb.ingest import fingerprint
from slicedb.ingest.attach import read_table
from slicedb.ingest.cocomaps import CocoMaps
from slicedb.ingest.ends import Ends
from slicedb.schema import SAMPLES, keys_of
from slicedb.show import numbers
from slicedb.sources import Location
from slicedb.store import Store

_SHOWN = 3


class GivenMap(NamedTuple):
    """A label map on its way in."""

    id: str
    value: Any
    """Numbers, a PNG, run-length codes, or the path of a file."""
    uri: str | None
    stamp: int


def resolved(uri: str, source: str | None) -> str:
    """Return the path of a label map: beside the source of its sample, else from here."""
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


def of_folder(store: Store, folder: Location, prefix: str) -> tuple[list[GivenMap], list[str]]:
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
                given.append(GivenMap(sample, where, where.path, 0))
    if not given:
        raise SourceError(
            f"No label map in '{folder}' is called like a sample"
            + (f": {', '.join(lost[:_SHOWN])}." if lost else "."),
            "a label map has the path of its picture, with another ending; prefix= (--prefix) is "
            "put before it.",
        )
    stamps = fingerprint.files([one.uri for one in given])[1].tolist()
    return [one._replace(stamp=stamp) for one, stamp in zip(given, stamps)], lost


def of_coco(store: Store, coco: CocoMaps, prefix: str) -> tuple[list[GivenMap], list[str]]:
    """Return the label maps of a COCO file with their samples, and the images that are none."""
    ends = Ends(store.table(SAMPLES, ["id"])["id"].to_pylist())
    given, lost = [], []
    for place, codes in coco.maps():
        sample = ends.sample_of(f"{prefix.strip('/')}/{place}" if prefix else place)
        if sample is None:
            lost.append(place)
        else:
            given.append(GivenMap(sample, codes, None, 0))
    if not given:
        raise SourceError(
            f"No image of '{coco.file}' is called like a sample"
            + (f": {', '.join(lost[:_SHOWN])}." if lost else "."),
            "an image has the path of its sample; prefix= (--prefix) is put before it.",
        )
    return given, lost


def of_table(store: Store, source: object, on: str, prefix: str) -> list[GivenMap]:
    """Return the label maps of a table, or of lists by name, all of which have a sample."""
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
        GivenMap(name, _located(value, root), None, 0)
        for name, value in zip(names, values)
        if value is not None
    ]


def _located(value: Any, root: str | None) -> Any:
    is_path = isinstance(value, str) and value.lstrip()[:1] not in ("{", "[")
    return Location(resolved(value, root)) if is_path else value


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
