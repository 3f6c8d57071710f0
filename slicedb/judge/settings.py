"""Read `suite.toml`: how a folder of slices is judged."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

from slicedb.errors import SliceDBError, SliceError, did_you_mean
from slicedb.judge.verdicts import Correction, Guard, SuiteSettings

FILE = "suite.toml"


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
    guard: Guard
    """Errors that are controlled over the whole suite: "fail", or "pass" for false PASS, too."""
    sequential: bool
    """Whether verdicts hold over all looks together."""
    truth: str
    """A model, or a column of samples, that stands in place of the ground truth."""
    truth_score: float
    """The score from which on boxes of that model are taken for truth."""
    looks: int
    """Looks at a slice after which they are warned of; 0 never warns."""


_KINDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "baseline": str,
    "confidence": (int, float),
    "correction": str,
    "strict": bool,
    "minimum": int,
    "group": str,
    "detect": (int, float),
    "guard": str,
    "sequential": bool,
    "truth": str,
    "truth_score": (int, float),
    "looks": int,
}

_CHECKED = ("confidence", "correction", "detect", "guard")
"""Settings whose values are checked further."""


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
    except (ValueError, RecursionError) as error:
        raise SliceError(f"{file} is not TOML: {error}.", "lines of `key = value`.") from None
    for key, value in table.items():
        if key not in _KINDS:
            hint = did_you_mean(key, _KINDS, "settings")
            raise SliceError(f"{file}: unknown setting '{key}'.", hint)
        kind = _KINDS[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise SliceError(f"{file}: {key} is {value!r}.", "see the README's suite.toml.")
    known = {k: v for k, v in table.items() if k in _CHECKED}
    try:
        SuiteSettings(**known)
    except SliceError as error:
        raise SliceError(f"{file}: {error.message}", error.hint) from None
    return cast(SuiteFile, table)


def settled(file: Mapping[str, Any], given: Mapping[str, Any], written: bool) -> dict[str, Any]:
    """Return the settings of a run: those of the file, and those that are given in their place.

    Args:
        file: what `suite.toml` says.
        given: by name; None is not given.
        written: whether the run is written down.

    Raises:
        SliceDBError: no model is named, or a sequential test would not be written down.
    """
    chosen = {**file, **{name: value for name, value in given.items() if value is not None}}
    if chosen.get("model") is None:
        raise SliceDBError(
            "No model to test.", "pass model=, or --model, or name it in suite.toml."
        )
    if chosen.get("sequential") and not written:
        raise SliceDBError(
            "A sequential test counts every look, and this one would not be written down.",
            "leave out write=False (--no-write), or pass sequential=False (--no-sequential).",
        )
    return chosen
