"""The command `discover`: where a model errs, without naming a column."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import at_option, commit_option, db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.discover,
    "on by embedding vocabulary truth truth_score measure group most depth least confidence seed "
    "add progress",
    by={"metavar": "A,B"},
    vocabulary={"metavar": "FILE", "multiple": False},
    measure={"type": click.Choice(["error", "loss"])},
)
@at_option
@commit_option
def discover(model: str, out: Output, by: tuple[str, ...], **options: Any) -> None:
    """Find out where a model errs more than elsewhere; every finding is a query.

    Columns, words of captions, phrases and regions of the vectors are searched on one half of the
    samples, and what is found there is tested on the other half.

    \b
    Examples:
      slicedb discover food_v2
      slicedb discover food_v2 --on "split = 'test'" --by cuisine,cutlery --add
      slicedb discover food_v2 --vocabulary words.txt --most 5
    """
    options["by"] = tuple(name.strip() for text in by for name in text.split(","))
    out.show(open_db().discover(model, **given(options)))


COMMANDS = (discover,)
