"""One kind of encoder, and how it is opened: built in, or from an installed package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicedb.embedding.encoder import Encoder
from slicedb.inference.runner import pick_device
from slicedb.plugins import LOADING, Registry

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class EncoderType:
    """One kind of encoders. A package adds one by an entry point in `slicedb.encoders`.

    An opener loads a module with `encode_image` and `encode_text` and wraps it in an `Encoder`;
    batching, decoding, devices, resuming, storage and prompt ensembles are SliceDB's. The
    encoder is opened again by the same two texts whenever a query needs the vector of a text.

    Example:
        def open_siglip(model, pretrained, device):
            module, tokenizer = load(model.removeprefix("siglip:"), pretrained)
            fingerprint = fingerprint_of(module, model=model, pretrained=pretrained, ...)
            return Encoder(module.to(device), tokenizer, name=model, fingerprint=fingerprint, ...)

        SIGLIP = EncoderType("siglip", lambda model: model.startswith("siglip:"), open_siglip)
    """

    name: str
    """What the kind is called."""
    opens: Callable[[str], bool]
    """Whether a model's name is one of this kind."""
    open: Callable[[str, str | None, torch.device], Encoder]
    """Opens an encoder: the model's name, the tag or file of its weights, where it runs. Raises
    `EmbeddingError` where there is no such thing."""


def _problem(member: EncoderType) -> str:
    is_one = isinstance(member, EncoderType)
    return "" if is_one else f"{member!r} is no slicedb.embedding.EncoderType."


ENCODERS: Registry[EncoderType] = Registry(
    "slicedb.encoders",
    ("slicedb.embedding.tiny:TINY_CLIP", "slicedb.embedding.openclip:OPEN_CLIP"),
    check=_problem,
)
"""The kinds of encoders by name."""

_GENERAL = "open_clip"
"""Takes every name that no other kind takes."""


def load_encoder(
    model: str = "slicedb-tiny",
    pretrained: str | None = None,
    *,
    device: torch.device | str | None = None,
) -> Encoder:
    """Open an encoder.

    Args:
        model: an open_clip architecture ("ViT-B-32"), "hf-hub:org/name", "local-dir:path", the
            path of a model config (`.json`), "slicedb-tiny", which needs no download, or what an
            installed package opens (`slicedb.embedding.ENCODERS` lists them).
        pretrained: a tag of open_clip (downloaded unless it is in its cache), or a weights file.
            "random" takes the same random numbers each time, for dry runs.
        device: a torch device or its name; None takes a GPU when there is one.

    Raises:
        EmbeddingError: no such architecture, tag or file, or the download fails.
    """
    names = [*(name for name in ENCODERS if name != _GENERAL), _GENERAL]
    chosen = next(ENCODERS[name] for name in names if ENCODERS[name].opens(model))
    with LOADING:
        return chosen.open(model, pretrained, pick_device(device))
