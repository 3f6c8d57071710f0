"""The handle a user holds: `slicedb.open(path)` gives a `Database`, each verb calls its module."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa

from slicedb import schema
from slicedb.errors import SliceDBError
from slicedb.query import Engine, Query
from slicedb.slices import Slice, Slices
from slicedb.store import Store

if TYPE_CHECKING:
    from slicedb.cam import CamReport
    from slicedb.commits import Commit, Commits
    from slicedb.curate import Calibration, CostReport, Mistakes
    from slicedb.doctor import Finding
    from slicedb.embedding import EmbedReport, Encoder
    from slicedb.evaluate import Confusion, Evaluation
    from slicedb.export import ExportReport
    from slicedb.ingest import IngestReport
    from slicedb.models import Model, Registry
    from slicedb.predictions import LogReport, PredictionLog, PredictReport
    from slicedb.slices import Change
    from slicedb.suite import Report
    from slicedb.training import SliceDataset

On: TypeAlias = "str | Query | Slice | np.ndarray | None"
"""What a verb works on: the name of a slice, a query text, a Query, a Slice, int64 keys, or None
for every sample that is ok."""


def open(path: str | os.PathLike[str] = "data.slicedb", *, create: bool = True) -> Database:
    """Open a database, and create it when it is missing.

    Args:
        path: a directory, or an object-store URI.
        create: False refuses to create.

    Raises:
        DatabaseNotFoundError: there is none and `create` is False.
        FormatError: it was written by a newer SliceDB.
    """
    return Database(Store.open(path, create=create))


class Database:
    """Images, labels, embeddings and every model's predictions, and the slices over them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def path(self) -> str:
        """Where the database lies."""
        return self.store.path

    def __repr__(self) -> str:
        return f"slicedb.open({self.path!r})"

    # --- data ---------------------------------------------------------------------------------

    def ingest(self, source: str | os.PathLike[str], **options: Any) -> IngestReport:
        """Read images and their metadata; see `slicedb.ingest.ingest` for the options."""
        from slicedb.ingest import ingest

        report = ingest(self.store, source, **options)
        self._labels_changed()
        if options.get("delete_missing"):
            self.doctor(mend=True)  # vectors and predictions of what was removed
        return report

    def embed(
        self, model: str = "slicedb-tiny", pretrained: str | None = None, **options: Any
    ) -> EmbedReport:
        """Embed what is not embedded yet; see `slicedb.embedding.embed` for the options."""
        from slicedb.embedding import embed

        report = embed(self.store, model=model, pretrained=pretrained, **options)
        self.store.sync()
        return report

    def compose(self, folder: str | os.PathLike[str], **options: Any) -> IngestReport:
        """Compose test pictures from templates: every foreground, background and extra.

        See `slicedb.behaviour.templates.compose` for the options.
        """
        from slicedb.behaviour.templates import compose

        report = compose(self.store, folder, **options)
        self._labels_changed()
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
        self.store.sync()
        return len(ids)

    def export(
        self, on: On, dest: str | os.PathLike[str], *, form: str | None = None
    ) -> ExportReport:
        """Write samples as a folder, CSV, Parquet or COCO; see `slicedb.export.export`."""
        from slicedb.export import export

        return export(self.store, self.keys(on), dest, form=form)

    # --- asking -------------------------------------------------------------------------------

    @cached_property
    def slices(self) -> Slices:
        """The registry of slices; their texts may not name local files."""
        return Slices(self.store, lambda text: self.engine.query(text, files=False))

    @cached_property
    def engine(self) -> Engine:
        """What answers queries; local files named by `image('file')` may be read."""
        return Engine(
            self.store,
            slice_named=lambda name: self.slices.text_or_keys(name),
            encoder=self.encoder,
            allow_files=True,
            to_torch=self._to_torch,
        )

    def _to_torch(self, keys: np.ndarray, **options: Any) -> SliceDataset:
        from slicedb.training import to_torch

        return to_torch(self.store, keys, **options)

    def query(self, text: str = "", *, at: str | None = None) -> Query:
        """Parse and bind a query; nothing is read until its rows are asked for.

        Args:
            text: a predicate or a SELECT.
            at: a commit, tag or branch to ask instead of the present state.

        Raises:
            QueryError: with the line, the column and the token.
        """
        return self.engine.query(text, at=self.commits.get(at).tables if at else None)

    def sql(self, text: str) -> pa.Table:
        """Answer any SELECT as an Arrow table."""
        return self.engine.sql(text)

    def encoder(self, name: str = "default") -> Encoder:
        """Return the encoder that made an embedding; opened once a process."""
        from slicedb.embedding import encoder_of

        return encoder_of(self.store, name)

    def apply(self, folder: str | os.PathLike[str], *, dry_run: bool = False) -> list[Change]:
        """Register the slice files of a folder; `dry_run` only says what would change."""
        return self.slices.apply(folder, dry_run=dry_run)

    def keys(self, on: On = None) -> np.ndarray:
        """Return the int64 keys of what `on` names, in its order."""
        if isinstance(on, np.ndarray):
            return on
        if isinstance(on, str) and on in self.slices:
            return self.slices.get(on).keys()
        if on is None or isinstance(on, str):
            return self.query(on or "").keys()
        return on.keys()

    def _ids(self, on: On) -> list[str]:
        if isinstance(on, np.ndarray):
            found: list[str] = self.store.take(schema.SAMPLES, on, ["id"])["id"].to_pylist()
            return found
        if isinstance(on, str) and on in self.slices:
            return self.slices.get(on).ids()
        if on is None or isinstance(on, str):
            return self.query(on or "").ids()
        return on.ids()

    # --- versions -----------------------------------------------------------------------------

    @cached_property
    def commits(self) -> Commits:
        """The commits: `commit`, `history`, `branch`, `checkout`, `reset`, `diff`, `tag`."""
        from slicedb.commits import Commits

        return Commits(self.store)

    def commit(self, message: str, *, tag: str | None = None) -> Commit:
        """Record the version of every table under one id."""
        return self.commits.commit(message, tag=tag)

    # --- models -------------------------------------------------------------------------------

    @cached_property
    def models(self) -> Registry:
        """The registry of models."""
        from slicedb.models import Registry

        return Registry(self.store)

    def predict(
        self,
        model: str,
        on: On | Iterable[Any] = None,
        *,
        source: Model | None = None,
        **options: Any,
    ) -> PredictReport:
        """Predict what is missing or stale, in one batched pass.

        Args:
            model: the registered name.
            on: what to predict; a list stands for the union of its parts.
            source: the model itself, in place of the registered one.
            **options: batch_size, device, progress.

        Raises:
            UnknownModelError: no model of that name.
        """
        from slicedb.predictions import predict

        loaded = source if source is not None else self.models.get(model)
        report = predict(self.store, model, loaded, self._union(on), **options)
        self.store.sync()
        return report

    def cam(self, model: str, on: On = None, **options: Any) -> CamReport:
        """Store what a model looked at (grad-cam) in `cams__<model>`; only what is missing.

        See `slicedb.cam.cam` for the options.
        """
        from slicedb.cam import cam

        report = cam(self.store, model, self.models.get(model), self._union(on), **options)
        self.store.sync()
        return report

    def _union(self, on: On | Iterable[Any]) -> np.ndarray:
        if isinstance(on, (list, tuple, set)):
            parts = [self.keys(part) for part in on]
            return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        return np.unique(self.keys(on))  # type: ignore[arg-type]

    def log_predictions(
        self,
        model: str,
        data: pa.Table | str | os.PathLike[str] | None = None,
        *,
        classes: Sequence[str] | None = None,
        **options: Any,
    ) -> LogReport | PredictionLog:
        """Store predictions made elsewhere.

        With `data` (a table, a CSV or a Parquet file) they are stored at once; without, a context
        manager is returned whose `add(ids, logits=...)` collects them.
        """
        from slicedb.predictions import PredictionLog, log

        if data is None:
            return PredictionLog(self.store, model, classes=classes, **options)
        return log(self.store, model, data, classes=classes, **options)

    def _labels_changed(self) -> None:
        if any(name.startswith(schema.PREDICTIONS) for name in self.store.names()):
            from slicedb.predictions import refresh

            refresh(self.store)

    # --- judgement ----------------------------------------------------------------------------

    def evaluate(
        self,
        models: str | Sequence[str],
        slices: Sequence[str | Slice | Query] | None = None,
        *,
        predict: bool = True,
        **options: Any,
    ) -> Evaluation:
        """Return the slice x model table of metrics with intervals.

        Args:
            models: one name or several.
            slices: names, texts or queries; None is every registered slice, after "all".
            predict: predict missing rows of registered models first.
            **options: see `slicedb.evaluate.evaluate`.
        """
        from slicedb.evaluate import evaluate

        names = [models] if isinstance(models, str) else list(models)
        members = self._members(slices)
        if predict:
            self._fill(names, members.values())
        return evaluate(self.store, names, members, **options)

    def _members(self, slices: Sequence[str | Slice | Query] | None) -> dict[str, np.ndarray]:
        if slices is None:
            chosen: list[Any] = [s.name for s in self.slices.list()]
            return {"all": self.keys(), **{name: self.keys(name) for name in chosen}}
        return {_title(part): self.keys(part) for part in slices}

    def _fill(self, models: Iterable[str], keys: Iterable[np.ndarray]) -> None:
        """Predict what registered models lack; models whose results were logged are left alone."""
        parts = list(keys)
        union = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
        for name in models:
            if self.models.can_load(name):
                self.predict(name, union)

    def confusion(self, model: str, on: On = None) -> Confusion:
        """Return the confusion matrix of a model over a slice."""
        from slicedb.evaluate import confusion

        return confusion(self.store, model, self.keys(on))

    def errors(self, model: str, on: On = None, *, tag: bool = False, **options: Any) -> Mistakes:
        """Review a model's mistakes; every finding is a query that can be named as a slice.

        Args:
            model: whose predictions.
            on: the samples to review; a slice's name or a predicate becomes part of the queries.
            tag: tag the samples of each finding with its name.
            **options: sure, unsure, n, by, slices; see `slicedb.curate.errors`.
        """
        from slicedb import curate

        names = options.pop("slices", [s.name for s in self.slices.list()])
        found = curate.errors(
            self.store,
            model,
            None if on is None else self.keys(on),
            scope=self._scope(on),
            slices={name: self.keys(name) for name in names},
            **options,
        )
        for finding in found.findings if tag else ():
            if len(finding.keys):
                self.tag(finding.keys, finding.name)
        return found

    def _scope(self, on: On) -> str:
        if isinstance(on, Slice):
            return f"in_slice('{on.name}')"
        if isinstance(on, str):
            return f"in_slice('{on}')" if on in self.slices else on
        return on.text if isinstance(on, Query) else ""

    def cost(
        self, model: str, on: On = None, *, slices: Sequence[str] = (), **options: Any
    ) -> CostReport:
        """Say what a model's mistakes cost, and which threshold is cheapest.

        Args:
            model: whose predictions and probabilities.
            on: the samples to judge.
            slices: names judged one by one beside the whole.
            **options: matrix, column, positive, ask, human; see `slicedb.curate.cost`.
        """
        from slicedb import curate

        keys = None if on is None else self.keys(on)
        members = {name: self.keys(name) for name in slices}
        return curate.cost(self.store, model, keys, slices=members, **options)

    def calibration(self, model: str, on: On = None, **options: Any) -> Calibration:
        """Show calibration before and after temperature scaling, on rows not fitted on."""
        from slicedb import curate

        return curate.calibrate(self.store, model, None if on is None else self.keys(on), **options)

    def test(
        self,
        source: str | os.PathLike[str] | Sequence[str | Slice] | None = None,
        *,
        model: str | None = None,
        baseline: str | None = None,
        predict: bool = True,
        **options: Any,
    ) -> Report:
        """Run the expectations of slices against a model.

        Args:
            source: a folder or a file of slices (applied first), names of slices, or None for
                every registered slice that has expectations.
            model: the model under test; `suite.toml` may name it.
            baseline: the model to compare with.
            predict: predict missing rows of registered models first.
            **options: confidence, correction, strict; see `slicedb.suite.run`.
        """
        from slicedb import suite

        chosen, settings = self._suite(source)
        settings = {**settings, **{k: v for k, v in options.items() if v is not None}}
        model = model or settings.pop("model", None)
        baseline = baseline or settings.pop("baseline", None)
        settings = {k: v for k, v in settings.items() if k not in ("model", "baseline")}
        if model is None:
            raise SliceDBError(
                "No model to test.", "pass model=, or --model, or name it in suite.toml."
            )
        return suite.run(
            self.store,
            chosen,
            model=model,
            baseline=baseline,
            predict=(lambda name, keys: self._fill([name], [keys])) if predict else None,
            **settings,
        )

    def _suite(
        self, source: str | os.PathLike[str] | Sequence[str | Slice] | None
    ) -> tuple[list[Slice], dict[str, Any]]:
        from slicedb import suite

        if source is None:
            return [s for s in self.slices.list() if s.expect], {}
        if isinstance(source, (list, tuple)):
            return [s if isinstance(s, Slice) else self.slices.get(s) for s in source], {}
        path = Path(os.fspath(source))  # type: ignore[arg-type]
        names = [change.name for change in self.slices.apply(path)]
        return [self.slices.get(name) for name in names], suite.settings(path)

    # --- about --------------------------------------------------------------------------------

    def doctor(self, *, mend: bool = False) -> list[Finding]:
        """Look for fragmented tables, orphaned rows, duplicates and lost images."""
        from slicedb.doctor import examine

        return examine(self.store, mend=mend)

    def info(self) -> dict[str, Any]:
        """Return what is in the database: samples by status, tables, embeddings, models, slices."""
        counts = self.sql("SELECT status, count(*) AS n FROM samples GROUP BY ALL ORDER BY status")
        names = self.store.names()
        return {
            "path": self.path,
            "format": int(self.store.metadata(schema.SAMPLES)["slicedb:format"]),
            "samples": self.store.count(schema.SAMPLES),
            "status": dict(zip(counts["status"].to_pylist(), counts["n"].to_pylist())),
            "columns": self.store.schema(schema.SAMPLES).names,
            "embeddings": _suffixes(names, schema.EMBEDDINGS),
            "predictions": _suffixes(names, schema.PREDICTIONS),
            "slices": [s.name for s in self.slices.list()],
            "tables": self.store.describe(),
        }


def _title(part: str | Slice | Query) -> str:
    if isinstance(part, Slice):
        return part.name
    return part if isinstance(part, str) else part.text


def _suffixes(names: Iterable[str], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
