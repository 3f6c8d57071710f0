"""Bread, dairy products and desserts."""

from __future__ import annotations

import numpy as np

from slicedb.demo.pen import Colour, Pen, place, shade

BASIL: Colour = (58, 120, 48)
CHIVE: Colour = (90, 165, 70)


# -- bread -----------------------------------------------------------------------------------------


def baguette(pen: Pen) -> None:
    """Draw baguette."""
    for y in {1: [0.0], 2: [-0.38, 0.38]}[pen.count(1, 2)]:
        crust, tilt = pen.tint((196, 132, 62)), pen.between(-0.2, 0.2)
        pen.shadow(0, y, 1.05, 0.3, tilt)
        pen.oval(0, y, 1.08, 0.31, shade(crust, 0.75), tilt)
        pen.oval(0, y, 1.03, 0.26, crust, tilt, (-0.01, -0.03))
        for x in np.linspace(-0.7, 0.7, 5):
            slash = np.array([(-0.09, 0.17), (0.09, -0.17)])
            pen.stroke(
                place(slash, x * np.cos(tilt), y + x * np.sin(tilt), tilt), 0.1, (243, 214, 160)
            )


def naan(pen: Pen) -> None:
    """Draw naan."""
    dough = pen.tint((233, 203, 146))
    for x, y in pen.spots(pen.count(1, 2), 0.22):
        pen.shadow(x, y, 0.8)
        pen.blob(x, y, 0.84, shade(dough, 0.84), 0.16)
        pen.blob(x, y, 0.77, dough, 0.16)
        for _ in range(pen.count(8, 13)):
            angle, r = pen.between(0, 6.28), pen.between(0.05, 0.62)
            pen.blob(
                x + r * np.cos(angle),
                y + r * np.sin(angle),
                pen.between(0.05, 0.12),
                pen.tint((150, 92, 42)),
                0.3,
            )
        pen.crumbs(12, 0.6, 0.025, [(250, 232, 190)], x, y)


def croissant(pen: Pen) -> None:
    """Draw croissant."""
    crust = pen.tint((210, 140, 58))
    for x, y in pen.spots(pen.count(1, 2), 0.42):
        lie = pen.between(0, 6.28)
        for k, t in enumerate(np.linspace(-1.25, 1.25, 9)):
            size = 0.13 + 0.19 * np.cos(t) ** 1.2
            at = place(np.array([(0.52 * np.cos(t) - 0.2, 0.52 * np.sin(t))]), x, y, lie)[0]
            pen.shadow(at[0], at[1], size * 1.1, size * 0.75, lie + t, 40)
            pen.oval(
                at[0],
                at[1],
                size * 1.2,
                size * 0.62,
                crust if k % 2 else shade(crust, 0.72),
                lie + t,
            )
            pen.oval(at[0], at[1], size * 0.6, size * 0.2, (*shade(crust, 1.25), 150), lie + t)


# -- dairy -----------------------------------------------------------------------------------------


def cheese(pen: Pen) -> None:
    """Draw cheese."""
    for x, y in pen.spots(pen.count(1, 2), 0.42):
        paste, lie = pen.tint((250, 206, 70)), pen.between(-0.5, 0.5)
        size = pen.between(0.62, 0.75)
        top = np.array([(-1.0, 0.1), (0.8, -0.65), (0.95, 0.2)]) * size
        side = np.array([(-1.0, 0.1), (0.95, 0.2), (0.95, 0.75), (-1.0, 0.6)]) * size
        pen.shadow(x, y + 0.3, size, size * 0.5, lie)
        pen.shape(place(side, x, y, lie), shade(paste, 0.82))
        pen.shape(place(top, x, y, lie), shade(paste, 1.1))
        for hx, hy, r in (
            (-0.4, 0.38, 0.12),
            (0.2, 0.5, 0.15),
            (0.65, 0.4, 0.1),
            (0.4, -0.15, 0.1),
        ):
            at = place(np.array([(hx, hy)]) * size, x, y, lie)[0]
            pen.oval(at[0], at[1], r * size * 1.2, r * size, shade(paste, 0.62))


def mozzarella(pen: Pen) -> None:
    """Draw mozzarella."""
    pen.blob(0, 0, 0.8, (214, 204, 120, 70), 0.15)
    for x, y in pen.spots(pen.count(3, 5), 0.5):
        pen.ball(x, y, pen.between(0.28, 0.34), pen.tint((246, 243, 234), 4))
        pen.leaf(x + 0.2, y + 0.18, 0.2, pen.tint(BASIL), pen.between(0, 6.28))


