"""Read `health.toml`: the bound of each line of a health report."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

from slicedb.errors import CheckError, did_you_mean

FILE = "health.toml"

BOUNDS: dict[str, float] = {
    "quarantined": 0.01,
    "unlabelled": 1.0,
    "duplicates": 0.02,
    "label_conflicts": 0,
    "leaks": 0,
    "quality": 0.05,
    "label_errors": 0.05,
    "drift": 0,
    "stale_slices": 0,
    "broken_slices": 0,
    "holdout_looks": 10,
    "doctor": 0,
}
"""What each line may be at most. `quarantined`, `unlabelled`, `duplicates`, `quality` and
`label_errors` are shares of samples, `leaks` is a share of the samples outside of the largest part,
the others are counts."""

SHARES = ("quarantined", "unlabelled", "duplicates", "leaks", "quality", "label_errors")


def bounds(path: str | os.PathLike[str] | None) -> dict[str, float]:
    """Return the bound of each line: those of a file, and for the others `BOUNDS`.

    Args:
        path: of a file such as `health.toml`, or of the folder it lies in; None is the working
            directory, where there may be none.

    Raises:
        CheckError: the file is missing or not TOML, names an unknown line, or a bound that is no
            number from 0 on.
    """
    file = Path(path or ".")
    file = file / FILE if file.is_dir() else file
    if not file.is_file():
        if path is None:
            return dict(BOUNDS)
        raise CheckError(f"There is no {file}.", "lines of `duplicates = 0.02` make one.")
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckError(f"{file} is not TOML: {error}.", "lines of `key = value`.") from None
    for key, value in table.items():
        if key not in BOUNDS:
            raise CheckError(f"{file}: unknown line '{key}'.", did_you_mean(key, BOUNDS, "lines"))
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not value >= 0:
            raise CheckError(
                f"{file}: {key} = {value!r} is no bound.",
                f"a number from 0 on, such as {BOUNDS[key]:g}.",
            )
    return {**BOUNDS, **{key: float(value) for key, value in table.items()}}
