"""Eggs, fried food and meat."""

from __future__ import annotations

import numpy as np

from slicedb.demo.pen import Colour, Pen, arc, place, shade

BASIL: Colour = (58, 120, 48)
CHIVE: Colour = (90, 165, 70)


# -- egg -------------------------------------------------------------------------------------------


def fried_eggs(pen: Pen) -> None:
    """Draw fried eggs."""
    n = pen.count(1, 3)
    for x, y in pen.spots(n, 0.46):
        size = 0.66 if n == 1 else 0.48
        pen.blob(x, y, size * 1.06, (226, 196, 140), 0.18)
        pen.blob(x, y, size, pen.tint((252, 250, 244), 3), 0.18)
        pen.ball(x + pen.between(-0.08, 0.08), y, size * 0.42, pen.tint((250, 180, 30), 7), 200)
    pen.crumbs(14, 0.7, 0.014, [(70, 60, 50)])


def boiled_eggs(pen: Pen) -> None:
    """Draw boiled eggs."""
    for x, y in pen.spots(pen.count(3, 5), 0.56):
        lie = pen.between(0, 6.28)
        pen.shadow(x, y, 0.33, 0.25, lie)
        pen.oval(x, y, 0.34, 0.26, (226, 220, 208), lie)
        pen.oval(x, y, 0.31, 0.23, (252, 250, 246), lie, (-0.01, -0.02))
        pen.oval(x, y, 0.15, 0.15, pen.tint((236, 170, 44), 7), lie)
        pen.crumbs(5, 0.12, 0.014, [(110, 80, 40), CHIVE], x, y)
    pen.leaf(0.1, 0.05, 0.2, CHIVE, pen.between(0, 6))
    pen.leaf(-0.1, 0.0, 0.2, BASIL, pen.between(0, 6))


def omelette(pen: Pen) -> None:
    """Draw omelette."""
    egg = pen.tint((248, 204, 82), 8)
    half = np.concatenate([arc(0.95, 0.12, np.pi - 0.12, 16)]) - (0, 0.42)
    pen.shadow(0, 0.05, 0.9, 0.5)
    pen.shape(half, shade(egg, 0.8), (0.02, 0.05))
    pen.shape(half, egg)
    for _ in range(6):
        pen.blob(
            pen.between(-0.55, 0.55),
            pen.between(-0.2, 0.28),
            pen.between(0.06, 0.14),
            (214, 150, 56, 170),
            0.3,
        )
    pen.stroke(half[2:-2] * (0.86, 0.86), 0.03, (*shade(egg, 0.72), 200))
    pen.grains(18, 0.4, 0.09, 0.035, [CHIVE, BASIL], 0, -0.05)
    for x in (-0.35, 0.0, 0.35):
        pen.ball(x, -0.58, 0.16, pen.tint((206, 50, 36)), 170)


# -- fried food ------------------------------------------------------------------------------------


def french_fries(pen: Pen) -> None:
    """Draw french fries."""
    for _ in range(pen.count(22, 30)):
        colour, lie = pen.tint((246, 200, 84), 10), pen.between(0, np.pi)
        x, y = pen.between(-0.45, 0.45), pen.between(-0.45, 0.45)
        half = np.array([np.cos(lie), np.sin(lie)]) * pen.between(0.3, 0.46)
        pen.stroke(
            [(x - half[0], y - half[1]), (x + half[0], y + half[1])],
            0.13,
            shade(colour, 0.7),
            (0.015, 0.025),
        )
        pen.stroke([(x - half[0], y - half[1]), (x + half[0], y + half[1])], 0.1, colour)
    pen.blob(pen.between(0.4, 0.6), pen.between(0.3, 0.5), 0.27, pen.tint((190, 26, 20), 7), 0.14)


def samosa(pen: Pen) -> None:
    """Draw samosa."""
    n = pen.count(2, 4)
    for x, y in pen.spots(n, 0.46):
        crust, lie = pen.tint((206, 144, 66), 9), pen.between(0, 6.28)
        corners = np.array([(0.0, -0.52), (0.5, 0.36), (-0.5, 0.36)])
        pen.shape(place(corners * 1.08, x, y, lie), (30, 16, 8, 80), (0.05, 0.08))
        pen.shape(place(corners, x, y, lie), shade(crust, 0.74))
        pen.shape(place(corners * 0.86, x, y, lie), crust, (-0.01, -0.03))
        pen.stroke(place(corners[[0, 1]] * 0.5, x, y, lie), 0.05, shade(crust, 1.2))
        pen.stroke(place(np.array([(0.0, -0.4), (0.05, 0.3)]), x, y, lie), 0.04, shade(crust, 0.66))
        pen.crumbs(6, 0.25, 0.02, [shade(crust, 0.7)], x, y)
    pen.blob(0.0, 0.0, 0.2, pen.tint((92, 128, 40), 7), 0.1)


