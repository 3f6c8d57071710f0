"""Explain what a model looks at: Grad-CAM maps, computed, drawn, and stored for queries."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slicedb.cam.compute import CamReport, cam
from slicedb.cam.maps import BORDER, border, enlarge, mass_in, overlay, points_at
from slicedb.cam.overlays import StoredCams, overlay_of, overlays
from slicedb.cam.table import cams_schema, grid_of, maps_of, read

if TYPE_CHECKING:
    from slicedb.cam.gradcam import Cams, GradCam
    from slicedb.cam.methods import METHODS
    from slicedb.cam.pictures import Explained, explained

__all__ = [
    "BORDER",
    "METHODS",
    "CamReport",
    "Cams",
    "Explained",
    "GradCam",
    "StoredCams",
    "border",
    "cam",
    "cams_schema",
    "enlarge",
    "explained",
    "grid_of",
    "maps_of",
    "mass_in",
    "overlay",
    "overlay_of",
    "overlays",
    "points_at",
    "read",
]

_WITH_TORCH = {
    "Cams": "gradcam",
    "GradCam": "gradcam",
    "METHODS": "methods",
    "Explained": "pictures",
    "explained": "pictures",
}
"""What needs torch, by its module: maps that are stored are drawn without it."""


def __getattr__(name: str) -> object:
    if name in _WITH_TORCH:
        return getattr(import_module(f"slicedb.cam.{_WITH_TORCH[name]}"), name)
    raise AttributeError(f"module 'slicedb.cam' has no attribute '{name}'")
