"""Turn encoded images into what a batch holds: resized pixels, or what a transform makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from PIL import Image

from slicedb.errors import MediaError, SliceDBError
from slicedb.media import decode_rgb
from slicedb.models.preprocessing import Preprocessing
from slicedb.training import joint
from slicedb.training.batch import Decoded, Failure
from slicedb.training.joint import check_joint
from slicedb.training.pixels import Decoder, check_shape, decode_rows, fit_into, fit_rows, joined
from slicedb.training.targets import Target, Targets

if TYPE_CHECKING:
    from slicedb.models.model import Transform

T = TypeVar("T")
Size: TypeAlias = int | tuple[int, int] | None
Dtype: TypeAlias = Literal["uint8", "float32"]


@dataclass
class Pictures:
    """Decodes the images of a dataset; see `to_torch` for transform, decoder, size and dtype."""

    ids: np.ndarray
    """(n,): the samples' ids, for messages."""
    transform: Transform | None
    decoder: Decoder
    size: Size
    dtype: Dtype
    targets: Targets | None = None
    """The boxes of the samples, which are scaled with the picture."""

    listed: bool = False
    """Whether the pictures of a batch stay a list, since a function of the user collates them."""

    def __post_init__(self) -> None:
        self._fit = None if self.size is None else _preprocessing(self.size)
        self._seen: tuple[int, int, int] | None = None
        if self.targets is not None and self.transform is not None:
            check_joint(self.transform)
        elif self.targets is not None and self._fit is not None:
            self.targets.warn_of_crop(self._fit)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Height, width and 3 of the pictures of a batch, None while that is unknown."""
        if self.transform is not None or self.targets is not None or self.listed:
            return None
        return self._seen if self._fit is None else (*self._fit.size, 3)

    def items(
        self, indices: np.ndarray, blobs: Sequence[bytes]
    ) -> tuple[list[torch.Tensor], list[Target]]:
        """Return the pictures of samples one by one, and their targets where there are boxes.

        Raises:
            MediaError: an image does not decode.
            SliceDBError: the transform fails.
        """
        images, targets = [], []
        for i, data in zip(indices.tolist(), blobs):
            try:
                if self.targets is None:
                    images.append(self._one(i, data))
                else:
                    image, target = self._with_target(self.targets, i, data)
                    images.append(image)
                    targets.append(target)
            except MediaError as error:
                raise self._failure(i, error).error() from error
        return images, targets

    def decode(
        self, indices: np.ndarray, blobs: Sequence[bytes], room: np.ndarray | None
    ) -> Decoded:
        """Decode a part of a batch; what does not decode is left out and reported.

        Args:
            indices: int64 (b,).
            blobs: their encoded images.
            room: uint8 (b, *shape) to decode into; None allocates it.

        Raises:
            SliceDBError: the images differ in size, or the transform fails.
        """
        images: np.ndarray | list[torch.Tensor]
        failures: dict[int, MediaError] = {}
        targets: list[Target] = []
        if self.targets is not None:
            images = []
            for at, (i, data) in enumerate(zip(indices.tolist(), blobs)):
                try:
                    image, target = self._with_target(self.targets, i, data)
                except MediaError as error:
                    failures[at] = error
                else:
                    images.append(image)
                    targets.append(target)
        elif self.transform is not None or self.listed:
            images = []
            for at, (i, data) in enumerate(zip(indices.tolist(), blobs)):
                try:
                    images.append(self._one(i, data))
                except MediaError as error:
                    failures[at] = error
        elif self._fit is not None:
            if room is None:
                room = np.empty((len(blobs), *self._fit.size, 3), dtype=np.uint8)
            images = fit_rows(blobs, self._fit, self.decoder, failures.__setitem__, room)
        else:
            images = decode_rows(blobs, self.decoder, failures.__setitem__, room)
            self._seen = images.shape[1:] if len(images) else self._seen
        reports = [self._failure(int(indices[at]), error) for at, error in failures.items()]
        good = np.delete(indices, list(failures)) if failures else indices
        return Decoded(good, images, reports, targets)

    def stack(self, parts: Sequence[Decoded]) -> torch.Tensor | list[torch.Tensor]:
        """Return the pictures of a batch, (b, 3, h, w), of its decoded parts.

        With boxes, or `listed`, it is a list of (3, h, w): torchvision's detectors
        take pictures of any size.
        """
        if self.targets is not None or self.listed:
            return [image for part in parts for image in part.images]
        if not parts or self.transform is not None:
            return _collated([image for part in parts for image in part.images])
        arrays = [part.images for part in parts if isinstance(part.images, np.ndarray)]
        for array in arrays:
            check_shape(arrays[0].shape[1:], array.shape[1:])
        return self._tensor(joined(arrays))

    def _tensor(self, pixels: np.ndarray) -> torch.Tensor:
        """Return (..., 3, h, w), channels last in memory, of uint8 (..., h, w, 3)."""
        tensor = torch.from_numpy(pixels).movedim(-1, -3)
        return tensor if self.dtype == "uint8" else tensor.to(torch.float32).div_(255)

    def _one(self, index: int, data: bytes) -> torch.Tensor:
        if self.transform is not None:
            return self._transformed(self.transform, index, data)
        if self._fit is None:
            return self._tensor(self.decoder(data, None))
        out = np.empty((*self._fit.size, 3), dtype=np.uint8)
        fit_into(data, out, self._fit, self.decoder)
        return self._tensor(out)

    def _with_target(
        self, targets: Targets, index: int, data: bytes
    ) -> tuple[torch.Tensor, Target]:
        """Return a picture and its boxes, which went the same way."""
        if self.transform is None and self._fit is not None:
            whole = None if targets.knows_size(index) else decode_rgb(data).shape[:2]
            return self._one(index, data), targets.fitted(index, self._fit, whole)
        reduced = self.size is not None and targets.knows_size(index)
        pixels = self.decoder(data, int(np.max(self.size)) if reduced else None)  # type: ignore[arg-type]
        target = targets.plain(index, pixels.shape)
        if self.transform is None:
            return self._tensor(pixels), target
        try:
            as_float = self.dtype == "float32"
            return joint.apply(self.transform, Image.fromarray(pixels), target, as_float)  # type: ignore[arg-type]
        except Exception as error:
            raise SliceDBError(
                f"The transform failed on sample '{self.ids[index]}' "
                f"({pixels.shape[1]}x{pixels.shape[0]}): {type(error).__name__}: {error}",
                "a joint transform takes an RGB Pillow image and a target of `boxes` and `labels`, "
                "and returns both.",
            ) from error

    def _transformed(self, transform: Transform, index: int, data: bytes) -> torch.Tensor:
        enough = None if self.size is None else int(np.max(self.size))
        image = Image.fromarray(self.decoder(data, enough))
        try:
            return transform(image)
        except Exception as error:
            raise SliceDBError(
                f"The transform failed on sample '{self.ids[index]}' "
                f"({image.width}x{image.height}): {type(error).__name__}: {error}",
                "a transform takes an RGB Pillow image.",
            ) from error

    def _failure(self, index: int, error: MediaError) -> Failure:
        return Failure(self.ids[index], error.reason, error.message)


def pinned(value: T) -> T:
    """Return tensors, also in lists and dicts, in page-locked memory; anything else as it is."""
    if isinstance(value, list):
        return [pinned(one) for one in value]  # type: ignore[return-value]
    if isinstance(value, dict):
        return {name: pinned(one) for name, one in value.items()}  # type: ignore[return-value]
    if isinstance(value, torch.Tensor) and not value.is_pinned():
        page_locked: T = value.pin_memory()
        return page_locked
    return value


def _preprocessing(size: int | tuple[int, int]) -> Preprocessing:
    if isinstance(size, int):
        return Preprocessing(size=(size, size), resize=size)
    height, width = size
    return Preprocessing(size=(height, width), resize=None)


def _collated(images: list[torch.Tensor]) -> torch.Tensor:
    if not images:
        return torch.empty(0)
    try:
        if isinstance(images[0], torch.Tensor):
            return torch.stack(images)
        return torch.utils.data.default_collate(images)
    except (RuntimeError, TypeError) as error:
        raise SliceDBError(
            f"What the transform returns does not make a batch: {str(error).splitlines()[0]}",
            "return tensors of one shape: end the transform with a crop and a conversion.",
        ) from error