def tempura(pen: Pen) -> None:
    """Draw tempura."""
    n = pen.count(3, 5)
    for k in range(n):
        batter, y = pen.tint((240, 206, 140), 8), 1.3 * (k - (n - 1) / 2) / n
        bend, lie = pen.between(-0.18, 0.18), pen.between(-0.16, 0.16)
        t = np.linspace(-0.72, 0.55, 9)
        spine = place(np.stack([t, bend * np.cos(2 * t)], axis=1), 0, y, lie)
        tail = place(np.array([(0.55, 0.0), (0.92, -0.12), (0.84, 0.0), (0.92, 0.12)]), 0, y, lie)
        pen.shape(tail + (0, bend * 0.4), pen.tint((222, 84, 50)))
        for x, at in spine:
            pen.blob(x, at + 0.02, 0.16, shade(batter, 0.76), 0.3)
        for x, at in spine:
            pen.blob(x, at - 0.02, 0.13, batter, 0.35)
        pen.crumbs(12, 0.3, 0.022, [shade(batter, 1.15)], 0, y)


# -- meat ------------------------------------------------------------------------------------------


def steak(pen: Pen) -> None:
    """Draw steak."""
    meat = pen.tint((122, 66, 44), 9)
    pen.shadow(0, 0, 0.82, 0.7)
    pen.blob(0.02, 0.03, 0.8, (232, 208, 168), 0.2)
    outline = pen.blob(-0.03, -0.02, 0.75, meat, 0.2)
    pen.shape(outline * 0.9, (*shade(meat, 1.14), 150), (-0.03, -0.04))
    for x in np.linspace(-0.48, 0.48, 5):
        pen.stroke([(x - 0.16, -0.42), (x + 0.16, 0.42)], 0.075, shade(meat, 0.5))
    for k in range(pen.count(2, 4)):
        pen.stroke(
            arc(1.0, 0.5 + 0.14 * k, 1.3 + 0.14 * k, 6) * (0.95 - 0.09 * k),
            0.08,
            pen.tint((84, 140, 60)),
            ends=True,
        )


def sausages(pen: Pen) -> None:
    """Draw sausages."""
    n = pen.count(2, 4)
    for k in range(n):
        skin, y = pen.tint((160, 70, 40), 9), 1.25 * (k - (n - 1) / 2) / n
        bend = pen.between(-0.12, 0.12)
        t = np.linspace(-0.7, 0.7, 9)
        spine = np.stack([t, y + bend * (1 - (t / 0.7) ** 2)], axis=1)
        pen.stroke(spine, 0.3, (30, 14, 10, 80), (0.04, 0.07), ends=True)
        pen.stroke(spine, 0.29, shade(skin, 0.72), ends=True)
        pen.stroke(spine, 0.22, skin, (-0.01, -0.03), ends=True)
        pen.stroke(spine, 0.05, (*shade(skin, 1.5), 190), (-0.02, -0.08))
    t = np.linspace(-0.6, 0.6, 15)
    zigzag = np.stack([t, 0.3 * np.sign(np.sin(13 * t + 0.1))], axis=1)
    pen.stroke(zigzag, 0.07, pen.tint((240, 192, 40), 6))


def tacos(pen: Pen) -> None:
    """Draw tacos."""
    n = pen.count(2, 3)
    for k in range(n):
        shell, y = pen.tint((236, 184, 84), 8), 0.62 * (k - (n - 1) / 2) + 0.14
        dome = np.concatenate([arc(0.62, np.pi, 2 * np.pi, 14)]) * (1.15, 0.95) + (0, y + 0.2)
        pen.shape(dome * (1.03, 1), (30, 16, 8, 80), (0.03, 0.08))
        pen.shape(dome, shade(shell, 0.8), (0, -0.1))
        for t in np.linspace(np.pi * 1.06, np.pi * 1.94, 15):
            fill = [(104, 170, 62), (208, 50, 38), (116, 64, 36), (250, 226, 120)][pen.count(0, 3)]
            pen.blob(0.67 * np.cos(t), 0.6 * np.sin(t) + y + 0.14, 0.11, pen.tint(fill), 0.25)
        pen.shape(dome * (1, 1) + (0, 0.06), shell)
        pen.crumbs(10, 0.3, 0.02, [shade(shell, 0.72)], 0, y - 0.05)
