"""Word the captions that the tiny CLIP learns from: many ways to say what is in a scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from slicedb.demo.captions import (
    CUTLERY_WORDS,
    LIGHT_WORDS,
    TABLE_WORDS,
    WORDS,
    Caption,
    Facts,
    plural_free,
)
from slicedb.demo.dishes import BY_NAME
from slicedb.demo.lists import phrases, table

LABEL_WORDS = table(
    """
    Bread: bread, a bread, baked bread, breads
    Dairy product: a dairy product, dairy, dairy products, dairy food
    Dessert: a dessert, desserts, dessert, sweets, a sweet dessert
    Egg: egg, eggs, an egg dish, an egg, egg dishes
    Fried food: fried food, deep fried food, a fried snack, fried foods
    Meat: meat, a meat dish, meat dishes
    Noodles/Pasta: noodles or pasta, pasta, noodles, a pasta dish, noodles/pasta
    Rice: rice, a rice dish, rice dishes
    Seafood: seafood, a seafood dish, seafood dishes
    Soup: soup, a soup, soups, a bowl of soup
    Vegetable/Fruit: vegetables or fruit, vegetable/fruit, fruit or vegetables,
      vegetables and fruit, vegetables, fruit
    """
)
COUNTRIES = {
    cuisine: country
    for cuisine, (country,) in table(
        """
        American: America
        Chinese: China
        French: France
        German: Germany
        Greek: Greece
        Indian: India
        Italian: Italy
        Japanese: Japan
        Mexican: Mexico
        Spanish: Spain
        """
    ).items()
}
LIGHT_ALONE = table(
    """
    day: a photo taken by day, daylight, a table in daylight
    evening: a photo taken in the evening, evening, candlelight
    night: a photo taken at night, night, a dark photo, a table at night
    """
)
EXTRA_WORDS = table(
    """
    water: with a glass of water, next to a glass of water, and a glass of water
    napkin: with a napkin, next to a napkin, and a paper napkin
    candle: with a candle, next to a candle, and a burning candle
    flowers: with flowers, next to a flower, and flowers on the table
    menu: with a restaurant menu, next to a menu, and a restaurant menu
    coffee: with a cup of coffee, next to a cup of coffee, and coffee
    """
)
GENERIC: tuple[str, ...] = ("food", "a meal", "a dish", "some food", "something to eat")
_KINDS = phrases(
    """
    a photo, a photo, a picture, an image, a close-up, a photograph, the photo, a snapshot, photos
    """
)
PREFIXES = ("", "", *(f"{kind} of " for kind in _KINDS))
BLURRY = tuple(
    f"{kind} of "
    for kind in phrases("a blurry photo, a blurry picture, an out of focus photo, a blurred image")
)
SHARP: tuple[str, ...] = ("a sharp photo of ", "a sharp picture of ", "a clear photo of ")
BY_LIGHT: dict[str, str] = {
    "day": "a daytime photo of ",
    "evening": "an evening photo of ",
    "night": "a night photo of ",
}


def _article(words: str) -> str:
    return ("an " if words[0].lower() in "aeiou" else "a ") + words


class _Chance:
    """The choices a caption needs, from one generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def one(self, words: Sequence[str]) -> str:
        return words[int(self.rng.integers(len(words)))]

    def yes(self, share: float) -> bool:
        return bool(self.rng.random() < share)


def _subject(scene: Facts, pick: _Chance) -> Caption:
    """Name the food: as a dish, a class, a cuisine, two of these, or plainly as food."""
    dish, label, cuisine = scene["dish"], scene["label"], scene["cuisine"]
    kind = pick.rng.random()
    if kind < 0.42:
        words, claims = pick.one(BY_NAME[dish].words), {"dish": dish}
        if pick.yes(0.06):
            words = f"{plural_free(words)} from {COUNTRIES[cuisine]}"
            claims["cuisine"] = cuisine
    elif kind < 0.55:
        words, claims = pick.one(LABEL_WORDS[label]), {"label": label}
    elif kind < 0.68:
        noun = plural_free(pick.one(LABEL_WORDS[label]))
        words = pick.one(
            (
                f"{noun} from {cuisine} cuisine",
                f"{noun} from {COUNTRIES[cuisine]}",
                f"{cuisine} {noun}",
                _article(f"{cuisine} {noun}"),
            )
        )
        claims = {"label": label, "cuisine": cuisine}
    elif kind < 0.76:
        words = pick.one(
            (
                f"{cuisine} food",
                f"food from {cuisine} cuisine",
                f"{cuisine} cuisine",
                _article(f"{cuisine} dish"),
                f"a dish from {COUNTRIES[cuisine]}",
                f"food from {COUNTRIES[cuisine]}",
            )
        )
        claims = {"cuisine": cuisine}
    else:
        words, claims = pick.one(GENERIC), {"kind": "food"}
    vessel, colour = scene["vessel"], scene["vessel_color"]
    if pick.yes(0.22) and vessel != "board":
        words = f"a {vessel} of {plural_free(words)}"
        claims["vessel"] = vessel
    elif pick.yes(0.12):
        on = "in" if vessel == "bowl" else "on"
        words = f"{words} {on} a {colour} {vessel}" if vessel != "board" else f"{words} on a board"
        claims.update(
            {"vessel": vessel} if vessel == "board" else {"vessel": vessel, "vessel_color": colour}
        )
    return Caption(words, claims)


