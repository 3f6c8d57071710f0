"""Run the text tower of a CLIP in NumPy, for a query of one text needs nothing of torch.

Importing torch and open_clip takes four seconds; the tower of a text, some milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_TOGETHER = 64
"""Texts that go through the tower at once."""
_MANY = 3_000_000
"""Values from which importing SciPy for its error function pays."""
_EPSILON = 1e-5
_FLOAT = np.float32


class Tower:
    """A text transformer with causal attention, as `open_clip.CLIP` has it.

    Args:
        weights: float32, by their names in the state of an `open_clip.CLIP`.
        heads: of attention.
        is_quick: whether its activation is QuickGELU.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], heads: int, is_quick: bool) -> None:
        self._weights = weights
        self._heads = heads
        self._is_quick = is_quick
        self._blocks = sum(name.endswith("ln_1.weight") for name in weights)

    def encode(self, tokens: np.ndarray) -> np.ndarray:
        """Return float32 (n, d), unit length, of the tokens (n, length) of texts."""
        parts = [
            self._encode(tokens[start : start + _TOGETHER])
            for start in range(0, len(tokens), _TOGETHER)
        ]
        return np.concatenate(parts)

    def _encode(self, tokens: np.ndarray) -> np.ndarray:
        weights = self._weights
        ends = tokens.argmax(axis=1)  # the mark of the end is the last of the vocabulary
        # No token sees those behind it, so what stands behind the last end counts for nothing.
        tokens = tokens[:, : int(ends.max()) + 1]
        x = weights["token_embedding.weight"][tokens]  # (n, length, width)
        x = x + weights["positional_embedding"][: tokens.shape[1]]
        for number in range(self._blocks):
            x = self._block(x, f"transformer.resblocks.{number}.")
        x = self._normed(x[np.arange(len(x)), ends], "ln_final.")
        x = x @ weights["text_projection"]  # (n, width) @ (width, d) -> (n, d)
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), _FLOAT)

    def _block(self, x: np.ndarray, name: str) -> np.ndarray:
        x = x + self._attended(self._normed(x, f"{name}ln_1."), f"{name}attn.")
        hidden = self._linear(self._normed(x, f"{name}ln_2."), f"{name}mlp.c_fc.")
        return np.asarray(x + self._linear(self._activated(hidden), f"{name}mlp.c_proj."))

    def _attended(self, x: np.ndarray, name: str) -> np.ndarray:
        n, length, width = x.shape
        size = width // self._heads
        weights = self._weights
        qkv = x @ weights[f"{name}in_proj_weight"].T + weights[f"{name}in_proj_bias"]
        qkv = qkv.reshape(n, length, 3, self._heads, size).transpose(2, 0, 3, 1, 4)
        queries, keys, values = qkv  # (n, heads, length, size) each
        scores = (queries * _FLOAT(size**-0.5)) @ keys.transpose(0, 1, 3, 2)
        scores = scores + np.triu(np.full((length, length), -np.inf, _FLOAT), 1)
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        seen = (scores @ values).transpose(0, 2, 1, 3).reshape(n, length, width)
        return self._linear(seen, f"{name}out_proj.")

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        product = x @ self._weights[f"{name}weight"].T + self._weights[f"{name}bias"]
        return np.asarray(product)

    def _normed(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _FLOAT(_EPSILON))
        scaled = centred / spread * self._weights[f"{name}weight"] + self._weights[f"{name}bias"]
        return np.asarray(scaled)

    def _activated(self, x: np.ndarray) -> np.ndarray:
        if self._is_quick:
            return np.asarray(x / (1 + np.exp(_FLOAT(-1.702) * x)))
        return np.asarray(x * (_FLOAT(0.5) * (1 + _erf(x * _FLOAT(2**-0.5)))))


def _erf(x: np.ndarray) -> np.ndarray:
    if x.size > _MANY:
        from scipy.special import erf

        return np.asarray(erf(x))
    values = np.fromiter(map(math.erf, x.ravel().tolist()), dtype=_FLOAT, count=x.size)
    return values.reshape(x.shape)


def tower_of(clip: Any) -> tuple[dict[str, np.ndarray], int, bool] | None:
    """Return weights, heads and activation of a model; None where it has another text tower."""
    import open_clip
    import torch
    from open_clip.transformer import LayerNorm, QuickGELU, ResidualAttentionBlock

    if type(clip) is not open_clip.CLIP or clip.text_pool_type != "argmax":
        return None
    blocks = list(clip.transformer.resblocks)
    kinds = {(type(b), type(b.ls_1), type(b.ls_2), type(b.mlp.gelu)) for b in blocks}
    gelus = [QuickGELU, torch.nn.GELU]
    known = [(ResidualAttentionBlock, torch.nn.Identity, torch.nn.Identity, g) for g in gelus]
    if len(kinds) != 1 or (kind := kinds.pop()) not in known:
        return None
    norms = [clip.ln_final, *(norm for b in blocks for norm in (b.ln_1, b.ln_2))]
    is_plain = all(type(norm) is LayerNorm and norm.eps == _EPSILON for norm in norms)
    exact = all(getattr(b.mlp.gelu, "approximate", "none") == "none" for b in blocks)
    causal = clip.attn_mask is not None and clip.context_length == len(clip.attn_mask)
    if not (is_plain and exact and causal) or not torch.is_tensor(clip.text_projection):
        return None
    state = {name: value for name, value in clip.state_dict().items() if _is_of_text(name)}
    if any(value.dtype != torch.float32 for value in state.values()):
        return None
    weights = {name: value.cpu().numpy() for name, value in state.items()}
    return weights, int(blocks[0].attn.num_heads), kind[3] is QuickGELU


def _is_of_text(name: str) -> bool:
    return not name.startswith(("visual.", "logit_"))
