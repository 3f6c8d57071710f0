"""How each dish looks: one function a dish, drawing in plate coordinates."""

from __future__ import annotations

import numpy as np

from slicedb.demo.pen import Colour, Pen, arc, place, shade

BASIL: Colour = (58, 120, 48)
CHIVE: Colour = (90, 165, 70)


# -- bread -----------------------------------------------------------------------------------


def baguette(pen: Pen) -> None:
    """Draw baguette."""
    for y in {1: [0.0], 2: [-0.38, 0.38]}[pen.count(1, 2)]:
        crust, tilt = pen.tint((196, 132, 62)), pen.between(-0.2, 0.2)
        pen.shadow(0, y, 1.05, 0.3, tilt)
        pen.oval(0, y, 1.08, 0.31, shade(crust, 0.75), tilt)
        pen.oval(0, y, 1.03, 0.26, crust, tilt, (-0.01, -0.03))
        for x in np.linspace(-0.7, 0.7, 5):
            slash = np.array([(-0.09, 0.17), (0.09, -0.17)])
            pen.stroke(place(slash, x * np.cos(tilt), y + x * np.sin(tilt), tilt), 0.1,
                       (243, 214, 160))  # fmt: skip


def naan(pen: Pen) -> None:
    """Draw naan."""
    dough = pen.tint((233, 203, 146))
    for x, y in pen.spots(pen.count(1, 2), 0.22):
        pen.shadow(x, y, 0.8)
        pen.blob(x, y, 0.84, shade(dough, 0.84), 0.16)
        pen.blob(x, y, 0.77, dough, 0.16)
        for _ in range(pen.count(8, 13)):
            angle, r = pen.between(0, 6.28), pen.between(0.05, 0.62)
            pen.blob(x + r * np.cos(angle), y + r * np.sin(angle), pen.between(0.05, 0.12),
                     pen.tint((150, 92, 42)), 0.3)  # fmt: skip
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
            pen.oval(at[0], at[1], size * 1.2, size * 0.62,
                     crust if k % 2 else shade(crust, 0.72), lie + t)  # fmt: skip
            pen.oval(at[0], at[1], size * 0.6, size * 0.2, (*shade(crust, 1.25), 150), lie + t)


# -- dairy -----------------------------------------------------------------------------------


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


# -- dessert ---------------------------------------------------------------------------------


def doughnut(pen: Pen) -> None:
    """Draw doughnut."""
    n = pen.count(1, 3)
    size = {1: 0.74, 2: 0.5, 3: 0.46}[n]
    for x, y in pen.spots(n, 0.52):
        dough = pen.tint((214, 158, 92))
        icing = pen.tint([(240, 130, 170), (96, 54, 34), (250, 246, 240), (240, 130, 170)][
            pen.count(0, 3)
        ])  # fmt: skip
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
        band = [(tip[0], tip[1] + low), (far[0], far[1] + low), (far[0], far[1] + high),
                (tip[0], tip[1] + high)]  # fmt: skip
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
        pen.crumbs(36, r * 0.88, 0.028, [shade(colour, 0.74), shade(colour, 1.22), (200, 110, 20)],
                   x, y)  # fmt: skip
        pen.crumbs(3, r * 0.4, 0.035, [(120, 160, 60), (250, 240, 214)], x, y)


# -- egg -------------------------------------------------------------------------------------


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
        pen.blob(pen.between(-0.55, 0.55), pen.between(-0.2, 0.28), pen.between(0.06, 0.14),
                 (214, 150, 56, 170), 0.3)  # fmt: skip
    pen.stroke(half[2:-2] * (0.86, 0.86), 0.03, (*shade(egg, 0.72), 200))
    pen.grains(18, 0.4, 0.09, 0.035, [CHIVE, BASIL], 0, -0.05)
    for x in (-0.35, 0.0, 0.35):
        pen.ball(x, -0.58, 0.16, pen.tint((206, 50, 36)), 170)


# -- fried food ------------------------------------------------------------------------------


def french_fries(pen: Pen) -> None:
    """Draw french fries."""
    for _ in range(pen.count(22, 30)):
        colour, lie = pen.tint((246, 200, 84), 10), pen.between(0, np.pi)
        x, y = pen.between(-0.45, 0.45), pen.between(-0.45, 0.45)
        half = np.array([np.cos(lie), np.sin(lie)]) * pen.between(0.3, 0.46)
        pen.stroke([(x - half[0], y - half[1]), (x + half[0], y + half[1])], 0.13,
                   shade(colour, 0.7), (0.015, 0.025))  # fmt: skip
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


# -- meat ------------------------------------------------------------------------------------


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
        pen.stroke(arc(1.0, 0.5 + 0.14 * k, 1.3 + 0.14 * k, 6) * (0.95 - 0.09 * k), 0.08,
                   pen.tint((84, 140, 60)), ends=True)  # fmt: skip


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


# -- noodles and pasta -----------------------------------------------------------------------


