"""Embeddings: the one door to open_clip, and the tables of vectors."""

from __future__ import annotations

from slicedb.embedding.encoder import Encoder
from slicedb.embedding.loading import TINY, load_encoder
from slicedb.embedding.table import EmbedReport, embed, encoder_of

__all__ = ["TINY", "EmbedReport", "Encoder", "embed", "encoder_of", "load_encoder"]
