"""Drawing in plate coordinates: the plate's well has radius 1, whatever its place and tilt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
XY = tuple[float, float]

_ANGLES = np.linspace(0.0, 2.0 * np.pi, 26, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)  # float64 (26, 2)


class Pen:
    """Draw on an image in the unit coordinates of one thing on the table.

    Args:
        image: the RGB canvas; drawn on in place.
        rng: the scene's only source of chance.
        centre: where (0, 0) lies, in pixels.
        scale: pixels per unit.
        squash: height over width of a circle on the table; below 1 the table is seen tilted.
        turn: rotation of the thing on the table, radians.
        ground: the colour underneath, for holes.
    """

    def __init__(
        self,
        image: Image.Image,
        rng: np.random.Generator,
        centre: XY,
        scale: float,
        squash: float = 1.0,
        turn: float = 0.0,
        ground: Colour = (240, 240, 240),
    ) -> None:
        self.draw = ImageDraw.Draw(image, "RGBA")
        self.rng = rng
        self.centre = centre
        self.scale = scale
        self.squash = squash
        self.turn = turn
        self.ground = ground

    # -- chance ------------------------------------------------------------------------------

    def tint(self, colour: Colour, amount: float = 12.0) -> Colour:
        """Return the colour moved a little: all channels together, and each a little by itself."""
        step = self.rng.normal(0.0, amount) + self.rng.normal(0.0, amount / 2, 3)
        return _clip(np.asarray(colour, dtype=np.float64) + step)

    def between(self, low: float, high: float) -> float:
        """Return a number drawn evenly from [low, high)."""
        return float(low + (high - low) * self.rng.random())

    def count(self, low: int, high: int) -> int:
        """Return a whole number drawn evenly from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def spots(self, n: int, reach: float = 0.62) -> list[XY]:
        """Return n well-spaced places within `reach` of the middle, none on top of another."""
        if n == 1:
            return [(self.between(-0.08, 0.08), self.between(-0.08, 0.08))]
        start = self.between(0.0, 2.0 * np.pi)
        ring = n if n < 5 else n - 1
        places = [
            (
                reach * float(np.cos(start + 2 * np.pi * k / ring)) + self.between(-0.05, 0.05),
                reach * float(np.sin(start + 2 * np.pi * k / ring)) + self.between(-0.05, 0.05),
            )
            for k in range(ring)
        ]
        return places if ring == n else [*places, (0.0, 0.0)]

    # -- shapes ------------------------------------------------------------------------------

    def pixels(self, points: np.ndarray, shift: XY = (0.0, 0.0)) -> list[XY]:
        """Map unit coordinates, float64 (n, 2), to pixels; `shift` is added after the turn."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        x = points[:, 0] * cos - points[:, 1] * sin + shift[0]
        y = points[:, 0] * sin + points[:, 1] * cos + shift[1]
        xs = self.centre[0] + x * self.scale
        ys = self.centre[1] + y * self.scale * self.squash
        return list(zip(xs.tolist(), ys.tolist()))

    def shape(
        self, points: Sequence[XY] | np.ndarray, fill: tuple[int, ...], shift: XY = (0.0, 0.0)
    ) -> None:
        """Fill a polygon."""
        self.draw.polygon(self.pixels(np.asarray(points, dtype=np.float64), shift), fill=fill)

    def oval(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        fill: tuple[int, ...] = (0, 0, 0),
        angle: float = 0.0,
        shift: XY = (0.0, 0.0),
    ) -> None:
        """Fill an ellipse of radii rx, ry turned by `angle`."""
        self.shape(place(_CIRCLE * (rx, rx if ry is None else ry), x, y, angle), fill, shift)

    def blob(
        self, x: float, y: float, r: float, fill: tuple[int, ...], wobble: float = 0.12
    ) -> np.ndarray:
        """Fill an uneven round shape; return its outline, float64 (26, 2)."""
        waves = self.rng.normal(0.0, wobble / 2, (2, 3))
        harmonics = np.outer(_ANGLES, (2, 3, 5))
        radius = r * (1 + np.cos(harmonics) @ waves[0] + np.sin(harmonics) @ waves[1])
        outline = _CIRCLE * radius[:, None] + (x, y)
        self.shape(outline, fill)
        return np.asarray(outline)

    def stroke(
        self,
        points: Sequence[XY] | np.ndarray,
        width: float,
        fill: tuple[int, ...],
        shift: XY = (0.0, 0.0),
        ends: bool = False,
    ) -> None:
        """Draw a line of `width` units through the points, with round ends when asked."""
        path = np.asarray(points, dtype=np.float64)
        pixels = self.pixels(path, shift)
        thick = max(1, round(width * self.scale))
        self.draw.line(pixels, fill=fill, width=thick, joint="curve")
        if ends:
            r = thick / 2
            for px, py in (pixels[0], pixels[-1]):
                self.draw.ellipse((px - r, py - r, px + r, py + r), fill=fill)

    def shadow(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float | None = None,
        angle: float = 0.0,
        alpha: int = 60,
    ) -> None:
        """Darken softly what lies below and right of an ellipse."""
        ry = rx if ry is None else ry
        self.oval(x, y, rx * 1.12, ry * 1.12, (20, 10, 10, alpha // 2), angle, (0.05, 0.09))
        self.oval(x, y, rx, ry, (20, 10, 10, alpha), angle, (0.04, 0.07))

    def ball(self, x: float, y: float, r: float, colour: Colour, shine: int = 110) -> None:
        """Draw a lit sphere."""
        self.shadow(x, y, r)
        self.oval(x, y, r, fill=shade(colour, 0.72))
        self.oval(x, y, r * 0.87, fill=colour, shift=(-0.06 * r, -0.1 * r))
        self.oval(x, y, r * 0.55, fill=(*shade(colour, 1.14), 150), shift=(-0.2 * r, -0.25 * r))
        self.oval(x, y, r * 0.2, fill=(255, 255, 255, shine), shift=(-0.32 * r, -0.4 * r))

    def crumbs(
        self,
        n: int,
        reach: float,
        size: float,
        colours: Sequence[Colour],
        x: float = 0,
        y: float = 0,
    ) -> None:
        """Scatter n small dots within `reach` of (x, y)."""
        angle = self.rng.random(n) * 2 * np.pi
        radius = np.sqrt(self.rng.random(n)) * reach
        which = self.rng.integers(0, len(colours), n)
        points = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
        half = max(1.0, size * self.scale)
        for (px, py), k in zip(self.pixels(points), which.tolist()):
            self.draw.ellipse((px - half, py - half, px + half, py + half), fill=colours[k])

    def grains(
        self,
        n: int,
        reach: float,
        length: float,
        width: float,
        colours: Sequence[Colour],
        x: float = 0.0,
        y: float = 0.0,
    ) -> None:
        """Scatter n short strokes lying every way within `reach` of (x, y)."""
        angle, lie = self.rng.random((2, n)) * 2 * np.pi
        radius = np.sqrt(self.rng.random(n)) * reach
        which = self.rng.integers(0, len(colours), n)
        middle = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
        half = np.stack([np.cos(lie), np.sin(lie)], axis=1) * length / 2
        starts, stops = self.pixels(middle - half), self.pixels(middle + half)
        thick = max(1, round(width * self.scale))
        for a, b, k in zip(starts, stops, which.tolist()):
            self.draw.line((a, b), fill=colours[k], width=thick)

    def leaf(self, x: float, y: float, size: float, colour: Colour, angle: float) -> None:
        """Draw a pointed leaf with its rib."""
        t = np.linspace(0.0, np.pi, 8)
        upper = np.stack([-np.cos(t), 0.42 * np.sin(t) ** 1.4], axis=1)
        outline = np.concatenate([upper, upper[::-1] * (1, -1)]) * size
        self.shape(place(outline, x, y, angle), colour)
        rib = np.array([(-size, 0.0), (size * 0.8, 0.0)])
        self.stroke(place(rib, x, y, angle), 0.03, shade(colour, 1.35))


def place(points: np.ndarray, x: float, y: float, angle: float = 0.0) -> np.ndarray:
    """Turn points, float64 (n, 2), by `angle` and move them to (x, y)."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points @ np.array([[cos, sin], [-sin, cos]]) + (x, y))  # (n, 2) @ (2, 2)


def arc(radius: float, start: float, stop: float, n: int = 12) -> np.ndarray:
    """Return n points on a circle's arc between two angles, float64 (n, 2)."""
    t = np.linspace(start, stop, n)
    return np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """Return the colour made darker (factor below 1) or lighter."""
    return _clip(np.asarray(colour, dtype=np.float64) * factor)


def _clip(values: np.ndarray) -> Colour:
    r, g, b = np.clip(np.rint(values), 0, 255).astype(int).tolist()
    return (r, g, b)
