"""Commands that ask and help to ask: query, facets, summary, check, complete, show and more."""

from __future__ import annotations

import json
import re
from typing import IO, TYPE_CHECKING

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options, say, say_unseen
from slicedb.cli.options import given, options_of
from slicedb.cli.output import PICTURES, Output, for_people
from slicedb.database import Database
from slicedb.show import numbers
from slicedb.show.text import headings

if TYPE_CHECKING:
    import pyarrow as pa

    from slicedb.query import Query


_MOST = click.option(
    "--most",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    metavar="N",
    help="Values listed per column; the others are counted.",
)
_BINS = click.option(
    "--bins",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    metavar="N",
    help="How many bins, at most; values far outside are in a bin of their own.",
)


@click.command()
@click.argument("text", default="")
@db_option
@rows_options
@click.option(
    "--explain", is_flag=True, help="Show the plan, with the rows and the time of each step."
)
@click.option("--count", is_flag=True, help="Print only the number of rows.")
@click.option("--ids", is_flag=True, help="Print only the ids, one per line.")
@click.option("--columns", metavar="A,B", help="Columns or expressions to show, e.g. id,v3.loss.")
@options_of(
    Database.query,
    "at approximate params timeout memory files",
    at={"metavar": "COMMIT"},
    timeout={"type": click.FloatRange(0), "metavar": "SECONDS"},
    memory={"metavar": "SIZE"},
    params={
        "flag": "--param",
        "multiple": True,
        "metavar": "NAME=VALUE",
        "help": "A value for $NAME in the text: a string, or JSON.",
    },
)
@click.option("--file", "file", type=click.File(), help="Read the text from a file; - is stdin.")
def query(
    text: str,
    out: Output,
    explain: bool,
    count: bool,
    ids: bool,
    columns: str | None,
    at: str | None,
    approximate: bool,
    params: tuple[str, ...],
    timeout: float | None,
    memory: str | None,
    files: bool | None,
    file: IO[str] | None,
) -> None:
    """Ask in SQL, by text and by nearest neighbours, in one statement.

    A text that does not begin with SELECT, WITH or FROM is a predicate over samples.

    \b
    Examples:
      slicedb query "label = 'Dessert' AND matches('desserts from Indian cuisine')"
      slicedb query "ORDER BY similarity('a plate of laddu') DESC LIMIT 20" --ids
      slicedb query "SELECT label, count(*) AS n FROM samples GROUP BY ALL" -f csv
      slicedb query "v3.correct AND NOT v4.correct" --explain
      slicedb query "NOT v3.correct ORDER BY v3.loss DESC LIMIT 50" -o mistakes.html
      slicedb query 'label = $label AND lux < $lux' --param label=Egg --param lux=0.5
    """
    database = open_db()
    values = dict(map(_param, params)) if params else None
    asked = database.query(
        file.read() if file else text,
        values,
        at=at,
        approximate=approximate,
        timeout=timeout,
        memory=memory,
        files=files,
    )
    if explain:
        click.echo(str(asked.explain()))
    elif count:
        click.echo(asked.count())
    elif ids:
        for sample in asked.ids():
            click.echo(sample)
    elif out.is_page and columns is None:
        from slicedb.query import notebook

        out.page(notebook.page(asked, PICTURES))
    else:
        chosen = [c.strip() for c in columns.split(",")] if columns else None
        table = asked.to_arrow(columns=chosen)
        if out.is_for_people:
            _show(asked, table, out)
        else:
            out.write(table.rename_columns(headings(table.column_names, asked.text)))
    say_unseen(asked)
    if not explain and asked.is_rows and not asked.count():
        for sentence in asked.absent():
            say(sentence)


def _show(asked: Query, table: pa.Table, out: Output) -> None:
    """Print a table for people: of `*` what says something, with the score it was ordered by."""
    left: list[str] = []
    if asked.is_star and table.num_columns == len(asked.columns):
        table, left = for_people(table, asked.text)
        scores = asked.scores()
        if scores is not None and table.num_rows == len(scores) > 0:
            at = table.column_names.index("id") + 1
            table = table.add_column(at, "score", [scores])
    if table.num_columns:
        out.write(table.rename_columns(headings(table.column_names, asked.text)))
    more = f"; -f json or --columns shows {numbers.count(len(left), 'more column')}" if left else ""
    say(f"{table.num_rows:,} row{'s' * (table.num_rows != 1)}{more}")


