"""The registry of slices: the verbs of `slicedb slice` and `slicedb apply`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Literal, TypeAlias
from uuid import uuid4

import numpy as np
import pyarrow as pa

from slicedb.errors import BindError, QueryError, SliceError, UnknownSliceError, did_you_mean
from slicedb.expectations.grammar import parse_check
from slicedb.schema import SAMPLES
from slicedb.slices import looks
from slicedb.slices.apply import Change, apply_files, references
from slicedb.slices.breakdown import Breakdown, breakdown
from slicedb.slices.calibration import Calibrating, Calibration
from slicedb.slices.coverage import Coverage, coverage
from slicedb.slices.diff import Diff
from slicedb.slices.files import check_name, parse_share, read_folder
from slicedb.slices.overlap import Overlap, overlap
from slicedb.slices.sides import Compared, compare
from slicedb.slices.slice import Ask, Keys, Slice, SliceInfo, State
from slicedb.slices.state import state_of
from slicedb.slices.table import SliceTable
from slicedb.store import Store
from slicedb.vectors import Calibrated

_Slices: TypeAlias = list[Slice]  # inside the class `list` is a verb
_Changes: TypeAlias = list[Change]
_States: TypeAlias = list[tuple[Slice, State, int | None]]


class Slices:
    """All slices of a database.

    Args:
        store: where they are kept.
        ask: parses and binds a query text at once, and gives its `Answer`.
        past: gives the slices of a commit; what compares moments needs it.
    """

    def __init__(self, store: Store, ask: Ask, past: Callable[[str], Slices] | None = None) -> None:
        self._table = SliceTable(store, ask)
        self._ask = ask
        self._past = past
        self._files: dict[str, str | Keys] = {}  # what stands before the registered ones

    # --- reading ------------------------------------------------------------------------------

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        bare, at, version = name.partition("@")
        if at:
            return any(str(s.version) == version for s in self._table.versions(bare))
        return name in self._table.latest()

    def __iter__(self) -> Iterator[Slice]:
        return iter(self.list())

    def __len__(self) -> int:
        return len(self._table.latest())

    def list(self) -> _Slices:
        """Return the newest version of every slice, by name."""
        found = self._table.latest()
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> Slice:
        """Return a slice: the newest version of `name`, or the one that `name@version` says.

        Raises:
            UnknownSliceError: there is no such slice or version.
        """
        bare, _, version = name.partition("@")
        if version:
            versions = {f"{bare}@{s.version}": s for s in self._table.versions(bare)}
            if name in versions:
                return replace(versions[name], numbered=True)
            raise UnknownSliceError(f"No slice '{name}'.", did_you_mean(name, versions, "versions"))
        found = self._table.latest()
        if bare not in found:
            choices = [*self._files, *found]
            raise UnknownSliceError(f"No slice '{name}'.", did_you_mean(name, choices, "slices"))
        return found[bare]

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
        looked = looks.of(self._table.store, s)
        return SliceInfo(
            s,
            count,
            deleted,
            state,
            tuple(self._table.versions(s.name)),
            str(looked) if looked is not None else "",
        )

    def states(self) -> _States:
        """Return every slice with its state and its count, None where its text does not bind."""
        return [(s, *state_of(self._table, s)) for s in self.list()]

    def text_or_keys(self, name: str) -> str | Keys:
        """Return the text of a live slice, or the int64 keys of a frozen one.

        Raises:
            UnknownSliceError: there is no such slice.
        """
        if name in self._files:
            found = self._files[name]
            return self.question(name, found) if isinstance(found, str) else found
        s = self.get(name)
        return s.question if s.kind == "live" else self._table.members(s, present=False)[0]

    def question(self, name: str, text: str) -> str:
        """Return a text, bound to the calibration of the slice of that name that has it."""
        kept = self._kept(name, text)
        return text if kept is None else self.get(name).question

    def _kept(self, name: str, text: str) -> Calibration | None:
        """Return the calibration of a slice, which holds as long as its text is the same."""
        found = self._table.latest().get(name)
        return found.calibration if found is not None and found.text == text else None

    def calibrated(self, name: str) -> Calibrated:
        """Return what `matches(..., calibrated => name)` obeys.

        Raises:
            UnknownSliceError: there is no such slice.
            SliceError: it is not calibrated.
        """
        found = self.get(name).calibration
        if found is None:
            hint = f"`slicedb slice calibrate {name}`."
            raise SliceError(f"Slice '{name}' is not calibrated.", hint)
        return found.calibrated

    # --- writing ------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        text: Any,
        *,
        expect: Sequence[str] = (),
        description: str = "",
        holdout: str | float | None = None,
        decide: Literal["interval", "point"] | None = None,
        group: str = "",
        suite: str = "",
        path: str = "",
        replace: bool = False,
    ) -> Slice:
        """Register a live slice.

        Args:
            name: letters, digits, underscores.
            text: a query text, or a `Query`.
            expect: expectations.
            description: one sentence for people.
            holdout: share never trained on, 0.2 or "20%".
            decide: "point" compares values without asking for significance.
            group: a column of samples whose groups are independent where samples are not.
            suite: the folder it belongs to.
            path: the file it came from.
            replace: False refuses a name that is taken.

        Raises:
            SliceError: the name is taken or not a name, or the query gives no samples.
            QueryError: the text does not parse or names what is not there.
            CheckError: an expectation does not parse.
        """
        wanted = Slice(
            check_name(name),
            text if isinstance(text, str) else str(text.text),
            description=description,
            expect=tuple(str(parse_check(str(e))) for e in expect),
            holdout=None if holdout is None else parse_share(holdout),
            decide=decide or "interval",
            group=group,
            suite=suite,
            path=path,
            calibration=self._kept(name, text if isinstance(text, str) else str(text.text)),
        )
        if name in self and not replace:
            raise SliceError(
                f"There is a slice '{name}' already.", "replace=True (--replace) redefines it."
            )
        self.check_loops({name: wanted.text})
        self.check_group(group)
        self.validate(wanted.text)
        return self.register(wanted)

    def check_group(self, group: str) -> None:
        """Raise SliceError when there is no such column of samples, or it holds lists."""
        if not group:
            return
        columns = self._table.store.schema(SAMPLES)
        if group not in columns.names:
            hint = did_you_mean(group, columns.names, "columns")
            raise SliceError(f"No column '{group}' in samples to group by.", hint)
        if pa.types.is_nested(columns.field(group).type):
            raise SliceError(f"The column '{group}' holds lists.", "group by a plain column.")

    def calibrate(self, name: str, **options: Any) -> Slice:
        """Let labels choose the cut of a slice's `matches`; see `Calibrating.calibrate`."""
        return self._calibrating.calibrate(name, **options)

    def write_questions(self, name: str, path: str | os.PathLike[str], **options: Any) -> int:
        """Write what a calibration wants labelled; see `Calibrating.write_questions`."""
        return self._calibrating.write_questions(name, path, **options)

    def labelled(self, name: str, *, term: str | None = None) -> int:
        """Return how many labels there are to calibrate a slice with."""
        return self._calibrating.labelled(name, term=term)

    def forget(self, name: str) -> Slice:
        """Take the calibration off a slice; the answers are kept."""
        return self._calibrating.forget(name)

    @property
    def _calibrating(self) -> Calibrating:
        return Calibrating(self, self._table.store, self._ask)

    def freeze(self, name: str) -> Slice:
        """Keep the members a slice has now, whatever is ingested or cleaned up later.

        The versions of the tables are pinned. Freezing a frozen slice takes its text's members of
        today.
        """
        s = self.get(name)
        found = self._ask(s.question)
        versions = self._table.data_versions(found)
        members = found.keys(), found.ids()
        fresh = replace(s, token=uuid4().hex[:8], version=self._table.next_version(s.name))
        self._table.pin(fresh, versions)
        frozen = self._table.write(fresh, kind="frozen", members=members, tables=versions)
        self._table.unpin(s)
        return frozen

    def thaw(self, name: str) -> Slice:
        """Make a frozen slice live again: its text is asked anew at each use."""
        s = self.get(name)
        return s if s.kind == "live" else self.register(replace(s, token=""))

    def drop(self, name: str) -> None:
        """Drop a slice; its versions stay readable as `name@version`.

        Raises:
            UnknownSliceError: there is no such slice.
            SliceError: other slices are made of it.
        """
        s = self.get(name)
        users = [o.name for o in self.list() if o.name != s.name and s.name in references(o.text)]
        if users:
            raise SliceError(
                f"Slice '{name}' is used by {', '.join(users)}.", "drop or change those first."
            )
        self._table.write(s, dropped=True)
        self._table.unpin(s)

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
        with owner.files(nested):
            return np.asarray(owner._ask(own).keys(), np.int64)

    def past(self, commit: str) -> Slices:
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

    def coverage(self, model: str, names: Sequence[str] | None = None) -> Coverage:
        """Return the share of a model's errors that lie in no slice, and in each.

        Args:
            model: a classifier with predictions.
            names: slices; None takes all.
        """
        return coverage(self._table.store, model, self._members(names))

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
        found = {}
        for s in self.list():
            with suppress(QueryError):
                found[s.name] = s.keys()
        return found

    def apply(self, path: str | os.PathLike[str], *, dry_run: bool = False) -> _Changes:
        """Register the slice files of a folder, or one file; all of them, or none.

        Files may use each other by `in_slice`, in any order.

        Args:
            path: a folder (subfolders are suites) or a file.
            dry_run: only say what would change.

        Returns:
            One change a file, in the order of the files.

        Raises:
            SliceError: a file is not right, or slices are made of each other.
            QueryError: a text does not parse or bind; names the file.
            CheckError: an expectation does not parse; names file and line.
        """
        return apply_files(self, read_folder(path), dry_run=dry_run)

    def load(self, path: str | os.PathLike[str]) -> _Slices:
        """Return the slices of files with their members, and register nothing."""
        return [change.slice for change in self.apply(path, dry_run=True)]

    # --- for the modules of this package --------------------------------------------------------

    @contextmanager
    def files(self, texts: Mapping[str, str | Keys]) -> Iterator[None]:
        """Let texts stand before the registered slices while the block runs."""
        before = self._files
        self._files = {**before, **texts}
        try:
            yield
        finally:
            self._files = before

    def validate(self, text: str) -> Any:
        """Return the answer of a text that gives samples.

        Raises:
            SliceError: it gives groups or counts, or other samples each time.
        """
        try:
            found = self._ask(text)
        except BindError as error:
            if error.token in self:
                error.hint = f"in_slice('{error.token}') is the slice of that name."
            raise
        if not found.is_rows:
            raise SliceError(
                "The query gives groups, not samples.", "a slice's rows keep the column id."
            )
        if found.chance:
            raise SliceError(
                f"The query gives other samples each time it is asked: {found.chance}.",
                "ORDER BY hash(id) LIMIT 100 draws the same ones, as query.take(100) does.",
            )
        return found

    def register(self, s: Slice) -> Slice:
        """Write a slice, checked before, as the next live version of its name."""
        old = self._table.latest().get(s.name)
        written = self._table.write(s)
        if old is not None:
            self._table.unpin(old)
        return written

    def check_loops(self, texts: Mapping[str, str]) -> None:
        """Raise SliceError when slices, these texts included, are made of each other."""
        known = {s.name: s.text for s in self.list() if s.kind == "live"} | dict(texts)
        for name in texts:
            _follow(name, known, ())


def _moment(commit: str | None) -> str | None:
    return None if commit in (None, "now") else commit


def _follow(name: str, texts: Mapping[str, str], path: tuple[str, ...]) -> None:
    if name in path:
        ring = " -> ".join([*path[path.index(name) :], name])
        raise SliceError(f"Slices are made of each other: {ring}.", "break the ring.")
    for other in references(texts.get(name, "")):
        _follow(other, texts, (*path, name))
