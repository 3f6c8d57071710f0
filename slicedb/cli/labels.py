"""The commands `labels` and `sample`: which labels are likely wrong, and what to label next."""

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


def _quotas(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, int]:
    """Return how many of each slice of `night=20`."""
    quotas = {}
    for value in values:
        name, sign, n = value.rpartition("=")
        if not sign or not name.strip() or not n.strip().isdigit():
            raise click.BadParameter(f"'{value}' is no slice and its number, such as night=20.")
        quotas[name.strip()] = int(n)
    return quotas


@click.command()
@db_option
@rows_options
@options_of(
    Database.sample,
    "n on model strategy per_slice cost budget embedding seed",
    n="-n",
    strategy={"type": click.Choice(["auto", "typical", "margin", "entropy", "diverse", "random"])},
    per_slice={"metavar": "SLICE=N", "multiple": True, "type": str, "callback": _quotas},
    cost={"metavar": "COLUMN"},
    budget={"type": float, "metavar": "X"},
)
def sample(out: Output, **options: Any) -> None:
    """Choose what to label next, in which order, and say why.

    \b
    Examples:
      slicedb sample -n 100
      slicedb sample -n 200 --model food_v2 --per-slice night=50 --format csv -o todo.csv
      slicedb sample --cost minutes --budget 240
    """
    out.show(open_db().sample(**given({**options, "per_slice": options["per_slice"] or None})))


COMMANDS = (labels, sample)
