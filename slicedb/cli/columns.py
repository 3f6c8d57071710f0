"""Commands about computed columns: column add/list/refresh/drop."""

from __future__ import annotations

import click

from slicedb.cli.common import db_option, open_db, rows_options
from slicedb.cli.output import Output


@click.group()
def column() -> None:
    """Keep expressions as columns of samples: add, list, refresh, drop."""


@column.command()
@click.argument("name")
@click.argument("expression")
@db_option
@click.option("--replace", is_flag=True, help="Give a computed column another expression.")
def add(name: str, expression: str, replace: bool) -> None:
    """Compute an expression for every sample, and keep it as a column.

    `ingest`, `attach`, `predict` and `log-predictions` compute what changed; after edits, `column
    refresh` does.

    \b
    Example:
      slicedb column add num_people "count_objects('person')"
    """
    click.echo(str(open_db().columns.add(name, expression, replace=replace)))


@column.command(name="list")
@db_option
@rows_options
def list_(out: Output) -> None:
    """List the computed columns, with the samples whose value is stale.

    \b
    Example:
      slicedb column list
    """
    out.list(
        (
            {"column": c.name, "expression": c.expression, "type": c.type, "stale": c.stale}
            for c in open_db().columns.list()
        ),
        "There are no computed columns. Hint: `slicedb column add NAME EXPRESSION`.",
    )


@column.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@db_option
def refresh(names: tuple[str, ...]) -> None:
    """Compute columns again where their value changed.

    \b
    Example:
      slicedb column refresh
    """
    for name, n in open_db().columns.refresh(*names).items():
        click.echo(f"{name}: {n:,} samples changed")


@column.command()
@click.argument("name")
@db_option
def drop(name: str) -> None:
    """Remove a computed column.

    \b
    Example:
      slicedb column drop num_people
    """
    open_db().columns.drop(name)
    click.echo(f"{name}: dropped")


COMMANDS = (column,)
