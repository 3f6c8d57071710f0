"""Calibrate: ask for labels in rounds, refine the direction, choose the cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from slicedb.errors import SliceError
from slicedb.keys import KeyIndex, Keys, mix
from slicedb.slices.answers import Answers, Question, Reply
from slicedb.slices.calibration import SliceCalibration
from slicedb.slices.population import Population
from slicedb.stats.cuts import Aim, RankCut, at_rank, choose
from slicedb.stats.ranking import Ranking
from slicedb.stats.refine import refine
from slicedb.vectors import Calibrated

Asker: TypeAlias = Callable[[list[Question]], Iterable[tuple[Question, Reply]]]
"""Answers all questions it is given: a list, or one by one, kept as they come."""


@dataclass(frozen=True)
class Goal:
    """What a cut is wanted for."""

    aim: Aim
    least: float = 0.0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.aim != "f1" and not 0 < self.least <= 1:
            raise SliceError(
                f"The {self.aim} {self.least:g} is not in (0, 1].", "0.9, for example."
            )
        if not 0.5 <= self.confidence < 1:
            message = f"The confidence {self.confidence:g} is not in [0.5, 1)."
            raise SliceError(message, "0.95, for example.")


@dataclass(frozen=True, eq=False)
class Labels:
    """What is known of a population."""

    ranks: npt.NDArray[np.int64]
    """Places of the labelled samples."""
    yes: npt.NDArray[np.bool_]
    gone: npt.NDArray[np.int64]
    """Places of the skipped ones."""
    open: npt.NDArray[np.int64]
    """Places of those asked about and not answered yet."""


def labels_of(population: Population, states: dict[int, Reply]) -> Labels:
    """Return the states of the samples of a population; others are left out."""

    def where(*wanted: Reply) -> npt.NDArray[np.int64]:
        keys = [key for key, state in states.items() if state in wanted]
        return np.flatnonzero(KeyIndex(keys).has(population.keys))

    ranks = where("yes", "no")
    return Labels(ranks, np.isin(ranks, where("yes")), where("skipped"), where("asked"))


def calibrate(
    population: Population,
    answers: Answers,
    asker: Asker | None,
    *,
    budget: int,
    goal: Goal,
    seed: int = 0,
    source: str = "",
) -> SliceCalibration:
    """Ask until `budget` labels are there, and return the calibration.

    Args:
        population: the samples.
        answers: what is known already, and where answers are kept.
        asker: answers questions; None takes what is there.
        budget: labels wanted.
        goal: what the cut is for.
        seed: of the choice of samples and of the intervals.
        source: who answers, for the record.

    Raises:
        SliceError: no cut reaches the precision wanted.
    """
    while asker is not None:
        labels = labels_of(population, answers.states())
        count = _next(len(labels.ranks), budget)
        todo = questions(population, answers, labels, count, seed) if count else []
        if not todo:
            break
        replies = asker(todo)
        if isinstance(replies, list):
            answers.put([q for q, _ in replies], [reply for _, reply in replies], source)
            continue
        for question, reply in replies:
            answers.put([question], [reply], source)
    return _conclude(population, labels_of(population, answers.states()), goal, seed)


def _next(labelled: int, budget: int) -> int:
    """Return how many labels to ask for before looking at them: a quarter, then fifths."""
    first = -(-budget // 4)
    if labelled < first:
        return first - labelled
    return min(max(budget - labelled, 0), max(5, budget // 5))


def questions(
    population: Population, answers: Answers, labels: Labels, count: int, seed: int = 0
) -> list[Question]:
    """Return the next samples to ask about: the open ones, then those that tell most.

    Inside a stratum samples come in the order of a number that belongs to each for good, so that
    the same ones are asked about again after an interruption or when data was added.
    """
    order = _order(population.keys, seed)
    if len(labels.open):
        picked = labels.open
    else:
        ranking = population.ranking
        k = len(ranking.edges) - 1
        strata = ranking.strata(labels.ranks)
        yes = np.bincount(strata, weights=labels.yes, minlength=k)
        asked = np.bincount(strata, minlength=k)
        gone = np.bincount(ranking.strata(labels.gone), minlength=k)
        rng = np.random.default_rng([seed, len(labels.ranks)])
        wanted = ranking.allocate(yes, asked, count, rng, gone)
        taken = np.zeros(len(population.keys), dtype=bool)
        taken[labels.ranks] = taken[labels.gone] = True
        chosen = []
        for start, end, n in zip(ranking.edges[:-1], ranking.edges[1:], wanted):
            free = start + np.flatnonzero(~taken[start:end])
            chosen.append(free[np.argsort(order[free])][:n])
        picked = np.concatenate(chosen)
    picked = picked[np.argsort(order[picked])][:count]
    return answers.question(population.keys[picked])


def _order(keys: Keys, seed: int) -> npt.NDArray[np.uint64]:
    """Return uint64 (n,): a random number for each sample, always the same for a seed."""
    mixer = np.random.default_rng([seed, 1]).integers(0, 2**62, dtype=np.int64)
    return mix(keys ^ mixer)


def _conclude(population: Population, labels: Labels, goal: Goal, seed: int) -> SliceCalibration:
    """Return the calibration that the labels give; none of them leaves the slice as it is."""
    ranking = population.ranking
    ranks, scores, importance = labels.ranks, population.log_odds, None
    made = population.calibrated(0.0)
    refined = refine(scores[ranks], population.vectors()[ranks], labels.yes) if len(ranks) else None
    if refined is not None:
        importance = _importance(ranking, ranks)
        made = population.calibrated(0.0, refined.slope, refined.direction.astype(np.float32))
        scores = np.sort(population.scores(made).astype(np.float64))[::-1]
        ranking = Ranking(scores)
        ranks = np.minimum(np.searchsorted(-scores, -refined.held_out), len(scores) - 1)
    rng = np.random.default_rng([seed, 2])
    positives = ranking.draws(ranks, labels.yes, rng, importance=importance)
    if len(ranks):
        now = population.now if refined is None else None
        cut = choose(ranking, positives, goal.aim, goal.least, goal.confidence, now)
    else:
        cut = at_rank(ranking, positives, population.now, goal.confidence)
    if goal.aim == "precision" and len(ranks) and not cut.reached:
        message = f"No cut has a precision of {goal.least:g} with {goal.confidence:.0%} confidence"
        raise SliceError(
            f"{message}; the nearest has {cut.precision}, by {len(ranks):,} labels.",
            "ask for less, or give a larger budget: the answers are kept.",
        )
    made = population.calibrated(
        _score_at(scores, cut.rank), made.slope, _direction(made.direction)
    )
    return _record(population, labels, goal, cut, made)


def _record(
    population: Population, labels: Labels, goal: Goal, cut: RankCut, made: Calibrated
) -> SliceCalibration:
    return SliceCalibration(
        made,
        population.spans,
        goal.aim,
        goal.least,
        cut.precision,
        cut.recall,
        goal.confidence,
        len(labels.ranks),
        int(labels.yes.sum()),
        len(population.keys),
        cut.rank,
    )


def _direction(raw: bytes) -> npt.NDArray[np.float32] | None:
    return np.frombuffer(raw, dtype=np.float32) if raw else None


def _importance(ranking: Ranking, ranks: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return how many samples each labelled one stands for: its stratum's, shared out."""
    strata = ranking.strata(ranks)
    asked = np.bincount(strata, minlength=len(ranking.edges) - 1)
    return np.asarray((np.diff(ranking.edges) / np.maximum(asked, 1))[strata])


def _score_at(scores: npt.NDArray[np.float64], rank: int) -> float:
    """Return the cut, as float32 holds it, that has `rank` samples above it."""
    if rank == 0:
        return float(np.nextafter(np.float32(scores[0]), np.float32(np.inf)))
    above = np.float32(scores[rank - 1])
    if rank == len(scores):
        return float(above)
    middle = (above + np.float32(scores[rank])) / np.float32(2)
    return float(middle if middle > np.float32(scores[rank]) else above)
