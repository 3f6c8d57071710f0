"""Define the columns of every table, with their Arrow types.

`id` is the stable name that users see; `key` is a 63-bit hash of it and the join key of every
table, since a join on string ids costs two to six times as much.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import TypedDict

import numpy as np
import pyarrow as pa

FORMAT = 1
"""The number of the database format this version writes, and the newest it reads."""

SAMPLES = "samples"
IMAGES = "images"
SLICES = "slices"
TESTS = "tests"
RUNS = "runs"
MODELS = "models"
COMMITS = "commits"
ANSWERS = "answers"
EMBEDDINGS = "embeddings__"
PREDICTIONS = "predictions__"
CAMS = "cams__"
SPOILT = "spoilt__"
PER_SAMPLE = (EMBEDDINGS, PREDICTIONS, CAMS)
"""Starts of the names of tables with one row per sample, computed from it."""
PER_MODEL = (PREDICTIONS, CAMS, SPOILT)
"""Starts of the names of tables that belong to a model."""

OK = "ok"
"""The `status` of a sample whose image decodes."""

_ID = pa.field("id", pa.string(), nullable=False)
_KEY = pa.field("key", pa.int64(), nullable=False)
_TIME = pa.timestamp("us")

OBJECT = pa.struct(
    [
        pa.field("label", pa.string()),
        pa.field("bbox", pa.list_(pa.float64())),
        pa.field("score", pa.float64()),
        pa.field("attributes", pa.string()),
    ]
)
"""One detection or annotated box: bbox is [x, y, w, h] in pixels, attributes a JSON object."""


class Box(TypedDict):
    """One `OBJECT` as Python has it."""

    label: str
    bbox: list[float]
    score: float | None
    attributes: str | None


SAMPLES_SCHEMA = pa.schema(
    [
        _ID,
        _KEY,
        pa.field("uri", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("phash", pa.int64()),
        pa.field("width", pa.int64()),
        pa.field("height", pa.int64()),
        pa.field("format", pa.string()),
        pa.field("bytes", pa.int64()),
        pa.field("label", pa.string()),
        pa.field("labels", pa.list_(pa.string())),
        pa.field("objects", pa.list_(OBJECT)),
        pa.field("mask_uri", pa.string()),
        pa.field("caption", pa.string()),
        pa.field("split", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("status", pa.string()),
        pa.field("error", pa.string()),
        pa.field("ingested_at", _TIME),
        pa.field("captured_at", _TIME),
        pa.field("source", pa.string()),  # the folder or file it was ingested from
        pa.field("stamp", pa.int64()),  # fingerprint of its file's size and times; 0: unknown
        pa.field("row_stamp", pa.int64()),  # fingerprint of what the source said of it
    ]
)

PLUMBING = frozenset(
    {
        "uri",
        "sha256",
        "phash",
        "format",
        "bytes",
        "status",
        "ingested_at",
        "source",
        "stamp",
        "row_stamp",
    }
)
"""Columns of `samples` that record how it was ingested; a table for people omits them."""

SEARCHED = "slicedb:search"
"""Where the metadata of `samples` names the columns that are searched beside the caption."""

IMAGES_SCHEMA = pa.schema([_ID, _KEY, pa.field("image", pa.large_binary())])

SLICES_SCHEMA = pa.schema(
    [
        _ID,  # name@version
        pa.field("name", pa.string()),
        pa.field("version", pa.int64()),
        pa.field("kind", pa.string()),  # live | frozen
        pa.field("text", pa.string()),
        pa.field("description", pa.string()),
        pa.field("expect", pa.list_(pa.string())),
        pa.field("head", pa.string()),  # JSON: holdout, decide, suite, path, ...
        pa.field("keys", pa.list_(pa.int64())),  # frozen membership, in order
        pa.field("ids", pa.list_(pa.string())),  # the same, as users see them
        pa.field("tables", pa.string()),  # JSON: table -> version it was frozen at
        pa.field("dropped", pa.bool_()),
        pa.field("created_at", _TIME),
    ]
)

TESTS_SCHEMA = pa.schema(
    [
        _ID,  # run/number
        pa.field("run", pa.string()),
        pa.field("slice", pa.string()),
        pa.field("check", pa.string()),
        pa.field("model", pa.string()),
        pa.field("baseline", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("n", pa.int64()),
        pa.field("left_out", pa.int64()),
        pa.field("message", pa.string()),
        pa.field("ran_at", _TIME),
    ]
)

RUNS_SCHEMA = pa.schema(
    [
        _ID,
        pa.field("kind", pa.string()),  # test | evaluate | predict | embed | ingest
        pa.field("what", pa.string()),
        pa.field("tables", pa.string()),  # JSON: table -> version
        pa.field("fingerprints", pa.string()),  # JSON: model -> fingerprint
        pa.field("queries", pa.string()),  # JSON: slice -> text
        pa.field("software", pa.string()),  # JSON: package -> version
        pa.field("summary", pa.string()),  # JSON
        pa.field("ran_at", _TIME),
    ]
)

MODELS_SCHEMA = pa.schema(
    [
        _ID,  # the model's name
        pa.field("spec", pa.string()),
        pa.field("weights", pa.string()),
        pa.field("classes", pa.list_(pa.string())),
        pa.field("fingerprint", pa.string()),
        pa.field("preprocessing", pa.string()),  # JSON
        pa.field("details", pa.string()),  # JSON: parameters, version, ...
        pa.field("added_at", _TIME),
    ]
)

COMMITS_SCHEMA = pa.schema(
    [
        _ID,
        pa.field("parent", pa.string()),
        pa.field("message", pa.string()),
        pa.field("branch", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("tables", pa.string()),  # JSON: table -> version
        pa.field("created_at", _TIME),
    ]
)

ANSWERS_SCHEMA = pa.schema(
    [
        _ID,  # slice, text and sample, as JSON
        pa.field("key", pa.int64()),  # of the sample
        pa.field("slice", pa.string()),
        pa.field("text", pa.string()),  # what was asked: whether the sample shows it
        pa.field("sample", pa.string()),
        pa.field("state", pa.string()),  # asked | yes | no | skipped
        pa.field("source", pa.string()),  # prompt | csv | callback | truth
        pa.field("answered_at", _TIME),
    ]
)

NULL_KEY = -1
"""Never a key: keys are 63-bit and not negative."""


def embeddings_schema(dim: int) -> pa.Schema:
    """Return the schema of an embeddings table.

    `content` is `content_of` the image's sha256, so that a changed image is embedded again.
    """
    return pa.schema(
        [
            _ID,
            _KEY,
            pa.field("content", pa.int64()),
            pa.field("vector", pa.list_(pa.float32(), dim)),
        ]
    )


def spoilt_schema() -> pa.Schema:
    """Return the schema of the predictions of a model on corrupted pictures.

    One row per sample and corruption: `id` is the sample's with the corruption behind it, `sample`
    its key; `content` and `fingerprint` say what a row was computed with.
    """
    return pa.schema(
        [
            _ID,
            _KEY,
            pa.field("sample", pa.int64()),
            pa.field("kind", pa.string()),
            pa.field("severity", pa.int64()),
            pa.field("prediction", pa.string()),
            pa.field("confidence", pa.float32()),
            pa.field("content", pa.int64()),
            pa.field("fingerprint", pa.int64()),
            pa.field("error", pa.string()),
        ]
    )


def keys_of(ids: Iterable[str]) -> np.ndarray:
    """Return the join key of each id: the first 63 bits of its BLAKE2b hash.

    Every process computes the same key alone. A collision (expected once in three billion
    samples) is refused at ingest.

    Returns:
        int64 (n,), not negative.

    >>> keys_of(["a.jpg"]).tolist()
    [9161438751103734724]
    """
    blake = hashlib.blake2b
    joined = b"".join([blake(i.encode(), digest_size=8).digest() for i in ids])
    return (np.frombuffer(joined, dtype=">u8") >> np.uint64(1)).astype(np.int64)


_DIGEST = 64
"""Characters of a SHA-256 in hexadecimal."""


def content_of(sha256: Sequence[str | None] | pa.Array | pa.ChunkedArray) -> np.ndarray:
    """Return int64 (n,): the first 60 bits of each hexadecimal digest, -1 where there is none.

    >>> content_of(["00000000000000f" + "0" * 49, None]).tolist()
    [15, -1]
    """
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
