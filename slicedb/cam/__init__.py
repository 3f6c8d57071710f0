"""Explain what a model looks at: Grad-CAM maps, computed, drawn, and stored for queries."""

from __future__ import annotations

from slicedb.cam.compute import CamReport, cam
from slicedb.cam.gradcam import Cams, GradCam
from slicedb.cam.maps import BORDER, border, enlarge, mass_in, overlay, points_at
from slicedb.cam.methods import METHODS
from slicedb.cam.overlays import StoredCams, overlay_of, overlays
from slicedb.cam.pictures import Explained, explained
from slicedb.cam.table import cams_schema, grid_of, maps_of, read

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
