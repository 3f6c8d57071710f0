"""Commands about models: model add/list/show/drop, predict, log-predictions, cam."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from slicedb.cli.common import (
    ENGINE,
    commit_option,
    db_option,
    names_of,
    open_db,
    rows_options,
    with_engine,
)
from slicedb.cli.options import given, options_of
from slicedb.cli.output import Output
from slicedb.database import Database
from slicedb.show import numbers


def _resize(text: str) -> int | str:
    """Return a word, or the number that a text is."""
    return int(text) if text.isdecimal() else text


def _numbers(text: str) -> list[float]:
    """Return the numbers of a list with commas."""
    return [float(part) for part in text.split(",")]


@click.group()
def model() -> None:
    """Register models: add, list, show, rename, trust, clear, drop."""


@model.command()
@click.argument("name")
@click.argument("spec", metavar="SPEC")
@db_option
@click.option(
    "--weights",
    metavar="FILE|pretrained|random",
    help="Weights file (.safetensors, .pt); 'pretrained' downloads the library's own.",
)
@click.option("--classes", metavar="A,B,C|FILE", help="Class names in the order of the output.")
@click.option("--allow-pickle", is_flag=True, help="Load a pickled module, which runs its code.")
@click.option("--size", type=click.IntRange(1), metavar="N", help="Pixels of the square input.")
@click.option(
    "--resize",
    type=_resize,
    metavar="squash|crop|N",
    help="Squash the picture to the input, or crop its centre; N is the shorter side before that.",
)
@click.option("--mean", type=_numbers, metavar="X[,X,X]", help="Subtracted from the channels.")
@click.option("--std", type=_numbers, metavar="X[,X,X]", help="Divides the channels after that.")
@click.option("--trained-on", metavar="COMMIT", help="The commit or tag of its training data.")
@click.option("--replace", is_flag=True, help="Give an existing name another model.")
def add(name: str, spec: str, classes: str | None, **options: object) -> None:
    """Register a model under a name.

    SPEC is `file.py:factory`, `torchvision:NAME` (classifiers and detectors), `timm:NAME`, an
    exported program, or a module that was saved whole (`torch.save(model, FILE)`; it is a pickle
    and needs --allow-pickle). `slicedb model show NAME` prints the whole preprocessing.

    \b
    Examples:
      slicedb model add food_v3 models/food.py:build --weights food_v3.safetensors
      slicedb model add food11 food11.pth --allow-pickle --classes classes.txt --resize squash
      slicedb model add mobilenet torchvision:mobilenet_v2 --weights pretrained
      slicedb model add cells torchvision:fasterrcnn_resnet50_fpn --weights c.pt --classes a,b
      slicedb model add food_v4 models/food.py:build --weights v4.safetensors --trained-on clean
    """
    added = open_db().models.add(name, spec, classes=names_of(classes), **given(options))
    click.echo(str(added))


@model.command(name="list")
@db_option
@rows_options
def list_(out: Output) -> None:
    """List the models.

    \b
    Example:
      slicedb model list
    """
    out.list(
        (
            {
                "model": m.name,
                "spec": m.spec or ("logged" if m.logged else ""),
                "classes": len(m.classes),
                "fingerprint": m.fingerprint[:12],
            }
            for m in open_db().models.list()
        ),
        "There are no models yet. Hint: `slicedb model add NAME SPEC`.",
    )


@model.command()
@click.argument("name")
@db_option
@click.option("--json", "as_json", is_flag=True, help="All of it as JSON.")
def show(name: str, as_json: bool) -> None:
    """Show a model's lineage: source, classes, versions, training data, and who judged it when.

    \b
    Example:
      slicedb model show food_v3
    """
    import json

    registered = open_db().models.show(name)
    click.echo(
        json.dumps(registered.lineage(), indent=1, default=str) if as_json else str(registered)
    )


@model.command()
@click.argument("name")
@db_option
def drop(name: str) -> None:
    """Remove a model and its predictions.

    \b
    Example:
      slicedb model drop food_v3
    """
    open_db().models.drop(name)
    click.echo(f"{name}: dropped")


@model.command()
@click.argument("name")
@db_option
def clear(name: str) -> None:
    """Remove what a model predicted; the model stays.

    \b
    Example:
      slicedb model clear food_v3
    """
    click.echo(f"{name}: {numbers.count(open_db().models.clear(name), 'prediction')} cleared")


@model.command()
@click.argument("name")
@click.argument("new")
@db_option
def rename(name: str, new: str) -> None:
    """Give a model another name, with its predictions.

    \b
    Example:
      slicedb model rename food_v3 food_2026
    """
    renamed = open_db().models.rename(name, new)
    click.echo("\n  ".join([f"{name}: now {new}", *renamed.notes]))


@model.command()
@click.argument("name")
@db_option
def trust(name: str) -> None:
    """Let a model of a database from elsewhere run its code here.

    Look at its factory first (`slicedb model show NAME` says where it is). Models that you
    registered yourself are trusted already.

    \b
    Example:
      slicedb model trust food_v3
    """
    row = open_db().models.trust(name)
    click.echo(f"{name}: {row.spec}{f' with {row.weights}' if row.weights else ''} may run here")


@click.command(name="try")
@click.argument("model", metavar="MODEL")
@click.argument("images", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True))
@db_option
@rows_options
@options_of(
    Database.try_out,
    "neighbours embedding cam target method layer save progress",
    cam={"metavar": "FILE"},
    target={"metavar": "prediction|CLASS"},
    save={"metavar": "FILE"},
)
def try_(model: str, images: tuple[str, ...], out: Output, **options: Any) -> None:
    """Show what a model says of a picture, what it looked at, and the nearest samples.

    Several pictures, or a folder of them, are predicted in batches, one row each.

    \b
    Examples:
      slicedb try food_v3 photo.jpg
      slicedb try food_v3 photo.jpg --cam map.png --neighbours 10
      slicedb try street_v2 street.jpg --save boxes.jpg
      slicedb try food_v3 photos/ --cam maps/ --format csv -o said.csv
    """
    db = open_db()
    if len(images) == 1 and not Path(images[0]).is_dir():
        out.show(db.try_out(model, images[0], **given(options)))
        return
    out.show(db.try_out(model, _pictures_in(images), **given(options)))


def _pictures_in(paths: Iterable[str]) -> list[Path]:
    """Return the pictures among some files, and those inside of folders, in the order of names.

    Raises:
        ModelError: a folder has none.
    """
    from slicedb.errors import ModelError
    from slicedb.media import EXTENSIONS

    found: list[Path] = []
    for path in map(Path, paths):
        inside = [path]
        if path.is_dir():
            every = sorted(p for p in path.rglob("*") if p.is_file())
            inside = [p for p in every if p.suffix.lower() in EXTENSIONS]
        if not inside:
            raise ModelError(f"No picture in '{path}'.", "name a folder with pictures, or files.")
        found += inside
    return found


@click.command()
@click.argument("model", nargs=-1, required=True, metavar="MODEL...")
@db_option
@commit_option
@options_of(
    Database.predict,
    "on batch_size threads device workers engine decode progress",
    on={"multiple": True},
    engine=ENGINE,
)
def predict(model: tuple[str, ...], **options: object) -> None:
    """Compute missing and stale predictions in one batched pass.

    Several models share the pass: each picture is read and decoded once for all of them.

    \b
    Examples:
      slicedb predict food_v3
      slicedb predict food_v3 food_v4
      slicedb predict food_v3 --on indian_desserts --on night
      slicedb predict food_v3 --device cuda:0,cuda:1
      slicedb predict food_v3 --decode auto
      slicedb predict food_v3 --on ray --workers 8
    """
    database = open_db()
    how = with_engine(database, given(options))
    if len(model) == 1:
        click.echo(str(database.predict(model[0], **how)))
    else:
        click.echo(str(database.predict(model, **how)))


@click.command(name="log-predictions")
@click.argument("model", metavar="MODEL")
@click.argument("file", metavar="FILE")
@db_option
@commit_option
@options_of(
    Database.log_predictions,
    "classes annotations id_column prefix target multilabel confidence looked_at replace",
    classes={"metavar": "A,B,C|FILE", "multiple": False},
    prefix={"metavar": "TEXT"},
)
def log_predictions(model: str, file: str, classes: str | None, **options: object) -> None:
    """Store predictions made elsewhere: a CSV or Parquet file with an id column.

    A classifier has the columns `id`, and `prediction` (with `confidence`), or `probabilities`, or
    one column per class. A detector has a list `objects`, or one row per box with `label`,
    `x, y, w, h` and `score`, or COCO's results as JSON; --looked-at names the pictures that it saw,
    with or without a box. A model that predicts a number has `value`.
    A file with `score` or `loss` alone is kept for queries, but cannot be evaluated.

    Probabilities keep their precision. Rows that sum to 1 within 0.01 are divided by their sum and
    counted (within 0.001 taken as they are); others are refused.

    \b
    Examples:
      slicedb log-predictions food_v5 predictions.csv
      slicedb log-predictions food_v5 theirs.csv --id-column filename --prefix photos/
      slicedb log-predictions cells_v2 results.json --annotations instances_val.json
      slicedb log-predictions cells_v2 boxes.csv --looked-at "split = 'val'"
      slicedb log-predictions age_v1 ages.csv --target age
      slicedb log-predictions hardness losses.csv
    """
    report = open_db().log_predictions(model, file, classes=names_of(classes), **given(options))
    click.echo(str(report))


@click.command()
@click.argument("model", metavar="MODEL")
@db_option
@rows_options
@options_of(
    Database.cam,
    "on target method layer batch_size device threads workers engine decode progress",
    on={"multiple": True},
    engine=ENGINE,
    target={"metavar": "prediction|label|CLASS"},
)
def cam(model: str, out: Output, **options: object) -> None:
    """Store what a model looked at (Grad-CAM), for queries and reports.

    \b
    Examples:
      slicedb cam food_v3 --on "food_v3.confidence > 0.9 AND NOT food_v3.correct"
      slicedb cam food_v3 --on "NOT food_v3.correct LIMIT 20" -o looked_at.html
      slicedb cam food_v3 --method eigencam
    """
    database = open_db()
    out.show(database.cam(model, **with_engine(database, given(options))))


COMMANDS = (model, predict, try_, log_predictions, cam)
