"""The verbs by which data comes in: ingest, sync, attach, and the upkeep after it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from slicedb.database.curating import Curating
from slicedb.errors import suggesting

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from slicedb.database.given import GrayRange, Labels, Names, Path
    from slicedb.ingest import IngestReport
    from slicedb.ingest.attach import AttachReport
    from slicedb.ingest.labelmaps import MasksReport
    from slicedb.ingest.unverified import VerifyReport
    from slicedb.progress import Watch
    from slicedb.selection import On
    from slicedb.sync import Step, SyncReport, Turn


@suggesting
class Feeding(Curating):
    """Bring data in, and keep up what depends on it."""

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
            labels_column: column that holds several labels per row (Cardiomegaly|Emphysema), or the
                columns of 0 and 1, one for each label.
            labels_separator: the text that separates labels; by default the first of ; | and , that
                occurs in the column.
            split_column: column with the split.
            caption_column: column with the caption.
            id_column: column with stable ids.
            mask_classes: class names of label maps (masks/ beside images/, or a column mask_path)
                in the order of their numbers: names separated by commas, or a file with one name
                per line.
            ignore_index: the class number whose pixels are ignored; by default 255.
            reference: keep only the paths of the images, not their bytes.
            verify: decode every image now, or open none of them: their status is unverified until
                `verify`, `embed` or `predict` opens them. Tables then need no column of images if
                they have ids.
            replace: let this source take over ids that belong to another one.
            delete_missing: remove the samples of this source whose files are gone.
            same: what to do with pictures whose bytes equal those of an existing sample: add them
                and report it, or skip them.
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
            engine: decode on Ray: ray, ray@HOST:PORT or ray://HOST:PORT; see predict.

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
        from slicedb.ingest.givenmaps import class_names
        from slicedb.ingest.labelmaps import keep_named

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
            keys: look only at these objects: paths, addresses or S3 events, one per line; nothing
                is marked as vanished then. By default the whole source is listed.
            then: what runs afterwards on what is new, in this order, for example
                embed,tag:weather,predict:v4,test. Steps: verify, embed[:NAME], tag[:COLUMN] (what
                `tag_with` wrote before), predict:MODEL, test[:MODEL], commit[:MESSAGE].
            split: split of every sample, for example test.
            label: label of every sample.
            prefix: text to put before every id, to keep two sources apart.
            form: format of the source; by default it is recognised.
            reference: leave the pictures where they are; by default they are copied in.
            delete_missing: remove the samples whose files are gone, instead of marking them.
            mask_classes: class names of the label maps in masks/ beside images/, in the order of
                their numbers; kept for later syncs.
            ignore_index: the class number whose pixels are ignored; by default 255.
            storage_options: settings of the bucket, in the words of object_store and Lance, for
                example endpoint or skip_signature. Secrets are not written down.
            max_pixels: width × height beyond which an image counts as broken; by default
                178,956,970.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that decode; by default threads of this one, or all cores of Ray.
            engine: decode on Ray: ray, ray@HOST:PORT or ray://HOST:PORT; see predict. Workers and
                engine also apply to the steps of then that run a model.

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
        from slicedb.sync import grouped, turned, verdicts_of

        told: list[str] = []
        turns: tuple[Turn, ...] = ()
        model: str | None = None
        for verb, (*others, argument) in grouped(steps):
            if verb == "test":
                model = argument or model
                known = verdicts_of(self.runs)
                report = self.test(model=model, progress=progress)
                turns += turned(known, verdicts_of(self.runs))
                told.append(f"test: {headline(report)}")
                continue
            if verb == "predict":
                model = argument
                reports = self.predict(
                    [*others, model], progress=progress, workers=workers, engine=engine
                )
                told += [f"predict: {report}" for report in reports.values()]
                continue
            if verb == "embed":
                said: object = self._embed_new(
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
            classes: class names in the order of their numbers, separated by commas, or a file with
                one name per line; by default those of earlier label maps, or else the numbers
                themselves.
            ignore_index: the class number whose pixels are ignored; by default 255.
            on: the column of the source with the ids of samples.
            prefix: text to put before every id or path, to make it that of a sample.
            threads: decoding threads; by default one per core.

        Raises:
            SourceError: the source is missing, or no file is called like a sample.
            IngestError: an id is unknown or comes twice, or no label map could be read.
        """
        from slicedb import edits
        from slicedb.ingest.givenmaps import class_names
        from slicedb.ingest.labelmaps import attach_masks

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
