"""Measure accuracy against the severity of corruptions, slice by slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slicedb.behaviour.corruptions import KINDS, SEVERITIES
from slicedb.behaviour.spoilt import spoilt
from slicedb.errors import CheckError
from slicedb.expectations.behaviours import Change, change
from slicedb.expectations.corruption import CORRUPTIONS
from slicedb.keys import KeyIndex, distinct
from slicedb.predictions.tables import judged
from slicedb.schema import Row, schema_of
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Part, Tabular
from slicedb.stats import wilson
from slicedb.tasks import TASKS

if TYPE_CHECKING:
    from slicedb.store import Store

CLEAN = "clean"
"""The kind of the pictures as they are; severity 0."""

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class SeverityTable(Tabular):
    """Accuracy of one model over slices, kinds and severities."""

    model: str
    table: pa.Table
    """slice, kind, severity, n, accuracy, low, high (Wilson), same (share of predictions that the
    corruption leaves as they were), same_low, same_high."""
    left_out: int
    """Sample and corruption pairs without a label or a prediction."""

    def to_arrow(self) -> pa.Table:
        """Return one row per slice, kind and severity."""
        return self.table

    def value(self, slice: str, kind: str, severity: int) -> float:
        """Return the accuracy of one cell.

        Raises:
            KeyError: there is no such row.
        """
        for row in self.table.to_pylist():
            if (row["slice"], row["kind"], row["severity"]) == (slice, kind, severity):
                return float(row["accuracy"])
        raise KeyError((slice, kind, severity))

    def parts(self) -> Iterable[Part]:
        """Yield a table per slice: one row per kind, one column per severity."""
        rows = self.table.to_pylist()
        severities = sorted({row["severity"] for row in rows} - {0})
        head = ["severity", *map(str, severities), "0 to worst", "interval of the worst"]
        for name in dict.fromkeys(row["slice"] for row in rows):
            of_slice = [row for row in rows if row["slice"] == name]
            clean = next(row for row in of_slice if row["kind"] == CLEAN)
            shown = _LABELLED if clean["n"] else _UNLABELLED
            about = "no labels; share of predictions that stay"
            if clean["n"]:
                ends = f"[{clean['low']:.3f} to {clean['high']:.3f}]"
                about = f"accuracy {clean['accuracy']:.3f} {ends} as they are, n = {clean['n']:,}"
            yield f"{self.model} on {name}: {about}"
            kinds = dict.fromkeys(row["kind"] for row in of_slice if row["kind"] != CLEAN)
            yield Grid(
                head,
                [
                    _line(clean, [r for r in of_slice if r["kind"] == kind], severities, shown)
                    for kind in kinds
                ],
            )
            yield ""
        if self.left_out:
            left = numbers.count(self.left_out, "picture counts", "pictures count")
            yield f"{left} for no accuracy: no label or no prediction"


_LABELLED = ("accuracy", "low", "high")
_UNLABELLED = ("same", "same_low", "same_high")
"""Columns of value and interval that the text shows."""


def _line(
    clean: Row, rows: list[Row], severities: Sequence[int], shown: tuple[str, str, str]
) -> list[str]:
    value, low, high = shown
    values = {row["severity"]: f"{row[value]:.3f}" for row in rows}
    drawn = "".join(_bar(row[value]) for row in [clean, *rows])
    worst = rows[-1]
    ends = f"{worst[low]:.3f} to {worst[high]:.3f}"
    return [worst["kind"], *(values.get(s, "") for s in severities), drawn, ends]


def _bar(share: float) -> str:
    return " " if np.isnan(share) else _BARS[min(7, int(share * 8))]


def changes(
    kinds: Iterable[str] | None = None, severities: Iterable[int] | None = None
) -> list[Change]:
    """Return corruptions at severities; by default all 15 kinds of ImageNet-C at all five.

    Raises:
        CheckError: an unknown kind or severity.

    >>> [str(c) for c in changes(["fog", "flip"], [1, 5])]
    ['fog at 1', 'fog at 5', 'flip_horizontal']
    """
    asked = None if severities is None else list(severities)
    chosen: list[Change] = []
    for kind in kinds or KINDS:
        name = change(kind).name
        most = CORRUPTIONS[name].severities if name in CORRUPTIONS else 1
        steps = asked or SEVERITIES[:most]
        chosen += [change(kind)] if most == 1 else [change(kind, step) for step in steps]
    return list(dict.fromkeys(chosen))


def severity(
    store: Store,
    model: str,
    slices: Mapping[str, np.ndarray],
    what: Sequence[Change],
    confidence: float = 0.95,
) -> SeverityTable:
    """Return the table of what is predicted; `spoil` predicts.

    Raises:
        UnknownModelError: no predictions of that model.
        CheckError: it is no classifier, or has predicted no corrupted picture.
    """
    refuse_others(store, model)
    union = distinct(np.concatenate([np.empty(0, np.int64), *slices.values()]))
    members = {name: KeyIndex(union).rows(distinct(keys)) for name, keys in slices.items()}
    rows, left_out, n_corrupted = [], 0, 0
    for one in (None, *what):
        pictures = spoilt(store, model, union, one)
        known = _true(pc.and_(pc.is_valid(pictures["label"]), pc.is_valid(pictures["after"])))
        right = _true(pc.equal(pictures["label"], pictures["after"]))
        paired = _true(pc.and_(pc.is_valid(pictures["before"]), pc.is_valid(pictures["after"])))
        same = _true(pc.equal(pictures["before"], pictures["after"]))
        left_out += int((~known).sum())
        n_corrupted += len(pictures) - pictures["after"].null_count if one else 0
        for name, at in members.items():
            cell: Row = {"slice": name, "kind": one.name if one else CLEAN}
            cell |= {"severity": one.severity if one else 0, "n": int(known[at].sum())}
            cell |= _share("", right[at], known[at], confidence)
            cell |= _share("same", same[at], paired[at], confidence)
            rows.append(cell)
    if what and len(union) and not n_corrupted:
        raise CheckError(
            f"'{model}' has predicted no corrupted picture.",
            "a registered model (`slicedb model add`) predicts them; logged predictions are of "
            "the pictures as they are.",
        )
    order = {name: i for i, name in enumerate(slices)}
    rows.sort(key=lambda row: order[row["slice"]])
    return SeverityTable(model, pa.Table.from_pylist(rows, _SCHEMA), left_out)


def refuse_others(store: Store, model: str) -> None:
    """Raise unless a model has predicted classes.

    Raises:
        UnknownModelError: no predictions of that model.
        CheckError: it gave scores alone, or is no classifier.
    """
    task = judged(store, model).task
    if not TASKS[task].one_class:
        raise CheckError(f"'{model}' does {task}.", "name a classifier.")


def _true(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(pc.fill_null(column, False).to_numpy().astype(bool))


def _share(name: str, hit: np.ndarray, of: np.ndarray, confidence: float) -> dict[str, float]:
    k, n = int((hit & of).sum()), int(of.sum())
    low, high = wilson(k, n, confidence)
    value = k / n if n else float("nan")
    before = f"{name}_" if name else ""
    return {name or "accuracy": value, f"{before}low": float(low), f"{before}high": float(high)}


_SCHEMA = schema_of(
    """
    slice string, kind string, severity int64, n int64, accuracy float64, low float64, high float64
    same float64, same_low float64, same_high float64
    """
)
