"""Two models side by side, a slice a row: who wins, by how much, and whether that is luck."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from slicedb import stats
from slicedb.errors import SliceError, did_you_mean
from slicedb.judge.aligned import Keys, universe
from slicedb.judge.groups import groups_of
from slicedb.judge.pairs import pair_of
from slicedb.show import html, numbers, text
from slicedb.sql import quoted
from slicedb.store import Store

if TYPE_CHECKING:
    import pandas as pd

Correction = Literal["max-t", "holm", "benjamini-hochberg", "none"]

CORRECTIONS: tuple[Correction, ...] = ("max-t", "holm", "benjamini-hochberg", "none")
"""How the slices are counted: max-T for slices that share samples, the others for any."""

Flip = Literal["won", "lost", "flipped"]

_HEAD = ("slice", "n", "wins", "losses", "ties", "A", "B", "A - B", "interval", "p", "p adjusted")
_PLAIN = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Comparison:
    """What `compare` finds; a win is a sample that A has right and B wrong."""

    a: str
    b: str
    table: pa.Table
    """slice, n, left_out, wins, losses, ties, accuracy_a, accuracy_b, difference (A - B), low,
    high, p, p_adjusted, won, lost: the last two are query texts."""
    confidence: float
    """Of the two-sided intervals."""
    correction: str
    """How many slices were looked at is counted in `p_adjusted`."""
    group: str | None = None
    """The column whose groups are resampled and flipped together."""

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas data frame."""
        return self.table.to_pandas()

    def row(self, slice: str) -> dict[str, Any]:
        """Return one slice's row.

        Raises:
            SliceError: it is not among those compared.
        """
        names = self.table["slice"].to_pylist()
        if slice not in names:
            raise SliceError(f"'{slice}' was not compared.", did_you_mean(slice, names, "slices"))
        found: dict[str, Any] = self.table.slice(names.index(slice), 1).to_pylist()[0]
        return found

    def query(self, slice: str, flip: Flip = "flipped") -> str:
        """Return the query text of the samples that flipped in a slice.

        Args:
            slice: one of those compared.
            flip: "won" is A right and B wrong, "lost" the reverse, "flipped" both kinds.
        """
        if flip != "flipped":
            return str(self.row(slice)[flip])
        return f"({self.row(slice)['won']}) OR ({self.row(slice)['lost']})"

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        return [
            [
                r["slice"],
                f"{r['n']:,}",
                f"{r['wins']:,}",
                f"{r['losses']:,}",
                f"{r['ties']:,}",
                _share(r["accuracy_a"]),
                _share(r["accuracy_b"]),
                "undefined" if np.isnan(r["difference"]) else f"{r['difference']:+.4f}",
                "" if np.isnan(r["low"]) else f"[{r['low']:+.4f}, {r['high']:+.4f}]",
                numbers.p_value(r["p"]),
                numbers.p_value(r["p_adjusted"]),
            ]
            for r in self.table.to_pylist()
        ]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        left = sum(self.table["left_out"].to_pylist())
        notes = [f"A = {self.a}, B = {self.b}; a win: {self.a} right and {self.b} wrong"]
        notes.append(f"in brackets the {self.confidence:.0%} interval, {self.correction} adjusted")
        if self.group:
            notes[-1] += f", by groups of {self.group}"
        if left:
            notes.append(
                "left out, without a label or not seen by both: "
                + ", ".join(
                    f"{r['left_out']:,} of {r['slice']}"
                    for r in self.table.to_pylist()
                    if r["left_out"]
                )
            )
        lost = [(r["slice"], r["lost"]) for r in self.table.to_pylist() if r["losses"]]
        notes += [f"lost in {name}: {query}" for name, query in lost[:3]]
        return "\n".join([text.table(_HEAD, self.cells()), *notes])

    def _repr_html_(self) -> str:
        return html.table(_HEAD, self.cells())


