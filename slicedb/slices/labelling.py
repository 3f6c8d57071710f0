"""Calibrate a slice a few answers at a time: ask, answer, see precision and recall, save."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from slicedb.errors import SliceError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.slices.answers import Answers, Question, Reply
from slicedb.slices.calibrate import Goal, calibrate, labels_of, questions
from slicedb.slices.calibration import SliceCalibration
from slicedb.slices.population import Population
from slicedb.slices.slice import Slice

if TYPE_CHECKING:
    from slicedb.slices.registry import Slices


class Labelling:
    """The labels of one text of a slice; what was asked and answered is kept in the database.

    Made by `Slices.labelling`. Answers count only of samples that were asked about, since samples
    that somebody chose would bend precision and recall.

    Args:
        slices: the registry that `save` writes to.
        slice: a live slice with a `matches`.
        population: the samples that it decides about.
        answers: what is known of them.
        goal: what the cut is for.
        seed: of the choice of samples, and of the intervals.
    """

    def __init__(
        self,
        slices: Slices,
        slice: Slice,
        population: Population,
        answers: Answers,
        goal: Goal,
        seed: int = 0,
    ) -> None:
        self._slices, self._population, self._answers = slices, population, answers
        self._goal, self._seed = goal, seed
        self.slice = slice

    @property
    def text(self) -> str:
        """What is asked, as the slice writes it."""
        return self._population.term.shown

    @property
    def n_labels(self) -> int:
        """How many samples are answered with yes or no."""
        return len(labels_of(self._population, self._answers.states()).ranks)

    def ask(self, n: int = 12) -> list[Question]:
        """Return the next samples to ask about: those left open first, then those that tell most.

        They are kept as asked, so that the same ones come again after an interruption.

        Args:
            n: how many at most.
        """
        labels = labels_of(self._population, self._answers.states())
        todo = questions(self._population, self._answers, labels, n, self._goal, self._seed)
        if not len(labels.open):
            self._answers.put(todo, ["asked"] * len(todo), "asked")
        return todo

    def answer(self, replies: Mapping[str, bool | None]) -> None:
        """Keep answers; a later one of the same sample replaces it.

        Args:
            replies: id -> whether the sample shows the text; None skips it.

        Raises:
            SliceError: a sample was not asked about.
        """
        known = self._population.keys
        keys = known[KeyIndex(list(self._answers.states())).has(known)]
        asked = {question.sample: question for question in self._answers.question(keys)}
        for sample in replies:
            if sample not in asked:
                hint = "labels chosen otherwise would bend the figures; "
                hint += did_you_mean(sample, asked, "samples asked about")
                raise SliceError(f"{sample!r} was not asked about.", hint)
        states: list[Reply] = [
            "skipped" if shows is None else "yes" if shows else "no" for shows in replies.values()
        ]
        self._answers.put([asked[sample] for sample in replies], states, "page")

    def estimate(self) -> SliceCalibration:
        """Return the cut that the answers give, with precision and recall; nothing is written.

        Raises:
            SliceError: no cut is as precise as the goal wants.
        """
        return calibrate(
            self._population, self._answers, None, budget=0, goal=self._goal, seed=self._seed
        )

    def save(self) -> Slice:
        """Store the cut with the slice as its next version, and return that.

        Raises:
            SliceError: no cut is as precise as the goal wants.
        """
        return self._slices.register(replace(self.slice, calibration=self.estimate()))
