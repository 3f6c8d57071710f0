"""Make the options of a command from the method that it calls.

Name, type, default and help of an option are those of the argument of the same name, so that the
command line and Python cannot say different things. What differs is written beside the command:
a shorter flag, a metavar, a narrower type.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from slicedb.plugins import Named, Registry

F = TypeVar("F", bound=Callable[..., object])

_METAVARS = {
    "Path | None": "FILE",
    "Device": "DEVICE",
    "On": "QUERY|SLICE",
    "On | Iterable[On]": "QUERY|SLICE",
    "Several": "QUERY|SLICE",
}
"""By annotation."""

_COLUMNS = ("column", "group", "target")
"""Ends of the names of arguments that name a column of samples."""

_POSITIVE = "batch_size bins folds max_pixels n threads workers".split()
"""Whole numbers that cannot be 0."""


class Listing(click.Option):
    """An option whose help also names what installed packages add.

    Args:
        registry: "module:attribute" of the registry of plug-ins, which is only imported when a
            package adds to it.
        group: the group of entry points.
    """

    def __init__(self, *args: Any, registry: str, group: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._registry, self._group = registry, group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the line of the help, as click does."""
        record = super().get_help_record(ctx)
        if record is None or not entry_points(group=self._group):
            return record
        module, _, attribute = self._registry.partition(":")
        registry: Registry[Named] = getattr(import_module(module), attribute)
        names = ", ".join(dict.fromkeys(member.name for member in registry.installed.values()))
        return record[0], f"{record[1]}  Installed packages add: {names}." if names else record[1]


def options_of(
    method: Callable[..., object], names: str, /, **special: str | Mapping[str, object]
) -> Callable[[F], F]:
    """Add an option for each named argument of a method.

    Args:
        method: for example `Database.ingest`.
        names: names of its arguments, in the order of the help.
        **special: what is different for an argument: its flag, or the keywords of `click.option`
            with "flag" for the flag.
    """
    arguments = inspect.signature(method).parameters
    help_of = documented(method)

    def add(command: F) -> F:
        for name in reversed(names.split()):
            known = special.get(name, {})
            own = {"flag": known} if isinstance(known, str) else dict(known)
            flag = str(own.pop("flag", f"--{name.replace('_', '-')}"))
            made = {**_option(name, arguments[name]), "help": sentence(help_of[name]), **own}
            if made.pop("is_pair", False):
                flag = f"{flag}/--no-{flag.removeprefix('--')}"
            if made.get("multiple"):
                made["help"] += " May be repeated."
            command = click.option(*flag.split(), name, **made)(command)
        return command

    return add


def given(options: Mapping[str, object]) -> dict[str, Any]:
    """Return the options that were given; the method has the defaults of the others."""
    return {name: value for name, value in options.items() if value not in (None, ())}


def documented(method: Callable[..., object]) -> dict[str, str]:
    """Return what the documentation of a method says about each argument.

    >>> def embed(name: str, on: str) -> None:
    ...     '''Embed.
    ...
    ...     Args:
    ...         name: of the
    ...             embedding.
    ...         on: the samples.
    ...     '''
    >>> documented(embed)
    {'name': 'of the embedding.', 'on': 'the samples.'}
    """
    _, _, section = (inspect.getdoc(method) or "").partition("Args:\n")
    entries = re.findall(r"^    \*?(\w+): (.*(?:\n        .*)*)", section, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text) for name, text in entries}


def sentence(text: str) -> str:
    """Return a line of documentation as the help of an option.

    >>> sentence("images per batch; by default what fits the device.")
    'Images per batch; by default what fits the device.'
    """
    plain = text.replace("`", "")
    return plain[:1].upper() + plain[1:]


def _option(name: str, argument: inspect.Parameter) -> dict[str, Any]:
    """Return the keywords of `click.option` that follow from a type and a default."""
    kind, default = str(argument.annotation), argument.default
    if kind == "Watch":  # of which the shell can give a part
        kind = "bool | None"
    if "bool" in kind:
        is_pair = default is True or "None" in kind
        return {"is_flag": True, "default": default, "is_pair": is_pair, "show_default": is_pair}
    made: dict[str, Any] = {}
    if kind.startswith("Literal"):
        made["type"] = click.Choice(re.findall(r"['\"]([^'\"]+)['\"]", kind))
    elif kind.startswith("Price"):
        made |= {"type": price, "metavar": "X"}
    elif "int" in kind:
        made |= {"type": click.IntRange(int(name in _POSITIVE)), "metavar": "N"}
    elif "float" in kind:
        made |= {"type": click.FloatRange(0, 1), "metavar": "X"}
    else:
        column = name.endswith(_COLUMNS)
        made["metavar"] = "COLUMN" if column else _METAVARS.get(kind, "NAME")
        if name == "truth":
            made["metavar"] = "MODEL|COLUMN"
    if re.search(r"Names|Sequence|Iterable|Several", kind):
        return {**made, "multiple": True}
    if default not in (None, ""):
        made |= {"default": default, "show_default": True}
    return made


def price(text: str) -> float | str:
    """Return a number, or the name of a column where it is none."""
    try:
        return float(text)
    except ValueError:
        return text
