"""Small scenes of food on a table: a picture, what is in it, and words for it.

A scene is a function of its seed alone: the same seed gives the same pixels on every machine and
in any order. Attributes are drawn first, then the picture is drawn to show them.

    >>> image, scene = render(7)
    >>> image.size, scene["label"] in CLASSES
    ((96, 96), True)
"""

from __future__ import annotations

import csv
import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
from PIL import Image, ImageFilter

from slicedb.demo.captions import plain
from slicedb.demo.dishes import CLASSES, DISHES, Dish
from slicedb.demo.tableware import (
    CUTLERY,
    EXTRAS,
    TABLES,
    VESSEL_COLOURS,
    draw_cutlery,
    draw_extra,
    draw_table,
    draw_vessel,
)

SIZE = 96
LIGHTS: tuple[str, ...] = ("day", "evening", "night")
COLUMNS: tuple[str, ...] = tuple(
    """
    path label split dish cuisine table_top light blurry cutlery vessel vessel_color extra caption
    captured_at
    """.split()
)

_CANVAS = 2 * SIZE  # drawn at twice the size, then averaged down: smooth edges, no fonts, no AA
_CLASS_WEIGHTS = {"Dessert": 2.2}
_CUTLERY_SHARES = (0.38, 0.2, 0.16, 0.1, 0.16)
_LIGHT_SHARES = (0.55, 0.2, 0.25)
_BLURRY_SHARE = 0.14
_TEST_SHARE = 0.6


class Scene(TypedDict):
    """What is in a picture; the names are those of the columns of metadata.csv."""

    seed: int
    kind: str
    """Always "food"."""
    label: str
    dish: str
    cuisine: str
    table_top: str
    light: str
    blurry: bool
    cutlery: str
    vessel: str
    vessel_color: str
    extra: str
    """What else stands on the table, or "none"."""
    captured_at: str
    """ISO 8601, whole seconds; its hour agrees with `light`."""


def attributes(seed: int) -> Scene:
    """Draw what the scene of this seed holds, without drawing the picture."""
    return _attributes(seed, _rng(seed, 0))[0]


def render(seed: int) -> tuple[Image.Image, Scene]:
    """Draw the scene of this seed.

    Args:
        seed: any non-negative whole number.

    Returns:
        the picture, RGB of SIZE x SIZE pixels, and its attributes.
    """
    scene, dish = _attributes(seed, _rng(seed, 0))
    rng = _rng(seed, 1)
    canvas = Image.new("RGB", (_CANVAS, _CANVAS))
    draw_table(canvas, scene["table_top"], rng)
    side = 1.0 if rng.random() < 0.5 else -1.0
    room = 9.0 if scene["cutlery"] != "none" else 0.0
    tilt = float(rng.uniform(0.78, 1.0))
    radius = float(rng.uniform(52, 64)) - (3 if room else 0)
    middle = _CANVAS / 2
    centre = (middle - side * room * 1.5 + rng.normal(0, 5), middle + rng.normal(0, 5))
    if scene["extra"] != "none":
        centre = (centre[0], centre[1] + 7)
        draw_extra(canvas, scene["extra"], rng, -side, tilt)
    behind = rng.random() < 0.8
    if behind:
        draw_cutlery(canvas, scene["cutlery"], rng, side, centre, radius)
    pen = draw_vessel(canvas, scene["vessel"], scene["vessel_color"], rng, centre, radius, tilt)
    dish.draw(pen)
    if not behind:
        draw_cutlery(canvas, scene["cutlery"], rng, side, centre, radius)
    image = canvas.reduce(2)
    if scene["blurry"]:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.3, 2.0))))
    return _lit(image, scene["light"], rng), scene


def scenes(n: int, seed0: int = 0) -> Iterator[tuple[Image.Image, Scene]]:
    """Render n scenes, of the seeds from seed0 on."""
    for seed in range(seed0, seed0 + n):
        yield render(seed)


def folder_of(label: str) -> str:
    """Return a class's folder name: Noodles/Pasta cannot be one."""
    return label.replace("/", "-").replace(" ", "-")


