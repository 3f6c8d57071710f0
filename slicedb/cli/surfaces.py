"""Commands that show: demo."""

from __future__ import annotations

import click

from slicedb.cli.options import options_of
from slicedb.demo.tour import run


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


COMMANDS = (demo,)
