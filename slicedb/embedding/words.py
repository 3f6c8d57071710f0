"""Turn texts into the tokens of CLIP without importing open_clip.

The same steps as `open_clip.SimpleTokenizer` (Radford et al. 2021; the code of OpenAI's CLIP, MIT
licence), over a vocabulary that is taken from one.
"""

from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

_MARKS = ("<start_of_text>", "<end_of_text>")
_ENDINGS = "'s|'t|'re|'ve|'m|'ll|'d"


@dataclass(frozen=True, eq=False)
class Words:
    """A tokenizer by byte pairs.

    Args:
        vocabulary: the pieces, by number.
        merges: pairs of pieces that are joined, the first ones first.
        context: tokens of one text at most.
    """

    vocabulary: Sequence[str]
    merges: Sequence[tuple[str, str]]
    context: int
    _known: dict[str, list[int]] = field(default_factory=dict)

    def tokens(self, texts: Sequence[str]) -> np.ndarray:
        """Return int64 (n, length): the tokens of texts, 0 behind their ends."""
        first, last = (self._numbers[mark] for mark in _MARKS)
        listed = [[first, *self._pieces(text), last] for text in texts]
        listed = [
            row if len(row) <= self.context else [*row[: self.context - 1], last] for row in listed
        ]
        tokens = np.zeros((len(listed), max(map(len, listed), default=0)), dtype=np.int64)
        for row, numbers in zip(tokens, listed):
            row[: len(numbers)] = numbers
        return tokens

    def _pieces(self, text: str) -> list[int]:
        numbers: list[int] = []
        for word in _words(_cleaned(text)):
            if word not in self._known:
                self._known[word] = self._joined(word)
            numbers += self._known[word]
        return numbers

    def _joined(self, word: str) -> list[int]:
        """Return the numbers of the pieces of a word."""
        if word in _MARKS:
            return [self._numbers[word]]
        letters = [_BYTES[byte] for byte in word.encode()]
        pieces = [*letters[:-1], f"{letters[-1]}</w>"]
        while len(pieces) > 1:
            pairs = list(itertools.pairwise(pieces))
            pair = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if pair not in self._ranks:
                break
            joined, at = [], 0
            while at < len(pieces):
                if pieces[at : at + 2] == [*pair]:
                    joined.append("".join(pair))
                    at += 2
                else:
                    joined.append(pieces[at])
                    at += 1
            pieces = joined
        return [self._numbers[piece] for piece in pieces]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: number for number, piece in enumerate(self.vocabulary)}

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}


def words_of(tokenizer: Any) -> Words | None:
    """Return the same as a tokenizer of open_clip; None where it works otherwise."""
    import open_clip
    from open_clip.tokenizer import _clean_lower

    if type(tokenizer) is not open_clip.SimpleTokenizer:
        return None
    if tokenizer.reduction_fn is not None or tokenizer.clean_fn is not _clean_lower:
        return None
    numbers = sorted(tokenizer.encoder.items(), key=lambda item: item[1])
    vocabulary = [piece for piece, _ in numbers]
    if vocabulary[-2:] != [*_MARKS] or [n for _, n in numbers] != [*range(len(numbers))]:
        return None
    ranks = sorted(tokenizer.bpe_ranks.items(), key=lambda item: item[1])
    return Words(vocabulary, [pair for pair, _ in ranks], int(tokenizer.context_length))


def _cleaned(text: str) -> str:
    if not _is_plain(text):
        import ftfy

        text = ftfy.fix_text(text)
        text = html.unescape(html.unescape(text))
    return " ".join(text.split()).lower()


def _is_plain(text: str) -> bool:
    """Return whether nothing of a text needs mending, so that what mends it is not imported."""
    return text.isascii() and text.isprintable() and "&" not in text


def _words(text: str) -> list[str]:
    return list(_pattern(text.isascii())(text))


def _pattern(is_ascii: bool) -> Callable[[str], list[str]]:
    """Return what finds the words; only `regex` knows the letters of other alphabets."""
    start = "|".join([*_MARKS, _ENDINGS])
    if is_ascii:
        pattern = rf"{start}|[a-z]+|[0-9]|[^\sa-z0-9]+"
        return re.compile(pattern, re.IGNORECASE).findall
    import regex

    pattern = rf"{start}|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+"
    found: Callable[[str], list[str]] = regex.compile(pattern, regex.IGNORECASE).findall
    return found


def _byte_letters() -> dict[int, str]:
    """Return a letter for every byte: its own where it is printable, else one from 256 on."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return {byte: chr(byte) for byte in shown} | {b: chr(256 + i) for i, b in enumerate(others)}


_BYTES = _byte_letters()
