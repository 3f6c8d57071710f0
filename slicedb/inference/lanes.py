"""One model among several that are fed with the same pictures: its batches and its outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from slicedb.errors import SliceDBError
from slicedb.inference.batches import ImageBatch, filled, stacked, transformed
from slicedb.inference.device import device_of
from slicedb.inference.lists import ListOutputs, ListSide, default_list_size
from slicedb.inference.runner import Flight, Outputs, feed_size, pick_device, running
from slicedb.models.model import Model
from slicedb.models.preprocessing import Preprocessing
from slicedb.models.whole import WholeImage, WholeImageModel

if TYPE_CHECKING:
    import torch

Rows: TypeAlias = dict[Hashable, tuple[np.ndarray, str | None]]
"""Rows that one picture has filled, and why they are black, by what was done to its pixels."""


class Tray:
    """Pictures that go through a model together, while they are decoded.

    Args:
        rows: uint8 (n, h, w, 3), where their pixels go; None where each is a tensor of its own.
    """

    def __init__(self, rows: torch.Tensor | None) -> None:
        self.rows = rows
        self.ids: list[str] = []
        self.made: list[object] = []
        """By picture, once it is decoded: None where its row is filled, why it does not decode, a
        tensor, a `WholeImage`, or the error of the model's transform."""

    def add(self, name: str) -> int:
        """Take a picture that will be decoded; returns its place."""
        self.ids.append(name)
        self.made.append(None)
        return len(self.ids) - 1


class Lane:
    """A model that gets the pictures it wants, in the batches it would get alone.

    Args:
        model: the model.
        size: pictures of a tray: as many as are decoded at a time for the model alone, so that
            the same ones come together in a batch and give the same numbers.
        ahead: trays that are decoded before they are asked for.
    """

    def __init__(self, model: Model, size: int, ahead: int) -> None:
        self.model = model
        self.size = size
        self.ahead = ahead
        self.is_lost = False
        """Whether the model has failed, and gets nothing more."""
        self._open: Tray | None = None

    def place(self, name: str) -> tuple[Tray, int, bool]:
        """Return where a picture goes: the tray, the place in it, and whether it is full now."""
        tray = self._open = self._open or self._new()
        at = tray.add(name)
        is_full = len(tray.ids) == self.size
        if is_full:
            self._open = None
        return tray, at, is_full

    def last(self) -> Tray | None:
        """Return the tray that is not full, when no more pictures come."""
        tray, self._open = self._open, None
        return tray

    def make(self, name: str, data: bytes, tray: Tray, at: int, rows: Rows) -> None:
        """Decode a picture for the model; run by threads.

        Args:
            rows: what other models have made of the same picture.
        """
        try:
            tray.made[at] = self._made(name, data, tray, at, rows)
        except SliceDBError as error:
            tray.made[at] = error

    def outputs(self, tray: Tray) -> Iterator[Outputs | ListOutputs]:
        """Run the model; on a GPU the outputs that come may be those of a tray before.

        Raises:
            ModelError: the model or its transform fails.
        """
        for made in tray.made:
            if isinstance(made, SliceDBError):
                raise made
        return self._outputs(tray)

    def rest(self) -> Iterator[Outputs | ListOutputs]:
        """Yield the outputs that have not come yet."""
        return iter(())

    def _new(self) -> Tray:
        return Tray(None)

    def _made(self, name: str, data: bytes, tray: Tray, at: int, rows: Rows) -> object:
        raise NotImplementedError

    def _outputs(self, tray: Tray) -> Iterator[Outputs | ListOutputs]:
        raise NotImplementedError


class TensorLane(Lane):
    """A model whose batch is one tensor."""

    def __init__(
        self,
        model: Model,
        batch_size: int | None,
        device: torch.device | str | None,
        stack: ExitStack,
    ) -> None:
        side = stack.enter_context(running(model, batch_size=batch_size, device=device))
        super().__init__(model, feed_size(side, batch_size), side.on.ahead)
        self._pin = side.on.is_gpu
        self._flight = Flight(side)
        self._flown: deque[torch.Tensor | None] = deque()
        self._free: list[torch.Tensor] = []
        own = type(model.preprocessing) is not Preprocessing
        preprocessing = self._preprocessing = model.preprocessing
        self._pixels = (
            None if own else (preprocessing.size, preprocessing.resize, preprocessing.interpolation)
        )

    def _new(self) -> Tray:
        if self.model.transform is not None:
            return Tray(None)
        if self._free:
            return Tray(self._free.pop())
        import torch

        shape = (self.size, *self._preprocessing.size, 3)
        return Tray(torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin))

    def _made(self, name: str, data: bytes, tray: Tray, at: int, rows: Rows) -> object:
        if tray.rows is None:
            assert self.model.transform is not None
            return transformed(name, data, self.model.transform)
        row = tray.rows.numpy()[at]
        if self._pixels is None:
            return filled(data, row, self._preprocessing.fill)
        if self._pixels in rows:
            row[:], why = rows[self._pixels]
            return why
        why = filled(data, row, self._preprocessing.fill)
        rows[self._pixels] = row, why
        return why

    def _outputs(self, tray: Tray) -> Iterator[Outputs]:
        if tray.rows is None:
            images = stacked(cast("list[torch.Tensor | str]", tray.made), tray.ids, self._pin)
        else:
            images = tray.rows[: len(tray.ids)]
        errors = [made if isinstance(made, str) else None for made in tray.made]
        self._flown.append(tray.rows)
        return self._landed(self._flight.add(ImageBatch(tray.ids, images, errors)))

    def rest(self) -> Iterator[Outputs]:
        return self._landed(self._flight.rest())

    def _landed(self, outputs: Iterator[Outputs]) -> Iterator[Outputs]:
        """Yield outputs, and use the memory of their pictures again."""
        for output in outputs:
            rows = self._flown.popleft()
            if rows is not None:
                self._free.append(rows)
            yield output


class ListLane(Lane):
    """A model that takes a list of pictures, each of its own size."""

    def __init__(
        self,
        model: WholeImageModel,
        batch_size: int | None,
        device: torch.device | str | None,
        stack: ExitStack,
    ) -> None:
        chosen = pick_device(device, model)
        size = batch_size or default_list_size(chosen)
        super().__init__(model, size, device_of(chosen).ahead)
        stack.enter_context(model.session(chosen))
        self._side = ListSide(model, chosen, size)
        self._read = model.read

    def _made(self, name: str, data: bytes, tray: Tray, at: int, rows: Rows) -> object:
        return self._read(name, data)

    def _outputs(self, tray: Tray) -> Iterator[ListOutputs]:
        yield self._side.outputs_of(tray.ids, cast("list[WholeImage | str]", tray.made))


def lane_of(
    model: Model, batch_size: int | None, device: torch.device | str | None, stack: ExitStack
) -> Lane:
    """Return the lane of a model, held on its device until the stack is closed."""
    if isinstance(model, WholeImageModel):
        return ListLane(model, batch_size, device, stack)
    return TensorLane(model, batch_size, device, stack)
