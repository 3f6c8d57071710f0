"""Verbs that look behind a number: errors, cost, calibration."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options
from slicedb.cli.output import write


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@click.option("--on", metavar="QUERY|SLICE", help="Default: every sample.")
@click.option("--by", multiple=True, metavar="COLUMN", help="Columns to share the errors by: A,B.")
@click.option("--sure", type=click.FloatRange(0, 1), default=0.9, show_default=True)
@click.option("--unsure", type=click.FloatRange(0, 1), default=0.5, show_default=True)
@click.option("-n", "n", type=click.IntRange(1), default=20, show_default=True, help="Rows a list.")
@click.option("--tag", is_flag=True, help="Tag the samples of each finding.")
@at_option
def errors(
    model: str,
    db: str | None,
    form: str,
    output: str | None,
    on: str | None,
    by: tuple[str, ...],
    at: str | None,
    **options: Any,
) -> None:
    """Review a model's mistakes: sure and wrong, top losses, confused pairs, shares.

    Every finding comes with its query, so that it can be named as a slice.

    \b
    Examples:
      slicedb errors food_v2
      slicedb errors food_v2 --on night --by cuisine,cutlery --tag
      slicedb errors food_v2 --at release-3
    """
    columns = [name.strip() for text in by for name in text.split(",")]
    options |= {"by": columns} if columns else {}
    found = open_db(db, at=at).errors(model, on, **options)
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@click.option("--on", metavar="QUERY|SLICE", help="Default: every sample.")
@click.option("--matrix", metavar="FILE", help="CSV: a row a truth, a column a decision.")
@click.option("--column", metavar="COLUMN", help="Every cost of a sample is multiplied by it.")
@click.option("--positive", metavar="CLASS", help="Decide this class by a threshold.")
@click.option("--false-positive", metavar="X", default="1", help="Cost, or a column.")
@click.option("--false-negative", metavar="X", default="1", help="Cost, or a column.")
@click.option("--ask", metavar="X", help="Cost of asking a person, or a column.")
@click.option("--human", metavar="X", help="A person's label column, logged model, or cost.")
@click.option("--slice", "slices", multiple=True, metavar="SLICE", help="Judge it by itself too.")
@click.option("--calibrate", is_flag=True, help="Also after temperature scaling.")
@click.option("--curve", metavar="FILE", help="Write the cost at every threshold, as CSV.")
@at_option
def cost(
    model: str,
    db: str | None,
    form: str,
    output: str | None,
    on: str | None,
    matrix: str | None,
    curve: str | None,
    at: str | None,
    **options: Any,
) -> None:
    """Say what mistakes cost, which threshold is cheapest, and when to ask a person.

    \b
    Examples:
      slicedb cost food_v2 --matrix costs.csv --slice night
      slicedb cost defects --positive crack --false-negative 40 --ask 2 --curve curve.csv
    """
    for name in ("false_positive", "false_negative", "ask", "human"):
        options[name] = _price(options[name])
    found = open_db(db, at=at).cost(model, on, matrix=matrix, **options)
    if curve is not None and found.curve is not None:
        write(found.curve.to_arrow(), "csv", curve)
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)


def _price(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@click.option("--on", metavar="QUERY|SLICE", help="Default: every sample.")
@click.option("--binning", type=click.Choice(["width", "mass"]), default="width", show_default=True)
@at_option
def calibration(model: str, db: str | None, on: str | None, binning: Any, at: str | None) -> None:
    """Show calibration before and after temperature scaling, on rows not fitted on.

    \b
    Example:
      slicedb calibration food_v2 --on night
    """
    click.echo(str(open_db(db, at=at).calibration(model, on, binning=binning)))


COMMANDS = (errors, cost, calibration)