def write(dest: str | os.PathLike[str], n: int = 2000, seed: int = 0) -> Path:
    """Write n scenes as `dest/<split>/<class>/<seed>.jpg` with `dest/metadata.csv`.

    Args:
        dest: the folder; made when missing.
        n: how many.
        seed: the first scene's.

    Returns:
        the path of metadata.csv; its columns are COLUMNS, its paths relative to dest.
    """
    root = Path(dest)
    root.mkdir(parents=True, exist_ok=True)
    table = root / "metadata.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        rows.writeheader()
        for image, scene in scenes(n, seed):
            rng = _rng(scene["seed"], 2)
            split = "test" if rng.random() < _TEST_SHARE else "train"
            path = f"{split}/{folder_of(scene['label'])}/{scene['seed']:06d}.jpg"
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            image.save(root / path, quality=90)
            caption = plain(scene, rng).text
            row = {**scene, "path": path, "split": split, "caption": caption}
            rows.writerow({**row, "blurry": str(scene["blurry"]).lower()})
    return table


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, stream]))


def _attributes(seed: int, rng: np.random.Generator) -> tuple[Scene, Dish]:
    weights = np.array([_CLASS_WEIGHTS.get(name, 1.0) for name in CLASSES])
    label = CLASSES[int(rng.choice(len(CLASSES), p=weights / weights.sum()))]
    of_class = [dish for dish in DISHES if dish.label == label]
    dish = of_class[int(rng.integers(len(of_class)))]
    light = LIGHTS[int(rng.choice(3, p=_LIGHT_SHARES))]
    vessel = dish.vessels[int(rng.integers(len(dish.vessels)))]
    colours = ("wooden",) if vessel == "board" else tuple(VESSEL_COLOURS)
    extra = EXTRAS[int(rng.integers(len(EXTRAS)))] if rng.random() < 0.35 else "none"
    scene = Scene(
        seed=seed,
        kind="food",
        label=label,
        dish=dish.name,
        cuisine=dish.cuisine,
        table_top=TABLES[int(rng.integers(len(TABLES)))],
        light=light,
        blurry=bool(rng.random() < _BLURRY_SHARE),
        cutlery=CUTLERY[int(rng.choice(len(CUTLERY), p=_CUTLERY_SHARES))],
        vessel=vessel,
        vessel_color=colours[min(int(rng.exponential(1.4)), len(colours) - 1)],
        extra=extra,
        captured_at=_moment(light, rng),
    )
    return scene, dish


def _moment(light: str, rng: np.random.Generator) -> str:
    first, hours = {"day": (8, 9), "evening": (18, 3), "night": (21, 6)}[light]
    start = dt.datetime(2025, 1, 1) + dt.timedelta(days=int(rng.integers(365)))
    seconds = int(rng.integers(hours * 3600))
    return (start + dt.timedelta(hours=first, seconds=seconds)).isoformat(sep=" ")


_GAINS: dict[str, tuple[float, float, float]] = {
    "day": (1.04, 1.03, 1.0),
    "evening": (1.0, 0.73, 0.42),
    "night": (0.42, 0.48, 0.70),
}
_AXIS = np.linspace(-1.0, 1.0, SIZE, dtype=np.float32)


def _lit(image: Image.Image, light: str, rng: np.random.Generator) -> Image.Image:
    """Light the picture: daylight, a warm lamp or the blue of night; then the sensor's noise."""
    pixels = np.asarray(image, dtype=np.float32)  # (SIZE, SIZE, 3)
    gain = np.asarray(_GAINS[light], dtype=np.float32) * np.float32(rng.uniform(0.9, 1.08))
    x, y = rng.uniform(-0.7, 0.7, 2).astype(np.float32)
    away = (_AXIS[None, :] - x) ** 2 + (_AXIS[:, None] - y) ** 2  # (SIZE, SIZE)
    falloff = {"day": 0.06, "evening": 0.16, "night": 0.2}[light]
    field = (1.12 if light != "day" else 1.04) - falloff * away
    noise = {"day": 2.0, "evening": 3.0, "night": 4.0}[light]
    grain = rng.integers(-128, 128, pixels.shape, dtype=np.int8) * np.float32(noise / 74)
    lit = pixels * gain * field[:, :, None].astype(np.float32) + grain
    return Image.fromarray(np.clip(np.rint(lit), 0, 255).astype(np.uint8))
