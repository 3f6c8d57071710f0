"""`suite.toml`: how a folder of slices is judged."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, cast

from slicedb.errors import SliceError, did_you_mean

FILE = "suite.toml"

Correction = Literal["auto", "holm", "max-t", "benjamini-hochberg", "none"]

CORRECTIONS = ("auto", "holm", "max-t", "benjamini-hochberg", "none")
"""How the tests of a suite are counted; "auto" is max-T where it applies and Holm elsewhere."""

MINIMUM = 10
"""Samples below which a slice reports but does not gate."""


@dataclass(frozen=True)
class Settings:
    """How verdicts are reached.

    Raises:
        SliceError: a setting is not right.
    """

    confidence: float = 0.95
    """Of each one-sided bound."""
    correction: Correction = "auto"
    """How the tests of the suite are counted."""
    minimum: int = MINIMUM
    """Samples below which a slice reports but does not gate."""
    detect: float | None = None
    """The drop in accuracy that must not be missed; None treats all slices alike."""

    def __post_init__(self) -> None:
        check_settings(self.confidence, self.correction, detect=self.detect)


class SuiteFile(TypedDict, total=False):
    """What `suite.toml` may say."""

    model: str
    baseline: str
    confidence: float
    correction: Correction
    strict: bool
    minimum: int
    group: str
    """A column of samples whose groups are independent."""
    detect: float
    looks: int
    """Looks at a held-out slice after which they are warned of; 0 never warns."""


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


def settings(path: str | os.PathLike[str]) -> SuiteFile:
    """Return the settings of a folder, or of the folder a file lies in; {} without a file.

    Args:
        path: a folder of slice files, or one of them.

    Raises:
        SliceError: the file is not TOML, or has an unknown key or a wrong value.
    """
    place = Path(path)
    file = (place if place.is_dir() else place.parent) / FILE
    if not file.is_file():
        return {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SliceError(f"{file} is not TOML: {error}.", "lines of `key = value`.") from None
    for key, value in table.items():
        if key not in _KINDS:
            hint = did_you_mean(key, _KINDS, "settings")
            raise SliceError(f"{file}: unknown setting '{key}'.", hint)
        kind = _KINDS[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SliceError(f"{file}: {key} is {value!r}.", "see the README's suite.toml.")
    check_settings(
        table.get("confidence", 0.95),
        table.get("correction", "auto"),
        str(file),
        detect=table.get("detect"),
    )
    return cast(SuiteFile, table)


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
