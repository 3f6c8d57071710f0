"""Commands about data: ingest, attach, relabel, tag, delete, info."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from slicedb.cli.common import (
    ENGINE,
    at_option,
    commit_option,
    db_option,
    db_path_option,
    keep_source_settings,
    names_of,
    open_db,
    rows_options,
    say,
    tables_of,
)
from slicedb.cli.options import Listing, given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show import numbers

STORAGE_OPTION: dict[str, object] = {
    "flag": "--storage-option",
    "metavar": "KEY=VALUE",
    "multiple": True,
    "callback": keep_source_settings,
    "type": str,
}


FORM: dict[str, object] = {
    "flag": "--as",
    "metavar": "FORMAT",
    "cls": Listing,
    "registry": "slicedb.ingest:FORMATS",
    "group": "slicedb.formats",
}


@click.command()
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@db_path_option
@commit_option
@options_of(
    Database.ingest,
    "form images split label labels split_folders path_column image_column label_column "
    "labels_column labels_separator split_column caption_column id_column mask_classes "
    "ignore_index id_by prefix replace "
    "reference verify max_broken max_pixels gray_range delete_missing same threads workers engine "
    "quality progress "
    "storage_options",
    storage_options=STORAGE_OPTION,
    engine={**ENGINE, "flag": "--engine --on"},
    form=FORM,
    images={"metavar": "DIR"},
    prefix={"metavar": "TEXT"},
    mask_classes={"metavar": "A,B,C|FILE", "multiple": False},
    labels={"metavar": "FILE|OLD=NEW", "multiple": True},
    gray_range={"metavar": "[FORMAT=]LOW,HIGH", "multiple": True},
)
def ingest(sources: tuple[str, ...], **options: object) -> None:
    """Read images and metadata: folders, tables, tars, and what annotation tools write.

    Every image is decoded in full; broken ones are quarantined with the reason and can be
    queried by `status`. Run it again to pick up changes, or to resume after an interruption.

    Boxes are recognised: Pascal VOC (Annotations/ beside JPEGImages/, ImageSets/Main for splits),
    COCO (instances and captions JSON), YOLO (data.yaml), Label Studio (JSON, JSON-MIN) and CVAT
    (XML for images 1.1). A broken annotation file is named with its line and nothing is written;
    an image that is missing is quarantined. Tars of WebDataset are given by name, by folder or by
    pattern, metadata.csv, .jsonl or .parquet beside images is read, and --as picks a format.

    \b
    Examples:
      slicedb ingest photos/
      slicedb ingest week1/ week2/ --commit "two weeks"
      slicedb ingest test.csv --label-column class --split test
      slicedb ingest food/ --labels classes.txt
      slicedb ingest food/ --labels class_00=Bread --labels class_01=Dairy
      slicedb ingest metadata.parquet --verify later
      slicedb ingest VOCdevkit/
      slicedb ingest instances.json --images photos/
      slicedb ingest "s3://bucket/train-{000..146}.tar" --storage-option skip_signature=true
      slicedb ingest s3://bucket/photos --storage-option region=eu-central-1
      slicedb ingest s3://bucket/photos --on ray@10.0.0.1:6379
      slicedb "status <> 'ok'"
    """
    from slicedb.errors import SourceError, TooManyBrokenError
    from slicedb.sources import is_pattern

    for source in sources:
        if "://" not in source and not is_pattern(source) and not Path(source).exists():
            raise SourceError(f"No folder or file '{source}'.", "check the path; nothing was made.")
    click.get_current_context().meta["slicedb.sources"] = sources
    database = open_db(create=True)
    for source in sources:
        try:
            click.echo(str(database.ingest(source, **given(options))))
        except TooManyBrokenError as error:
            click.echo(str(error.report))
            raise


@click.command()
@click.argument("source", metavar="[SOURCE]", required=False)
@db_path_option
@options_of(
    Database.sync,
    "then keys split label prefix form reference delete_missing mask_classes ignore_index "
    "storage_options max_pixels threads workers engine progress",
    mask_classes={"metavar": "A,B,C|FILE", "multiple": False},
    keys={"metavar": "FILE", "type": click.File(), "multiple": False},
    then={"metavar": "STEPS", "multiple": False},
    prefix={"metavar": "TEXT"},
    reference={"is_flag": True, "flag": "--reference"},
    storage_options=STORAGE_OPTION,
    engine={**ENGINE, "flag": "--engine --on"},
    form=FORM,
)
@click.option(
    "--every",
    metavar="TIME",
    help="Sync again and again with this pause, such as 30s, 5m or 1h, until SIGTERM or Ctrl-C.",
)
def sync(source: str | None, every: str | None, **options: object) -> None:
    """Follow a folder or a bucket: read what is new or changed, mark what has vanished.

    The listing says which files have another size or version; those alone are read, and their hash
    says whether they changed. A file that was moved stays the same sample. What is gone is marked
    in `vanished_at`, and only if the listing was complete. Options that are not given are those of
    the last sync of the source; without SOURCE, every source that was synced before is.

    At the end it reports which live slices changed their members. With `--then test`, exit status 1
    means that a test that passed does not any more, or that one fails that did not.

    
    Examples:
      slicedb sync s3://bucket/photos --split test
      slicedb sync s3://bucket/photos --then embed,predict:v4,test
      slicedb sync --every 5m
      aws s3api list-objects-v2 ... | slicedb sync s3://bucket/photos --keys -
    """
    from slicedb.sync import Loop, interval

    if every is not None and options.get("keys") is not None:
        raise click.UsageError("--keys is read once, and --every asks again and again.")
    pause = None if every is None else interval(every)
    click.get_current_context().meta["slicedb.sources"] = (source,) if source else ()
    db = open_db(create=True, lasts=every is not None)
    worse = False

    def turn() -> None:
        nonlocal worse
        report = db.sync(source, **given(options))
        click.echo(str(report))
        worse |= report.is_worse

    if pause is None:
        turn()
    else:
        Loop(pause, turn, lambda text: say(f"Error: {text}")).run()
    if worse:
        sys.exit(1)


@click.command()
@click.argument("file", metavar="FILE")
@db_option
@commit_option
@options_of(
    Database.attach,
    "on columns prefix partial",
    on={"metavar": "COLUMN"},
    columns={"metavar": "COLUMN"},
    prefix={"metavar": "TEXT"},
)
def attach(file: str, **options: object) -> None:
    """Add or change metadata columns of samples by their ids; no picture is opened.

    FILE is a CSV, TSV, Parquet or Arrow file with one row per sample. Unknown, doubled, empty or
    missing ids are counted and named, and nothing is written.

    \b
    Examples:
      slicedb attach weather.parquet
      slicedb attach weather.csv --on filename --prefix photos --columns weather
      slicedb attach reviewed.csv --partial
    """
    click.echo(str(open_db().attach(file, **given(options))))


@click.command(name="attach-masks")
@click.argument("source", metavar="FOLDER|FILE")
@db_option
@commit_option
@options_of(
    Database.attach_masks,
    "classes ignore_index on prefix threads",
    classes={"metavar": "A,B,C|FILE", "multiple": False},
    on={"metavar": "COLUMN"},
    prefix={"metavar": "TEXT"},
)
def attach_masks(source: str, **options: object) -> None:
    """Give samples label maps: the class of every pixel, the ground truth of segmentation.

    FOLDER holds palette or gray PNG files, each called like the picture of its sample; FILE is a
    table of ids and masks: paths, or run-length codes. What belongs to no sample, does not decode
    or holds a number that is no class is counted and named.

    \b
    Examples:
      slicedb attach-masks masks/ --classes road,sky,car
      slicedb attach-masks masks.csv --classes classes.txt --ignore-index 0
    """
    click.echo(str(open_db().attach_masks(source, **given(options))))


@click.command()
@click.argument("folder", metavar="FOLDER")
@db_option
@options_of(
    Database.compose,
    "split labels classes extras backgrounds progress",
    labels={"metavar": "A,B,C|FILE", "multiple": False},
    classes="--class",
    extras="--extra",
    backgrounds="--background",
)
def compose(folder: str, labels: str | None, **options: object) -> None:
    """Compose test pictures: every foreground x background x extra of a template folder.

    Each is a sample; its columns `foreground`, `background` and `extra` tell what it is made of.

    \b
    Examples:
      slicedb compose templates/ --split behaviour
      slicedb compose templates/ --labels classes.txt --extra none --extra fork
    """
    if not Path(folder).is_dir():
        from slicedb.errors import SourceError

        raise SourceError(f"No folder '{folder}'.", "check the path; nothing was made.")
    database = open_db(create=True)
    click.echo(str(database.compose(folder, labels=names_of(labels), **given(options))))


@click.command()
@db_option
@options_of(Database.verify, "on max_pixels threads progress")
def verify(**options: object) -> None:
    """Open the pictures that `ingest --verify later` did not; broken ones are quarantined.

    \b
    Examples:
      slicedb verify
      slicedb verify --on "split = 'test'"
    """
    click.echo(str(open_db().verify(**given(options))))


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@click.argument("label")
@db_option
@commit_option
def relabel(on: str, label: str) -> None:
    """Set the ground truth of samples.

    \b
    Example:
      slicedb relabel "id = 'test/cat/0412.jpg'" dog
    """
    click.echo(f"{open_db().relabel(on, label):,} relabelled")


@click.command(name="map-labels")
@click.argument("labels", nargs=-1, metavar="[FILE|OLD=NEW]...")
@db_option
@commit_option
@options_of(Database.map_labels, "on model", model={"metavar": "MODEL"})
def map_labels(labels: tuple[str, ...], **options: object) -> None:
    """Give labels other names: a mapping, or the class names that their numbers stand for.

    Labels, lists of labels and labels of boxes are renamed. A file has one `old=new` or one class
    name per line; `0`, `00` and `class_00` stand for the first class name.

    \b
    Examples:
      slicedb map-labels class_00=Bread class_01=Dairy
      slicedb map-labels classes.txt --on "split = 'test'"
      slicedb map-labels --model food_v3
    """
    click.echo(str(open_db().map_labels(labels or None, **given(options))))


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@click.argument("tags", nargs=-1, required=True)
@db_option
@commit_option
@options_of(Database.tag, "remove")
def tag(on: str, tags: tuple[str, ...], remove: bool) -> None:
    """Add tags to samples, or remove them.

    \b
    Example:
      slicedb tag "food_v2.loss > 4" review
    """
    click.echo(f"{open_db().tag(on, *tags, remove=remove):,} changed")


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@db_option
@commit_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(on: str, yes: bool) -> None:
    """Remove samples with their images, vectors and predictions.

    \b
    Example:
      slicedb delete "status = 'empty'" --yes
    """
    database = open_db()
    query = database.query(on) if on not in database.slices else database.slices.get(on).query()
    if not yes:
        click.confirm(f"Remove {numbers.count(query.count(), 'sample')}?", abort=True, err=True)
    click.echo(f"{database.delete(query):,} removed")


@click.command()
@db_option
@rows_options
def info(out: Output) -> None:
    """Show what is in the database.

    \b
    Example:
      slicedb info
    """
    about = open_db().info()
    out.show(about)


@click.command()
@db_option
@rows_options
@options_of(Database.doctor, "mend deep")
@click.option(
    "--cleanup",
    type=click.IntRange(0),
    metavar="DAYS",
    help="Remove older versions that no commit or frozen slice keeps.",
)
def doctor(out: Output, mend: bool, deep: bool, cleanup: int | None) -> None:
    """Show fragments, sizes and versions of every table, and what is wrong with them.

    Fragmented tables, orphaned rows and files, stray or missing pins, stale truths and stale
    caches are mended with --mend, which says first what it is going to do; duplicates, lost
    images, lost versions and damaged files are only reported. --deep reads every file and names
    those that do not hold what they held. The exit status is 1 as long as something is wrong.

    \b
    Examples:
      slicedb doctor
      slicedb doctor --deep
      slicedb doctor --mend --cleanup 30
    """
    from slicedb.schema import spoken

    database = open_db()
    findings = database.doctor(deep=deep)
    if mend and findings:
        for finding in findings:
            if finding.remedy:
                say(f"{spoken(finding.table)}: {finding.remedy} ({finding.n:,} {finding.problem})")
        findings = database.doctor(mend=True, deep=deep)
    if cleanup is not None:
        freed = database.cleanup(cleanup)
        say(f"{numbers.size(freed)} of old versions removed")
    out.list(tables_of(database))
    lines: list[object] = [*findings] or ["All is well."]
    for line in lines:
        click.echo(str(line), err=not out.is_for_people)
    sys.exit(1 if any(not finding.mended for finding in findings) else 0)


@click.command()
@click.argument("on", metavar="QUERY|SLICE")
@click.argument("dest", metavar="DEST")
@db_option
@options_of(
    Database.export,
    "form",
    form={
        "flag": "--format",
        "metavar": "FORMAT",
        "cls": Listing,
        "registry": "slicedb.ingest:FORMATS",
        "group": "slicedb.formats",
    },
)
@at_option
def export(on: str, dest: str, form: str | None) -> None:
    """Write samples where other tools can read them.

    DEST is a new folder, or a file ending in .csv, .parquet (with the images), .json (COCO) or
    .tar (WebDataset). What a format has no room for is counted and said; labels, splits and
    metadata columns are in all of them. `slicedb ingest DEST` reads each of them back.

    \b
    Examples:
      slicedb export night night/
      slicedb export "food_v2.loss > 4" hard.parquet
      slicedb export night night/ --format yolo
      slicedb export night tasks/ --format label-studio
      slicedb export night night.parquet --format huggingface
      slicedb export night night.csv --at release-3
    """
    click.echo(str(open_db().export(on, dest, form=form)))


COMMANDS = (
    ingest,
    sync,
    verify,
    attach,
    attach_masks,
    compose,
    export,
    relabel,
    map_labels,
    tag,
    delete,
    info,
    doctor,
)
