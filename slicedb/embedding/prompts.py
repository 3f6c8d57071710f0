"""Word prompts: templates for ensembles, and phrases to contrast a text with."""

from __future__ import annotations

import re


def _phrases(text: str) -> tuple[str, ...]:
    """Return the phrases of a text, which stand between commas."""
    return tuple(" ".join(text.split()).split(", "))


TEMPLATES: tuple[str, ...] = (
    "{}",
    "{}.",
    "a photo of {}.",
    "a photo showing {}.",
    "a picture of {}.",
    "an image of {}.",
    "a photograph of {}.",
    "a snapshot of {}.",
    "a close-up photo of {}.",
    "a cropped photo of {}.",
    "a good photo of {}.",
    "a scene with {}.",
)
"""Wordings that are averaged (Radford et al. 2021, section 3.1.4). None mentions light,
sharpness or place, so that a text about those keeps its meaning."""

TINY_TEMPLATES: tuple[str, ...] = (
    "{}",
    "a photo of {}",
    "a picture of {}",
    "an image of {}",
    "photos of {}",
)
"""Wordings the bundled tiny CLIP was trained with."""

BACKGROUND: tuple[str, ...] = _phrases(
    """
    a photo, a picture, an object, a thing on a plain background, a person, a group of people, a
    face, a man, a woman, a child, an animal, a dog, a cat, a bird, a horse, a fish, an insect,
    a flower, a tree, a forest, a mountain, a beach, the sea, a river, the sky, a street, a
    city, a building, a house, a bridge, a room, a kitchen, an office, a shop, a car, a truck, a
    bus, a train, a ship, an airplane, a bicycle, a motorcycle, a machine, a tool, a computer, a
    phone, a piece of furniture, a table, a chair, clothes, a toy, a musical instrument, a book,
    a document with text, a screenshot, a chart, a logo, a map, a drawing, a painting, a sign,
    food on a plate, a drink, a fruit, a vegetable, bread, meat, a dessert, a bowl of soup, a
    sports event, a concert, a satellite image, a medical scan, a microscope image, a texture, a
    dark image, a blurred image
    """
)
"""What pictures commonly show: a text matches an image when it describes it better than these
phrases do."""

TINY_BACKGROUND: tuple[str, ...] = _phrases(
    """
    an airplane, an automobile, a bird, a cat, a deer, a dog, a frog, a horse, a ship, a truck,
    a baguette, naan, a croissant, cheese, mozzarella, yogurt, a doughnut, a slice of cake, ice
    cream, mochi, gulab jamun, jalebi, laddu, fried eggs, boiled eggs, an omelette, french
    fries, samosa, tempura, a steak, sausages, tacos, spaghetti, ramen, ravioli, biryani,
    onigiri, fried rice, sushi, grilled fish, prawns, tomato soup, miso soup, dal, salad,
    watermelon, guacamole, bread, a dairy product, a dessert, an egg, fried food, meat, noodles,
    rice, seafood, soup, vegetables, fruit, American food, Chinese food, French food, German
    food, Greek food, Indian food, Italian food, Japanese food, Mexican food, Spanish food, a
    wooden table, a marble table, a tablecloth, a steel table, tiles, food at night, food in the
    evening, food in daylight, a fork, a spoon, a knife, chopsticks, a blurry photo, a candle, a
    glass of water, a cup of coffee, a flower, a menu, an empty plate, a bowl, a plate of food,
    an animal, a vehicle, a person, a house, a computer, a tree, a mountain
    """
)
"""The small world of the bundled tiny CLIP: phrases from outside it would mean nothing to it."""

_LEAD = re.compile(
    r"^(?:an?|the|one)?\s*(?:photo|photograph|picture|image|snapshot)s?\s+(?:of|showing)\s+",
    re.IGNORECASE,
)


def wordings(text: str, templates: tuple[str, ...]) -> list[str]:
    """Return a text in every wording; a leading "a photo of" is taken off first.

    >>> wordings("a photo of a frog", ("{}", "a photo of {}."))
    ['a frog', 'a photo of a frog.']
    """
    core = _LEAD.sub("", text.strip()).rstrip(".") or text.strip()
    return list(dict.fromkeys(template.format(core) for template in templates))
