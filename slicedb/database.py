"""The handle a user holds: `slicedb.open(path)` gives a `Database` with every verb.

Each verb is a signature, its documentation and a call into the room that does the work. What a
verb needs is imported when it is called, so that the command line reads signatures and
documentation from here without loading anything heavy.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast, overload

from slicedb.cache import Cache
from slicedb.errors import CheckError, QueryError, SliceDBError, did_you_mean, suggesting

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import torch
    from lancedb.db import DBConnection
    from PIL import Image

    from slicedb.analysis import BoxMistakes, Cleaner, Mistakes, PixelMistakes
    from slicedb.analysis.sheet import Sheet
    from slicedb.analysis.tryout import Tryout
    from slicedb.analysis.tryouts import Tryouts
    from slicedb.behaviour.severity import SeverityTable
    from slicedb.cam import CamReport, StoredCams
    from slicedb.commits import Commit, Commits, Difference
    from slicedb.curate.certificate import Split
    from slicedb.curate.drift import Drift
    from slicedb.curate.duplicates import Duplicates
    from slicedb.curate.expected import Expected
    from slicedb.curate.findings import Discovery
    from slicedb.curate.foldrange import FoldRange
    from slicedb.curate.health import Health
    from slicedb.curate.labels import Kind
    from slicedb.curate.leaks import Leaks
    from slicedb.curate.outliers import Outliers
    from slicedb.curate.picks import Picks
    from slicedb.curate.quality import Quality
    from slicedb.curate.rollout import Rollout
    from slicedb.curate.sampling import Strategy
    from slicedb.curate.suspects import LabelErrors
    from slicedb.curate.wronglabels import Rank
    from slicedb.decide import Calibration, CostReport
    from slicedb.decide.cost import Price
    from slicedb.decide.matrix import Costs
    from slicedb.doctor import Finding
    from slicedb.editing import (
        ApplyReport,
        BoxGiven,
        DecideReport,
        Edit,
        EditReport,
        SetGiven,
    )
    from slicedb.editing import State as EditState
    from slicedb.edits import LabelsReport
    from slicedb.embedding import EmbedReport, Encoder, LogEmbeddingsReport
    from slicedb.expectations.behaviours import Change as Corruption
    from slicedb.export import ExportReport
    from slicedb.ingest import IngestReport
    from slicedb.ingest.attach import AttachReport
    from slicedb.ingest.labelmaps import MasksReport
    from slicedb.ingest.unverified import VerifyReport
    from slicedb.judge import Comparison, Confusion, Evaluation, OtherTruth, Power
    from slicedb.merge import MergeReport
    from slicedb.models import Model, Models
    from slicedb.models.model import Picture
    from slicedb.predictions import LogReport, PredictionLog, PredictReport
    from slicedb.progress import Watch
    from slicedb.query import Engine, Params, Query, Request
    from slicedb.query.editor.completion import Completions
    from slicedb.query.editor.names import Names as Nameable
    from slicedb.query.editor.problems import Problems
    from slicedb.query.run.queue import Queue
    from slicedb.query.run.search import TextReport
    from slicedb.report import Report
    from slicedb.runs import Runs
    from slicedb.selection import On, Selection, Several, Single
    from slicedb.show.html import Html
    from slicedb.show.info import Info
    from slicedb.slices import Applied, BrokenSlice, Slice, Slices
    from slicedb.slices.columns import Columns
    from slicedb.store import Past, Store
    from slicedb.store.shares import Crew
    from slicedb.store.thumbnails import Thumbnails
    from slicedb.sync import Step, SyncReport, Turn
    from slicedb.tagging import TagReport, What
    from slicedb.training import SliceDataset
    from slicedb.vectors import IndexReport
    from slicedb.vectors.axes import Method as MapMethod
    from slicedb.vectors.pictures import Picture as HandedIn
    from slicedb.vectors.projection import Projection
    from slicedb.web.serve import Server

__all__ = ["Database", "On", "open"]

Device: TypeAlias = "str | torch.device | None"
Names: TypeAlias = "Sequence[str] | None"
Labels: TypeAlias = "Mapping[str, str] | Sequence[str] | str | os.PathLike[str]"
GrayRange: TypeAlias = "Mapping[str, Sequence[float]] | Sequence[float] | Sequence[str] | None"
Path: TypeAlias = "str | os.PathLike[str]"

_ENGINES = threading.Lock()
_MOMENTS = 3
"""Commits kept open, each with its loaded columns."""
_FILLED = 64
"""Models of which is known what they need not predict again."""


def open(
    path: Path = "data.slicedb",
    *,
    create: bool = True,
    timeout: float | None = None,
    memory: str | None = None,
    result: str | None = None,
    at_once: int | None = None,
    files: bool = True,
    storage_options: Mapping[str, str] | None = None,
) -> Database:
    """Open a database, and create it when it is missing.

    Args:
        path: a directory, or an object-store URI.
        create: False refuses to create.
        timeout: seconds that one query may take, 0 is no limit; by default SLICEDB_TIMEOUT, or
            600.
        memory: what one query may take, such as "4GB" or "50%"; by default SLICEDB_MEMORY, or half
            of the machine's.
        result: what the result of one query may take, such as "1GB"; by default SLICEDB_RESULT, or
            as much as the query.
        at_once: how many queries may run at once, the others wait; by default SLICEDB_AT_ONCE, or
            one per core and at least four.
        files: False lets no query text read a file, wherever the text comes from: not even
            `image('file')`, which is the one way there is.
        storage_options: settings of the object store, in the words of object_store and Lance, for
            example endpoint or region; for this process.

    Raises:
        DatabaseNotFoundError: there is none and `create` is False.
        DatabaseError: the address cannot be reached, or its store does not refuse a second write
            of a new file, which commits rest on.
        FormatError: it was written by a newer SliceDB.
    """
    from slicedb.store import Store

    store = Store.open(path, create=create, storage_options=storage_options)
    database = Database(
        store, timeout=timeout, memory=memory, result=result, at_once=at_once, files=files
    )
    _finish(database)
    return database


def _finish(database: Database) -> None:
    """Finish the edits that a process was applying when it was killed."""
    from slicedb.commits import batch

    begun = batch.begun(database.store)
    if begun is not None and not begun.is_at_work():
        from slicedb import editing

        editing.finish(database.store, database.commits)


def _either(slices: Several, on: Several) -> Several:
    """Return what a verb works on, by whichever of its two names it was given.

    Raises:
        CheckError: both are given.
    """
    if on is None:
        return slices
    if slices is not None:
        raise CheckError("slices= and on= are two names of one argument.", "give one of them.")
    return on


def _title(on: On) -> str:
    """Return what a set of samples is called in a report."""
    if on is None:
        return "all samples"
    text = on if isinstance(on, str) else getattr(on, "name", "") or getattr(on, "text", "")
    return text or "the keys that were given"


def _reopened(
    path: str,
    title: str,
    settings: Mapping[str, Any],
    options: Mapping[str, str] | None = None,
) -> Database:
    """Return the database that was pickled."""
    there = open(path, create=False, storage_options=options, **settings)
    return there.at(title) if title else there


@suggesting
class Database:
    """Images, labels, embeddings and every model's predictions, and the slices over them.

    Args:
        store: its tables; `slicedb.open(path)` opens them.
        timeout: see `open`.
        memory: see `open`.
        result: see `open`.
        at_once: see `open`.
        files: see `open`.
    """

    def __init__(
        self,
        store: Store,
        *,
        timeout: float | None = None,
        memory: str | None = None,
        result: str | None = None,
        at_once: int | None = None,
        files: bool = True,
    ) -> None:
        self.store = store
        self._settings: dict[str, Any] = {
            "timeout": timeout,
            "memory": memory,
            "result": result,
            "at_once": at_once,
            "files": files,
        }
        self._moments: Cache[str, Self] = Cache(_MOMENTS)
        self._filled: Cache[str, tuple[object, ...]] = Cache(_FILLED)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the path alone: another process opens the database again, at the same commit.

        Settings of an object store go along, and with them what secrets they hold.
        """
        options = self.store.files.options
        return _reopened, (self.path, self.store.title, self._settings, options)

    def __repr__(self) -> str:
        at = f".at({self.store.title!r})" if self.store.title else ""
        return f"slicedb.open({self.path!r}){at}"

    @property
    def path(self) -> str:
        """Where the database lies."""
        return self.store.path

    @property
    def lancedb(self) -> DBConnection:
        """A live connection of LanceDB to the same tables; what one writes the other sees."""
        return self.store.lancedb

    def _repr_html_(self) -> str:
        return self.info()._repr_html_()

    def to_arrow(self) -> pa.Table:
        """Return the samples as an Arrow table, see `Query.to_arrow`."""
        return self.query().to_arrow()

    def to_pandas(self) -> pd.DataFrame:
        """Return the samples as a pandas frame, see `Query.to_pandas`."""
        return self.query().to_pandas()

    def info(self) -> Info:
        """Return what is in the database: samples by status, columns, models, slices, tables.

        `metadata` has the columns that the user brought, with their Arrow types; `written` says
        which of them a model wrote; `stale` counts the predictions, by table, of pictures that have
        changed since.
        """
        from slicedb import schema
        from slicedb.predictions.superseded import superseded
        from slicedb.show.info import Info
        from slicedb.tagging import tags_of, written

        counts = self.sql("SELECT status, count(*) AS n FROM samples GROUP BY ALL ORDER BY status")
        names, columns = self.store.names(), self.store.schema(schema.SAMPLES)
        own = [f for f in columns if f.name not in schema.SAMPLES_SCHEMA.names]

        def behind(prefix: str) -> list[str]:
            return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]

        facts = {
            "path": self.path,
            "format": int(self.store.metadata(schema.SAMPLES)["slicedb:format"]),
            "samples": self.store.count(schema.SAMPLES),
            "status": dict(zip(counts["status"].to_pylist(), counts["n"].to_pylist())),
            "columns": columns.names,
            "metadata": {f.name: str(f.type) for f in own},
            "written": [written(self.store, tag) for tag in tags_of(self.store)],
            "embeddings": behind(schema.EMBEDDINGS),
            "maps": behind(schema.MAPS),
            "predictions": behind(schema.PREDICTIONS),
            "stale": superseded(self.store),
            "slices": [s.name for s in self.slices.list()],
            "tables": self.store.describe(),
        }
        return Info(facts)

    # --- data ---------------------------------------------------------------------------------

    def ingest(
        self,
        source: Path,
        *,
        form: str | None = None,
        images: Path | None = None,
        split: str | None = None,
        label: str | None = None,
        labels: Labels | None = None,
        split_folders: bool = False,
        prefix: str = "",
        id_by: Literal["path", "sha256"] = "path",
        path_column: str | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        labels_column: str | Sequence[str] | None = None,
        labels_separator: str | None = None,
        split_column: str | None = None,
        caption_column: str | None = None,
        id_column: str | None = None,
        mask_classes: Names | Path = None,
        ignore_index: int | None = None,
        reference: bool = False,
        verify: Literal["now", "later"] = "now",
        replace: bool = False,
        delete_missing: bool = False,
        same: Literal["add", "skip"] = "add",
        max_broken: float | None = None,
        gray_range: GrayRange = None,
        max_pixels: int = 178_956_970,
        threads: int | None = None,
        quality: bool = False,
        progress: Watch = None,
        storage_options: Mapping[str, str] | None = None,
        workers: int | None = None,
        engine: str | None = None,
    ) -> IngestReport:
        """Read images and their metadata: folders, tables, tars, what annotation tools write.

        Every image is decoded in full. A broken one is quarantined: its sample stays, with the
        reason in `status`. A second run reads only what is new or changed; see
        `slicedb.ingest.ingest`.

        Args:
            source: a folder, or a .csv, .tsv, .parquet, .json (COCO) or .yaml (YOLO) file; or the
                address of one: s3://, gs://, az://, https://.
            form: format of the source: folder, csv, parquet, coco, voc, yolo, label-studio, cvat,
                webdataset, shards, huggingface or copy; by default it is recognised.
            images: folder that the paths of a COCO file or a table start at.
            split: split of every sample, for example test.
            label: label of every sample.
            labels: other names for the labels of the source: a mapping, class names in the order
                of their numbers (`0`, `class_00`), texts old=new, or a file of these.
            split_folders: take the uppermost folders for splits, whatever they are called; by
                default if they have names of splits, or hold the same classes as one that has.
            prefix: text to put before every id, to keep two sources apart.
            id_by: how the id of a sample is made: from its path below the root, or from a hash of
                its bytes, which leaves out duplicates.
            path_column: column of a CSV or Parquet file with the paths of the images.
            image_column: column of a Parquet file with encoded images.
            label_column: column with the ground truth.
            labels_column: column with several labels a row (Cardiomegaly|Emphysema), or the columns
                of 0 and 1 of a label each.
            labels_separator: what stands between several labels; by default the first of ; | and ,
                that the column has.
            split_column: column with the split.
            caption_column: column with the caption.
            id_column: column with stable ids.
            mask_classes: class names by number of label maps (masks/ beside images/, or a column
                mask_path), names between commas or a file with one in each line.
            ignore_index: the number of pixels that count for nothing; by default 255.
            reference: keep only the paths of the images, not their bytes.
            verify: decode every image now, or open none of them: their status is unverified until
                `verify`, `embed` or `predict` opens them. Tables then need no column of images if
                they have ids.
            replace: let this source take over ids that belong to another one.
            delete_missing: remove the samples of this source whose files are gone.
            same: add pictures with the bytes of a sample that was here before, and say so, or skip
                them.
            max_broken: fail if a larger fraction of the images is broken; the data stays.
            gray_range: values that become black and white in pictures of more than 8 bits, such as
                (0, 4095), or by format, {"tiff": (0, 4095)}; written LOW,HIGH or FORMAT=LOW,HIGH.
                It is kept, for all pictures of the database. By default what a file declares, else
                what it holds.
            max_pixels: width × height beyond which an image counts as broken.
            threads: decoding threads; by default one per core.
            quality: also measure sharpness, brightness, contrast and plain borders as they are
                decoded, into columns such as quality_sharpness; see `quality`.
            progress: draw a progress bar on stderr; by default only in a terminal.
            storage_options: settings of the bucket, in the words of object_store and Lance, for
                example endpoint or skip_signature; for this process, while `sync` keeps them.
            workers: processes that decode; by default threads of this one, or all cores of Ray.
            engine: ray, ray@HOST:PORT or ray://HOST:PORT decodes on Ray; see `predict`.

        Raises:
            SourceError: the source is missing, empty, unreadable or of an unknown format.
            IngestError: a named column is not there, a type disagrees with the existing column,
                or an id comes twice or belongs to another image.
            TooManyBrokenError: the fraction passed `max_broken`.
        """
        from slicedb import ingest
        from slicedb.ingest.sync import configure

        if storage_options:
            configure(os.fspath(source), storage_options)
        report = ingest.ingest(
            self.store,
            source,
            form=form,
            images=images,
            split=split,
            label=label,
            labels=labels,
            split_folders=split_folders,
            prefix=prefix,
            id_by=id_by,
            path_column=path_column,
            image_column=image_column,
            label_column=label_column,
            labels_column=labels_column,
            labels_separator=labels_separator,
            split_column=split_column,
            caption_column=caption_column,
            id_column=id_column,
            reference=reference,
            verify=verify,
            replace=replace,
            delete_missing=delete_missing,
            same=same,
            max_broken=max_broken,
            gray_range=gray_range,
            max_pixels=max_pixels,
            threads=threads,
            quality=quality,
            progress=progress,
            crew=self._crew(engine, workers, None, threads, progress)[0],
        )
        return self._kept_up(report, delete_missing, mask_classes, ignore_index)

    def _kept_up(
        self,
        report: IngestReport,
        has_deleted: bool,
        mask_classes: Names | Path = None,
        ignore_index: int | None = None,
    ) -> IngestReport:
        """Bring what is derived from pictures, labels and texts up to date after an ingest."""
        from slicedb import edits
        from slicedb.ingest.labelmaps import class_names, keep_named

        masks = keep_named(self.store, classes=class_names(mask_classes), ignore=ignore_index)
        report = report.noting([] if masks is None else masks.notes())

        # Also where nothing changed: an ingest before this one may have been killed in between.
        report = report.noting(edits.pictures_changed(self.store))
        edits.labels_changed(self.store)
        if has_deleted:
            self.doctor(mend=True)  # vectors and predictions of what was removed
        edits.texts_changed(self.store)
        self.columns.refresh()
        return report

    def sync(
        self,
        source: Path | None = None,
        *,
        keys: Iterable[str] | None = None,
        then: str | Iterable[str] = (),
        split: str | None = None,
        label: str | None = None,
        prefix: str | None = None,
        form: str | None = None,
        reference: bool | None = None,
        delete_missing: bool = False,
        mask_classes: Names | Path = None,
        ignore_index: int | None = None,
        storage_options: Mapping[str, str] | None = None,
        max_pixels: int | None = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
    ) -> SyncReport:
        """Follow a folder or a bucket: read what is new or changed, mark what has vanished.

        The listing says which files have another size or version; those alone are read, and their
        hash says whether they changed. A file that was moved stays the same sample. What is gone
        is marked in the column `vanished_at`, and only if the listing was complete. It may be
        stopped at any time; the same call goes on.

        Args:
            source: a folder, or an address: s3://, gs://, az://; by default every source that was
                synced before.
            keys: look only at these objects: paths, addresses, or S3 events, one a line; nothing
                vanishes then. By default all are listed.
            then: what runs afterwards on what is new, in this order, for example
                embed,tag:weather,predict:v4,test. Steps: verify, embed[:NAME], tag[:COLUMN] (what
                `tag_with` wrote before), predict:MODEL, test[:MODEL], commit[:MESSAGE].
            split: split of every sample, for example test.
            label: label of every sample.
            prefix: text to put before every id, to keep two sources apart.
            form: format of the source; by default it is recognised.
            reference: leave the pictures where they are; by default they are copied in.
            delete_missing: remove the samples whose files are gone, instead of marking them.
            mask_classes: class names by number of label maps in masks/ beside images/; kept.
            ignore_index: the number of their pixels that count for nothing; by default 255.
            storage_options: settings of the bucket, in the words of object_store and Lance, for
                example endpoint or skip_signature. Secrets are not written down.
            max_pixels: width × height beyond which an image counts as broken; by default
                178,956,970.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that decode; by default threads of this one, or all cores of Ray.
            engine: ray, ray@HOST:PORT or ray://HOST:PORT decodes on Ray; see `predict`. Both hold
                for the steps of `then` that run a model, too.

        Options that are not given are those of the last sync of the source.

        Raises:
            SourceError: the source cannot be read, or another process syncs it now.
            OptionError: `then` names an unknown step.
        """
        from slicedb.errors import SourceError
        from slicedb.ingest.sync import followed, sync
        from slicedb.slices.moves import changes, members
        from slicedb.sync import SyncReport, steps_of

        steps = steps_of(then)
        if source is None and not followed(self.store):
            raise SourceError("No source was synced before.", "name a folder or an address.")
        given = {
            "split": split,
            "label": label,
            "prefix": prefix,
            "form": form,
            "reference": reference,
            "max_pixels": max_pixels,
            "threads": threads,
            "progress": progress,
        }
        options = {name: value for name, value in given.items() if value is not None}
        crew = self._crew(engine, workers, None, threads, progress)[0]
        before = members(self.slices)
        reports = [
            self._kept_up(
                sync(
                    self.store,
                    one,
                    keys=keys,
                    settings=storage_options,
                    delete_missing=delete_missing,
                    crew=crew,
                    **options,
                ),
                delete_missing,
                mask_classes,
                ignore_index,
            )
            for one in ([source] if source is not None else followed(self.store))
        ]
        told, turns = self._after(steps, progress, workers, engine)
        moved = changes(before, members(self.slices))
        return SyncReport(tuple(reports), moved, told, turns)

    def _after(
        self, steps: Sequence[Step], progress: Watch, workers: int | None, engine: str | None
    ) -> tuple[tuple[str, ...], tuple[Turn, ...]]:
        """Run what follows a sync; return a line for each step, and the verdicts that turned."""
        from slicedb.report.tables import headline
        from slicedb.sync import turned, verdicts_of

        told: list[str] = []
        turns: tuple[Turn, ...] = ()
        model: str | None = None
        for verb, argument in steps:
            if verb == "test":
                model = argument or model
                known = verdicts_of(self.runs)
                report = self.test(model=model, progress=progress)
                turns += turned(known, verdicts_of(self.runs))
                told.append(f"test: {headline(report)}")
                continue
            if verb == "predict":
                model = argument
                said: object = self.predict(
                    argument, progress=progress, workers=workers, engine=engine
                )
            elif verb == "embed":
                said = self._embed_new(
                    argument or "default", progress=progress, workers=workers, engine=engine
                )
            elif verb == "tag":
                said = self._tag_new(argument, progress, workers, engine)
            elif verb == "commit":
                said = f"commit {self.commits.commit(argument or 'sync').id}"
            else:
                said = self.verify(progress=progress)
            told.append(f"{verb}: {said}")
        return tuple(told), turns

    def _tag_new(
        self, column: str, progress: Watch, workers: int | None, engine: str | None
    ) -> str:
        """Write what is new into one column that a model wrote before, or into all of them."""
        from slicedb.errors import ModelError
        from slicedb.tagging import tags_of

        def written(name: str) -> str:
            report = self.tag_with(name, progress=progress, workers=workers, engine=engine)
            return str(report)

        if column:
            return written(column)
        lines = []
        for tag in tags_of(self.store):
            try:
                lines.append(written(tag.name))
            except ModelError as error:  # an object of another process, which alone can run it
                lines.append(f"{tag.name} is left as it is: {error}")
        return "\n".join(lines) or "no column was written by a model"

    def _crew(
        self,
        engine: str | None,
        workers: int | None,
        device: Device,
        threads: int | None,
        progress: Watch,
    ) -> tuple[Crew | None, Device]:
        """Return the processes that share some work, None for this one, and a device of theirs."""
        devices = str(device or "").split(",")
        if engine is None and workers is None and len(devices) < 2:
            return None, device
        from slicedb.scale import crew_of

        given = None if device is None else str(device)
        crew = crew_of(engine, workers, given, threads, progress)
        # The machine that speaks to a cluster may have no such device itself.
        return crew, None if engine is not None else devices[0].strip() or None

    def _embed_new(
        self,
        name: str,
        on: On = None,
        batch_size: int | None = None,
        device: Device = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
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
        )

    def verify(
        self,
        on: On = None,
        *,
        max_pixels: int = 178_956_970,
        threads: int | None = None,
        progress: Watch = None,
    ) -> VerifyReport:
        """Open the pictures that `ingest(..., verify="later")` did not, and quarantine broken ones.

        Args:
            on: the samples; by default all of them. Those that are verified are left alone.
            max_pixels: width × height beyond which an image counts as broken.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
        """
        from slicedb.ingest.unverified import verify_samples

        keys = None if on is None else self.keys(on)
        return verify_samples(
            self.store, keys, max_pixels=max_pixels, threads=threads, show=progress
        )

    def attach(
        self,
        source: Path | pa.Table | pd.DataFrame | Mapping[str, Any],
        *,
        on: str = "id",
        prefix: str = "",
        columns: Names = None,
        partial: bool = False,
    ) -> AttachReport:
        """Add or change metadata columns of samples by their ids; no picture is opened.

        A null in the table makes the value of its sample null.

        Args:
            source: a CSV, TSV, Parquet or Arrow file, an Arrow table, a pandas frame, or a dict of
                columns.
            on: the column of the source with the ids of samples.
            prefix: text to put before every id, such as the folder that the file names leave out.
            columns: the columns to attach; by default all of them.
            partial: accept a table without a row for every sample; the others keep what they have.

        Raises:
            SourceError: the source is missing, empty or unreadable.
            IngestError: an id is unknown, comes twice or is empty, a sample has no row, or a
                column has a name of ours or another type than the existing one. Nothing is
                written then.
        """
        from slicedb import edits
        from slicedb.ingest.attach import attach

        report = attach(self.store, source, on=on, prefix=prefix, columns=columns, partial=partial)
        if report.changed:
            edits.labels_changed(self.store, report.changed_ids)
        elif report.present:  # what depends on them may be stale since a call that was cut off
            edits.labels_changed(self.store)
        self.columns.refresh()
        return report

    def merge(
        self,
        other: Path | Database,
        *,
        on_conflict: Literal["ours", "theirs"] | None = None,
        prefix: str = "",
        rename: Mapping[str, str] | Sequence[str] = (),
        message: str | None = None,
        progress: Watch = None,
    ) -> MergeReport:
        """Merge another database: samples, labels, tags, predictions, vectors, models and slices.

        New samples are added with their pictures; of one that is here already, values that only
        the other has are filled in, and tags of both are kept. Predictions and vectors are merged
        where the same model or encoder made them. Everything is checked before a row is written,
        and committed once at the end; a call that was cut off goes on when it is made again.
        Commits, runs and Grad-CAM maps of the other stay there, which is counted and said.

        Args:
            other: the other database, or its path; it is only read.
            on_conflict: whose value holds where samples, predictions or vectors differ: ours or
                theirs; by default a difference is refused.
            prefix: text to put before every id of the other, which keeps all samples apart.
            rename: new names for models, embeddings and slices of the other: a mapping, or texts
                old=new.
            message: of the commit; by default "merge" and the path of the other.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            DatabaseError: a sample or a prediction differs and `on_conflict` is not given; or a
                model is another one in the other database, or a column has another type.
            FingerprintError: vectors of one name were made by different encoders.
            SliceError: a slice is another one in the other database.
        """
        from slicedb.merge import Pair, merge, names_of

        theirs = other if isinstance(other, Database) else open(other, create=False)
        pair = Pair(self.store, theirs.store, on_conflict, prefix.strip("/"), names_of(rename))
        report = merge(pair, message or f"merge {theirs.path}", self.columns.refresh, progress)
        for name in report.embeddings:
            self.engine.session.approximate.extend(name, replaced=False)
        return report

    def attach_masks(
        self,
        source: Path | pa.Table | pd.DataFrame | Mapping[str, Any],
        *,
        classes: Names | Path = None,
        ignore_index: int | None = None,
        on: str = "id",
        prefix: str = "",
        threads: int | None = None,
    ) -> MasksReport:
        """Give samples label maps: the class of every pixel, the ground truth of segmentation.

        Loss and IoU of every segmenter are derived again for the samples whose map changed.

        Args:
            source: a folder of palette or gray PNG files, each called like the picture of its
                sample; or a table or mapping with ids and `mask`: paths, PNG bytes, arrays (h, w)
                of whole numbers, or run-length codes by class; or a COCO JSON file of stuff, whose
                run-length codes cover each pixel once.
            classes: class names by number, names between commas or a file with one in each line;
                by default those of the label maps before, else the numbers themselves.
            ignore_index: the number of pixels that count for nothing; by default 255.
            on: the column of the source with the ids of samples.
            prefix: text to put before every id or path, to make it that of a sample.
            threads: decoding threads; by default one per core.

        Raises:
            SourceError: the source is missing, or no file is called like a sample.
            IngestError: an id is unknown or comes twice, or no label map could be read.
        """
        from slicedb import edits
        from slicedb.ingest.labelmaps import attach_masks, class_names

        report = attach_masks(
            self.store,
            source,
            classes=class_names(classes),
            ignore=ignore_index,
            on=on,
            prefix=prefix,
            threads=threads,
        )
        edits.labels_changed(self.store)
        self.columns.refresh()
        return report

    def compose(
        self,
        folder: Path,
        *,
        classes: Names = None,
        backgrounds: Names = None,
        extras: Names = None,
        labels: Mapping[str, str] | Names = None,
        split: str | None = None,
        progress: Watch = None,
    ) -> IngestReport:
        """Compose test pictures from templates: every foreground on every background.

        Args:
            folder: a template folder, see `slicedb.behaviour.templates`.
            classes: only the foregrounds of these class folders.
            backgrounds: only on these backgrounds.
            extras: only with these extras; "none" stands for compositions without one.
            labels: names of the class folders: by folder, or in order if the folders are numbered.
            split: split of every composition.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            SourceError: no foregrounds or backgrounds, an unknown name, an unreadable picture.
        """
        from slicedb import edits
        from slicedb.behaviour import templates

        report = templates.compose(
            self.store,
            folder,
            classes=classes,
            backgrounds=backgrounds,
            extras=extras,
            labels=labels,
            split=split,
            progress=progress,
        )
        edits.labels_changed(self.store)
        edits.texts_changed(self.store)
        return report

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
    ) -> EmbedReport:
        """Embed the samples that have no vector yet; an interrupted run resumes.

        Args:
            model: an open_clip model; the default is the bundled tiny CLIP.
            pretrained: an open_clip tag, or a local weights file.
            name: name of the embedding.
            batch_size: images per batch; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one;
                several with commas (cuda:0,cuda:1) share the work, a process each.
            on: the samples to embed; by default all of them.
            replace: first drop the vectors of another encoder under this name.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            encoder: an encoder that is already open, instead of `model` and `pretrained`.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: ray, which starts Ray on this machine or takes the cluster of RAY_ADDRESS;
                ray@HOST:PORT and ray://HOST:PORT name a running one. The same files and packages
                are needed on all of its machines.

        Raises:
            EmbeddingError: the encoder cannot be opened.
            FingerprintError: the vectors under this name are another encoder's.
        """
        from slicedb import embedding

        crew, device = self._crew(engine, workers, device, threads, progress)
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
        )
        if report.embedded:
            self.engine.session.approximate.extend(report.name, replaced=replace)
        self.store.sync()
        return report

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
            method: `pca`, at once, or `tsne`, fitted on at most 10,000 vectors by openTSNE
                (`slicedb[maps]`); by default that of the map, and of a new one what its name says,
                else `pca`.
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

    def tag_with(
        self,
        what: What,
        name: str | None = None,
        *,
        count: str | None = None,
        share: str | None = None,
        cut: float | None = None,
        template: Names = None,
        using: str = "default",
        on: On = None,
        overwrite: bool = False,
        batch_size: int | None = None,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
    ) -> TagReport:
        """Let a model, phrases or any callable write a column of samples.

        Only samples that are new go through the model; another fingerprint (weights, code, phrases,
        cut) computes all of them again. A value that a person gave or corrected is kept, and said.
        Of a classifier, the score stands in `<name>_score`; of phrases, the margin to the next one
        in `<name>_margin` besides. Texts are found by `search` at once.

        Args:
            what: a model; phrases as weather=sunny,rainy (in Python also a mapping of a column to
                phrases), of which the likeliest is written; file.py:function (in Python also the
                callable), which takes a list of RGB Pillow images and returns a text, a number or
                a truth value for each; or a column that a model wrote, to write what is new.
            name: of the column; by default that of the phrases, caption for a callable, num_LABEL
                for a count, LABEL_share for a share, MODEL_label for a classifier.
            count: of a detector: count its boxes of this class.
            share: of a segmenter: the share of the pixels that it gives this class, 0 to 1.
            cut: the score below which a label is "unsure" (by default 0.5 for phrases, none for a
                classifier), or a box is not counted (by default the detector's own).
            template: a wording with {} that phrases are put into, such as "a photo in {} weather";
                of several the mean is taken; by default the encoder's own.
            using: of phrases: the embedding; it is computed for what is new.
            on: the samples; by default all of them.
            overwrite: also replace values that a person gave or corrected.
            batch_size: images per batch; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one;
                several with commas (cuda:0,cuda:1) share the work, a process each.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: ray, which starts Ray on this machine or takes the cluster of RAY_ADDRESS;
                ray@HOST:PORT and ray://HOST:PORT name a running one. The same files and packages
                are needed on all of its machines.

        Raises:
            CheckError: the name cannot be used, or what is asked for is nothing the model gives.
            ModelError: a callable fails, or gives no value for each picture.
        """
        from slicedb import edits
        from slicedb.tagging import Means, Wanted, tag_with

        keys = None if on is None else self.keys(on)

        def predicted(model: str) -> PredictReport | None:
            if not self.models.can_load(model):
                return None
            return self.predict(
                model,
                keys,
                batch_size=batch_size,
                device=device,
                threads=threads,
                progress=progress,
                workers=workers,
                engine=engine,
            )

        means = Means(
            self.store,
            lambda text: self.engine.query(text, files=False),
            predicted,
            lambda embedding: (
                self._embed_new(
                    embedding, keys, batch_size, device, progress, workers, engine
                ).embedded
            ),
            keys,
            overwrite=overwrite,
            batch_size=batch_size,
            threads=threads,
            progress=progress,
            crew=self._crew(engine, workers, device, threads, progress)[0],
        )
        wanted = Wanted(what, name, count, share, cut, _texts(template), using)
        tag, report, changed = tag_with(wanted, means)
        edits.tagged(self.store, tag, changed)
        self.columns.refresh()
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

    def relabel(self, on: On, label: str | None) -> int:
        """Set the ground truth of samples, and return how many of them changed.

        Loss and correctness of every model are derived again from the stored probabilities.

        Args:
            on: the samples.
            label: the label; None removes it.
        """
        from slicedb import edits

        return edits.relabel(self.store, self._selection.ids(on), label)

    def map_labels(
        self, labels: Labels | None = None, *, on: On = None, model: str | None = None
    ) -> LabelsReport:
        """Give the labels of samples other names: labels, lists of them, and those of boxes.

        Loss and correctness of every model are derived again from the stored probabilities.

        Args:
            labels: a mapping, class names in the order of their numbers (`0`, `class_00`), texts
                old=new, or a file of these.
            on: the samples; by default all of them.
            model: take the classes of this model for the names.

        Raises:
            ClassesError: nothing is named, or a label twice.
            UnknownModelError: no model of that name.
        """
        from slicedb import edits

        if (labels is None) == (model is None):
            raise SliceDBError("Give names for the labels, or a model with classes.", "one of two.")
        if model is not None:
            labels = list(self.models.show(model).classes)
        return edits.rename_labels(self.store, self._selection.ids(on), labels or [])

    def tag(self, on: On, *tags: str, remove: bool = False) -> int:
        """Add tags to samples, or remove them, and return how many samples changed.

        Args:
            on: the samples.
            *tags: words.
            remove: remove the tags instead.
        """
        from slicedb import edits

        return edits.tag(self.store, self._selection.ids(on), tags, remove=remove)

    def edit(
        self,
        id: str,
        *,
        remove_box: Sequence[int] = (),
        set_box: SetGiven = (),
        add_box: Sequence[BoxGiven] = (),
        label: str | None = None,
        tag: Names = None,
        untag: Names = None,
        author: str | None = None,
    ) -> EditReport:
        """Change one sample: its boxes, its label, its tags; `undo` takes that back.

        The edit is written down with its author and its inverse, and the predictions of every model
        are judged anew. One that was cut off is finished by the next call.

        Args:
            id: the sample.
            remove_box: numbers of boxes, from 1, as `index` of FROM objects has them.
            set_box: number of a box and what is new of it: label=dog, or bbox=10,10,20,20 (in
                Python also a mapping of numbers to mappings). Numbers are those before the edit.
            add_box: a new box: label=cat,bbox=10,10,20,20 (x, y, width, height in pixels; in
                Python also a mapping).
            label: the label of the sample; an empty text removes it.
            tag: a tag to give it.
            untag: a tag to take from it.
            author: who edits; by default SLICEDB_AUTHOR, or the user.

        Raises:
            UnknownSampleError: there is no such sample.
            CheckError: nothing is asked for, there is no such box, or a box is none.
        """
        from slicedb import editing
        from slicedb.editing.wanted import wanted

        boxes = [add_box] if isinstance(add_box, (str, Mapping)) else add_box
        asked = wanted(remove_box, set_box, boxes, label, _texts(tag), _texts(untag))
        return editing.edit(self.store, id, asked, author)

    def decide(
        self,
        ids: str | Sequence[str],
        *,
        keep: bool = False,
        skip: bool = False,
        delete: bool = False,
        remove_box: Sequence[int] = (),
        set_box: SetGiven = (),
        add_box: Sequence[BoxGiven] = (),
        label: str | None = None,
        tag: Names = None,
        untag: Names = None,
        queue: str | None = None,
        reason: str | None = None,
        author: str | None = None,
    ) -> DecideReport:
        """Write down what is to become of samples; `apply_edits` carries it out in one commit.

        Nothing changes before: queries see the samples as they are. `undo` takes the last decision
        back, `discard_edits` all of them, and `edits(state="pending")` lists them. Keeping a sample
        takes back what the same author decided of it before, an edit takes back a deletion.

        Args:
            ids: the samples.
            keep: leave them as they are.
            skip: decide another time.
            delete: remove them.
            remove_box: see `edit`; boxes are numbered as the author's earlier decisions leave them.
            set_box: see `edit`.
            add_box: see `edit`.
            label: the label of the samples; an empty text removes it.
            tag: a tag to give them.
            untag: a tag to take from them.
            queue: the review that it is decided in.
            reason: why.
            author: who decides; by default SLICEDB_AUTHOR, or the user.

        Raises:
            UnknownSampleError: there is no such sample.
            CheckError: nothing is decided or two things at once, there is no such box, or a box is
                none.
        """
        from slicedb import editing
        from slicedb.editing.wanted import wanted

        boxes = [add_box] if isinstance(add_box, (str, Mapping)) else add_box
        asked = wanted(
            remove_box,
            set_box,
            boxes,
            label,
            _texts(tag),
            _texts(untag),
            keep=keep,
            skip=skip,
            delete=delete,
        )
        return editing.decide(self.store, _texts(ids), asked, author, queue, reason)

    def apply_edits(
        self,
        message: str | None = None,
        *,
        author: str | None = None,
        queue: str | None = None,
    ) -> ApplyReport:
        """Carry out what was decided, in one step and one commit.

        A decision on a sample that has changed since (another label or boxes, another picture,
        gone) is refused, and the report says why; the others are applied. Tags that others give or
        take meanwhile refuse nothing but a deletion. A call that was cut off is finished by the
        next one, or when the database is opened next.

        Args:
            message: of the commit; by default what was changed.
            author: apply the decisions of this author; by default everybody's.
            queue: apply those of this review; by default of all.

        Raises:
            DatabaseError: a checkout was cut off.
        """
        from slicedb import editing

        return editing.apply(self.store, self.commits, message, author, queue)

    def discard_edits(self, *, author: str | None = None, queue: str | None = None) -> int:
        """Take back what was decided and not applied, and return how many decisions those were.

        Args:
            author: take back the decisions of this author; by default everybody's.
            queue: take back those of this review; by default of all.
        """
        from slicedb import editing

        return editing.discard(self.store, author, queue)

    def edits(
        self,
        id: str | None = None,
        *,
        state: EditState | None = None,
        author: str | None = None,
        queue: str | None = None,
    ) -> list[Edit]:
        """Return the edits of a sample, or of all, the first one first, with their authors.

        Args:
            id: the sample; by default all of them.
            state: how far they got: pending (decided and not applied), done, undone, discarded,
                refused; by default all.
            author: those of this author.
            queue: those of this review.

        Raises:
            CheckError: there is no such state.
        """
        from slicedb.editing import edits_of
        from slicedb.editing.entry import STATES

        if state is not None and state not in STATES:
            hint = did_you_mean(state, STATES, "states")
            raise CheckError(f"An edit is never '{state}'.", hint)
        states = () if state is None else (state,)
        return edits_of(self.store, id, states=states, author=author, queue=queue)

    def undo(
        self,
        id: str | None = None,
        *,
        number: int | None = None,
        author: str | None = None,
        queue: str | None = None,
        force: bool = False,
    ) -> EditReport:
        """Take the last edit back, and judge the predictions of its sample anew.

        Said again, it takes back the one before. A decision that was not applied is forgotten; a
        sample that was deleted comes back with all that was computed from it, until `cleanup`
        removes the versions that have it.

        Args:
            id: take back the last edit of this sample; by default the last of all.
            number: take back the edit of the sample that has this number.
            author: take back the last edit of this author.
            queue: take back the last edit of this review.
            force: also where the sample was changed in another way since.

        Raises:
            CheckError: there is no edit to take back, the sample was changed since, or a later
                edit counts on it.
        """
        from slicedb import editing

        return editing.undo(self.store, id, number=number, author=author, queue=queue, force=force)

    def delete(self, on: On) -> int:
        """Remove samples with their images, vectors and predictions, and return how many.

        Commits and frozen slices keep the versions that they pinned.
        """
        from slicedb import edits

        return edits.delete(self.store, self._selection.ids(on))

    def split(
        self,
        ratios: Mapping[str, float] | None = None,
        *,
        folds: int | None = None,
        group: str | Sequence[str] = (),
        stratify: str | Sequence[str] = (),
        time: str | None = None,
        gap: str | None = None,
        on: On = None,
        near_duplicates: bool = False,
        embedding: str | None = None,
        into: str | None = None,
        seed: int | None = None,
        anew: bool = False,
        dry_run: bool = False,
    ) -> Split:
        """Split samples into parts, and certify what holds of them.

        Samples that have a part already keep it, so that a later call places new samples only;
        without parts, groups and columns it then goes on as the call before it did. A new sample
        of a group that has a part follows it.

        Args:
            ratios: the share of each part, such as {"train": 0.8, "test": 0.2}, in the order of
                time where `time` decides; by default train 0.8, val 0.1, test 0.1.
            folds: as many parts of equal size, numbered from 0, instead.
            group: columns such as `patient`: samples of one group are in one part.
            stratify: columns of which every part gets its share of each value; of numbers and
                times of five quantiles, of lists (`labels`, `tags`, `objects`) of every entry.
            time: a column of times or numbers: earlier samples are in earlier parts. A group on
                both sides of a cut keeps the side where most of it lies.
            gap: leave out what lies less than this before a cut, such as 7d, 12h or 30min.
            on: the samples; by default all of them.
            near_duplicates: samples that look alike are one group.
            embedding: by whose vectors; by default the one that queries take.
            into: the column that is written; by default `split`, or `fold` for folds.
            seed: which of many equal splits is taken; by default 0.
            anew: place every sample, also those that have a part.
            dry_run: write nothing.

        Raises:
            CheckError: shares do not add up, a column is missing, a group or time is NULL
                somewhere, or there are fewer than 30 samples.
        """
        from slicedb.curate import splits

        column = into or ("fold" if folds else "split")
        given = (ratios, folds, group, stratify, time, gap, seed, near_duplicates)
        plan = None
        if not any(value for value in given):
            plan = splits.stored_plan(self.store, column)
        if plan is None:
            plan = splits.Plan(
                splits.parts_of(ratios, folds),
                bool(folds),
                (group,) if isinstance(group, str) else tuple(group),
                (stratify,) if isinstance(stratify, str) else tuple(stratify),
                time,
                gap,
                near_duplicates,
                seed or 0,
            )
        return splits.split(
            self.store,
            self.keys(on),
            plan,
            column,
            vectors=self.engine.session.vectors,
            embedding=self._embedding(embedding),
            anew=anew,
            dry_run=dry_run,
        )

    def expected(
        self,
        model: str,
        on: On = None,
        *,
        reference: On = None,
        slices: Several = None,
        seed: int = 0,
    ) -> Expected:
        """Estimate the accuracy of a classifier on samples without labels.

        Labelled samples are weighted to the shares of slices that the others have, and confidences
        are calibrated on them. Each estimate has an interval and the assumption that carries it;
        none of them decides a test.

        Args:
            model: whose predictions are there.
            on: the samples to estimate for; by default those without a label.
            reference: labelled samples; by default all that are not among the others. Those that
                the model is known to be trained on are left out and counted.
            slices: what samples are weighted by, beside the predicted class; by default every
                registered slice.
            seed: of the resampling.

        Raises:
            CheckError: fewer than 30 samples of either side have predictions, or these have no
                class with a confidence.
            UnknownModelError: no predictions of that model.
        """
        from slicedb.curate.expected import expected
        from slicedb.judge import load
        from slicedb.keys import KeyIndex

        load(self.store, model, light=True)  # a misspelt name is told
        others = self.keys("label IS NULL" if on is None else on)
        known = self.keys("label IS NOT NULL" if reference is None else reference)
        known = known[~KeyIndex(others).has(known)]
        members = self._selection.members(slices)
        members.pop("all", None)
        return expected(self.store, model, known, others, members, seed)

    def rollout(
        self,
        model: str,
        against: str | None = None,
        *,
        on: On = None,
        time: str = "captured_at",
        every: Literal["hour", "day", "week"] = "day",
    ) -> Rollout:
        """Return what a classifier predicts period by period, with alarms on the share of a class.

        It is compared with another model on the same samples, or with the seven periods before. An
        alarm is a share that is at least 1.5 times as large or as small, and more than chance.

        Args:
            model: the new one.
            against: the one before; by default the new one's own past.
            on: the samples; by default all.
            time: a column of times.
            every: the length of a period; weeks begin on Monday, UTC.

        Raises:
            CheckError: there is no such column of times, or no sample has a time and a predicted
                class.
            UnknownModelError: no predictions of a model.
        """
        from slicedb.curate.rollout import rollout
        from slicedb.judge import load

        for name in (model, *([against] if against else [])):
            load(self.store, name, light=True)  # a misspelt name is told
        return rollout(self.store, model, self.keys(on), time, every, against)

    def outliers(
        self,
        reference: On,
        *,
        on: On = None,
        into: str = "outlier_score",
        k: int = 10,
        embedding: str | None = None,
        seed: int = 0,
        progress: Watch = None,
    ) -> Outliers:
        """Write how far each sample is from a reference set: out-of-distribution scores.

        A score is the mean cosine distance to the k nearest samples of the reference set (Sun et
        al., "Out-of-distribution detection with deep nearest neighbors", 2022). The report says
        which scores 95, 99 and 99.9 % of the reference set stay below.

        Args:
            reference: what the model was trained on, such as "split = 'train'"; of more than
                50,000 samples so many are looked at.
            on: the samples; by default all.
            into: the column that is written.
            k: how many neighbours.
            embedding: whose vectors; by default the one that queries take.
            seed: which samples of a large reference set are looked at.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: there is no embedding, or the reference set has fewer than 30 samples.
        """
        from slicedb.curate.outliers import outliers

        name = self._embedding(embedding)
        if name is None:
            raise CheckError("There are no vectors to compare.", "`slicedb embed` makes them.")
        return outliers(
            self.store,
            self.engine.session.vectors,
            name,
            self.keys(on),
            self.keys(reference),
            into,
            k,
            seed,
            progress,
        )

    def health(
        self, bounds: Path | None = None, *, model: str | None = None, progress: Watch = None
    ) -> Health:
        """Look at everything that can be wrong with a collection: one line each, with its query.

        Quarantined and unlabelled samples, duplicates and their labels, leaks between splits, poor
        pictures, likely label errors, drift since the last commit, stale and broken slices, looks
        at held-out slices, and what the doctor finds. What cannot be looked at is said.

        Args:
            bounds: a file such as `health.toml`, or its folder: `duplicates = 0.02` and so on; by
                default that of the working directory, else the bounds of `slicedb.curate.bounds`.
            model: whose predictions tell label errors; it must not have seen the labels.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: the file is missing, or names an unknown line or a bound that is none.
        """
        from slicedb.curate.bounds import bounds as read
        from slicedb.curate.health import health

        return health(self, read(bounds), model, progress)

    def folds(
        self,
        model: str,
        column: str = "fold",
        *,
        test: Single | None = None,
        metrics: Names = None,
        confidence: float = 0.95,
        predict: bool = True,
    ) -> FoldRange:
        """Return the range of a model's metrics over folds, and whether a test figure is inside.

        Args:
            model: whose predictions of each fold were made without it; or a pattern such as
                "v3_{fold}", which names the model that is judged on each fold.
            column: that says the fold of each sample.
            test: the samples of the test set; with a pattern the mean over its models counts.
            metrics: as `evaluate` has them.
            confidence: of the interval in which one more fold would lie.
            predict: first compute the missing predictions of registered models.

        Raises:
            UnknownModelError: a model has no predictions.
            CheckError: there are fewer than two folds, or a metric is undefined on one.
        """
        from slicedb import sql
        from slicedb.curate.foldrange import fold_range, refuse_no_folds

        refuse_no_folds(self.store, column)
        name = sql.name(column)
        asked = f"SELECT DISTINCT {name} AS fold FROM samples WHERE {name} IS NOT NULL ORDER BY 1"
        folds = self.sql(asked)["fold"].to_pylist()

        def evaluated(one: str, part: Single) -> pa.Table:
            evaluation = self.evaluate(one, part, metrics=metrics, predict=predict, record=False)
            return evaluation.to_arrow()

        named = None if test is None else (test, _title(test))
        return fold_range(model, column, folds, evaluated, named, confidence)

    def leaks(
        self,
        column: str = "split",
        *,
        on: On = None,
        by: Literal["bytes", "hash", "vectors", "both"] = "both",
        group: str | Sequence[str] = (),
        columns: Names = None,
        models: Names = None,
        embedding: str | None = None,
        tag: bool = False,
        seed: int = 0,
    ) -> Leaks:
        """Look for what lies in more than one part of a split, and for what tells the parts.

        Duplicates by bytes, by decoded pixels, by perceptual hash in eight orientations, and by
        vectors; groups; columns and vectors that tell which part a sample is in (adversarial
        validation); and the accuracy of every model with and without the leaked samples.

        Args:
            column: that says the part of each sample.
            on: the samples; by default all that have a part.
            by: how duplicates are told; both is hashes, and vectors where there are any.
            group: columns such as `patient` or `camera` of which no group may cross.
            columns: that might tell the part; by default all.
            models: whose accuracy is told; by default all.
            embedding: by whose vectors; by default the one that queries take.
            tag: tag the leaked samples outside of the largest part with `leak`.
            seed: of permutations.

        Raises:
            CheckError: a column is missing, a group is NULL somewhere, or there are fewer than two
                parts or 30 samples.
        """
        from slicedb.curate.leaks import leaks

        for model in models or ():
            self.models.show(model)  # a misspelt name is told
        return leaks(
            self.store,
            self.engine.session.vectors,
            self.keys(on),
            column,
            by=by,
            group=(group,) if isinstance(group, str) else tuple(group),
            columns=columns,
            models=self._predicted() if models is None else models,
            embedding=self._embedding(embedding),
            tag=self.tag if tag else None,
            seed=seed,
        )

    def drift(
        self,
        a: On = None,
        b: On = None,
        *,
        since: str | None = None,
        columns: Names = None,
        models: Names = None,
        embedding: str | None = None,
        group: str | None = None,
        seed: int = 0,
    ) -> Drift:
        """Compare two sets of samples: columns, what models predict, and vectors.

        Each comparison has an effect size, a p-value by permutation, and one that is adjusted for
        all of them (Benjamini and Hochberg). What is dense in B and not in A comes as a query.

        Args:
            a: the first set: a slice, or a query such as "split = 'train'"; with `since` all that
                is compared.
            b: the second set; by default all samples that are not in A.
            since: a commit: B is what came since then, A what was there, both among `a`.
            columns: of samples; by default all but those that A or B are defined by.
            models: whose predictions are compared; by default all.
            embedding: whose vectors are compared; by default the one that queries take.
            group: a column such as `patient`, whose groups chance does not divide.
            seed: of the permutations.

        Raises:
            CheckError: A and B overlap, one has fewer than 30 samples, or a column is missing.
        """
        from slicedb.curate.drift import drift
        from slicedb.keys import KeyIndex

        if a is None and since is None:
            raise CheckError("Nothing says what the first set is.", "name A, or since= a commit.")
        for model in models or ():
            self.models.show(model)  # a misspelt name is told
        names = (_title(a), _title(b) if b is not None else "all others")
        first = self.keys(a)
        if since is not None:
            then = KeyIndex(self.at(since).keys())
            names = (f"what was there at {since}", f"what came since {since}")
            first, second = first[then.has(first)], first[~then.has(first)]
        elif b is None:
            every = self.keys()
            second = every[~KeyIndex(first).has(every)]
        else:
            second = self.keys(b)
        return drift(
            self.store,
            self.engine.session.vectors,
            first,
            second,
            names,
            columns=columns,
            models=self._predicted() if models is None else models,
            embedding=self._embedding(embedding),
            group=group,
            seed=seed,
        )

    def _predicted(self) -> list[str]:
        """Return the models that have predictions."""
        from slicedb.schema import PREDICTIONS

        tables = self.store.names()
        return [n.removeprefix(PREDICTIONS) for n in tables if n.startswith(PREDICTIONS)]

    def _embedding(self, name: str | None) -> str | None:
        """Return the embedding that is named, else the one that queries take, else None."""
        from slicedb.schema import EMBEDDINGS

        if name is not None:
            self.engine.session.vectors.table(name)  # a misspelt name is told
            return name
        names = [n.removeprefix(EMBEDDINGS) for n in self.store.names() if n.startswith(EMBEDDINGS)]
        return "default" if "default" in names else names[0] if len(names) == 1 else None

    def duplicates(
        self,
        on: On = None,
        *,
        by: Literal["bytes", "hash", "vectors", "both"] = "both",
        name: str = "default",
        bits: int | None = None,
        cosine: float | None = None,
        false_pairs: float = 1e-4,
        prefer: On = None,
        apply: Literal["tag", "delete"] | None = None,
        tag: str = "duplicate",
        conflicts: bool = False,
        progress: Watch = None,
    ) -> Duplicates:
        """Find samples that show the same picture, and say which of each group to keep.

        Identical bytes, perceptual hashes in all eight orientations (mirrored and turned by quarter
        turns), and vectors. Every member of a group is a duplicate of the one to keep. That is the
        one that has a label, lies in test or val, has more pixels, has more bytes, or came first,
        in this order.

        Args:
            on: the samples; by default all of them.
            by: compare bytes only, perceptual hashes, vectors, or both where there are vectors.
            name: of the embedding.
            bits: bits of the 256 of a hash that may differ; by default as many as hashes of
                unrelated samples of these data leave room for.
            cosine: vectors with at least this cosine are duplicates, whatever the pixels say; by
                default nearest neighbours are duplicates if their pixels agree: parts of a picture
                and pictures turned a little.
            false_pairs: the number of unrelated pairs that a default threshold may let expect.
            prefer: samples to keep before all others.
            apply: tag or delete all but the one to keep of each group, in one commit.
            tag: the tag.
            conflicts: also delete from groups whose labels disagree.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: a threshold or an action makes no sense.
            UnknownEmbeddingError: `by` is vectors, and there are none of that name.
        """
        from slicedb.curate import applying, near_pairs
        from slicedb.curate.duplicates import duplicates

        applying.check(apply)
        scope = self._selection.scope(on)
        preferred = None if prefer is None else self.keys(prefer)
        near = near_pairs(
            self.store,
            self.keys(on),
            by=by,
            vectors=self.engine.session.vectors,
            name=name,
            bits=bits,
            cosine=cosine,
            false_pairs=false_pairs,
            show=progress,
        )
        found = duplicates(self.store, near, scope=scope, preferred=preferred)
        found = replace(found, pictures=lambda: self._cards(found.members.slice(0, 24), []))
        if apply is not None:
            found = applying.carry_out(self.store, found, apply, tag, conflicts=conflicts)
        return found

    def labels(
        self,
        model: str,
        on: On = None,
        *,
        kind: Kind = "auto",
        rank: Rank = "auto",
        fold: str | None = None,
        seen: On = None,
        n: int = 10,
        tag: bool = False,
        into: str | None = None,
        answers: Path | None = None,
        stop: float = 0.1,
        block: int = 50,
        progress: Watch = None,
    ) -> LabelErrors:
        """Find labels that are likely wrong, from predictions of a model that did not see them.

        Labels of classifiers are judged by confident learning and ranked by a score; boxes are
        judged one by one: overlooked, badly placed, or swapped. Every finding is a query.

        Args:
            model: whose predictions; with `fold`, what the models of the folds are called in
                front of `_0`, `_1` and so on.
            on: the samples; by default all of them.
            kind: classification, multilabel, detection or segmentation; refuses a model of another
                task.
            rank: what labels are ranked by: posterior, self-confidence, margin, entropy, or
                confident-learning; auto takes the posterior under the noise of the labels where
                errors go to particular classes, else the self-confidence.
            fold: a column of samples such as `fold`: the labels of fold 2 are judged by the model
                `<model>_2`, which was trained on the others.
            seen: samples that the model was trained on, where no commit tells it; asking for any
                of them is refused.
            n: rows that are printed.
            tag: tag the samples of each kind of finding with its name.
            into: write the score of each sample, from 0 for a wrong label to 1, to this column.
            answers: a CSV file with id and verdict (wrong, right, delete or skip), or with id and
                the right label; answers are kept, and their precision is counted.
            stop: the precision below which the next ones are not worth asking about.
            block: answers of the last block, whose precision is held against that.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: no predictions of that model.
            PredictionError: the model was trained on some of the samples, or gave no probabilities.
            CheckError: fewer than 30 samples, or all labels of one class.
        """
        from slicedb.curate import labels

        if fold is None:
            self._begin(model, on, progress)
        scope = self._selection.scope(on)
        report = labels.labels(
            self.store,
            model,
            self.keys(on),
            scope=scope if scope or on is None else None,
            fold=fold,
            kind=kind,
            rank=rank,
            told=None if seen is None else self.keys(seen),
            into=into,
            n=n,
        )
        report = self._answered(report, answers, block, stop)
        for name, keys in report.tags.items() if tag else ():
            if len(keys):
                self.tag(keys, name)
        return report.tagged() if tag else report

    def _answered(
        self, report: LabelErrors, answers: Path | None, block: int, stop: float
    ) -> LabelErrors:
        """Return what is likely wrong with what people said of it, new answers included."""
        import pyarrow as pa

        from slicedb.curate import verdicts

        model, rows = report.model, report.rows.to_pylist()
        if answers is not None:
            known = self.sql("SELECT DISTINCT label FROM samples WHERE label IS NOT NULL")
            names = {*known["label"].to_pylist(), *report.rows["suggested"].to_pylist()}
            said = verdicts.read(answers, rows, sorted(n for n in names if n is not None))
            session = self.clean(report.keys, session=verdicts.session_of(model))
            verdicts.put(self.store, model, said, session)
        words = pa.array(verdicts.words(self.store, model, rows), pa.string())
        at = report.rows.schema.get_field_index("verdict")
        table = report.rows.set_column(at, "verdict", words)
        return replace(report, rows=table, verdicts=verdicts.count(self.store, model, block, stop))

    def quality(self, on: On = None, *, progress: Watch = None) -> Quality:
        """Measure how well pictures can be seen, and report those beyond a cut-off.

        Sharpness, brightness, contrast, entropy, saturation and plain borders become columns
        (quality_sharpness and so on), which any query can use; size and aspect come from width and
        height. Cut-offs are fixed ones, and beside them those that follow from the quartiles of the
        data. Only what is missing is measured, so a call that was interrupted goes on.

        Args:
            on: the samples; by default all of them.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: `on` is a text that is no predicate.
        """
        from slicedb.analysis.shares import check_scope
        from slicedb.curate.quality import quality

        scope = self._selection.scope(on)
        check_scope(scope)
        return quality(self.store, self.keys(on), scope=scope, show=progress)

    def discover(
        self,
        model: str,
        on: On = None,
        *,
        by: Names = None,
        embedding: str | None = None,
        vocabulary: Sequence[str] | Path | None = None,
        truth: str | None = None,
        truth_score: float | None = None,
        measure: Literal["error", "loss"] | None = None,
        group: str | None = None,
        most: int = 10,
        depth: int = 3,
        least: int | None = None,
        confidence: float = 0.95,
        seed: int = 0,
        add: bool = False,
        progress: Watch = None,
    ) -> Discovery:
        """Find out where a model errs more than elsewhere; every finding is a query.

        Conditions on columns, on what pictures show and on regions of the vectors, alone and
        together, are searched on one half of the samples (SliceLine, Sagadeeva and Boehm 2021;
        Domino, Eyuboglu et al. 2022). Every rate, interval and p-value is of the other half.

        Args:
            model: whose errors.
            on: the samples to judge; a slice's name or a predicate becomes part of the queries.
            by: columns to search; by default every column whose values are shared by many samples,
                numbers in quantiles, lists by entry, captions by word.
            embedding: whose vectors are searched; by default the one that queries use, if any.
            vocabulary: phrases that pictures may show, or a file with one per line; by default the
                labels, the tags, and what the encoder's background names.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            measure: whether a sample is right or wrong, or how wrong it is; by default the loss of
                detectors and of regression, and the errors of others.
            group: a column of samples whose groups are independent although the samples within one
                are not, such as the video of a frame.
            most: findings that are looked for.
            depth: conditions of one finding.
            least: samples of the smallest finding; by default 20, or 0.1 % where that is more.
            confidence: level of the intervals, and of the test that all findings share.
            seed: which halves are drawn.
            add: register the confirmed findings as slices that are expected to be as good as all
                samples together.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: the model has no predictions.
            CheckError: fewer than 30 samples can be judged, all are right or of one class, or the
                model was trained on some of them.
        """
        import numpy as np

        from slicedb.curate import discovery, expecting, judged
        from slicedb.curate import vocabulary as words

        self._begin(model, on, progress)
        wanted = judged.Wanted(
            None if by is None else _texts(by), most, depth, least, group, measure, confidence, seed
        )
        other = _other_truth(truth, truth_score)
        samples = judged.judged(self.store, model, self.keys(on), wanted, other)
        judged.refuse_seen(self.store, model, samples.keys)
        session = self.engine.session
        space, phrases, notes = words.looked_at(
            self.store, session.vectors, session.meaning, embedding, vocabulary, samples
        )
        if isinstance(on, np.ndarray):
            notes.append("The samples were given as keys: the queries speak of all samples.")
        report = discovery.discover(
            self.store,
            model,
            samples,
            wanted,
            scope=self._selection.scope(on),
            space=space,
            phrases=phrases,
            notes=notes,
            progress=progress,
        )
        if not add or not report.confirmed:
            return report
        expect = expecting.expectation(self.store, model, samples.keys, other)
        return expecting.registered(self.slices, report, expect, group or "")

    def sample(
        self,
        n: int = 100,
        *,
        on: On = None,
        model: str | None = None,
        strategy: Strategy = "auto",
        per_slice: Mapping[str, int] | None = None,
        cost: str | None = None,
        budget: float | None = None,
        embedding: str | None = None,
        seed: int = 0,
    ) -> Picks:
        """Choose what to label next, in which order, and say why.

        Typical samples first, while there are fewer than ten labels a class; then those of which a
        model, or a linear classifier on the vectors, is least sure, spread over the vectors.

        Args:
            n: how many, at most.
            on: the samples to choose from; by default those without label, labels and boxes.
            model: whose predictions say what is uncertain; by default a classifier on the vectors.
            strategy: typical, margin, entropy, diverse (the farthest from all before) or random.
            per_slice: at least so many of each slice, chosen first.
            cost: a column of samples with what labelling each one costs; gain per cost decides.
            budget: what all of them may cost.
            embedding: whose vectors; by default the one that queries take.
            seed: of what is drawn.

        Raises:
            CheckError: no samples to choose from, no vectors and no model, or a cost that is none.
            PredictionError: the model gives no margins.
        """
        from slicedb.curate import sampling

        quotas = {name: (k, self.keys(name)) for name, k in (per_slice or {}).items()}
        wish = sampling.Wish(n, strategy, model, quotas, cost, budget, seed)
        pool = self.keys(sampling.UNLABELLED if on is None else on)
        vectors = self.engine.session.vectors
        return sampling.sample(self.store, pool, wish, vectors, self._embedding(embedding))

    def show(
        self,
        id: str,
        *,
        neighbours: int = 5,
        embedding: str | None = None,
        remote: bool = True,
    ) -> Sheet:
        """Gather everything that is known about one sample; what it gives shows itself.

        Its columns, annotated boxes and label map, what every model says of it, the slices that it
        is in, the nearest samples, and its edits. What cannot be told, such as the members of a
        broken slice, is noted.

        Args:
            id: the sample, which may be a broken one.
            neighbours: how many nearest samples, 0 for none.
            embedding: whose vectors tell the nearest; by default the one that queries take.
            remote: also fetch a picture that lies in a bucket or on a web server; otherwise it
                counts as one that cannot be read.

        Raises:
            UnknownSampleError: there is no such sample.
        """
        from slicedb.analysis.sheet import sheet

        if neighbours < 0:
            raise CheckError(f"neighbours={neighbours} is negative.", "take 0 for none.")
        name = self._embedding(embedding)
        return sheet(self.store, id, self.query, self.slices, neighbours, name, remote=remote)

    def thumbnails(self, on: On = None, *, side: int = 160, remote: bool = True) -> Thumbnails:
        """Return small JPEGs of samples, made once and kept in the cache folder of the database.

        They are displayed upright, and known by their picture's sha256. The cache takes at most 1
        GiB of disk, those used longest ago make room, and it may be deleted at any time. A broken
        picture gets a gray one with a cross, and is counted.

        Args:
            on: the samples, such as a query, a slice or their keys; by default all.
            side: pixels that the longer side has at most, from 8 to 2048.
            remote: also fetch pictures that lie in a bucket or on a web server; otherwise those
                that the cache lacks count as broken.

        Raises:
            CheckError: the side is out of range.
        """
        from slicedb.store.thumbnails import thumbnails

        return thumbnails(self.store, self.keys(on), side, remote=remote)

    def export(self, on: On, dest: Path, *, form: str | None = None) -> ExportReport:
        """Write samples and their metadata to files: all of them, or nothing at that place.

        Args:
            on: the samples; their order is kept.
            dest: a new folder, or a file ending in .csv, .parquet, .json (COCO) or .tar
                (WebDataset).
            form: format to write: folder, copy, csv, parquet, coco, voc, yolo, huggingface,
                label-studio, webdataset or masks; by default the ending of `dest` decides.

        Returns:
            How many were written, and notes on what the format has no room for.

        Raises:
            SliceDBError: an unknown format or ending, or a destination that exists already or
                cannot be written.
        """
        from slicedb.export import export

        return export(self.store, self.keys(on), dest, form=form)

    def doctor(self, *, mend: bool = False, deep: bool = False) -> list[Finding]:
        """Look for fragmented, orphaned, doubled, lost and left-over data, and for poor indexes.

        Args:
            mend: repair what can be repaired without loss.
            deep: also read every file and compare it with the checksum it had when it was written.
        """
        from slicedb.doctor import DAMAGE, examine
        from slicedb.judge.aligned import forget
        from slicedb.predictions.stale import stale_truths
        from slicedb.predictions.superseded import stale_pictures
        from slicedb.vectors.recall import poor_indexes

        forget(self.store)  # what evaluations keep would double what this takes
        findings = examine(self.store, mend=mend, deep=deep)
        findings += stale_truths(self.store, mend=mend)
        findings += stale_pictures(self.store, mend=mend)
        if any(f.problem in DAMAGE for f in findings):
            return findings  # an index can only be measured against whole vectors
        return findings + poor_indexes(self.store, self.engine.session.approximate, mend=mend)

    def cleanup(self, days: float = 14, *, dry_run: bool = False) -> int:
        """Remove old versions that no commit and no frozen slice keeps; return the bytes freed.

        Args:
            days: keep versions younger than this; the newest version of each table always stays.
            dry_run: only report how much would be freed.
        """
        from datetime import timedelta

        return self.store.cleanup(timedelta(days=days), dry_run=dry_run)

    # --- queries and slices -------------------------------------------------------------------

    @cached_property
    def slices(self) -> Slices:
        """The registry of slices; their texts may not name local files."""
        from slicedb.slices import Slices

        return Slices(
            self.store,
            lambda text: self.engine.query(text, files=False),
            past=lambda commit: self.at(commit).slices,
            looks=self._looks,
        )

    def _looks(self, s: Slice) -> str:
        from slicedb.runs.looks import shown

        return shown(self.store, s)

    @cached_property
    def engine(self) -> Engine:
        """What answers queries; see `open` for what they may take and read."""
        # From Python 3.12 on, two threads that ask first may both run a cached property: `cancel`
        # would know of the runs of one engine alone.
        with _ENGINES:
            engine: Engine = self.__dict__.get("engine") or self._new_engine()
            self.__dict__["engine"] = engine
            return engine

    def _new_engine(self) -> Engine:
        from slicedb.query import Engine

        return Engine(
            self.store,
            timeout=self._settings["timeout"],
            memory_limit=self._settings["memory"],
            result=self._settings["result"],
            queue=self._queue,
            slice_named=lambda name: self.slices.definitions.text_or_keys(name),
            calibration_named=lambda name: self.slices.definitions.calibrated(name),
            allow_files=self._settings["files"],
            to_torch=self._to_torch,
            overlays=self._overlays,
        )

    @cached_property
    def _queue(self) -> Queue:
        """Where queries wait for a place; earlier moments of the database wait in the same."""
        from slicedb.query.run.queue import Queue, at_once_of

        return Queue(at_once_of(self._settings["at_once"]))

    def request(
        self,
        *,
        timeout: float | None = None,
        memory: str | None = None,
        client: str = "",
        files: bool = True,
    ) -> Request:
        """Return what bounds the queries of one caller together, and cancels them together.

        `with db.request(timeout=5) as request:` holds for all that the thread asks inside, also
        for verbs that ask queries, such as `db.show`. `request.cancel()`, from any other thread,
        ends what runs of it, and the queries of others go on.

        Args:
            timeout: seconds from now until which everything has to be done, waiting included.
            memory: what one query may take, such as "1GB", or "25%" of what the database allows.
                It is what the process grows by while the query runs.
            client: who asks, such as the name of a session. A named client runs at most half of
                what may run at once, and has at most 32 queries waiting.
            files: False lets no text inside read a file by `image('file')`.

        Raises:
            OptionError: a bound is no number of seconds, or no size.
        """
        from slicedb.query import Request

        return Request(timeout=timeout, memory=memory, client=client, files=files)

    def cancel(self) -> int:
        """Cancel every query that runs now, from another thread.

        Each raises a `QueryCancelledError` where it was asked; later queries are not touched.

        Returns:
            The number of queries that were running.
        """
        return self.engine.cancel() + sum(db.cancel() for db in self._moments.values())

    @cached_property
    def _selection(self) -> Selection:
        from slicedb.selection import Selection

        return Selection(self.store, self.slices, self.query)

    def query(
        self,
        text: str = "",
        params: Params | None = None,
        *,
        at: str | None = None,
        approximate: bool = False,
        timeout: float | None = None,
        memory: str | None = None,
        files: bool | None = None,
    ) -> Query:
        """Parse and bind a query; no row is read until one is asked for.

        Args:
            text: a predicate or a SELECT. `AT 'commit'` at its end is the same as `at`.
            params: values of `$name` (a dictionary) or of `?` and `$1` (a list) in the text; in
                `image($name)` a picture: encoded bytes, a Pillow image, or uint8 (h, w, 3).
            at: query an earlier commit, tag or branch instead of the present state.
            approximate: let `ORDER BY similarity(...) DESC LIMIT k` without conditions use the
                approximate index, see `index`; everything else is exact.
            timeout: seconds that each verb of the query may take, 0 is no limit; by default as the
                database was opened.
            memory: what each verb of the query may take, such as "1GB", or "25%" of what the
                database allows.
            files: whether the text may read pictures by `image('file')`; by default as the database
                was opened; where that was files=False, True does not change it.

        Raises:
            QueryError: with the line, the column and the token.
            DatabaseError: there is no such commit.
            OptionError: `timeout` is negative, or `memory` is no size.
        """
        from slicedb.query import Request

        request = Request(seconds=timeout, memory=memory)
        allowed = self._settings["files"] and files is not False
        return self._asked(text, params, at, allowed, approximate=approximate, request=request)

    def sql(self, text: str, params: Params | None = None, *, at: str | None = None) -> pa.Table:
        """Answer any SELECT as an Arrow table.

        Args:
            text: a SELECT or a predicate; it may not name local files.
            params: values of `$name` or of `?` in the text, see `query`.
            at: query an earlier commit, tag or branch instead of the present state.
        """
        from slicedb.show.ipython import show_tables

        show_tables()
        return self._asked(text, params, at, files=False).to_arrow()

    def _asked(
        self,
        text: str,
        params: Params | None,
        at: str | None,
        files: bool | None = None,
        approximate: bool = False,
        request: Request | None = None,
    ) -> Query:
        from slicedb.query.language.parameters import Filled, filled
        from slicedb.query.language.text import split_at

        pictures: list[HandedIn] = []
        whole = Filled(text, text) if params is None else filled(text, params, pictures)
        asked, written = split_at(whole.text)
        if at and written and self.commits.get(at).id != self.commits.get(written).id:
            raise QueryError(
                f"The text asks AT '{written}', and at= is '{at}'.", "name one.", text=text
            )
        commit = written or at
        engine = (self.at(commit) if commit else self).engine
        try:
            return engine.query(
                asked, files=files, approximate=approximate, request=request, pictures=pictures
            )
        except QueryError as error:
            whole.place_back(error)  # and not at a value, or in a text that lacks its AT
            raise

    def check(self, text: str, params: Params | None = None, *, at: str | None = None) -> Problems:
        """Return what is wrong with a query text, with its places, instead of raising it.

        Nothing is read but names and types; what only a row can show is found when it runs.

        Args:
            text: a predicate or a SELECT, finished or not.
            params: values of `$name` or of `?` in the text, see `query`.
            at: the commit, tag or branch that it would ask, see `query`.

        Returns:
            Nothing in it where the text may be asked; it is then false.
        """
        from slicedb.query.editor.problems import problems

        return problems(text, lambda: self.query(text, params, at=at))

    def complete(self, text: str, place: int | None = None, *, most: int = 50) -> Completions:
        """Return what may stand at a place of a query text, the likeliest first.

        Columns with their types, models and their columns, functions with their signatures, slices,
        commits, the commonest values of a column behind `=` or `IN (`, and words of SQL. The text
        may be unfinished or wrong.

        Args:
            text: a predicate or a SELECT, as far as it is written.
            place: characters before the place; by default it is the end.
            most: how many are returned.

        Raises:
            CheckError: there is no such place, or `most` is below 1.
        """
        from slicedb.query.editor.completion import completions

        return completions(text, len(text) if place is None else place, self.names(), most)

    def names(self) -> Nameable:
        """Return what a query text may name: columns, models, slices, values of a column."""
        from slicedb.query.editor.names import Names

        def slices() -> list[tuple[str, str]]:
            return [(s.name, s.text) for s in self.slices.list()]

        def commits() -> list[tuple[str, str]]:
            listed = self.commits.history()
            tags = [(tag, commit.message) for commit in listed for tag in commit.tags]
            branches = [(branch, "branch") for branch in self.commits.branches()]
            return [*tags, *branches, *((commit.id, commit.message) for commit in listed)]

        return Names(self.engine, slices, commits)

    def keys(self, on: On = None) -> np.ndarray:
        """Return the int64 keys of what `on` names, in its order."""
        return self._selection.keys(on)

    def apply(self, folder: Path, *, dry_run: bool = False) -> list[Applied]:
        """Register the slice files of a folder, and return what changed.

        Args:
            folder: a folder of .sql files, or one of them.
            dry_run: only report what would change.
        """
        return self.slices.apply(folder, dry_run=dry_run)

    @cached_property
    def columns(self) -> Columns:
        """The computed columns: `db.columns.add("num_people", "count_objects('person')")`."""
        from slicedb.slices.columns import Columns

        return Columns(self.store, lambda text: self.engine.query(text, files=False))

    # --- versions -----------------------------------------------------------------------------

    @cached_property
    def commits(self) -> Commits:
        """The commits: `commit`, `history`, `branch`, `checkout`, `reset`, `diff`, `tag`."""
        from slicedb.commits import Commits

        return Commits(self.store)

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table under one id.

        Args:
            message: what changed.
            tag: a name for the commit.
        """
        return self.commits.commit(message, tag=tag)

    def at(self, commit: str) -> Self:
        """Return the database as it was at a commit: every verb that reads works on it.

        Queries, definitions and members of slices, predictions and embeddings are as they were
        then; nothing made later is visible, and nothing can be written.

        Args:
            commit: an id or the start of one, a tag, or a branch.

        Raises:
            DatabaseError: there is no such commit.
        """
        from slicedb.store import Past

        known = self.commits.get(commit)
        title = commit if commit in known.tags else known.id
        past = Past(self.store, known.tables, title)
        return self._moments.get(f"{known.id} {title}", lambda: self._before(past))

    def _before(self, past: Past) -> Self:
        """Return an earlier moment: with the same bounds, in the same queue."""
        before = type(self)(past, **self._settings)
        before.__dict__["_queue"] = self._queue
        return before

    def diff(self, before: str | None = None, after: str | None = None) -> Difference:
        """Compare two commits: samples added, removed and relabelled, and the slices' members.

        Args:
            before: a commit; by default the last one.
            after: a commit; by default the present state.
        """
        from slicedb.slices.moves import moves

        difference = self.commits.diff(before, after)
        old = self.at(before if before is not None else "HEAD")
        new = self.at(after) if after is not None else self
        return replace(difference, slices=moves(new.store, old.slices, new.slices))

    # --- models -------------------------------------------------------------------------------

    @cached_property
    def models(self) -> Models:
        """The registry of models."""
        from slicedb.models import Models
        from slicedb.slices.model_names import rename_model

        return Models(
            self.store,
            lambda name: self.commits.get(name).id,
            lambda: self.runs.list(),
            lambda old, new: rename_model(self.store, old, new),
        )

    def predict(
        self,
        model: str,
        on: On | Iterable[On] = None,
        *,
        source: Model | None = None,
        batch_size: int | None = None,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
    ) -> PredictReport:
        """Compute missing and stale predictions in one batched pass; an interrupted run resumes.

        Args:
            model: the registered name.
            on: the samples to predict; the union of several slices or queries.
            source: the model itself, instead of the registered one.
            batch_size: images per batch; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one;
                several with commas (cuda:0,cuda:1) share the work, a process each.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: ray, which starts Ray on this machine or takes the cluster of RAY_ADDRESS;
                ray@HOST:PORT and ray://HOST:PORT name a running one. The same files and packages
                are needed on all of its machines.

        Raises:
            UnknownModelError: no model of that name.
            PredictionError: the name belongs to predictions made elsewhere.
        """
        from slicedb.models.elsewhere import code_of
        from slicedb.predictions import predict

        crew, device = self._crew(engine, workers, device, threads, progress)
        if crew is not None and source is not None:
            raise CheckError(
                "source= is an object of this process, and others cannot load it.",
                "register it as path/to/file.py:factory, or leave out workers= and engine=.",
            )
        code = None if crew is None else code_of(self.models.show(model))
        report = predict(
            self.store,
            model,
            source if source is not None else self.models.get(model),
            self._selection.union(on),
            batch_size=batch_size,
            device=device,
            threads=threads,
            progress=progress,
            crew=crew,
            code=code,
        )
        self.store.sync()
        self.columns.refresh()
        return report

    @overload
    def try_out(
        self,
        model: str,
        image: Picture,
        *,
        neighbours: int | None = None,
        embedding: str = "default",
        cam: str | None = None,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        save: str | None = None,
        progress: Watch = None,
    ) -> Tryout: ...

    @overload
    def try_out(
        self,
        model: str,
        image: Iterable[Picture],
        *,
        cam: str | None = None,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        progress: Watch = None,
    ) -> Tryouts: ...

    def try_out(
        self,
        model: str,
        image: Picture | Iterable[Picture],
        *,
        neighbours: int | None = None,
        embedding: str = "default",
        cam: str | None = None,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        save: str | None = None,
        progress: Watch = None,
    ) -> Tryout | Tryouts:
        """Try a model on one picture: what it says, with a map or boxes, and the nearest samples.

        Several pictures are predicted in batches, with one row and one map each. Nothing is stored.

        Args:
            model: a registered model.
            image: a path, encoded bytes, a Pillow image, uint8 (h, w, 3), or several of them.
            neighbours: nearest samples to show, 0 for none; by default 5 where there is an
                embedding.
            embedding: the embedding that says what is near.
            cam: save what the model looked at (Grad-CAM) as this picture, of several pictures in
                this folder; "" only returns it.
            target: the class that the map explains; by default the predicted one.
            method: one of `slicedb.cam.METHODS`: gradcam, eigencam, layercam, ...
            layer: the layer to explain, instead of the one that is found automatically.
            save: save the picture as this file, with the boxes of a detector drawn on it, or the
                classes of a segmenter.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: no model of that name.
            ModelError: a map is asked for and the model is no classifier, or has no layer to
                explain; or boxes are, and it is one.
            MediaError: the picture does not decode.
            CheckError: `target` is no class, there is no such embedding, the map cannot be
                saved, or nearest samples or a picture to save are asked for several pictures.
        """
        from slicedb.analysis.tryout import try_out
        from slicedb.analysis.tryouts import try_several
        from slicedb.models.trying import is_one

        known = self.models.get(model)
        if not is_one(image):
            several = cast("Iterable[Picture]", image)
            if neighbours or save is not None:
                asked = "--neighbours (neighbours=)" if neighbours else "--save (save=)"
                raise CheckError(f"{asked} is for one picture.", "name one of them at a time.")
            return try_several(
                known,
                several,
                cam=cam,
                target=target,
                method=method,
                layer=layer,
                progress=progress,
            )
        return try_out(
            self.store,
            known,
            image,
            self.sql,
            neighbours=neighbours,
            embedding=embedding,
            cam=cam,
            target=target,
            method=method,
            layer=layer,
            save=save,
        )

    def log_predictions(
        self,
        model: str,
        data: pa.Table | pd.DataFrame | Path | None = None,
        *,
        classes: Names = None,
        annotations: Path | None = None,
        id_column: str = "id",
        prefix: str = "",
        replace: bool = False,
        target: str | None = None,
        multilabel: bool = False,
        confidence: float | None = None,
        looked_at: On = None,
    ) -> LogReport | PredictionLog:
        """Store predictions made elsewhere.

        With `data` they are stored at once; without it, a context manager is returned whose
        `add(ids, logits=...)`, `add(ids, detections=...)` or `add(ids, value=...)` collects them.
        The columns that a table may have are described at `slicedb.predictions.log`.

        Args:
            model: the name to log under.
            data: an Arrow table, a pandas frame, or a CSV, Parquet or COCO results file.
            classes: class names in the order of the probabilities; by default the labels.
            annotations: COCO's annotation file, which says what the numbers of its results mean.
            id_column: the column with the ids.
            prefix: text to put before every id, such as the folder that the file names leave out.
            replace: discard what was logged under this name before.
            target: the column of samples that a regression's value predicts; by default the label.
            multilabel: the probabilities belong to labels that do not exclude one another.
            confidence: score above which a box, or one of several labels, counts; by default 0.5.
            looked_at: the samples that a detector looked at. Those without a box in the data count
                as "nothing found"; by default nothing is known of them, and they are left out.

        Raises:
            PredictionError: an unknown id or class, a value that is no probability, a box of
                negative size, or a sample that comes twice; with the place.
        """
        from slicedb.predictions import PredictionLog, log

        if data is None:
            return PredictionLog(
                self.store,
                model,
                classes=classes,
                replace=replace,
                target=target,
                multilabel=multilabel,
                confidence=confidence,
            )
        report = log(
            self.store,
            model,
            data,
            classes=classes,
            annotations=annotations,
            id_column=id_column,
            prefix=prefix,
            replace=replace,
            target=target,
            multilabel=multilabel,
            confidence=confidence,
            looked_at=None if looked_at is None else self._selection.ids(looked_at),
        )
        self.columns.refresh()
        return report

    def cam(
        self,
        model: str,
        on: On | Iterable[On] = None,
        *,
        target: str = "prediction",
        method: str = "gradcam",
        layer: str | None = None,
        batch_size: int = 32,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
    ) -> CamReport:
        """Store what a model looked at in `cams__<model>`; only missing maps are computed.

        Args:
            model: the registered name.
            on: the samples.
            target: explain the prediction, the label, or the class of this name.
            method: one of `slicedb.cam.METHODS`: gradcam, eigencam, layercam, ...
            layer: the layer to explain, instead of the one that is found automatically.
            batch_size: images per batch.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one;
                several with commas (cuda:0,cuda:1) share the work, a process each.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: ray, which starts Ray on this machine or takes the cluster of RAY_ADDRESS;
                ray@HOST:PORT and ray://HOST:PORT name a running one. The same files and packages
                are needed on all of its machines.

        Raises:
            ModelError: the model is no classifier, or has no layer to explain.
            CheckError: `target` is no class of the model.
        """
        from slicedb.cam import cam
        from slicedb.cam.overlays import gallery
        from slicedb.models.elsewhere import code_of

        crew, device = self._crew(engine, workers, device, threads, progress)
        keys = self._selection.union(on)
        report = cam(
            self.store,
            model,
            self.models.get(model),
            keys,
            target=target,
            method=method,
            layer=layer,
            batch_size=batch_size,
            device=device,
            threads=threads,
            progress=progress,
            crew=crew,
            code=None if crew is None else code_of(self.models.show(model)),
        )
        self.store.sync()
        return replace(report, pictures=lambda: gallery(self.store, model, keys))

    @cached_property
    def cams(self) -> StoredCams:
        """The stored maps: `db.cams.overlay('a.jpg', 'food_v3')` is a picture."""
        from slicedb.cam import StoredCams

        return StoredCams(self.store)

    def _to_torch(self, keys: np.ndarray, **options: Any) -> SliceDataset:
        from slicedb.training import to_torch

        return to_torch(self.store, keys, **options)

    def _overlays(self, model: str, keys: np.ndarray, side: int) -> list[Image.Image | None]:
        from slicedb.cam import overlays

        return list(overlays(self.store, model, keys, side=side))

    # --- judging ------------------------------------------------------------------------------

    def evaluate(
        self,
        models: str | Sequence[str],
        slices: Several = None,
        *,
        on: Several = None,
        metrics: Names = None,
        per_class: bool = False,
        confidence: float = 0.95,
        group: str | None = None,
        bootstrap: Literal["percentile", "bca"] | None = None,
        truth: str | None = None,
        truth_score: float | None = None,
        predict: bool = True,
        at: str | None = None,
        record: bool = True,
    ) -> Evaluation:
        """Return the slice × model table of metrics with intervals.

        Args:
            models: one name or several.
            slices: slices to evaluate: names, query texts or queries; by default all samples
                together, then every registered slice.
            on: another name of `slices`, as in every other verb.
            metrics: metrics by name, also of one class ("recall of cat"); by default accuracy for
                classifiers, mAP for detectors, the mean absolute error for regression, F1 for
                multi-label models.
            per_class: add one row per class, for metrics that are defined for one class.
            confidence: level of the two-sided intervals.
            group: a column of samples whose groups are independent although the samples within one
                are not, such as the video of a frame; whole groups are then resampled.
            bootstrap: use bootstrap intervals, percentile or bca, instead of the formulas.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            predict: first compute the missing predictions of registered models.
            at: use an earlier commit, tag or branch; nothing is predicted then.
            record: record the evaluation in `runs`, for the lineage of registered models.

        Raises:
            UnknownModelError: a model has no predictions.
            CheckError: there is no such metric, or the truth is not what the model predicts.
        """
        slices = _either(slices, on)
        from slicedb.judge import evaluate
        from slicedb.judge.evaluation import asked_metric
        from slicedb.runs import record_evaluation

        for text in metrics or ():
            asked_metric(text)  # a misspelt name is told before anything is predicted
        past = self if at is None else self.at(at)
        names = [models] if isinstance(models, str) else list(models)
        other = _other_truth(truth, truth_score)
        members = past._selection.members(slices)
        if predict and past is self:
            self._fill([*names, *([truth] if truth else [])], members.values())
        evaluation = evaluate(
            past.store,
            names,
            members,
            metrics=metrics,
            per_class=per_class,
            confidence=confidence,
            group=group,
            bootstrap=bootstrap,
            truth=other,
            scopes=list(past._selection.predicates(slices).values()) if other else (),
        )
        return record_evaluation(
            past.store,
            evaluation,
            names,
            members,
            past._selection.registered(slices),
            always=record and any(name in self.models for name in names),
        )

    def compare(
        self,
        a: str,
        b: str,
        slices: Several = None,
        *,
        on: Several = None,
        confidence: float = 0.95,
        correction: Literal["max-t", "holm", "benjamini-hochberg", "none"] = "max-t",
        group: str | None = None,
        truth: str | None = None,
        truth_score: float | None = None,
        predict: bool = True,
        at: str | None = None,
    ) -> Comparison:
        """Compare two models slice by slice: wins, losses, ties, difference, p, flipped samples.

        Of two detectors wins and losses are annotated boxes that one of them finds alone, and the
        difference is that of their recall; whole images are resampled.

        >>> db.compare("v3", "v4", slices=["night"]).query("night", "lost")  # doctest: +SKIP
        "in_slice('night') AND v4.correct AND NOT v3.correct"

        Args:
            a: a model; differences are its accuracy minus that of `b`.
            b: another one.
            slices: slices to evaluate: names, query texts or queries; by default all samples
                together, then every registered slice.
            on: another name of `slices`, as in every other verb.
            confidence: level of the two-sided score intervals.
            correction: how to correct for the number of slices: max-t if slices share samples, the
                others for any.
            group: a column of samples whose groups are independent although the samples within one
                are not.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            predict: first compute the missing predictions of registered models.
            at: use an earlier commit, tag or branch; nothing is predicted then.

        Raises:
            UnknownModelError: a model has no predictions.
            CheckError: there is no such column, or the models are neither classifiers nor
                detectors.
        """
        slices = _either(slices, on)
        from slicedb import judge

        past = self if at is None else self.at(at)
        members = past._selection.members(slices)
        if predict and past is self:
            self._fill([a, b, *([truth] if truth else [])], members.values())
        task = judge.load(past.store, a, light=True).task.name
        special = {"detection": judge.compare_boxes, "segmentation": judge.compare_pixels}
        compare = special.get(task, judge.compare)
        return compare(
            past.store,
            a,
            b,
            members,
            scopes=past._selection.predicates(slices),
            confidence=confidence,
            correction=correction,
            group=group,
            truth=_other_truth(truth, truth_score),
        )

    def power(
        self,
        a: str,
        b: str,
        slices: Several = None,
        *,
        on: Several = None,
        drop: float = 0.02,
        power: float = 0.8,
        confidence: float = 0.95,
    ) -> Power:
        """Compute how many images it takes to detect a drop of one model against another.

        Of two detectors it is a drop of recall over boxes.

        Args:
            a: a model with predictions.
            b: the model that it is compared with.
            slices: slices to evaluate: names, query texts or queries; by default all samples
                together, then every registered slice.
            on: another name of `slices`, as in every other verb.
            drop: the drop in accuracy to detect, in (0, 1).
            power: the fraction of such drops to detect.
            confidence: level of the one-sided test of one slice alone.

        Raises:
            UnknownModelError: a model has no predictions.
        """
        slices = _either(slices, on)
        from slicedb import judge

        members = self._selection.members(slices)
        for model in (a, b):
            self._begin(model)
        detectors = judge.are_detectors(self.store, a, b)
        compute = judge.power_of_boxes if detectors else judge.power
        return compute(self.store, a, b, members, drop=drop, power=power, confidence=confidence)

    def confusion(
        self,
        model: str,
        on: On = None,
        *,
        top: int = 20,
        truth: str | None = None,
        truth_score: float | None = None,
        at: str | None = None,
    ) -> Confusion:
        """Return the confusion matrix of a model over a slice; of a detector, in boxes.

        Args:
            model: whose predictions.
            on: the samples to evaluate; by default all of them.
            top: classes that are shown, those with the most mistakes; the counts are of all.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            at: use an earlier commit, tag or branch.
        """
        from slicedb.judge import confusion

        past = self if at is None else self.at(at)
        past._begin(model, on)
        matrix = confusion(
            past.store,
            model,
            past.keys(on),
            truth=_other_truth(truth, truth_score),
            scope=past._selection.scope(on),
        )
        return replace(matrix, top=top)

    def errors(
        self,
        model: str,
        on: On = None,
        *,
        by: Sequence[str] = ("label",),
        sure: float = 0.9,
        unsure: float | None = None,
        n: int = 20,
        slices: Names = None,
        confidence: float = 0.95,
        truth: str | None = None,
        truth_score: float | None = None,
        tag: bool = False,
    ) -> Mistakes | BoxMistakes | PixelMistakes:
        """Review a model's mistakes; every finding is a query that can be named as a slice.

        A classifier's are sorted by how sure it was, a detector's into the six kinds of TIDE:
        missed, extra, wrong class, badly placed, both, and double. Of a segmenter they are classes,
        confused pairs, and pictures that miss a class, invent one, or are poor.

        Args:
            model: whose predictions.
            on: the samples to review; a slice's name or a predicate becomes part of the queries.
            by: columns whose values are reviewed as if they were slices; by default the label.
            sure: confidence above which a mistake counts as confident.
            unsure: confidence below which a prediction counts as unsure; by default 0.5, or 0.6
                for two classes, of which one always has half or more.
            n: number of rows of the top losses and of the confused pairs.
            slices: slices whose share of the errors is shown; by default all registered ones.
            confidence: level of the intervals.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            tag: tag the samples of each finding with its name.

        Raises:
            CheckError: `unsure` is above `sure`, or `on` is a text that is no predicate.
        """
        from slicedb import analysis
        from slicedb.judge import load

        self._begin(model, on)
        names = [s.name for s in self.slices.list()] if slices is None else slices
        keys = None if on is None else self.keys(on)
        about: dict[str, Any] = {
            "scope": self._selection.scope(on),
            "slices": {name: self.keys(name) for name in names},
            "n": n,
            "confidence": confidence,
            "truth": _other_truth(truth, truth_score),
        }
        mistakes: Mistakes | BoxMistakes | PixelMistakes
        columns = [c for c in by if c != "label"]  # boxes and pixels have labels, not the sample
        task = load(self.store, model, light=True).task.name
        if task == "detection":
            mistakes = analysis.box_errors(self.store, model, keys, by=columns, **about)
        elif task == "segmentation":
            mistakes = analysis.pixel_errors(self.store, model, keys, by=columns, **about)
        else:
            mistakes = analysis.errors(
                self.store, model, keys, by=by, sure=sure, unsure=unsure, **about
            )
        shown = [model, *([truth] if truth in [m.name for m in self.models.list()] else [])]
        mistakes = replace(mistakes, pictures=lambda: self._cards(mistakes.top, shown))
        for finding in mistakes.findings if tag else ():
            if len(finding.keys):
                self.tag(finding.keys, finding.name)
        return mistakes

    def clean(
        self,
        on: On = None,
        *,
        model: str | None = None,
        n: int | None = None,
        session: str = "clean",
        again: bool = False,
    ) -> Cleaner:
        """Go through samples one by one: `for case in db.clean(model="v3")`, then `save()`.

        `case.keep()`, `case.relabel("dog")` and `case.delete()` are written down and change
        nothing until `save` carries all of them out in one commit; `undo` takes the last one back.
        A session that was interrupted goes on where it stopped.

        Args:
            on: the samples, in their order; by default those that the model has wrong, or all.
            model: show what this model says; by default its mistakes, the largest losses first.
            n: look at no more than so many.
            session: the name under which decisions are kept.
            again: also show samples that were kept before in a session of this name.

        Raises:
            UnknownModelError: no predictions of that model.
            ModelError: the session has a name that cannot be one.
        """
        from slicedb import sql
        from slicedb.analysis import Cleaner
        from slicedb.judge import load
        from slicedb.schema import PREDICTIONS

        if model is not None:
            load(self.store, model)  # a misspelt name is told
        if on is None and model is not None:
            name = sql.name(model)
            # Numbers and label maps are not right or wrong, only more or less so.
            is_wrong = "correct" in self.store.schema(PREDICTIONS + model).names
            wrong = f"NOT {name}.correct" if is_wrong else f"{name}.loss > 0"
            on = f"{wrong} ORDER BY {name}.loss DESC, id"
        return Cleaner(
            self.store,
            self.keys(on),
            session,
            self.commits,
            model=model,
            again=again,
            most=n,
        )

    def _cards(self, rows: pa.Table, models: Sequence[str]) -> Html:
        """Return the pictures of rows with ids, with what models say of them."""
        from slicedb.query import cards
        from slicedb.schema import keys_of

        return cards.cards(self.store, keys_of(rows["id"].to_pylist()), models)

    def cost(
        self,
        model: str,
        on: On = None,
        *,
        matrix: Costs | None = None,
        column: str | None = None,
        positive: str | None = None,
        false_positive: Price = 1.0,
        false_negative: Price = 1.0,
        ask: Price | None = None,
        human: Price | None = None,
        slices: str | Sequence[str] = (),
        calibrate: bool = False,
        folds: int = 10,
        confidence: float = 0.95,
        seed: int = 0,
        truth: str | None = None,
    ) -> CostReport:
        """Compute what the mistakes of a model cost, and which threshold is cheapest.

        Whatever is fitted (a threshold, a temperature, how much to ask) is evaluated on samples
        that it was not fitted on. The threshold is smoothed wherever held-out samples do not pay
        more for it, and stands with its error rates and what it costs above the best there is.

        Args:
            model: whose predictions and probabilities.
            on: the samples to evaluate; by default all of them.
            matrix: cost of each truth (rows) and decision (columns): a CSV file, a table, or
                nested lists; by default a mistake costs 1.
            column: a column of samples by which the costs of each sample are multiplied.
            positive: decide this class against the rest, by a threshold.
            false_positive: cost of a wrong yes, or a column that holds it.
            false_negative: cost of a wrong no, or a column that holds it.
            ask: cost of asking a person, or a column that holds it.
            human: how well a person does: a column of labels, a logged model, or a cost per sample.
            slices: slices to evaluate one by one, besides the whole.
            calibrate: also evaluate the cheapest decisions after calibration (see `calibration`).
            folds: number of folds for fitting thresholds and evaluating them on the other samples.
            confidence: level of every interval.
            seed: seed of the folds.
            truth: judge against this in place of the label: a model with predictions, or a column
                of samples such as a second annotator's answers.

        Raises:
            ClassesError: the matrix, `positive` or the labels do not fit the classes.
            CheckError: a cost is negative or not a number, or options exclude each other.
        """
        from slicedb import decide

        self._begin(model, on)
        names = [slices] if isinstance(slices, str) else slices
        return decide.cost(
            self.store,
            model,
            None if on is None else self.keys(on),
            matrix=matrix,
            column=column,
            positive=positive,
            false_positive=false_positive,
            false_negative=false_negative,
            ask=ask,
            human=human,
            slices={name: self.keys(name) for name in names},
            calibrate=calibrate,
            folds=folds,
            confidence=confidence,
            seed=seed,
            truth=_other_truth(truth, None),
        )

    def calibration(
        self,
        model: str,
        on: On = None,
        *,
        folds: int = 5,
        bins: int = 15,
        binning: Literal["width", "mass"] = "width",
        seed: int = 0,
        truth: str | None = None,
    ) -> Calibration:
        """Show calibration before and after temperature scaling, on held-out rows.

        Where held-out rows tell that one temperature leaves an error, "after" has a share of labels
        at random besides, or a scale and a shift for each class.

        Args:
            model: whose probabilities.
            on: the samples to evaluate; by default all of them.
            folds: number of folds; every row gets the temperature that was fitted on the others.
            bins: number of bins of the reliability diagram.
            binning: bins of equal width, or of equal mass.
            seed: seed of the folds.
            truth: judge against this in place of the label: a model with predictions, or a column
                of samples such as a second annotator's answers.
        """
        from slicedb import decide

        self._begin(model, on)
        keys = None if on is None else self.keys(on)
        return decide.calibrate(
            self.store,
            model,
            keys,
            folds=folds,
            bins=bins,
            binning=binning,
            seed=seed,
            truth=_other_truth(truth, None),
        )

    def test(
        self,
        source: Path | Sequence[str | Slice] | None = None,
        *,
        model: str | None = None,
        baseline: str | None = None,
        confidence: float | None = None,
        correction: Literal["auto", "holm", "max-t", "benjamini-hochberg", "none"] | None = None,
        strict: bool | None = None,
        minimum: int | None = None,
        group: str | None = None,
        detect: float | None = None,
        guard: Literal["fail", "pass"] | None = None,
        sequential: bool | None = None,
        looks: int | None = None,
        truth: str | None = None,
        truth_score: float | None = None,
        predict: bool = True,
        write: bool | None = None,
        progress: Watch = None,
    ) -> Report:
        """Run the expectations of slices against a model.

        An option that is not given comes from `suite.toml`, or else from the defaults of
        `slicedb.judge.run`. A slice that cannot be asked or judged is an error of its own in the
        report, which then is not `ok`; the others are judged.

        Args:
            source: a folder or a file of slices (applied first), or names of slices; by default
                every registered slice that has expectations.
            model: the model to test; `suite.toml` may name it.
            baseline: the model that "baseline" stands for in expectations.
            confidence: level of each one-sided bound; by default 0.95.
            correction: how to correct for the number of tests; auto is max-t for comparisons with
                one baseline and holm for the rest.
            strict: count INCONCLUSIVE as a failure.
            minimum: number of samples below which a slice is reported but not decided; by default
                10.
            group: a column of samples whose groups are independent although the samples within one
                are not, such as the video of a frame.
            detect: the drop in accuracy that the suite is meant to detect; the error rate is spent
                on the slices that can show it.
            guard: which errors are controlled over the whole suite: fail (the default) for a false
                FAIL, with each PASS controlled alone; pass for a false FAIL and a false PASS.
            sequential: give verdicts that hold over all looks at an expectation together, on
                growing data and on new candidates; each is stricter than one look alone would be.
            looks: number of runs over a slice after which a warning is given, by default 10; 0
                gives none.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            predict: first compute the missing predictions of registered models.
            write: store the run in `runs` and `tests`, which is the default except at a commit.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: a model has no predictions.
            CheckError: an expectation does not parse, or names a class that does not exist.
            SliceDBError: no model is named, or a sequential test would not be written down.
        """
        from slicedb import judge
        from slicedb.report import report_of
        from slicedb.runs import past_looks

        chosen, settings, broken = self._suite(source)
        given: dict[str, Any] = {
            "model": model,
            "baseline": baseline,
            "confidence": confidence,
            "correction": correction,
            "strict": strict,
            "minimum": minimum,
            "group": group,
            "detect": detect,
            "guard": guard,
            "sequential": sequential,
            "looks": looks,
            "truth": truth,
            "truth_score": truth_score,
        }
        settings |= {name: value for name, value in given.items() if value is not None}
        looks = settings.pop("looks", None)
        other = _other_truth(settings.pop("truth", None), settings.pop("truth_score", None))
        if settings.get("model") is None:
            raise SliceDBError(
                "No model to test.", "pass model=, or --model, or name it in suite.toml."
            )
        written = not self.store.title if write is None else write
        if settings.get("sequential") and not written:
            raise SliceDBError(
                "A sequential test counts every look, and this one would not be written down.",
                "leave out write=False (--no-write), or pass sequential=False (--no-sequential).",
            )

        def fill(name: str, keys: np.ndarray) -> None:
            self._fill([name], [keys], progress)

        def spoil(name: str, keys: np.ndarray, what: Sequence[Corruption]) -> None:
            self._spoil(name, keys, what, progress=progress)

        run = judge.run(
            self.store,
            chosen,
            predict=fill if predict else None,
            behave=spoil if predict else None,
            past=past_looks(self.store, chosen, other),
            truth=other,
            broken=broken,
            progress=progress,
            **settings,
        )
        return report_of(self.store, run, write=written, looks=looks)

    def _suite(
        self, source: Path | Sequence[str | Slice] | None
    ) -> tuple[list[Slice], dict[str, Any], list[BrokenSlice]]:
        """Return the slices to test, the settings of their folder, and what cannot be tested."""
        from slicedb import judge
        from slicedb.slices import Slice, sound_slices

        if source is None:
            return [s for s in self.slices.list() if s.expect], {}, []
        if not isinstance(source, (str, os.PathLike)):
            return [s if isinstance(s, Slice) else self.slices.get(s) for s in source], {}, []
        sound, broken = sound_slices(self.slices, source, register=self.store.is_writable)
        return sound, dict(judge.settings(source)), broken

    def behaviour(
        self,
        model: str,
        templates: Path | None = None,
        *,
        labels: Mapping[str, str] | Names = None,
        expect: Names = None,
        least: float = 0.8,
        on: str = "template IS NOT NULL",
        decide: Literal["interval", "point"] = "interval",
        confidence: float = 0.95,
        correction: Literal["auto", "holm", "max-t", "benjamini-hochberg", "none"] = "auto",
        strict: bool = False,
        minimum: int = 10,
        write: bool = True,
    ) -> Report:
        """Compose every picture of a template folder, predict them and test the model on them.

        Args:
            model: the registered name.
            templates: a folder, see `slicedb.behaviour.templates`; by default the compositions
                that exist already are used.
            labels: names of the class folders: by folder, or in order if the folders are numbered.
            expect: expectations; by default accuracy, that neither background nor extra changes
                the prediction, and that another food does.
            least: the bound of each default expectation.
            on: a predicate that picks compositions.
            decide: decide by the interval, or by the value alone (point).
            confidence: level of each one-sided bound.
            correction: how to correct for the number of tests, see `test`.
            strict: count INCONCLUSIVE as a failure.
            minimum: number of samples below which an expectation is reported but not decided.
            write: store the run in `runs` and `tests`.

        Raises:
            SourceError: no foregrounds or backgrounds.
            CheckError: nothing was composed.
            UnknownModelError: no model of that name, nor predictions; nothing is composed then.
        """
        from slicedb import judge
        from slicedb.behaviour.catalogue import expectations
        from slicedb.predictions.tables import judged
        from slicedb.report import report_of
        from slicedb.slices import Slice

        if not self.models.can_load(model):  # before anything is composed
            judged(self.store, model)
        if templates is not None:
            self.compose(templates, labels=labels)
        if expect is None:
            expect = expectations(self.sql, self.query("").columns, on, least)
        compositions = Slice(
            "compositions", on, expect=tuple(expect), decide=decide, answer=lambda: self.query(on)
        )
        run = judge.run(
            self.store,
            [compositions],
            model=model,
            predict=lambda name, keys: self._fill([name], [keys]),
            behave=self._spoil,
            confidence=confidence,
            correction=correction,
            strict=strict,
            minimum=minimum,
        )
        return report_of(self.store, run, write=write)

    def corrupt(
        self,
        model: str,
        slices: Several = None,
        *,
        on: Several = None,
        kinds: Iterable[str] | None = None,
        severities: Iterable[int] | None = None,
        predict: bool = True,
        confidence: float = 0.95,
        batch_size: int | None = None,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
    ) -> SeverityTable:
        """Return accuracy against the severity of corruptions, slice by slice.

        Args:
            model: the registered name.
            slices: slices to evaluate: names, query texts or queries; by default all samples
                together, then every registered slice.
            on: another name of `slices`, as in every other verb.
            kinds: corruptions, flips or crops; by default the 15 corruptions of ImageNet-C.
            severities: from 1 to 5; by default all.
            predict: first compute missing predictions; only predictions are stored, no images.
            confidence: level of the intervals.
            batch_size: images per batch; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: an unknown kind or severity, a model that predicts no class, or one whose
                predictions of corrupted pictures are missing.
            UnknownModelError: no model of that name, nor predictions.
        """
        slices = _either(slices, on)
        from slicedb.behaviour.severity import changes, refuse_others, severity

        what = changes(kinds, severities)
        if not predict or not self.models.can_load(model):
            refuse_others(self.store, model)
        members = self._selection.members(slices)
        if predict:
            self._fill([model], members.values(), progress)
            keys = self._selection.union(list(members.values()))
            self._spoil(model, keys, what, batch_size, device, threads, progress)
        return severity(self.store, model, members, what, confidence)

    severity = corrupt
    """An alias of `corrupt`, which is its name on the command line too."""

    def app(
        self,
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        browser: bool = True,
        read_only: bool = False,
        allow_host: Sequence[str] = (),
        root_path: str = "",
        wait: bool = False,
    ) -> Server:
        """Show the database in a browser: explore, name, judge and clean.

        Only this machine can reach it unless `host` says otherwise, and a browser gets in by a link
        that works once. A notebook shows the page in the cell where Jupyter has a proxy
        (`jupyter-server-proxy`, JupyterHub), and else a link to it.

        Args:
            port: to listen on; by default 8421, or the next that is free.
            host: the address to listen on, such as 0.0.0.0 to let other machines in.
            browser: open the page in the machine's browser.
            read_only: every reader may look, and none may change anything.
            allow_host: a further name by which the page may be called, such as that of a proxy.
            root_path: the prefix under which a proxy shows the page, such as `/slicedb`; `{port}`
                in it stands for the port.
            wait: return when Ctrl-C ends it; otherwise it runs until `stop()` or the end of the
                process.

        Returns:
            The server: `url`, `link()` for another browser, `stop()`. A notebook shows it.

        Raises:
            PluginError: the packages that it needs are missing.
            CheckError: the port is taken, the address is none of this machine, or a name is none.
        """
        from slicedb.web import server

        made = server(
            self,
            port=port,
            host=host,
            read_only=read_only,
            allow_host=allow_host,
            root_path=root_path,
        )
        if wait:
            made.run(browser=browser)
        else:
            made.start(browser=browser)
        return made

    @cached_property
    def runs(self) -> Runs:
        """The recorded runs: `list()`, and `trends()` of each test over them."""
        from slicedb.runs import Runs

        return Runs(self.store)

    def _fill(
        self, models: Iterable[str], keys: Iterable[np.ndarray], progress: Watch = None
    ) -> None:
        """Compute missing predictions of registered models; logged models are left alone."""
        names = [name for name in models if self.models.can_load(name)]
        if not names:
            return
        union = self._selection.union(list(keys))
        for name in names:
            if self.models.stands(name):
                from slicedb.predictions.compute import is_complete

                if is_complete(self.store, name, self.models.show(name).fingerprint, union):
                    continue
            if self._filled.find(name) == self._state(name, union):
                continue
            report = self.predict(name, union, progress=progress)
            if not report.predicted and not report.failed:
                self._filled.put(name, self._state(name, union))

    def _begin(self, model: str, on: On = None, progress: Watch = None) -> None:
        """Predict with a registered model that has no prediction at all yet."""
        from slicedb.schema import PREDICTIONS

        if self.store.title or self.store.has(PREDICTIONS + model):
            return
        if self.store.is_writable and self.models.can_load(model):
            self.predict(model, on, progress=progress)

    def _state(self, model: str, keys: np.ndarray) -> tuple[object, ...]:
        """Return what decides whether a model's predictions of some samples are complete."""
        from slicedb.schema import IMAGES, PREDICTIONS, SAMPLES

        tables = [t for t in (SAMPLES, IMAGES, PREDICTIONS + model) if self.store.has(t)]
        versions = tuple(self.store.version(t) for t in tables)
        # The model may be an object of this process that was trained further.
        return self.models.get(model).fingerprint(), versions, blake2b(keys.tobytes()).digest()

    def _spoil(
        self,
        model: str,
        keys: np.ndarray,
        what: Sequence[Corruption],
        batch_size: int | None = None,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
    ) -> None:
        """Predict missing corrupted pictures; logged models are left alone."""
        if self.models.can_load(model):
            from slicedb.behaviour.spoilt import spoil

            spoil(
                self.store,
                model,
                self.models.get(model),
                keys,
                what,
                batch_size=batch_size,
                device=device,
                threads=threads,
                progress=progress,
            )
            self.store.sync()


def _texts(names: Names) -> tuple[str, ...]:
    """Return texts, of which one may come by itself."""
    return (names,) if isinstance(names, str) else tuple(names or ())


def _other_truth(name: str | None, score: float | None) -> OtherTruth | None:
    """Return what the user named in place of the ground truth."""
    from slicedb.judge import OtherTruth

    if name is None:
        if score is not None:
            raise SliceDBError(
                f"truth_score is {score:g}, and no truth is named.", "name a detector: truth=."
            )
        return None
    return OtherTruth(name, score)


def __getattr__(name: str) -> object:
    if name == "On":
        from slicedb.selection import On

        return On
    raise AttributeError(f"module 'slicedb.database' has no attribute '{name}'")
