"""List what expectations can ask of behaviour, of all databases and of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from slicedb.errors import CheckError
from slicedb.expectations.behaviours import change
from slicedb.expectations.corruption import CORRUPTIONS

if TYPE_CHECKING:
    import pyarrow as pa

COMPOSED = "template IS NOT NULL"
"""The query of all compositions."""

_ASKED = (
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
        for name, asks in _ASKED
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


def expectations(
    ask: Callable[[str], pa.Table], columns: Iterable[str], on: str, least: float
) -> list[str]:
    """Return the expectations that compositions can answer, each with the bound `least`.

    Raises:
        CheckError: nothing was composed.
    """
    if not {"template", "foreground", "background", "extra"} <= set(columns):
        raise CheckError("There are no compositions.", "name a template folder.")
    counts = ask(
        "SELECT count(DISTINCT background) AS background, count(DISTINCT extra) AS extra, "
        f"count(DISTINCT label) AS label FROM samples WHERE {COMPOSED} AND ({on}\n)"
    ).to_pylist()[0]
    asked = ["accuracy over compositions"]
    asked += [f"invariance({name})" for name in ("background", "extra") if counts[name] > 1]
    asked += ["direction(foreground)"] if counts["label"] > 1 else []
    return [f"{text} >= {least!r}" for text in asked]
