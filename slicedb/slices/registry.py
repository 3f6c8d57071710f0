"""Register slices: the verbs of `slicedb slice` and `slicedb apply`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import uuid4

from slicedb.errors import ConflictError, DatabaseError, SliceError, suggesting
from slicedb.expectations.grammar import parse_check
from slicedb.slices.answers import Question
from slicedb.slices.apply import Applied, apply_files
from slicedb.slices.calibrating import BUDGET, Calibrating, goal_of
from slicedb.slices.definitions import references
from slicedb.slices.files import check_name, parse_share, read_folder
from slicedb.slices.info import SliceState
from slicedb.slices.labelling import Labelling
from slicedb.slices.reading import SliceReader
from slicedb.slices.renaming import rename
from slicedb.slices.slice import Slice

if TYPE_CHECKING:
    from slicedb.query import Query

_TRIES = 20
"""How often a slice is frozen again because its tables or versions changed meanwhile."""
_Slices: TypeAlias = list[Slice]  # inside the class `list` is a verb
_Changes: TypeAlias = list[Applied]
_States: TypeAlias = list[tuple[Slice, SliceState, int | None]]


@suggesting
class Slices(SliceReader):
    """All slices of a database.

    Args:
        store: where they are kept.
        ask: parses and binds a query text at once, and gives its `Answer`.
        past: gives the slices of a commit; what compares moments needs it.
        looks: says how often models were judged on a slice, "" where that is not counted.
        look: is told which verb judged which models on which slices.
    """

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

    def restore(self, name: str) -> Slice:
        """Make an earlier version of a slice its newest again, also of one that was dropped.

        A frozen version keeps its members. What it was frozen at is pinned again as far as it was
        not cleaned up.

        Args:
            name: `name@version`.

        Raises:
            UnknownSliceError: there is no such version.
            SliceError: slices would be made of each other.
        """
        s = self.get(name)
        self.definitions.check_loops({s.name: s.text})
        if s.kind == "live":
            return self.register(s)
        number = self._table.next_version(s.name)
        fresh, tables = replace(s, token=uuid4().hex[:8], version=number), dict(s.tables)
        try:
            self._table.pin(fresh, tables)
        except DatabaseError:
            tables = {}
        return self._table.write(
            replace(fresh, version=s.version),
            kind="frozen",
            members=self._table.members(s, present=False),
            tables=tables,
            version=number,
        )

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
