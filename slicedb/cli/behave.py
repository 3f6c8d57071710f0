"""Commands about behaviour: templates, corruptions, and what should make no difference."""

from __future__ import annotations

import sys

import click

from slicedb.cli.common import db_option, names_of, open_db, rows_options
from slicedb.cli.options import Listing, given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


@click.group()
def behaviour() -> None:
    """Test what should make no difference to a model: list, run, corrupt."""


@behaviour.command(name="list")
@rows_options
def list_(out: Output) -> None:
    """List what expectations can test, and the corruptions.

    \b
    Example:
      slicedb behaviour list
    """
    from slicedb.behaviour.catalogue import catalogue

    out.list(catalogue())


@behaviour.command()
@click.argument("model", metavar="MODEL")
@click.argument("templates", metavar="[TEMPLATES]", required=False)
@db_option
@options_of(
    Database.behaviour,
    "labels expect least on confidence correction strict minimum write progress",
    labels={"metavar": "A,B,C|FILE", "multiple": False},
    expect={"metavar": "TEXT"},
    on={"metavar": "PREDICATE", "show_default": False},
)
@click.option("--point", is_flag=True, help="Decide by the values alone, without intervals.")
@click.option("--html", metavar="FILE", help="Write one self-contained page.")
def run(
    model: str,
    templates: str | None,
    labels: str | None,
    point: bool,
    html: str | None,
    **options: object,
) -> None:
    """Compose TEMPLATES, predict the compositions, and test the model on them.

    The exit status is 1 if an expectation fails. Without TEMPLATES, the compositions that exist
    already are used.

    \b
    Examples:
      slicedb behaviour run food_v3 templates/ --labels classes.txt
      slicedb behaviour run food_v3 --expect "invariance(extra) >= 0.9" --on "extra LIKE '%fork'"
    """
    from pathlib import Path

    report = open_db().behaviour(
        model,
        templates,
        labels=names_of(labels),
        decide="point" if point else "interval",
        **given(options),
    )
    if html is not None:
        Path(html).write_text(report.to_html(), encoding="utf-8")
    click.echo(str(report))
    sys.exit(report.exit_code)


@behaviour.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.corrupt,
    "slices kinds severities confidence batch_size device threads predict progress",
    slices="--on",
    kinds={
        "flag": "--kind",
        "metavar": "KIND",
        "cls": Listing,
        "registry": "slicedb.expectations.corruption:CORRUPTIONS",
        "group": "slicedb.corruptions",
    },
    severities={"flag": "--severity", "type": click.IntRange(1, 5)},
)
def corrupt(model: str, out: Output, **options: object) -> None:
    """Show accuracy against the severity of corruptions, flips and crops, slice by slice.

    Missing predictions are computed first, and an interrupted run resumes.

    \b
    Examples:
      slicedb behaviour corrupt food_v3 --on night --kind fog --kind motion_blur
      slicedb behaviour corrupt food_v3 --severity 3 -f csv
    """
    out.show(open_db().corrupt(model, **given(options)))


COMMANDS = (behaviour,)