def _param(text: str) -> tuple[str, object]:
    """Return name and value of `name=value`; what is not JSON is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"'{text}' is not NAME=VALUE.", param_hint="--param")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


@click.command()
@click.argument("text", metavar="QUERY", default="")
@db_option
@rows_options
@click.option(
    "--by",
    metavar="A,B",
    help="Columns, lists too, or expressions such as v3.prediction; by default label, split, tags.",
)
@_MOST
@at_option
def facets(text: str, out: Output, by: str | None, most: int) -> None:
    """Count the values of columns in a query and among all samples.

    \b
    Examples:
      slicedb facets "v3.loss > 2" --by label,split
      slicedb facets "in_slice('night')" --by tags,v3.prediction -f json
    """
    out.show(open_db().query(text).facets(_columns(by), most=most))


def _columns(text: str | None) -> list[str] | None:
    """Read a list of columns; a comma inside parentheses belongs to an expression."""
    return [c.strip() for c in re.split(r",(?![^(]*\))", text)] if text else None


@click.command()
@click.argument("text", metavar="QUERY")
@click.argument("column", metavar="COLUMN")
@db_option
@rows_options
@_BINS
@at_option
def histogram(text: str, column: str, out: Output, bins: int) -> None:
    """Count a column of numbers or times in bins, in a query and among all samples.

    \b
    Examples:
      slicedb histogram "label = 'Egg'" width
      slicedb histogram "NOT v3.correct" v3.loss --bins 40 -f csv
    """
    out.show(open_db().query(text).histogram(column, bins=bins))


@click.command()
@click.argument("text", metavar="QUERY", default="")
@db_option
@rows_options
@click.option(
    "--facets",
    metavar="A,B",
    help="Columns whose values are counted; by default label, split, tags.",
)
@click.option("--histograms", metavar="A,B", help="Columns of numbers or times, counted in bins.")
@_MOST
@_BINS
@at_option
def summary(
    text: str, out: Output, facets: str | None, histograms: str | None, most: int, bins: int
) -> None:
    """Count values and bins of several columns together, in a query and among all samples.

    \b
    Examples:
      slicedb summary "v3.loss > 2" --facets label,split --histograms width,v3.confidence
      slicedb summary --histograms width -f json
    """
    asked = open_db().query(text)
    numbers = _columns(histograms) or []
    out.show(asked.summary(_columns(facets), numbers, most=most, bins=bins))


@click.command()
@click.argument("id", metavar="ID")
@db_option
@rows_options
@options_of(Database.show, "neighbours embedding remote", neighbours={"metavar": "N"})
@at_option
def show(id: str, out: Output, **options: object) -> None:
    """Show one sample: columns, boxes, predictions, slices, neighbours, edits.

    \b
    Examples:
      slicedb show train/egg/0012.jpg
      slicedb show train/egg/0012.jpg --neighbours 20 -o sample.html
    """
    out.show(open_db().show(id, **given(options)))


@click.command()
@click.argument("on", metavar="[QUERY|SLICE]", required=False)
@db_option
@rows_options
@options_of(Database.thumbnails, "side remote")
def thumbnails(on: str | None, out: Output, side: int, remote: bool) -> None:
    """Make the small pictures of samples ahead of time, and count the broken ones.

    \b
    Examples:
      slicedb thumbnails
      slicedb thumbnails "split = 'test'" --side 320
    """
    out.show(open_db().thumbnails(on, side=side, remote=remote))


@click.command()
@rows_options
def functions(out: Output) -> None:
    """List the functions of the query language.

    \b
    Example:
      slicedb functions
    """
    from slicedb.query import functions as listed

    if not out.is_for_people:
        out.list(listed())
        return
    for row in listed():
        click.echo(f"{row['signature']}: {row['returns']}")
        for line in (row["help"], f"Example: {row['example']}" if row["example"] else ""):
            click.echo(click.wrap_text(line, 96, "    ", "    ")) if line else None


@click.command()
@click.argument("text", metavar="QUERY")
@db_option
@rows_options
@options_of(Database.check, "at", at={"metavar": "COMMIT"})
def check(text: str, out: Output, at: str | None) -> None:
    """Say what is wrong with a query text and where, without running it.

    The exit status is 1 where something is wrong.

    \b
    Examples:
      slicedb check "lable = 'Soup'"
      slicedb check "label = 'Soup' AND" -f json
    """
    found = open_db().check(text, at=at)
    out.show(found)
    if found:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("text", metavar="QUERY")
@db_option
@rows_options
@options_of(Database.complete, "place most")
def complete(text: str, out: Output, place: int | None, most: int) -> None:
    """List what may come next at a place in a query text, as an editor offers it.

    \b
    Examples:
      slicedb complete "label = "
      slicedb complete "label = 'Soup' AND w" --place 20 -f json
    """
    out.show(open_db().complete(text, place, most=most))


COMMANDS = (query, facets, histogram, summary, check, complete, show, thumbnails, functions)
