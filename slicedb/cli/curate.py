"""Commands that look behind a number: errors, cost, calibration."""

from __future__ import annotations

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.errors,
    "on by slices sure unsure n confidence truth truth_score tag progress",
    by={"metavar": "A,B"},
    slices={"flag": "--slice", "metavar": "SLICE"},
    n="-n",
)
@at_option
def errors(model: str, out: Output, by: tuple[str, ...], **options: object) -> None:
    """Review a model's mistakes: sure and wrong, top losses, confused pairs, shares.

    Every finding comes with its query, so that it can be named as a slice. A detector's boxes are
    sorted into missed, extra, wrong class, badly placed, both of these, and double.

    \b
    Examples:
      slicedb errors food_v2
      slicedb errors food_v2 --on night --by cuisine,cutlery --tag
      slicedb errors food_v2 --at release-3
      slicedb errors light --truth heavy
    """
    options["by"] = tuple(name.strip() for text in by for name in text.split(","))
    out.show(open_db().errors(model, **given(options)))


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.cost,
    "on matrix column positive false_positive false_negative ask human slices calibrate folds "
    "confidence seed truth progress",
    matrix={"metavar": "FILE"},
    positive={"metavar": "CLASS"},
    slices={"flag": "--slice", "metavar": "SLICE"},
)
@click.option("--curve", metavar="FILE", help="Write the cost at every threshold, as CSV.")
@at_option
def cost(model: str, out: Output, curve: str | None, **options: object) -> None:
    """Show what mistakes cost, which threshold is cheapest, and when to ask a person.

    \b
    Examples:
      slicedb cost food_v2 --matrix costs.csv --slice night
      slicedb cost defects --positive crack --false-negative 40 --ask 2 --curve curve.csv
      slicedb cost light --truth heavy
    """
    report = open_db().cost(model, **given(options))
    if curve is not None and report.curve is not None:
        Output("csv", curve).write(report.curve.to_arrow())
    out.show(report)


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(Database.calibration, "on binning bins folds seed truth progress")
@at_option
def calibration(model: str, out: Output, **options: object) -> None:
    """Show calibration before and after temperature scaling, on held-out rows.

    \b
    Examples:
      slicedb calibration food_v2 --on night
      slicedb calibration light --truth heavy
    """
    out.show(open_db().calibration(model, **given(options)))


COMMANDS = (errors, cost, calibration)
