"""The verbs that divide samples and compare the parts: splits, folds, leaks, drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from slicedb.database.given import texts, title_of
from slicedb.database.testing import Testing
from slicedb.errors import CheckError, suggesting

if TYPE_CHECKING:
    import pyarrow as pa

    from slicedb.curate.certificate import Split
    from slicedb.curate.drift import Drift
    from slicedb.curate.foldrange import FoldRange
    from slicedb.curate.leaks import Leaks
    from slicedb.curate.rollout import Rollout
    from slicedb.database.given import Names
    from slicedb.progress import Watch
    from slicedb.selection import On, Single


@suggesting
class Splitting(Testing):
    """Divide samples and compare the parts."""

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
        progress: Watch = None,
    ) -> Split:
        """Split samples into parts, and certify the result.

        Samples that have a part already keep it, so that a later call places new samples only;
        without parts, groups and columns it then goes on as the call before it did. A new sample
        of a group that has a part follows it.

        Args:
            ratios: the share of each part, such as {"train": 0.8, "test": 0.2}, in the order of
                time where `time` decides; by default train 0.8, val 0.1, test 0.1.
            folds: make this many parts of equal size instead, numbered from 0.
            group: columns such as `patient`: samples of one group are in one part.
            stratify: columns whose values every part gets in the same proportions: of numbers and
                times five quantiles, of lists (labels, tags, objects) every entry.
            time: a column of times or numbers: earlier samples are in earlier parts. A group on
                both sides of a cut keeps the side where most of it lies.
            gap: leave out what lies less than this before a cut, such as 7d, 12h or 30min.
            on: the samples; by default all of them.
            near_duplicates: treat samples that look alike as one group.
            embedding: the embedding whose vectors decide; by default the one that queries use.
            into: the column that is written; by default `split`, or `fold` for folds.
            seed: seed of the split; by default 0.
            anew: place every sample again, including those that have a part.
            dry_run: report the split, and write nothing.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: shares do not add up, a column is missing, a group or time is NULL
                somewhere, or there are fewer than 30 samples.
        """
        from slicedb.curate import splits

        column = into or ("fold" if folds else "split")
        plan = splits.planned(
            self.store,
            column,
            ratios,
            folds,
            texts(group),
            texts(stratify),
            time,
            gap,
            near_duplicates,
            seed,
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
            show=progress,
        )

    def folds(
        self,
        model: str,
        column: str = "fold",
        *,
        test: Single | None = None,
        metrics: Names = None,
        confidence: float = 0.95,
        predict: bool = True,
        progress: Watch = None,
    ) -> FoldRange:
        """Return the range of a model's metrics over folds, and whether a test figure is inside.

        Args:
            model: whose predictions of each fold were made without it; or a pattern such as
                "v3_{fold}", which names the model that is judged on each fold.
            column: the column that says the fold of each sample.
            test: the samples of the test set; with a pattern the mean over its models counts.
            metrics: metrics by name, as in evaluate.
            confidence: level of the interval in which one more fold would lie.
            predict: first compute the missing predictions of registered models.
            progress: draw a progress bar on stderr; by default only in a terminal.

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
            evaluation = self.evaluate(
                one, part, metrics=metrics, predict=predict, record=False, progress=progress
            )
            return evaluation.to_arrow()

        named = None if test is None else (test, title_of(test))
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
        progress: Watch = None,
    ) -> Leaks:
        """Find samples in more than one part of a split, and columns that give the part away.

        Duplicates by bytes, by decoded pixels, by perceptual hash in eight orientations, and by
        vectors; groups; columns and vectors that tell which part a sample is in (adversarial
        validation); and the accuracy of every model with and without the leaked samples.

        Args:
            column: that says the part of each sample.
            on: the samples; by default all that have a part.
            by: how duplicates are found; both is hashes, and vectors where there are any.
            group: columns such as `patient` or `camera` of which no group may cross.
            columns: columns that might give the part away; by default all.
            models: models whose accuracy is reported; by default all.
            embedding: the embedding whose vectors decide; by default the one that queries use.
            tag: tag the leaked samples outside of the largest part with `leak`.
            seed: seed of the permutations.
            progress: draw a progress bar on stderr; by default only in a terminal.

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
            group=texts(group),
            columns=columns,
            models=self._predicted() if models is None else models,
            embedding=self._embedding(embedding),
            tag=self.tag if tag else None,
            seed=seed,
            show=progress,
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
        progress: Watch = None,
    ) -> Drift:
        """Compare two sets of samples: columns, what models predict, and vectors.

        Each comparison has an effect size, a p-value by permutation, and one that is adjusted for
        all of them (Benjamini and Hochberg). What is dense in B and not in A comes as a query.

        Args:
            a: the first set: a slice, or a query such as "split = 'train'"; with `since` all that
                is compared.
            b: the second set; by default all samples that are not in A.
            since: a commit: A is what was there then, B what came since, both among the samples of
                a.
            columns: columns of samples to compare; by default all but those that define A or B.
            models: models whose predictions are compared; by default all.
            embedding: the embedding whose vectors are compared; by default the one that queries
                use.
            group: a column such as patient, whose groups the permutations keep together.
            seed: seed of the permutations.
            progress: draw a progress bar on stderr; by default only in a terminal.

        Raises:
            CheckError: A and B overlap, one has fewer than 30 samples, or a column is missing.
        """
        from slicedb.curate.drift import drift
        from slicedb.keys import KeyIndex

        if a is None and since is None:
            raise CheckError("Nothing says what the first set is.", "name A, or since= a commit.")
        for model in models or ():
            self.models.show(model)  # a misspelt name is told
        names = (title_of(a), title_of(b) if b is not None else "all others")
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
            show=progress,
        )

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
        found = rollout(self.store, model, self.keys(on), time, every, against)
        models = [model, *([against] if against else [])]
        self._look("rollout", models, self._selection.registered_one(on))
        return found
