"""Embeddings: the one door to open_clip, kinds of encoders, and the tables of vectors."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slicedb.embedding.encoder import Encoder, Towers
    from slicedb.embedding.fingerprint import fingerprint_of
    from slicedb.embedding.logged import LogEmbeddingsReport, log_embeddings
    from slicedb.embedding.table import EmbedReport, embed, encoder_of
    from slicedb.embedding.type import ENCODERS, EncoderType, load_encoder

__all__ = [
    "ENCODERS",
    "EmbedReport",
    "Encoder",
    "EncoderType",
    "LogEmbeddingsReport",
    "Towers",
    "embed",
    "encoder_of",
    "fingerprint_of",
    "load_encoder",
    "log_embeddings",
]

_HOMES = {
    "ENCODERS": "type",
    "EmbedReport": "table",
    "Encoder": "encoder",
    "EncoderType": "type",
    "LogEmbeddingsReport": "logged",
    "Towers": "encoder",
    "embed": "table",
    "encoder_of": "table",
    "fingerprint_of": "fingerprint",
    "load_encoder": "type",
    "log_embeddings": "logged",
}
"""Name to the module it is in, which is imported when the name is used: a query of a text needs
none of them (`light.py`)."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'slicedb.embedding' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"slicedb.embedding.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
