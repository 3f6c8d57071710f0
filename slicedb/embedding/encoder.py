"""Turn images and texts into unit vectors of one space."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
from PIL import Image

from slicedb.cache import Cache
from slicedb.embedding.fingerprint import Fingerprint
from slicedb.embedding.prompts import wordings
from slicedb.errors import EmbeddingError
from slicedb.models import Model, Preprocessing

if TYPE_CHECKING:
    import torch
    import torch.nn

_TEXTS = 256
_IDEAS = 10_000
"""Prompts whose vectors are kept."""


Tokenizer: TypeAlias = "Callable[[list[str]], torch.Tensor]"
"""From n texts to their tokens (n, context)."""
Transform: TypeAlias = "Callable[[Image.Image], torch.Tensor]"
"""From a picture to the tensor (3, h, w) that the image tower takes."""
Picture: TypeAlias = "Image.Image | np.ndarray"
"""An RGB Pillow image, or uint8 (h, w, 3)."""


class Towers(Protocol):
    """A module with an image tower and a text tower into one space, such as open_clip's CLIP."""

    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        """Return the vectors (n, d) of preprocessed images (n, 3, h, w)."""

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the vectors (n, d) of tokens (n, context)."""

    def to(self, device: torch.device) -> object:
        """Move the weights."""


class Encoder(Model):
    """A model that embeds images and texts in one space.

    Made by `load_encoder`. Vectors are float32 and of unit length, so that their dot product is
    the cosine.

    Args:
        towers: the module, on `device`.
        tokenizer: from texts to tokens (n, context).
        name: architecture, and the tag or file of the weights.
        fingerprint: everything a vector depends on, JSON-ready; see `fingerprint_of`.
        preprocessing: what is done to an image; `transform` replaces it.
        templates: wordings of the prompt ensemble.
        background: phrases that a text is contrasted against.
        device: where texts and single images are encoded.
        note: what a user should know about the model.
    """

    def __init__(
        self,
        towers: Towers,
        tokenizer: Tokenizer,
        *,
        name: str,
        fingerprint: Fingerprint,
        preprocessing: Preprocessing,
        transform: Transform | None,
        templates: Sequence[str],
        background: Sequence[str],
        device: torch.device,
        note: str = "",
    ) -> None:
        self.name = name
        self.fingerprint: Fingerprint = fingerprint  # type: ignore[assignment]
        self.transform = transform
        self.templates = tuple(templates)
        self.background = list(background)
        self.note = note
        self._towers, self._tokenizer, self._device = towers, tokenizer, device
        self._preprocessing = preprocessing
        self._ideas = Cache[tuple[str, tuple[str, ...]], np.ndarray](_IDEAS)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self.fingerprint["dim"])

    @property
    def logit_scale(self) -> float:
        """What the model multiplies a cosine with before its softmax (1 / temperature)."""
        return float(self.fingerprint["logit_scale"])

    @property
    def preprocessing(self) -> Preprocessing:
        return self._preprocessing

    @property
    def device(self) -> torch.device:
        return self._device

    @contextlib.contextmanager
    def session(self, device: torch.device) -> Iterator[None]:
        """Run on a device for a while."""
        import torch

        before = self._device
        if device.type == "cuda" and isinstance(self._towers, torch.nn.Module):
            self._towers.to(device=device, memory_format=torch.channels_last)
        else:
            self._towers.to(device)
        self._device = device
        try:
            yield
        finally:
            self._towers.to(before)
            self._device = before

    def n_parameters(self) -> int:
        """Return the number of parameters of the image tower."""
        tower = getattr(self._towers, "visual", self._towers)
        tensors: Iterable[torch.Tensor] = getattr(tower, "parameters", tuple)()
        return sum(int(tensor.numel()) for tensor in tensors)

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (n, d) of preprocessed images (n, 3, h, w)."""
        return _unit(self._towers.encode_image(images).float())

    def encode_images(self, images: Sequence[Picture]) -> np.ndarray:
        """Return the vectors of pictures.

        Args:
            images: RGB Pillow images, or uint8 arrays (h, w, 3).

        Returns:
            float32 (n, d), unit length; (0, d) for no images.
        """
        import torch

        vectors = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(images), _TEXTS):
            batch = self._batch(images[start : start + _TEXTS]).to(self._device)
            with torch.inference_mode():
                vectors.append(self.predict_batch(batch).cpu().numpy())
        return np.concatenate(vectors)

    def _batch(self, images: Sequence[Picture]) -> torch.Tensor:
        import torch

        if self.transform is not None:
            return torch.stack([self.transform(_picture(image)) for image in images])
        pixels = np.empty((len(images), *self._preprocessing.size, 3), dtype=np.uint8)
        for image, row in zip(images, pixels):
            self._preprocessing.fit(np.asarray(_picture(image)), row)
        return self._preprocessing.normalise(torch.from_numpy(pixels))

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return the vectors of texts as they are, float32 (n, d), unit length; no templates."""
        import torch

        vectors = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(texts), _TEXTS):
            tokens = self._tokenizer(list(texts[start : start + _TEXTS])).to(self._device)
            with torch.inference_mode():
                encoded = _unit(self._towers.encode_text(tokens).float())
            vectors.append(encoded.cpu().numpy())
        return np.concatenate(vectors)

    def encode_prompt(self, text: str, templates: Sequence[str] | None = None) -> np.ndarray:
        """Return the vector of an idea: the mean over several wordings, of unit length.

        Args:
            text: for example "a frog", or "a photo of a frog".
            templates: wordings with one `{}`; None takes the model's own dozen.

        Returns:
            float32 (d,).

        Raises:
            EmbeddingError: the text is empty, or a template has no `{}`.
        """
        if not text.strip():
            raise EmbeddingError("The text to encode is empty.", "write what the images show.")
        chosen = self.templates if templates is None else tuple(templates)
        wrong = [template for template in chosen if "{}" not in template]
        if wrong or not chosen:
            raise EmbeddingError(
                f"The template {wrong[0]!r} has no {{}}." if wrong else "There are no templates.",
                'write "a photo of {}."',
            )
        # Kept with the encoder, so that every version of a table shares it.
        return self._ideas.get((text, chosen), lambda: self._mean(text, chosen)).copy()

    def _mean(self, text: str, templates: tuple[str, ...]) -> np.ndarray:
        mean = self.encode_texts(wordings(text, templates)).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)

    @property
    def parts(self) -> tuple[Towers, Tokenizer]:
        """The module and its tokenizer."""
        return self._towers, self._tokenizer

    def __str__(self) -> str:
        return f"Encoder {self.name}"


def _picture(image: Picture) -> Image.Image:
    if isinstance(image, Image.Image):
        return image if image.mode == "RGB" else image.convert("RGB")
    return Image.fromarray(np.asarray(image))


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
