"""What a user says of a model's preprocessing, in place of what the model brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from slicedb.errors import ModelError
from slicedb.models.model import Model

Resize: TypeAlias = 'int | Literal["squash", "crop"]'
"""The length of the shorter side before the centre crop, "crop" for the model's own, or "squash"
for a resize of the whole picture whatever its shape."""


@dataclass(frozen=True)
class Settings:
    """Size, resize and normalisation; None leaves what the model brings."""

    size: int | None = None
    """Pixels of the square input."""
    resize: Resize | None = None
    mean: tuple[float, ...] | None = None
    """Subtracted from the channels in [0, 1]."""
    std: tuple[float, ...] | None = None
    """Divides the channels after that."""

    @classmethod
    def of(
        cls,
        size: int | None = None,
        resize: Resize | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> Settings:
        """Return checked settings; one number for mean or std is that of each channel.

        Raises:
            ModelError: one is not right.

        >>> Settings.of(64, "squash", [0.5]).to_json()
        {'size': 64, 'resize': 'squash', 'mean': [0.5, 0.5, 0.5]}
        """
        if size is not None and size < 1:
            raise ModelError(f"size is {size}.", "pixels of the square input, such as 224.")
        is_number = isinstance(resize, int) and not isinstance(resize, bool)
        if resize is not None and resize not in ("squash", "crop") and not is_number:
            raise ModelError(
                f"resize is {resize!r}.",
                "squash, crop, or the length of the shorter side before the crop, such as 256.",
            )
        return cls(size, resize, _channels(mean, "mean"), _channels(std, "std"))

    def to_json(self) -> dict[str, Any]:
        """Return what is set, as JSON has it."""
        given = {"size": self.size, "resize": self.resize, "mean": self.mean, "std": self.std}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value is not None
        }

    @classmethod
    def from_json(cls, held: Mapping[str, Any]) -> Settings:
        """Return settings that `to_json` gave."""
        return cls.of(**{name: held.get(name) for name in ("size", "resize", "mean", "std")})

    def apply(self, model: Model) -> None:
        """Set them on a model.

        Raises:
            ModelError: the model has a transform of its own, or takes pictures of any size.
        """
        if not self.to_json():
            return
        names = ", ".join(self.to_json())
        if model.takes_list:
            raise ModelError(
                f"{names} given for {model}, which takes every picture in its own size.",
                "a detector resizes by itself; leave them away.",
            )
        if model.transform is not None:
            raise ModelError(
                f"{names} given for {model}, which has a transform of its own.",
                "change the transform, or leave them away.",
            )
        before = model.preprocessing
        if self.size is not None:
            model.input_size = self.size
        if self.resize == "squash" or isinstance(self.resize, int):
            model.resize = self.resize
        elif before.resize is not None and self.size is not None:
            model.resize = round(before.resize * self.size / max(before.size))
        elif self.resize == "crop" and before.resize is None:
            model.resize = None
        model.mean = self.mean or model.mean
        model.std = self.std or model.std
        try:
            _ = model.preprocessing
        except ValueError as error:
            text = str(error)
            raise ModelError(
                f"{text[0].upper()}{text[1:]}.", "the shorter side is cropped, so resize >= size."
            ) from error


def _channels(values: Sequence[float] | None, what: str) -> tuple[float, ...] | None:
    if values is None:
        return None
    numbers = tuple(float(value) for value in values)
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or (what == "std" and 0 in numbers):
        raise ModelError(
            f"{what} is {', '.join(f'{x:g}' for x in numbers) or 'empty'}.",
            "give one number, or three, one for each of red, green and blue; std is not 0.",
        )
    return numbers
