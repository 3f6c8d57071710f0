"""The encoder that comes with SliceDB and needs no download."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.embedding.encoder import Encoder
from slicedb.embedding.openclip import encoder_from, load, open_encoder
from slicedb.embedding.prompts import TINY_BACKGROUND, TINY_TEMPLATES
from slicedb.embedding.type import EncoderType
from slicedb.errors import EmbeddingError

if TYPE_CHECKING:
    import torch

TINY = "slicedb-tiny"
"""The name of the bundled model."""

TINY_NOTE = (
    "The bundled slicedb-tiny knows a small world: the ten CIFAR classes and rendered plates of "
    "food. For your own photos name a larger model: slicedb embed ViT-B-32 --pretrained "
    "laion2b_s34b_b79k."
)

_FOLDER = Path(__file__).parent.parent / "demo" / "tiny_clip"
TINY_FILES = [_FOLDER / f"{TINY}.safetensors", _FOLDER / f"{TINY}.json", _FOLDER / "merges.txt.gz"]
"""What it is opened from."""


def open_tiny(model: str, pretrained: str | None, device: torch.device) -> Encoder:
    """Open the bundled model.

    Raises:
        EmbeddingError: its files are missing.
    """
    import open_clip

    if pretrained is not None:  # which open_clip refuses by name
        return open_encoder(model, pretrained, device)
    weights = _FOLDER / f"{TINY}.safetensors"
    if not weights.is_file():
        raise EmbeddingError(
            f"The bundled model is missing: no file '{weights}'.",
            "install slicedb again, or name another model.",
        )
    loaded = load(str(_FOLDER / f"{TINY}.json"), str(weights))
    tokenizer = open_clip.SimpleTokenizer(
        bpe_path=str(_FOLDER / "merges.txt.gz"),
        context_length=loaded.config["text_cfg"]["context_length"],
    )
    return encoder_from(
        loaded._replace(tokenizer=tokenizer),
        model,
        pretrained,
        device,
        templates=TINY_TEMPLATES,
        background=TINY_BACKGROUND,
        note=TINY_NOTE,
    )


TINY_CLIP = EncoderType("tiny", lambda model: model == TINY, open_tiny)
