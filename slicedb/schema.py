"""Define the columns of every table, with their Arrow types.

`id` is the stable name that users see; `key` is a 63-bit hash of it and the join key of every
table, since a join on string ids costs two to six times as much.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypedDict, TypeGuard

import numpy as np
import pyarrow as pa

from slicedb.blake import digests

FORMAT = 1
"""The number of the database format this version writes, and the newest it reads."""

SAMPLES = "samples"
IMAGES = "images"
MASKS = "masks"
SLICES = "slices"
TESTS = "tests"
RUNS = "runs"
MODELS = "models"
COMMITS = "commits"
SOURCES = "sources"
ANSWERS = "answers"
DECISIONS = "decisions"
EDITS = "edits"
EMBEDDINGS = "embeddings__"
PREDICTIONS = "predictions__"
CAMS = "cams__"
SPOILT = "spoilt__"
TAGGED = "tagged__"
"""Starts of the names of tables with what a model wrote into a column of samples."""
MAPS = "maps__"
"""Starts of the names of tables with the points of a projection."""
PER_SAMPLE = (EMBEDDINGS, PREDICTIONS, CAMS, MAPS, TAGGED, MASKS)
"""Starts of the names of tables with one row per sample, computed from it."""
PER_MODEL = (PREDICTIONS, CAMS, SPOILT)
"""Starts of the names of tables that belong to a model."""

OK = "ok"
"""The `status` of a sample whose image decodes."""
UNVERIFIED = "unverified"
"""The `status` of a sample whose image was not opened yet. Queries show it as they show `OK`."""
UNREADABLE = "unreadable"
"""The `status` of a sample whose image could not be read at all."""
VANISHED = "vanished"
"""The `status` of a sample whose picture lay in a source that `sync` follows, and is gone."""
SHOWN = (OK, UNVERIFIED)
"""The statuses of samples that are not quarantined."""
IS_SHOWN = f"status IS NULL OR status IN ('{OK}', '{UNVERIFIED}')"
"""The predicate of samples that are not quarantined."""

_TYPES = {
    **{name: pa.type_for_alias(name) for name in "string int64 float32 float64 bool".split()},
    "time": pa.timestamp("us"),
    "blob": pa.large_binary(),
}

MISTAKES = ("missed", "extra", "wrong class", "badly placed", "both", "double")
"""Kinds of wrong boxes of a detector; `slicedb.metrics.mistaken` tells them apart."""


def spoken(table: str) -> str:
    """Return what people call a table: the predictions of a model, not `predictions__<model>`.

    >>> spoken("predictions__v3"), spoken("samples")
    ('predictions of v3', 'samples')
    """
    kind, _, name = table.partition("__")
    called = {
        PREDICTIONS: "predictions of",
        EMBEDDINGS: "embedding",
        CAMS: "Grad-CAM maps of",
        MAPS: "map",
        SPOILT: "corrupted predictions of",
        TAGGED: "written values of",
    }.get(f"{kind}__")
    return f"{called} {name}" if called and name else table


def schema_of(text: str, **types: pa.DataType) -> pa.Schema:
    """Return the schema of columns that are listed by name and type.

    Args:
        text: columns, separated by commas or lines; "!" after a name forbids NULL, and "[]" after
            a type makes a list of it.
        **types: types by the word that stands for them, besides the common ones.

    >>> schema_of("id! string, tags string[]")
    id: string not null
    tags: list<item: string>
      child 0, item: string
    """
    kinds, columns = _TYPES | types, []
    for line in re.split(r"[,\n]", text):
        if line.strip():
            name, kind = line.split()
            plain = kinds[kind.removesuffix("[]")]
            full = pa.list_(plain) if kind.endswith("[]") else plain
            columns.append(pa.field(name.rstrip("!"), full, nullable=not name.endswith("!")))
    return pa.schema(columns)


OBJECT = pa.struct(
    list(schema_of("label string, bbox float64[], score float64, attributes string"))
)
"""One detection or annotated box: bbox is [x, y, w, h] in pixels, attributes a JSON object."""


ANNOTATION = pa.struct([*OBJECT, *schema_of("segmentation string, keypoints float64[]")])
"""One annotated box: `OBJECT`, with its outline as it was given and its key points. `segmentation`
is JSON: polygons [[x, y, x, y, ...], ...] in pixels, or a mask in COCO's run-length code;
`keypoints` is [x, y, visibility, ...] in pixels, visibility as COCO has it (0 to 2)."""


KEYPOINT_NAMES = "keypoint_names"
"""The attribute of a box that names its key points, in their order."""


LABEL_MAP = pa.struct(
    [("png", pa.large_binary()), ("classes", pa.list_(pa.string())), ("ignored", pa.int64())]
)
"""The classes of the pixels of a picture: a palette or gray PNG whose numbers are indices into
`classes`; those equal to `ignored` count for nothing."""

AREAS = pa.list_(pa.struct(list(schema_of("label string, pixels int64, share float64"))))
"""The pixels of each class that some pixel has, and their share of those that count."""


Row: TypeAlias = dict[str, Any]
"""One row of a table as Python has it: column to value."""


class Box(TypedDict):
    """One `ANNOTATION` as Python has it."""

    label: str
    bbox: list[float]
    score: float | None
    attributes: str | None
    segmentation: str | None
    keypoints: list[float] | None


SAMPLES_SCHEMA = schema_of(
    """
    id! string, key! int64, uri string, sha256 string, phash int64, width int64, height int64
    format string, bytes int64, label string, labels string[], objects object[], mask_uri string
    caption string, split string, tags string[], status string, error string, ingested_at time
    captured_at time, source string, stamp int64, row_stamp int64, turned_phash int64
    dct_hash string
    """,
    object=ANNOTATION,
)
"""`turned_phash` and `dct_hash` are `media.looks` of the picture: 64 bits that are the same in all
eight orientations, and in hexadecimal 256 bits from which each orientation follows. `source` is the
folder or file that a sample was ingested from, `stamp` a fingerprint of its file's size and times
(0 where unknown), `row_stamp` one of what the source said of it."""

QUALITY = schema_of(
    """
    quality_sharpness float32, quality_brightness float32, quality_dark float32
    quality_light float32, quality_contrast float32, quality_border float32
    quality_entropy float32, quality_saturation float32
    """
)
"""Columns that `ingest --quality` and `quality` add; see `media.quality`. The last two need
colours, which ingest does not decode: `quality` fills them in."""

LOOKS = [SAMPLES_SCHEMA.field(name) for name in ("turned_phash", "dct_hash")]
"""The columns that samples of earlier releases lack."""

PLUMBING = frozenset(
    "uri sha256 phash turned_phash dct_hash format bytes status ingested_at source stamp row_stamp "
    "etag vanished_at".split()
)
"""Columns of `samples` that record how it was ingested; a table for people omits them."""

CAPTION = "caption"
"""The column of texts that is searched."""
GRAY = "slicedb:gray"
"""Where the metadata of `samples` keeps what deep gray is shown by, as JSON by format."""
COMPUTED = "slicedb:computed"
"""Where the metadata of `samples` keeps the expressions of computed columns, as JSON by name."""
SEARCHED = "slicedb:search"
"""Where the metadata of `samples` names the columns that are searched beside the caption."""

IMAGES_SCHEMA = schema_of("id! string, key! int64, image blob")

MASKS_SCHEMA = schema_of(
    "id! string, key! int64, mask map, areas areas, pixels int64, uri string, stamp int64",
    map=LABEL_MAP,
    areas=AREAS,
)
"""`pixels` counts those that are not ignored; `uri` and `stamp` are the file that a label map was
read from and a fingerprint of its size and times, null where it was given otherwise."""

SLICES_SCHEMA = schema_of(
    """
    id! string, name string, version int64, kind string, text string, description string
    expect string[], head string, keys int64[], ids string[], tables string, dropped bool
    created_at time
    """
)
"""`id` is name@version, `kind` live or frozen; `head` is JSON (holdout, decide, suite, path, ...),
as is `tables`, the versions of tables that a slice was frozen at; `keys` and `ids` are the members
of a frozen slice, in order."""

TESTS_SCHEMA = schema_of(
    """
    id! string, run string, slice string, check string, model string, baseline string
    verdict string, value float64, low float64, high float64, n int64, left_out int64
    message string, ran_at time
    """
)
"""`id` is run/number."""

RUNS_SCHEMA = schema_of(
    """
    id! string, kind string, what string, tables string, fingerprints string, queries string
    software string, summary string, ran_at time
    """
)
"""`kind` is test or evaluate. In JSON: `tables` (version by table), `fingerprints` (by model),
`queries` (text by slice), `software` (version by package), `summary`."""

SOURCES_SCHEMA = schema_of(
    """
    id! string, prefix string, options string, settings string, objects int64, listed_at time
    synced_at time
    """
)
"""What `sync` follows. `id` is the path or address; in JSON: `options` of the ingest, `settings` of
the bucket without secrets. `listed_at` is the last complete listing, of `objects` files."""

ETAG, VANISHED_AT = "etag", "vanished_at"
"""Columns of `samples` that the first `sync` adds: the version of the object that was read, and
when its file was found to be gone (null where it is there)."""

MODELS_SCHEMA = schema_of(
    """
    id! string, spec string, weights string, classes string[], fingerprint string
    preprocessing string, details string, added_at time
    """
)
"""`id` is the model's name. In JSON: `preprocessing`, and `details` (parameters, version, ...)."""

