"""Give the numbers of classes in Hugging Face's Parquet files the names that the files carry.

The metadata of a schema describes each column (`datasets.Features`): ClassLabel is a number with
names, and it may stand inside lists, structures and sequences of structures at any depth.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Feature: TypeAlias = Any
"""One feature as JSON: a dict with `_type`, a dict of features by name, or a list of one."""


def features_of(schema: pa.Schema) -> dict[str, Feature]:
    """Return the features that a schema describes; none where it describes nothing."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"][
            "features"
        ]
    except (KeyError, TypeError, ValueError):
        return {}
    return features if isinstance(features, dict) else {}


def class_columns(schema: pa.Schema) -> list[str]:
    """Return the columns of which each value is one class."""
    features = features_of(schema)
    return [name for name in schema.names if _names(features.get(name)) is not None]


def named_schema(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose classes are text, as `named` has them."""
    features = features_of(schema)
    if not features:
        return schema
    empty = [_named(pa.array([], f.type), features.get(f.name)) for f in schema]
    return pa.schema([f.with_type(array.type) for f, array in zip(schema, empty)], schema.metadata)


def named(batch: pa.RecordBatch, features: dict[str, Feature]) -> pa.RecordBatch:
    """Return a batch with the names of classes in place of their numbers; -1 and its like: null."""
    columns = {name: _named(batch[name], features.get(name)) for name in batch.schema.names}
    return pa.RecordBatch.from_pydict(columns)


def _names(feature: Feature) -> list[str] | None:
    """Return the names of a ClassLabel; None of anything else."""
    if not isinstance(feature, dict) or feature.get("_type", "ClassLabel") != "ClassLabel":
        return None
    names = feature.get("names")
    if isinstance(names, dict):  # as the card of a data set has them: {"0": "cat"}
        try:
            names = [name for _, name in sorted(names.items(), key=lambda item: int(item[0]))]
        except ValueError:
            return None
    return [str(name) for name in names] if isinstance(names, list) else None


def _inside(feature: Feature) -> Feature:
    """Return the feature of the elements of a list; None of anything else."""
    if isinstance(feature, list) and len(feature) == 1:
        return feature[0]
    is_list = isinstance(feature, dict) and feature.get("_type") in (
        "Sequence",
        "List",
        "LargeList",
    )
    return feature.get("feature") if is_list else None


def _named(array: pa.Array, feature: Feature) -> pa.Array:
    if feature is None:
        return array
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    names = _names(feature)
    if names is not None and pa.types.is_integer(kind):
        valid = pc.and_(pc.greater_equal(array, 0), pc.less(array, len(names)))
        return pa.array(names, pa.string()).take(pc.if_else(valid, array, None))
    if pa.types.is_struct(kind):
        inside = _inside(feature)
        # A sequence of structures is stored as a structure of lists.
        of = {k: [v] for k, v in inside.items()} if isinstance(inside, dict) else feature
        if not isinstance(of, dict):
            return array
        parts = [_named(pc.struct_field(array, i), of.get(f.name)) for i, f in enumerate(kind)]
        fields = [f.with_type(part.type) for f, part in zip(kind, parts)]
        return pa.StructArray.from_arrays(parts, fields=fields, mask=array.is_null())
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inside = _inside(feature)
        return array if inside is None else _list(array, inside)
    return array


def _list(array: pa.Array, inside: Feature) -> pa.Array:
    values = _named(array.flatten(), inside)
    if values.type == array.type.value_type:
        return array
    sizes = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    ends = pc.cumulative_sum(sizes)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends]).cast(pa.int32())
    return pa.ListArray.from_arrays(offsets, values, mask=array.is_null())
