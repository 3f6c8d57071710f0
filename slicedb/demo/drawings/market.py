"""Seafood, vegetables and fruit."""

from __future__ import annotations

import numpy as np

from slicedb.demo.pen import Colour, Pen, arc, place, shade

BASIL: Colour = (58, 120, 48)


# -- seafood ---------------------------------------------------------------------------------------


def sushi(pen: Pen) -> None:
    """Draw sushi."""
    n = pen.count(3, 5)
    for k in range(n):
        y = 1.45 * (k - (n - 1) / 2) / n
        fish = pen.tint([(246, 132, 84), (246, 132, 84), (204, 50, 60)][pen.count(0, 2)], 7)
        x = pen.between(-0.1, 0.1)
        bar = np.array([(x - 0.42, y), (x + 0.42, y)])
        pen.stroke(bar, 0.27, (20, 10, 8, 80), (0.04, 0.07), ends=True)
        pen.stroke(bar, 0.26, (250, 250, 244), ends=True)
        pen.stroke(bar * (1, 1), 0.18, fish, (0.0, -0.035), ends=True)
        for t in np.linspace(-0.36, 0.36, 5):
            stripe = [(x + t - 0.04, y - 0.11), (x + t + 0.05, y + 0.03)]
            pen.stroke(stripe, 0.035, shade(fish, 1.3))
    pen.blob(0.82, 0.1, 0.15, pen.tint((156, 190, 84)), 0.2)
    pen.blob(-0.82, 0.0, 0.15, pen.tint((248, 186, 180)), 0.3)


def grilled_fish(pen: Pen) -> None:
    """Draw grilled fish."""
    skin = pen.tint((140, 150, 160), 10)
    t = np.linspace(0, np.pi, 12)
    upper = np.stack([-0.78 * np.cos(t), -0.34 * np.sin(t) ** 0.8], axis=1)
    body = np.concatenate([upper, upper[::-1] * (1, -0.9)])
    tail = np.array([(0.68, 0.0), (1.08, -0.32), (0.98, 0.0), (1.08, 0.32)])
    pen.shadow(0, 0, 0.8, 0.34)
    pen.shape(tail, shade(skin, 0.66))
    pen.shape(body, shade(skin, 0.78))
    pen.shape(body * (0.96, 0.8), skin, (0, -0.03))
    pen.shape(body * (0.9, 0.34), (*shade(skin, 1.35), 150), (0, 0.08))
    for x in np.linspace(-0.32, 0.5, 5):
        pen.stroke([(x - 0.06, -0.24), (x + 0.06, 0.22)], 0.06, (74, 56, 46))
    pen.stroke(arc(0.26, -1.1, 1.1, 7) + (-0.68, 0), 0.035, shade(skin, 0.5))
    pen.oval(-0.6, -0.07, 0.065, fill=(250, 250, 240))
    pen.oval(-0.6, -0.07, 0.035, fill=(20, 20, 20))
    _lemon(pen, 0.3, 0.62)
    if pen.count(0, 1):
        _lemon(pen, -0.12, 0.68)
    pen.leaf(-0.4, -0.6, 0.26, BASIL, 0.3)


def prawns(pen: Pen) -> None:
    """Draw prawns."""
    for x, y in pen.spots(pen.count(3, 5), 0.52):
        pink, lie = pen.tint((242, 128, 92), 8), pen.between(0, 6.28)
        curl = place(arc(0.25, 0.0, 4.1, 8), x, y, lie)
        pen.stroke(curl, 0.2, (40, 12, 8, 70), (0.04, 0.06), ends=True)
        for k, (px, py) in enumerate(curl):
            size = 0.06 + 0.075 * k / 7
            pen.oval(px, py, size * 1.25, fill=shade(pink, 0.78))
            pen.oval(px, py, size, fill=shade(pink, 1.12) if k % 2 else pink, shift=(-0.01, -0.02))
        fan = place(
            np.array([(0.0, 0.0), (0.1, -0.2), (0.0, -0.15), (-0.1, -0.2)]),
            curl[0, 0],
            curl[0, 1],
            lie,
        )
        pen.shape(fan, (206, 66, 44))
    _lemon(pen, 0.02, 0.02)


