"""Choose the chip that decodes pictures, and remember what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from slicedb.errors import ModelError
from slicedb.inference.fitting import SMOOTH
from slicedb.inference.jpegs import GpuJpegs
from slicedb.models.model import Model
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.whole import WholeImageModel
from slicedb.store.decoded import Decoded

if TYPE_CHECKING:
    import torch

How: TypeAlias = Literal["cpu", "gpu", "auto"]
"""cpu: libjpeg-turbo, whose pixels are the same on every machine. gpu: plain JPEGs by nvJPEG,
whose pixels differ by a few levels, and the rest by the CPU. auto: what is faster for the first
pictures."""

_WAY_OUT = "leave out decode= (--decode): the CPU decodes then."


class Decoding:
    """Who decodes the pictures of one run.

    Args:
        how: what was asked for: one of `How`.
    """

    def __init__(self, how: str = "cpu") -> None:
        if how not in get_args(How):
            raise ModelError(f"decode={how!r}.", "give cpu, gpu or auto.")
        self.how = how
        self.decoded = Decoded()
        """What was decoded until now, and by which chip."""

    def count(self, on_gpu: int, on_cpu: int) -> None:
        """Count pictures that were decoded."""
        self.decoded += Decoded(on_gpu, on_cpu)

    def refuse(self, why: str) -> None:
        """Say why the CPU decodes instead."""
        self.decoded += Decoded(why=(why,))

    def open(self, device: torch.device, model: Model) -> GpuJpegs | None:
        """Return the decoder of a GPU, or None where the CPU decodes.

        Raises:
            ModelError: the GPU was asked for, and cannot.
        """
        if self.how == "cpu":
            return None
        try:
            self._check(device, model)
            jpegs = GpuJpegs(device)
        except ModelError as error:
            if self.how == "gpu":
                raise
            self.refuse(error.message.rstrip("."))
            return None
        self.decoded += Decoded(by=(jpegs.by,))
        return jpegs

    def _check(self, device: torch.device, model: Model) -> None:
        reason = _unfit(device, model)
        if reason:
            raise ModelError(f"No GPU can decode: {reason}.", _WAY_OUT)


def _unfit(device: torch.device, model: Model) -> str:
    """Return why a GPU cannot decode for a model, "" where it can."""
    if device.type != "cuda":
        return f"the device is {device}"
    if model.transform is not None:
        return f"{model} has a transform of its own, which takes Pillow pictures"
    if isinstance(model, WholeImageModel):
        own = type(model).read is not WholeImageModel.read
        return f"{model} reads pictures in a way of its own" if own else ""
    preprocessing = model.preprocessing
    if type(preprocessing) is not Preprocessing:
        return f"{model} has a preprocessing of its own"
    if preprocessing.interpolation not in SMOOTH:
        return f"{model} resizes by '{preprocessing.interpolation}', not by {' or '.join(SMOOTH)}"
    return ""
