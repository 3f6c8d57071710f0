"""What came of decoding: pictures, and those that failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slicedb.errors import MediaError


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
    """A part of a batch, decoded."""

    indices: np.ndarray
    """int64 (k,): the samples that did decode."""
    images: Any
    """uint8 array (k, h, w, 3), or a list of what the transform returned."""
    failures: list[Failure]
