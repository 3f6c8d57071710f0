"""The commands `drift` and `leaks`: in what sets of samples differ, and what they share."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


@click.command()
@click.argument("a", required=False, metavar="[A]")
@click.argument("b", required=False, metavar="[B]")
@db_option
@rows_options
@options_of(
    Database.drift,
    "since columns models embedding group seed",
    since={"metavar": "COMMIT"},
    columns={"metavar": "COLUMN"},
    models={"flag": "--model", "metavar": "MODEL"},
)
def drift(a: str | None, b: str | None, out: Output, **options: Any) -> None:
    """Compare two sets of samples: columns, what models predict, and vectors.

    A and B are slices or queries; without B it is all that is not in A. What is dense in B and
    not in A comes as a query, which `slicedb slice add` names.

    \b
    Examples:
      slicedb drift "split = 'train'" "split = 'test'"
      slicedb drift --since release-3
      slicedb drift "captured_at < '2026-01-01'" --group camera
    """
    out.show(open_db().drift(a, b, **given(options)))


@click.command()
@click.argument("column", default="split", metavar="[COLUMN]")
@db_option
@rows_options
@options_of(
    Database.leaks,
    "on by group columns models embedding tag seed",
    group={"metavar": "COLUMN", "multiple": True},
    columns={"metavar": "COLUMN"},
    models={"flag": "--model", "metavar": "MODEL"},
)
def leaks(column: str, out: Output, **options: Any) -> None:
    """Look for what lies in more than one part of a split, and for what tells the parts.

    \b
    Examples:
      slicedb leaks
      slicedb leaks --group patient --group camera --tag
      slicedb leaks fold --by hash
    """
    out.show(open_db().leaks(column, **given(options)))


COMMANDS = (drift, leaks)
