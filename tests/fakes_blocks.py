"""Photos of white and yellow blocks on grey, some turned by EXIF, with COCO boxes around them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {"snow": (255, 255, 255), "sun": (255, 255, 0)}

Blocks = list[tuple[str, tuple[int, int, int, int]]]
"""Label, and left, top, width, height in the picture as displayed."""

WORLD: dict[str, tuple[tuple[int, int], int, Blocks]] = {
    # (width, height) as displayed, EXIF orientation, blocks
    "plain.jpg": ((120, 80), 1, [("snow", (16, 24, 32, 16)), ("sun", (72, 40, 24, 24))]),
    "turned.jpg": ((96, 160), 6, [("sun", (24, 96, 40, 32))]),
    "upside.jpg": ((128, 96), 3, [("snow", (114, 8, 12, 24))]),
    "mirrored.jpg": ((88, 144), 5, [("snow", (8, 16, 24, 48)), ("sun", (48, 88, 32, 40))]),
    "empty.jpg": ((64, 64), 1, []),
}

_TURNS = {1: None, 3: Image.Transpose.ROTATE_180, 5: Image.Transpose.TRANSPOSE}
_TURNS[6] = Image.Transpose.ROTATE_90  # what EXIF's 6 undoes


def picture(size: tuple[int, int], blocks: Blocks) -> Image.Image:
    """Return a picture as displayed."""
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    for label, (x, y, w, h) in blocks:
        pixels[y : y + h, x : x + w] = COLOURS[label]
    return Image.fromarray(pixels)


def write(folder: Path, world: dict[str, tuple[tuple[int, int], int, Blocks]] = WORLD) -> Path:
    """Write the pictures and `_annotations.coco.json` into a new folder, and return it."""
    folder.mkdir()
    names = sorted(COLOURS)
    images: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for i, (name, (size, orientation, blocks)) in enumerate(world.items()):
        stored, exif = picture(size, blocks), Image.Exif()
        if (turn := _TURNS[orientation]) is not None:
            stored = stored.transpose(turn)
        exif[0x0112] = orientation
        stored.save(folder / name, quality=95, subsampling=0, exif=exif)
        images.append({"id": i, "file_name": name, "width": size[0], "height": size[1]})
        for label, bbox in blocks:
            note = {"image_id": i, "category_id": names.index(label), "bbox": list(bbox)}
            notes.append({"id": len(notes), **note, "iscrowd": 0, "area": bbox[2] * bbox[3]})
    categories = [{"id": i, "name": name} for i, name in enumerate(names)]
    data = {"images": images, "annotations": notes, "categories": categories}
    (folder / "_annotations.coco.json").write_text(json.dumps(data))
    return folder


def bright(pixels: np.ndarray) -> np.ndarray:
    """Return bool (h, w): where a block is, in pixels (h, w, 3) of 0 to 255."""
    return np.asarray(pixels[..., :2].min(axis=-1) > 170)
