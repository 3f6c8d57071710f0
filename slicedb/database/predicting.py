"""The verbs that run models or take their predictions."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal, overload

from slicedb.database.embedding import Embedding
from slicedb.database.given import texts
from slicedb.errors import CheckError, suggesting
from slicedb.show.numbers import count

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from slicedb.database.given import Device, Names, Path
    from slicedb.models import Model
    from slicedb.predictions import LogReport, PredictionLog, PredictReport, PredictReports
    from slicedb.progress import Watch
    from slicedb.selection import On
    from slicedb.tagging import TagReport, What


@suggesting
class Predicting(Embedding):
    """Run models, or take their predictions."""

    @overload
    def predict(  # type: ignore[overload-overlap]  # a text is texts, too
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
        decode: Literal["cpu", "gpu", "auto"] = "cpu",
    ) -> PredictReport: ...

    @overload
    def predict(
        self,
        model: Iterable[str],
        on: On | Iterable[On] = None,
        *,
        batch_size: int | None = None,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
        decode: Literal["cpu", "auto"] = "cpu",
    ) -> PredictReports: ...

    def predict(
        self,
        model: str | Iterable[str],
        on: On | Iterable[On] = None,
        *,
        source: Model | None = None,
        batch_size: int | None = None,
        device: Device = None,
        threads: int | None = None,
        progress: Watch = None,
        workers: int | None = None,
        engine: str | None = None,
        decode: Literal["cpu", "gpu", "auto"] = "cpu",
    ) -> PredictReport | PredictReports:
        """Compute missing and stale predictions in one batched pass; an interrupted run resumes.

        Several models share the pass: each picture is read and decoded once for all of them, and
        each model gets the rows that it would get alone. Of each only what it lacks is computed.
        Where one fails the others go on, and its error comes at the end.

        >>> db.predict(["food_v3", "food_v4"])["food_v4"].predicted  # doctest: +SKIP
        2400

        Args:
            model: the registered name, or the names of several; one given twice counts once.
            on: the samples to predict; the union of several slices or queries.
            source: the model itself, instead of the registered one; of one model only.
            batch_size: images per batch of each model; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
                Several devices, separated by commas (cuda:0,cuda:1), share the work, with one
                process each.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: where the processes run: ray starts Ray on this machine, or uses the cluster of
                RAY_ADDRESS; ray@HOST:PORT and ray://HOST:PORT name a running cluster. All of its
                machines need the same files and packages.
            decode: which chip decodes JPEGs: cpu, whose pixels are the same everywhere; gpu
                (nvJPEG), whose pixels differ by a few levels, and so do predictions and vectors;
                auto, the faster one for the first pictures. What decoded is reported. Several
                models share what the CPU decodes.

        Returns:
            The report; of several names the reports by name.

        Raises:
            UnknownModelError: no model of that name; then nothing is computed for others either.
            PredictionError: the name belongs to predictions made elsewhere.
            ModelError: a model fails.
        """
        from slicedb.models.elsewhere import code_of
        from slicedb.predictions import predict, predict_several

        names = self._named(model, source, decode)
        crew, device = self._crew(engine, workers, device, threads, progress, decode)
        if crew is not None and source is not None:
            raise CheckError(
                "source= is an object of this process, and others cannot load it.",
                "register it as path/to/file.py:factory, or leave out workers= and engine=.",
            )
        codes = {} if crew is None else {n: code_of(self.models.show(n)) for n in names}
        models = {n: source if source is not None else self.models.get(n) for n in names}
        keys = self._selection.union(on)
        report: PredictReport | PredictReports
        if isinstance(model, str):
            report = predict(
                self.store,
                model,
                models[model],
                keys,
                batch_size=batch_size,
                device=device,
                threads=threads,
                progress=progress,
                crew=crew,
                code=codes.get(model),
                decode=decode,
            )
        else:
            report = predict_several(
                self.store,
                models,
                keys,
                batch_size=batch_size,
                device=device,
                threads=threads,
                progress=progress,
                crew=crew,
                codes=codes or None,
                decode=decode,
            )
        self.store.sync()
        self.columns.refresh()
        return report

    def _named(
        self, model: str | Iterable[str], source: Model | None, decode: str
    ) -> tuple[str, ...]:
        """Return the names of the models that are to predict, each once.

        Raises:
            CheckError: there are none, one is no name, or what is given is for one alone.
        """
        names = (model,) if isinstance(model, str) else tuple(dict.fromkeys(model))
        if not names:
            known = ", ".join(registered.name for registered in self.models.list())
            raise CheckError(
                "No model is named to predict with.",
                f"name one or several of: {known}." if known else "`slicedb model add` adds one.",
            )
        for name in names:
            if not isinstance(name, str):
                raise CheckError(
                    f"A model is named by a text, and this is a {type(name).__name__}.",
                    "give names as registered; a model itself goes into source=, with one name.",
                )
        if source is not None and not isinstance(model, str):
            raise CheckError(
                f"source= is one model, and {count(len(names), 'name')} were given as a list.",
                "call predict with one name and its source, or register the models first.",
            )
        if decode == "gpu" and not isinstance(model, str):
            raise CheckError(
                "decode='gpu' decodes for one model, and several share what the CPU decodes.",
                "leave out decode= (--decode), or predict with one after the other.",
            )
        return names

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
        decode: Literal["cpu", "gpu", "auto"] = "cpu",
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
            name: name of the column; by default that of the phrases, caption for a callable,
                num_LABEL for a count, LABEL_share for a share, MODEL_label for a classifier.
            count: for a detector: count its boxes of this class.
            share: for a segmenter: the share of the pixels that it gives this class, from 0 to 1.
            cut: the score below which a label is "unsure" (by default 0.5 for phrases, none for a
                classifier), or a box is not counted (by default the detector's own).
            template: a wording with {} that phrases are put into, such as "a photo in {} weather";
                the vectors of several wordings are averaged; by default the encoder's own.
            using: for phrases: the embedding that they are compared with; it is computed for new
                samples.
            on: the samples; by default all of them.
            overwrite: also replace values that a person gave or corrected.
            batch_size: images per batch; by default what fits the device.
            device: where to run: cpu, cuda, cuda:1 or mps; by default a GPU if there is one.
                Several devices, separated by commas (cuda:0,cuda:1), share the work, with one
                process each.
            threads: decoding threads; by default one per core.
            progress: draw a progress bar on stderr; by default only in a terminal.
            workers: processes that share the work, each with a copy of the model: of this machine,
                or actors of Ray. By default this process alone, or one for each device given.
            engine: where the processes run: ray starts Ray on this machine, or uses the cluster of
                RAY_ADDRESS; ray@HOST:PORT and ray://HOST:PORT name a running cluster. All of its
                machines need the same files and packages.
            decode: which chip decodes JPEGs: cpu, whose pixels are the same everywhere; gpu
                (nvJPEG), whose pixels differ by a few levels, and so do predictions and vectors;
                auto, the faster one for the first pictures. What decoded is reported.

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
                decode=decode,
            )

        means = Means(
            self.store,
            lambda text: self.engine.query(text, files=False),
            predicted,
            lambda embedding: self._embed_new(
                embedding, keys, batch_size, device, progress, workers, engine, decode
            ),
            keys,
            overwrite=overwrite,
            batch_size=batch_size,
            threads=threads,
            progress=progress,
            crew=self._crew(engine, workers, device, threads, progress, decode)[0],
            decode=decode,
        )
        wanted = Wanted(what, name, count, share, cut, texts(template), using)
        tag, report, changed = tag_with(wanted, means)
        edits.tagged(self.store, tag, changed)
        self.columns.refresh()
        return report

    def _fill(
        self, models: Iterable[str], keys: Iterable[np.ndarray], progress: Watch = None
    ) -> None:
        """Compute missing predictions of registered models in one pass.

        Logged models are left alone.
        """
        names = [name for name in models if self.models.can_load(name)]
        if not names:
            return
        union = self._selection.union(list(keys))
        names = [name for name in dict.fromkeys(names) if not self._is_filled(name, union)]
        if len(names) == 1:
            reports = {names[0]: self.predict(names[0], union, progress=progress)}
        else:
            reports = dict(self.predict(names, union, progress=progress)) if names else {}
        for name, report in reports.items():
            if not report.predicted and not report.failed:
                self._filled.put(name, self._state(name, union))

    def _is_filled(self, model: str, keys: np.ndarray) -> bool:
        """Return whether a model is known to have predicted all of some samples."""
        if self.models.stands(model):
            from slicedb.predictions.compute import is_complete

            if is_complete(self.store, model, self.models.show(model).fingerprint, keys):
                return True
        return bool(self._filled.find(model) == self._state(model, keys))

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