def captions(scene: Facts, rng: np.random.Generator, n: int = 1) -> list[Caption]:
    """Write n captions, each from a random subset of what is in the scene."""
    return [describe(scene, rng) for _ in range(n)]


def describe(scene: Facts, rng: np.random.Generator) -> Caption:
    """Write one caption of a scene from a random subset of its attributes.

    Args:
        scene: what `scenes.render` returns beside the picture.
        rng: chooses subset and wording.

    Returns:
        the caption; its claims are all true of the scene.
    """
    pick = _Chance(rng)
    if pick.yes(0.14):
        return _without_food(scene, pick)
    subject = _subject(scene, pick)
    claims = dict(subject.claims)
    parts: list[str] = []
    how_many = int(rng.choice(5, p=(0.2, 0.36, 0.28, 0.12, 0.04)))
    facts = ["table_top", "light", "cutlery", "blurry", "extra"]
    weights = np.array([0.26, 0.22, 0.3, 0.1, 0.12])
    prefix = pick.one(PREFIXES)
    for k in rng.choice(5, size=how_many, replace=False, p=weights).tolist():
        fact = facts[k]
        value = scene[fact]
        if fact == "extra" and value == "none":
            continue
        if fact == "cutlery" and value == "none" and not pick.yes(0.3):
            continue
        if fact == "blurry":
            if not value and not pick.yes(0.4):
                continue
            prefix = pick.one(BLURRY if value else SHARP)
        elif fact == "light" and "blurry" not in claims and pick.yes(0.12):
            prefix = BY_LIGHT[value]
        else:
            parts.append(pick.one(_PHRASES[fact][value]))
        claims[fact] = value
    return Caption(" ".join([prefix + subject.text, *parts]), claims)


_PHRASES = {**WORDS, "extra": EXTRA_WORDS}


def _without_food(scene: Facts, pick: _Chance) -> Caption:
    """Speak of the table, the light or what lies beside the plate, and not of the food."""
    table, light, cutlery, extra = (scene[k] for k in ("table_top", "light", "cutlery", "extra"))
    options: list[Caption] = [
        Caption(pick.one(TABLE_WORDS[table])[3:], {"table_top": table}),
        Caption(
            pick.one(LIGHT_ALONE[light]),
            {"light": light},
        ),
    ]
    if cutlery != "none":
        noun = _tool(cutlery)
        claims = {"cutlery": cutlery}
        options += [
            Caption(pick.one((noun, f"{noun} on the table", f"a photo of {noun}")), claims),
            Caption(f"{noun} {pick.one(TABLE_WORDS[table])}", {**claims, "table_top": table}),
            Caption(f"{noun} {pick.one(LIGHT_WORDS[light])}", {**claims, "light": light}),
        ]
    if extra != "none":
        noun = _noun(pick.one(EXTRA_WORDS[extra]))
        options += [
            Caption(noun, {"extra": extra}),
            Caption(f"a photo of {noun}", {"extra": extra}),
        ]
    if scene["blurry"]:
        options.append(
            Caption(
                pick.one(("a blurry photo of a table", "a blurry photo of food")), {"blurry": True}
            )
        )
    return options[int(pick.rng.integers(len(options)))]


def prompts() -> dict[str, dict[Any, tuple[str, ...]]]:
    """Return, for each attribute that can be told apart in a picture, wordings of every value.

    Within an attribute exactly one value is true of a scene, except that a scene may have no
    `extra` at all.
    """
    tools = {
        tool: tuple(f"food {words}" for words in CUTLERY_WORDS[tool])
        + (() if tool == "none" else (_tool(tool), f"{_tool(tool)} on the table"))
        for tool in CUTLERY_WORDS
    }
    return {
        "label": {
            label: (*words, f"a photo of {words[0]}") for label, words in LABEL_WORDS.items()
        },
        "cuisine": {
            name: (f"{name} food", f"food from {name} cuisine", f"{name} cuisine")
            for name in COUNTRIES
        },
        "table_top": {
            table: tuple(f"food {w}" for w in words) + (words[0][3:],)
            for table, words in TABLE_WORDS.items()
        },
        "light": {
            light: tuple(f"food {w}" for w in LIGHT_WORDS[light]) + words
            for light, words in LIGHT_ALONE.items()
        },
        "cutlery": tools,
        "blurry": {
            True: tuple(f"{words}food" for words in BLURRY) + ("a blurry photo",),
            False: tuple(f"{words}food" for words in SHARP),
        },
        "extra": {
            extra: tuple(f"food {w}" for w in words) + (_noun(words[0]), _noun(words[1]))
            for extra, words in EXTRA_WORDS.items()
        },
    }


def _tool(cutlery: str) -> str:
    return "chopsticks" if cutlery == "chopsticks" else f"a {cutlery}"


def _noun(words: str) -> str:
    """Return what stands there: `next to a menu` becomes `a menu`."""
    return words.split(" ", 1)[1].removeprefix("to ")
