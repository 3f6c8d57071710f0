"""Images a second of every corruption, against the same written image by image.

    python benchmarks/corruptions.py [--images 64] [--repeat 3] [--json FILE]

The other side is what one writes with NumPy, Pillow and SciPy for one picture at a time, in
float32, with each library's fastest suitable call: FFT convolution for the large kernels, Pillow
for resizing, HSV and JPEG, whole-array gathers in place of the pixel loops of the published
`glass_blur`. Both sides take and give uint8 arrays (224, 224, 3); the two run in turn, and the
best of the repeats counts, since other work on the machine only ever slows a run.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.signal import fftconvolve

from slicedb.behaviour.corruptions import BUILT_IN, KINDS, SEVERITIES, corrupt
from slicedb.behaviour.corruptions.weather import textures

Rng = np.random.Generator
SETTINGS = {corruption.name: corruption.settings for corruption in BUILT_IN}


def _clip(values: np.ndarray) -> np.ndarray:
    return np.clip(values * 255, 0, 255).astype(np.uint8)


def _unit(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / np.float32(255)


def gaussian_noise(x: np.ndarray, rng: Rng, scale: float) -> np.ndarray:
    return _clip(_unit(x) + rng.standard_normal(x.shape, dtype=np.float32) * np.float32(scale))


def shot_noise(x: np.ndarray, rng: Rng, photons: float) -> np.ndarray:
    return _clip(rng.poisson(_unit(x) * photons) / np.float32(photons))


def impulse_noise(x: np.ndarray, rng: Rng, share: float) -> np.ndarray:
    drawn = rng.random(x.shape, dtype=np.float32)
    return np.where(drawn < share / 2, 0, np.where(drawn > 1 - share / 2, 255, x)).astype(np.uint8)


def _convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    p = kernel.shape[0] // 2
    padded = np.pad(_unit(x), ((p, p), (p, p), (0, 0)), mode="reflect")
    return fftconvolve(padded, kernel[..., None].astype(np.float32), mode="valid", axes=(0, 1))


def defocus_blur(x: np.ndarray, rng: Rng, radius: int, soft: bool) -> np.ndarray:
    axis = np.arange(-radius - 1, radius + 2)
    disk = (axis[:, None] ** 2 + axis**2 <= radius**2).astype(np.float32)
    kernel = gaussian_filter(disk, 0.5) if soft else disk
    return _clip(_convolve(x, kernel / kernel.sum()))


def glass_blur(x: np.ndarray, rng: Rng, sigma: float, reach: int, times: int) -> np.ndarray:
    soft = gaussian_filter(_unit(x), (sigma, sigma, 0), truncate=3)
    h, w, _ = x.shape
    ys, xs = np.mgrid[:h, :w]
    for _ in range(times):
        moves = rng.integers(-reach, reach + 1, (2, h, w))
        soft = soft[np.clip(ys + moves[0], 0, h - 1), np.clip(xs + moves[1], 0, w - 1)]
    return _clip(gaussian_filter(soft, (sigma, sigma, 0), truncate=3))


def _line(radius: float, sigma: float, angle: float) -> np.ndarray:
    reach = int(2 * radius)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = np.arange(reach + 1)
    down = np.rint(steps * np.sin(angle)).astype(int) + reach
    across = np.rint(steps * np.cos(angle)).astype(int) + reach
    np.add.at(kernel, (down, across), np.exp(-0.5 * (steps / sigma) ** 2))
    return kernel / kernel.sum()


def motion_blur(x: np.ndarray, rng: Rng, radius: float, sigma: float) -> np.ndarray:
    return _clip(_convolve(x, _line(radius, sigma, rng.uniform(-np.pi / 4, np.pi / 4))))


def zoom_blur(x: np.ndarray, rng: Rng, furthest: float, step: float) -> np.ndarray:
    image = Image.fromarray(x)
    h, w, _ = x.shape
    total = x.astype(np.float32)
    factors = np.arange(1 + step, furthest + step / 2, step)
    for factor in factors:
        high, wide = h / factor, w / factor
        box = ((w - wide) / 2, (h - high) / 2, (w + wide) / 2, (h + high) / 2)
        total += np.asarray(image.resize((w, h), Image.Resampling.BILINEAR, box=box))
    return np.clip(total / (len(factors) + 1), 0, 255).astype(np.uint8)


def snow(x: np.ndarray, rng: Rng, *settings: float) -> np.ndarray:
    mean, spread, zoom, threshold, radius, sigma, kept = settings
    h, w, _ = x.shape
    small = rng.normal(mean, spread, (round(h / zoom), round(w / zoom))).astype(np.float32)
    plane = np.asarray(Image.fromarray(small).resize((w, h), Image.Resampling.BILINEAR))
    plane = np.where(plane < threshold, 0, np.clip(plane, 0, 1))
    flakes = _convolve(
        np.repeat(np.uint8(plane * 255)[..., None], 1, 2),
        _line(radius, sigma, rng.uniform(np.pi / 4, 3 * np.pi / 4)),
    )
    unit = _unit(x)
    gray = (unit @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
    blend = kept * unit + (1 - kept) * np.maximum(unit, gray * 1.5 + 0.5)
    return _clip(blend + flakes + flakes[::-1, ::-1])


def frost(x: np.ndarray, rng: Rng, kept: float, ice: float) -> np.ndarray:
    h, w, _ = x.shape
    texture = _TEXTURES[rng.integers(5)]
    top, left = rng.integers(texture.shape[0] - h), rng.integers(texture.shape[1] - w)
    return _clip(kept * _unit(x) + ice * _unit(texture[top : top + h, left : left + w]))


def fog(x: np.ndarray, rng: Rng, thickness: float, decay: float) -> np.ndarray:
    h, w, _ = x.shape
    cloud, weight = np.zeros((3, 3), np.float32), 1.0
    while True:
        cloud = cloud + weight * rng.uniform(-1, 1, cloud.shape).astype(np.float32)
        if len(cloud) >= max(h, w):
            break
        finer = np.empty((2 * len(cloud) - 1,) * 2, np.float32)
        finer[::2, ::2] = cloud
        finer[::2, 1::2] = (cloud[:, 1:] + cloud[:, :-1]) / 2
        finer[1::2] = (finer[2::2] + finer[:-2:2]) / 2
        cloud, weight = finer, weight / decay
    cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min())
    unit = _unit(x)
    brightest = unit.max()
    foggy = unit + thickness * cloud[:h, :w, None]
    return _clip(foggy * (brightest / (brightest + thickness)))


def brightness(x: np.ndarray, rng: Rng, more: float) -> np.ndarray:
    hsv = np.array(Image.fromarray(x).convert("HSV"))
    hsv[..., 2] = np.minimum(hsv[..., 2].astype(np.int16) + round(more * 255), 255)
    return np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))


def contrast(x: np.ndarray, rng: Rng, kept: float) -> np.ndarray:
    unit = _unit(x)
    mean = unit.mean((0, 1), keepdims=True)
    return _clip((unit - mean) * kept + mean)


def elastic_transform(
    x: np.ndarray, rng: Rng, alpha: float, sigma: float, corners: float
) -> np.ndarray:
    h, w, _ = x.shape
    third = min(h, w) / 3
    fixed = np.array([[third, third], [third, -third], [-third, -third]])
    moved = np.c_[fixed + rng.uniform(-corners, corners, (3, 2)), np.ones(3)]
    a = np.linalg.solve(moved, fixed).T
    noise = rng.uniform(-1, 1, (2, h, w)).astype(np.float32)
    dx, dy = (alpha * gaussian_filter(plane, sigma, truncate=3) for plane in noise)
    ys, xs = np.mgrid[:h, :w].astype(np.float32)
    ys, xs = ys - (h - 1) / 2, xs - (w - 1) / 2
    to_x = a[0, 0] * xs + a[0, 1] * ys + a[0, 2] + dx + (w - 1) / 2
    to_y = a[1, 0] * xs + a[1, 1] * ys + a[1, 2] + dy + (h - 1) / 2
    planes = [map_coordinates(x[..., c], (to_y, to_x), order=1, mode="reflect") for c in range(3)]
    return np.stack(planes, -1)


def pixelate(x: np.ndarray, rng: Rng, scale: float) -> np.ndarray:
    h, w, _ = x.shape
    small = Image.fromarray(x).resize((int(w * scale), int(h * scale)), Image.Resampling.BOX)
    return np.asarray(small.resize((w, h), Image.Resampling.NEAREST))


def jpeg_compression(x: np.ndarray, rng: Rng, quality: int) -> np.ndarray:
    out = io.BytesIO()
    Image.fromarray(x).save(out, "JPEG", quality=quality)
    return np.asarray(Image.open(out))


_TEXTURES = textures().numpy()


def reference(images: np.ndarray, kind: str, severity: int) -> None:
    """Corrupt image by image."""
    function: Callable[..., np.ndarray] = globals()[kind]
    for key, image in enumerate(images):
        function(image, np.random.default_rng(key), *SETTINGS[kind][severity - 1])


def pictures(n: int, side: int = 224) -> np.ndarray:
    """Return smooth pictures with edges, so that JPEG has real work."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(n):
        grid = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        image = np.array(grid.resize((side, side), Image.Resampling.BICUBIC), np.int16)
        image[side // 3 :, : side // 2] //= 2
        image += rng.integers(-6, 7, image.shape, dtype=np.int16)
        made.append(np.clip(image, 0, 255).astype(np.uint8))
    return np.stack(made)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json")
    args = parser.parse_args()
    images = pictures(args.images)
    keys = np.arange(args.images, dtype=np.int64)
    few = images[: max(4, args.images // 4)]
    result: dict[str, dict[str, float]] = {}
    print(f"{'kind':20s} {'ours /s':>9s} {'image by image /s':>18s} {'ratio':>7s}")
    for kind in KINDS:
        ours = theirs = 0.0
        for severity in SEVERITIES:
            corrupt(few, kind, severity, keys=keys[: len(few)])
            pairs = [
                (
                    seconds(lambda: corrupt(images, kind, severity, keys=keys)) / len(images),  # noqa: B023
                    seconds(lambda: reference(few, kind, severity)) / len(few),  # noqa: B023
                )
                for _ in range(args.repeat)
            ]
            ours += min(a for a, _ in pairs) / len(SEVERITIES)
            theirs += min(b for _, b in pairs) / len(SEVERITIES)
        result[kind] = {"ours": 1 / ours, "image_by_image": 1 / theirs, "ratio": theirs / ours}
        print(f"{kind:20s} {1 / ours:9.0f} {1 / theirs:18.0f} {theirs / ours:7.1f}", flush=True)
    ours = sum(1 / r["ours"] for r in result.values())
    theirs = sum(1 / r["image_by_image"] for r in result.values())
    ratios = [r["ratio"] for r in result.values()]
    print(f"{'all 15 kinds':20s} {15 / ours:9.0f} {15 / theirs:18.0f} {theirs / ours:7.1f}")
    print(f"median ratio {np.median(ratios):.1f}, smallest {min(ratios):.1f}")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
