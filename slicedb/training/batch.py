"""What a loader works with: the decoded parts of a batch, and the dataset behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from slicedb.errors import MediaError
from slicedb.training.targets import Target

if TYPE_CHECKING:
    import torch

    from slicedb.training.shown import ShownBatch

Batch: TypeAlias = tuple[Any, ...]
"""(images, one value per column, ids): images (b, 3, h, w), `label` int64 (b,), ids list[str].

With boxes (`objects`) the images are a list of (3, h, w), as torchvision's detectors take them."""

BatchPlan: TypeAlias = list[np.ndarray]
"""The samples of each batch, int64 (b,): rows of the dataset."""


@dataclass(frozen=True)
class Failure:
    """A sample whose image does not decode."""

    id: str
    reason: str
    """The status such a sample would get, for example "truncated"."""
    message: str

    def error(self) -> MediaError:
        """Return the error that names the sample."""
        return MediaError(
            self.reason,
            f"Sample '{self.id}' does not decode ({self.reason}): {self.message} "
            "Hint: loader(on_error='skip') leaves such samples out and counts them.",
        )


@dataclass(frozen=True)
class Decoded:
    """A decoded part of a batch."""

    indices: np.ndarray
    """int64 (k,): the samples that did decode."""
    images: np.ndarray | list[torch.Tensor]
    """uint8 (k, h, w, 3), or a list of what the transform returned."""
    failures: list[Failure]
    targets: list[Target] = field(default_factory=list)
    """Boxes and class numbers of each picture, where the dataset has them; else empty."""


BatchResult: TypeAlias = tuple[Batch, Sequence[Failure]]
"""A batch, and the samples missing from it because their images do not decode."""


def collate(items: Sequence[tuple[Any, ...]]) -> Batch:
    """Return items of a detection dataset as a batch, for torch's own DataLoader.

    Images, targets and ids become lists, since pictures may differ in size and in their number of
    boxes: `DataLoader(dataset, batch_size=4, collate_fn=slicedb.training.collate)`.

    >>> collate([("image a", {"boxes": 1}, "a.jpg"), ("image b", {"boxes": 2}, "b.jpg")])
    (['image a', 'image b'], [{'boxes': 1}, {'boxes': 2}], ['a.jpg', 'b.jpg'])
    """
    return tuple(list(values) for values in zip(*items))


class BatchSource(Protocol):
    """A dataset as a loader sees it; see `SliceDataset`."""

    keys: np.ndarray
    sizes: np.ndarray
    """int64 (n,): bytes of each encoded image."""
    classes: tuple[str, ...]

    def __len__(self) -> int: ...
    @property
    def stored(self) -> bool: ...
    @property
    def shape(self) -> tuple[int, int, int] | None: ...
    def read(self, indices: np.ndarray) -> list[bytes]: ...
    def decode(
        self, indices: np.ndarray, blobs: Sequence[bytes], room: np.ndarray | None = None
    ) -> Decoded: ...
    def assemble(self, parts: Sequence[Decoded], *, pin: bool = False) -> Batch: ...
    def unstacked(self) -> BatchSource: ...
    def shown(self, batch: Batch, n: int) -> ShownBatch: ...
