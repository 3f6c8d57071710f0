"""Hash many short texts at once: BLAKE2b with a digest of eight bytes, a column per word.

`hashlib` makes three Python objects per text and holds the interpreter's lock. Here the sixteen
words of the state are rows of numpy arrays, so each step of the algorithm is one call for some
thousand texts, and threads run beside one another. The values are those of `hashlib`.

Source: RFC 7693, "The BLAKE2 Cryptographic Hash and Message Authentication Code" (2015).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Words: TypeAlias = npt.NDArray[np.uint64]

_DIGEST = 8
_BLOCK = 128
"""Bytes of a text that one round of compression takes in; longer ones go to `hashlib`."""
_ROWS = 4096
"""Texts at a time: their state, 32 KiB a word, stays in the second cache of a core."""
_PARALLEL = 1 << 16
"""Texts from which threads pay."""
_THREADS = 4

_IV = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
_FIRST = _IV[0] ^ np.uint64(0x01010000 ^ _DIGEST)
"""The first word of the state: no key, one leaf, and the length of the digest."""
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_SIGMA = tuple(
    tuple(int(digit, 16) for digit in line)
    for line in """
    0123456789abcdef ea489fd61c02b753 b8c052fdae367194 7931dcbe265a40f8 9057 24afe1bc683d
    2c6a0b834d75fe19 c51fed4a0763928b db7ec13950f4862a 6fe9b308c2d714a5 a2847615fb9e3cd0
    """.replace("9057 ", "9057").split()
)
"""Which word of the text each step of a round adds; the last two of twelve rounds begin anew."""
_BITS = tuple(np.uint64(n) for n in range(65))
_KEPT = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
"""The bits of a word that are text where only n bytes of it are."""


def digests(texts: pa.Array | pa.ChunkedArray | Sequence[str]) -> Words:
    """Return the digest of each text in UTF-8, its eight bytes read from the first to the last.

    Args:
        texts: strings; a null counts as "".

    Returns:
        uint64 (n,).

    >>> "%016x" % digests(["a.jpg"])[0] == hashlib.blake2b(b"a.jpg", digest_size=8).hexdigest()
    True
    """
    chunks = texts.chunks if isinstance(texts, pa.ChunkedArray) else [_array(texts)]
    parts = [_digests(_array(chunk)) for chunk in chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.uint64)


def _array(texts: pa.Array | Sequence[str]) -> pa.Array:
    """Return texts as one array of strings with offsets of 64 bits."""
    kind = pa.large_string()
    return texts.cast(kind) if isinstance(texts, pa.Array) else pa.array(texts, kind)


def _digests(texts: pa.Array) -> Words:
    n = len(texts)
    if not n:
        return np.empty(0, np.uint64)
    _, offsets, data = texts.buffers()
    at = np.frombuffer(offsets, np.int64, n + 1, texts.offset * 8)
    # A few words more than there are, so that a text may be read as whole words from its start.
    some = np.zeros(int(at[-1] - at[0]) // 8 + _BLOCK // 8 + 2, np.uint64)
    if at[-1] > at[0]:
        raw = np.frombuffer(data, np.uint8)[at[0] : at[-1]]
        some.view(np.uint8)[: len(raw)] = raw
    starts, lengths = at[:-1] - at[0], np.diff(at)
    result = np.empty(n, np.uint64)

    def hash_rows(start: int) -> None:
        rows = slice(start, start + _ROWS)
        result[rows] = _compressed(_message(some, starts[rows], lengths[rows]), lengths[rows])

    if n < _PARALLEL:
        for start in range(0, n, _ROWS):
            hash_rows(start)
    else:
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "slicedb-hash") as pool:
            list(pool.map(hash_rows, range(0, n, _ROWS)))
    for i in np.flatnonzero(lengths > _BLOCK).tolist():
        digest = hashlib.blake2b(texts[i].as_py().encode(), digest_size=_DIGEST).digest()
        result[i] = int.from_bytes(digest, "little")
    return result.byteswap()


def _message(some: Words, starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> Words:
    """Return the words of each text, uint64 (w, n), zero behind its end.

    Args:
        some: all texts, one behind the other, as words.
        starts: int64 (n,), the byte that each begins at.
        lengths: int64 (n,), in bytes.
    """
    n_words = max(1, -(-min(int(lengths.max()), _BLOCK) // 8))
    message = np.empty((n_words, len(starts)), np.uint64)
    word, low = starts >> 3, ((starts & 7) << 3).astype(np.uint64)
    high = _BITS[63] - low
    for i, row in enumerate(message):
        # A text begins anywhere in a word, so each of its words is the end of one and the
        # beginning of the next. A shift by 64 is undefined, hence by one and then by the rest.
        np.take(some, word + i, out=row)
        row >>= low
        after = some.take(word + i + 1)
        after <<= _BITS[1]
        after <<= high
        row |= after
        row &= _KEPT.take(np.clip(lengths - 8 * i, 0, 8))
    return message


def _compressed(message: Words, lengths: npt.NDArray[np.int64]) -> Words:
    """Return the first word of the state behind one compression, uint64 (n,)."""
    n = message.shape[1]
    a, b, c, d, spare = (np.empty((4, n), np.uint64) for _ in range(5))
    a[:], b[:], c[:], d[:] = (half[:, None] for half in (_IV[:4], _IV[4:], _IV[:4], _IV[4:]))
    a[0] = _FIRST
    d[0] ^= lengths.view(np.uint64)
    d[2] ^= _ALL
    with np.errstate(over="ignore"):  # wrapping is the point
        for number in range(12):
            sigma = _SIGMA[number % len(_SIGMA)]
            _half(a, b, c, d, spare, message, sigma[:8], 0)
            _half(a, b, c, d, spare, message, sigma[8:], 1)
    return np.asarray(_FIRST ^ a[0] ^ c[0])


def _half(
    a: Words,
    b: Words,
    c: Words,
    d: Words,
    spare: Words,
    message: Words,
    sigma: tuple[int, ...],
    turn: int,
) -> None:
    """Mix the four columns of the state, or its four diagonals, all at once.

    Args:
        a: uint64 (4, n), the first row of the state, and `b`, `c`, `d` the others.
        spare: uint64 (4, n), to work in.
        message: uint64 (w, n).
        sigma: which word of the text each of the eight steps adds.
        turn: 1 for the diagonals, where column i of a row meets column i + 1 of the next, and of
            the first behind the last.
    """
    for step, (first, second) in enumerate(((32, 24), (16, 63))):
        _onto(np.add, a, b, turn)
        for column in range(4):
            word = sigma[2 * column + step]
            if word < len(message):  # the others are zero
                a[column] += message[word]
        _onto(np.bitwise_xor, d, a, turn)
        _rotate(d, spare, first)
        _onto(np.add, c, d, turn)
        _onto(np.bitwise_xor, b, c, turn)
        _rotate(b, spare, second)


def _onto(operation: np.ufunc, left: Words, right: Words, turn: int) -> None:
    """Apply an operation to each row of `left` and the row of `right` that is `turn` behind."""
    if not turn:
        operation(left, right, out=left)
        return
    operation(left[:-turn], right[turn:], out=left[:-turn])
    operation(left[-turn:], right[:turn], out=left[-turn:])


def _rotate(words: Words, spare: Words, n: int) -> None:
    """Rotate 64 bits to the right."""
    np.left_shift(words, _BITS[64 - n], out=spare)
    np.right_shift(words, _BITS[n], out=words)
    np.bitwise_or(words, spare, out=words)
