"""Turn the columns of any table into those of `samples`: roles, names, plain types.

path, image, label, split, caption, id    found by name, or named by the caller
label, split, caption, tags, ...          taken as what they are called
width, sha256, status, ...                measured by SliceDB: kept as `width_`, with a note
everything else                           kept, in a plain type
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from slicedb.errors import IngestError, did_you_mean
from slicedb.ingest.convert import Column, disagreement, earlier, is_text, loss, plain
from slicedb.ingest.features import class_columns
from slicedb.ingest.objects import BOXES, are_labelled_boxes, holds_boxes
from slicedb.ingest.source import Options
from slicedb.schema import SAMPLES_SCHEMA, unfit

GUESSES: dict[str, tuple[str, ...]] = {
    role: tuple(names.split())
    for role, names in {
        "path": "path image_path img_path image_file file_path filepath file filename file_name"
        " image_name fname relative_path uri image img",
        "image": "image img image_bytes bytes jpeg jpg png content data",
        "label": "label class category target class_name label_name category_name classname"
        " ground_truth",
        "split": "split subset partition set",
        "caption": "caption description alt_text",
        "id": "id",
    }.items()
}
"""Role -> the column names taken for it, in this order, whatever their case."""

BROUGHT = frozenset(
    {"label", "labels", "objects", "mask_uri", "caption", "split", "tags", "captured_at"}
)
"""Columns of `samples` that a source may fill."""

MEASURED = frozenset(SAMPLES_SCHEMA.names) - BROUGHT - {"id"}
"""Columns of `samples` that SliceDB fills; a source's column of that name gets a `_` behind."""


STEMS = "image_id img_id imageid image_ids id_code image_code photo_id picture id".split()
"""Columns of names, often without an ending, that are taken for paths where nothing else is."""
_MASKS = frozenset("mask_path mask_file mask_filename mask_file_name mask_image".split())
"""Columns of paths of label maps."""
_SEVERAL = frozenset((*GUESSES["label"], *"classes categories targets class_names".split()))
"""What a list of the labels of a sample is called."""


def roles(schema: pa.Schema, options: Options) -> dict[str, str]:
    """Return which column plays which role, as the caller asks or else by its name.

    Raises:
        IngestError: the caller names a column that is not there.
    """
    chosen: dict[str, str] = {}
    for role, column in options.columns.items():
        if column not in schema.names:
            raise IngestError(f"No column '{column}'.", did_you_mean(column, schema.names))
        chosen[role] = column
    lower = {name.strip().lower(): name for name in reversed(schema.names)}
    for role, guesses in GUESSES.items():
        free = [lower[g] for g in guesses if g in lower and lower[g] not in chosen.values()]
        fits = [name for name in free if _fits(role, schema.field(name).type)]
        if role not in chosen and fits:
            chosen[role] = fits[0]
    if "image" not in chosen:
        pictures = [f.name for f in schema if is_image(f.type) and f.name not in chosen.values()]
        if pictures:
            chosen["image"] = pictures[0]
    if options.pictures and not options.later and not {"path", "image"} & set(chosen):
        named = [lower[g] for g in STEMS if g in lower and is_text(schema.field(lower[g]).type)]
        chosen |= {"path": named[0]} if named else {}
    classes = [name for name in class_columns(schema) if name not in chosen.values()]
    if "label" not in chosen and len(classes) == 1:
        chosen["label"] = classes[0]
    return chosen


def _fits(role: str, kind: pa.DataType) -> bool:
    if role == "image":
        return is_image(kind)
    if role == "path":
        return is_text(kind)
    return not pa.types.is_nested(kind) and not is_image(kind)


def is_image(kind: pa.DataType) -> bool:
    """Return whether a type can hold encoded images: binary, or a struct with binary `bytes`."""
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and is_image(kind.field("bytes").type)
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    )


