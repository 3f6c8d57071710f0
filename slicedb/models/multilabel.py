"""The wrapper for networks that give each picture any number of labels."""

from __future__ import annotations

from slicedb.models.model import TorchClassifier


class TorchMultilabel(TorchClassifier):
    """Wrap any `torch.nn.Module` that maps images (n, 3, h, w) to logits (n, c), one of each label.

    Each logit goes through a sigmoid of its own; a label is predicted from `confidence` on. The
    arguments are those of `TorchClassifier`.
    """

    task = "multilabel"