def yogurt(pen: Pen) -> None:
    """Draw yogurt."""
    cream = pen.tint((247, 244, 238), 4)
    pen.oval(0, 0, 0.98, fill=cream)
    t = np.linspace(0, 4.6 * np.pi, 44)
    spiral = np.stack([0.05 * t * np.cos(t), 0.05 * t * np.sin(t)], axis=1)
    pen.stroke(spiral, 0.06, shade(cream, 0.88))
    for _ in range(pen.count(7, 12)):
        angle, r = pen.between(0, 6.28), pen.between(0.1, 0.68)
        berry = pen.tint([(64, 62, 130), (190, 30, 60)][pen.count(0, 1)])
        pen.ball(r * np.cos(angle), r * np.sin(angle), 0.13, berry, 160)
    pen.leaf(pen.between(-0.4, 0.4), pen.between(-0.4, 0.4), 0.2, CHIVE, pen.between(0, 6.28))


# -- dessert ---------------------------------------------------------------------------------------


def doughnut(pen: Pen) -> None:
    """Draw doughnut."""
    n = pen.count(1, 3)
    size = {1: 0.74, 2: 0.5, 3: 0.46}[n]
    for x, y in pen.spots(n, 0.52):
        dough = pen.tint((214, 158, 92))
        icing = pen.tint(
            [(240, 130, 170), (96, 54, 34), (250, 246, 240), (240, 130, 170)][pen.count(0, 3)]
        )
        pen.shadow(x, y, size)
        pen.oval(x, y, size, fill=shade(dough, 0.8))
        pen.oval(x, y, size * 0.95, fill=dough, shift=(-0.02, -0.03))
        pen.blob(x, y, size * 0.82, icing, 0.06)
        pen.oval(
            x, y, size * 0.5, fill=(*shade(icing, 1.15), 110), shift=(-0.1 * size, -0.18 * size)
        )
        for _ in range(22):
            angle, r, lie = pen.between(0, 6.28), pen.between(0.42, 0.74) * size, pen.between(0, 3)
            mid = np.array([(r * np.cos(angle) + x, r * np.sin(angle) + y)])
            half = np.array([np.cos(lie), np.sin(lie)]) * 0.05
            sprinkle = [(255, 225, 60), (80, 190, 240), (255, 255, 255), (110, 210, 110)]
            pen.stroke(np.concatenate([mid - half, mid + half]), 0.04, sprinkle[pen.count(0, 3)])
        pen.oval(x, y, size * 0.34, fill=shade(dough, 0.7))
        pen.oval(x, y, size * 0.28, fill=shade(pen.ground, 0.82), shift=(0.02, 0.03))


def cake(pen: Pen) -> None:
    """Draw cake."""
    sponge, cream = pen.tint((98, 56, 36), 8), pen.tint((250, 238, 224), 5)
    if pen.count(0, 3) == 0:
        sponge, cream = pen.tint((226, 186, 120), 8), pen.tint((246, 170, 186), 8)
    x, y, lie = pen.between(-0.1, 0.1), pen.between(-0.2, 0.0), pen.between(-0.35, 0.35)
    tip, back, far = (-0.95, 0.1), (0.75, -0.62), (0.85, 0.22)
    pen.shadow(x, y + 0.45, 0.9, 0.4, lie)
    for k, colour in enumerate((sponge, cream, sponge, cream, sponge)):
        low, high = 0.72 * (1 - k / 5), 0.72 * (1 - (k + 1) / 5)
        band = [
            (tip[0], tip[1] + low),
            (far[0], far[1] + low),
            (far[0], far[1] + high),
            (tip[0], tip[1] + high),
        ]
        pen.shape(place(np.array(band), x, y, lie), shade(colour, 0.9))
    pen.shape(
        place(np.array([tip, back, far]), x, y, lie),
        cream if sponge[2] > 100 else shade(sponge, 1.15),
    )
    pen.stroke(place(np.array([back, far]), x, y, lie), 0.12, cream, ends=True)
    top = place(np.array([(0.35, -0.12)]), x, y, lie)[0]
    pen.ball(top[0], top[1], 0.2, pen.tint((205, 30, 44)), 200)
    pen.leaf(top[0] + 0.05, top[1] - 0.2, 0.13, CHIVE, 0.6)


