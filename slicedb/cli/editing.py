"""Commands about one sample: edit and undo."""

from __future__ import annotations

import click

from slicedb.cli.common import commit_option, db_option, open_db
from slicedb.cli.options import given, options_of
from slicedb.database import Database


@click.command()
@click.argument("id", metavar="ID")
@db_option
@commit_option
@options_of(
    Database.edit,
    "remove_box set_box add_box label tag untag author",
    remove_box={"metavar": "N", "multiple": True, "type": click.IntRange(1)},
    set_box={"metavar": "N PART=VALUE", "type": (click.IntRange(1), str), "multiple": True},
    add_box={"metavar": "PART=VALUE,...", "multiple": True},
    label={"metavar": "LABEL"},
    tag={"metavar": "TAG"},
    untag={"metavar": "TAG"},
)
@click.option("--history", is_flag=True, help="List the boxes and the edits of the sample.")
def edit(id: str, history: bool, **options: object) -> None:
    """Change one sample: its boxes, its label, its tags; `undo` takes that back.

    Boxes are numbered from 1, as `index` of FROM objects has them. Every edit is written down with
    its author, and the predictions of every model are judged anew.

    \b
    Examples:
      slicedb edit photos/1.jpg --remove-box 2 --set-box 1 label=dog
      slicedb edit photos/1.jpg --add-box label=cat,bbox=10,10,20,20 --tag reviewed
      slicedb edit photos/1.jpg --label cat --untag doubtful
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
@options_of(Database.undo, "force")
def undo(id: str | None, force: bool) -> None:
    """Take the last edit back: of all samples, or of one.

    \b
    Examples:
      slicedb undo
      slicedb undo photos/1.jpg
    """
    click.echo(str(open_db().undo(id, force=force)))


COMMANDS = (edit, undo)