def compare(
    store: Store,
    a: str,
    b: str,
    members: Mapping[str, Keys],
    *,
    scopes: Mapping[str, str] | None = None,
    confidence: float = 0.95,
    correction: Correction = "max-t",
    group: str | None = None,
) -> Comparison:
    """Compare two models on the samples that both of them saw, slice by slice.

    Args:
        store: where labels and predictions are.
        a: a model with predictions.
        b: another one.
        members: slice -> int64 keys.
        scopes: slice -> predicate of its members, "" for all; by default `in_slice('name')`.
        confidence: of the two-sided score intervals (Tango 1998).
        correction: one of `CORRECTIONS`.
        group: a column of samples whose groups are independent where samples are not: intervals
            resample whole groups, and their signs flip together.

    Returns:
        A row a slice; p is exact McNemar's, two-sided.

    Raises:
        UnknownModelError: a model has no predictions.
        CheckError: there is no such column, or a model is no classifier.
        SliceError: there is no such correction.
    """
    if correction not in CORRECTIONS:
        hint = did_you_mean(correction, CORRECTIONS, "corrections")
        raise SliceError(f"correction is {correction!r}.", hint)
    every, pair = universe(store), pair_of(store, a, b)
    units = groups_of(store, group)[pair.rows] if group else None
    belongs = pair.members([every.rows(np.asarray(k, np.int64)) for k in members.values()])
    sizes = np.array([len(np.unique(k)) for k in members.values()], np.int64)
    right = pair.a.correct.astype(float), pair.b.correct.astype(float)
    d = right[0] - right[1]
    sums = belongs.sum(np.stack([d > 0, d < 0, *right], axis=1).astype(float))
    wins, losses, hit_a, hit_b = (x.astype(np.int64) for x in sums.T)
    n = belongs.sizes
    low, high = stats.paired_interval(wins, losses, n, confidence)
    p = np.where(n > 0, stats.mcnemar(wins, losses), np.nan)
    if units is not None:
        low, high = _by_groups(d, belongs.positions, units, confidence)
        p = np.array([_flips(d, [rows], len(d), units)[0] for rows in belongs.positions])
    adjusted = _adjusted(p, d, belongs, units, correction)
    texts = [scope_text(name, (scopes or {}).get(name)) for name in members]
    table = pa.table(
        {
            "slice": pa.array(list(members), pa.string()),
            "n": n,
            "left_out": sizes - n,
            "wins": wins,
            "losses": losses,
            "ties": n - wins - losses,
            "accuracy_a": _divide(hit_a, n),
            "accuracy_b": _divide(hit_b, n),
            "difference": _divide(wins - losses, n),
            "low": low,
            "high": high,
            "p": p,
            "p_adjusted": adjusted,
            "won": pa.array([flipped(scope, a, b) for scope in texts], pa.string()),
            "lost": pa.array([flipped(scope, b, a) for scope in texts], pa.string()),
        }
    )
    return Comparison(a, b, table, confidence, correction, group)


def flipped(scope: str, right: str, wrong: str) -> str:
    """Return the query text of the samples that one model has right and another wrong.

    >>> flipped("in_slice('night')", "v3", "v4")
    "in_slice('night') AND v3.correct AND NOT v4.correct"
    """
    names = [m if _PLAIN.fullmatch(m) else quoted(m) for m in (right, wrong)]
    return f"{f'{scope} AND ' if scope else ''}{names[0]}.correct AND NOT {names[1]}.correct"


def scope_text(name: str, scope: str | None = None) -> str:
    """Return the predicate of a slice's members as part of a conjunction, "" for all of them.

    >>> scope_text("night"), scope_text("x", "a = 1 OR b = 2"), scope_text("all", "")
    ("in_slice('night')", '(a = 1 OR b = 2)', '')
    """
    if scope is None:
        return f"in_slice('{name}')"
    return f"({scope})" if re.search(r"\bor\b", scope, re.IGNORECASE) else scope


def _adjusted(
    p: npt.NDArray[np.float64],
    d: npt.NDArray[np.float64],
    belongs: Any,
    units: Keys | None,
    correction: Correction,
) -> npt.NDArray[np.float64]:
    tested = np.flatnonzero(belongs.sizes > 0)
    if correction == "none" or len(tested) < 2:
        return p
    if correction != "max-t":
        return stats.holm(p) if correction == "holm" else stats.benjamini_hochberg(p)
    adjusted = _flips(d, belongs.positions, len(d), units)
    return np.where(np.isnan(p), np.nan, np.fmax(adjusted, p))  # no less than the exact p alone


def _flips(
    d: npt.NDArray[np.float64], positions: Sequence[Keys], n: int, units: Keys | None
) -> npt.NDArray[np.float64]:
    from slicedb.metrics import Membership

    found = stats.max_t(d, Membership(positions, n).matrix, groups=units, sides=2).p
    return np.where(np.isnan(found), 1.0, found)


def _by_groups(
    d: npt.NDArray[np.float64], positions: Sequence[Keys], units: Keys, confidence: float
) -> npt.NDArray[np.float64]:
    """Return (2, s): percentile bounds of the mean difference, whole groups resampled."""
    bounds = []
    for rows in positions:
        code = np.unique(units[rows], return_inverse=True)[1]
        total, n = np.bincount(code, d[rows]), np.bincount(code).astype(float)
        found = stats.bootstrap(
            lambda w, total=total, n=n: (w @ total) / (w @ n),  # type: ignore[misc]
            len(n),
            replicates=2000,
            confidence=confidence,
        )
        bounds.append(found)
    low_high: npt.NDArray[np.float64] = np.array(bounds, np.float64).reshape(-1, 2).T
    return low_high


def _divide(a: npt.NDArray[Any], n: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.asarray(np.divide(a, n, out=np.full(len(n), np.nan), where=n > 0))


def _share(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"
