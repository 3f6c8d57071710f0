"""Compute a detector's own training loss of every picture, to be written back by id."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import torch

if TYPE_CHECKING:
    from slicedb.training.loader import Loader


def detection_losses(
    net: torch.nn.Module,
    loader: Loader,
    *,
    prefix: str = "",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> pa.Table:
    """Return the training loss of each picture, as torchvision's detectors compute it.

    A detector in training mode gives one loss for a whole batch, so each picture is put through
    alone. Nothing is learnt: no gradient is kept, and running statistics stay as they are. The
    anchors and proposals that torchvision draws are the same ones for the same seed.

    `db.attach(detection_losses(net, loader, prefix="frcnn_"), partial=True)` writes them back.

    Args:
        net: takes lists of images and targets and gives a dict of losses in training mode.
        loader: gives (images, targets, ids), as `to_torch(columns=["objects"]).loader()` does.
        prefix: put before the name of each column but `id`.
        seed: seed of the anchors and proposals drawn.
        device: where to run; None is where the parameters of the network are.

    Returns:
        `id`, `loss` (the sum) and each part, such as `loss_classifier`: float64, one row per
        picture.
    """
    where = device or next(net.parameters()).device
    ids: list[str] = []
    parts: dict[str, list[float]] = {}
    with _training_without_learning(net), torch.random.fork_rng():
        for images, targets, names in loader:
            for image, target, name in zip(images, targets, names):
                torch.manual_seed(seed)
                moved = {k: v.to(where) for k, v in target.items()}
                losses = net([image.to(where)], [moved])
                ids.append(name)
                for part, value in losses.items():
                    parts.setdefault(part, []).append(float(value))
    rows = np.array(list(parts.values()), np.float64).reshape(len(parts), len(ids))
    total = {"id": pa.array(ids, pa.string()), f"{prefix}loss": rows.sum(axis=0)}
    return pa.table({**total, **{f"{prefix}{part}": row for part, row in zip(parts, rows)}})


@contextlib.contextmanager
def _training_without_learning(net: torch.nn.Module) -> Iterator[None]:
    """Put a network in training mode, with its normalisation and dropout as they predict."""
    modes = {module: module.training for module in net.modules()}
    net.train()
    for module in net.modules():
        name = type(module).__name__
        if "Norm" in name or "Dropout" in name:
            module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
