"""Draw the table and what stands and lies on it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from slicedb.demo.pen import XY, Colour, Pen, arc, place, shade

TABLES: tuple[str, ...] = ("wooden", "marble", "checkered", "steel", "tiled")
CUTLERY: tuple[str, ...] = ("none", "fork", "spoon", "knife", "chopsticks")
EXTRAS: tuple[str, ...] = ("water", "napkin", "candle", "flowers", "menu", "coffee")
VESSEL_COLOURS: dict[str, Colour] = {
    "white": (244, 243, 238),
    "blue": (70, 104, 172),
    "black": (52, 52, 56),
    "green": (112, 158, 112),
    "red": (178, 74, 58),
}


def draw_table(canvas: Image.Image, table: str, rng: np.random.Generator) -> None:
    """Cover the canvas with a table top, one of TABLES."""
    side = canvas.width
    pen = Pen(canvas, rng, (side / 2, side / 2), side / 2, turn=float(rng.normal(0, 0.12)))
    draw = dict(zip(TABLES, (_wooden, _marble, _checkered, _steel, _tiled)))
    draw[table](pen)


def _bar(pen: Pen, x0: float, y0: float, x1: float, y1: float, fill: tuple[int, ...]) -> None:
    pen.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], fill)


def _wooden(pen: Pen) -> None:
    timber = pen.tint([(150, 98, 56), (126, 78, 44), (176, 124, 76)][pen.count(0, 2)], 8)
    width, y = pen.between(0.36, 0.52), -1.6
    while y < 1.6:
        board = pen.tint(timber, 8)
        _bar(pen, -1.6, y, 1.6, y + width, board)
        for _ in range(9):
            at, wave = y + width * pen.between(0.05, 0.95), pen.between(-0.04, 0.04)
            tone = (*shade(board, pen.between(0.68, 0.88)), 170)
            pen.stroke([(-1.6, at), (-0.5, at + wave), (0.5, at - wave), (1.6, at)], 0.012, tone)
        if pen.count(0, 2) == 0:
            x, at = pen.between(-1, 1), y + width / 2
            pen.oval(x, at, 0.11, 0.06, shade(board, 0.66))
            pen.oval(x, at, 0.06, 0.03, shade(board, 0.5))
        pen.stroke([(-1.6, y), (1.6, y)], 0.025, shade(timber, 0.45))
        y += width


def _marble(pen: Pen) -> None:
    base = pen.tint((230, 229, 228), 5)
    _bar(pen, -1.6, -1.6, 1.6, 1.6, base)
    for _ in range(7):
        cloud = (*shade(base, pen.between(0.86, 0.95)), 110)
        pen.blob(pen.between(-1, 1), pen.between(-1, 1), pen.between(0.2, 0.5), cloud, 0.5)
    for k in range(8):
        start = np.array([pen.between(-1.3, 1.3), -1.3])
        if k % 2:
            start = start[::-1]
        lie = pen.between(0.5, 1.1)
        steps = pen.rng.normal(0, 0.09, (10, 2)) + np.array([np.cos(lie), np.sin(lie)]) * 0.3
        vein = start + np.cumsum(steps, axis=0)
        tone = pen.between(0.55, 0.78)
        pen.stroke(vein, 0.05, (*shade(base, 0.9), 120))
        pen.stroke(vein, 0.016, (*shade(base, tone), 200))


def _checkered(pen: Pen) -> None:
    dye = pen.tint([(196, 40, 44), (196, 40, 44), (52, 92, 168), (64, 132, 82)][pen.count(0, 3)], 7)
    _bar(pen, -1.7, -1.7, 1.7, 1.7, (246, 244, 238))
    width = pen.between(0.15, 0.2)
    pen.turn += pen.between(-0.5, 0.5)
    for start in np.arange(-1.7, 1.7, 2 * width):
        _bar(pen, start, -1.7, start + width, 1.7, (*dye, 135))
        _bar(pen, -1.7, start, 1.7, start + width, (*dye, 135))


def _steel(pen: Pen) -> None:
    metal = pen.tint((150, 158, 168), 7)
    _bar(pen, -1.6, -1.6, 1.6, 1.6, metal)
    for _ in range(3):
        y, half = pen.between(-1.1, 1.1), pen.between(0.1, 0.3)
        _bar(pen, -1.6, y - half, 1.6, y + half, (*shade(metal, pen.between(1.08, 1.22)), 120))
    for y in pen.rng.uniform(-1.5, 1.5, 70).tolist():
        tone = shade(metal, pen.between(0.82, 1.2))
        pen.stroke([(-1.6, y), (1.6, y)], 0.012, (*tone, 120))
    for x in (-1.0, 1.0):
        pen.oval(x * 0.93, 0.9, 0.05, fill=shade(metal, 0.6))
        pen.oval(x * 0.93, -0.9, 0.05, fill=shade(metal, 0.6))


def _tiled(pen: Pen) -> None:
    glaze = pen.tint([(58, 140, 160), (58, 140, 160), (72, 118, 178)][pen.count(0, 2)], 8)
    _bar(pen, -1.7, -1.7, 1.7, 1.7, (232, 230, 220))
    width = pen.between(0.36, 0.46)
    gap = 0.035
    for x in np.arange(-1.75, 1.6, width).tolist():
        for y in np.arange(-1.75, 1.6, width).tolist():
            tile = pen.tint(glaze, 7)
            _bar(pen, x, y, x + width - gap, y + width - gap, tile)
            _bar(pen, x, y, x + width - gap, y + 0.04, shade(tile, 1.18))
            pen.oval(x + width / 2, y + width / 2, 0.07, fill=shade(tile, 1.3))


def draw_vessel(
    canvas: Image.Image,
    vessel: str,
    colour: str,
    rng: np.random.Generator,
    centre: XY,
    radius: float,
    tilt: float,
) -> Pen:
    """Draw a plate, bowl or board; return the pen to draw the food on it with."""
    scale = radius * (1.0 if vessel != "bowl" else 0.95)
    pen = Pen(canvas, rng, centre, scale, tilt)
    if vessel == "board":
        pen.turn = float(rng.normal(0, 0.2))
        timber = pen.tint((196, 150, 98), 7)
        corners = np.array([(-1.2, -0.92), (1.2, -0.92), (1.2, 0.92), (-1.2, 0.92)])
        pen.shape(corners, (20, 10, 6, 90), (0.07, 0.1))
        pen.shape(corners, shade(timber, 0.6))
        pen.shape(corners * (0.97, 0.95), timber)
        for y in np.linspace(-0.75, 0.75, 7):
            pen.stroke([(-1.16, y), (1.16, y + 0.05)], 0.02, (*shade(timber, 0.82), 170))
        pen.oval(1.02, 0.0, 0.09, fill=shade(timber, 0.45))
        pen.ground = timber
        pen.scale *= 0.88
    elif vessel == "bowl":
        glaze = pen.tint(VESSEL_COLOURS[colour], 6)
        pen.shadow(0, 0, 1.28, alpha=80)
        pen.oval(0, 0, 1.26, fill=shade(glaze, 0.72))
        pen.oval(0, 0, 1.23, fill=glaze, shift=(0, -0.02))
        pen.oval(0, 0, 1.1, fill=shade(glaze, 0.6))
        pen.oval(0, 0, 1.06, fill=shade(glaze, 0.86), shift=(0.02, 0.04))
        pen.stroke(arc(1.16, 3.6, 4.7, 10), 0.05, (255, 255, 255, 130))
        pen.ground = shade(glaze, 0.86)
    else:
        glaze = pen.tint(VESSEL_COLOURS[colour], 6)
        style = pen.count(0, 2)
        pen.shadow(0, 0, 1.3, alpha=80)
        pen.oval(0, 0, 1.3, fill=shade(glaze, 0.78))
        pen.oval(0, 0, 1.28, fill=glaze, shift=(0, -0.015))
        if style == 1:
            band = (70, 104, 172) if colour == "white" else (240, 238, 230)
            pen.oval(0, 0, 1.22, fill=band)
            pen.oval(0, 0, 1.15, fill=glaze)
        pen.oval(0, 0, 1.0, fill=shade(glaze, 0.84))
        pen.oval(0, 0, 0.96, fill=shade(glaze, 0.97), shift=(0.01, 0.02))
        pen.stroke(arc(1.15, 3.5, 4.6, 10), 0.05, (255, 255, 255, 120))
        pen.ground = shade(glaze, 0.97)
        pen.scale *= 0.93
    if vessel != "board":
        pen.turn = float(rng.normal(0, 0.35))
    return pen


def draw_cutlery(
    canvas: Image.Image,
    cutlery: str,
    rng: np.random.Generator,
    side: float,
    centre: XY,
    radius: float,
) -> None:
    """Lay cutlery beside the plate, on the right where side is 1 and on the left where -1."""
    if cutlery == "none":
        return
    edge = canvas.width - 17 if side > 0 else 17
    x = 0.35 * (centre[0] + side * (radius * 1.35 + 14)) + 0.65 * edge
    y = centre[1] + float(rng.normal(0, 8))
    pen = Pen(canvas, rng, (x, y), 60.0, turn=float(rng.normal(0, 0.11)))
    metal = pen.tint([(206, 210, 216), (206, 210, 216), (212, 176, 96)][pen.count(0, 2)], 5)
    draw = {"fork": _fork, "spoon": _spoon, "knife": _knife, "chopsticks": _chopsticks}[cutlery]
    draw(pen, metal)


def _twice(pen: Pen, points: np.ndarray, width: float, metal: Colour) -> None:
    """Draw a metal bar: shadow, dark rim, bright middle."""
    pen.stroke(points, width + 0.06, (10, 10, 14, 90), (0.05, 0.05), ends=True)
    pen.stroke(points, width + 0.05, shade(metal, 0.42), ends=True)
    pen.stroke(points, width, metal, ends=True)


def _fork(pen: Pen, metal: Colour) -> None:
    _twice(pen, np.array([(0.0, 0.95), (0.0, -0.2)]), 0.1, metal)
    _twice(pen, np.array([(-0.15, -0.42), (-0.1, -0.3), (0.1, -0.3), (0.15, -0.42)]), 0.1, metal)
    for x in (-0.2, -0.067, 0.067, 0.2):
        _twice(pen, np.array([(x, -0.42), (x, -0.9)]), 0.055, metal)


def _spoon(pen: Pen, metal: Colour) -> None:
    _twice(pen, np.array([(0.0, 0.95), (0.0, -0.4)]), 0.1, metal)
    pen.oval(0, -0.64, 0.25, 0.36, (10, 10, 14, 90), shift=(0.05, 0.05))
    pen.oval(0, -0.64, 0.25, 0.36, shade(metal, 0.42))
    pen.oval(0, -0.64, 0.21, 0.32, metal)
    pen.oval(0, -0.6, 0.14, 0.23, shade(metal, 0.8))
    pen.oval(-0.05, -0.7, 0.06, 0.12, (255, 255, 255, 170))


def _knife(pen: Pen, metal: Colour) -> None:
    handle = pen.tint((58, 40, 34), 5)
    blade = np.array([(-0.09, 0.25), (-0.09, -0.88), (0.02, -0.98), (0.13, -0.7), (0.12, 0.25)])
    pen.shape(blade, (10, 10, 14, 90), (0.05, 0.05))
    pen.shape(blade * (1.2, 1.02), shade(metal, 0.42))
    pen.shape(blade, metal)
    pen.shape(blade * (0.4, 0.95) + (0.05, 0), shade(metal, 1.2))
    _twice(pen, np.array([(0.0, 0.3), (0.0, 0.95)]), 0.18, handle)


def _chopsticks(pen: Pen, metal: Colour) -> None:
    lacquer = pen.tint([(168, 44, 36), (104, 62, 34), (44, 38, 38)][pen.count(0, 2)], 7)
    for x0, x1 in ((-0.13, -0.05), (0.13, 0.06)):
        stick = np.array([(x0, 1.0), (x1, -1.0)])
        pen.stroke(stick, 0.09, (10, 10, 14, 90), (0.05, 0.05))
        pen.stroke(stick, 0.095, shade(lacquer, 0.55))
        pen.stroke(stick, 0.06, shade(lacquer, 1.15))
        band = place(np.array([(0.0, 0.6), (0.0, 0.75)]), (x0 * 0.87 + x1 * 0.13), 0.0)
        pen.stroke(band, 0.085, (226, 190, 110))


def draw_extra(
    canvas: Image.Image, extra: str, rng: np.random.Generator, side: float, tilt: float
) -> None:
    """Put one of EXTRAS in an upper corner: right where side is 1, left where -1."""
    x = canvas.width / 2 + side * (canvas.width / 2 - 27 + float(rng.normal(0, 3)))
    pen = Pen(
        canvas, rng, (x, 27 + float(rng.normal(0, 3))), 24.0, tilt, turn=float(rng.normal(0, 0.25))
    )
    draw = dict(zip(EXTRAS, (_water, _napkin, _candle, _flowers, _menu, _coffee)))
    draw[extra](pen)


def _water(pen: Pen) -> None:
    pen.shadow(0.1, 0.1, 0.9, alpha=70)
    pen.oval(0, 0, 0.92, fill=(226, 240, 246))
    pen.oval(0, 0, 0.8, fill=(150, 196, 214))
    pen.oval(0.02, 0.04, 0.66, fill=(184, 222, 236))
    pen.oval(-0.2, -0.25, 0.2, fill=(255, 255, 255, 200))
    pen.stroke(arc(0.86, 3.4, 4.9, 9), 0.08, (255, 255, 255))


def _napkin(pen: Pen) -> None:
    cloth = pen.tint([(244, 236, 214), (238, 178, 120), (196, 214, 178)][pen.count(0, 2)], 6)
    square = np.array([(-1.1, -1.0), (1.1, -1.0), (1.1, 1.0), (-1.1, 1.0)])
    pen.shape(square, (20, 10, 10, 80), (0.1, 0.12))
    pen.shape(square, cloth)
    pen.shape(square[[0, 1, 2]], shade(cloth, 0.87))
    pen.stroke(square[[0, 2]], 0.06, shade(cloth, 0.72))
    pen.stroke(square[[0, 1, 2, 3, 0]] * 0.86, 0.05, shade(cloth, 0.78))


def _candle(pen: Pen) -> None:
    pen.shadow(0, 0.5, 0.75, alpha=70)
    pen.oval(0, 0.5, 0.78, fill=(120, 92, 60))
    pen.oval(0, 0.46, 0.66, fill=(168, 134, 90))
    _bar(pen, -0.3, -0.4, 0.3, 0.5, (250, 240, 216))
    _bar(pen, 0.08, -0.4, 0.3, 0.5, (226, 206, 170))
    pen.oval(0, -0.4, 0.3, 0.12, (255, 250, 232))
    pen.oval(0, -0.8, 0.5, 0.6, (255, 200, 80, 80))
    pen.oval(0, -0.75, 0.2, 0.38, (255, 170, 40))
    pen.oval(0, -0.68, 0.11, 0.22, (255, 246, 190))


def _flowers(pen: Pen) -> None:
    petal = pen.tint([(232, 96, 140), (250, 214, 70), (168, 110, 210)][pen.count(0, 2)], 7)
    for k in range(4):
        pen.leaf(0.6 * np.cos(k * 1.7), 0.6 * np.sin(k * 1.7), 0.6, (66, 130, 62), k * 1.7)
    for cx, cy, size in ((-0.3, -0.2, 0.5), (0.45, 0.3, 0.42)):
        for k in range(6):
            angle = k * np.pi / 3
            pen.oval(
                cx + size * 0.6 * np.cos(angle),
                cy + size * 0.6 * np.sin(angle),
                size * 0.48,
                size * 0.36,
                petal,
                angle,
            )
        pen.oval(cx, cy, size * 0.34, fill=(250, 190, 40))


def _menu(pen: Pen) -> None:
    paper = pen.tint((252, 250, 242), 3)
    card = np.array([(-0.95, -1.2), (0.95, -1.2), (0.95, 1.25), (-0.95, 1.25)])
    pen.shape(card, (20, 10, 10, 90), (0.1, 0.12))
    pen.shape(card, (120, 30, 36))
    pen.shape(card * (0.92, 0.94), paper)
    _bar(pen, -0.5, -0.98, 0.5, -0.72, (120, 30, 36))
    for k, y in enumerate(np.linspace(-0.45, 0.95, 6)):
        pen.stroke([(-0.68, y), (0.25 + 0.15 * (k % 2), y)], 0.09, (70, 66, 70))
        pen.stroke([(0.52, y), (0.7, y)], 0.09, (70, 66, 70))


def _coffee(pen: Pen) -> None:
    china = pen.tint((244, 242, 236), 4)
    pen.shadow(0, 0, 1.1, alpha=70)
    pen.oval(0, 0, 1.1, fill=china)
    pen.oval(0, 0, 0.92, fill=shade(china, 0.88))
    pen.stroke(arc(0.24, -1.6, 1.6, 8) + (0.72, 0), 0.12, shade(china, 0.98))
    pen.oval(0, 0, 0.72, fill=china)
    pen.oval(0, 0, 0.6, fill=pen.tint((92, 54, 32), 5))
    pen.oval(-0.05, -0.05, 0.34, 0.24, (176, 122, 78), 0.5)
    pen.oval(-0.02, -0.02, 0.2, 0.14, (226, 190, 146), 0.5)
