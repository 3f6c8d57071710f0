"""The commands that look after a collection: drift, leaks, outliers, health and others."""

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
    "since columns models embedding group seed progress",
    since={"metavar": "COMMIT"},
    columns={"metavar": "COLUMN"},
    models={"flag": "--model", "metavar": "MODEL"},
)
def drift(a: str | None, b: str | None, out: Output, **options: Any) -> None:
    """Compare two sets of samples: columns, what models predict, and vectors.

    A and B are slices or queries; without B, it is everything that is not in A. Regions that are
    dense in B and not in A are reported as queries, which `slicedb slice add` names.

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
    "on by group columns models embedding tag seed progress",
    group={"metavar": "COLUMN", "multiple": True},
    columns={"metavar": "COLUMN"},
    models={"flag": "--model", "metavar": "MODEL"},
)
def leaks(column: str, out: Output, **options: Any) -> None:
    """Find samples that lie in more than one part of a split, and columns that give the part away.

    \b
    Examples:
      slicedb leaks
      slicedb leaks --group patient --group camera --tag
      slicedb leaks fold --by hash
    """
    out.show(open_db().leaks(column, **given(options)))


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.expected,
    "on reference slices seed progress",
    reference={"metavar": "QUERY|SLICE"},
    slices={"flag": "--slice", "metavar": "SLICE"},
)
def expected(model: str, out: Output, **options: Any) -> None:
    """Estimate the accuracy of a classifier on samples without labels.

    \b
    Examples:
      slicedb expected v3
      slicedb expected v3 --on "captured_at > '2026-11-01'" --reference "split = 'test'"
    """
    out.show(open_db().expected(model, **given(options)))


@click.command()
@click.argument("model", metavar="MODEL")
@click.argument("against", required=False, metavar="[AGAINST]")
@db_option
@rows_options
@options_of(Database.rollout, "on time every", time={"metavar": "COLUMN"})
def rollout(model: str, against: str | None, out: Output, **options: Any) -> None:
    """Show what a model predicts day by day, and raise an alarm where the share of a class jumps.

    \b
    Examples:
      slicedb rollout v4
      slicedb rollout v4 v3 --every week
    """
    out.show(open_db().rollout(model, against, **given(options)))


@click.command()
@click.argument("reference", metavar="REFERENCE")
@db_option
@rows_options
@options_of(
    Database.outliers,
    "on into k embedding seed progress",
    into={"metavar": "COLUMN"},
)
def outliers(reference: str, out: Output, **options: Any) -> None:
    """Write how far each sample is from a reference set, as a column.

    \b
    Example:
      slicedb outliers "split = 'train'"
      slicedb "ORDER BY outlier_score DESC LIMIT 50"
    """
    out.show(open_db().outliers(reference, **given(options)))


@click.command()
@click.argument("bounds", required=False, metavar="[FILE]")
@db_option
@rows_options
@options_of(Database.health, "model progress", model={"metavar": "MODEL"})
def health(bounds: str | None, out: Output, **options: Any) -> None:
    """Look at everything that can be wrong with a collection; exit status 1 beyond a bound.

    \b
    Examples:
      slicedb health
      slicedb health health.toml --model v3 -o health.html
      slicedb health --format json
    """
    report = open_db().health(bounds, **given(options))
    out.show(report)
    click.get_current_context().exit(report.exit_code)


COMMANDS = (drift, leaks, expected, rollout, outliers, health)
