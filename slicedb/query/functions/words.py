"""The functions SliceDB adds to DuckDB's, and the ones it takes away.

One table of rows; the binder, the reference and `slicedb functions` read it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ANY = 1_000_000


@dataclass(frozen=True)
class Word:
    """One function of the query language."""

    name: str
    signature: str
    returns: str
    help: str
    example: str
    least: int = 1
    """Fewest positional arguments."""
    most: int = 1
    """Most positional arguments."""
    named: tuple[str, ...] = ()
    """Names of the arguments written `name => value`."""


BOX_OPTIONS = (
    "min_area",
    "max_area",
    "min_share",
    "max_share",
    "min_ratio",
    "max_ratio",
    "min_width",
    "max_width",
    "min_height",
    "max_height",
    "min_score",
    "max_score",
    "inside",
    "attributes",
    "found_by",
    "missed_by",
    "iou",
    "confidence",
    "model",
)
OVERLAP_OPTIONS = ("label", "same_label", "min_score")

WORDS: tuple[Word, ...] = (
    Word(
        "similarity",
        "similarity(target, ... [, using => 'name'])",
        "FLOAT",
        "Cosine in [-1, 1] between the sample's embedding and the target; several targets are "
        "averaged. A target is a text, image('file') or sample('id'), itself or inside weighted "
        "and without. NULL where a sample has no embedding.",
        "ORDER BY similarity('a red square') DESC LIMIT 2",
        most=ANY,
        named=("using",),
    ),
    Word(
        "matches",
        "matches('text', ... [, minimum] [, using => 'name'] [, calibrated => 'slice'])",
        "BOOLEAN",
        "Whether the text stands out from a bank of background phrases: p = 1 / (1 + 5 x the mean "
        "likelihood of the bank / that of the text) is at least `minimum` (default 0.5). Several "
        "texts are averaged; one inside without joins what the text must stand out from. Depends "
        "on the sample alone. `calibrated` takes the direction and the cut that labels gave a "
        "slice. NULL where a sample has no embedding.",
        "matches('red', without('dull')) AND split = 'test'",
        most=ANY,
        named=("using", "calibrated"),
    ),
    Word(
        "nearest",
        "nearest(target, ..., k [, using => 'name'])",
        "BOOLEAN",
        "Whether the sample is one of the k nearest to the target, exactly, among all samples "
        "with status 'ok' and an embedding, whatever the rest of the query says. Several targets "
        "are averaged.",
        "nearest(sample('a1'), 3)",
        least=2,
        most=ANY,
        named=("using",),
    ),
    Word(
        "search",
        "search('words' [, column => 'name'])",
        "FLOAT",
        "How well the sample's texts fit the words: BM25, higher is better, NULL where none of the "
        "words is found. Words are stemmed and folded to ASCII, stop words are left out; words in "
        "double quotes are a phrase. Reads the caption and the columns marked with `slicedb index "
        "--text`, or one column.",
        "search('red pictures') IS NOT NULL",
        named=("column",),
    ),
    Word(
        "fuse",
        "fuse(score, score, ... [, k => 60])",
        "DOUBLE",
        "Several scores as one, whatever their scales: the sum of 1 / (k + rank) over them, each "
        "rank from the highest (reciprocal rank fusion). A NULL score adds nothing. A window "
        "function: it stands in SELECT, ORDER BY and QUALIFY.",
        "ORDER BY fuse(similarity('red'), search('a red picture')) DESC LIMIT 3",
        most=ANY,
        named=("k",),
    ),
    Word(
        "image",
        "image('file')",
        "target",
        "An image file as the target of similarity or nearest. Allowed where the caller lets a "
        "query read files: not in slices, not on the web page.",
        "ORDER BY similarity(image('red.png')) DESC LIMIT 1",
    ),
    Word(
        "sample",
        "sample('id')",
        "target",
        "A sample of the database as the target of similarity or nearest.",
        "similarity(sample('a1')) > 0.9",
    ),
    Word(
        "weighted",
        "weighted(target, weight)",
        "target",
        "A target that counts `weight` times in the average of similarity, matches or nearest; a "
        "negative weight is to be unlike it.",
        "ORDER BY similarity('red', weighted('green', 0.5)) DESC LIMIT 3",
        least=2,
        most=2,
    ),
    Word(
        "without",
        "without(target)",
        "target",
        "A target to be unlike: weighted(target, -1).",
        "ORDER BY similarity('red', without('green')) DESC LIMIT 2",
    ),
    Word(
        "in_slice",
        "in_slice('name')",
        "BOOLEAN",
        "Whether the sample is in the slice. A live slice is run as part of the query, a frozen "
        "one is its stored ids.",
        "in_slice('reds') AND NOT m1.correct",
    ),
    Word(
        "has_tag",
        "has_tag('tag')",
        "BOOLEAN",
        "Whether the sample carries the tag; false where it has no tags.",
        "has_tag('night')",
    ),
    Word(
        "in_split",
        "in_split('split')",
        "BOOLEAN",
        "Whether the sample is in the split; false where it has none.",
        "in_split('test')",
    ),
    Word(
        "has_object",
        "has_object(['label'] [, min_area =>] [, max_share =>] [, inside =>] [, attributes =>] "
        "[, found_by =>] [, missed_by =>] [, model => 'name'] ...)",
        "BOOLEAN",
        "Whether the sample holds such a box. Options: min_ and max_ of area (square pixels), "
        "share (of the image), ratio (width to height), width, height (pixels) and score; inside "
        "[x, y, w, h] in shares of the image; attributes {key: value}; found_by, missed_by a "
        "detector at iou (0.5) and confidence; model for its boxes in place of the ground truth. "
        "NULL where the list of boxes is NULL.",
        "has_object('car', min_area => 400)",
        least=0,
        named=BOX_OPTIONS,
    ),
    Word(
        "count_objects",
        "count_objects(['label'] [, the options of has_object])",
        "BIGINT",
        "How many such boxes the sample holds. NULL where the list of boxes is NULL.",
        "count_objects('car') > 1",
        least=0,
        named=BOX_OPTIONS,
    ),
    Word(
        "any_iou",
        "any_iou(model [, other] [, min_iou => 0.5] [, label =>] [, same_label => true] "
        "[, min_score =>])",
        "BOOLEAN",
        "Whether a box of the model and a box of the other one (default: `objects`, the ground "
        "truth) overlap by at least min_iou. A model with itself: two of its boxes. NULL where a "
        "list of boxes is NULL.",
        "NOT any_iou(d1, d2)",
        most=2,
        named=("min_iou", *OVERLAP_OPTIONS),
    ),
    Word(
        "best_iou",
        "best_iou(model [, other] [, label =>] [, same_label => true] [, min_score =>])",
        "DOUBLE",
        "The largest overlap in [0, 1] of a box of the model with one of the other (default: the "
        "ground truth). NULL where a list of boxes is NULL.",
        "best_iou(d1) < 0.7",
        most=2,
        named=OVERLAP_OPTIONS,
    ),
    Word(
        "cam_border",
        "cam_border([model] [, width => share of each side])",
        "FLOAT",
        "Share in [0, 1] of what the model looked at (its stored grad-cam map) that lies in the "
        "border of what it saw; the width is 1/7 where none is given. NULL without a map.",
        "cam_border(m1, width => 0.25) > 0.5",
        least=0,
        named=("width", "model"),
    ),
    Word(
        "cam_mass_in",
        "cam_mass_in(x, y, w, h | ['label'] [, model => 'name'])",
        "FLOAT",
        "Share in [0, 1] of the map that lies in a box, in pixels of the picture, or in the "
        "sample's annotated boxes (of a label). NULL without a map or a box.",
        "cam_mass_in('car') < 0.2",
        least=0,
        most=4,
        named=("model",),
    ),
    Word(
        "cam_points_at",
        "cam_points_at(x, y, w, h | ['label'] [, model => 'name'])",
        "BOOLEAN",
        "Whether the strongest cell of the map overlaps the box, or an annotated one (of a label): "
        "the pointing game. NULL without a map or a box.",
        "NOT cam_points_at('car')",
        least=0,
        most=4,
        named=("model",),
    ),
)

BY_NAME = {word.name: word for word in WORDS}

TARGETS = frozenset({"image", "sample", "weighted", "without"})
"""Words that stand only inside similarity and nearest."""

WINDOWED = frozenset({"fuse"})
"""Words that rank the rows of the result, and so need to see them all."""

FORBIDDEN = frozenset(
    {
        "getenv",
        "getvariable",
        "current_setting",
        "set_config",
        "nextval",
        "currval",
        "write_log",
        "sleep_ms",
        "pg_sleep",
        "parse_duckdb_log_message",
        "current_query",
        "query",
        "query_table",
        "getconfig",
        "read_text",
        "read_blob",
        "glob",
        "current_connection_id",
        "current_query_id",
        "current_transaction_id",
        "txid_current",
        "in_search_path",
        "current_schemas",
        "current_database",
        "current_catalog",
        "setseed",
        "setval",
        "stats",
        "json_serialize_plan",
        "combine",
        "finalize",
        "to_aggregate_state",
        "variant_bytes_to_variant",
        "variant_to_parquet_variant",
        "index_key",
        "get_block_size",
        "obj_description",
        "shobj_description",
        "col_description",
        "map_to_pg_oid",
        "map_type_id_to_pg_oid",
    }
)
"""DuckDB functions that tell of, or change, things outside the data, or read raw bytes."""

CHANCE = frozenset({"random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid"})
"""DuckDB functions that answer otherwise each time."""

_SERVER = re.compile(r"pg_(?!typeof|size_pretty).*|inet_.*|has_\w+_privilege")
"""Functions that speak of servers and catalogues."""


def is_forbidden(name: str) -> bool:
    """Return whether a query may not call DuckDB's function of that name, in lower case.

    >>> is_forbidden("getenv"), is_forbidden("pg_get_viewdef"), is_forbidden("lower")
    (True, True, False)
    """
    return name in FORBIDDEN or _SERVER.fullmatch(name) is not None


TABLE_FUNCTIONS = frozenset(
    {"range", "generate_series", "unnest", "json_each", "json_tree", "repeat", "repeat_row"}
)
"""The table functions a query may call; every other one reads files or internals."""


def functions() -> list[dict[str, str]]:
    """Return one row a function: name, signature, returns, help, example.

    >>> [row["name"] for row in functions()][:2]
    ['similarity', 'matches']
    """
    return [
        {
            "name": word.name,
            "signature": word.signature,
            "returns": word.returns,
            "help": word.help,
            "example": word.example,
        }
        for word in WORDS
    ]
