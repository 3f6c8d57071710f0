"""Write what `datasets` loads: an ImageFolder with metadata.jsonl, or Parquet with its features.

train/1.jpg  train/metadata.jsonl     `load_dataset("imagefolder", data_dir=...)`
cells.parquet                         `load_dataset("parquet", data_files=...)`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from slicedb.export.about import Sidecar, about, as_text, said
from slicedb.export.folder import file_name, write_images
from slicedb.export.tables import Row, metadata
from slicedb.ingest.format import Written
from slicedb.keys import Keys
from slicedb.schema import SAMPLES, Box

if TYPE_CHECKING:
    from slicedb.store import Store

Feature: TypeAlias = object
"""One feature of `datasets` as JSON."""

_ALL = "all"
"""Folder of the samples that are in no split, where others are in some."""


def write_huggingface(store: Store, keys: Keys, path: Path) -> Written:
    """Write a folder, or one file where the name ends in .parquet; `slicedb ingest` reads both."""
    if path.suffix.lower() == ".parquet":
        return _write_parquet(store, keys, path)
    columns = said(store.schema(SAMPLES), "split")
    splits = store.take(SAMPLES, keys, ["split"])["split"]
    some = pc.count(splits, mode="only_valid").as_py() > 0
    taken: set[str] = set()
    path.mkdir(parents=True, exist_ok=True)
    with ExitStack() as open_files:
        sidecars: dict[str, Sidecar] = {}
        for chunk, table in metadata(store, keys):
            rows = table.select(["id", "format", "split", "objects"]).to_pylist()
            wanted = [_name(row, some) for row in rows]
            names = write_images(store, chunk, wanted, path, taken)
            for name, row, more in zip(names, rows, about(table, columns), strict=True):
                if row["objects"] is not None:
                    more["objects"] = _lists(row["objects"])
                folder, _, own = name.rpartition("/")
                if folder not in sidecars:
                    sidecars[folder] = open_files.enter_context(Sidecar(path / folder))
                sidecars[folder].add([own], [more])
    return Written(len(keys), tuple(as_text(store.schema(SAMPLES), columns)))


def _name(row: Row, has_splits: bool) -> str:
    name = file_name(row["id"], row["format"]).replace("/", "_")
    if not has_splits:
        return name
    return f"{(row['split'] or _ALL).replace('/', '_')}/{name}"


def _lists(boxes: Sequence[Box]) -> Row:
    """Return boxes as a structure of lists, the usual form; fields that no box has are left out."""
    lists: Row = {
        "bbox": [box["bbox"] for box in boxes],
        "category": [box["label"] for box in boxes],
    }
    for name in ("score", "attributes", "segmentation", "keypoints"):
        values = [box.get(name) for box in boxes]
        if any(value is not None for value in values):
            lists[name] = values
    return lists


# --- Parquet ----------------------------------------------------------------------------------


def _write_parquet(store: Store, keys: Keys, path: Path) -> Written:
    import pyarrow.parquet as pq

    columns = said(store.schema(SAMPLES))
    columns += [name for name in ("split", "objects") if name not in columns]
    whole = store.take(SAMPLES, keys, ["label", "objects"])
    names = {
        "label": _values(whole["label"]),
        "objects": _values(pc.struct_field(pc.list_flatten(whole["objects"]), "label")),
    }
    writer = None
    for chunk, table in metadata(store, keys):
        files = [
            file_name(name, form)
            for name, form in zip(table["id"].to_pylist(), table["format"].to_pylist())
        ]
        data = [data for _, data in store.read_images(chunk)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        images = pa.StructArray.from_arrays(
            [pa.array(data, pa.binary()), pa.array(files, pa.string())], fields=list(kind)
        )
        rows: dict[str, pa.Array | pa.ChunkedArray] = {"image": images}
        for name in columns:
            rows[name] = _coded(table[name], names[name]) if name == "label" else table[name]
        made = pa.table(rows)
        features = {name: _feature(made.schema.field(name).type) for name in made.column_names}
        features |= {"image": {"_type": "Image"}, "label": _classes(names["label"])}
        features["objects"] = [_box_features(made.schema.field("objects").type.value_type)]
        about_them = json.dumps({"info": {"features": features}})
        made = made.replace_schema_metadata({"huggingface": about_them})
        writer = writer or pq.ParquetWriter(path, made.schema)
        writer.write_table(made)
    if writer is not None:
        writer.close()
    return Written(len(keys))


def _values(column: pa.ChunkedArray) -> list[str]:
    return sorted(value for value in pc.unique(column).to_pylist() if value is not None)


def _coded(column: pa.ChunkedArray, names: Sequence[str]) -> pa.Array:
    """Return labels as numbers of classes; NULL stays NULL."""
    return pc.index_in(column, pa.array(names, pa.string())).cast(pa.int64())


def _classes(names: Sequence[str]) -> Feature:
    return {"names": list(names), "_type": "ClassLabel"}


def _box_features(kind: pa.DataType) -> Feature:
    return {field.name: _feature(field.type) for field in kind}


def _feature(kind: pa.DataType) -> Feature:
    """Return the feature of a type, in the words of `datasets`."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}