def _strands(pen: Pen, n: int, colour: Colour, reach: float, width: float) -> None:
    for k in range(n):
        radius, start = pen.between(0.15, reach), pen.between(0, 6.28)
        x, y = pen.between(-0.22, 0.22), pen.between(-0.22, 0.22)
        curve = arc(radius, start, start + pen.between(1.6, 4.0), 12) + (x, y)
        tone = 0.72 if k < n // 2 and k % 2 else pen.between(0.86, 1.08)
        pen.stroke(curve, width, shade(colour, tone))


def spaghetti(pen: Pen) -> None:
    """Draw spaghetti."""
    pasta = pen.tint((240, 206, 116), 8)
    pen.shadow(0, 0, 0.78)
    pen.blob(0, 0, 0.76, shade(pasta, 0.7), 0.08)
    _strands(pen, 44, pasta, 0.66, 0.06)
    pen.blob(0, 0, 0.38, pen.tint((192, 50, 28), 8), 0.24)
    pen.crumbs(12, 0.3, 0.045, [(152, 34, 20), (222, 90, 50)])
    for k in range(2):
        pen.leaf(-0.06 + 0.14 * k, -0.05, 0.19, BASIL, pen.between(0, 6.28))
    pen.crumbs(10, 0.4, 0.02, [(252, 246, 220)])


def ramen(pen: Pen) -> None:
    """Draw ramen."""
    broth = pen.tint((190, 124, 58), 9)
    pen.oval(0, 0, 0.98, fill=broth)
    _strands(pen, 24, (246, 218, 142), 0.72, 0.06)
    pen.crumbs(12, 0.85, 0.03, [(232, 176, 92), (220, 150, 70)])
    nori = np.array([(-0.22, -0.3), (0.22, -0.3), (0.22, 0.3), (-0.22, 0.3)])
    pen.shape(place(nori, 0.55, -0.4, 0.5), (28, 42, 34))
    for x, y in ((-0.45, -0.35), (-0.3, 0.42))[: pen.count(1, 2)]:
        pen.oval(x, y, 0.31, 0.24, (252, 248, 240), 0.4)
        pen.oval(x, y, 0.15, fill=(244, 150, 34))
    for x, y in ((0.3, 0.3), (0.5, 0.12)):
        pen.oval(x, y, 0.25, 0.22, (206, 142, 112))
        pen.oval(x, y, 0.16, 0.14, (232, 186, 160))
    pen.crumbs(14, 0.7, 0.042, [CHIVE, (130, 196, 90)])


def ravioli(pen: Pen) -> None:
    """Draw ravioli."""
    pen.blob(0, 0, 0.86, pen.tint((204, 74, 40), 8), 0.14)
    for x, y in pen.spots(pen.count(5, 7), 0.56):
        pasta, lie = pen.tint((246, 218, 134), 7), pen.between(0, 1.57)
        square = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]) * 0.25
        pen.shape(place(square * 1.08, x, y, lie), (50, 16, 8, 90), (0.03, 0.05))
        pen.shape(place(square, x, y, lie), shade(pasta, 0.84))
        pen.shape(place(square * 0.8, x, y, lie), pasta)
        pen.oval(x, y, 0.14, fill=shade(pasta, 1.08), shift=(-0.01, -0.02))
    pen.leaf(0.05, -0.02, 0.18, BASIL, pen.between(0, 6.28))
    pen.crumbs(10, 0.6, 0.022, [(252, 248, 226)])


# -- rice ------------------------------------------------------------------------------------


def biryani(pen: Pen) -> None:
    """Draw biryani."""
    pen.shadow(0, 0, 0.84)
    pen.blob(0, 0, 0.84, pen.tint((214, 140, 44), 7), 0.08)
    pen.grains(150, 0.78, 0.13, 0.04, [(250, 216, 120), (240, 170, 60), (252, 240, 206),
                                       (222, 120, 40)])  # fmt: skip
    for x, y in pen.spots(pen.count(2, 3), 0.36):
        pen.blob(x, y, 0.2, pen.tint((128, 62, 30), 8), 0.26)
        pen.oval(x - 0.05, y - 0.06, 0.07, fill=(176, 100, 54))
    pen.grains(12, 0.6, 0.1, 0.05, [BASIL, CHIVE])
    pen.grains(8, 0.55, 0.2, 0.035, [(110, 50, 30)])


def onigiri(pen: Pen) -> None:
    """Draw onigiri."""
    n = pen.count(2, 3)
    for x, y in pen.spots(n, 0.46):
        rice, lie = pen.tint((250, 249, 244), 3), pen.between(-0.4, 0.4)
        corners = np.array([(0.0, -0.36), (0.34, 0.26), (-0.34, 0.26)]) * 0.95
        ring = place(corners[[0, 1, 2, 0, 1]], x, y, lie)
        pen.stroke(ring, 0.36, (30, 20, 14, 70), (0.05, 0.08))
        pen.stroke(ring, 0.34, shade(rice, 0.88), ends=True)
        pen.shape(place(corners, x, y, lie), rice)
        pen.stroke(ring, 0.27, rice, (-0.01, -0.02), ends=True)
        nori = np.array([(-0.18, 0.06), (0.18, 0.06), (0.18, 0.43), (-0.18, 0.43)])
        pen.shape(place(nori, x, y, lie), (26, 38, 32))
        pen.crumbs(10, 0.3, 0.014, [(222, 220, 210)], x, y - 0.1)


