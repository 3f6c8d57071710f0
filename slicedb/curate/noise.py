"""Where wrong labels go: the noise of labels, and what is left of a label once it is known.

Errors that turn one class into a particular other one (a pickup truck into a car) look harmless to
any score of the label alone, since a model that learned from such labels half believes them. The
noise is read off the samples that the model is surest of in each class: there the classes are not
mixed up, so that what is labelled otherwise is labelled wrongly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slicedb.metrics.outcomes import Floats, Ints

_SUREST = 0.25
"""Share of the samples predicted as a class that its noise is read off."""
_PRIOR = 0.5
"""Wrong labels that each class is taken to have, spread evenly over the other classes."""
_ROUNDS = 10
"""Steps of the fixed point that takes the noise out of the probabilities."""
_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Noise:
    """How often a sample of each class carries each label."""

    share: Floats
    """float64 (c, c): row = class, column = label; rows sum to 1."""
    concentration: float
    """How far wrong labels go to particular classes: 0 if to all others alike, 1 if to a single
    one; NaN where too few are wrong to tell, and for two classes."""

    def posterior(self, label: Ints, p: Floats) -> Floats:
        """Return float64 (n,) in [0, 1]: how likely each label is right, given the noise.

        Args:
            label: int64 (n,), below c.
            p: float64 (n, c): the probability of each *label*, as a model says it that learned
                from noisy ones.
        """
        clean = np.array(p, np.float64)
        for _ in range(_ROUNDS):  # expectation-maximisation of clean @ share = p
            clean *= (p / np.maximum(clean @ self.share, _TINY)) @ self.share.T
            clean /= np.maximum(clean.sum(axis=1, keepdims=True), _TINY)
        at = np.arange(len(label)), label
        given = np.maximum((clean @ self.share)[at], _TINY)
        return np.asarray(np.minimum(clean[at] * np.diag(self.share)[label] / given, 1.0))


def noise(label: Ints, p: Floats) -> Noise:
    """Read the noise of labels off the samples that the model is surest of.

    Args:
        label: int64 (n,), below c.
        p: float64 (n, c).
    """
    c = p.shape[1]
    counts = np.zeros((c, c))
    predicted = p.argmax(axis=1)
    for k in range(c):
        rows = np.flatnonzero(predicted == k)
        if len(rows):
            n = max(1, int(len(rows) * _SUREST))
            surest = rows[np.argpartition(-p[rows, k], n - 1)[:n]]
            counts[k] = np.bincount(label[surest], minlength=c)
    others = counts * (1 - np.eye(c))
    wrong = others.sum(axis=1, keepdims=True)
    rate = wrong / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    even = (1 - np.eye(c)) / max(1, c - 1)
    where = (others + _PRIOR * even) / (wrong + _PRIOR)
    return Noise(rate * where + np.eye(c) * (1 - rate), _concentration(others))


def _concentration(others: Floats) -> float:
    """Return how likely two wrong labels of one class are the same label, beyond an even spread."""
    c = len(others)
    total = others.sum(axis=1)
    pairs = total * (total - 1)
    known = pairs > 0
    if c < 3 or not known.any():
        return float("nan")
    same = (others * (others - 1)).sum(axis=1)[known] / pairs[known]
    chance = (same * total[known]).sum() / total[known].sum()
    return float(((c - 1) * chance - 1) / (c - 2))
