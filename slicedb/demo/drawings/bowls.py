"""Noodles, rice and soups."""

from __future__ import annotations

import numpy as np

from slicedb.demo.pen import Colour, Pen, arc, place, shade

BASIL: Colour = (58, 120, 48)
CHIVE: Colour = (90, 165, 70)


# -- noodles and pasta -----------------------------------------------------------------------------


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


# -- rice ------------------------------------------------------------------------------------------


def biryani(pen: Pen) -> None:
    """Draw biryani."""
    pen.shadow(0, 0, 0.84)
    pen.blob(0, 0, 0.84, pen.tint((214, 140, 44), 7), 0.08)
    pen.grains(
        150, 0.78, 0.13, 0.04, [(250, 216, 120), (240, 170, 60), (252, 240, 206), (222, 120, 40)]
    )
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


# -- soup ------------------------------------------------------------------------------------------


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
