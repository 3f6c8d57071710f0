"""Build what the tiny CLIP is trained on: CIFAR photos and rendered scenes, with captions.

A caption carries its claims, so which pictures of a batch it is true of is known exactly.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from clip_captions import captions, prompts
from clip_words import KINDS, NOTHING, OBJECTS, PLURAL_TEMPLATES, TEMPLATES
from PIL import Image

from slicedb.demo import scenes

SIZE = 64
CONTEXT = 32
TRAIN_SEED = 1_000_000
N_MERGES = 1200
ATTRIBUTES = tuple(
    """
    kind label dish cuisine table_top light blurry cutlery vessel vessel_color extra object
    """.split()
)
NO_PICTURE = 30_000
"""A kind of thing that no picture shows."""


class Tokenizer(Protocol):
    """Maps m texts to tokens, int64 (m, CONTEXT)."""

    vocab_size: int

    def __call__(self, texts: list[str]) -> torch.Tensor: ...


def learn_merges(texts: Iterable[str], n: int) -> list[tuple[str, str]]:
    """Learn byte-pair merges (Sennrich et al. 2016) from lower-case words.

    Args:
        texts: the corpus; words are runs of letters.
        n: at most so many merges; fewer when every word is one token.
    """
    counts = Counter(word for text in texts for word in text.lower().replace("/", " ").split())
    words = {(*word[:-1], word[-1] + "</w>"): c for word, c in counts.items() if word.isalpha()}
    merges: list[tuple[str, str]] = []
    while len(merges) < n:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merged(word, best): count for word, count in words.items()}
    return merges


def _merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for part in word:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return tuple(out)


class Codes:
    """Attribute values as small numbers, -1 where nothing is stated."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[str, object], int] = {}

    def row(self, values: Mapping[str, object]) -> list[int]:
        """Return int codes in the order of ATTRIBUTES."""
        return [
            self.numbers.setdefault((key, values[key]), len(self.numbers)) if key in values else -1
            for key in ATTRIBUTES
        ]


def photo_caption(name: str, rng: np.random.Generator) -> tuple[str, dict[str, object]]:
    """Word a CIFAR class: singular or plural, a synonym, now and then only its kind."""
    if rng.random() < 0.12:
        kind = KINDS[name]
        words = (kind, f"a photo of {'an' if kind[0] in 'aeiou' else 'a'} {kind}", f"{kind}s")
        return words[int(rng.integers(3))], {"kind": kind}
    singulars, plurals = OBJECTS[name]
    k = int(rng.integers(len(singulars))) if rng.random() < 0.4 else 0
    if rng.random() < 0.15:
        template = PLURAL_TEMPLATES[int(rng.integers(len(PLURAL_TEMPLATES)))]
        return template.format(plurals[k]), {"object": name}
    template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
    text = template.format(singulars[k])
    if singulars[k][0] in "aeiou":
        text = text.replace(f" a {singulars[k]}", f" an {singulars[k]}")
        text = "an " + text[2:] if text.startswith(f"a {singulars[k]}") else text
    return text, {"object": name}


def load_photos(path: str) -> tuple[np.ndarray, list[str]]:
    """Decode CIFAR rows: uint8 (n, SIZE, SIZE, 3), and their labels."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["label", "image"])
    images = np.empty((len(table), SIZE, SIZE, 3), dtype=np.uint8)
    for k, data in enumerate(table["image"].to_pylist()):
        image = Image.open(BytesIO(data)).convert("RGB")
        images[k] = np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    return images, table["label"].to_pylist()


def _render(span: tuple[int, int, int]) -> tuple[np.ndarray, list[scenes.Scene]]:
    first, n, size = span
    images, facts = np.empty((n, size, size, 3), dtype=np.uint8), []
    for k, (image, scene) in enumerate(scenes.scenes(n, first)):
        images[k] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
        facts.append(scene)
    return images, facts


def load_scenes(
    n: int, seed: int, size: int = SIZE, workers: int = 2
) -> tuple[np.ndarray, list[scenes.Scene]]:
    """Render n scenes: uint8 (n, size, size, 3), and what is in them."""
    spans = [(seed + k, min(500, n - k), size) for k in range(0, n, 500)]
    spawn = get_context("spawn")  # where Lance is loaded, a fork may hang
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        parts = list(pool.map(_render, spans))
    return np.concatenate([part[0] for part in parts]), [s for part in parts for s in part[1]]


def tokenizer(folder: Path) -> Tokenizer:
    """Return open_clip's tokenizer over our own merges."""
    from open_clip.tokenizer import SimpleTokenizer

    read: Tokenizer = SimpleTokenizer(
        bpe_path=str(folder / "merges.txt.gz"), context_length=CONTEXT
    )
    return read


