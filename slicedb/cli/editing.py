"""Commands about what people change by hand: edit and undo, decide and apply what was decided."""

from __future__ import annotations

import click

from slicedb.cli.common import commit_option, db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show.numbers import count
from slicedb.show.text import clean as plain

_CHANGES = "remove_box set_box add_box label labels tag untag"
_FORMS: dict[str, dict[str, object]] = {
    "remove_box": {"metavar": "N", "multiple": True, "type": click.IntRange(1)},
    "set_box": {"metavar": "N PART=VALUE", "type": (click.IntRange(1), str), "multiple": True},
    "add_box": {"metavar": "PART=VALUE,...", "multiple": True},
    "label": {"metavar": "LABEL"},
    "labels": {"metavar": "LABEL"},
    "tag": {"metavar": "TAG"},
    "untag": {"metavar": "TAG"},
}


@click.command()
@click.argument("id", metavar="ID")
@db_option
@commit_option
@options_of(Database.edit, f"{_CHANGES} author", **_FORMS)
@click.option("--history", is_flag=True, help="List the boxes and the edits of the sample.")
def edit(id: str, history: bool, **options: object) -> None:
    """Change one sample: its boxes, its label or labels, its tags; `undo` takes that back.

    Boxes are numbered from 1, as `index` of FROM objects has them. Every edit is written down with
    its author, and the predictions of every model are judged anew.

    \b
    Examples:
      slicedb edit photos/1.jpg --remove-box 2 --set-box 1 label=dog
      slicedb edit photos/1.jpg --add-box label=cat,bbox=10,10,20,20 --tag reviewed
      slicedb edit photos/1.jpg --label cat --untag doubtful
      slicedb edit photos/1.jpg --labels cat --labels dog
      slicedb edit photos/1.jpg --history
    """
    database = open_db()
    if history:
        if given(options):
            raise click.UsageError("--history changes nothing; leave the others out.")
        _show(database, id)
        return
    click.echo(str(database.edit(id, **given(options))))


def _show(database: Database, id: str) -> None:
    """Print the boxes of a sample with their numbers, and its edits."""
    row = database.query("id = $id", {"id": id}).to_arrow().to_pylist()
    for number, box in enumerate((row[0]["objects"] if row else None) or (), 1):
        sides = ",".join(f"{side:g}" for side in box["bbox"] or ())
        click.echo(f"box {number}: label={box['label']},bbox={sides}")
    every = database.edits(id)
    for one in every:
        click.echo(str(one))
    if not every:
        click.echo(f"'{id}' was not edited.")


@click.command()
@click.argument("id", metavar="[ID]", required=False)
@db_option
@commit_option
@options_of(Database.undo, "number author queue force")
def undo(id: str | None, **options: object) -> None:
    """Take the last edit or decision back: of all samples, or of one.

    \b
    Examples:
      slicedb undo
      slicedb undo photos/1.jpg
      slicedb undo photos/1.jpg --number 2
      slicedb undo --author ada --queue labels
    """
    click.echo(str(open_db().undo(id, **given(options))))


@click.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@db_option
@options_of(Database.decide, f"keep skip delete {_CHANGES} queue reason author", **_FORMS)
def decide(ids: tuple[str, ...], **options: object) -> None:
    """Record decisions about samples, without changing anything yet.

    `slicedb apply-edits` carries all decisions out in one commit, `undo` takes the last one back,
    `discard-edits` all of them, and `edits --pending` lists them.

    \b
    Examples:
      slicedb decide photos/1.jpg photos/2.jpg --delete --reason blurred
      slicedb decide photos/3.jpg --label cat --queue labels
      slicedb decide photos/4.jpg --keep
    """
    click.echo(str(open_db().decide(ids, **given(options))))


@click.command()
@click.argument("id", metavar="[ID]", required=False)
@db_option
@options_of(Database.edits, "state author queue")
@click.option("--pending", "state", flag_value="pending", help="The same as --state pending.")
@rows_options
def edits(id: str | None, out: Output, **options: object) -> None:
    """List the edits of all samples, or of one: when, by whom, what, and how far they got.

    \b
    Examples:
      slicedb edits
      slicedb edits --pending
      slicedb edits photos/1.jpg
      slicedb edits --state refused --format csv
    """
    every = open_db().edits(id, **given(options))
    if out.is_for_people:
        for one in every:
            click.echo(plain(f"{one.sample} {one.number}: {one}"))
        if every:
            pending = sum(one.state == "pending" for one in every)
            click.echo(f"{count(len(every), 'edit')}, {pending:,} of them pending", err=True)
            return
    rows = ({**vars(one), "kind": one.kind} for one in every)
    out.list(rows, "No edits; `slicedb edit` and `slicedb decide` make some.")


@click.command("apply-edits")
@db_option
@options_of(Database.apply_edits, "message author queue", message="--message -m")
def apply_edits(**options: object) -> None:
    """Apply the pending decisions, in one step and one commit.

    A decision on a sample that has changed since is refused and listed; the others are applied.

    \b
    Examples:
      slicedb apply-edits -m "wrong labels"
      slicedb apply-edits --author ada --queue labels
    """
    click.echo(plain(str(open_db().apply_edits(**given(options))), keep="\n"))


@click.command("discard-edits")
@db_option
@options_of(Database.discard_edits, "author queue")
def discard_edits(**options: object) -> None:
    """Take back pending decisions.

    \b
    Examples:
      slicedb discard-edits
      slicedb discard-edits --queue labels
    """
    n = open_db().discard_edits(**given(options))
    click.echo(f"{count(n, 'decision')} discarded")


COMMANDS = (edit, undo, decide, edits, apply_edits, discard_edits)
