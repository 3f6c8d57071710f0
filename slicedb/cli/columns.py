"""Commands about columns that are computed or written by a model: column, tag-with."""

from __future__ import annotations

import click

from slicedb.cli.common import ENGINE, commit_option, db_option, open_db, rows_options, with_engine
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show import numbers


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
        click.echo(f"{name}: {numbers.count(n, 'sample')} changed")


@column.command()
@click.argument("name")
@db_option
def drop(name: str) -> None:
    """Remove a computed column, or one that a model wrote.

    \b
    Example:
      slicedb column drop num_people
    """
    open_db().columns.drop(name)
    click.echo(f"{name}: dropped")


@click.command(name="tag-with")
@click.argument("what", metavar="MODEL|COLUMN=PHRASE,PHRASE|FILE.py:FUNCTION|COLUMN")
@db_option
@commit_option
@options_of(
    Database.tag_with,
    "name count share cut template using on overwrite batch_size device threads workers engine "
    "decode progress",
    name={"flag": "--as", "metavar": "COLUMN"},
    count={"metavar": "LABEL"},
    share={"metavar": "LABEL"},
    template={"metavar": "TEXT"},
    engine=ENGINE,
)
def tag_with(what: str, **options: object) -> None:
    """Let a model, phrases or any callable write a column of samples.

    Only samples that are new go through the model. Another model, other phrases or another cut
    compute all values again. A value that a person gave or corrected is kept, and counted.

    \b
    Examples:
      slicedb tag-with yolo --count person --as num_people
      slicedb tag-with seg --share road --as road_pct
      slicedb tag-with weather=sunny,rainy,snowy,foggy --template "a photo in {} weather"
      slicedb tag-with captions.py:describe
      slicedb tag-with weather
      slicedb tag-with captions.py:describe --workers 4
    """
    database = open_db()
    click.echo(str(database.tag_with(what, **with_engine(database, given(options)))))


COMMANDS = (column, tag_with)
