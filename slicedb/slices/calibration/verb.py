"""The verb `slice calibrate`: four ways to answer, one way to conclude."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.errors import SliceError
from slicedb.slices.calibration.answers import Answers, Question, State, read_csv, write_csv
from slicedb.slices.calibration.population import Ask, Population, population
from slicedb.slices.calibration.run import Asker, Goal, calibrate, labels_of, questions
from slicedb.slices.slice import Slice
from slicedb.store import Store

if TYPE_CHECKING:
    from slicedb.slices.registry import Slices

BUDGET = 100


class Calibrating:
    """Calibrates the slices of a registry.

    Args:
        slices: the registry.
        store: where answers are kept.
        ask: gives the `Query` of a text.
    """

    def __init__(self, slices: Slices, store: Store, ask: Ask) -> None:
        self._slices, self._store, self._ask = slices, store, ask

    def calibrate(
        self,
        name: str,
        *,
        answer: Callable[[Question], bool | None] | None = None,
        truth: str | None = None,
        read: str | os.PathLike[str] | None = None,
        recall: float | None = None,
        precision: float | None = None,
        budget: int = BUDGET,
        term: str | None = None,
        confidence: float = 0.95,
        seed: int = 0,
    ) -> Slice:
        """Ask for labels, and store the cut they give with the slice as its next version.

        Answers are kept as they come; whatever ends the asking early, the next call goes on.

        Args:
            name: a live slice with a `matches`.
            answer: is asked one question at a time; None from it skips the sample.
            truth: a predicate that is true where the sample shows the text, null where nobody
                knows: `label = 'Dessert'`.
            read: a file that `write_questions` wrote, filled in.
            recall: the share of what shows the text that must match, at `confidence`.
            precision: the share of the matches that must show it. With neither, the best balance
                (F1), and only where it is surely better than the cut there is.
            budget: labels in all, those kept from before included.
            term: the text meant, where the slice has several.
            confidence: of the aim, and of the intervals of precision and recall.
            seed: of the choice of samples.

        Returns:
            The new version; its `calibration` says precision, recall and the labels.

        Raises:
            SliceError: there is nothing to calibrate, the options do not fit, or no cut is as
                precise as wanted.

        Example:
            db.slices.calibrate("desserts", truth="label = 'Dessert'", recall=0.9)
        """
        goal = goal_of(recall, precision, confidence)
        if sum(way is not None for way in (answer, truth, read)) > 1:
            raise SliceError("Labels come from several sides.", "give one of answer, truth, read.")
        s, found, answers = self._about(name, term, budget)
        if read is not None:
            answers.put(*read_csv(read, self._asked(found, answers)), "csv")
        asker: Asker | None = None
        if answer is not None:
            asker = _one_by_one(answer)
        elif truth is not None:
            asker = self._by_truth(truth)
        source = "callback" if answer is not None else "truth"
        made = calibrate(found, answers, asker, budget=budget, goal=goal, seed=seed, source=source)
        return self._slices.register(replace(s, calibration=made))

    def write_questions(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        budget: int = BUDGET,
        term: str | None = None,
        seed: int = 0,
    ) -> int:
        """Write what is to be labelled to a CSV file, and return how many samples that is.

        Args:
            name: as for `calibrate`; so are budget, term and seed.
            path: the file; its column `answer` is to be filled in with y, n or s.
        """
        _, found, answers = self._about(name, term, budget)
        labels = labels_of(found, answers.states())
        todo = questions(found, answers, labels, max(budget - len(labels.ranks), 0), seed)
        answers.put(todo, ["asked"] * len(todo), "csv")
        write_csv(path, todo)
        return len(todo)

    def labelled(self, name: str, *, term: str | None = None) -> int:
        """Return how many labels a slice has already."""
        _, found, answers = self._about(name, term, 0)
        return len(labels_of(found, answers.states()).ranks)

    def forget(self, name: str) -> Slice:
        """Take the calibration off a slice; the answers are kept."""
        return self._slices.register(replace(self._slices.get(name), calibration=None))

    def _about(self, name: str, term: str | None, budget: int) -> tuple[Slice, Population, Answers]:
        if budget < 0:
            raise SliceError(f"The budget {budget} is negative.", "give the number of labels.")
        s = self._slices.get(name)
        found = population(s, self._ask, term)
        return s, found, Answers(self._store, s.name, found.term.shown)

    def _asked(self, found: Population, answers: Answers) -> dict[str, Question]:
        states = answers.states()
        keys = found.keys[np.isin(found.keys, np.fromiter(states, np.int64, len(states)))]
        return {question.sample: question for question in answers.question(keys)}

    def _by_truth(self, truth: str) -> Asker:
        """Return what answers from a predicate; where it is null the sample is skipped."""
        right = set(self._ask(f"({truth}\n)").keys().tolist())
        wrong = set(self._ask(f"NOT ({truth}\n)").keys().tolist())

        def answer(asked: list[Question]) -> list[tuple[Question, State]]:
            return [
                (q, "yes" if q.key in right else "no" if q.key in wrong else "skipped")
                for q in asked
            ]

        return answer


def goal_of(recall: float | None, precision: float | None, confidence: float) -> Goal:
    """Return what is wanted.

    Raises:
        SliceError: both are, or a share is not one.
    """
    if recall is not None and precision is not None:
        message = "One cut cannot be chosen for a recall and for a precision."
        raise SliceError(message, "give one; the other is reported.")
    if recall is not None:
        return Goal("recall", recall, confidence)
    if precision is not None:
        return Goal("precision", precision, confidence)
    return Goal("f1", 0.0, confidence)


def _one_by_one(answer: Callable[[Question], bool | None]) -> Asker:
    def ask(asked: list[Question]) -> Iterator[tuple[Question, State]]:
        for question in asked:
            said: Any = answer(question)
            yield question, "skipped" if said is None else "yes" if said else "no"

    return ask
