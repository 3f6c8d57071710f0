"""The scores of one run: the rows that can still match, and their columns of scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from slicedb.keys import distinct
from slicedb.query.bound.bound import Score, Search
from slicedb.query.run.cuts import Condition, holds, scores_of
from slicedb.query.run.plan import Plan
from slicedb.query.run.session import Session
from slicedb.vectors import Lasso, Term

SELECTIVE = 0.2
"""Share of rows below which taking them out costs less than going through all."""
_SAMPLE = 2_048
"""Rows that tell how few a condition leaves."""


class Scores:
    """Columns of scores of the rows that are still in.

    Args:
        session: what is held open.
        plan: what is asked.
        check: raises when the time is used up.

    Attributes:
        rows: int64 (m,), rising: places in stored order that `values` speak of; None is all.
        mask: bool (m,): which of them are still in; None is all.
        values: score to float32 (m,), NaN for null.
    """

    def __init__(self, session: Session, plan: Plan, check: Callable[[], None]) -> None:
        self._session = session
        self._plan = plan
        self._check = check
        self._samples = session.tables.samples(plan.pool.catalog.samples)
        self.total = session.tables.rows(self._samples)
        self.keys = session.tables.keys(self._samples)
        self.visible = session.tables.visible(self._samples)
        self.rows: np.ndarray | None = None
        self.mask: np.ndarray | None = None
        self.values: dict[Score, np.ndarray] = {}

    @property
    def size(self) -> int:
        """The number of rows that are scored."""
        return self.total if self.rows is None else len(self.rows)

    @property
    def left(self) -> int:
        """The number of rows still in."""
        return self.size if self.mask is None else int(np.count_nonzero(self.mask))

    def places(self) -> np.ndarray:
        """Return int64 (k,): the places, among the scored rows, of those that can still match."""
        return np.arange(self.size) if self.mask is None else np.flatnonzero(self.mask)

    def keep(self, mask: np.ndarray) -> None:
        """Keep rows; when few are left, the others are dropped.

        Args:
            mask: bool (m,): which of the rows may stay.
        """
        self.mask = mask if self.mask is None else self.mask & mask
        left = self.left
        if left == self.size:
            self.mask = None
        elif left <= SELECTIVE * self.size:
            self.take(self.places())

    def take(self, places: np.ndarray) -> None:
        """Keep the rows at some places, rising, and drop the others."""
        self.rows = places if self.rows is None else self.rows[places]
        self.values = {score: column[places] for score, column in self.values.items()}
        self.mask = None

    def restrict(self, rows: np.ndarray) -> None:
        """Keep some rows, given by their places in stored order."""
        if self.rows is None and self.mask is None and len(rows) <= SELECTIVE * self.total:
            self.take(distinct(rows))  # few rows cost what they are, not what all samples are
            return
        mask = np.zeros(self.total, dtype=bool)
        mask[rows] = True
        self.keep(mask if self.rows is None else mask[self.rows])

    def add(self, wanted: Sequence[Score]) -> int:
        """Compute the columns that are missing; returns how many there were."""
        new = [score for score in dict.fromkeys(wanted) if score not in self.values]
        if new:
            self.values |= self._computed(new, self.rows)
        return len(new)

    def decide(self, conditions: Sequence[Condition]) -> None:
        """Keep the rows where conditions hold.

        One that leaves few rows goes first, so that the others' scores are computed for those.
        """
        todo = self._by_share(conditions)
        while todo:
            together = 1 if todo[0][0] <= SELECTIVE else len(todo)
            group, todo = [part for _, part in todo[:together]], todo[together:]
            self.add([score for part in group for score in scores_of(part)])
            self.keep(np.logical_and.reduce([holds(part, self.values) for part in group]))

    def _by_share(self, conditions: Sequence[Condition]) -> list[tuple[float, Condition]]:
        """Return conditions with the share of rows each leaves, by a sample, the fewest first."""
        if len(conditions) < 2 or self.size < 8 * _SAMPLE:
            return [(1.0, part) for part in conditions]
        every = np.arange(self.size) if self.rows is None else self.rows
        rows = every[:: len(every) // _SAMPLE]
        asked = {part: list(scores_of(part)) for part in conditions}
        plain = [s for scores in asked.values() for s in scores if _is_of_the_sample(s)]
        values = self._computed(list(dict.fromkeys(plain)), rows)
        shares = []
        for number, (part, scores) in enumerate(asked.items()):
            known = all(score in values for score in scores)
            # nearest and search cannot be tried on a sample, and nearly always leave few rows
            share = float(holds(part, values).mean()) if known else 0.0
            shares.append((share, number, part))
        return [(share, part) for share, _, part in sorted(shares, key=lambda s: s[:2])]

    def _computed(self, wanted: list[Score], rows: np.ndarray | None) -> dict[Score, np.ndarray]:
        session, catalog = self._session, self._plan.pool.catalog
        meanings = [score for score in wanted if isinstance(score, Term)]
        searches = [score for score in wanted if isinstance(score, Search)]
        versions = {t.embedding: catalog.embedding(t.embedding).version for t in meanings}
        everyone, check = (self.keys, rows, self.visible), self._check
        scored = session.meaning.score(meanings, versions, *everyone, check)
        values: dict[Score, np.ndarray] = {}
        values.update(scored.items())
        if searches:
            index = session.tables.index(self._samples)
            hits = session.search.score(searches, catalog.samples, index, rows, check)
            values.update(hits.items())
        if lassos := [score for score in wanted if isinstance(score, Lasso)]:
            maps = {lasso.table: catalog.table(lasso.table).version for lasso in lassos}
            values.update(session.lassos.score(lassos, maps, self.keys, rows, check).items())
        return values


def _is_of_the_sample(score: Score) -> bool:
    """Return whether the cost of a score is proportional to the rows it is computed for."""
    return isinstance(score, Lasso) or (isinstance(score, Term) and score.kind != "nearest")
