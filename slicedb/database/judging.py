"""The verbs that judge models: metrics, comparisons, mistakes, costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from slicedb.database.explaining import Explaining
from slicedb.database.given import either, other_truth
from slicedb.errors import suggesting

if TYPE_CHECKING:
    from slicedb.analysis import BoxMistakes, Mistakes, PixelMistakes
    from slicedb.database.given import Names
    from slicedb.decide import Calibration, CostReport
    from slicedb.decide.case import Price
    from slicedb.decide.matrix import Costs
    from slicedb.judge import Comparison, Confusion, Evaluation, Power
    from slicedb.progress import Watch
    from slicedb.selection import On, Several


@suggesting
class Judging(Explaining):
    """Judge models: metrics, comparisons, mistakes, costs."""

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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: a model has no predictions.
            CheckError: there is no such metric, or the truth is not what the model predicts.
        """
        slices = either(slices, on)
        from slicedb.judge import evaluate
        from slicedb.judge.evaluation import asked_metric
        from slicedb.runs import record_evaluation

        for text in metrics or ():
            asked_metric(text)  # a misspelt name is told before anything is predicted
        past = self if at is None else self.at(at)
        names = [models] if isinstance(models, str) else list(models)
        other = other_truth(truth, truth_score)
        members = past._selection.members(slices)
        if predict and past is self:
            self._fill([*names, *([truth] if truth else [])], members.values(), progress)
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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: a model has no predictions.
            CheckError: there is no such column, or the models are neither classifiers nor
                detectors.
        """
        slices = either(slices, on)
        from slicedb import judge

        past = self if at is None else self.at(at)
        members = past._selection.members(slices)
        if predict and past is self:
            self._fill([a, b, *([truth] if truth else [])], members.values(), progress)
        found = judge.compare(
            past.store,
            a,
            b,
            members,
            scopes=past._selection.predicates(slices),
            confidence=confidence,
            correction=correction,
            group=group,
            truth=other_truth(truth, truth_score),
        )
        past._look("compare", [a, b], past._selection.registered(slices), truth)
        return found

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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: a model has no predictions.
        """
        slices = either(slices, on)
        from slicedb import judge

        members = self._selection.members(slices)
        for model in (a, b):
            self._begin(model, progress=progress)
        found = judge.power(
            self.store, a, b, members, drop=drop, power=power, confidence=confidence
        )
        self._look("power", [a, b], self._selection.registered(slices))
        return found

    def confusion(
        self,
        model: str,
        on: On = None,
        *,
        top: int = 20,
        truth: str | None = None,
        truth_score: float | None = None,
        at: str | None = None,
        progress: Watch = None,
    ) -> Confusion:
        """Return the confusion matrix of a model over a slice; of a detector, in boxes.

        Args:
            model: whose predictions.
            on: the samples to evaluate; by default all of them.
            top: number of classes that are shown, those with the most mistakes; the counts cover
                all classes.
            truth: judge against this in place of the ground truth: a model with predictions, or a
                column of samples such as a second annotator's answers.
            truth_score: the score from which on the boxes of a detector are taken for truth; by
                default the one from which on they count.
            at: use an earlier commit, tag or branch.
            progress: draw a progress bar on stderr; by default only in a terminal.
        """
        from slicedb.judge import confusion

        past = self if at is None else self.at(at)
        past._begin(model, on, progress)
        matrix = confusion(
            past.store,
            model,
            past.keys(on),
            truth=other_truth(truth, truth_score),
            scope=past._selection.scope(on),
        )
        past._look("confusion", [model], past._selection.registered_one(on), truth)
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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: `unsure` is above `sure`, or `on` is a text that is no predicate.
        """
        from slicedb import analysis

        self._begin(model, on, progress)
        names = [s.name for s in self.slices.list()] if slices is None else slices
        mistakes = analysis.errors(
            self.store,
            model,
            None if on is None else self.keys(on),
            scope=self._selection.scope(on),
            slices={name: self.keys(name) for name in names},
            by=by,
            sure=sure,
            unsure=unsure,
            n=n,
            confidence=confidence,
            truth=other_truth(truth, truth_score),
        )
        named = [self.slices.get(name) for name in names if name in self.slices]
        self._look("errors", [model], [*self._selection.registered_one(on), *named], truth)
        shown = [model, *([truth] if truth in [m.name for m in self.models.list()] else [])]
        mistakes = replace(mistakes, pictures=lambda: self._cards(mistakes.top, shown))
        for finding in mistakes.findings if tag else ():
            if len(finding.keys):
                self.tag(finding.keys, finding.name)
        return mistakes

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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            ClassesError: the matrix, `positive` or the labels do not fit the classes.
            CheckError: a cost is negative or not a number, or options exclude each other.
        """
        from slicedb import decide

        self._begin(model, on, progress)
        names = [slices] if isinstance(slices, str) else slices
        report = decide.cost(
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
            truth=other_truth(truth, None),
        )
        named = [self.slices.get(name) for name in names if name in self.slices]
        self._look("cost", [model], [*self._selection.registered_one(on), *named], truth)
        return report

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
        progress: Watch = None,
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
            progress: draw a progress bar on stderr; by default only in a terminal.
        """
        from slicedb import decide

        self._begin(model, on, progress)
        keys = None if on is None else self.keys(on)
        found = decide.calibrate(
            self.store,
            model,
            keys,
            folds=folds,
            bins=bins,
            binning=binning,
            seed=seed,
            truth=other_truth(truth, None),
        )
        self._look("calibration", [model], self._selection.registered_one(on), truth)
        return found
