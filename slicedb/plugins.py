"""Find what installed packages add: metrics, formats, functions, corruptions, encoders, models.

A plug-in is a package that declares an entry point in one of these groups; the built-in ones
are registered by the same class and fulfil the same protocols:

    slicedb.metrics       a `slicedb.metrics.Metric`
    slicedb.formats       a reader, a writer or both: a `slicedb.ingest.Format`
    slicedb.functions     a word of the query language: a `slicedb.query.Function`
    slicedb.corruptions   a `slicedb.behaviour.Corruption`
    slicedb.encoders      an opener of encoders: a `slicedb.embedding.EncoderType`
    slicedb.models        an opener of model specs: a `slicedb.models.ModelType`

An entry point names one object or a list of them, and each has a `name`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from slicedb.errors import PluginError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


LOADING = threading.RLock()
"""Held while a model or an encoder is opened. That imports libraries of weight for the first time,
and torchvision's modules import one another in a circle: two threads that begin at two ends of it
each find half a module."""


class Named(Protocol):
    """What every plug-in has."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class PluginWarning(UserWarning):
    """An installed plug-in was left out, and why."""


class Registry(Mapping[str, T], Generic[T]):
    """The members of one group by name: the built-in ones, then those of installed packages.

    Installed packages are looked at when a name is asked for that is not built in, or when all
    members are listed, and once in a process. A plug-in that does not load, or whose name is
    taken, is left out with a `PluginWarning` that names its package.

    Args:
        group: the entry points' group, such as "slicedb.metrics".
        builtin: "module:attribute" of each object, or list of objects, that SliceDB brings.
        check: returns what is wrong with an object, "" if nothing is.
        key: what members are told apart by, where that is more than the name.
    """

    def __init__(
        self,
        group: str,
        builtin: Iterable[str],
        check: Callable[[T], str] = lambda member: "",
        key: Callable[[T], str] = lambda member: member.name,
    ) -> None:
        self.group = group
        self.added: dict[str, T] = {}
        """The members that were added in this process."""
        self._specs = tuple(builtin)
        self._check = check
        self._key = key

    @cached_property
    def builtin(self) -> dict[str, T]:
        """The members that SliceDB brings, by name."""
        members: dict[str, T] = {}
        for spec in self._specs:
            module, _, attribute = spec.partition(":")
            for member in _listed(getattr(import_module(module), attribute)):
                members[self._key(member)] = member
        return members

    @cached_property
    def installed(self) -> dict[str, T]:
        """The members that other packages bring, by name."""
        from importlib.metadata import entry_points  # it imports email, so only where it is used

        members: dict[str, T] = {}
        for entry in entry_points(group=self.group):
            try:
                for member in self._members(entry):
                    key = self._key(member)
                    if key in self.builtin or key in members:
                        raise PluginError(f"The name '{member.name}' is taken.")
                    members[key] = member
            except Exception as error:  # a plug-in may raise anything, and must not stop the rest
                warnings.warn(f"{_origin(entry)} is left out: {error}", PluginWarning, stacklevel=2)
        return members

    def _members(self, entry: EntryPoint) -> list[T]:
        members: list[T] = _listed(entry.load())
        for member in members:
            if not isinstance(getattr(member, "name", None), str):
                raise PluginError(f"{member!r} has no name.")
            if problem := self._check(member):
                raise PluginError(problem)
        return members

    def add(self, member: T) -> None:
        """Add a member for as long as this process runs.

        Raises:
            PluginError: it does not fulfil the protocol, or its name is taken.
        """
        if problem := self._check(member):
            raise PluginError(problem)
        if self._key(member) in self:
            raise PluginError(f"The name '{member.name}' is taken.")
        self.added[self._key(member)] = member

    def __getitem__(self, name: str) -> T:
        for members in (self.builtin, self.added):
            if name in members:
                return members[name]
        return self.installed[name]

    def __iter__(self) -> Iterator[str]:
        yield from self.builtin
        yield from self.added
        yield from self.installed

    def __len__(self) -> int:
        return len(self.builtin) + len(self.added) + len(self.installed)

    def __contains__(self, name: object) -> bool:
        return name in self.builtin or name in self.added or name in self.installed

    def forget(self) -> None:
        """Look at the installed packages again at the next use."""
        self.__dict__.pop("installed", None)


def _listed(loaded: T | Iterable[T]) -> list[T]:
    return list(loaded) if isinstance(loaded, (list, tuple)) else [loaded]  # type: ignore[list-item]


def _origin(entry: EntryPoint) -> str:
    package = f" of the package '{entry.dist.name}'" if entry.dist is not None else ""
    return f"The plug-in '{entry.name}'{package}, in the group '{entry.group}',"
