"""Masks in COCO's run-length code, and the pixels that they mean.

    {"size": [height, width], "counts": [5, 2, 2, ...]}   runs down the columns, off and on in turn
    {"size": [height, width], "counts": "5222a0"}         the same runs as text

The text has five bits of a number in each character, the lowest first; from the fourth on, numbers
are differences from the last but one (`maskApi.c` of pycocotools).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def rle_of(mask: np.ndarray) -> dict[str, object]:
    """Return the code of a mask, bool (height, width), its runs as numbers.

    >>> rle_of(np.array([[True, False], [True, True]]))
    {'size': [2, 2], 'counts': [0, 2, 1, 1]}
    """
    flat = mask.T.ravel()  # down the columns
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    counts = [0, *counts] if len(flat) and flat[0] else counts  # the first run is off
    return {"size": list(mask.shape), "counts": counts}


def mask_of(code: Mapping[str, object]) -> np.ndarray:
    """Return the pixels of a code, bool (height, width).

    >>> mask_of({"size": [2, 3], "counts": [1, 2, 3]}).astype(int)
    array([[0, 1, 0],
           [1, 0, 0]])

    Raises:
        ValueError: it is no such code, or its runs do not fill its size.
    """
    runs, high, wide = runs_and_size(code)
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(wide, high).T)


def runs_and_size(code: Mapping[str, object]) -> tuple[list[int], int, int]:
    """Return the runs of a code, and the height and width of its mask.

    Raises:
        ValueError: it is no such code, or its runs do not fill its size.
    """
    size, counts = code.get("size"), code.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(s, int) for s in size):
        raise ValueError("a mask has no size [height, width]")
    runs = runs_of(counts)
    high, wide = int(size[0]), int(size[1])
    if high < 1 or not runs or sum(runs) != high * wide or min(runs) < 0:
        raise ValueError("the runs of a mask do not fill its size")
    return runs, high, wide


def runs_of(counts: object) -> list[int]:
    """Return the runs of a mask, off and on in turn: numbers as they are, or COCO's text of them.

    Raises:
        ValueError: it is neither.

    >>> runs_of("5222a0")
    [5, 2, 2, 4, 19]
    """
    if isinstance(counts, list) and all(isinstance(n, int) for n in counts):
        return counts
    if not isinstance(counts, str):
        raise ValueError("a mask has no counts")
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError("the counts of a mask are no text of COCO")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the counts of a mask are cut off")
    return runs


def text_of(runs: Sequence[int]) -> str:
    """Return COCO's text of runs.

    >>> text_of([5, 2, 2, 4, 19])
    '5222a0'
    """
    text = []
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        more = True
        while more:
            bits = value & 0x1F
            value >>= 5
            more = value != -1 if bits & 0x10 else value != 0
            text.append(chr((bits | 0x20 if more else bits) + 48))
    return "".join(text)
