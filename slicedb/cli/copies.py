"""The commands `duplicates` and `quality`: what is there twice, and what is hard to see."""

from __future__ import annotations

from typing import Any

import click

from slicedb.cli.common import db_option, open_db, rows_options
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database


@click.command()
@db_option
@rows_options
@options_of(
    Database.duplicates,
    "on by name bits cosine false_pairs prefer apply tag conflicts progress",
    name={"metavar": "EMBEDDING"},
    prefer={"metavar": "QUERY"},
)
def duplicates(out: Output, **options: Any) -> None:
    """Find samples that show the same picture, and say which of each group to keep.

    Copies are found mirrored, turned, resized and saved anew; with vectors also cropped. Thresholds
    come from the distances of unrelated samples of the same data, and are printed.

    \b
    Examples:
      slicedb duplicates
      slicedb duplicates --on "split = 'train'" --by hash --format csv -o duplicates.csv
      slicedb duplicates --prefer "tags @> ['checked']" --apply delete
      slicedb duplicates --apply tag
    """
    out.show(open_db().duplicates(**given(options)))


@click.command()
@db_option
@rows_options
@options_of(Database.quality, "on progress")
def quality(out: Output, **options: Any) -> None:
    """Measure how well pictures can be seen, and report those beyond a cut-off.

    They are blurred, dark, overexposed, without contrast, colour or information, framed, or of odd
    size or aspect. Each row has its query; `ingest --quality` measures most of it while it decodes.

    \b
    Examples:
      slicedb quality
      slicedb quality --on "split = 'train'" --format csv
      slicedb "quality_sharpness < 0.29 ORDER BY quality_sharpness LIMIT 20"
    """
    out.show(open_db().quality(**given(options)))


COMMANDS = (duplicates, quality)
