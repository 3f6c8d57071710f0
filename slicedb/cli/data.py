"""Verbs about data: ingest, embed, relabel, tag, delete, info."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from slicedb.cli.common import at_option, db_option, open_db, rows_options, say
from slicedb.cli.output import rows, write


@click.command()
@click.argument("source", metavar="SOURCE")
@db_option
@click.option(
    "--as",
    "form",
    metavar="FORMAT",
    help="voc, coco, yolo, folder, csv or parquet; by default it is recognised.",
)
@click.option("--images", metavar="DIR", help="Folder that a COCO file's names of images start at.")
@click.option("--split", metavar="NAME", help="Split of every sample, e.g. test.")
@click.option("--label", metavar="NAME", help="Label of every sample.")
@click.option("--path-column", metavar="COLUMN", help="CSV/Parquet column with image paths.")
@click.option("--image-column", metavar="COLUMN", help="Parquet column with encoded images.")
@click.option("--label-column", metavar="COLUMN", help="Column with the ground truth.")
@click.option("--split-column", metavar="COLUMN", help="Column with the split.")
@click.option("--caption-column", metavar="COLUMN", help="Column with the caption.")
@click.option("--prefix", metavar="TEXT", help="Put before every id, to keep two sources apart.")
@click.option("--replace", is_flag=True, help="Let this source take ids of another one over.")
@click.option("--max-pixels", type=click.IntRange(1), metavar="N", help="Larger ones are broken.")
@click.option("--id-column", metavar="COLUMN", help="Column with stable ids.")
@click.option(
    "--id-by",
    type=click.Choice(["path", "sha256"]),
    default="path",
    show_default=True,
    help="What the id of a sample is.",
)
@click.option("--reference", is_flag=True, help="Keep only the paths, not the bytes.")
@click.option(
    "--max-broken",
    type=click.FloatRange(0, 1),
    metavar="SHARE",
    help="Exit with status 1 when a larger share of the images is broken.",
)
@click.option("--delete-missing", is_flag=True, help="Remove samples whose file is gone.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Decoding threads.")
def ingest(source: str, db: str | None, **options: Any) -> None:
    """Read images and metadata: a folder, CSV or Parquet, Pascal VOC, COCO or YOLO.

    Every image is decoded in full; broken ones are quarantined with their reason and stay
    queryable by `status`. Run it again to pick up changes, or to go on after an interruption.

    Boxes are recognised: Pascal VOC (Annotations/ beside JPEGImages/, ImageSets/Main for splits),
    COCO (instances and captions JSON) and YOLO (data.yaml). A broken annotation file is named with
    its line and nothing is written; an image that is missing is quarantined.

    \b
    Examples:
      slicedb ingest photos/
      slicedb ingest test.csv --label-column class --split test
      slicedb ingest VOCdevkit/
      slicedb ingest instances.json --images photos/
      slicedb "status <> 'ok'"
    """
    from slicedb.errors import SourceError, TooManyBrokenError

    if not Path(source).exists():
        raise SourceError(f"No folder or file '{source}'.", "check the path; nothing was made.")
    chosen = {name: value for name, value in options.items() if value is not None}
    try:
        click.echo(str(open_db(db, create=True).ingest(source, **chosen)))
    except TooManyBrokenError as error:
        click.echo(str(error.report))
        raise


@click.command()
@click.argument("folder", metavar="FOLDER")
@db_option
@click.option("--split", metavar="NAME", help="Split of every composition.")
@click.option("--labels", metavar="A,B,C|FILE", help="Names of class folders that are numbers.")
@click.option(
    "--extra", "extras", multiple=True, metavar="NAME", help="Only with these; or 'none'."
)
@click.option("--background", "backgrounds", multiple=True, metavar="NAME", help="Only on these.")
def compose(folder: str, db: str | None, labels: str | None, **options: Any) -> None:
    """Compose test pictures: every foreground x background x extra of a template folder.

    Each is a sample whose columns `foreground`, `background` and `extra` say what it is made of.

    \b
    Examples:
      slicedb compose templates/ --split behaviour
      slicedb compose templates/ --labels classes.txt --extra none --extra fork
    """
    from slicedb.cli.models import names_of

    if not Path(folder).is_dir():
        from slicedb.errors import SourceError

        raise SourceError(f"No folder '{folder}'.", "check the path; nothing was made.")
    chosen = {name: value or None for name, value in options.items()}
    database = open_db(db, create=True)
    click.echo(str(database.compose(folder, labels=names_of(labels), **chosen)))


@click.command()
@click.argument("model", default="slicedb-tiny")
@db_option
@click.option("--pretrained", metavar="TAG|FILE", help="open_clip tag, or a local weights file.")
@click.option("--name", default="default", show_default=True, help="Name of the embedding.")
@click.option("--batch-size", type=click.IntRange(1), help="Default: fits the device.")
@click.option("--device", metavar="DEVICE", help="cpu, cuda, cuda:1, mps; default: the best.")
@click.option("--replace", is_flag=True, help="Drop vectors of another encoder first.")
def embed(db: str | None, **options: Any) -> None:
    """Embed images with an open_clip model; only what is missing.

    Without a model the bundled tiny CLIP runs. It knows a small world: the ten CIFAR classes and
    the demo's rendered plates of food. For real photos name a real one.

    \b
    Examples:
      slicedb embed
      slicedb embed ViT-B-32 --pretrained laion2b_s34b_b79k
      slicedb embed ViT-B-32 --pretrained weights.safetensors --name large
    """
    click.echo(str(open_db(db).embed(**options)))


@click.command()
@db_option
@click.option("--embedding", metavar="NAME", help="Build the approximate index of an embedding.")
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="Share of the 100 nearest it should find.",
)
@click.option(
    "--text",
    metavar="COLUMN",
    multiple=True,
    help="Search this column beside the caption; may be repeated.",
)
def index(db: str | None, embedding: str | None, recall: float, text: tuple[str, ...]) -> None:
    """Build an index ahead: full text for search, or an approximate one for similarity.

    search('words') works without, and builds its index when first asked. The approximate index
    is used only by `query --approximate`, for ORDER BY similarity(...) DESC LIMIT k; its recall
    is measured against the exact scan, printed, stored, and checked by `doctor`.

    \b
    Examples:
      slicedb index
      slicedb index --text notes --text title
      slicedb index --embedding default --recall 0.98
    """
    database = open_db(db)
    if text or embedding is None:
        click.echo(str(database.index(text=text or None)))
    if embedding is not None:
        click.echo(str(database.index(embedding, recall=recall)))


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@click.argument("label")
@db_option
def relabel(on: str, label: str, db: str | None) -> None:
    """Set the ground truth of samples.

    \b
    Example:
      slicedb relabel "id = 'test/cat/0412.jpg'" dog
    """
    click.echo(f"{open_db(db).relabel(on, label):,} relabelled")


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@click.argument("tags", nargs=-1, required=True)
@db_option
@click.option("--remove", is_flag=True, help="Remove the tags instead.")
def tag(on: str, tags: tuple[str, ...], db: str | None, remove: bool) -> None:
    """Add tags to samples, or remove them.

    \b
    Example:
      slicedb tag "food_v2.loss > 4" review
    """
    click.echo(f"{open_db(db).tag(on, *tags, remove=remove):,} changed")


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@db_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(on: str, db: str | None, yes: bool) -> None:
    """Remove samples with their images, vectors and predictions.

    \b
    Example:
      slicedb delete "status = 'empty'" --yes
    """
    database = open_db(db)
    query = database.query(on) if on not in database.slices else database.slices.get(on).query()
    if not yes:
        click.confirm(f"Remove {query.count():,} samples?", abort=True, err=True)
    click.echo(f"{database.delete(query):,} removed")


@click.command()
@db_option
@rows_options
def info(db: str | None, form: str, output: str | None) -> None:
    """Show what is in the database.

    \b
    Example:
      slicedb info
    """
    about = open_db(db).info()
    if form == "table":
        status = ", ".join(f"{n:,} {name}" for name, n in about["status"].items()) or "none"
        click.echo(f"{about['path']} (format {about['format']})")
        click.echo(f"samples: {about['samples']:,} ({status})")
        brought = ", ".join(f"{name} ({kind})" for name, kind in about["metadata"].items())
        click.echo(f"metadata: {brought or 'none'}")
        for word in ("embeddings", "predictions", "slices"):
            click.echo(f"{word}: {', '.join(about[word]) or 'none'}")
        click.echo("")
    write(rows(about["tables"]), form, output)


@click.command()
@db_option
@rows_options
@click.option("--mend", is_flag=True, help="Mend what can be mended without losing anything.")
@click.option(
    "--cleanup",
    type=click.IntRange(0),
    metavar="DAYS",
    help="Remove older versions that no commit or frozen slice keeps.",
)
def doctor(db: str | None, form: str, output: str | None, mend: bool, cleanup: int | None) -> None:
    """Show fragments, sizes and versions of every table, and what is wrong with them.

    Fragmented tables, orphaned rows and files, stray or missing pins and stale caches are mended
    with --mend; duplicates, lost images and lost versions are only told. Exit status 1 while
    something is wrong.

    \b
    Examples:
      slicedb doctor
      slicedb doctor --mend --cleanup 30
    """
    database = open_db(db)
    found = database.doctor(mend=mend)
    if cleanup is not None:
        freed = database.cleanup(cleanup)
        say(f"{freed / 1e6:,.1f} MB of old versions removed")
    write(rows(database.store.describe()), form, output)
    for finding in found:
        click.echo(str(finding), err=form != "table")
    if not found:
        click.echo("All is well.", err=form != "table")
    sys.exit(1 if any(not finding.mended for finding in found) else 0)


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@click.argument("dest", metavar="DEST")
@db_option
@click.option(
    "--format", "form", metavar="folder|csv|parquet|coco|voc|yolo", help="Default: by the ending."
)
@at_option
def export(on: str, dest: str, db: str | None, form: str | None, at: str | None) -> None:
    """Write samples where other tools can read them.

    DEST is a new folder, or a file ending in .csv, .parquet (with the images) or .json (COCO).
    Boxes go to COCO, VOC and YOLO.

    \b
    Examples:
      slicedb export night night/
      slicedb export "food_v2.loss > 4" hard.parquet
      slicedb export night night/ --format yolo
      slicedb export night night.csv --at release-3
    """
    click.echo(str(open_db(db, at=at).export(on, dest, form=form)))


COMMANDS = (ingest, compose, embed, index, export, relabel, tag, delete, info, doctor)
