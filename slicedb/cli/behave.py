"""Verbs about behaviour: templates, corruptions, and what a model should not mind."""

from __future__ import annotations

import sys
from typing import Any

import click

from slicedb.cli.common import db_option, open_db, rows_options
from slicedb.cli.output import rows, write


@click.group()
def behaviour() -> None:
    """Test what a model should not mind: list, run, corrupt."""


@behaviour.command(name="list")
@rows_options
def list_(form: str, output: str | None) -> None:
    """List what expectations can ask, and the corruptions.

    \b
    Example:
      slicedb behaviour list
    """
    from slicedb.behaviour.catalogue import catalogue

    write(rows(catalogue()), form, output)


@behaviour.command()
@click.argument("model", metavar="MODEL")
@click.argument("templates", metavar="[TEMPLATES]", required=False)
@db_option
@click.option("--labels", metavar="A,B,C|FILE", help="Names of class folders that are numbers.")
@click.option("--expect", multiple=True, metavar="TEXT", help="Expectation; repeatable.")
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    help="Bound of each expectation where none is given.",
)
@click.option("--on", metavar="PREDICATE", help="Which compositions; default: all.")
@click.option("--point", is_flag=True, help="Compare the values alone, without intervals.")
@click.option("--strict", is_flag=True, help="INCONCLUSIVE counts as failure.")
@click.option("--html", metavar="FILE", help="Write one self-contained page.")
def run(
    model: str,
    templates: str | None,
    db: str | None,
    labels: str | None,
    expect: tuple[str, ...],
    on: str | None,
    point: bool,
    html: str | None,
    **options: Any,
) -> None:
    """Compose TEMPLATES, predict the compositions, and judge the model on them.

    Exit status 1 when an expectation fails. Without TEMPLATES, what was composed earlier is taken.

    \b
    Examples:
      slicedb behaviour run food_v3 templates/ --labels classes.txt
      slicedb behaviour run food_v3 --expect "invariance(extra) >= 0.9" --on "extra LIKE '%fork'"
    """
    from pathlib import Path

    from slicedb.cli.models import names_of

    chosen: dict[str, Any] = {"on": on} if on else {}
    report = open_db(db).behaviour(
        model,
        templates,
        labels=names_of(labels),
        expect=list(expect) or None,
        decide="point" if point else "interval",
        **chosen,
        **options,
    )
    if html is not None:
        Path(html).write_text(report.to_html(), encoding="utf-8")
    click.echo(str(report))
    sys.exit(report.exit_code)


@behaviour.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@click.option("--on", multiple=True, metavar="QUERY|SLICE", help="Slices; default: all of them.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Default: all 15.")
@click.option(
    "--severity", "severities", multiple=True, type=click.IntRange(1, 5), help="Default: 1 to 5."
)
@click.option("--batch-size", type=click.IntRange(1), help="Default: fits the device.")
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps; default: the best.")
@click.option("--no-predict", is_flag=True, help="Use what is predicted already.")
def corrupt(
    model: str,
    db: str | None,
    form: str,
    output: str | None,
    on: tuple[str, ...],
    kinds: tuple[str, ...],
    severities: tuple[int, ...],
    no_predict: bool,
    **options: Any,
) -> None:
    """Show accuracy against the severity of corruptions, flips and crops, slice by slice.

    Predicts what is missing; a stopped run goes on where it was.

    \b
    Examples:
      slicedb behaviour corrupt food_v3 --on night --kind fog --kind motion_blur
      slicedb behaviour corrupt food_v3 --severity 3 -f csv
    """
    found = open_db(db).severity(
        model,
        list(on) or None,
        kinds=kinds or None,
        severities=severities or None,
        predict=not no_predict,
        **options,
    )
    if form == "table" and output is None:
        click.echo(str(found))
    else:
        write(found.to_arrow(), form, output)


COMMANDS = (behaviour,)
