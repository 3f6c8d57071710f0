"""Find regions of label maps that are likely wrong: of one class as given, another as predicted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from slicedb import sql
from slicedb.curate.suspects import ROWS
from slicedb.curate.wronglabels import Ranked, pairs_of
from slicedb.metrics.segmented import PixelCounts

KIND = "wrong pixels"
_DOUBTED = 0.5
"""Score up to which a region is a likely error: half of the class, as given or as predicted, is the
other one."""
_LEAST = 0.001
"""Share of a picture below which a region is an edge, and no region."""


def wrong_pixels(outcomes: PixelCounts, ids: pa.ChunkedArray) -> tuple[Ranked, int]:
    """Rank the classes of label maps, picture by picture, by how far the model says another one.

    The score of a pair of classes is 1 - pixels / min(given, predicted): the pixels that are given
    as the one and predicted as the other, as a share of what is given as the one or predicted as
    the other in that picture, whichever is less. So a region that is called otherwise and an object
    that is overlooked in a large background both come to 0, and a shifted edge comes to nearly 1.

    Returns:
        The likely errors, and the number of classes of pictures judged.
    """
    size = outcomes.actual.sum(axis=1)
    row, given, said, pixels = outcomes.row, outcomes.truth, outcomes.prediction, outcomes.pixels
    other = np.flatnonzero(
        (said >= 0) & (said != given) & (pixels >= np.maximum(_LEAST * size[row], 1))
    )
    row, given, said, pixels = (column[other] for column in (row, given, said, pixels))
    least = np.minimum(outcomes.actual[row, given], outcomes.predicted[row, said])
    score = 1 - pixels / np.maximum(least, 1)
    lowest = np.ones(outcomes.n)
    np.minimum.at(lowest, row, score)
    likely = np.flatnonzero(score <= _DOUBTED)
    likely = likely[np.lexsort((-pixels[likely], score[likely]))]
    row, given, said = row[likely], given[likely], said[likely]
    names = np.array(outcomes.classes, object)
    listed = ids.take(pa.array(row))
    n = len(likely)
    columns = [
        listed.cast(pa.string()),
        pa.array([KIND] * n, pa.string()),
        pa.array(names[given], pa.string()),
        pa.array(names[said], pa.string()),
        pa.array(score[likely]),
        pa.array(pixels[likely] / np.maximum(size[row], 1)),
        pa.nulls(n, pa.int64()),
        pa.nulls(n, pa.int64()),
        pa.array([sql.equals("id", name) for name in listed.to_pylist()], pa.string()),
        pa.nulls(n, pa.string()),
    ]
    rows = pa.Table.from_arrays(columns, schema=ROWS)
    pairs = pairs_of(names, given, said)
    ranked = Ranked(lowest, rows, row, "the share of pixels", (), pairs=pairs)
    return ranked, int((outcomes.actual > 0).sum())
