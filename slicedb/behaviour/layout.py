"""Read `layout.toml`: where the parts of a composition go, and the names of the classes.

quality = 95                              # of the JPEG
[foreground]                              # centre and room, as shares of the background
x = 0.42
y = 0.70
width = 0.56
height = 0.50
[extra]
x = 0.84
[extras.spoon]                            # one extra of its own place
y = 0.8
[classes]
"05" = "Meat"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from slicedb.errors import SourceError, did_you_mean

LAYOUT = "layout.toml"

LayoutSettings: TypeAlias = Mapping[str, Any]
"""Of a layout file."""


@dataclass(frozen=True)
class Placement:
    """Where a cut-out goes, in shares of the background's width and height."""

    x: float
    """Of its centre."""
    y: float
    """Of its centre."""
    width: float
    """Room it is fitted into, its proportions kept."""
    height: float


@dataclass(frozen=True)
class Layout:
    """How compositions are made."""

    foreground: Placement = Placement(0.42, 0.70, 0.56, 0.50)
    extra: Placement = Placement(0.84, 0.72, 0.24, 0.42)
    extras: Mapping[str, Placement] = field(default_factory=dict)
    """Placements of single extras, by name."""
    classes: Mapping[str, str] = field(default_factory=dict)
    """Label by folder name; the folder's name where there is none."""
    quality: int = 95


def read_layout(file: Path, folders: set[str], extras: Mapping[str, Path]) -> Layout:
    """Return the layout of a template folder, the default one where there is no file.

    Args:
        extras: files of the extras by name.

    Raises:
        SourceError: it is not TOML, or a setting is unknown or out of range.
    """
    if not file.is_file():
        return Layout()
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"'{file}' is not TOML: {error}") from error
    base = Layout()
    _known(settings, ("foreground", "extra", "extras", "classes", "quality"), str(file), "setting")
    _known(settings.get("extras", {}), list(extras), str(file), "extra")
    _known(settings.get("classes", {}), sorted(folders), str(file), "class folder")
    extra = _placement(base.extra, settings.get("extra", {}), str(file))
    return Layout(
        foreground=_placement(base.foreground, settings.get("foreground", {}), str(file)),
        extra=extra,
        extras={
            name: _placement(extra, place, str(file))
            for name, place in settings.get("extras", {}).items()
        },
        classes={str(k): str(v) for k, v in settings.get("classes", {}).items()},
        quality=int(settings.get("quality", base.quality)),
    )


def _known(settings: LayoutSettings, choices: Sequence[str], file: str, what: str) -> None:
    for name in settings:
        if name not in choices:
            raise SourceError(f"Unknown {what} '{name}' in '{file}'.", did_you_mean(name, choices))


def _placement(base: Placement, settings: LayoutSettings, file: str) -> Placement:
    _known(settings, ("x", "y", "width", "height"), file, "setting")
    for name, value in settings.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise SourceError(f"{name} is {value!r} in '{file}'.", "give a share between 0 and 1.")
    return replace(base, **{name: float(value) for name, value in settings.items()})
