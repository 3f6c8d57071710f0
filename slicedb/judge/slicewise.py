"""The slices of a comparison, over the samples that both models saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from slicedb import schema, sql, stats
from slicedb.errors import SliceError, did_you_mean
from slicedb.judge.agreement import Agreement, agreements
from slicedb.judge.aligned import groups_of, universe
from slicedb.judge.pairs import Pair
from slicedb.judge.truth import OtherTruth
from slicedb.keys import Keys, distinct
from slicedb.metrics import Membership
from slicedb.metrics.outcomes import Bools, Floats
from slicedb.store import Store

SliceCorrection = Literal["max-t", "holm", "benjamini-hochberg", "none"]

CORRECTIONS: tuple[SliceCorrection, ...] = ("max-t", "holm", "benjamini-hochberg", "none")
"""How the slices are counted: max-T for slices that share samples, the others for any."""


def check_correction(correction: str) -> None:
    """Raise for a way to count slices that there is not.

    Raises:
        SliceError: it is none of `CORRECTIONS`.
    """
    if correction not in CORRECTIONS:
        hint = did_you_mean(correction, CORRECTIONS, "corrections")
        raise SliceError(f"correction is {correction!r}.", hint)


class Slicewise:
    """The slices on which two models are compared.

    Args:
        store: the database.
        pair: the models on the samples that both saw.
        members: slice -> int64 keys.
        scopes: slice -> predicate of its members, "" for all of them; None is
            `in_slice('name')` for each.
        group: a column whose groups are resampled and flipped together.
    """

    def __init__(
        self,
        store: Store,
        pair: Pair,
        members: Mapping[str, Keys],
        scopes: Mapping[str, str] | None = None,
        group: str | None = None,
    ) -> None:
        self._store = store
        self._members = list(members.values())
        self._every = universe(store)
        self.pair = pair
        self.names = list(members)
        self.scopes = [
            (scopes or {}).get(name, f"in_slice({sql.string(name)})") for name in members
        ]
        self.belongs: Membership = pair.members(
            [self._every.rows(np.asarray(keys, np.int64)) for keys in members.values()]
        )
        self.units: Keys | None = groups_of(store, group)[pair.rows] if group else None

    @cached_property
    def left_out(self) -> Keys:
        """int64 (s,): members of each slice that both models did not see."""
        sizes = np.array([len(distinct(keys)) for keys in self._members], np.int64)
        return sizes - self.belongs.sizes

    def flips(self, d: Floats) -> Floats:
        """Return the two-sided p of each slice alone, from random flips of signs.

        Args:
            d: float64 (n,), A minus B of each sample.
        """
        parts = (Membership([rows], len(d)) for rows in self.belongs.positions)
        return np.array([_flips(d, part, self.units)[0] for part in parts])

    def adjusted(self, p: Floats, d: Floats, correction: SliceCorrection) -> Floats:
        """Return p with all slices counted.

        Args:
            p: float64 (s,), of each slice alone; NaN without samples.
            d: float64 (n,), A minus B of each sample.
            correction: one of `CORRECTIONS`.
        """
        tested = np.flatnonzero(self.belongs.sizes > 0)
        if correction == "none" or len(tested) < 2:
            return p
        if correction != "max-t":
            return stats.holm(p) if correction == "holm" else stats.benjamini_hochberg(p)
        together = _flips(d, self.belongs, self.units)
        return np.where(np.isnan(p), np.nan, np.fmax(together, p))  # no less than the exact p alone

    def named(self, chosen: Bools) -> list[str]:
        """Return, for each slice, the query of its chosen samples, by their ids.

        Against another truth than the ground truth no query tells which samples these are.

        Args:
            chosen: bool (n,), over the samples that both models saw.
        """
        keys = self._every.keys[self.pair.rows]
        return [
            sql.is_in("id", ids_of(self._store, keys[rows[chosen[rows]]]))
            for rows in self.belongs.positions
        ]

    def agreements(
        self, models: Sequence[str], truth: OtherTruth | None, confidence: float
    ) -> tuple[Agreement, ...]:
        """Return how far another truth agrees with the ground truth, and with each model."""
        return agreements(
            self._store, models, truth, self._members, scopes=self.scopes, confidence=confidence
        )


def _flips(d: Floats, belongs: Membership, units: Keys | None) -> Floats:
    # Samples on which both models agree flip nothing, and are most of the matrix.
    rows = np.flatnonzero(d)
    groups = None if units is None else units[rows]
    p = stats.max_t(d[rows], belongs.within(rows).matrix, groups=groups, sides=2).p
    return np.where(np.isnan(p), 1.0, p)


def ids_of(store: Store, keys: Keys) -> list[str]:
    """Return the ids of samples, in the order of their keys."""
    if not len(keys):
        return []
    ids: list[str] = store.take(schema.SAMPLES, keys, ["id"])["id"].to_pylist()
    return ids
