"""Commands about slices: the group `slice`, and apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options, say_unseen
from slicedb.cli.labelling import calibrate
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.slices.overlap import Measure


@click.group(name="slice")
def slices() -> None:
    """Name queries: add, list, show, freeze, diff, calibrate, and see how they overlap."""


@slices.command()
@click.argument("name")
@click.argument("text")
@db_option
@click.option(
    "--expect",
    multiple=True,
    metavar="CHECK",
    help="An expectation, for example 'accuracy >= 0.6'.",
)
@click.option("--description", default="", help="What the slice is for.")
@click.option(
    "--holdout", metavar="SHARE", help="Share that is kept out of training, for example 20%."
)
@click.option(
    "--group", default="", metavar="COLUMN", help="Column whose groups the holdout keeps together."
)
@click.option(
    "--decide",
    type=click.Choice(["interval", "point"]),
    help="Judge expectations by the interval (the default), or by the value alone.",
)
@click.option("--replace", is_flag=True, help="Give an existing slice a new definition.")
def add(name: str, text: str, **options: object) -> None:
    """Name a query.

    \b
    Example:
      slicedb slice add night_errors "light = 'night' AND NOT food_v2.correct"
      slicedb slice add desserts "label = 'Dessert'" --expect "accuracy >= 0.8"
      slicedb slice add dark_desserts "in_slice('desserts') AND NOT in_slice('day')"
      slicedb slice add scans "true" --holdout 20% --group patient
    """
    added = open_db().slices.add(name, text, **given(options))
    click.echo(f"{added.name}: {numbers.count(added.count(), 'sample')}")
    say_unseen(added)


@slices.command()
@click.argument("name")
@db_option
@click.option("--text", metavar="QUERY", help="The new query.")
@click.option(
    "--expect", multiple=True, metavar="CHECK", help="The new expectations, in place of all."
)
@click.option("--description", help="What the slice is for.")
@click.option("--version", type=int, metavar="K", help="Refuse unless this is the newest version.")
def edit(name: str, expect: tuple[str, ...], **options: Any) -> None:
    """Change a slice, as its next version; what is not given stays as it is.

    \b
    Examples:
      slicedb slice edit night --text "light = 'night' AND split = 'test'"
      slicedb slice edit night --expect "accuracy >= 0.8" --expect "count >= 100"
    """
    changed = open_db().slices.edit(name, expect=expect or None, **options)
    click.echo(f"{changed.name}@{changed.version}: {numbers.count(changed.count(), 'sample')}")


@slices.command(name="list")
@db_option
@rows_options
@at_option
@click.option("--splits", is_flag=True, help="Also count the members in each split.")
def list_(out: Output, splits: bool) -> None:
    """List the slices with their counts and states.

    A state is live, frozen, stale (frozen, and its query now finds others) or broken (a model, an
    embedding or a column it names is gone).

    \b
    Examples:
      slicedb slice list
      slicedb slice list --splits --at release-3
    """
    registry = open_db().slices
    table: list[dict[str, object]] = [
        {
            "slice": s.name,
            "kind": s.kind,
            "version": s.version,
            "count": count,
            "state": str(state),
            "expect": "; ".join(s.expect),
            "description": s.description,
            "text": s.text,
        }
        for s, state, count in registry.states()
    ]
    if splits and table:
        whole = [str(row["slice"]) for row in table if row["count"] is not None]
        counts = {r.pop("slice"): r for r in registry.breakdown(whole).to_arrow().to_pylist()}
        empty: dict[str, object] = dict.fromkeys(next(iter(counts.values()), {}))
        table = [
            {"slice": row["slice"], "state": row["state"], **counts.get(row["slice"], empty)}
            for row in table
        ]
    out.list(table, "There are no slices yet. Hint: `slicedb slice add NAME QUERY`.")


@slices.command()
@click.argument("name")
@db_option
@click.option("--version", type=int, metavar="K", help="An earlier version; also NAME@K.")
@at_option
def show(name: str, version: int | None) -> None:
    """Show a slice: its text, state, expectations, versions, looks and count.

    \b
    Examples:
      slicedb slice show indian_desserts
      slicedb slice show indian_desserts --version 2
    """
    click.echo(str(open_db().slices.show(name, version)))


@slices.command()
@click.argument("name")
@db_option
@rows_options
def history(name: str, out: Output) -> None:
    """List the versions of a slice, the oldest first.

    \b
    Example:
      slicedb slice history indian_desserts
    """
    out.list(
        {
            "slice": f"{s.name}@{s.version}",
            "created_at": s.created_at,
            "kind": s.kind,
            "expect": "; ".join(s.expect),
            "text": s.text,
        }
        for s in open_db().slices.history(name)
    )


@slices.command()
@click.argument("name")
@db_option
def freeze(name: str) -> None:
    """Keep the membership as it is now, whatever is ingested or relabelled later.

    \b
    Example:
      slicedb slice freeze indian_desserts
    """
    frozen = open_db().slices.freeze(name)
    click.echo(f"{frozen.name}: frozen at {numbers.count(frozen.count(), 'sample')}")
    say_unseen(frozen)


@slices.command()
@click.argument("name")
@db_option
def thaw(name: str) -> None:
    """Turn a frozen slice into a live one again.

    \b
    Example:
      slicedb slice thaw indian_desserts
    """
    live = open_db().slices.thaw(name)
    click.echo(f"{live.name}: live, {numbers.count(live.count(), 'sample')}")


@slices.command()
@click.argument("a")
@click.argument("b", required=False)
@db_option
@rows_options
@click.option("--from", "before", metavar="COMMIT", help="The commit A is taken at.")
@click.option(
    "--to", "after", metavar="COMMIT", help="The commit B is taken at; `now` is the present state."
)
def diff(a: str, b: str | None, out: Output, **moments: str | None) -> None:
    """Show what entered and left, each sample with the reason.

    Two slices or versions; a frozen slice against its query now; a live one against its version
    before; or one slice at two commits.

    \b
    Examples:
      slicedb slice diff indian_desserts
      slicedb slice diff night@1 night@3
      slicedb slice diff night night_strict -f csv
      slicedb slice diff night --from clean --to now
    """
    registry = open_db().slices
    out.show(registry.diff(a, b, **moments))
    if not any(moments.values()):
        say_unseen(registry.get(a))


@slices.command()
@click.argument("names", nargs=-1, metavar="[SLICE...]")
@db_option
@rows_options
@at_option
@click.option(
    "--matrix",
    type=click.Choice(["jaccard", "containment", "shared"]),
    help="The whole matrix instead of the pairs.",
)
def overlap(names: tuple[str, ...], out: Output, matrix: Measure | None) -> None:
    """Show how slices overlap: shared samples, Jaccard index, and how much lies in the other.

    \b
    Examples:
      slicedb slice overlap
      slicedb slice overlap night dark rain --matrix containment
    """
    pairs = open_db().slices.overlap(list(names) or None)
    if matrix is None and out.is_for_people:
        click.echo(str(pairs))
    else:
        out.write(pairs.to_arrow(matrix) if matrix else pairs.pairs())


@slices.command()
@click.argument("model")
@click.argument("names", nargs=-1, metavar="[SLICE...]")
@db_option
@rows_options
@at_option
def coverage(model: str, names: tuple[str, ...], out: Output) -> None:
    """Show what share of a model's errors lies in each slice, and in none.

    \b
    Example:
      slicedb slice coverage food_v2
    """
    out.show(open_db().slices.coverage(model, list(names) or None))


@slices.command()
@click.argument("names", nargs=-1, metavar="[SLICE...]")
@db_option
@rows_options
@at_option
def breakdown(names: tuple[str, ...], out: Output) -> None:
    """Show how many members of each slice are in train, validation and test.

    \b
    Example:
      slicedb slice breakdown
    """
    out.show(open_db().slices.breakdown(list(names) or None))


@slices.command()
@click.argument("name", metavar="NAME@VERSION")
@db_option
def restore(name: str) -> None:
    """Make an earlier version of a slice its newest again, also of one that was dropped.

    \b
    Example:
      slicedb slice restore night@2
    """
    restored = open_db().slices.restore(name)
    click.echo(f"{restored.name}@{restored.version}: {numbers.count(restored.count(), 'sample')}")


@slices.command()
@click.argument("name")
@click.argument("new")
@db_option
def rename(name: str, new: str) -> None:
    """Give a slice another name, with its versions; slices made of it follow.

    \b
    Example:
      slicedb slice rename night after_dark
    """
    open_db().slices.rename(name, new)
    click.echo(f"{name}: now {new}")


@slices.command()
@click.argument("name")
@db_option
def drop(name: str) -> None:
    """Remove a slice; no sample is touched.

    \b
    Example:
      slicedb slice drop night
    """
    open_db().slices.drop(name)
    click.echo(f"{name}: dropped")


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path())
@db_option
@options_of(Database.apply, "dry_run")
def apply(folder: str, dry_run: bool) -> None:
    """Register the slices of a folder of .sql files, and show what changed.

    \b
    Example:
      slicedb apply queries/ --dry-run
    """
    for change in open_db().apply(folder, dry_run=dry_run):
        click.echo(str(change))


slices.add_command(calibrate)

COMMANDS = (slices, apply)