def plan(
    schema: pa.Schema, chosen: dict[str, str], options: Options
) -> tuple[list[Column], list[str]]:
    """Return the metadata columns, and notes on those that were renamed or left out.

    Args:
        schema: of the source.
        chosen: the column that plays each role.
        options: with the types of the columns that exist already.

    Raises:
        IngestError: a column's type disagrees with the one it has in `samples`.
    """
    columns: list[Column] = []
    notes: list[str] = []
    roles_of = {column: role for role, column in chosen.items()}
    taken = {"id", *(role for role in chosen if role in BROUGHT)}
    classes = class_columns(schema)
    if not {"path", "image"} & set(chosen):
        classes = []  # metadata alone: a column of classes is a column
    if chosen.get("label") in classes and "label" not in options.columns:
        if chosen["label"].lower() not in GUESSES["label"]:
            notes.append(
                f"Column '{chosen['label']}' holds class names and is taken for the label."
            )
    elif "label" not in chosen and len(classes) > 1:
        notes.append(
            f"Columns {', '.join(classes)} hold class names, and none is taken for the label: "
            f"label_column='{classes[0]}' (--label-column) takes one."
        )
    for field in schema:
        role = roles_of.get(field.name)
        if role in ("path", "image", "id"):
            continue
        if is_image(field.type) and pa.types.is_struct(field.type):
            notes.append(
                f"Column '{field.name}' was left out: it holds pictures, and those of a sample are "
                f"in '{chosen.get('image', 'a file')}'. image_column='{field.name}' "
                "(--image-column) takes these instead."
            )
            continue
        if _holds_bytes(field.type):
            notes.append(f"Column '{field.name}' was left out: it holds bytes.")
            continue
        meant = None if options.as_named else _meant(field, schema)
        name = role or meant or field.name
        name = role or _free_name(name, taken, options.existing.names)
        if name.lower() != field.name.lower() and not role:
            notes.append(f"Column '{field.name}' is kept as '{name}'.")
        taken.add(name.lower())
        _refuse_unfit(field)
        kind = _kind(field, name, options.existing)
        if lost := loss(field.type):
            notes.append(f"Column '{field.name}' loses {lost}.")
        columns.append(Column(field.name, name, kind))
    return columns, notes


def _holds_bytes(kind: pa.DataType) -> bool:
    """Return whether a type is bytes, or has bytes inside."""
    if pa.types.is_fixed_size_binary(kind) or is_image(kind):
        return True
    if pa.types.is_dictionary(kind):
        return False
    return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))


def _meant(field: pa.Field, schema: pa.Schema) -> str | None:
    """Return the column of `samples` that a column means, whatever it is called."""
    lower = {name.lower() for name in schema.names}
    if field.name.lower() in _MASKS and "mask_uri" not in lower and is_text(field.type):
        return "mask_uri"
    if "objects" not in lower and holds_boxes(field.type):
        others = [f.name for f in schema if holds_boxes(f.type)]
        return "objects" if field.name == others[0] else None
    is_list = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
    if is_list and is_text(field.type.value_type) and "labels" not in lower:
        return "labels" if field.name.lower() in _SEVERAL else None
    return None


def _refuse_unfit(field: pa.Field) -> None:
    """Raise IngestError for a column that cannot be stored, or that no query could read."""
    why = unfit(plain(field.type))
    if why:
        raise IngestError(
            f"Column '{field.name}' of the source is {field.type}: {why}.",
            "rename or leave out what is in the way; nothing was written.",
        )


def _free_name(name: str, taken: Iterable[str], existing: Iterable[str]) -> str:
    """Return the name a metadata column gets in `samples`, whose names ignore case."""
    name = name.strip().replace(".", "_") or "unnamed"
    while name.lower() in MEASURED or name.lower() in taken:
        name += "_"
    return {other.lower(): other for other in (*BROUGHT, *existing)}.get(name.lower(), name)


def _kind(field: pa.Field, name: str, existing: pa.Schema) -> pa.DataType:
    """Return the type the column has, or will have, in `samples`."""
    if name == "objects" and not pa.types.is_primitive(field.type):
        return BOXES
    at = {other.lower(): other for other in existing.names}.get(name.lower())
    if are_labelled_boxes(field.type) and (at is None or existing.field(at).type == BOXES):
        return BOXES
    kind = plain(field.type)
    if at is None:
        return pa.string() if pa.types.is_null(kind) else kind
    present = existing.field(at).type
    text_becomes = pa.types.is_list(present) or pa.types.is_timestamp(present)
    if (
        kind == present
        or pa.types.is_null(kind)
        or present == earlier(field.type)
        or (pa.types.is_integer(kind) and pa.types.is_floating(present))
        or (name in BROUGHT and present == pa.string() and not pa.types.is_nested(kind))
        or (name in BROUGHT and text_becomes and pa.types.is_string(kind))
        or (name in BROUGHT and pa.types.is_timestamp(present) and pa.types.is_timestamp(kind))
        or (pa.types.is_nested(kind) and pa.types.is_nested(present) and name in BROUGHT)
    ):
        return present
    raise disagreement(field.name, kind, present)
