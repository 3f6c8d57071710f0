"""What commands share: the database, the output of rows, earlier commits, remarks."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import click

from slicedb.cli.outage import watch
from slicedb.cli.output import FORMATS, Output
from slicedb.errors import CheckError

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.query import Query
    from slicedb.slices import Slice

F = TypeVar("F", bound=Callable[..., object])

Values: TypeAlias = dict[str, Any]
"""Options by name, or a row by column."""

ENGINE: dict[str, object] = {"metavar": "ray|ray@HOST:PORT|ray://HOST:PORT"}
"""Of the option that says where work is done; `--on ray` says it too."""


def keep(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Leave a value to `open_db`; one that stands behind the verb wins over the one before."""
    if value is not None:
        context.meta[f"slicedb.{parameter.name}"] = value


def settings_of(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str] | None:
    """Read settings written as KEY=VALUE."""
    pairs = [value.partition("=") for value in values]
    if wrong := next((value for value, (_, sign, _) in zip(values, pairs) if not sign), None):
        raise click.BadParameter(f"'{wrong}' is no KEY=VALUE.", context, parameter)
    return {name: value for name, _, value in pairs} or None


def keep_settings(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> None:
    """Leave the settings of the database's object store to `open_db`."""
    if given := settings_of(context, parameter, values):
        context.meta.setdefault("slicedb.storage", {}).update(given)


def keep_source_settings(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, str] | None:
    """Read the settings of a source's bucket, which are the database's too where both are alike."""
    given = settings_of(context, parameter, values)
    if given:
        context.meta["slicedb.source_storage"] = given
    return given


def storage_option(command: F) -> F:
    """Add `--storage-option`, which `open_db` obeys."""
    option = click.option(
        "--storage-option",
        "storage",
        metavar="KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=keep_settings,
        help="Setting of the object store where --db is an address, such as endpoint=URL.",
    )
    return option(command)


def db_path_option(command: F) -> F:
    """Add `--db`, which `open_db` obeys, to a command that has a `--storage-option` of its own."""
    text = "Database directory or URI.  [default: $SLICEDB_DB, else data.slicedb]"
    option = click.option("--db", metavar="PATH", help=text, expose_value=False, callback=keep)
    return option(command)


def db_option(command: F) -> F:
    """Add `--db` and `--storage-option`, which `open_db` obeys."""
    return db_path_option(storage_option(command))


def rows_options(command: F) -> F:
    """Add `--format` and `--output`; the command gets an `Output` as its argument `out`."""

    def collect(
        context: click.Context, parameter: click.Parameter, value: str | None
    ) -> str | None:
        out = context.params.setdefault("out", Output())
        setattr(out, "chosen" if parameter.name == "form" else "file", value)
        return value

    command = click.option(
        "--output",
        "-o",
        "output",
        metavar="FILE",
        expose_value=False,
        callback=collect,
        help="Write to a file.",
    )(command)
    return click.option(
        "--format",
        "-f",
        "form",
        type=click.Choice(FORMATS),
        expose_value=False,
        callback=collect,
        help="How to print the rows; html is a page with pictures and charts. By default the "
        "ending of --output decides, else a table.",
    )(command)


def commit_option(command: F) -> F:
    """Add `--commit`, which records the state of all tables once the verb has done its work."""

    @wraps(command)
    def then_commit(*arguments: Any, commit: str | None, **options: Any) -> None:
        command(*arguments, **options)
        if commit is not None:
            click.echo(str(open_db().commit(commit)))

    text = "Then commit, with this message."
    return click.option("--commit", metavar="MESSAGE", help=text)(cast(F, then_commit))


def at_option(command: F) -> F:
    """Add `--at`, which `open_db` obeys, to a verb that can ask an earlier commit."""
    text = "Use an earlier commit, tag or branch."
    option = click.option("--at", metavar="COMMIT", help=text, expose_value=False, callback=keep)
    return option(command)


def open_db(*, create: bool = False, lasts: bool = False) -> Database:
    """Open the database a command works on, as it was at a commit if `--at` names one.

    Args:
        create: whether one that is missing is made.
        lasts: whether the command goes on until it is stopped, also while a bucket is gone.
    """
    from slicedb.database import open

    options = click.get_current_context().meta
    path = options.get("slicedb.db") or "data.slicedb"
    settings = options.get("slicedb.storage")
    sources = options.get("slicedb.sources", ())
    is_meant = "://" in path and sources and not any("://" in source for source in sources)
    if settings is None and (is_meant or _scheme(path) in map(_scheme, sources)):
        settings = options.get("slicedb.source_storage")
    database = open(path, create=create, storage_options=settings)
    if not database.store.is_local and not lasts:
        watch(database.path)
    commit = options.get("slicedb.at")
    return database if commit is None else database.at(commit)


def with_engine(database: Database, options: Values) -> Values:
    """Take `--on ray` for the engine that it names; the other samples of `--on` stay.

    Raises:
        CheckError: there is a slice or a column of that name, which may be meant.
    """
    from slicedb.scale.plan import is_engine
    from slicedb.schema import SAMPLES

    listed = options.get("on") or ()
    listed = (listed,) if isinstance(listed, str) else tuple(listed)
    engines = [text for text in listed if is_engine(text)]
    if not engines:
        return options
    name = engines[0]
    if name in database.slices or name in database.store.schema(SAMPLES).names:
        raise CheckError(
            f"There is a slice or a column '{name}', so --on {name} may mean two things.",
            f"write --engine {name} for the engine, or --on \"in_slice('{name}')\".",
        )
    rest = tuple(text for text in listed if not is_engine(text))
    return {**options, "on": rest or None, "engine": name}


def _scheme(path: str) -> str:
    """Return the scheme of an address; a path has none, which is that of no source."""
    return path.partition("://")[0] if "://" in path else f"path {path}"


def names_of(text: str | None) -> list[str] | None:
    """Read names from a comma list, or from a file with one per line."""
    from pathlib import Path

    if text is None:
        return None
    if Path(text).is_file():
        lines = Path(text).read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip()]
    return [part.strip() for part in text.split(",")]


def say_unseen(asked: Query | Slice) -> None:
    """Remark on samples that a text cannot see, since they are not embedded."""
    for name, n in asked.unseen().items():
        how = "slicedb embed" if name == "default" else f"slicedb embed MODEL --name {name}"
        have, them = ("sample has", "it") if n == 1 else ("samples have", "them")
        say(f"{n:,} {have} no vector in the embedding '{name}'; `{how}` adds {them}.")


def tables_of(database: Database) -> list[Values]:
    """Return one row per table, as `Store.describe` does, by the names that people use."""
    from slicedb.schema import spoken

    return [{**row, "table": spoken(row["table"])} for row in database.store.describe()]


def say(text: str) -> None:
    """Print a remark to stderr, so that stdout carries only results."""
    click.echo(text, err=True)
