"""Pictures with structure, and copies of them as people make them."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (256, 192)) -> Image.Image:
    """Return a picture of its own: noise of all scales, strongest in the large, as photos are."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for scale in (3, 6, 12, 24, 48):
        coarse = rng.normal(size=(scale, scale, 3))
        layers = [Image.fromarray(coarse[..., c].astype(np.float32)) for c in range(3)]
        total += np.stack(
            [np.asarray(one.resize(size, Image.Resampling.BICUBIC)) for one in layers], axis=2
        ) * (24 / scale**0.5)
    return Image.fromarray(np.clip(128 + total * 3, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str = "PNG", **options: int) -> bytes:
    """Return the bytes of a picture."""
    out = io.BytesIO()
    image.save(out, form, **({"compress_level": 1} if form == "PNG" else options))
    return out.getvalue()


def copies(image: Image.Image) -> dict[str, bytes]:
    """Return copies that a perceptual hash tells: turned, mirrored, smaller and saved badly."""
    small = image.resize((image.width // 2, image.height // 2), Image.Resampling.BILINEAR)
    turned = {f"turn{t.value}.png": encoded(image.transpose(t)) for t in Image.Transpose}
    return {**turned, "small.jpg": encoded(small, "JPEG", quality=50)}


def fill(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root
