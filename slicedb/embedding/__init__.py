"""Embeddings: the one door to open_clip, kinds of encoders, and the tables of vectors."""

from __future__ import annotations

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
