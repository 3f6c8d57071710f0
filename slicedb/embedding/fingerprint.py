"""Identify what a vector depends on, so that those of different encoders are never mixed."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, TypeAlias

from slicedb.models.fingerprint import combine, tensors_digest

if TYPE_CHECKING:
    import torch

Fingerprint: TypeAlias = "dict[str, Any]"
"""Facts of an encoder, ready for JSON; see `fingerprint_of`."""

COMPARED = ("architecture", "weights", "quick_gelu", "preprocessing", "precision")
"""What two encoders have to agree on for their vectors to be one kind. A GPU's bfloat16 autocast
and the version of open_clip are noted, not compared: they move a cosine by about 0.001."""


def fingerprint_of(
    module: torch.nn.Module,
    *,
    model: str,
    pretrained: str | None,
    config: dict[str, Any],
    preprocessing: dict[str, Any],
    dim: int,
    logit_scale: float,
    **more: object,
) -> Fingerprint:
    """Return the fingerprint of an encoder; its weights are hashed.

    Args:
        module: with the weights that run.
        model: the name it is opened by; a file counts by its whole path.
        pretrained: the tag or file of its weights.
        config: of the architecture.
        preprocessing: what is done to an image.
        dim: length of a vector.
        logit_scale: what the model multiplies a cosine with before its softmax.
        **more: other facts, such as the version of the library.
    """
    return {
        "model": model if not model.endswith(".json") else os.path.abspath(model),
        "pretrained": pretrained,
        "architecture": combine({"config": config}),
        "weights": tensors_digest(module.state_dict()),
        "quick_gelu": bool(config.get("quick_gelu", False)),
        "preprocessing": {key: _plain(preprocessing[key]) for key in sorted(preprocessing)},
        "precision": "fp32",
        "dim": dim,
        "logit_scale": round(logit_scale, 4),
        **more,
    }


def fingerprint_json(fingerprint: Fingerprint) -> str:
    """Return the fingerprint as text."""
    return json.dumps(fingerprint, sort_keys=True)


def logged_fingerprint(dim: int) -> Fingerprint:
    """Return what is known of vectors that were computed elsewhere by nobody knows what."""
    return {"logged": True, "dim": dim}


def is_logged(fingerprint: Fingerprint) -> bool:
    """Return whether vectors were logged without an encoder."""
    return bool(fingerprint.get("logged"))


def differing(before: Fingerprint, now: Fingerprint) -> list[str]:
    """Return what two fingerprints do not agree on; empty when their vectors may be mixed."""
    return [part for part in COMPARED if before.get(part) != now.get(part)]


def title_of(fingerprint: Fingerprint) -> str:
    """Return what errors call an encoder."""
    if is_logged(fingerprint):
        return "an encoder that nobody named"
    parts = [fingerprint.get("model"), fingerprint.get("pretrained")]
    return ", ".join(str(part) for part in parts if part) or "an unknown encoder"


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
