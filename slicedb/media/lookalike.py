"""Hash what pictures look like, so that copies are found in any of the eight orientations.

The hash is the signs of the 16 x 16 lowest frequencies of the cosine transform (PDQ of Meta's
ThreatExchange has the same 256 frequencies, against their median). A sign, other than a comparison
with the median, can be turned afterwards: mirroring a picture changes the signs of the odd
frequencies, transposing it swaps u and v. So the hashes of all eight orientations follow from one,
exactly and without pixels.

To find the pairs that are worth a comparison in eight ways, a second hash of 64 bits holds what no
orientation changes: the signs of c(u, v) + c(v, u) over even frequencies, and which of neighbouring
rings of frequencies is the stronger one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from slicedb.media.pixels import SIDE

FREQUENCIES = 16
"""Frequencies per axis."""
BITS = FREQUENCIES * FREQUENCIES
BYTES = BITS // 8 + 1
"""Length of a stored hash: its bits, and behind them a byte with the detail."""

_WAVES = np.cos(np.pi / SIDE * (np.arange(SIDE) + 0.5) * np.arange(FREQUENCIES)[:, None])
_WAVES = (_WAVES / np.linalg.norm(_WAVES, axis=1, keepdims=True)).astype(np.float32)  # (16, 32)
_EVEN = [(u, v) for u in range(0, FREQUENCIES, 2) for v in range(0, u + 1, 2) if u]
_RINGS = sorted(
    ((u, v) for u in range(FREQUENCIES) for v in range(u + 1) if u),
    key=lambda at: (at[0] ** 2 + at[1] ** 2, at),
)[: 64 - len(_EVEN) + 1]
"""Pairs of frequencies (u, v), (v, u) by their radius: one more than the bits that they give."""
_EVEN_U, _EVEN_V = np.array(_EVEN).T
_RING_U, _RING_V = np.array(_RINGS).T

_STEP = 4 * np.sin(np.pi * np.arange(FREQUENCIES) / (2 * SIDE)) ** 2
_STEPS = (_STEP[:, None] + _STEP).reshape(BITS).astype(np.float32)
"""float32 (256,): the mean square of a step per unit of each frequency's power."""

_ODD = (np.arange(FREQUENCIES) % 2).astype(bool)
_MIRRORED = np.broadcast_to(_ODD, (FREQUENCIES, FREQUENCIES))
"""bool (v, u): the signs that change where left and right are swapped."""


class Looks(NamedTuple):
    """What pictures look like."""

    turned: np.ndarray
    """int64 (n,): 64 bits that are the same in all eight orientations."""
    hashes: np.ndarray
    """uint8 (n, 33): 256 signs, upright, and the detail."""


def looks(gray: np.ndarray) -> Looks:
    """Hash a batch of small pictures.

    Args:
        gray: uint8 (n, 32, 32).
    """
    if not len(gray):
        return Looks(np.empty(0, np.int64), np.empty((0, BYTES), np.uint8))
    # a small product an image, as in `phash`
    waves = _WAVES @ gray.astype(np.float32) @ _WAVES.T  # (16, 32) @ (n, 32, 32) @ (32, 16)
    waves = np.round(waves, 1)  # what is 0 but for rounding has no sign
    sums = waves[:, _EVEN_V, _EVEN_U] + waves[:, _EVEN_U, _EVEN_V]
    power = waves[:, _RING_V, _RING_U] ** 2 + waves[:, _RING_U, _RING_V] ** 2
    same = np.concatenate([sums > 0, power[:, :-1] > power[:, 1:]], axis=1)  # (n, 64)
    turned = (
        np.ascontiguousarray(np.packbits(same, axis=1))
        .view(">i8")
        .astype(np.int64)
        .reshape(len(gray))
    )
    signs = waves > 0
    signs[:, 0, 0] = False  # the mean brightness says nothing
    bits = np.packbits(signs.reshape(len(gray), BITS), axis=1)
    return Looks(turned, np.concatenate([bits, _detail(waves)[:, None]], axis=1))


def _detail(waves: np.ndarray) -> np.ndarray:
    """Return uint8 (n,): the root mean square of the steps between neighbouring pixels.

    In gray levels, down and across together, of what the frequencies hold (by Parseval's theorem).
    Where there is little of it, the signs of a hash are noise.

    Args:
        waves: float32 (n, 16, 16), the frequencies.
    """
    steps = np.square(waves).reshape(-1, BITS) @ _STEPS / SIDE**2
    return np.asarray(np.minimum(np.round(np.sqrt(steps)), 255), dtype=np.uint8)


def to_hex(hashes: np.ndarray) -> list[str]:
    """Return hashes, uint8 (n, 33), as texts, which every table and file can hold."""
    whole, size = hashes.tobytes().hex(), 2 * BYTES
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def from_hex(texts: Iterable[str]) -> np.ndarray:
    """Return uint8 (n, 33): the hashes of texts as `to_hex` writes them."""
    return np.frombuffer(bytes.fromhex("".join(texts)), np.uint8).reshape(-1, BYTES)


def orientations(hashes: np.ndarray) -> list[np.ndarray]:
    """Return the hashes of the eight orientations of pictures.

    Args:
        hashes: uint8 (n, 32): the signs, as of `Looks.hashes`.

    Returns:
        Eight times uint64 (n, 4): of the picture as it is under the EXIF orientation 1, 2, ... 8,
        which `media.turn` makes of the pixels.
    """
    signs = np.unpackbits(hashes, axis=1).reshape(-1, FREQUENCIES, FREQUENCIES).astype(bool)
    turned = []
    for number in range(1, 9):
        view = signs.transpose(0, 2, 1) if number >= 5 else signs
        change = np.zeros((FREQUENCIES, FREQUENCIES), bool)
        if number in (3, 4, 7, 8):
            change = change ^ _MIRRORED.T
        if number in (2, 3, 6, 7):
            change = change ^ _MIRRORED
        packed = np.packbits((view ^ change).reshape(len(signs), BITS), axis=1)
        turned.append(packed.view(np.uint64))
    return turned