def ice_cream(pen: Pen) -> None:
    """Draw ice cream."""
    flavours: list[Colour] = [(246, 176, 190), (178, 224, 190), (250, 236, 190), (120, 76, 52)]
    start = pen.count(0, 3)
    wafer = pen.tint((222, 164, 88))
    cone = place(np.array([(0.2, -0.16), (1.25, 0.0), (0.2, 0.16)]), 0, 0, pen.between(-2.4, -0.7))
    pen.shape(cone, wafer)
    pen.stroke(cone[[0, 1, 2]], 0.04, shade(wafer, 0.7))
    for k, (x, y) in enumerate(pen.spots(pen.count(2, 3), 0.36)):
        scoop = pen.tint(flavours[(start + k) % 4], 7)
        pen.blob(x, y + 0.06, 0.49, shade(scoop, 0.9), 0.12)
        pen.ball(x, y, 0.43, scoop, 90)
        pen.crumbs(9, 0.34, 0.022, [shade(scoop, 0.78), shade(scoop, 1.15)], x, y)
    if pen.count(0, 1):
        for t in np.linspace(-0.5, 0.5, 6):
            pen.stroke([(t, -0.1), (t + 0.12, 0.14)], 0.05, (86, 46, 28))


def mochi(pen: Pen) -> None:
    """Draw mochi."""
    pastel: list[Colour] = [(250, 200, 212), (204, 228, 178), (248, 246, 240), (228, 208, 240)]
    start = pen.count(0, 3)
    for k, (x, y) in enumerate(pen.spots(pen.count(3, 5), 0.52)):
        colour = pen.tint(pastel[(start + k) % 4], 5)
        pen.shadow(x, y, 0.3, 0.28)
        pen.blob(x, y, 0.31, shade(colour, 0.88), 0.06)
        pen.oval(x, y, 0.27, 0.25, colour, shift=(-0.02, -0.04))
        pen.crumbs(16, 0.24, 0.016, [(255, 255, 255), (255, 252, 246)], x, y - 0.04)
    pen.crumbs(30, 0.85, 0.014, [(255, 255, 255)])


def gulab_jamun(pen: Pen) -> None:
    """Draw gulab jamun."""
    pen.blob(0, 0, 0.86, (196, 112, 30, 150), 0.1)
    pen.blob(-0.05, -0.05, 0.74, (224, 146, 50, 130), 0.1)
    for x, y in pen.spots(pen.count(3, 5), 0.48):
        pen.ball(x, y, pen.between(0.27, 0.31), pen.tint((112, 44, 20), 8), 220)
        pen.crumbs(4, 0.12, 0.035, [(150, 180, 70), (236, 230, 200)], x - 0.03, y - 0.05)


def jalebi(pen: Pen) -> None:
    """Draw jalebi."""
    n = pen.count(1, 3)
    size = {1: 0.8, 2: 0.5, 3: 0.45}[n]
    for x, y in pen.spots(n, 0.5):
        syrup = pen.tint((238, 128, 22), 8)
        t = np.linspace(0.4, 6.6 * np.pi, 56)
        radius = size * t / t[-1] * (1 + 0.05 * np.sin(5 * t))
        spiral = np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)
        coil = place(spiral, x, y, pen.between(0, 6.28))
        pen.stroke(coil, size * 0.25, (60, 24, 6, 70), (0.04, 0.06))
        pen.stroke(coil, size * 0.23, shade(syrup, 0.74), ends=True)
        pen.stroke(coil, size * 0.13, syrup, (-0.01, -0.02))
        pen.stroke(coil, size * 0.04, (255, 206, 120), (-0.02, -0.035))


def laddu(pen: Pen) -> None:
    """Draw laddu."""
    for x, y in pen.spots(pen.count(3, 5), 0.5):
        colour = pen.tint((238, 168, 36), 8)
        r = pen.between(0.3, 0.35)
        pen.ball(x, y, r, colour, 40)
        pen.crumbs(
            36, r * 0.88, 0.028, [shade(colour, 0.74), shade(colour, 1.22), (200, 110, 20)], x, y
        )
        pen.crumbs(3, r * 0.4, 0.035, [(120, 160, 60), (250, 240, 214)], x, y)
