"""Commands about vectors: embed, map, log-embeddings, index."""

from __future__ import annotations

import click

from slicedb.cli.common import ENGINE, db_option, open_db, with_engine
from slicedb.cli.options import given, options_of
from slicedb.database import Database


@click.command()
@click.argument("model", default="slicedb-tiny")
@db_option
@options_of(
    Database.embed,
    "pretrained name on batch_size device threads workers engine decode replace progress",
    pretrained={"metavar": "TAG|FILE"},
    engine=ENGINE,
)
def embed(**options: object) -> None:
    """Embed images with an open_clip model; only missing embeddings are computed.

    Without a model, the bundled tiny CLIP is used. It knows only the ten CIFAR classes and the
    demo's rendered plates of food; for real photos, name a real model.

    \b
    Examples:
      slicedb embed
      slicedb embed ViT-B-32 --pretrained laion2b_s34b_b79k
      slicedb embed ViT-B-32 --pretrained weights.safetensors --name large
      slicedb embed --on ray
    """
    database = open_db()
    click.echo(str(database.embed(**with_engine(database, given(options)))))


@click.command(name="map")
@click.argument("name", default="pca")
@db_option
@options_of(
    Database.project,
    "method embedding on replace progress",
    method={"type": click.Choice(["pca", "tsne"])},
)
def project(**options: object) -> None:
    """Place samples on a two-dimensional map, a projection of their vectors.

    The first run fits the map; later ones place new samples and move no other. The query function
    in_map('NAME', [[x, y], ...]) selects the samples in a polygon.

    \b
    Examples:
      slicedb map
      slicedb map tsne --on "split = 'test'"
      slicedb map people --embedding large
    """
    click.echo(str(open_db().project(**given(options))))


@click.command(name="log-embeddings")
@click.argument("name", metavar="NAME")
@click.argument("file", metavar="FILE")
@db_option
@options_of(
    Database.log_embeddings,
    "id_column vector_column prefix encoder pretrained replace",
    prefix={"metavar": "TEXT"},
    encoder={"metavar": "MODEL"},
    pretrained={"metavar": "TAG|FILE"},
)
def log_embeddings(name: str, file: str, **options: object) -> None:
    """Store your own vectors: a Parquet or Arrow file with an id column and a list of numbers.

    They are used by `similarity(sample('id'), using => 'NAME') > 0.9` and `nearest`. Texts can be
    compared with them where --encoder names the model that made them.

    \b
    Examples:
      slicedb log-embeddings mine vectors.parquet
      slicedb log-embeddings clip vectors.parquet --encoder ViT-B-32 --pretrained openai
    """
    click.echo(str(open_db().log_embeddings(name, file, **given(options))))


@click.command()
@db_option
@options_of(
    Database.index,
    "embedding recall text",
    recall={"type": click.FloatRange(0, 1, min_open=True)},
    text={"metavar": "COLUMN"},
)
def index(embedding: str | None, recall: float, text: tuple[str, ...]) -> None:
    """Build an index in advance: full text for search, or an approximate one for similarity.

    search('words') also works without this; the first search builds the index. The approximate
    index is used only by `query --approximate`, for ORDER BY similarity(...) DESC LIMIT k; its
    recall is measured against the exact scan, printed, stored, and checked by `doctor`.

    \b
    Examples:
      slicedb index
      slicedb index --text notes --text title
      slicedb index --embedding default --recall 0.98
    """
    database = open_db()
    if text or embedding is None:
        click.echo(str(database.index(text=text or None)))
    if embedding is not None:
        click.echo(str(database.index(embedding, recall=recall)))


COMMANDS = (embed, project, log_embeddings, index)
