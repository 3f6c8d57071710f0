"""Add noise: Gaussian, shot, impulse."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch

from slicedb.behaviour.corruptions.pixels import Stream, bits, normal

_FINE = 4096
_LARGEST = 32767


def gaussian_noise(x: torch.Tensor, streams: Sequence[Stream], scale: float) -> torch.Tensor:
    """Add normal noise; `scale` is its standard deviation, white being 1."""
    noise = normal(streams, scale * 255, *x.shape[1:]).to(x.device)
    return noise.add_(x).clamp_(0, 255).to(torch.uint8)


def shot_noise(x: torch.Tensor, streams: Sequence[Stream], photons: float) -> torch.Tensor:
    """Draw each value from a Poisson distribution; `photons` is the count that makes white."""
    where = bits(streams, *x.shape[1:]).to(x.device).to(torch.int32).add_(32768)
    where.bitwise_right_shift_(4).add_(x.to(torch.int32).mul_(_FINE))
    table = _poisson_table(photons).to(x.device)
    return table.index_select(0, where.reshape(-1)).reshape(x.shape)


@functools.lru_cache(maxsize=8)
def _poisson_table(photons: float) -> torch.Tensor:
    """Return uint8 (256 * 4096,): for each level the value at 4,096 quantiles."""
    from scipy.stats import poisson

    quantiles = (np.arange(_FINE) + 0.5) / _FINE
    table = np.zeros((256, _FINE), np.uint8)
    for level in range(1, 256):
        mean = level / 255 * photons
        counts = np.arange(int(mean + 12 * np.sqrt(mean) + 20))
        drawn = np.searchsorted(poisson.cdf(counts, mean), quantiles)
        table[level] = np.minimum(np.rint(drawn * (255 / photons)), 255)
    return torch.from_numpy(table.reshape(-1))


def impulse_noise(x: torch.Tensor, streams: Sequence[Stream], share: float) -> torch.Tensor:
    """Set a share of the values to black or white, half and half (salt and pepper)."""
    drawn = bits(streams, *x.shape[1:]).to(x.device).bitwise_and_(_LARGEST)
    edge = round(share / 2 * (_LARGEST + 1))
    # the sign spread over all bits is -1 or 0, in a tenth of the time of a comparison
    black = (drawn - edge).bitwise_right_shift_(15)
    white = (_LARGEST - edge - drawn).bitwise_right_shift_(15)
    changed = (black | white).to(torch.uint8)
    return changed.bitwise_not_().bitwise_and_(x).bitwise_or_(white.to(torch.uint8))
