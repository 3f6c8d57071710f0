"""Score the bank of background phrases that `matches` compares a text with."""

from __future__ import annotations

DEFAULT = tuple(
    (
        "a photo, a picture of something, an object, an animal, a person, people, a plant, "
        "a building, a vehicle, food, a landscape, the sky, water, a street, a room, a tool, "
        "furniture, clothing, a machine, an electronic device, a toy, a drawing, text on a page, "
        "a texture, a pattern, a dark picture, a bright picture, a blurred picture"
    ).split(", ")
)
"""Phrases for a CLIP that knows the general world; an encoder may bring its own."""

NEAR = 0.9
"""Background phrases at least this close to the text (cosine) say the same and are left out."""

ODDS = 5.0
"""How many times as likely as an average background phrase a text is at p = 0.5.

Chosen with interim weights of the bundled tiny CLIP on 2,500 held-out CIFAR photos and 1,500 unseen
scenes, over 24 texts; `benchmarks/matches.py` prints precision and recall on other scenes.
"""
