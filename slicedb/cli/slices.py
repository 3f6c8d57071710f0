"""Verbs of slices: slice add/list/show/freeze/thaw/diff/drop, apply."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import db_option, open_db, rows_options, say
from slicedb.cli.output import rows, write


@click.group(name="slice")
def slices() -> None:
    """Name queries: add, list, show, freeze, thaw, diff, drop."""


@slices.command()
@click.argument("name")
@click.argument("text")
@db_option
@click.option("--expect", multiple=True, metavar="CHECK", help="For example 'accuracy >= 0.6'.")
@click.option("--description", default="", help="What the slice is for.")
@click.option("--replace", is_flag=True, help="Give an existing slice a new definition.")
def add(name: str, text: str, db: str | None, **options: Any) -> None:
    """Name a query.

    \b
    Example:
      slicedb slice add night_errors "light = 'night' AND NOT food_v2.correct"
      slicedb slice add desserts "label = 'Dessert'" --expect "accuracy >= 0.8"
    """
    added = open_db(db).slices.add(name, text, **options)
    click.echo(f"{added.name}: {added.count():,} samples")


@slices.command(name="list")
@db_option
@rows_options
def list_(db: str | None, form: str, output: str | None) -> None:
    """List the slices with their counts.

    \b
    Example:
      slicedb slice list
    """
    found = open_db(db).slices.list()
    table = [
        {"slice": s.name, "kind": s.kind, "version": s.version, "count": s.count(),
         "expect": "; ".join(s.expect), "description": s.description, "text": s.text}
        for s in found
    ]  # fmt: skip
    if not table:
        say("There are no slices yet. Hint: `slicedb slice add NAME QUERY`.")
        return
    write(rows(table), form, output)


@slices.command()
@click.argument("name")
@db_option
def show(name: str, db: str | None) -> None:
    """Show a slice: its text, expectations, versions and count.

    \b
    Example:
      slicedb slice show indian_desserts
    """
    click.echo(str(open_db(db).slices.show(name)))


@slices.command()
@click.argument("name")
@db_option
def freeze(name: str, db: str | None) -> None:
    """Keep the membership as it is now, whatever is ingested or relabelled later.

    \b
    Example:
      slicedb slice freeze indian_desserts
    """
    frozen = open_db(db).slices.freeze(name)
    click.echo(f"{frozen.name}: frozen at {frozen.count():,} samples")


@slices.command()
@click.argument("name")
@db_option
def thaw(name: str, db: str | None) -> None:
    """Let a frozen slice live again.

    \b
    Example:
      slicedb slice thaw indian_desserts
    """
    live = open_db(db).slices.thaw(name)
    click.echo(f"{live.name}: live, {live.count():,} samples")


@slices.command()
@click.argument("a")
@click.argument("b", required=False)
@db_option
def diff(a: str, b: str | None, db: str | None) -> None:
    """Show what entered and left: two slices, or a frozen slice against its query now.

    \b
    Examples:
      slicedb slice diff indian_desserts
      slicedb slice diff night night_strict
    """
    click.echo(str(open_db(db).slices.diff(a, b)))


@slices.command()
@click.argument("name")
@db_option
def drop(name: str, db: str | None) -> None:
    """Forget a slice; no sample is touched.

    \b
    Example:
      slicedb slice drop night
    """
    open_db(db).slices.drop(name)
    click.echo(f"{name}: dropped")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@db_option
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def apply(folder: str, db: str | None, dry_run: bool) -> None:
    """Register the slices of a folder of .sql files, and say what changed.

    \b
    Example:
      slicedb apply queries/ --dry-run
    """
    for change in open_db(db).apply(folder, dry_run=dry_run):
        click.echo(str(change))


COMMANDS = (slices, apply)
