"""The verbs that change the data: ingest, embed, compose, relabel, tag, delete; and export."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from slicedb import schema
from slicedb.database.asking import Asking, On

if TYPE_CHECKING:
    from slicedb.doctor import Finding
    from slicedb.embedding import EmbedReport
    from slicedb.export import ExportReport
    from slicedb.ingest import IngestReport
    from slicedb.query.run.search import TextReport
    from slicedb.vectors import IndexReport


class DataVerbs(Asking):
    """Verbs over samples, images and embeddings."""

    def ingest(self, source: str | os.PathLike[str], **options: Any) -> IngestReport:
        """Read images and their metadata; see `slicedb.ingest.ingest` for the options."""
        from slicedb.ingest import ingest

        report = ingest(self.store, source, **options)
        self._labels_changed()
        if options.get("delete_missing"):
            self.doctor(mend=True)  # vectors and predictions of what was removed
        self._texts_changed()
        return report

    def embed(
        self, model: str = "slicedb-tiny", pretrained: str | None = None, **options: Any
    ) -> EmbedReport:
        """Embed what is not embedded yet; see `slicedb.embedding.embed` for the options."""
        from slicedb.embedding import embed

        report = embed(self.store, model=model, pretrained=pretrained, **options)
        if report.embedded:
            self.engine.nearby.extend(report.name, replaced=bool(options.get("replace")))
        self.store.sync()
        return report

    def index(
        self,
        embedding: str | None = None,
        *,
        text: Sequence[str] | None = None,
        recall: float = 0.95,
    ) -> IndexReport | TextReport:
        """Build an index ahead: an approximate one of an embedding, else that of `search`.

        `search` finds its texts without this; it takes the time at the first search instead. The
        approximate index is asked by `query(..., approximate=True)` alone.

        Args:
            embedding: the embedding to index; None indexes texts.
            text: the text columns that `search` reads beside the caption, from now on; None
                leaves them as they are.
            recall: the share of the 100 nearest that a query of the approximate index should find.

        Raises:
            DatabaseError: there is no such text column.
            EmbeddingError: there is no such embedding, or it is too small for an index.
        """
        from slicedb.query.run.search import TextSearch, mark

        if embedding is not None:
            found: IndexReport | TextReport = self.engine.nearby.build(embedding, recall)
        else:
            if text is not None:
                mark(self.store, text)
            found = TextSearch(self.store).ensure()
        self.store.sync()
        return found

    def compose(self, folder: str | os.PathLike[str], **options: Any) -> IngestReport:
        """Compose test pictures from templates: every foreground, background and extra.

        See `slicedb.behaviour.templates.compose` for the options.
        """
        from slicedb.behaviour.templates import compose

        report = compose(self.store, folder, **options)
        self._labels_changed()
        self._texts_changed()
        return report

    def relabel(self, on: On, label: str | None) -> int:
        """Set the ground truth of samples; returns how many changed.

        Loss and correctness of every model are derived again from the stored probabilities.
        """
        ids = self._ids(on)
        rows = self.store.take(schema.SAMPLES, schema.keys_of(ids), ["id", "label"])
        changed = [i for i, old in zip(ids, rows["label"].to_pylist()) if old != label]
        if changed:
            table = pa.table({"id": changed, "label": pa.array([label] * len(changed), "string")})
            self.store.upsert(schema.SAMPLES, table, insert=False)
            self._labels_changed()
            self.store.sync()
        return len(changed)

    def tag(self, on: On, *tags: str, remove: bool = False) -> int:
        """Add tags to samples, or remove them; returns how many samples changed."""
        ids = self._ids(on)
        rows = self.store.take(schema.SAMPLES, schema.keys_of(ids), ["id", "tags"])
        changed: dict[str, list[str]] = {}
        for sample, old in zip(ids, rows["tags"].to_pylist()):
            before = old or []
            new = [t for t in dict.fromkeys([*before, *tags]) if not (remove and t in tags)]
            if new != before:
                changed[sample] = new
        if changed:
            kinds = pa.list_(pa.string())
            table = pa.table({"id": list(changed), "tags": pa.array(changed.values(), kinds)})
            self.store.upsert(schema.SAMPLES, table, insert=False)
            self.store.sync()
        return len(changed)

    def delete(self, on: On) -> int:
        """Remove samples with their images, vectors and predictions; returns how many.

        Commits and frozen slices keep the versions they pinned.
        """
        ids = self._ids(on)
        for name in self.store.names():
            if name == schema.SAMPLES:
                continue
            if name == schema.IMAGES or name.startswith(schema.PER_SAMPLE):
                self.store.delete(name, ids)
        self.store.delete(schema.SAMPLES, ids)
        self._texts_changed()
        self.store.sync()
        return len(ids)

    def export(
        self, on: On, dest: str | os.PathLike[str], *, form: str | None = None
    ) -> ExportReport:
        """Write samples as a folder, CSV, Parquet or COCO; see `slicedb.export.export`."""
        from slicedb.export import export

        return export(self.store, self.keys(on), dest, form=form)

    def _labels_changed(self) -> None:
        if any(name.startswith(schema.PREDICTIONS) for name in self.store.names()):
            from slicedb.predictions import refresh

            refresh(self.store)

    def _texts_changed(self) -> None:
        from slicedb.query.run.search import TextSearch

        TextSearch(self.store).refresh()

    def cleanup(self, days: float = 14, *, dry_run: bool = False) -> int:
        """Remove versions older than that which no commit and no frozen slice keeps.

        Args:
            days: an age; the newest version of each table always stays.
            dry_run: only say how much there is.

        Returns:
            The bytes given back.
        """
        from datetime import timedelta

        return self.store.cleanup(timedelta(days=days), dry_run=dry_run)

    def doctor(self, *, mend: bool = False) -> list[Finding]:
        """Look for what is fragmented, orphaned, doubled, lost or left over, and poor indexes.

        See `slicedb.doctor.examine`.
        """
        from slicedb.doctor import examine

        return examine(self.store, mend=mend) + self._poor_indexes(mend)

    def _poor_indexes(self, mend: bool) -> list[Finding]:
        """Measure every approximate index against a scan."""
        from slicedb.doctor import Finding

        found = []
        for name in self.store.names():
            embedding = name.removeprefix(schema.EMBEDDINGS)
            measured = self.engine.nearby.check(embedding) if embedding != name else None
            if measured is None or not measured.is_poor:
                continue
            if mend:
                self.engine.nearby.build(embedding, measured.wanted)
            n = round(100 * (1 - measured.recall))
            problem = f"% of the {measured.k} nearest missed by the index"
            advice = f"`slicedb index --embedding {embedding}` builds it anew"
            found.append(Finding(name, problem, n, advice, mended=mend))
        return found
