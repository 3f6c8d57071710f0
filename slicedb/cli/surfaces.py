"""Verbs that show: demo."""

from __future__ import annotations

import click


@click.command()
@click.argument("folder", default="slicedb-demo", type=click.Path())
@click.option("--scenes", default=2000, show_default=True, type=click.IntRange(200))
@click.option("--seed", default=0, show_default=True)
def demo(folder: str, scenes: int, seed: int) -> None:
    """Take the tour: rendered plates of food, two models, one with planted faults.

    Nothing is downloaded. It leaves the folder with the pictures, the database and the slices.

    \b
    Example:
      slicedb demo
    """
    from slicedb.demo.tour import run

    run(folder, scenes=scenes, seed=seed)


COMMANDS = (demo,)
