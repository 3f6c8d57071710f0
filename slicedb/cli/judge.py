"""Commands that evaluate and test: evaluate, compare, power, confusion, test, metrics."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from slicedb.cli.common import at_option, db_option, open_db, rows_options, say
from slicedb.cli.options import Listing, given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show import numbers

if TYPE_CHECKING:
    from slicedb.judge import Comparison, Confusion, Evaluation


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@db_option
@rows_options
@options_of(
    Database.evaluate,
    "slices metrics per_class confidence group bootstrap truth truth_score predict record at "
    "progress",
    slices="--on",
    metrics={
        "flag": "--metric",
        "cls": Listing,
        "registry": "slicedb.metrics:METRICS",
        "group": "slicedb.metrics",
    },
    at={"metavar": "COMMIT"},
)
def evaluate(models: tuple[str, ...], out: Output, **options: object) -> None:
    """Show the slice x model table, each value with its interval and its n.

    `slicedb metrics` lists the metrics.

    \b
    Examples:
      slicedb evaluate food_v1 food_v2
      slicedb evaluate food_v2 --on night --metric accuracy --metric f1 -f csv
      slicedb evaluate food_v2 --at release-3
      slicedb evaluate food_v2 --group video
      slicedb evaluate light --truth heavy
    """
    evaluation = open_db().evaluate(models, **given(options))
    for warning in evaluation.warnings:
        say(f"warning: {warning}")
    _say_truth(evaluation, out)
    out.show(evaluation)


def _say_truth(result: Evaluation | Comparison | Confusion, out: Output) -> None:
    """Remark on another truth where the rows alone do not tell it; the table does."""
    for line in result.agreements if out.form != "table" else ():
        say(str(line))


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@db_option
@rows_options
@options_of(
    Database.compare,
    "slices correction confidence group truth truth_score predict at progress",
    slices="--on",
    at={"metavar": "COMMIT"},
)
@click.option("--name", "names", metavar="NAME", help="Register what A lost as slice NAME_<slice>.")
def compare(a: str, b: str, out: Output, names: str | None, **options: object) -> None:
    """Compare two models slice by slice: wins, losses, ties, difference and p.

    A win is a sample that A has right and B wrong; p is that of the exact McNemar test, alone and
    corrected for the number of slices. The columns won and lost hold the queries of the flipped
    samples. Of two detectors a win is an annotated box that A finds and B misses.

    \b
    Examples:
      slicedb compare food_v2 food_v1
      slicedb compare food_v2 food_v1 --on night --on "light = 'dim'" -f json
      slicedb compare food_v2 food_v1 --on night --name lost
    """
    database = open_db()
    comparison = database.compare(a, b, **given(options))
    _say_truth(comparison, out)
    out.show(comparison)
    for row in comparison.to_arrow().to_pylist() if names else ():
        if row["losses"]:
            title = "".join(c if c.isalnum() else "_" for c in f"{names}_{row['slice']}")
            added = database.slices.add(title, row["lost"], replace=True)
            say(f"{added.name}: {numbers.count(row['losses'], 'sample')}, {added.text}")


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@db_option
@rows_options
@options_of(Database.power, "slices drop power confidence progress", slices="--on")
@at_option
def power(a: str, b: str, out: Output, **options: object) -> None:
    """Show how many images it takes to detect a drop of A against B, and what a slice can show.

    \b
    Examples:
      slicedb power food_v2 food_v1
      slicedb power food_v2 food_v1 --on night --drop 0.05
    """
    out.show(open_db().power(a, b, **given(options)))


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(Database.confusion, "on top truth truth_score at progress", at={"metavar": "COMMIT"})
def confusion(model: str, out: Output, **options: object) -> None:
    """Show the confusion matrix: rows are the truth, columns the prediction.

    \b
    Example:
      slicedb confusion food_v2 --on night
    """
    matrix = open_db().confusion(model, **given(options))
    chosen = click.get_current_context().get_parameter_source("top")
    if out.is_for_people and sys.stdout.isatty() and chosen is not ParameterSource.COMMANDLINE:
        matrix = matrix.within(shutil.get_terminal_size().columns)
    _say_truth(matrix, out)
    out.show(matrix)


@click.command()
@click.argument("source", metavar="[DIR|FILE]", required=False)
@db_option
@options_of(
    Database.test,
    "model baseline truth truth_score confidence correction strict minimum group detect guard "
    "sequential looks predict write progress",
)
@click.option("--junit", metavar="FILE", help="Write JUnit XML.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON.")
@click.option("--markdown", metavar="FILE", help="Write Markdown, for a pull request.")
@click.option("--html", metavar="FILE", help="Write one self-contained page.")
def test(
    source: str | None,
    junit: str | None,
    json_file: str | None,
    markdown: str | None,
    html: str | None,
    **options: object,
) -> None:
    """Run the expectations of slices against a model.

    The exit status is 1 if one fails, or if a slice file is not right: that file is an error of
    its own, and the others are judged.

    \b
    Examples:
      slicedb test queries/ --model food_v2 --baseline food_v1
      slicedb test queries/ --model food_v2 --junit report.xml --strict
      slicedb test queries/ --model food_v2 --sequential --guard pass
      slicedb test queries/ --model light --truth heavy
    """
    from pathlib import Path

    report = open_db().test(source, **given(options))
    writers = {junit: "to_junit", json_file: "to_json", markdown: "to_markdown", html: "to_html"}
    for file, method in writers.items():
        if file is not None:
            Path(file).write_text(getattr(report, method)(), encoding="utf-8")
    for warning in report.warnings:
        say(f"warning: {warning}")
    click.echo(str(report))
    sys.exit(report.exit_code)


@click.command()
@rows_options
def metrics(out: Output) -> None:
    """List the metrics that evaluate, test and expectations know.

    \b
    Example:
      slicedb metrics
    """
    from slicedb.metrics import listed

    out.list(listed())


COMMANDS = (evaluate, compare, power, confusion, test, metrics)