def _moved(images: np.ndarray, rng: np.random.Generator, room: int) -> np.ndarray:
    """Shift each picture by up to `room` pixels (edges repeat) and mirror half of them."""
    padded = np.pad(images, ((0, 0), (room, room), (room, room), (0, 0)), mode="reflect")
    out = np.empty_like(images)
    shifts = rng.integers(0, 2 * room + 1, (len(images), 2)).tolist()
    flips = (rng.random(len(images)) < 0.5).tolist()
    for k, ((y, x), flip) in enumerate(zip(shifts, flips)):
        view = padded[k, y : y + SIZE, x : x + SIZE]
        out[k] = view[:, ::-1] if flip else view
    return out


def matches(claims: np.ndarray, facts: np.ndarray) -> np.ndarray:
    """Say which captions are true of which pictures: bool (pictures, captions).

    Args:
        claims: int16 (captions, attributes), -1 where nothing is claimed.
        facts: int16 (pictures, attributes), -1 where nothing is known.
    """
    same = claims[None, :, :] == facts[:, None, :]
    return np.asarray((same | (claims[None, :, :] < 0)).all(axis=2))


def _photo_prompts(name: str) -> tuple[str, ...]:
    words = OBJECTS[name][0][0]
    return tuple(template.format(words) for template in TEMPLATES[:9])


class _Queue:
    """Endless passes over the same numbers, shuffled anew each time."""

    def __init__(self, numbers: np.ndarray, rng: np.random.Generator) -> None:
        self.numbers, self.rng, self.left = numbers, rng, np.empty(0, dtype=np.int64)

    def take(self, n: int) -> np.ndarray:
        while len(self.left) < n:
            self.left = np.concatenate([self.left, self.rng.permutation(self.numbers)])
        taken, self.left = self.left[:n], self.left[n:]
        return taken


@dataclass(frozen=True)
class Mix:
    """How many of each kind a batch holds."""

    photos: int = 192
    scenes: int = 160
    scene_captions: int = 80
    photo_captions: int = 14
    fillers: int = 10
    """Captions true of nothing."""


@dataclass(frozen=True)
class ClipBatch:
    """One batch."""

    pictures: np.ndarray
    """uint8 (n, SIZE, SIZE, 3)."""
    tokens: torch.Tensor
    """int64 (m, CONTEXT)."""
    match: np.ndarray
    """bool (n, m): which captions are true of which pictures."""
    prompts: tuple[torch.Tensor, ...]
    """For each attribute, the columns of `match` that hold its values."""


