"""The command `slice calibrate`: asks for labels at the terminal, by CSV, or from a column."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from slicedb.cli.common import db_option, open_db, say
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.slices.answers import Question

_ANSWERS = {"y": True, "n": False, "s": None}


@click.command()
@click.argument("name")
@db_option
@click.option("--budget", default=100, show_default=True, help="Number of labels in all.")
@click.option("--recall", type=float, metavar="R", help="Recall to reach.")
@click.option("--precision", type=float, metavar="P", help="Precision to reach.")
@click.option(
    "--confidence",
    default=0.95,
    show_default=True,
    help="Confidence of the goal and of the intervals.",
)
@click.option("--truth", metavar="QUERY", help="Predicate that is true where the text is shown.")
@click.option(
    "--write-csv", "write", metavar="FILE", help="Write the samples to label to a file, and stop."
)
@click.option(
    "--read-csv", "read", metavar="FILE", help="Read the labels from a file that was filled in."
)
@click.option("--term", metavar="TEXT", help="Which text to calibrate, if the slice has several.")
@click.option("--pictures", metavar="DIR", help="Folder for pictures that have no file.")
@click.option("--seed", default=0, show_default=True, help="Seed for the choice of samples.")
@click.option("--forget", is_flag=True, help="Remove the calibration; the answers are kept.")
def calibrate(name: str, **options: Any) -> None:
    """Choose the cut of a slice's matches by a few labels.

    It asks about the most informative samples: at the terminal (y, n, s to skip, q to stop; the
    next call resumes), by a CSV file, or from a column. Without --recall and --precision the cut
    with the best F1 is chosen among those that are surely not worse than the present one.

    \b
    Examples:
      slicedb slice calibrate desserts --recall 0.9
      slicedb slice calibrate desserts --truth "label = 'Dessert'" --precision 0.9
      slicedb slice calibrate desserts --recall 0.9 --write-csv todo.csv
      slicedb slice calibrate desserts --read-csv todo.csv --recall 0.9
    """
    write, pictures = options.pop("write"), options.pop("pictures")
    forget, database = options.pop("forget"), open_db()
    if forget:
        click.echo(f"{database.slices.forget(name).name}: not calibrated")
        return
    if write:
        chosen = {key: options[key] for key in ("recall", "precision", "budget", "term", "seed")}
        count = database.slices.write_questions(name, write, **chosen)
        click.echo(f"{numbers.count(count, 'sample')} to label in {write}")
        return
    if options["truth"] is None and options["read"] is None:
        done = database.slices.labelled(name, term=options["term"])
        if done < options["budget"]:
            options["answer"] = _prompt(database, done, options["budget"], pictures)
    added = database.slices.calibrate(name, **options)
    click.echo(f"{added.name}: {numbers.count(added.count(), 'sample')}\n{added.calibration}")


def _prompt(
    database: Database, done: int, budget: int, pictures: str | None
) -> Callable[[Question], bool | None]:
    """Return what asks one question at the terminal."""
    count = done
    say(f"{done} of {budget} labels are there. y: yes, n: no, s: skip, q: stop and keep them.")

    def answer(question: Question) -> bool | None:
        nonlocal count, pictures
        path = Path(question.uri)
        if not path.is_file():
            pictures = pictures or tempfile.mkdtemp(prefix="slicedb-")
            path = _picture(database, question, Path(pictures))
        asked = f"[{count + 1}/{budget}] {question.text}?  {path}"
        reply = click.prompt(asked, type=click.Choice([*_ANSWERS, "q"]), show_choices=True)
        if reply == "q":
            raise click.Abort
        count += reply != "s"
        return _ANSWERS[reply]

    return answer


def _picture(database: Database, question: Question, folder: Path) -> Path:
    """Write a picture that is in the database alone to a file."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / question.sample.replace("/", "_")
    if not path.is_file():
        for _, data in database.store.read_images(np.array([question.key])):
            path.write_bytes(data)
    return path
