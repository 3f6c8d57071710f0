"""The verbs of vectors: embed, log, project, index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from slicedb.database.editing import Editing
from slicedb.errors import suggesting

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from slicedb.database.given import Device, Names, Path
    from slicedb.embedding import EmbedReport, Encoder, LogEmbeddingsReport
    from slicedb.progress import Watch
    from slicedb.query.run.search import TextReport
    from slicedb.selection import On
    from slicedb.vectors import IndexReport
    from slicedb.vectors.axes import Method as MapMethod
    from slicedb.vectors.projection import Projection


@suggesting
class Embedding(Editing):
    """Vectors: embed, log, project, index."""

    def embed(
        self,
        model: str = "slicedb-tiny",
        pretrained: str | None = None,
        *,
        name: str = "default",
        batch_size: int | None = None,
        device: Device = None,
        on: On = None,
        replace: bool = False,
        threads: int | None = None,
        progress: Watch = None,
        encoder: Encoder | None = None,
        workers: int | None = None,
        engine: str | None = None,
        decode: Literal["cpu", "gpu", "auto"] = "cpu",
    ) -> EmbedReport:
        """Embed the samples that have no vector yet; an interrupted run resumes.

        Args:
            model: an open_clip model; the default is the bundled tiny CLIP.
            pretrained: an open_clip tag, or a local weights file.
            name: name of the embedding.
            batch_size: images per batch; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
                Several devices, separated by commas (cuda:0,cuda:1), share the work, with one
                process each.
            on: the samples to embed; by default all of them.
            replace: first drop the vectors of another encoder under this name.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            encoder: an encoder that is already open, instead of `model` and `pretrained`.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: where the processes run: ray starts Ray on this machine, or uses the cluster of
                RAY_ADDRESS; ray@HOST:PORT and ray://HOST:PORT name a running cluster. All of its
                machines need the same files and packages.
            decode: which chip decodes JPEGs: cpu, whose pixels are the same everywhere; gpu
                (nvJPEG), whose pixels differ by a few levels, and so do predictions and vectors;
                auto, the faster one for the first pictures. What decoded is reported.

        Raises:
            EmbeddingError: the encoder cannot be opened.
            FingerprintError: the vectors under this name are another encoder's.
        """
        from slicedb import embedding

        crew, device = self._crew(engine, workers, device, threads, progress, decode)
        report = embedding.embed(
            self.store,
            model=model,
            pretrained=pretrained,
            name=name,
            batch_size=batch_size,
            device=device,
            keys=None if on is None else self.keys(on),
            replace=replace,
            threads=threads,
            progress=progress,
            encoder=encoder,
            crew=crew,
            decode=decode,
        )
        if report.embedded:
            self.engine.session.approximate.extend(report.name, replaced=replace)
        self.store.sync()
        return report

    def _embed_new(
        self,
        name: str,
        on: On = None,
        batch_size: int | None = None,
        device: Device = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
        decode: Literal["cpu", "gpu", "auto"] = "cpu",
    ) -> EmbedReport:
        """Embed what is new with the encoder that made an embedding, or with the default one."""
        from slicedb.embedding import encoder_of
        from slicedb.schema import EMBEDDINGS

        there = self.store.has(EMBEDDINGS + name)
        encoder = encoder_of(self.store, name) if there else None
        return self.embed(
            name=name,
            encoder=encoder,
            on=on,
            batch_size=batch_size,
            device=device,
            progress=progress,
            workers=workers,
            engine=engine,
            decode=decode,
        )

    def log_embeddings(
        self,
        name: str,
        data: Path | pa.Table | pd.DataFrame | Mapping[str, Any],
        *,
        id_column: str = "id",
        vector_column: str | None = None,
        prefix: str = "",
        encoder: str | Encoder | None = None,
        pretrained: str | None = None,
        replace: bool = False,
    ) -> LogEmbeddingsReport:
        """Store your own vectors, all of them or none; they are scaled to unit length.

        Without an encoder, `similarity` and `nearest` compare with `sample('id')`, and texts are
        refused.

        Args:
            name: the embedding to log under, for `using => 'name'`.
            data: a Parquet or Arrow file, an Arrow table, a pandas frame, or a mapping with an
                array (n, d).
            id_column: the column with the ids.
            vector_column: the column of vectors; by default the only column of lists of numbers.
            prefix: text to put before every id, such as the folder that the file names leave out.
            encoder: the open_clip model that made the vectors, so that texts can be compared.
            pretrained: an open_clip tag, or a local weights file, of that encoder.
            replace: discard the vectors of another kind under this name.

        Raises:
            EmbeddingError: a vector has the wrong width, holds NaN or infinity, or has no length.
            FingerprintError: this name has vectors of another kind.
            IngestError: an id is unknown, comes twice or is empty; or the source is unreadable.
        """
        from slicedb import embedding

        report = embedding.log_embeddings(
            self.store,
            name,
            data,
            id_column=id_column,
            vector_column=vector_column,
            prefix=prefix,
            # An encoder that is loaded here is not kept here, and is gone once it was described.
            encoder=embedding.load_encoder(encoder, pretrained)
            if isinstance(encoder, str)
            else encoder,
            replace=replace,
        )
        self.engine.session.approximate.extend(name, replaced=replace)
        return report

    def encoder(self, name: str = "default") -> Encoder:
        """Return the encoder that made an embedding; it is opened once per process."""
        from slicedb.embedding import encoder_of

        return encoder_of(self.store, name)

    def index(
        self, embedding: str | None = None, *, text: Names = None, recall: float = 0.95
    ) -> IndexReport | TextReport:
        """Build an index in advance: the approximate one of an embedding, or that of `search`.

        `search` also works without this; the first search then takes the time to build the index.
        Only `query(..., approximate=True)` uses the approximate index.

        Args:
            embedding: build the approximate index of this embedding.
            text: search this column as well as the caption from now on; by default the columns
                stay as they are.
            recall: the fraction of the 100 nearest that the approximate index should find.

        Raises:
            DatabaseError: there is no such text column.
            EmbeddingError: there is no such embedding, or it is too small for an index.
        """
        from slicedb.query.run.search import TextSearch, mark

        report: IndexReport | TextReport
        if embedding is not None:
            report = self.engine.session.approximate.build(embedding, recall)
        else:
            if text is not None:
                mark(self.store, text)
            report = TextSearch(self.store).ensure()
        self.store.sync()
        return report

    def project(
        self,
        name: str = "pca",
        method: MapMethod | None = None,
        *,
        embedding: str | None = None,
        on: On = None,
        replace: bool = False,
        progress: Watch = None,
    ) -> Projection:
        """Place samples on a two-dimensional map, a projection of their vectors.

        The first run fits the map and keeps its model; later ones place the samples that are new,
        or whose vector changed, and move no other. `in_map('name', [[x, y], ...])` selects the
        samples in a polygon, `map_x('name')` and `map_y('name')` are the coordinates.

        Args:
            name: name of the map.
            method: the projection: pca, which takes no time, or tsne, fitted on at most 10,000
                vectors by openTSNE (slicedb[maps]); by default that of the map, and for a new map
                the one that its name says, or else pca.
            embedding: the embedding whose vectors are projected; by default that of the map, and of
                a new one `default` or the only one.
            on: the samples to place; by default all of them.
            replace: fit the map again, which moves every point.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            EmbeddingError: there are no vectors, or the map was made by another method or of
                another embedding.
            FingerprintError: the map was fitted on vectors of another encoder.
        """
        from slicedb.vectors.projection import project

        return project(
            self.store,
            self.engine.session.vectors,
            name,
            method=method,
            embedding=embedding,
            otherwise=self._embedding(None),
            keys=None if on is None else self.keys(on),
            replace=replace,
            progress=progress,
        )
