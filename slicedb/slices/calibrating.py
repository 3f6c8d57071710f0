"""The verb `slice calibrate`: four ways to answer, one way to conclude."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from slicedb.errors import SliceError
from slicedb.keys import KeyIndex
from slicedb.slices.answers import Answers, Question, Reply, read_csv, write_csv
from slicedb.slices.calibrate import Asker, Goal, calibrate, labels_of, questions
from slicedb.slices.labelling import Labelling
from slicedb.slices.population import Population, population_of
from slicedb.slices.slice import Ask, Slice
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
        answer: Callable[[Question], bool | None] | None,
        truth: str | None,
        read: str | os.PathLike[str] | None,
        goal: Goal,
        budget: int,
        term: str | None,
        seed: int,
    ) -> Slice:
        """Ask for labels, and store the cut they give; see `Slices.calibrate`."""
        if sum(way is not None for way in (answer, truth, read)) > 1:
            raise SliceError("Labels come from several sides.", "give one of answer, truth, read.")
        s, population, answers = self._about(name, term, budget)
        if read is not None:
            answers.put(*read_csv(read, self._asked(population, answers)), "csv")
        asker: Asker | None = None
        if answer is not None:
            asker = _one_by_one(answer)
        elif truth is not None:
            asker = self._by_truth(truth)
        source = "callback" if answer is not None else "truth"
        made = calibrate(
            population, answers, asker, budget=budget, goal=goal, seed=seed, source=source
        )
        return self._slices.register(replace(s, calibration=made))

    def write_questions(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        goal: Goal,
        budget: int,
        term: str | None,
        seed: int,
    ) -> int:
        """Write what is to be labelled to a CSV file; see `Slices.write_questions`."""
        _, population, answers = self._about(name, term, budget)
        labels = labels_of(population, answers.states())
        count = max(budget - len(labels.ranks), 0)
        todo = questions(population, answers, labels, count, goal, seed)
        answers.put(todo, ["asked"] * len(todo), "csv")
        write_csv(path, todo)
        return len(todo)

    def labelling(self, name: str, *, goal: Goal, term: str | None, seed: int) -> Labelling:
        """Return what asks and answers step by step; see `Slices.labelling`."""
        s, population, answers = self._about(name, term, 0)
        return Labelling(self._slices, s, population, answers, goal, seed)

    def labelled(self, name: str, *, term: str | None = None) -> int:
        """Return how many labels a slice has already."""
        _, population, answers = self._about(name, term, 0)
        return len(labels_of(population, answers.states()).ranks)

    def forget(self, name: str) -> Slice:
        """Take the calibration off a slice; the answers are kept."""
        return self._slices.register(replace(self._slices.get(name), calibration=None))

    def _about(self, name: str, term: str | None, budget: int) -> tuple[Slice, Population, Answers]:
        if budget < 0:
            raise SliceError(f"The budget {budget} is negative.", "give the number of labels.")
        s = self._slices.get(name)
        population = population_of(s, self._ask, term)
        return s, population, Answers(self._store, s.name, population.term.shown)

    def _asked(self, population: Population, answers: Answers) -> dict[str, Question]:
        states = answers.states()
        keys = population.keys[KeyIndex(list(states)).has(population.keys)]
        return {question.sample: question for question in answers.question(keys)}

    def _by_truth(self, truth: str) -> Asker:
        """Return what answers from a predicate; where it is null the sample is skipped."""
        right = set(self._ask(f"({truth}\n)").keys().tolist())
        wrong = set(self._ask(f"NOT ({truth}\n)").keys().tolist())

        def answer(asked: list[Question]) -> list[tuple[Question, Reply]]:
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
    def ask(asked: list[Question]) -> Iterator[tuple[Question, Reply]]:
        for question in asked:
            shows = answer(question)
            yield question, "skipped" if shows is None else "yes" if shows else "no"

    return ask
