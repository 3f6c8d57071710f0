"""Choose the expectations that a model can be given on the compositions of a database."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa

from slicedb.errors import CheckError

COMPOSED = "template IS NOT NULL"
"""The query of all compositions."""


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