COMMITS_SCHEMA = schema_of(
    """
    id! string, parent string, message string, branch string, tags string[], tables string
    created_at time
    """
)
"""`tables` is JSON: version by table."""

ANSWERS_SCHEMA = schema_of(
    """
    id! string, key int64, slice string, text string, sample string, state string, source string
    answered_at time
    """
)
"""`id` is slice, text and sample as JSON, `key` that of the sample, `text` what was asked: whether
the sample shows it; `state` is asked, yes, no or skipped, `source` prompt, csv, callback, truth."""

DECISIONS_SCHEMA = schema_of(
    """
    id! string, key int64, session string, sample string, decision string, label string
    place int64, done bool, decided_at time
    """
)
"""`id` is session and sample as JSON; `decision` is keep, relabel (to `label`) or delete, `place`
its number in the order in which they were made, `done` whether it was carried out."""

EDITS_SCHEMA = schema_of(
    """
    id! string, key int64, sample string, number int64, place int64, author string, change string
    before string, after string, state string, edited_at time, queue string, reason string
    sha256 string, commit string, note string, tables string
    """
)
"""`id` is sample and number as JSON, `key` that of the sample, `number` counts its edits and
`place` all of them. In JSON: `change` (what was asked for), `before` (the columns as they were: the
inverse) and `after`; `state` is an `editing.entry.State`. `queue` and `reason` say where and why it
was decided, `sha256` is the picture that was looked at, `commit` what applied it, `note` why it
was refused; `tables` is JSON, the versions that still have a deleted sample. Databases of the first
releases lack the columns from `queue` on."""

