"""The command `labels`: which labels are likely wrong."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.labels,
    "on kind rank fold seen n tag into",
    rank={
        "type": click.Choice(
            ["auto", "posterior", "self-confidence", "margin", "entropy", "confident-learning"]
        )
    },
    kind={"type": click.Choice(["auto", "classification", "multilabel", "detection"])},
    fold={"metavar": "COLUMN"},
    into={"metavar": "COLUMN"},
    n="-n",
)
def labels(model: str, out: Output, **options: Any) -> None:
    """Find labels that are likely wrong, from predictions of a model that did not see them.

    Every finding comes with its query. A model's predictions of what it was trained on are
    refused: train one per fold, or ask for other samples.

    \b
    Examples:
      slicedb labels food_v2 --on "split = 'test'" --tag
      slicedb labels food --fold fold --into label_score
      slicedb labels cells -n 50 --format csv -o likely.csv
    """
    out.show(open_db().labels(model, **given(options)))


COMMANDS = (labels,)
