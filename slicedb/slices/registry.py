"""Register slices: the verbs of `slicedb slice` and `slicedb apply`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import uuid4

import numpy as np

from slicedb.errors import ConflictError, QueryError, SliceError, suggesting
from slicedb.expectations.grammar import parse_check
from slicedb.keys import Keys
from slicedb.slices.answers import Question
from slicedb.slices.apply import Applied, apply_files
from slicedb.slices.breakdown import Breakdown, breakdown
from slicedb.slices.calibrating import BUDGET, Calibrating, goal_of
from slicedb.slices.coverage import SliceCoverage, coverage
from slicedb.slices.definitions import SliceDefinitions, references
from slicedb.slices.diff import Diff
from slicedb.slices.files import check_name, parse_share, read_folder
from slicedb.slices.info import SliceInfo, SliceState, state_of
from slicedb.slices.labelling import Labelling
from slicedb.slices.listed import SliceList
from slicedb.slices.overlap import Overlap, overlap
from slicedb.slices.renaming import rename
from slicedb.slices.sides import Compared, compare
from slicedb.slices.slice import Ask, Slice
from slicedb.slices.table import SliceTable
from slicedb.store import Store

if TYPE_CHECKING:
    from slicedb.query import Query

_TRIES = 20
"""How often a slice is frozen again because its tables or versions changed meanwhile."""
_Slices: TypeAlias = list[Slice]  # inside the class `list` is a verb
_Changes: TypeAlias = list[Applied]
_States: TypeAlias = list[tuple[Slice, SliceState, int | None]]


@suggesting
class Slices:
    """All slices of a database.

    Args:
        store: where they are kept.
        ask: parses and binds a query text at once, and gives its `Answer`.
        past: gives the slices of a commit; what compares moments needs it.
        looks: says how often models were judged on a slice, "" where that is not counted.
    """

    def __init__(
        self,
        store: Store,
        ask: Ask,
        past: Callable[[str], Slices] | None = None,
        looks: Callable[[Slice], str] = lambda s: "",
    ) -> None:
        self._table = SliceTable(store, ask)
        self._ask = ask
        self._past = past
        self._looks = looks
        self.definitions = SliceDefinitions(self._table)

    # --- reading ------------------------------------------------------------------------------

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

    # --- writing ------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        text: str | Query,
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
        query_text = text if isinstance(text, str) else text.text
        wanted = Slice(
            check_name(name),
            query_text,
            description=description,
            expect=tuple(str(parse_check(str(e))) for e in expect),
            holdout=None if holdout is None else parse_share(holdout),
            decide=decide or "interval",
            group=group,
            suite=suite,
            path=path,
            calibration=self.definitions.calibration(name, query_text),
        )
        version = None if replace else self._table.next_version(name)
        if name in self and not replace:
            raise SliceError(
                f"There is a slice '{name}' already.", "replace=True (--replace) redefines it."
            )
        self.definitions.check_loops({name: wanted.text})
        self.definitions.check_group(group)
        self.definitions.validate(wanted.text)
        try:
            return self.register(wanted, version)
        except ConflictError as error:
            raise SliceError(
                f"There is a slice '{name}' already.", "replace=True (--replace) redefines it."
            ) from error

    def edit(
        self,
        name: str,
        *,
        text: str | Query | None = None,
        expect: Sequence[str] | None = None,
        description: str | None = None,
        version: int | None = None,
    ) -> Slice:
        """Change a live slice, as its next version; what is not given stays as it is.

        A calibration holds as long as the text is the same.

        Args:
            name: a live slice.
            text: its new query.
            expect: its new expectations, all of them.
            description: its new sentence for people.
            version: the version that was looked at; refused where there is a newer one.

        Raises:
            UnknownSliceError: there is no such slice.
            SliceError: it is frozen, or the query gives no samples.
            QueryError: the text does not parse or names what is not there.
            CheckError: an expectation does not parse.
            ConflictError: somebody else changed it since that version.
        """
        s = self.get(name)
        if version is not None and s.version != version:
            raise ConflictError(
                f"Slice '{name}' is at version {s.version}, not at {version} any more.",
                "look at what changed, then change it again.",
            )
        if s.kind == "frozen":
            raise SliceError(
                f"Slice '{name}' is frozen: its members are fixed.",
                f"`slicedb slice thaw {name}` first.",
            )
        return self.add(
            name,
            s.text if text is None else text,
            expect=s.expect if expect is None else expect,
            description=s.description if description is None else description,
            holdout=s.holdout,
            decide=s.decide,
            group=s.group,
            suite=s.suite,
            path=s.path,
            replace=True,
        )

    def calibrate(
        self,
        name: str,
        *,
        answer: Callable[[Question], bool | None] | None = None,
        truth: str | None = None,
        read: str | os.PathLike[str] | None = None,
        recall: float | None = None,
        precision: float | None = None,
        budget: int = BUDGET,
        term: str | None = None,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> Slice:
        """Ask for labels, and store the cut they give with the slice as its next version.

        Answers are kept as they come; whatever ends the asking early, the next call goes on.

        Args:
            name: a live slice with a `matches`.
            answer: is asked one question at a time; None from it skips the sample.
            truth: a predicate that is true where the sample shows the text, null where nobody
                knows: `label = 'Dessert'`.
            read: a file that `write_questions` wrote, filled in.
            recall: the share of what shows the text that must match, at `confidence`.
            precision: the share of the matches that must show it. With neither, the best balance
                (F1) that is surely not worse than the cut there is.
            budget: labels in all, those kept from before included.
            term: the text meant, where the slice has several.
            confidence: of the aim, and of the intervals of precision and recall.
            seed: of the choice of samples.

        Returns:
            The new version; its `calibration` says precision, recall and the labels.

        Raises:
            SliceError: there is nothing to calibrate, the options do not fit, or no cut is as
                precise as wanted.

        Example:
            db.slices.calibrate("desserts", truth="label = 'Dessert'", recall=0.9)
        """
        return self._calibrating.calibrate(
            name,
            answer=answer,
            truth=truth,
            read=read,
            goal=goal_of(recall, precision, confidence),
            budget=budget,
            term=term,
            seed=seed,
        )

    def write_questions(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        recall: float | None = None,
        precision: float | None = None,
        budget: int = BUDGET,
        term: str | None = None,
        seed: int = 0,
    ) -> int:
        """Write what is to be labelled to a CSV file, and return how many samples that is.

        Args:
            name: as for `calibrate`; so are recall, precision, budget, term and seed.
            path: the file; its column `answer` is to be filled in with y, n or s.
        """
        goal = goal_of(recall, precision, 0.95)
        return self._calibrating.write_questions(
            name, path, goal=goal, budget=budget, term=term, seed=seed
        )

    def labelling(
        self,
        name: str,
        *,
        recall: float | None = None,
        precision: float | None = None,
        confidence: float = 0.95,
        term: str | None = None,
        seed: int = 0,
    ) -> Labelling:
        """Return what calibrates a slice a few answers at a time, as a page does.

        Args:
            name: as for `calibrate`; so are recall, precision, confidence, term and seed.

        Example:
            labelling = db.slices.labelling("desserts", recall=0.9)
            labelling.answer({question.sample: True for question in labelling.ask(3)})
            labelling.estimate().precision
            labelling.save()
        """
        goal = goal_of(recall, precision, confidence)
        return self._calibrating.labelling(name, goal=goal, term=term, seed=seed)

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
        for _ in range(_TRIES):
            s = self.get(name)
            query = self._ask(s.question)
            versions = self._table.data_versions(query)
            members = query.keys(), query.ids()
            if self._table.data_versions(query) != versions:
                continue  # the members may be those of other versions
            number = self._table.next_version(s.name)
            fresh = replace(
                s,
                token=uuid4().hex[:8],
                version=number,
                tables=versions,
                predicted=self._table.predicted(),
            )
            self._table.pin(fresh, versions)
            try:
                return self._table.write(
                    replace(fresh, version=s.version),
                    kind="frozen",
                    members=members,
                    tables=versions,
                    version=number,
                )
            except ConflictError:
                self._table.unpin(fresh)
        raise ConflictError(
            f"Other processes kept changing what slice '{name}' reads.", "freeze it again."
        )

    def thaw(self, name: str) -> Slice:
        """Make a frozen slice live again: its text is asked anew at each use."""
        s = self.get(name)
        return s if s.kind == "live" else self.register(replace(s, token=""))

    def rename(self, name: str, new: str) -> Slice:
        """Give a slice another name, with its versions; slices that are made of it follow.

        Commits keep it under its earlier name.

        Args:
            name: the slice.
            new: letters, digits, underscores; a name that no slice had before.

        Raises:
            UnknownSliceError: there is no such slice.
            SliceError: the new name is taken, or no name.
        """
        rename(self._table, self.get(name), check_name(new))
        return self.get(new)

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

    def coverage(self, model: str, names: Sequence[str] | None = None) -> SliceCoverage:
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
        members = {}
        for s in self.list():
            with suppress(QueryError):
                members[s.name] = s.keys()
        return members

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

    def register(self, s: Slice, version: int | None = None) -> Slice:
        """Write a slice, checked before, as the next live version of its name.

        Args:
            s: the slice.
            version: its number; None takes the next that is free.
        """
        old = self._table.latest().get(s.name)
        return self._table.write(replace(s, version=old.version if old else 0), version=version)


def _moment(commit: str | None) -> str | None:
    return None if commit in (None, "now") else commit
