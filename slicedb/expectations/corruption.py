"""The protocol of corruptions: SliceDB's own, and those of installed packages.

    class Sepia:
        name, family, severities = "sepia", "colour", 5
        about = "tint the picture brown"

        def apply(self, images, severity, keys):
            gray = images.float().mean(3, keepdim=True)
            brown = gray * torch.tensor([1.0, 0.8, 0.6], device=images.device)
            return torch.lerp(images.float(), brown, severity / 5).to(torch.uint8)

    [project.entry-points."slicedb.corruptions"]
    sepia = "my_package:SEPIA"        # SEPIA = Sepia()

`invariance(sepia at 3) >= 0.9` is an expectation then, and `slicedb behaviour corrupt MODEL --kind
sepia` shows the accuracy at each severity.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import numpy as np

from slicedb.plugins import Registry
from slicedb.show.numbers import count

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST = 5


class Corruption(Protocol):
    """One way to change pictures that a model should not mind."""

    @property
    def name(self) -> str:
        """Lower-case letters, digits and underscores: the word in expectations."""
        ...

    @property
    def family(self) -> str:
        """What lists group it under: "noise", "blur", "weather", "digital", "geometry", ..."""
        ...

    @property
    def about(self) -> str:
        """What it does to a picture, one line for lists."""
        ...

    @property
    def severities(self) -> int:
        """How many degrees there are, 1 to 5; 1 for a change without degrees, such as a flip."""
        ...

    def apply(self, images: torch.Tensor, severity: int, keys: np.ndarray) -> torch.Tensor:
        """Return the changed pictures, uint8 of the shape of `images`, which stay as they are.

        Args:
            images: uint8 (n, h, w, 3), on any device; a batch is split into parts that several
                threads work on.
            severity: from 1.
            keys: int64 (n,), the samples' keys. They seed the random numbers of each picture, the
                same ones at every severity, so that a picture comes out the same in any batch.
        """
        ...


def problem_of(corruption: Corruption) -> str:
    """Return why an object is no corruption, "" if it is one."""
    if not _NAME.fullmatch(corruption.name):
        return f"{corruption.name!r} is no lower-case word."
    missing = [
        part for part in ("family", "about", "severities", "apply") if not hasattr(corruption, part)
    ]
    if missing:
        return f"The corruption '{corruption.name}' has no {', '.join(missing)}."
    n = corruption.severities
    if n not in range(1, _MOST + 1):
        severities = count(n, "severity", "severities")
        return f"The corruption '{corruption.name}' has {severities}, not 1 to {_MOST}."
    return ""


CORRUPTIONS: Registry[Corruption] = Registry(
    "slicedb.corruptions", ["slicedb.behaviour.corruptions:BUILT_IN"], problem_of
)
"""Ways to change a picture by name: those of SliceDB, and those of installed packages."""