class Wordings:
    """Captions as tokens and claims: of scenes, of photos, of nothing, and prompts.

    Args:
        facts: what is in the scenes.
        n: wordings kept per scene.
        codes: numbers the values of attributes.
        rng: chooses words.
    """

    def __init__(
        self, facts: list[scenes.Scene], n: int, codes: Codes, rng: np.random.Generator
    ) -> None:
        of_scenes = [captions(scene, rng, n) for scene in facts]
        of_photos = [photo_caption(name, rng) for name in OBJECTS for _ in range(300)]
        self.n = n
        self.scenes = [c.text for group in of_scenes for c in group]
        self.photos = [text for text, _ in of_photos]
        self.fillers = [t.format(noun) for noun in NOTHING for t in TEMPLATES[:6]]
        self.scene_claims = np.array(
            [[codes.row(c.claims) for c in group] for group in of_scenes], dtype=np.int16
        )  # (scenes, n, attributes)
        self.photo_claims = np.array([codes.row(c) for _, c in of_photos], dtype=np.int16)
        asked: dict[str, Mapping[Any, tuple[str, ...]]] = {
            **prompts(),
            "object": {name: _photo_prompts(name) for name in OBJECTS},
        }
        self.prompts = [words for values in asked.values() for words in values.values()]
        self.prompt_claims = np.array(
            [codes.row({key: value}) for key, values in asked.items() for value in values],
            dtype=np.int16,
        )
        ends = np.cumsum([0, *(len(values) for values in asked.values())])
        self.groups = [torch.arange(int(a), int(b)) for a, b in pairwise(ends)]

    def write_merges(self, file: Path) -> None:
        """Learn the byte pairs of these captions and write them as open_clip reads them."""
        merges = learn_merges([*self.scenes, *self.photos * 3, *self.fillers * 3], N_MERGES)
        lines = ["#version: slicedb-tiny", *(" ".join(pair) for pair in merges)]
        with gzip.GzipFile(file, "wb", mtime=0) as out:
            out.write("\n".join(lines).encode())

    def tokenize(self, tokens_of: Tokenizer) -> None:
        """Make the tokens that `Corpus.batch` draws from."""
        self.scene_tokens = tokens_of(self.scenes).to(torch.int16).reshape(-1, self.n, CONTEXT)
        self.photo_tokens = tokens_of(self.photos).to(torch.int16)
        self.filler_tokens = tokens_of(self.fillers).to(torch.int16)
        self.prompt_tokens = [tokens_of(list(words)).to(torch.int16) for words in self.prompts]


class Corpus:
    """Photos and scenes in memory, and batches of them.

    Args:
        cifar: Parquet with `label` and `image`; every tenth row is held out.
        n_scenes: scenes to render, from TRAIN_SEED on.
        n_captions: wordings kept per scene.
        rng: draws captions, batches and shifts.
        workers: processes that render.
    """

    def __init__(
        self, cifar: str, n_scenes: int, n_captions: int, rng: np.random.Generator, workers: int
    ) -> None:
        self.rng = rng
        self.photos, self.labels = load_photos(cifar)
        self.held = np.arange(len(self.photos)) % 10 == 0
        self.plates, facts = load_scenes(n_scenes, TRAIN_SEED, workers=workers)
        codes = Codes()
        self.scene_facts = np.array([codes.row(dict(scene)) for scene in facts], dtype=np.int16)
        self.photo_facts = np.array(
            [codes.row({"kind": KINDS[label], "object": label}) for label in self.labels],
            dtype=np.int16,
        )
        self.wordings = Wordings(facts, n_captions, codes, rng)
        self._photos = _Queue(np.flatnonzero(~self.held), rng)
        self._plates = _Queue(np.arange(len(self.plates)), rng)

    def batch(self, mix: Mix) -> ClipBatch:
        """Draw the next batch."""
        words, rng = self.wordings, self.rng
        p, s = self._photos.take(mix.photos), self._plates.take(mix.scenes)
        captioned = s[: mix.scene_captions]
        which = rng.integers(0, words.n, len(captioned))
        c = rng.integers(0, len(words.photo_tokens), mix.photo_captions)
        f = rng.integers(0, len(words.filler_tokens), mix.fillers)
        asked = [part[int(rng.integers(len(part)))] for part in words.prompt_tokens]
        tokens = torch.cat(
            [
                words.scene_tokens[captioned, which],
                words.photo_tokens[c],
                words.filler_tokens[f],
                torch.stack(asked),
            ]
        ).long()
        nothing = np.full((mix.fillers, len(ATTRIBUTES)), -1, dtype=np.int16)
        nothing[:, 0] = NO_PICTURE
        claimed = np.concatenate(
            [
                words.scene_claims[captioned, which],
                words.photo_claims[c],
                nothing,
                words.prompt_claims,
            ]
        )
        match = matches(claimed, np.concatenate([self.photo_facts[p], self.scene_facts[s]]))
        pictures = np.concatenate([_moved(self.photos[p], rng, 8), _moved(self.plates[s], rng, 5)])
        first = len(tokens) - len(asked)
        return ClipBatch(pictures, tokens, match, tuple(first + group for group in words.groups))
