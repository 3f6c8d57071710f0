"""Find pictures that are hard to see: blurred, dark, plain, framed, or of an odd size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from slicedb import media, progress, sql
from slicedb.errors import MediaError
from slicedb.keys import Keys
from slicedb.metrics.outcomes import Bools, Floats
from slicedb.schema import QUALITY, SAMPLES, schema_of
from slicedb.show import numbers
from slicedb.show.html import Html
from slicedb.show.tabular import Figure, Grid, Part, Tabular
from slicedb.store import Store

ISSUES = schema_of(
    """
    issue! string, cut! string, column! string, limit float64, n int64, share float64
    description string, query string
    """
)
"""One row per issue and cut-off: `fixed`, or `data` for the one that follows from the quartiles."""

_PIECE = 512
"""Pictures measured before they are written."""
_FAR = 3.0
"""Quartile ranges beyond the quartiles from which on a value is far out (Tukey, 1977)."""
_ASPECT = "least(width / height, height / width)"
_SIZE = "sqrt(width) * sqrt(height)"


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong with a picture."""

    name: str
    column: str
    """A column, or an expression over columns."""
    fixed: float | None
    """The cut-off that holds for any data; those of cleanvision where it has one."""
    is_low: bool
    """Whether values below the cut-off are the wrong ones."""
    description: str


KINDS = (
    Kind("blurred", "quality_sharpness", 0.29, True, "weak edges"),
    Kind("dark", "quality_dark", 0.32, True, "even the brightest 1 % are dark"),
    Kind("overexposed", "quality_light", 0.95, False, "even the darkest 5 % are bright"),
    Kind("low contrast", "quality_contrast", 0.05, True, "gray levels lie close together"),
    Kind("low information", "quality_entropy", 3.0, True, "few different values, in bits"),
    Kind("near grayscale", "quality_saturation", 0.02, True, "hardly any colour"),
    Kind("plain border", "quality_border", 0.1, False, "a frame, or bars at a side"),
    Kind("odd aspect", _ASPECT, 0.35, True, "much longer than wide, or wider than long"),
    Kind("odd size", _SIZE, None, True, "smaller than nearly all others"),
    Kind("odd size", _SIZE, None, False, "larger than nearly all others"),
)


@dataclass(frozen=True)
class Issue:
    """Pictures on the wrong side of one cut-off."""

    name: str
    cut: str
    """fixed or data."""
    column: str
    limit: float
    n: int
    share: float
    """Of the pictures that are measured."""
    description: str
    query: str


@dataclass(frozen=True, eq=False)
class Quality(Tabular):
    """How well the pictures of some samples can be seen."""

    n: int
    """Samples."""
    measured: int
    """Those whose picture could be measured."""
    computed: int
    """Those that were measured now."""
    issues: tuple[Issue, ...]
    ranges: pa.Table = field(repr=False)
    """One row per measure: its name, least, 5 %, median, 95 % and most."""
    pictures: Callable[[], Html] | None = field(default=None, repr=False)
    """Draws some of what was found, for a notebook."""

    def to_arrow(self) -> pa.Table:
        """Return one row per issue and cut-off; see `ISSUES`."""
        names = ("name", "cut", "column", "limit", "n", "share", "description", "query")
        rows = [[getattr(issue, name) for name in names] for issue in self.issues]
        return pa.Table.from_pylist([dict(zip(ISSUES.names, row)) for row in rows], ISSUES)

    def parts(self) -> Iterable[Part]:
        """Yield the issues that there are, and how the measures are distributed."""
        found = [issue for issue in self.issues if issue.n]
        yield (
            f"{numbers.count(self.measured, 'picture')} measured, {self.computed:,} of them now, "
            f"{self.n - self.measured:,} without a picture that decodes"
        )
        if found:
            yield ""
            yield Grid(
                ["issue", "cut", "n", "share", "what", "query"],
                [
                    [i.name, i.cut, f"{i.n:,}", numbers.percent(i.share), i.description, i.query]
                    for i in found
                ],
            )
        else:
            yield "No picture is beyond any of the cut-offs."
        yield ""
        yield Grid(
            self.ranges.column_names,
            [
                [value if isinstance(value, str) else numbers.number(value, 3) for value in row]
                for row in zip(*self.ranges.to_pydict().values())
            ],
        )
        if self.pictures is not None and found:
            yield Figure(self.pictures)


def quality(store: Store, keys: Keys, *, scope: str = "", show: progress.Watch = None) -> Quality:
    """Measure the pictures of samples, and report those beyond a cut-off.

    What was measured before, by `ingest` or by an earlier call, is not measured again.

    Args:
        store: the database.
        keys: int64 (n,): the samples.
        scope: the query text of the samples, part of the issues' queries.
        show: see `slicedb.progress.Watch`.
    """
    computed = _complete(store, keys, show)
    there = [name for name in QUALITY.names if name in store.schema(SAMPLES).names]
    rows = store.take(SAMPLES, keys, ["id", "width", "height", *there])
    values = {name: _floats(rows, name) for name in QUALITY.names}
    fresh = dict(zip(computed.ids, computed.values.T))
    if store.title and len(fresh):  # an earlier commit, which holds none of what was measured
        for i, name in enumerate(rows["id"].to_pylist()):
            for column, value in zip(QUALITY.names, fresh.get(name, ())):
                values[column][i] = value
    width, height = _floats(rows, "width"), _floats(rows, "height")
    values[_ASPECT] = np.minimum(width / height, height / width)
    values[_SIZE] = np.sqrt(width) * np.sqrt(height)
    issues = [
        issue
        for kind in KINDS
        for issue in _issues(kind, values[kind.column], scope)
        if issue is not None
    ]
    measured = int((~np.isnan(values["quality_entropy"])).sum())
    return Quality(len(keys), measured, len(computed.ids), tuple(issues), _ranges(values))