def _lemon(pen: Pen, x: float, y: float) -> None:
    pen.oval(x, y, 0.22, fill=(228, 184, 40))
    pen.oval(x, y, 0.18, fill=(252, 240, 170))
    for k in range(6):
        at = np.array([(0.0, 0.0), (0.15 * np.cos(k * 1.047), 0.15 * np.sin(k * 1.047))]) + (x, y)
        pen.stroke(at, 0.025, (236, 204, 70))


# -- vegetables and fruit --------------------------------------------------------------------------


def salad(pen: Pen) -> None:
    """Draw salad."""
    for _ in range(22):
        angle, r = pen.between(0, 6.28), pen.between(0.0, 0.68)
        green = pen.tint([(96, 160, 60), (60, 124, 48), (156, 200, 92)][pen.count(0, 2)], 8)
        pen.leaf(
            r * np.cos(angle),
            r * np.sin(angle),
            pen.between(0.24, 0.36),
            green,
            pen.between(0, 6.28),
        )
    for _ in range(pen.count(3, 5)):
        angle, r = pen.between(0, 6.28), pen.between(0.15, 0.6)
        pen.ball(r * np.cos(angle), r * np.sin(angle), 0.14, pen.tint((212, 44, 36)), 190)
    for _ in range(3):
        x, y = pen.between(-0.5, 0.5), pen.between(-0.5, 0.5)
        pen.stroke(arc(0.2, 0, 5.2, 10) + (x, y), 0.04, (170, 90, 150))
    for _ in range(pen.count(3, 5)):
        x, y, lie = pen.between(-0.5, 0.5), pen.between(-0.5, 0.5), pen.between(0, 1.5)
        cube = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]) * 0.085
        pen.shape(place(cube, x, y, lie), (252, 252, 246))
    pen.crumbs(4, 0.5, 0.06, [(40, 34, 44)])


def watermelon(pen: Pen) -> None:
    """Draw watermelon."""
    for x, y in pen.spots(pen.count(2, 4), 0.46):
        lie = pen.between(0, 6.28)
        wedge = np.concatenate([[(0.0, -0.6)], arc(0.62, 0.35, np.pi - 0.35, 9)]) * 0.95
        pen.shape(place(wedge * 1.08, x, y, lie), (20, 20, 10, 80), (0.05, 0.07))
        pen.shape(place(wedge, x, y, lie), pen.tint((44, 120, 52)))
        pen.shape(place(wedge * 0.9 - (0, 0.05), x, y, lie), (224, 240, 200))
        pen.shape(place(wedge * 0.82 - (0, 0.07), x, y, lie), pen.tint((236, 62, 72), 7))
        for sx, sy in (
            (-0.2, 0.2),
            (0.0, 0.24),
            (0.2, 0.2),
            (-0.08, 0.02),
            (0.1, 0.0),
            (0.0, -0.2),
        ):
            at = place(np.array([(sx, sy)]), x, y, lie)[0]
            pen.oval(at[0], at[1], 0.032, 0.046, (30, 16, 18), lie)


def guacamole(pen: Pen) -> None:
    """Draw guacamole."""
    for k in range(8):
        angle = k * 0.785 + pen.between(-0.1, 0.1)
        chip = place(np.array([(0.62, -0.22), (1.12, 0.0), (0.62, 0.26)]), 0, 0, angle)
        corn = pen.tint((242, 196, 88), 8)
        pen.shape(chip, (40, 20, 10, 80), (0.03, 0.05))
        pen.shape(chip, corn)
        pen.stroke(chip[[0, 1, 2, 0]], 0.03, shade(corn, 0.75))
    green = pen.tint((136, 168, 66), 8)
    pen.blob(0, 0, 0.66, shade(green, 0.8), 0.14)
    pen.blob(-0.02, -0.03, 0.6, green, 0.14)
    pen.crumbs(26, 0.52, 0.05, [shade(green, 0.82), shade(green, 1.16)])
    pen.crumbs(9, 0.46, 0.05, [(208, 52, 40)])
    pen.crumbs(8, 0.46, 0.03, [(250, 246, 240)])
    pen.leaf(0.0, 0.0, 0.18, BASIL, pen.between(0, 6.28))
