"""Batched prediction: encoded images in, record batches out.

Knows neither tables nor slices. A model runs on a device in batches that fit its memory.
"""

from __future__ import annotations

from slicedb.inference.prediction import (
    NOT_FINITE,
    Scores,
    columns_of,
    objects_of,
    output_schema,
    predict,
    rows_to_list,
    scores_of,
    softmax,
)

__all__ = [
    "NOT_FINITE",
    "Scores",
    "columns_of",
    "objects_of",
    "output_schema",
    "predict",
    "rows_to_list",
    "scores_of",
    "softmax",
]
