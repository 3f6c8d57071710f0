"""The verbs that judge: evaluate, confusion, test, errors, cost, calibration."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from slicedb import schema
from slicedb.database.asking import On
from slicedb.database.modelling import ModelVerbs
from slicedb.errors import SliceDBError
from slicedb.query import Query
from slicedb.slices import Slice

if TYPE_CHECKING:
    from slicedb.analysis import Mistakes
    from slicedb.decide import Calibration, CostReport
    from slicedb.expectations.behaviours import Change
    from slicedb.judge import Comparison, Confusion, Evaluation, Power, Report
    from slicedb.runs import Runs


Several: TypeAlias = "str | Slice | Query | Sequence[str | Slice | Query] | None"
"""Slices by name, query texts or queries, or one of them; None is every registered slice."""


def _listed(slices: Several) -> Sequence[str | Slice | Query] | None:
    return [slices] if isinstance(slices, (str, Slice, Query)) else slices


class JudgeVerbs(ModelVerbs):
    """Verbs that evaluate models over slices."""

    def evaluate(
        self,
        models: str | Sequence[str],
        slices: Several = None,
        *,
        predict: bool = True,
        at: str | None = None,
        record: bool = True,
        **options: Any,
    ) -> Evaluation:
        """Return the slice x model table of metrics with intervals.

        Args:
            models: one name or several.
            slices: names, texts or queries, or one; None is every registered slice, after "all".
            predict: predict missing rows of registered models first.
            at: a commit, tag or branch: its samples, labels, slices and predictions, of which
                none are added.
            record: write it down in `runs`, for the lineage of registered models.
            **options: see `slicedb.judge.evaluate`.
        """
        from slicedb.judge import evaluate

        if at is not None:
            return self.at(at).evaluate(models, slices, predict=False, record=False, **options)
        names = [models] if isinstance(models, str) else list(models)
        slices = _listed(slices)
        members = self._members(slices)
        if predict:
            self._fill(names, members.values())
        found = evaluate(self.store, names, members, **options)
        looked = self._looked(slices)
        if self.store.title:
            return found
        if looked or (record and any(name in self.models for name in names)):
            self._record(names, members, found, looked)
        return replace(found, warnings=self._warnings(looked, members))

    def _looked(self, slices: Sequence[str | Slice | Query] | None) -> dict[str, str]:
        """Return the slices with a holdout among those asked, as `runs` keeps them."""
        from slicedb.slices import looks

        parts = self.slices.list() if slices is None else slices
        found = [
            self.slices.get(p) if isinstance(p, str) else p
            for p in parts
            if isinstance(p, Slice) or (isinstance(p, str) and p in self.slices)
        ]
        return looks.guarded(found)

    def _warnings(
        self, looked: Mapping[str, str], members: Mapping[str, np.ndarray]
    ) -> tuple[str, ...]:
        from slicedb.slices import looks

        sizes = {title.partition("@")[0]: len(keys) for title, keys in members.items()}
        return looks.warnings(self.store, looked, sizes) if looked else ()

    def _record(
        self,
        models: list[str],
        members: Mapping[str, np.ndarray],
        found: Evaluation,
        looked: Mapping[str, str],
    ) -> None:
        """Write an evaluation down, for the lineage of models and the looks at holdouts."""
        from slicedb.runs import record_evaluation

        known = {s.name: s for s in self.slices.list()}
        tables = {name: schema.PREDICTIONS + name for name in models}
        prints = {
            name: self.store.metadata(table).get("slicedb:fingerprint", "")
            for name, table in tables.items()
        }
        about = {
            "tables": self.store.versions(),
            "fingerprints": prints,
            "queries": {n: known[n].text if n in known else n for n in members},
            "slices": {n: {"n": len(keys)} for n, keys in members.items()},
            "looks": dict(looked),
        }
        record_evaluation(self.store, found, about)

    @cached_property
    def runs(self) -> Runs:
        """The runs written down: `list()`, and `trends()` of each test over them."""
        from slicedb.runs import Runs

        return Runs(self.store)

    def compare(
        self,
        a: str,
        b: str,
        slices: Several = None,
        *,
        predict: bool = True,
        at: str | None = None,
        **options: Any,
    ) -> Comparison:
        """Compare two models slice by slice: wins, losses, ties, difference, p, flipped samples.

        >>> db.compare("v3", "v4", slices=["night"]).query("night", "lost")  # doctest: +SKIP
        "in_slice('night') AND v4.correct AND NOT v3.correct"

        Args:
            a: a model; differences are its accuracy minus that of `b`.
            b: another one.
            slices: names, texts or queries, or one; None is every registered slice, after "all".
            predict: predict missing rows of registered models first.
            at: a commit, tag or branch to ask instead of the present state.
            **options: confidence, correction, group; see `slicedb.judge.comparison`.
        """
        from slicedb.judge import compare

        if at is not None:
            return self.at(at).compare(a, b, slices, predict=False, **options)
        slices = _listed(slices)
        members = self._members(slices)
        if predict:
            self._fill([a, b], members.values())
        scopes = {_title(part): self._predicate(part) for part in slices or ()}
        scopes |= {"all": ""} if slices is None else {}
        return compare(self.store, a, b, members, scopes=scopes, **options)

    def power(
        self,
        a: str,
        b: str,
        slices: Several = None,
        **options: Any,
    ) -> Power:
        """Say how many images it takes to see a drop of one model against another.

        Args:
            a: a model with predictions.
            b: the model it is compared with.
            slices: names, texts or queries, or one; None is every registered slice, after "all".
            **options: drop, power, confidence; see `slicedb.judge.power`.
        """
        from slicedb.judge import power

        return power(self.store, a, b, self._members(_listed(slices)), **options)

    def _predicate(self, part: str | Slice | Query) -> str:
        """Return a predicate of the members of a slice, a text or a query."""
        if isinstance(part, Slice) or (isinstance(part, str) and part in self.slices):
            return f"in_slice('{_title(part)}')"
        text = (self.query(part) if isinstance(part, str) else part).predicate()
        plain = text.startswith("(") and text.endswith("\n)") and "--" not in text
        return text[1:-2] if plain else text  # as it was written

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

    def confusion(self, model: str, on: On = None, *, at: str | None = None) -> Confusion:
        """Return the confusion matrix of a model over a slice, of a commit if one is named."""
        from slicedb.judge import confusion

        if at is not None:
            return self.at(at).confusion(model, on)
        return confusion(self.store, model, self.keys(on))

    def errors(self, model: str, on: On = None, *, tag: bool = False, **options: Any) -> Mistakes:
        """Review a model's mistakes; every finding is a query that can be named as a slice.

        Args:
            model: whose predictions.
            on: the samples to review; a slice's name or a predicate becomes part of the queries.
            tag: tag the samples of each finding with its name.
            **options: sure, unsure, n, by, slices; see `slicedb.analysis.errors`.
        """
        from slicedb import analysis

        names = options.pop("slices", [s.name for s in self.slices.list()])
        found = analysis.errors(
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
        self, model: str, on: On = None, *, slices: str | Sequence[str] = (), **options: Any
    ) -> CostReport:
        """Say what a model's mistakes cost, and which threshold is cheapest.

        Args:
            model: whose predictions and probabilities.
            on: the samples to judge.
            slices: names judged one by one beside the whole.
            **options: matrix, column, positive, ask, human; see `slicedb.decide.cost`.
        """
        from slicedb import decide

        keys = None if on is None else self.keys(on)
        chosen = [slices] if isinstance(slices, str) else slices
        members = {name: self.keys(name) for name in chosen}
        return decide.cost(self.store, model, keys, slices=members, **options)

    def calibration(self, model: str, on: On = None, **options: Any) -> Calibration:
        """Show calibration before and after temperature scaling, on rows not fitted on."""
        from slicedb import decide

        return decide.calibrate(self.store, model, None if on is None else self.keys(on), **options)

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
            **options: confidence, correction, strict; see `slicedb.judge.suite`.
        """
        from slicedb import judge

        chosen, settings = self._suite(source)
        settings = {**settings, **{k: v for k, v in options.items() if v is not None}}
        model = model or settings.pop("model", None)
        baseline = baseline or settings.pop("baseline", None)
        settings = {k: v for k, v in settings.items() if k not in ("model", "baseline")}
        settings.setdefault("write", not self.store.title)
        if model is None:
            raise SliceDBError(
                "No model to test.", "pass model=, or --model, or name it in suite.toml."
            )
        return judge.run(
            self.store,
            chosen,
            model=model,
            baseline=baseline,
            predict=(lambda name, keys: self._fill([name], [keys])) if predict else None,
            behave=self._spoil if predict else None,
            **settings,
        )

    def _spoil(self, model: str, keys: np.ndarray, what: Sequence[Change], **options: Any) -> None:
        """Predict corrupted pictures that are missing; logged models are left alone."""
        if self.models.can_load(model):
            from slicedb.behaviour.spoilt import spoil

            spoil(self.store, model, self.models.get(model), keys, what, **options)
            self.store.sync()

    def _suite(
        self, source: str | os.PathLike[str] | Sequence[str | Slice] | None
    ) -> tuple[list[Slice], dict[str, Any]]:
        from slicedb import judge

        if source is None:
            return [s for s in self.slices.list() if s.expect], {}
        if isinstance(source, (list, tuple)):
            return [s if isinstance(s, Slice) else self.slices.get(s) for s in source], {}
        path = Path(os.fspath(source))  # type: ignore[arg-type]
        names = [change.name for change in self.slices.apply(path)]
        return [self.slices.get(name) for name in names], judge.settings(path)


def _title(part: str | Slice | Query) -> str:
    if isinstance(part, Slice):
        return part.name
    return part if isinstance(part, str) else part.text
