"""`suite.toml`: how a folder of slices is judged."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from slicedb.errors import SliceError, did_you_mean

FILE = "suite.toml"

CORRECTIONS = ("auto", "holm", "max-t", "benjamini-hochberg", "none")
"""How the tests of a suite are counted; "auto" is max-T where it applies and Holm elsewhere."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "baseline": str,
    "confidence": (int, float),
    "correction": str,
    "strict": bool,
    "minimum": int,
    "group": str,
    "detect": (int, float),
    "looks": int,
}


def settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the settings of a folder, or of the folder a file lies in; {} without a file.

    Args:
        path: a folder of slice files, or one of them.

    Returns:
        Any of model, baseline (names), confidence (0 to 1), correction, strict (bool), minimum
        (samples below which a slice reports but does not gate), group (a column of samples),
        detect (the drop in accuracy that must not be missed) and looks (runs over a held-out
        slice after which they are warned of; 0 never warns); see `slicedb.judge.suite`.

    Raises:
        SliceError: the file is not TOML, or has an unknown key or a wrong value.
    """
    place = Path(path)
    file = (place if place.is_dir() else place.parent) / FILE
    if not file.is_file():
        return {}
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SliceError(f"{file} is not TOML: {error}.", "lines of `key = value`.") from None
    for key, value in found.items():
        if key not in _KINDS:
            hint = did_you_mean(key, _KINDS, "settings")
            raise SliceError(f"{file}: unknown setting '{key}'.", hint)
        kind = _KINDS[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SliceError(f"{file}: {key} is {value!r}.", "see the README's suite.toml.")
    check_settings(
        found.get("confidence", 0.95),
        found.get("correction", "auto"),
        str(file),
        detect=found.get("detect"),
    )
    return found


def check_settings(
    confidence: float, correction: str, place: str = "", *, detect: float | None = None
) -> None:
    """Raise SliceError for a confidence, a correction or a drop that does not exist."""
    where = f"{place}: " if place else ""
    if not 0.5 < confidence < 1:
        raise SliceError(f"{where}confidence is {confidence}.", "a number such as 0.95.")
    if correction not in CORRECTIONS:
        hint = did_you_mean(correction, CORRECTIONS, "corrections")
        raise SliceError(f"{where}correction is {correction!r}.", hint)
    if detect is not None and not 0 < detect < 1:
        raise SliceError(f"{where}detect is {detect}.", "a drop in accuracy such as 0.05.")
