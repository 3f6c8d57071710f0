"""Commands that show: app, demo."""

from __future__ import annotations

import click

from slicedb.cli.common import db_option, open_db
from slicedb.cli.options import given, options_of
from slicedb.database import Database
from slicedb.demo.tour import run


@click.command()
@options_of(Database.app, "port host browser read_only allow_host root_path")
@db_option
def app(**options: object) -> None:
    """Open the page: explore, name, judge and clean in a browser.

    It serves until Ctrl-C, on this machine alone unless --host says otherwise.

    \b
    Examples:
      slicedb app
      slicedb app --port 8500 --no-browser --read-only
    """
    open_db(lasts=True).app(wait=True, **given(options))


@click.command()
@click.argument("folder", default="slicedb-demo", type=click.Path())
@options_of(run, "scenes seed", scenes={"type": click.IntRange(200)})
def demo(folder: str, scenes: int, seed: int) -> None:
    """Take the tour: rendered plates of food, two models, one with planted faults.

    Nothing is downloaded. The folder with the pictures, the database and the slices stays.

    \b
    Example:
      slicedb demo
    """
    run(folder, scenes=scenes, seed=seed)


COMMANDS = (app, demo)
