"""Choose which samples an epoch draws, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from slicedb.errors import ClassesError, UnknownSliceError, did_you_mean
from slicedb.keys import KeyIndex
from slicedb.training.dataset import HasKeys, SliceDataset, keys_in


class WeightedSampler(torch.utils.data.Sampler):
    """Draw samples in proportion to their weights, the same ones for the same seed and epoch.

    Without replacement the draw is that of Efraimidis and Spirakis ("Weighted random sampling
    with a reservoir", 2006): the largest u^(1/w).

    Args:
        weights: float64 (n,), not negative; they need not sum to 1.
        n: samples per epoch; None is as many as there are weights.
        replacement: False draws each sample at most once.
        seed: seed of the draw.

    Raises:
        ValueError: a weight is negative or no number, all are 0, or `n` cannot be drawn.

    >>> sampler = WeightedSampler(np.array([0.0, 1.0, 0.0]), n=3)
    >>> list(sampler)
    [1, 1, 1]
    """

    def __init__(
        self, weights: np.ndarray, *, n: int | None = None, replacement: bool = True, seed: int = 0
    ) -> None:
        self.weights = np.asarray(weights, dtype=np.float64)
        if self.weights.ndim != 1 or not (
            np.isfinite(self.weights).all() and (self.weights >= 0).all() and self.weights.any()
        ):
            raise ValueError("Weights are finite numbers (n,), none negative and not all 0.")
        self.n = len(self.weights) if n is None else n
        most = int(np.count_nonzero(self.weights))
        if self.n < 0 or (not replacement and n is not None and n > most):
            raise ValueError(f"Cannot draw {self.n} of {most} samples without replacement.")
        self.n = self.n if replacement else min(self.n, most)
        self.replacement = replacement
        self.seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that is drawn next."""
        self._epoch = epoch

    def indices(self, epoch: int) -> np.ndarray:
        """Return int64 (n,): what an epoch draws, in order."""
        random = np.random.default_rng([self.seed, epoch])
        if self.replacement:
            edges = np.cumsum(self.weights)
            drawn = np.searchsorted(edges, random.random(self.n) * edges[-1], side="right")
            return np.asarray(np.minimum(drawn, int(np.flatnonzero(self.weights)[-1])))
        with np.errstate(divide="ignore"):
            waits = random.exponential(size=len(self.weights)) / self.weights
        return np.asarray(np.argsort(waits, kind="stable")[: self.n])

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices(self._epoch).tolist())

    def __len__(self) -> int:
        return self.n


def slice_weighted(
    weights: Mapping[str, float],
    members: Mapping[str, np.ndarray | HasKeys],
    on: np.ndarray | HasKeys | SliceDataset,
    *,
    n: int | None = None,
    replacement: bool = True,
    seed: int = 0,
) -> WeightedSampler:
    """Return a sampler that draws the members of slices more often, or less.

    A sample in no slice weighs 1, a sample in several the product of their weights. With
    replacement this is importance resampling of the training set towards the slices.

    Args:
        weights: weights by slice name; 3.0 draws its members three times as often.
        members: slices by name: int64 keys, or anything whose `keys()` gives them.
        on: the dataset to draw from, or its keys.
        n: samples per epoch; None is as many as the dataset has.
        replacement: False draws each sample at most once.
        seed: seed of the draw.

    Raises:
        UnknownSliceError: there is a weight for a slice that is not among the members.
        ValueError: a weight is negative.
    """
    keys = keys_in(on)
    each = np.ones(len(keys))
    for name, weight in weights.items():
        if name not in members:
            raise UnknownSliceError(
                f"No slice '{name}' among the members.", did_you_mean(name, members, "slices")
            )
        each[KeyIndex(keys_in(members[name])).has(keys)] *= weight
    return WeightedSampler(each, n=n, replacement=replacement, seed=seed)


def class_balanced(
    dataset: SliceDataset,
    *,
    q: float = 0.0,
    boost: Mapping[str, float] | None = None,
    n: int | None = None,
    replacement: bool = True,
    seed: int = 0,
) -> WeightedSampler:
    """Return a sampler under which class j has the share n_j^q / sum_i n_i^q of the draws.

    q = 0 draws all classes equally often, q = 1/2 is square-root sampling, q = 1 leaves the data
    as it is (Kang et al., "Decoupling representation and classifier for long-tailed
    recognition", ICLR 2020, equation 1). A class without a sample is never drawn.

    Args:
        dataset: with the column `label`.
        q: in [0, 1].
        boost: factors on the shares of classes, by class.
        n: samples per epoch; None is as many as the dataset has.
        replacement: False draws each sample at most once.
        seed: seed of the draw.

    Raises:
        ClassesError: an unknown class in `boost`, or a dataset without labels.
    """
    labels = dataset.labels
    counts = np.bincount(labels, minlength=len(dataset.classes)).astype(np.float64)
    share = np.zeros(len(counts))
    np.power(counts, q - 1.0, out=share, where=counts > 0)
    for name, factor in (boost or {}).items():
        if name not in dataset.classes:
            raise ClassesError(
                f"No class '{name}'.", did_you_mean(name, dataset.classes, "classes")
            )
        share[dataset.classes.index(name)] *= factor
    return WeightedSampler(share[labels], n=n, replacement=replacement, seed=seed)
