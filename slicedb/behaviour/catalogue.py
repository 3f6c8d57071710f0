"""What expectations can ask of behaviour, as rows."""

from __future__ import annotations

from slicedb.behaviour.corruptions import CORRUPTIONS
from slicedb.expectations.behaviours import FLIPS

_COMPOSED = (
    ("accuracy over compositions", "right on composed pictures"),
    ("invariance(background)", "another background, the same prediction"),
    ("invariance(extra)", "other cutlery, the same prediction"),
    ("invariance(surroundings)", "another background and other cutlery, the same prediction"),
    ("direction(foreground)", "another food, another prediction"),
)


def catalogue() -> list[dict[str, str]]:
    """Return one row an expectation: behaviour, needs, what it asks, example.

    >>> [row["behaviour"] for row in catalogue()][:2]
    ['accuracy over compositions', 'invariance(background)']
    """
    rows = [
        {"behaviour": name, "of": "compositions", "asks": asks, "example": f"{name} >= 0.8"}
        for name, asks in _COMPOSED
    ]
    for one in CORRUPTIONS.values():
        at = "" if one.name in FLIPS else " at 3"
        asks = (one.function().__doc__ or "").strip().split("\n")[0].rstrip(".")
        rows.append(
            {
                "behaviour": one.name,
                "of": one.family,
                "asks": asks[:1].lower() + asks[1:],
                "example": f"invariance({one.name}{at}) >= 0.8",
            }
        )
    return rows
