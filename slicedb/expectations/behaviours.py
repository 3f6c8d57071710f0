"""What an expectation can ask of a model's behaviour, by name.

invariance(background)     the same food on another background: the same prediction
invariance(extra)          ... with other cutlery beside it
invariance(fog at 3)       the same picture, spoilt, flipped or cropped
direction(foreground)      another food, the same surroundings: another prediction
accuracy under fog at 3    right on spoilt pictures
"""

from __future__ import annotations

from dataclasses import dataclass

from slicedb.errors import CheckError, did_you_mean

SURROUNDINGS: dict[str, tuple[str, ...]] = {
    "background": ("background",),
    "extra": ("extra",),
    "surroundings": ("background", "extra"),
}
"""Name of an invariance over compositions -> the columns that may change."""

CORRUPTIONS: tuple[str, ...] = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "flip_horizontal",
    "flip_vertical",
    "crop",
)
"""Ways to change a picture; `slicedb.behaviour.corruptions` does it."""

DIRECTIONS = ("foreground",)

COMPOSITIONS = "compositions"
"""What accuracy is over where its interval shall know that foods were used again."""

FLIPS = ("flip_horizontal", "flip_vertical")
"""Without degrees: every severity is the same."""

SEVERITY = 3
"""Of a corruption where none is said; flips have only one, 1."""

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
        if self.is_composed or self.name in FLIPS:
            return self.name
        return f"{self.name} at {self.severity}"


def change(name: str, severity: int | None = None) -> Change:
    """Return a change by its name, or by a short form of it.

    Raises:
        CheckError: there is none of that name, or no such severity.
    """
    known = (*SURROUNDINGS, *DIRECTIONS, COMPOSITIONS, *CORRUPTIONS)
    found = _SHORT.get(name.lower(), name.lower())
    if found not in known:
        raise CheckError(f"No behaviour '{name}'.", did_you_mean(name, known, "behaviours"))
    if found not in CORRUPTIONS:
        if severity is not None:
            raise CheckError(f"'{found}' has no severity.", f"write `{found}` alone.")
        return Change(found)
    if found in FLIPS:
        return Change(found, 1)
    severity = SEVERITY if severity is None else severity
    if not 1 <= severity <= 5:
        raise CheckError(f"Severity {severity} of '{found}'.", "severities are 1 to 5.")
    return Change(found, severity)
