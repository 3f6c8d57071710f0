"""Name what an expectation can test of a model's behaviour.

invariance(background)     the same food on another background: the same prediction
invariance(extra)          ... with other cutlery beside it
invariance(fog at 3)       the same picture, spoilt, flipped or cropped
direction(foreground)      another food, the same surroundings: another prediction
accuracy under fog at 3    right on spoilt pictures
"""

from __future__ import annotations

from dataclasses import dataclass

from slicedb.errors import CheckError, did_you_mean
from slicedb.expectations.corruption import CORRUPTIONS

SURROUNDINGS: dict[str, tuple[str, ...]] = {
    "background": ("background",),
    "extra": ("extra",),
    "surroundings": ("background", "extra"),
}
"""Name of an invariance over compositions -> the columns that may change."""

DIRECTIONS = ("foreground",)

COMPOSITIONS = "compositions"
"""What accuracy is over where its interval shall know that foods were used again."""

SEVERITY = 3
"""Of a corruption where none is given; one without degrees, such as a flip, has only 1."""

_SHORT = {
    "backgrounds": "background",
    "extras": "extra",
    "foregrounds": "foreground",
    "flip": "flip_horizontal",
    "jpeg": "jpeg_compression",
    "elastic": "elastic_transform",
}


@dataclass(frozen=True)
class Change:
    """What is changed about the pictures.

    >>> str(change("fog", 3)), str(change("flip")), change("extras").is_composed
    ('fog at 3', 'flip_horizontal', True)
    """

    name: str
    """One of `SURROUNDINGS`, `DIRECTIONS` or `CORRUPTIONS`, or `COMPOSITIONS`."""
    severity: int = 0
    """1 to 5 of a corruption, 0 for compositions."""

    @property
    def is_composed(self) -> bool:
        """Whether it speaks of compositions, else of corrupted pictures."""
        return self.severity == 0

    def __str__(self) -> str:
        corruption = None if self.is_composed else CORRUPTIONS.get(self.name)
        if self.is_composed or (corruption is not None and corruption.severities == 1):
            return self.name
        return f"{self.name} at {self.severity}"


def change(name: str, severity: int | None = None) -> Change:
    """Return a change by its name, or by a short form of it.

    Raises:
        CheckError: there is none of that name, or no such severity.
    """
    word = _SHORT.get(name.lower(), name.lower())
    if word in (*SURROUNDINGS, *DIRECTIONS, COMPOSITIONS):
        if severity is not None:
            raise CheckError(f"'{word}' has no severity.", f"write `{word}` alone.")
        return Change(word)
    if word not in CORRUPTIONS:
        known = (*SURROUNDINGS, *DIRECTIONS, COMPOSITIONS, *CORRUPTIONS)
        raise CheckError(f"No behaviour '{name}'.", did_you_mean(name, known, "behaviours"))
    most = CORRUPTIONS[word].severities
    if most == 1:
        return Change(word, 1)
    severity = min(SEVERITY, most) if severity is None else severity
    if not 1 <= severity <= most:
        raise CheckError(f"Severity {severity} of '{word}'.", f"severities are 1 to {most}.")
    return Change(word, severity)
