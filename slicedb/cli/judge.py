"""Verbs that judge: evaluate, confusion, test."""

from __future__ import annotations

import sys
from typing import Any

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options, say
from slicedb.cli.output import write


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@db_option
@rows_options
@click.option("--on", multiple=True, metavar="QUERY|SLICE", help="Slices; default: all of them.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="Default: by the task.")
@click.option("--per-class", is_flag=True, help="One row a class as well.")
@click.option("--group", metavar="COLUMN", help="Bounds resample whole groups of this column.")
@click.option("--bootstrap", type=click.Choice(["percentile", "bca"]), help="In place of formulas.")
@click.option("--no-predict", is_flag=True, help="Use what is predicted already.")
@at_option
def evaluate(
    models: tuple[str, ...],
    db: str | None,
    form: str,
    output: str | None,
    on: tuple[str, ...],
    metrics: tuple[str, ...],
    no_predict: bool,
    **options: Any,
) -> None:
    """Show the slice x model table, each value with its interval and its n.

    \b
    Examples:
      slicedb evaluate food_v1 food_v2
      slicedb evaluate food_v2 --on night --metric accuracy --metric f1 -f csv
      slicedb evaluate food_v2 --at release-3
      slicedb evaluate food_v2 --group video
    """
    options |= {"metrics": list(metrics)} if metrics else {}
    found = open_db(db).evaluate(list(models), list(on) or None, predict=not no_predict, **options)
    for warning in found.warnings:
        say(f"warning: {warning}")
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@db_option
@rows_options
@click.option("--on", multiple=True, metavar="QUERY|SLICE", help="Slices; default: all of them.")
@click.option(
    "--correction",
    type=click.Choice(["max-t", "holm", "benjamini-hochberg", "none"]),
    default="max-t",
    show_default=True,
    help="How many slices are counted.",
)
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of the intervals.")
@click.option("--group", metavar="COLUMN", help="Samples of a group are not independent.")
@click.option("--name", "names", metavar="NAME", help="Register what A lost as slice NAME_<slice>.")
@click.option("--no-predict", is_flag=True, help="Use what is predicted already.")
@at_option
def compare(
    a: str,
    b: str,
    db: str | None,
    form: str,
    output: str | None,
    on: tuple[str, ...],
    names: str | None,
    no_predict: bool,
    **options: Any,
) -> None:
    """Compare two models slice by slice: wins, losses, ties, difference and p.

    A win is a sample that A has right and B wrong; p is exact McNemar's, then with all slices
    counted. The rows carry the flipped samples as query texts (columns won and lost).

    \b
    Examples:
      slicedb compare food_v2 food_v1
      slicedb compare food_v2 food_v1 --on night --on "light = 'dim'" -f json
      slicedb compare food_v2 food_v1 --on night --name lost
    """
    database = open_db(db)
    found = database.compare(a, b, list(on) or None, predict=not no_predict, **options)
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)
    for row in found.to_arrow().to_pylist() if names else ():
        if row["losses"]:
            title = "".join(c if c.isalnum() else "_" for c in f"{names}_{row['slice']}")
            added = database.slices.add(title, row["lost"], replace=True)
            say(f"{added.name}: {row['losses']:,} samples, {added.text}")


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@db_option
@rows_options
@click.option("--on", multiple=True, metavar="QUERY|SLICE", help="Slices; default: all of them.")
@click.option("--drop", type=float, default=0.02, show_default=True, help="In accuracy.")
@click.option("--power", type=float, default=0.8, show_default=True, help="Share found.")
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of the test.")
@at_option
def power(
    a: str,
    b: str,
    db: str | None,
    form: str,
    output: str | None,
    on: tuple[str, ...],
    at: str | None,
    **options: Any,
) -> None:
    """Say how many images it takes to see a drop of A against B, and what a slice can show.

    \b
    Examples:
      slicedb power food_v2 food_v1
      slicedb power food_v2 food_v1 --on night --drop 0.05
    """
    found = open_db(db, at=at).power(a, b, list(on) or None, **options)
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@click.option("--on", metavar="QUERY|SLICE", help="Default: every sample.")
@at_option
def confusion(
    model: str, db: str | None, form: str, output: str | None, on: str | None, at: str | None
) -> None:
    """Show the confusion matrix: rows are the truth, columns the prediction.

    \b
    Example:
      slicedb confusion food_v2 --on night
    """
    found = open_db(db).confusion(model, on, at=at)
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)


@click.command()
@click.argument("source", metavar="[DIR|FILE]", required=False)
@db_option
@click.option("--model", metavar="MODEL", help="The model under test.")
@click.option("--baseline", metavar="MODEL", help="The model to compare with.")
@click.option("--strict", is_flag=True, help="INCONCLUSIVE counts as failure.")
@click.option("--junit", metavar="FILE", help="Write JUnit XML.")
@click.option("--json", "json_file", metavar="FILE", help="Write JSON.")
@click.option("--markdown", metavar="FILE", help="Write Markdown, for a pull request.")
@click.option("--html", metavar="FILE", help="Write one self-contained page.")
@click.option("--no-predict", is_flag=True, help="Use what is predicted already.")
def test(
    source: str | None,
    db: str | None,
    junit: str | None,
    json_file: str | None,
    markdown: str | None,
    html: str | None,
    no_predict: bool,
    **options: Any,
) -> None:
    """Run the expectations of slices against a model.

    Exit status 1 when one fails.

    \b
    Examples:
      slicedb test queries/ --model food_v2 --baseline food_v1
      slicedb test queries/ --model food_v2 --junit report.xml --strict
    """
    from pathlib import Path

    report = open_db(db).test(source, predict=not no_predict, **options)
    writers = {junit: "to_junit", json_file: "to_json", markdown: "to_markdown", html: "to_html"}
    for file, method in writers.items():
        if file is not None:
            Path(file).write_text(getattr(report, method)(), encoding="utf-8")
    for warning in report.warnings:
        say(f"warning: {warning}")
    click.echo(str(report))
    sys.exit(report.exit_code)


COMMANDS = (evaluate, compare, power, confusion, test)