def fried_rice(pen: Pen) -> None:
    """Draw fried rice."""
    pen.oval(0, 0, 0.94, fill=pen.tint((206, 170, 112), 7))
    pen.grains(120, 0.86, 0.11, 0.045, [(246, 228, 184), (232, 204, 150), (216, 180, 122)])
    pen.crumbs(15, 0.78, 0.055, [(92, 168, 60), (110, 186, 70)])
    pen.crumbs(11, 0.78, 0.05, [(238, 124, 40)])
    for _ in range(7):
        angle, r = pen.between(0, 6.28), pen.between(0.1, 0.7)
        pen.blob(r * np.cos(angle), r * np.sin(angle), 0.12, (252, 212, 84), 0.3)
    pen.crumbs(8, 0.7, 0.04, [(226, 116, 110)])


# -- seafood ---------------------------------------------------------------------------------


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
        fan = place(np.array([(0.0, 0.0), (0.1, -0.2), (0.0, -0.15), (-0.1, -0.2)]),
                    curl[0, 0], curl[0, 1], lie)  # fmt: skip
        pen.shape(fan, (206, 66, 44))
    _lemon(pen, 0.02, 0.02)


def _lemon(pen: Pen, x: float, y: float) -> None:
    pen.oval(x, y, 0.22, fill=(228, 184, 40))
    pen.oval(x, y, 0.18, fill=(252, 240, 170))
    for k in range(6):
        at = np.array([(0.0, 0.0), (0.15 * np.cos(k * 1.047), 0.15 * np.sin(k * 1.047))]) + (x, y)
        pen.stroke(at, 0.025, (236, 204, 70))


# -- soup ------------------------------------------------------------------------------------


def tomato_soup(pen: Pen) -> None:
    """Draw tomato soup."""
    soup = pen.tint((206, 54, 28), 8)
    pen.oval(0, 0, 0.98, fill=soup)
    pen.oval(0, 0, 0.8, fill=(*shade(soup, 1.14), 150), shift=(-0.05, -0.06))
    t = np.linspace(0.3, 3.4 * np.pi, 30)
    swirl = np.stack([0.06 * t * np.cos(t), 0.06 * t * np.sin(t)], axis=1)
    pen.stroke(swirl, 0.06, (252, 236, 214))
    pen.leaf(0.05, -0.05, 0.24, BASIL, pen.between(0, 6.28))
    pen.leaf(-0.1, 0.12, 0.2, CHIVE, pen.between(0, 6.28))
    pen.crumbs(9, 0.8, 0.02, [(90, 30, 16)])


def miso_soup(pen: Pen) -> None:
    """Draw miso soup."""
    soup = pen.tint((186, 146, 92), 7)
    pen.oval(0, 0, 0.98, fill=soup)
    for _ in range(4):
        pen.blob(pen.between(-0.4, 0.4), pen.between(-0.4, 0.4), 0.3, (216, 180, 126, 130), 0.3)
    for _ in range(pen.count(4, 6)):
        angle, r, lie = pen.between(0, 6.28), pen.between(0.15, 0.66), pen.between(0, 1.57)
        cube = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]) * 0.14
        at = place(cube, r * np.cos(angle), r * np.sin(angle), lie)
        pen.shape(at, (196, 186, 166), (0.03, 0.04))
        pen.shape(at, (252, 250, 240))
    for _ in range(4):
        pen.blob(pen.between(-0.6, 0.6), pen.between(-0.6, 0.6), 0.13, (38, 70, 46), 0.4)
    pen.crumbs(14, 0.8, 0.036, [CHIVE, (150, 200, 110)])


def dal(pen: Pen) -> None:
    """Draw dal."""
    soup = pen.tint((228, 170, 40), 7)
    pen.oval(0, 0, 0.98, fill=soup)
    pen.crumbs(60, 0.88, 0.034, [shade(soup, 0.86), shade(soup, 1.12), (210, 140, 30)])
    curve = arc(0.45, 0.4, 3.3, 10) * (1.0, 0.8)
    pen.stroke(curve, 0.09, (190, 60, 16, 200), ends=True)
    pen.stroke(curve * (0.6, -0.7), 0.07, (190, 60, 16, 170), ends=True)
    pen.grains(16, 0.4, 0.11, 0.05, [BASIL, CHIVE])
    pen.stroke([(-0.3, 0.5), (0.1, 0.62), (0.34, 0.5)], 0.09, (176, 22, 22), ends=True)


# -- vegetables and fruit --------------------------------------------------------------------


def salad(pen: Pen) -> None:
    """Draw salad."""
    for _ in range(22):
        angle, r = pen.between(0, 6.28), pen.between(0.0, 0.68)
        green = pen.tint([(96, 160, 60), (60, 124, 48), (156, 200, 92)][pen.count(0, 2)], 8)
        pen.leaf(r * np.cos(angle), r * np.sin(angle), pen.between(0.24, 0.36), green,
                 pen.between(0, 6.28))  # fmt: skip
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