def _floats(rows: pa.Table, name: str) -> Floats:
    """Return float64 (n,): a column, NaN where it is null or missing."""
    if name not in rows.column_names:
        return np.full(len(rows), np.nan)
    column = rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.array(column, dtype=np.float64)


def _issues(kind: Kind, values: Floats, scope: str) -> Iterator[Issue | None]:
    """Yield the fixed cut-off of a kind and the one of the data, with what lies beyond."""
    known = values[~np.isnan(values)]
    if not len(known):
        return
    limits = [] if kind.fixed is None else [("fixed", kind.fixed)]
    low, high = np.quantile(known, [0.25, 0.75])
    far = _FAR * (high - low)
    data = low - far if kind.is_low else high + far
    if high > low and known.min() < data < known.max():
        # four digits, so that the text and the number cut alike
        limits.append(("data", float(f"{data:.4g}")))
    for cut, limit in limits:
        beyond: Bools = values < limit if kind.is_low else values > limit
        text = f"{kind.column} {'<' if kind.is_low else '>'} {limit!r}"
        n = int(beyond.sum())
        share = n / len(known)
        query = sql.conjunction(scope, text)
        yield Issue(kind.name, cut, kind.column, limit, n, share, kind.description, query)


def _ranges(values: dict[str, Floats]) -> pa.Table:
    """Return how each measure is distributed."""
    heads = ("least", "5 %", "median", "95 %", "most")
    rows = []
    for name, column in values.items():
        known = column[~np.isnan(column)]
        if len(known):
            told = np.quantile(known, [0, 0.05, 0.5, 0.95, 1]).tolist()
            rows.append({"measure": name, **dict(zip(heads, told))})
    fields = [("measure", pa.string()), *((head, pa.float64()) for head in heads)]
    return pa.Table.from_pylist(rows, pa.schema(fields))


@dataclass(frozen=True, eq=False)
class _Computed:
    """What was measured now."""

    ids: list[str]
    values: Floats
    """(8, m), in the order of `QUALITY`."""


def _complete(store: Store, keys: Keys, show: progress.Watch) -> _Computed:
    """Measure what has not been measured, and write it piece by piece where that is possible."""
    there = [name for name in QUALITY.names if name in store.schema(SAMPLES).names]
    rows = store.take(SAMPLES, keys, ["id", *there])
    missing = np.ones(len(keys), bool)
    if len(there) == len(QUALITY):
        missing = np.any([np.isnan(_floats(rows, name)) for name in there], axis=0)
    at = np.flatnonzero(missing)
    is_kept = bool(len(at)) and not store.title and store.is_writable
    if is_kept:
        store.add_columns(SAMPLES, list(QUALITY))
    ids: list[str] = []
    parts = []
    names = rows["id"].to_pylist()
    with (
        progress.bar(len(at), "measure", show, unit="picture", keeps=is_kept) as bar,
        ThreadPoolExecutor(media.n_threads(), "slicedb-quality") as pool,
    ):
        for start in range(0, len(at), _PIECE):
            some = at[start : start + _PIECE]
            seen = list(pool.map(_look, [data for _, data in store.read_images(keys[some])]))
            whole = [i for i, one in enumerate(seen) if one is not None]
            if whole:
                looks = [one for one in seen if one is not None]
                light = media.quality.measure([look for look, _ in looks])
                colours = np.array([colour for _, colour in looks]).T
                values = np.concatenate([np.stack(light), colours])
                told = [names[some[i]] for i in whole]
                if is_kept:
                    _write(store, told, values)
                ids += told
                parts.append(values)
            bar.advance(len(some))
    if is_kept and ids:
        store.sync()
    return _Computed(ids, np.concatenate(parts, axis=1) if parts else np.empty((len(QUALITY), 0)))


def _look(data: bytes) -> tuple[media.quality.Seen, tuple[float, float]] | None:
    """Return what the quality of one picture is measured of; None where it does not decode."""
    try:
        info = media.inspect(data, see=True)
        rgb = media.decode_rgb(data)
    except (MediaError, MemoryError):
        return None
    if info.seen is None:
        return None
    return info.seen, media.quality.colour(rgb, is_gray=media.is_gray(data))


def _write(store: Store, ids: list[str], values: Floats) -> None:
    columns = {
        name: pa.array(row, pa.float64()).cast(pa.float32())
        for name, row in zip(QUALITY.names, values)
    }
    store.upsert(SAMPLES, pa.table({"id": ids, **columns}), insert=False)
