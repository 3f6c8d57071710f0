"""The verbs of behaviour: templates in one command, accuracy against the severity."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slicedb.database.judging import JudgeVerbs
from slicedb.errors import CheckError
from slicedb.query import Query
from slicedb.slices import Slice

if TYPE_CHECKING:
    from slicedb.behaviour.severity import SeverityTable
    from slicedb.judge import Report

COMPOSED = "template IS NOT NULL"
"""The query of all compositions."""


class BehaveVerbs(JudgeVerbs):
    """Verbs about what a model should, and should not, mind."""

    def behaviour(
        self,
        model: str,
        templates: str | os.PathLike[str] | None = None,
        *,
        labels: Mapping[str, str] | Sequence[str] | None = None,
        expect: Sequence[str] | None = None,
        least: float = 0.8,
        on: str = COMPOSED,
        **options: Any,
    ) -> Report:
        """Compose every picture of a template folder, predict them and judge the model on them.

        Args:
            model: the registered name.
            templates: a folder, see `slicedb.behaviour.templates`; None takes what was composed.
            labels: label by class folder, or class names in order for folders that are numbers.
            expect: expectations; None asks accuracy, that neither background nor extra changes
                the prediction, and that another food does.
            least: the bound of each where `expect` is None.
            on: a predicate that picks compositions.
            **options: confidence, correction, strict, decide; see `slicedb.judge.suite`.

        Raises:
            SourceError: no foregrounds or backgrounds.
            CheckError: nothing was composed.
        """
        from slicedb import judge

        if templates is not None:
            self.compose(templates, labels=labels)
        decide = options.pop("decide", "interval")
        asked = tuple(expect if expect is not None else self._behaviours(on, least))
        compositions = Slice(
            "compositions", on, expect=asked, decide=decide, answer=lambda: self.query(on)
        )
        return judge.run(
            self.store,
            [compositions],
            model=model,
            predict=lambda name, keys: self._fill([name], [keys]),
            behave=self._spoil,
            **options,
        )

    def _behaviours(self, on: str, least: float) -> list[str]:
        """Return the expectations that the compositions at hand can answer."""
        columns = {"template", "foreground", "background", "extra"}
        if not columns <= set(self.query("").columns):
            raise CheckError("There are no compositions.", "name a template folder.")
        counts = self.sql(
            "SELECT count(DISTINCT background) AS background, count(DISTINCT extra) AS extra, "
            f"count(DISTINCT label) AS label FROM samples WHERE template IS NOT NULL AND ({on}\n)"
        ).to_pylist()[0]
        asked = ["accuracy over compositions"]
        asked += [f"invariance({name})" for name in ("background", "extra") if counts[name] > 1]
        asked += ["direction(foreground)"] if counts["label"] > 1 else []
        return [f"{text} >= {least!r}" for text in asked]

    def severity(
        self,
        model: str,
        slices: str | Sequence[str | Slice | Query] | None = None,
        *,
        kinds: Iterable[str] | None = None,
        severities: Iterable[int] | None = None,
        predict: bool = True,
        confidence: float = 0.95,
        **options: Any,
    ) -> SeverityTable:
        """Return accuracy against the severity of corruptions, slice by slice.

        Args:
            model: the registered name.
            slices: names, texts or queries; None is every registered slice, after "all".
            kinds: corruptions, flips or crops; None takes the 15 of ImageNet-C.
            severities: 1 to 5; None takes all.
            predict: predict what is missing first; only predictions are stored, no pictures.
            confidence: of the intervals.
            **options: batch_size, device, threads, progress.

        Raises:
            CheckError: an unknown kind or severity.
        """
        from slicedb.behaviour.severity import changes, severity

        what = changes(kinds, severities)
        members = self._members([slices] if isinstance(slices, str) else slices)
        if predict:
            self._fill([model], members.values())
            self._spoil(model, self._union(list(members.values())), what, **options)
        return severity(self.store, model, members, what, confidence)
