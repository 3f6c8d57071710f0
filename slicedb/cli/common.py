"""What every command shares: the database option, the output options, opening."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from slicedb.cli.output import FORMATS

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.query import Query
    from slicedb.slices import Slice

_F = TypeVar("_F", bound=Callable[..., Any])


def db_option(function: _F) -> _F:
    """Add `--db`; the value wins over the one before the verb."""
    return click.option(
        "--db",
        "db",
        metavar="PATH",
        help="Database directory or URI.  [default: $SLICEDB_DB, else data.slicedb]",
    )(function)


def rows_options(function: _F) -> _F:
    """Add `--format` and `--output` to a verb that returns rows."""
    function = click.option("--output", "-o", metavar="FILE", help="Write to a file.")(function)
    return click.option(
        "--format",
        "-f",
        "form",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help="How to print the rows.",
    )(function)


def at_option(function: _F) -> _F:
    """Add `--at` to a verb that can ask an earlier commit."""
    return click.option("--at", metavar="COMMIT", help="Ask an earlier commit, tag or branch.")(
        function
    )


def open_db(db: str | None, *, create: bool = False, at: str | None = None) -> Database:
    """Open the database a command works on, as it was at a commit if one is named."""
    from slicedb.database import open

    context = click.get_current_context(silent=True)
    above = context.find_object(dict) if context else None
    path = db or (above or {}).get("db") or "data.slicedb"
    found = open(path, create=create)
    return found if at is None else found.at(at)


def say_unseen(asked: Query | Slice) -> None:
    """Remark on samples that a text cannot see, since they are not embedded."""
    for name, n in asked.unseen().items():
        how = "slicedb embed" if name == "default" else f"slicedb embed MODEL --name {name}"
        have, them = ("sample has", "it") if n == 1 else ("samples have", "them")
        say(f"{n:,} {have} no vector in the embedding '{name}'; `{how}` adds {them}.")


def say(text: str) -> None:
    """Print a remark to stderr, so that stdout carries only results."""
    click.echo(text, err=True)
