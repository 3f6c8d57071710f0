"""Keep what a query of texts needs of an encoder in the cache folder: its text tower, and vectors.

What is kept belongs to the fingerprint of the encoder, and is left alone once a file of its weights
is another one: then the encoder is opened as a whole, which says what changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slicedb.cache import Cache
from slicedb.embedding.prompts import wordings
from slicedb.embedding.tower import Tower, tower_of
from slicedb.embedding.words import Words, words_of
from slicedb.errors import EmbeddingError
from slicedb.schema import EMBEDDINGS
from slicedb.store.files import put_file

if TYPE_CHECKING:
    from PIL import Image

    from slicedb.embedding.encoder import Encoder
    from slicedb.store import Store

_LAYOUT = 1
_TEXTS = 2_000
"""Texts whose vectors are kept on disk."""
_DIGEST = 16


class LightEncoder:
    """What a query of texts needs of an encoder; it opens the whole one for pictures.

    Args:
        folder: where it is kept.
        about: what is known of it, as `keep_texts` wrote it.
        opened: opens the encoder itself.
    """

    def __init__(self, folder: Path, about: dict[str, Any], opened: Callable[[], Encoder]) -> None:
        self.name = str(about["name"])
        self.fingerprint = about["fingerprint"]
        self.templates = tuple(about["templates"])
        self.background = list(about["background"])
        self.logit_scale = float(self.fingerprint["logit_scale"])
        self.dim = int(self.fingerprint["dim"])
        self._folder, self._about, self._opened = folder, about, opened
        self._tower: Tower | None = None
        self._words: Words | None = None
        self._texts = Cache[str, np.ndarray](_TEXTS)
        self._read()

    def encode_prompt(self, text: str) -> np.ndarray:
        """Return float32 (d,), unit length: the mean over several wordings of a text."""
        return self.encode_prompts([text])[0]

    def encode_prompts(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return the vectors of several texts; those that are not kept are computed together.

        Raises:
            EmbeddingError: a text is empty.
        """
        if not all(text.strip() for text in texts):
            raise EmbeddingError("The text to encode is empty.", "write what the images show.")
        found = {text: self._texts.find(text) for text in texts}
        new = [text for text, vector in found.items() if vector is None]
        if new:
            listed = [wordings(text, self.templates) for text in new]
            vectors = self._encode([wording for each in listed for wording in each])
            ends = np.cumsum([len(each) for each in listed])
            for text, end, each in zip(new, ends, listed):
                mean = vectors[end - len(each) : end].mean(axis=0)
                unit = np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)
                found[text] = unit
                self._texts.put(text, unit)
            self._write({text: v for text in new if (v := found[text]) is not None})
        return [v.copy() for text in texts if (v := found[text]) is not None]

    def encode_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Return the vectors of pictures; see `Encoder.encode_images`."""
        return self._opened().encode_images(images)

    def _encode(self, texts: list[str]) -> np.ndarray:
        if self._tower is None:
            weights = _arrays(self._folder / "tower")
            if weights is None:
                return self._opened().encode_texts(texts)
            merges = [(a, b) for a, b in self._about["merges"]]
            self._words = Words(self._about["vocabulary"], merges, int(self._about["context"]))
            self._tower = Tower(weights, int(self._about["heads"]), bool(self._about["is_quick"]))
        assert self._words is not None
        return self._tower.encode(self._words.tokens(texts))

    def _read(self) -> None:
        """Take over the vectors of texts that were asked for before."""
        kept = _arrays(self._folder / "texts")
        if kept is not None and kept["vectors"].shape[1:] == (self.dim,):
            for text, vector in zip(json.loads(str(kept["texts"])), kept["vectors"]):
                self._texts.put(text, vector)

    def _write(self, new: dict[str, np.ndarray]) -> None:
        """Keep vectors, beside those that another process has kept meanwhile."""
        kept = _arrays(self._folder / "texts")
        old = {} if kept is None else dict(zip(json.loads(str(kept["texts"])), kept["vectors"]))
        every = {text: vector for text, vector in old.items() if text not in new} | new
        last = dict(list(every.items())[-_TEXTS:])
        listed = {"texts": np.array(json.dumps([*last])), "vectors": np.stack([*last.values()])}
        _save(self._folder / "texts", _packed(listed))


def light_encoder(store: Store, name: str, opened: Callable[[], Encoder]) -> LightEncoder | None:
    """Return what is kept of the encoder of an embedding; None where it is not, or is no more.

    Args:
        store: the database.
        name: of the embedding.
        opened: opens the encoder itself.
    """
    text = store.metadata(EMBEDDINGS + name).get("slicedb:fingerprint") if _has(store, name) else ""
    folder = _folder(store, json.loads(text)) if text else None
    content = None if folder is None else _load(folder / "about")
    if folder is None or content is None:
        return None
    about = json.loads(content)
    if about.get("layout") != _LAYOUT or about["files"] != _identities(about["files"]):
        return None
    return LightEncoder(folder, about, opened)


def keep_texts(store: Store, encoder: Encoder) -> None:
    """Keep what a query of texts needs of an encoder, where it is one that can be had so."""
    folder = _folder(store, encoder.fingerprint)
    if folder is None or "open_clip" not in encoder.fingerprint or (folder / "about").exists():
        return
    towers, tokenizer = encoder.parts
    tower, words = tower_of(towers), words_of(tokenizer)
    if tower is None or words is None:
        return
    weights, heads, is_quick = tower
    about = {
        "layout": _LAYOUT,
        "name": encoder.name,
        "fingerprint": encoder.fingerprint,
        "templates": encoder.templates,
        "background": encoder.background,
        "files": _identities(_files_of(encoder.fingerprint)),
        "vocabulary": list(words.vocabulary),
        "merges": list(words.merges),
        "context": words.context,
        "heads": heads,
        "is_quick": is_quick,
    }
    _save(folder / "tower", _packed(weights))
    _save(folder / "about", json.dumps(about).encode())


def _has(store: Store, name: str) -> bool:
    return store.has(EMBEDDINGS + name)


def _folder(store: Store, fingerprint: dict[str, Any]) -> Path | None:
    digest = hashlib.blake2b(json.dumps(fingerprint, sort_keys=True).encode(), digest_size=12)
    try:
        return store.cache_dir / "encoders" / digest.hexdigest()
    except OSError:
        return None


def _files_of(fingerprint: dict[str, Any]) -> list[str]:
    """Return the files that an encoder is opened from, as far as its fingerprint names them."""
    from slicedb.embedding.tiny import TINY, TINY_FILES

    names = [fingerprint.get("model"), fingerprint.get("pretrained")]
    paths = [Path(str(name).removeprefix("local-dir:")) for name in names if name]
    paths += TINY_FILES if TINY in names else []
    inside = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path])]
    return sorted(str(file.absolute()) for file in inside if file.is_file())


def _identities(files: Sequence[str] | dict[str, Any]) -> dict[str, list[int]]:
    """Return size and time of change of each file; of one that is gone, nothing."""
    known = {}
    for file in files:
        with contextlib.suppress(OSError):
            about = os.stat(file)
            known[file] = [about.st_size, about.st_mtime_ns]
    return known


def _packed(arrays: dict[str, np.ndarray]) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    return content.getvalue()


def _arrays(path: Path) -> dict[str, np.ndarray] | None:
    content = _load(path)
    if content is None:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _load(path: Path) -> bytes | None:
    """Return what was saved in a file; None where it is not there, or is not what was saved."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, rest = content[:_DIGEST], content[_DIGEST:]
    return rest if digest == hashlib.blake2b(rest, digest_size=_DIGEST).digest() else None


def _save(path: Path, content: bytes) -> None:
    """Save what `_load` returns."""
    put_file(path, hashlib.blake2b(content, digest_size=_DIGEST).digest() + content)
