"""List what expectations can ask of behaviour."""

from __future__ import annotations

from slicedb.expectations.behaviours import change
from slicedb.expectations.corruption import CORRUPTIONS

_COMPOSED = (
    ("accuracy over compositions", "right on composed pictures"),
    ("invariance(background)", "another background, the same prediction"),
    ("invariance(extra)", "other cutlery, the same prediction"),
    ("invariance(surroundings)", "another background and other cutlery, the same prediction"),
    ("direction(foreground)", "another food, another prediction"),
)


def catalogue() -> list[dict[str, str]]:
    """Return one row per expectation: behaviour, needs, what it asks, example.

    >>> [row["behaviour"] for row in catalogue()][:2]
    ['accuracy over compositions', 'invariance(background)']
    """
    rows = [
        {"behaviour": name, "of": "compositions", "asks": asks, "example": f"{name} >= 0.8"}
        for name, asks in _COMPOSED
    ]
    for one in CORRUPTIONS.values():
        rows.append(
            {
                "behaviour": one.name,
                "of": one.family,
                "asks": one.about,
                "example": f"invariance({change(one.name)}) >= 0.8",
            }
        )
    return rows
