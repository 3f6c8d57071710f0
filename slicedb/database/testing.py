"""The verbs that give verdicts: suites, behaviour, corruptions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from slicedb.database.given import either, other_truth
from slicedb.database.judging import Judging
from slicedb.errors import suggesting

if TYPE_CHECKING:
    import numpy as np

    from slicedb.behaviour.severity import SeverityTable
    from slicedb.database.given import Device, Names, Path
    from slicedb.expectations.behaviours import Change as Corruption
    from slicedb.ingest import IngestReport
    from slicedb.progress import Watch
    from slicedb.report import Report
    from slicedb.selection import Several
    from slicedb.slices import BrokenSlice, Slice


@suggesting
class Testing(Judging):
    """Give verdicts: suites, behaviour, corruptions."""

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
        written = not self.store.title if write is None else write
        settings = judge.settled(settings, given, written)
        looks = settings.pop("looks", None)
        other = other_truth(settings.pop("truth", None), settings.pop("truth_score", None))

        def fill(models: Sequence[str], keys: np.ndarray) -> None:
            self._fill(models, [keys], progress)

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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.

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
            self.compose(templates, labels=labels, progress=progress)
        if expect is None:
            expect = expectations(self.sql, self.query("").columns, on, least)
        compositions = Slice(
            "compositions", on, expect=tuple(expect), decide=decide, answer=lambda: self.query(on)
        )
        run = judge.run(
            self.store,
            [compositions],
            model=model,
            predict=lambda models, keys: self._fill(models, [keys], progress),
            behave=partial(self._spoil, progress=progress),
            progress=progress,
            confidence=confidence,
            correction=correction,
            strict=strict,
            minimum=minimum,
        )
        return report_of(self.store, run, write=write)

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
        slices = either(slices, on)
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
