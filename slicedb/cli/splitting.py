"""The commands `split` and `folds`: make parts, and see how far a metric ranges over them."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import commit_option, db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


def _shares(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> dict[str, float]:
    """Return the share of each part of `train=0.8 test=0.2`."""
    shares = {}
    for value in values:
        name, sign, share = value.partition("=")
        try:
            shares[name.strip()] = float(share)
        except ValueError:
            sign = ""
        if not sign or not name.strip():
            raise click.BadParameter(f"'{value}' is no part and its share, such as train=0.8.")
    return shares


@click.command()
@click.argument("ratios", nargs=-1, metavar="[PART=SHARE]...", callback=_shares)
@db_option
@rows_options
@options_of(
    Database.split,
    "folds group stratify time gap on near_duplicates embedding into seed anew dry_run progress",
    group={"metavar": "COLUMN", "multiple": True},
    stratify={"metavar": "COLUMN", "multiple": True},
    time={"metavar": "COLUMN"},
    gap={"metavar": "LENGTH"},
    into={"metavar": "COLUMN"},
)
@commit_option
def split(ratios: dict[str, float], out: Output, **options: Any) -> None:
    """Split samples into parts, and certify the result.

    Samples that have a part keep it: run it again after every ingest, and only new samples are
    placed, with the same settings.

    \b
    Examples:
      slicedb split train=0.8 val=0.1 test=0.1 --stratify label
      slicedb split train=0.7 test=0.3 --group patient --stratify label --stratify age
      slicedb split train=0.8 test=0.2 --time captured_at --gap 7d
      slicedb split --folds 5 --group patient --near-duplicates
      slicedb split
    """
    out.show(open_db().split(ratios or None, **given(options)))


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.folds,
    "column test metrics confidence predict progress",
    test={"metavar": "QUERY|SLICE"},
    metrics={"flag": "--metric", "metavar": "METRIC"},
)
def folds(model: str, out: Output, **options: Any) -> None:
    """Show the range of a metric over folds, and whether the test figure lies inside it.

    \b
    Examples:
      slicedb folds v3 --test "split = 'test'"
      slicedb folds "v3_{fold}" --metric f1 --metric accuracy
    """
    out.show(open_db().folds(model, **given(options)))


COMMANDS = (split, folds)
