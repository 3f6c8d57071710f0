"""The verbs that look for what is wrong with samples, and for what to label next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from slicedb.database.given import other_truth, texts
from slicedb.database.splitting import Splitting
from slicedb.errors import CheckError, suggesting

if TYPE_CHECKING:
    from slicedb.curate.duplicates import Duplicates
    from slicedb.curate.expected import Expected
    from slicedb.curate.findings import Discovery
    from slicedb.curate.labels import Kind
    from slicedb.curate.outliers import Outliers
    from slicedb.curate.picks import Picks
    from slicedb.curate.quality import Quality
    from slicedb.curate.sampling import Strategy
    from slicedb.curate.suspects import LabelErrors
    from slicedb.curate.wronglabels import Rank
    from slicedb.database.given import Names, Path
    from slicedb.progress import Watch
    from slicedb.selection import On, Several


@suggesting
class Curating(Splitting):
    """Look for what is wrong with samples, and for what to label next."""

    def expected(
        self,
        model: str,
        on: On = None,
        *,
        reference: On = None,
        slices: Several = None,
        seed: int = 0,
        progress: Watch = None,
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
            slices: slices that samples are weighted by, besides the predicted class; by default
                every registered slice.
            seed: seed of the resampling.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: fewer than 30 samples of either side have predictions, or these have no
                class with a confidence.
            UnknownModelError: no predictions of that model.
        """
        from slicedb.curate.expected import expected
        from slicedb.judge import load

        load(self.store, model, light=True)  # a misspelt name is told
        others = self.keys("label IS NULL" if on is None else on)
        known = self.keys("label IS NOT NULL" if reference is None else reference)
        members = self._selection.members(slices)
        members.pop("all", None)
        return expected(self.store, model, known, others, members, seed, progress)

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
            k: number of neighbours.
            embedding: the embedding whose vectors decide; by default the one that queries use.
            seed: seed of the choice among a large reference set.
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
            name: name of the embedding.
            bits: how many of the 256 bits of a hash may differ; by default as many as the hashes of
                unrelated samples in this data set leave room for.
            cosine: vectors with at least this cosine are duplicates, whatever the pixels say; by
                default nearest neighbours are duplicates if their pixels agree, which finds parts
                of a picture and pictures turned a little.
            false_pairs: the expected number of unrelated pairs that a default threshold may let
                through.
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
            kind: the task: classification, multilabel, detection or segmentation; a model of
                another task is refused.
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
            stop: the precision below which asking about more is not worthwhile.
            block: number of the latest answers whose precision is compared with stop.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            UnknownModelError: no predictions of that model.
            PredictionError: the model was trained on some of the samples, or gave no probabilities.
            CheckError: fewer than 30 samples, or all labels of one class.
        """
        from slicedb.curate import labels, verdicts

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
        if answers is not None:
            session = self.clean(report.keys, session=verdicts.session_of(model))
            labels.answer(self.store, report, answers, session)
        report = labels.answered(self.store, report, block, stop)
        for name, keys in report.tags.items() if tag else ():
            if len(keys):
                self.tag(keys, name)
        return report.tagged() if tag else report

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
            embedding: the embedding whose vectors are searched; by default the one that queries
                use, if any.
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
            most: number of findings that are looked for.
            depth: largest number of conditions in one finding.
            least: samples of the smallest finding; by default 20, or 0.1 % where that is more.
            confidence: level of the intervals, and of the test that all findings share.
            seed: seed of the two halves.
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
            None if by is None else texts(by), most, depth, least, group, measure, confidence, seed
        )
        other = other_truth(truth, truth_score)
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
        self._look("discover", [model], self._selection.registered_one(on), truth)
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
            model: the model whose predictions say what is uncertain; by default a classifier
                trained on the vectors.
            strategy: how samples are chosen: typical, margin, entropy, diverse (the farthest from
                all before) or random.
            per_slice: the least number of samples from each slice; these are chosen first.
            cost: a column of samples with the cost of labelling each one; the gain per cost then
                decides.
            budget: the most that all of them together may cost.
            embedding: the embedding whose vectors decide; by default the one that queries use.
            seed: seed of the random choice.

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
