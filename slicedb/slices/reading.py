"""Read the slices of a database: list, show, compare, and how they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from slicedb.errors import QueryError, SliceError
from slicedb.keys import Keys
from slicedb.slices.breakdown import Breakdown, breakdown
from slicedb.slices.coverage import SliceCoverage, coverage
from slicedb.slices.definitions import SliceDefinitions
from slicedb.slices.diff import Diff
from slicedb.slices.info import SliceInfo, SliceState, state_of
from slicedb.slices.listed import SliceList
from slicedb.slices.overlap import Overlap, overlap
from slicedb.slices.sides import Compared, compare
from slicedb.slices.slice import Ask, Slice
from slicedb.slices.table import SliceTable
from slicedb.store import Store

if TYPE_CHECKING:
    from typing import Self

_Slices: TypeAlias = list[Slice]  # inside the class `list` is a verb
_States: TypeAlias = list[tuple[Slice, SliceState, int | None]]


class SliceReader:
    """What of a registry only reads.

    Args:
        store: where slices are kept.
        ask: parses and binds a query text at once, and gives its `Answer`.
        past: gives the slices of a commit; what compares moments needs it.
        looks: says how often models were judged on a slice, "" where that is not counted.
        look: is told which verb judged which models on which slices.
    """

    def __init__(
        self,
        store: Store,
        ask: Ask,
        past: Callable[[str], Self] | None = None,
        looks: Callable[[Slice], str] = lambda s: "",
        look: Callable[[str, Sequence[str], Sequence[Slice]], None] = lambda verb, models, slices: (
            None
        ),
    ) -> None:
        self._table = SliceTable(store, ask)
        self._ask = ask
        self._past = past
        self._looks = looks
        self._look = look
        self.definitions = SliceDefinitions(self._table)

    def __contains__(self, name: object) -> bool:
        return name in self._table

    def __iter__(self) -> Iterator[Slice]:
        return iter(self.list())

    def __len__(self) -> int:
        return len(self._table.latest())

    def list(self) -> SliceList:
        """Return the newest version of every slice, by name."""
        latest = self._table.latest()
        return SliceList(latest[name] for name in sorted(latest))

    def get(self, name: str) -> Slice:
        """Return a slice: the newest version of `name`, or the one that `name@version` says.

        Raises:
            UnknownSliceError: there is no such slice or version.
        """
        return self.definitions.get(name)

    def history(self, name: str) -> _Slices:
        """Return every version of a slice, oldest first."""
        return self._table.versions(self.get(name).name)

    def show(self, name: str, version: int | None = None) -> SliceInfo:
        """Return a slice with its state, count, versions, and what a frozen one lost to deletion.

        Args:
            name: a slice, or `name@version`.
            version: the version; the same as `name@version`.
        """
        s = self.get(name if version is None else f"{name}@{version}")
        state, count = state_of(self._table, s)
        deleted: list[str] = []  # type: ignore[valid-type]
        if s.kind == "frozen":
            keys, ids = self._table.members(s, present=False)
            here = self._table.present(keys)
            deleted = [i for i, ok in zip(ids, here) if not ok]
        return SliceInfo(
            s, count, deleted, state, tuple(self._table.versions(s.name)), self._looks(s)
        )

    def states(self) -> _States:
        """Return every slice with its state and its count, None where its text does not bind."""
        return [(s, *state_of(self._table, s)) for s in self.list()]

    def diff(
        self, a: str, b: str | None = None, *, before: str | None = None, after: str | None = None
    ) -> Diff:
        """Return the samples that came and went between two slices, versions or commits, and why.

        Args:
            a: a slice, or `name@version`.
            b: the later one. Without it and without commits: the members `a` was frozen with
                against what its text finds now, or, for a live slice, its version before against
                the newest.
            before: the commit that `a` is taken at; None or "now" is the present. A slice that
                was not defined then is asked as it is defined now.
            after: the commit that the later one is taken at.

        Raises:
            SliceError: a live slice that never changed has nothing to be compared with.
            DatabaseError: there is no such commit.
        """
        asked = Compared(a, b, _moment(before), _moment(after))
        return compare(self._table, asked, lambda commit: self.past(commit)._table, self._anew)

    def _anew(self, table: SliceTable, definitions: Mapping[str, str | Keys]) -> Keys:
        """Return the members of definitions over the data of a registry."""
        owner = self if table is self._table else self.past(table.store.title)
        nested = {name: part for name, part in definitions.items() if name}
        own = definitions[""]
        if isinstance(own, np.ndarray):
            return own
        with owner.definitions.standing(nested):
            return np.asarray(owner._ask(own).keys(), np.int64)

    def past(self, commit: str) -> Self:
        """Return the slices of a commit: their definitions and members of then.

        Raises:
            DatabaseError: there is no such commit, or this registry knows of none.
        """
        if self._past is None:
            raise SliceError("These slices know of no commits.", "open them with slicedb.open().")
        return self._past(commit)

    def overlap(self, names: Sequence[str] | None = None) -> Overlap:
        """Return how slices overlap: shared samples, Jaccard index and containment of all pairs.

        Args:
            names: slices; None takes all.
        """
        return overlap(self._table.store, self._members(names))

    def coverage(self, model: str, names: Sequence[str] | None = None) -> SliceCoverage:
        """Return the share of a model's errors that lie in no slice, and in each.

        Args:
            model: a classifier with predictions.
            names: slices; None takes all.
        """
        members = self._members(names)
        found = coverage(self._table.store, model, members)
        self._look("coverage", [model], [self.get(name) for name in members])
        return found

    def breakdown(self, names: Sequence[str] | None = None) -> Breakdown:
        """Return how many members of each slice are in train, validation, test and other splits.

        Args:
            names: slices; None takes all.
        """
        members = self._members(names)
        held: list[int | None] = []  # type: ignore[valid-type]
        for name, keys in members.items():
            s = self.get(name)
            held.append(None if s.holdout is None else int(s.held_out(keys).sum()))
        return breakdown(self._table.store, members, held)

    def _members(self, names: Sequence[str] | None) -> dict[str, Keys]:
        """Return the members of slices; of all, those whose text does not bind are left out."""
        if names is not None:
            return {name: self.get(name).keys() for name in names}
        members = {}
        for s in self.list():
            with suppress(QueryError):
                members[s.name] = s.keys()
        return members


def _moment(commit: str | None) -> str | None:
    return None if commit in (None, "now") else commit
