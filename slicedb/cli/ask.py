"""Verbs that ask: query, functions."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options, say
from slicedb.cli.output import rows, write


@click.command()
@click.argument("text", default="")
@db_option
@rows_options
@click.option("--explain", is_flag=True, help="Show the plan, with rows and time of each step.")
@click.option("--count", is_flag=True, help="Print the number of rows alone.")
@click.option("--ids", is_flag=True, help="Print the ids alone, one a line.")
@click.option("--columns", metavar="A,B", help="Columns to show, for a predicate.")
@at_option
@click.option("--approximate", is_flag=True,
              help="Let ORDER BY similarity(...) DESC LIMIT k use the index.")  # fmt: skip
@click.option("--file", "file", type=click.File(), help="Read the text from a file; - is stdin.")
def query(
    text: str,
    db: str | None,
    form: str,
    output: str | None,
    explain: bool,
    count: bool,
    ids: bool,
    columns: str | None,
    at: str | None,
    approximate: bool,
    file: Any,
) -> None:
    """Ask in SQL, by text and by nearest neighbours, in one statement.

    A text that does not begin with SELECT, WITH or FROM is a predicate over samples.

    \b
    Examples:
      slicedb query "label = 'Dessert' AND matches('desserts from Indian cuisine')"
      slicedb query "ORDER BY similarity('a plate of laddu') DESC LIMIT 20" --ids
      slicedb query "SELECT label, count(*) AS n FROM samples GROUP BY ALL" -f csv
      slicedb query "v3.correct AND NOT v4.correct" --explain
    """
    database = open_db(db)
    asked = database.query(file.read() if file else text, at=at, approximate=approximate)
    if explain:
        click.echo(str(asked.explain()))
    elif count:
        click.echo(asked.count())
    elif ids:
        for sample in asked.ids():
            click.echo(sample)
    else:
        chosen = [c.strip() for c in columns.split(",")] if columns else None
        table = asked.to_arrow(columns=chosen)
        write(table, form, output)
        if form == "table" and output is None:
            say(f"{table.num_rows:,} rows")


@click.command()
@rows_options
def functions(form: str, output: str | None) -> None:
    """List the functions of the query language.

    \b
    Example:
      slicedb functions
    """
    from slicedb.query import functions as listed

    write(rows(listed()), form, output)


COMMANDS = (query, functions)
