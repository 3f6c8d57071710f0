"""The registry of slices: the verbs of `slicedb slice` and `slicedb apply`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from slicedb.errors import SliceError, UnknownSliceError, did_you_mean
from slicedb.slices.apply import Change, apply_files, references
from slicedb.slices.diff import Diff, diff
from slicedb.slices.expect import parse_check
from slicedb.slices.files import check_name, parse_share, read_folder
from slicedb.slices.slice import Ask, Keys, Slice, SliceInfo
from slicedb.slices.table import SliceTable, as_row
from slicedb.store import Store

_Slices: TypeAlias = list[Slice]  # inside the class `list` is a verb
_Changes: TypeAlias = list[Change]


class Slices:
    """All slices of a database.

    Args:
        store: where they are kept.
        ask: parses and binds a query text at once, and gives its `Answer`.
    """

    def __init__(self, store: Store, ask: Ask) -> None:
        self._table = SliceTable(store, ask)
        self._ask = ask
        self._files: dict[str, str] = {}  # texts that stand before the registered ones

    # --- reading ------------------------------------------------------------------------------

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._table.latest()

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
                return versions[name]
            raise UnknownSliceError(f"No slice '{name}'.", did_you_mean(name, versions, "versions"))
        found = self._table.latest()
        if bare not in found:
            choices = [*self._files, *found]
            raise UnknownSliceError(f"No slice '{name}'.", did_you_mean(name, choices, "slices"))
        return found[bare]

    def history(self, name: str) -> _Slices:
        """Return every version of a slice, oldest first."""
        return self._table.versions(self.get(name).name)

    def show(self, name: str) -> SliceInfo:
        """Return a slice with its count, and what a frozen one lost to deletion."""
        s = self.get(name)
        if s.kind == "live":
            return SliceInfo(s, s.count(), [])
        keys, ids = self._table.members(s, present=False)
        here = self._table.present(keys)
        return SliceInfo(s, int(here.sum()), [i for i, ok in zip(ids, here) if not ok])

    def text_or_keys(self, name: str) -> str | Keys:
        """Return the text of a live slice, or the int64 keys of a frozen one.

        Raises:
            UnknownSliceError: there is no such slice.
        """
        if name in self._files:
            return self._files[name]
        s = self.get(name)
        return s.text if s.kind == "live" else self._table.members(s, present=False)[0]

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
        )
        if name in self and not replace:
            raise SliceError(f"There is a slice '{name}' already.", "pass replace=True.")
        self.check_loops({name: wanted.text})
        self.validate(wanted.text)
        return self.register(wanted)

    def freeze(self, name: str) -> Slice:
        """Keep the members a slice has now, whatever is ingested or cleaned up later.

        The versions of the tables are pinned. Freezing a frozen slice takes its text's members of
        today.
        """
        s = self.get(name)
        versions = self._table.data_versions()
        found = self._ask(s.text)
        members = found.keys(), found.ids()
        self._table.pin(s.name, self._table.next_version(s.name), versions)
        frozen = self._table.write(s, kind="frozen", members=members, tables=versions)
        self._table.unpin(s)
        return frozen

    def thaw(self, name: str) -> Slice:
        """Make a frozen slice live again: its text is asked anew at each use."""
        s = self.get(name)
        return s if s.kind == "live" else self.register(s)

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

    def diff(self, a: str, b: str | None = None) -> Diff:
        """Return the samples that came and went between two slices or versions.

        Args:
            a: a slice, or `name@version`.
            b: the later one. Without it: the members `a` was frozen with against what its text
                finds now, or, for a live slice, its version before against the newest.

        Raises:
            SliceError: a live slice that never changed has nothing to be compared with.
        """
        old = self.get(a)
        if b is not None:
            new = self.get(b)
        elif old.kind == "frozen":
            new = self._table.from_row({**as_row(old), "kind": "live", "tables": None})
        else:
            before = [s for s in self._table.versions(old.name) if s.version < old.version]
            if not before:
                raise SliceError(f"Slice '{a}' has one version.", "name a second slice.")
            old, new = before[-1], old
        return diff(self._table.store, old, new, self._table.members)

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
    def files(self, texts: Mapping[str, str]) -> Iterator[None]:
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
            SliceError: it gives groups or counts.
        """
        found = self._ask(text)
        if not found.is_rows:
            raise SliceError(
                "The query gives groups, not samples.", "a slice's rows keep the column id."
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


def _follow(name: str, texts: Mapping[str, str], path: tuple[str, ...]) -> None:
    if name in path:
        ring = " -> ".join([*path[path.index(name) :], name])
        raise SliceError(f"Slices are made of each other: {ring}.", "break the ring.")
    for other in references(texts.get(name, "")):
        _follow(other, texts, (*path, name))
