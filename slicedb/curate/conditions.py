"""The conditions that a finding may be made of: columns, words, phrases, and regions of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from slicedb import schema
from slicedb.curate.cells import Cells, cells_of
from slicedb.curate.judged import Samples
from slicedb.curate.marks import joined, marks, words_of
from slicedb.curate.phrases import Space, cut_at, phrase_cells
from slicedb.curate.regions import Judged, cuts, regions, spread
from slicedb.curate.units import Ints
from slicedb.errors import CheckError, did_you_mean
from slicedb.keys import mix
from slicedb.progress import Watch, bar
from slicedb.store import Store

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

KINDS = ("columns", "meaning", "vectors")
"""What conditions speak of, the plainest first."""
PLAIN = {"columns": 1.0, "meaning": 0.8, "vectors": 0.6}
"""How much the score of a finding counts: of two alike, the one that says more is taken."""

_NAMES = 0.5
"""A text column with more values than this share of the samples names them, or is prose."""
_VALUES = 5000
"""Values of a text column from which on it is prose, or names samples."""
_PROSE = 3
"""Words of a text on average from which on a column is prose."""
_DEARER = {"columns": 0.0, "meaning": 1.0, "vectors": 1.0}
"""What a condition costs besides the number to choose from, in units of log-likelihood: what a
column says is known to be true."""
_FITTED = 10_000
"""Samples that regions are fitted on; of more, so many are drawn."""
_FOLDS = 5
"""Of the fit of regions."""
_LEFT_OUT = schema.PLUMBING | {"id", "key", "error", "mask_uri", "row_stamp"}
_CAPTION = (schema.CAPTION,)


@dataclass(frozen=True, eq=False)
class Conditions:
    """Everything that a finding may be made of, over the same samples."""

    cells: Cells
    """As queries have them."""
    fair: Cells
    """The same, with regions as they are for samples that took no part in their fit: for a search
    on the half that they were fitted on."""
    kind: tuple[str, ...]
    """Of each column of `cells`, one of KINDS."""
    columns: tuple[str, ...]
    """Columns of samples that are among them."""
    useless: tuple[str, ...]
    """Columns that tell nothing: of one value, or with a value of its own for most samples."""
    phrases: int
    embedding: str
    """"" where no vectors are looked at."""

    def price(self, kinds: Sequence[str]) -> Floats:
        """Return float64 (c,): what evidence a condition needs, inf of other kinds than these."""
        dearer = [_DEARER[kind] if kind in kinds else np.inf for kind in self.kind]
        dear = np.array([*dearer, np.inf])[self.cells.column]  # -1 is the last
        return np.asarray(np.log(max(int(np.isfinite(dear).sum()), 2)) + dear)

    def levels(self) -> list[tuple[str, ...]]:
        """Return the kinds that there are: the first, the first two, all three."""
        there = [kind for kind in KINDS if kind in self.kind]
        return [tuple(there[: k + 1]) for k in range(len(there))]

    def kinds_of(self, chosen: Sequence[int]) -> list[str]:
        """Return what some cells speak of."""
        kinds = {self.kind[self.cells.column[cell]] for cell in chosen}
        return [kind for kind in KINDS if kind in kinds]


def conditions(
    store: Store,
    samples: Samples,
    by: Sequence[str] | None,
    half: Bools,
    least: int,
    *,
    space: Space | None = None,
    phrases: Sequence[str] = (),
    group: Ints | None = None,
    seed: int = 0,
    progress: Watch = None,
) -> Conditions:
    """Return the conditions over some samples.

    Args:
        store: the database.
        samples: what is judged.
        by: columns; None takes every one whose values are shared by many samples.
        half: bool (n,): the samples that errors may be looked at of.
        least: samples of the smallest finding on that half.
        space: the embedding whose vectors are looked at.
        phrases: texts that are compared with them.
        group: int64 (n,): samples of one group are not independent.
        seed: of what is drawn.
        progress: see `slicedb.progress.Watch`.

    Raises:
        CheckError: there is no such column.
    """
    there = store.schema(schema.SAMPLES)
    names = [*_checked(by, there)] if by is not None else _usual(there)
    rows = store.take(schema.SAMPLES, samples.keys, list(dict.fromkeys(["id", *names])))
    parts: list[Cells] = []
    searched, useless = [], []
    with bar(len(names), "conditions", progress, unit="column", keeps=False) as shown:
        for name in names:
            own = _of_column(rows, name, least, is_asked=by is not None)
            if any(len(cells) > 2 or cells.columns[0] != name for cells in own):
                parts += own
                searched.append(name)
            elif by is not None or not _is_empty(rows[name]):
                useless.append(name)
            shown.advance()
    kinds = ["columns"] * sum(len(part.columns) for part in parts)
    near: list[tuple[Cells, Cells]] = []
    if space is not None:
        with bar(2, "regions", progress, unit="step", keeps=False) as shown:
            meant = phrase_cells(space, phrases, half)
            shown.advance()
            near = _regions(samples, space, rows["id"], half, group, least, seed)
            shown.advance()
        kinds += ["meaning"] * len(meant) + ["vectors"] * len(near)
        parts += meant
    return Conditions(
        joined([*parts, *(plain for plain, _ in near)]),
        joined([*parts, *(fair for _, fair in near)]),
        tuple(kinds),
        tuple(searched),
        tuple(useless),
        len(phrases),
        "" if space is None else space.name,
    )


def _checked(by: Sequence[str], there: pa.Schema) -> Sequence[str]:
    for name in by:
        if name not in there.names:
            raise CheckError(
                f"There is no column '{name}' in samples.",
                did_you_mean(name, there.names, "columns"),
            )
    return by


def _usual(there: pa.Schema) -> list[str]:
    """Return the columns that say something of a sample."""
    return [f.name for f in there if f.name not in _LEFT_OUT and _has_cells(f.name, f.type)]


def _has_cells(name: str, kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind):
        inside = kind.value_type
        return bool(name == "objects" or types.is_string(inside) or types.is_integer(inside))
    tests = (
        types.is_string,
        types.is_boolean,
        types.is_integer,
        types.is_floating,
        types.is_timestamp,
        types.is_date,
    )
    return any(test(kind) for test in tests)


def _is_empty(values: pa.ChunkedArray) -> bool:
    """Return whether a column says nothing of any sample, as those that every database has may."""
    if pa.types.is_list(values.type):
        return len(pc.list_flatten(values)) == 0
    return bool(values.null_count == len(values))


def _of_column(rows: pa.Table, name: str, least: int, *, is_asked: bool) -> list[Cells]:
    """Return the cells of a column; of prose those of its words, of names of samples none."""
    values = rows[name]
    if values.null_count == len(values):
        return []
    if pa.types.is_string(values.type):
        n_values = len(values.unique())
        if n_values > min(_NAMES * len(values), _VALUES) and not (is_asked and n_values < _VALUES):
            known = values.drop_null()
            some = known.slice(0, 1000).to_pylist()
            is_prose = sum(len(text.split()) for text in some) >= _PROSE * len(some)
            return words_of(name, values, least) if is_prose else []
    return [cells_of(rows, [name])]


def _regions(
    samples: Samples,
    space: Space,
    ids: pa.ChunkedArray,
    half: Bools,
    group: Ints | None,
    least: int,
    seed: int,
) -> list[tuple[Cells, Cells]]:
    """Return regions of the vectors in which the model errs more, each with some cuts.

    Each is given twice: as a query has it, and as it is for samples that took no part in its fit.
    """
    vectors = space.matrix.of(samples.keys)
    at = np.flatnonzero(half & ~np.isnan(vectors).any(axis=1))
    if len(at) < 2 * least:
        return []
    if len(at) > _FITTED:
        drawn = np.argsort(mix(samples.keys[at] + np.int64(seed)), kind="stable")[:_FITTED]
        at = np.sort(at[drawn])
    label, said = samples.labels
    unit = samples.keys if group is None else group
    fold = (mix(mix(unit[at]) + np.uint64(seed)) % np.uint64(_FOLDS)).astype(np.int64)
    judged = Judged(vectors[at], samples.error[at], label[at], said[at], fold)
    found = regions(judged, least, seed)
    written = [
        space.similarity(*(ids.take(pa.array(at[list(rows)])).to_pylist() for rows in each))
        for each in ((region.like, region.unlike) for region in found)
    ]
    parts = []
    scores = space.scores([term for term, _ in written])
    for (_, text), region, score in zip(written, found, scores):
        queries, masks, fair = [], [], []
        mean, deviation = spread(score[at])
        for cut in cuts(region.fair, judged.error, least):
            query, least_score = cut_at(text, mean + deviation * cut)
            queries.append(query)
            masks.append(score >= least_score)
            held = masks[-1].copy()
            held[at] = region.fair >= cut
            fair.append(held)
        parts.append((marks(text, queries, masks), marks(text, queries, fair)))
    return parts
