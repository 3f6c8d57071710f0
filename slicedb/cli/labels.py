"""The commands `labels` and `sample`: which labels are likely wrong, and what to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slicedb.cli.cleaning import ask_each
from slicedb.cli.common import db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.errors import CheckError

if TYPE_CHECKING:
    from slicedb.curate.suspects import LabelErrors


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.labels,
    "on kind rank fold seen n tag into answers stop block progress",
    rank={
        "type": click.Choice(
            ["auto", "posterior", "self-confidence", "margin", "entropy", "confident-learning"]
        )
    },
    kind={
        "type": click.Choice(["auto", "classification", "multilabel", "detection", "segmentation"])
    },
    fold={"metavar": "COLUMN"},
    into={"metavar": "COLUMN"},
    n="-n",
)
@click.option("--review", is_flag=True, help="Ask about them at the terminal, as clean does.")
@click.option(
    "--export", "dest", metavar="DEST", help="Write their samples as a labelling task instead."
)
@click.option("--as", "task", metavar="FORMAT", help="Format of --export; as of export --as.")
def labels(
    model: str, out: Output, review: bool, dest: str | None, task: str | None, **options: Any
) -> None:
    """Find labels that are likely wrong, from predictions of a model that did not see them.

    Every finding comes with its query. A model's predictions of what it was trained on are
    refused: train one per fold, or ask for other samples.

    \b
    Examples:
      slicedb labels food_v2 --on "split = 'test'" --tag
      slicedb labels food --fold fold --into label_score
      slicedb labels cells --format csv -o likely.csv
      slicedb labels cells --answers likely.csv --stop 0.2
      slicedb labels food_v2 --review
      slicedb labels food_v2 --export tasks.json --as label-studio
    """
    database = open_db()
    report = database.labels(model, **given(options))
    if dest is not None:
        click.echo(str(database.export(report.queue, dest, form=task)))
    elif review:
        _review(database, report, options["block"])
    else:
        out.show(report)


def _review(database: Database, report: LabelErrors, block: int) -> None:
    """Ask about what was not answered yet, and say the precision so far."""
    from slicedb.curate.verdicts import count, session_of

    if report.task != "classification":
        raise CheckError(
            f"Labels of {report.task} are not reviewed at the terminal.",
            "write them with --format csv, fill in `verdict`, and read them with --answers.",
        )
    model = report.model if report.model in {m.name for m in database.models.list()} else None
    cleaner = database.clean(report.queue, model=model, session=session_of(report.model))
    ended = ask_each(cleaner, "auto")
    if ended:
        click.echo(str(cleaner.save()))
    assert report.verdicts is not None
    shown = count(database.store, report.model, block, report.verdicts.stop)
    click.echo("\n".join(shown.lines()))


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
@click.option("--export", "dest", metavar="DEST", help="Write them as a labelling task instead.")
@click.option("--as", "task", metavar="FORMAT", help="Format of --export; as of export --as.")
def sample(out: Output, dest: str | None, task: str | None, **options: Any) -> None:
    """Choose what to label next, in which order, and say why.

    \b
    Examples:
      slicedb sample -n 100
      slicedb sample -n 200 --model food_v2 --per-slice night=50 --format csv -o todo.csv
      slicedb sample --cost minutes --budget 240
      slicedb sample -n 100 --export tasks/ --as label-studio
    """
    database = open_db()
    picks = database.sample(**given({**options, "per_slice": options["per_slice"] or None}))
    if dest is None:
        out.show(picks)
    else:
        click.echo(str(database.export(picks.keys, dest, form=task)))


COMMANDS = (labels, sample)