MAPS_SCHEMA = schema_of("id! string, key! int64, x float32, y float32, fingerprint int64, fit bool")
"""The points of a projection: `fingerprint` is that of the vector a point was placed by, and `fit`
says whether that vector was among those the model was fitted on."""

NULL_KEY = -1
"""Never a key: keys are 63-bit and not negative."""

_MANY = 2048
"""Ids from which hashing them in columns is quicker than one by one."""


def embeddings_schema(dim: int) -> pa.Schema:
    """Return the schema of an embeddings table.

    `content` is `content_of` the image's sha256, so that a changed image is embedded again.
    """
    vector = pa.list_(pa.float32(), dim)
    return schema_of("id! string, key! int64, content int64, vector vector", vector=vector)


def spoilt_schema() -> pa.Schema:
    """Return the schema of the predictions of a model on corrupted pictures.

    One row per sample and corruption: `id` is the sample's with the corruption behind it, `sample`
    its key; `content` and `fingerprint` say what a row was computed with.
    """
    return schema_of(
        """
        id! string, key! int64, sample int64, kind string, severity int64, prediction string
        confidence float32, content int64, fingerprint int64, error string
        """
    )


def keys_of(ids: Iterable[str] | pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return the join key of each id: the first 63 bits of its BLAKE2b hash.

    Every process computes the same key alone. A collision (expected once in three billion
    samples) is refused at ingest.

    Args:
        ids: texts; Arrow columns of them, without nulls, are not turned into Python's.

    Returns:
        int64 (n,), not negative.

    >>> keys_of(["a.jpg"]).tolist()
    [9161438751103734724]
    """
    texts: list[str] | pa.Array = ids if _is_column(ids) else list(ids)
    if len(texts) < _MANY:
        blake = hashlib.blake2b
        listed: list[str] = texts if isinstance(texts, list) else texts.to_pylist()
        joined = b"".join([blake(i.encode(), digest_size=8).digest() for i in listed])
        hashes = np.frombuffer(joined, dtype=">u8")
    else:
        hashes = digests(texts)
    return (hashes >> np.uint64(1)).astype(np.int64)


def _is_column(ids: Iterable[str] | pa.Array) -> TypeGuard[pa.Array]:
    return isinstance(ids, pa.Array | pa.ChunkedArray)


def is_shown(status: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which samples are not quarantined, as queries see it.

    >>> is_shown(pa.chunked_array([["ok", "unverified", "truncated", None]])).to_pylist()
    [True, True, False, True]
    """
    import pyarrow.compute as pc  # here, for it takes a tenth of the time of a short command

    return pc.or_(pc.is_null(status), pc.is_in(status, value_set=pa.array(SHOWN)))


_DIGEST = 64
"""Characters of a SHA-256 in hexadecimal."""


def content_of(sha256: Sequence[str | None] | pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return int64 (n,): the first 60 bits of each hexadecimal digest, -1 where there is none.

    >>> content_of(["00000000000000f" + "0" * 49, None]).tolist()
    [15, -1]
    """
    if isinstance(sha256, pa.Array | pa.ChunkedArray) and sha256.null_count:
        column = sha256.combine_chunks() if isinstance(sha256, pa.ChunkedArray) else sha256
        contents = np.full(len(column), NULL_KEY, np.int64)
        contents[np.asarray(column.is_valid())] = content_of(column.drop_null())
        return contents
    digits = _digits(sha256)
    if digits is None:
        listed = sha256.to_pylist() if hasattr(sha256, "to_pylist") else sha256
        return np.array([int(s[:15], 16) if s else NULL_KEY for s in listed], dtype=np.int64)
    values = np.where(digits <= ord("9"), digits - ord("0"), (digits | 0x20) - ord("a") + 10)
    return np.asarray(values.astype(np.int64) @ (16 ** np.arange(14, -1, -1, dtype=np.int64)))


def _digits(sha256: object) -> np.ndarray | None:
    """Return the first 15 characters of a column of whole digests, uint8 (n, 15); else None."""
    column = sha256.combine_chunks() if isinstance(sha256, pa.ChunkedArray) else sha256
    if not isinstance(column, pa.StringArray) or column.null_count or not len(column):
        return None
    _, ends, text = column.buffers()
    at = np.frombuffer(ends, np.int32)[column.offset : column.offset + len(column) + 1]
    if (np.diff(at) != _DIGEST).any():
        return None
    whole = np.frombuffer(text, np.uint8)[at[0] : at[-1]]
    return whole.reshape(len(column), _DIGEST)[:, :15]


def searchable(metadata: dict[str, str]) -> tuple[str, ...]:
    """Return the columns of `samples` that full text reads: the caption, and those marked.

    >>> searchable({"slicedb:search": '["notes"]'})
    ('caption', 'notes')
    """
    return ("caption", *json.loads(metadata.get(SEARCHED, "[]")))


def unfit(kind: pa.DataType) -> str:
    """Return why a column of a type can be stored or queried by nobody, "" where it can.

    >>> unfit(pa.list_(pa.decimal256(70, 0)))
    'a DECIMAL of SQL has at most 38 digits'
    >>> unfit(pa.struct([("x", pa.int64()), ("X", pa.int64())]))
    "its fields 'x' and 'X' are one name for SQL"
    >>> unfit(pa.string())
    ''
    """
    if pa.types.is_decimal256(kind):
        return "a DECIMAL of SQL has at most 38 digits"
    if pa.types.is_dictionary(kind):
        return unfit(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType):
        return unfit(kind.storage_type)
    if not pa.types.is_nested(kind):
        return "it is of a type that is not stored" if kind.id in _UNSTORED else ""
    if kind.id in _UNSTORED or (pa.types.is_fixed_size_list(kind) and not kind.list_size):
        return "it is of a type that is not stored"
    fields = [kind.field(i) for i in range(kind.num_fields)]
    if pa.types.is_struct(kind):
        seen: dict[str, str] = {}
        for field in fields:
            if field.name.lower() in seen:
                other = seen[field.name.lower()]
                return f"its fields {other!r} and {field.name!r} are one name for SQL"
            seen[field.name.lower()] = field.name
        if not fields:
            return "it is a structure without fields"
    return next(filter(None, (unfit(field.type) for field in fields)), "")


_UNSTORED = {
    getattr(pa.lib, f"Type_{name}", None)  # some came with later versions of pyarrow
    for name in (
        *("INTERVAL_MONTH_DAY_NANO", "SPARSE_UNION", "DENSE_UNION", "RUN_END_ENCODED"),
        *("LIST_VIEW", "LARGE_LIST_VIEW", "DECIMAL32", "DECIMAL64"),
    )
}
"""Types that Lance does not know."""
