"""The dishes of the demo: each is a name, a class, a cuisine, words for it and a drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slicedb.demo import drawings as d
from slicedb.demo.pen import Pen

CLASSES: tuple[str, ...] = (
    "Bread",
    "Dairy product",
    "Dessert",
    "Egg",
    "Fried food",
    "Meat",
    "Noodles/Pasta",
    "Rice",
    "Seafood",
    "Soup",
    "Vegetable/Fruit",
)


@dataclass(frozen=True)
class Dish:
    """One dish the renderer can draw."""

    name: str
    """What the `dish` column says: singular or a mass noun."""
    label: str
    """One of CLASSES."""
    cuisine: str
    words: tuple[str, ...]
    """Noun phrases for captions, the usual one first."""
    vessels: tuple[str, ...]
    """What it may be served on: plate, bowl or board."""
    draw: Callable[[Pen], None]


_SERVED = {"P": ("plate",), "B": ("bowl",), "PW": ("plate", "board"), "PB": ("plate", "bowl")}


def _dish(label: str, cuisine: str, served: str, draw: Callable[[Pen], None], *words: str) -> Dish:
    return Dish(draw.__name__.replace("_", " "), label, cuisine, words, _SERVED[served], draw)


DISHES: tuple[Dish, ...] = (
    _dish(
        "Bread",
        "French",
        "PW",
        d.baguette,
        "a baguette",
        "baguettes",
        "baguette",
        "a loaf of baguette",
    ),
    _dish("Bread", "Indian", "PW", d.naan, "naan", "naan bread", "a naan", "flatbread"),
    _dish("Bread", "French", "PW", d.croissant, "a croissant", "croissants", "croissant"),
    _dish(
        "Dairy product",
        "French",
        "PW",
        d.cheese,
        "cheese",
        "a piece of cheese",
        "a wedge of cheese",
    ),
    _dish(
        "Dairy product",
        "Italian",
        "P",
        d.mozzarella,
        "mozzarella",
        "mozzarella with basil",
        "mozzarella balls",
    ),
    _dish(
        "Dairy product",
        "Greek",
        "B",
        d.yogurt,
        "yogurt",
        "yogurt with berries",
        "yoghurt",
        "a yogurt",
    ),
    _dish(
        "Dessert",
        "American",
        "P",
        d.doughnut,
        "a doughnut",
        "doughnuts",
        "a donut",
        "donuts",
        "a glazed doughnut",
        "doughnut",
    ),
    _dish(
        "Dessert",
        "American",
        "P",
        d.cake,
        "a slice of cake",
        "cake",
        "a piece of cake",
        "a cake",
        "cakes",
    ),
    _dish(
        "Dessert",
        "Italian",
        "PB",
        d.ice_cream,
        "ice cream",
        "scoops of ice cream",
        "an ice cream",
        "gelato",
    ),
    _dish("Dessert", "Japanese", "P", d.mochi, "mochi", "mochi sweets", "mochi rice cakes"),
    _dish(
        "Dessert",
        "Indian",
        "PB",
        d.gulab_jamun,
        "gulab jamun",
        "gulab jamuns",
        "gulab jamun in syrup",
    ),
    _dish("Dessert", "Indian", "P", d.jalebi, "jalebi", "jalebis", "a jalebi", "orange jalebi"),
    _dish("Dessert", "Indian", "P", d.laddu, "laddu", "laddus", "laddu sweets", "ladoo", "a laddu"),
    _dish("Egg", "American", "P", d.fried_eggs, "fried eggs", "a fried egg", "sunny side up eggs"),
    _dish("Egg", "German", "P", d.boiled_eggs, "boiled eggs", "a boiled egg", "halved boiled eggs"),
    _dish("Egg", "French", "P", d.omelette, "an omelette", "omelette", "omelettes", "an omelet"),
    _dish(
        "Fried food", "American", "P", d.french_fries, "french fries", "fries", "chips with ketchup"
    ),
    _dish(
        "Fried food",
        "Indian",
        "P",
        d.samosa,
        "samosa",
        "samosas",
        "a samosa",
        "samosas with chutney",
    ),
    _dish("Fried food", "Japanese", "P", d.tempura, "tempura", "tempura prawns", "a tempura"),
    _dish("Meat", "American", "PW", d.steak, "a steak", "steak", "grilled steak", "steaks"),
    _dish(
        "Meat",
        "German",
        "P",
        d.sausages,
        "sausages",
        "a sausage",
        "sausages with mustard",
        "bratwurst",
    ),
    _dish("Meat", "Mexican", "P", d.tacos, "tacos", "a taco", "beef tacos"),
    _dish(
        "Noodles/Pasta",
        "Italian",
        "PB",
        d.spaghetti,
        "spaghetti",
        "spaghetti with tomato sauce",
        "a spaghetti",
    ),
    _dish("Noodles/Pasta", "Japanese", "B", d.ramen, "ramen", "ramen noodles", "a ramen"),
    _dish(
        "Noodles/Pasta",
        "Italian",
        "P",
        d.ravioli,
        "ravioli",
        "ravioli in tomato sauce",
        "stuffed ravioli",
    ),
    _dish("Rice", "Indian", "PB", d.biryani, "biryani", "chicken biryani", "a biryani"),
    _dish("Rice", "Japanese", "P", d.onigiri, "onigiri", "onigiri rice balls", "rice balls"),
    _dish(
        "Rice",
        "Chinese",
        "PB",
        d.fried_rice,
        "fried rice",
        "egg fried rice",
        "fried rice with vegetables",
    ),
    _dish("Seafood", "Japanese", "PW", d.sushi, "sushi", "salmon sushi", "nigiri sushi"),
    _dish(
        "Seafood",
        "Greek",
        "P",
        d.grilled_fish,
        "grilled fish",
        "a grilled fish",
        "a fish with lemon",
        "a whole fish",
    ),
    _dish("Seafood", "Spanish", "P", d.prawns, "prawns", "shrimp", "prawns with lemon", "shrimps"),
    _dish(
        "Soup", "Italian", "B", d.tomato_soup, "tomato soup", "a tomato soup", "creamy tomato soup"
    ),
    _dish("Soup", "Japanese", "B", d.miso_soup, "miso soup", "a miso soup", "miso soup with tofu"),
    _dish("Soup", "Indian", "B", d.dal, "dal", "lentil soup", "a dal", "dal with chilli"),
    _dish(
        "Vegetable/Fruit",
        "Greek",
        "PB",
        d.salad,
        "salad",
        "a salad",
        "green salad",
        "a greek salad",
        "salads",
    ),
    _dish(
        "Vegetable/Fruit",
        "American",
        "P",
        d.watermelon,
        "watermelon",
        "slices of watermelon",
        "a watermelon",
        "watermelon slices",
    ),
    _dish(
        "Vegetable/Fruit",
        "Mexican",
        "P",
        d.guacamole,
        "guacamole",
        "guacamole with tortilla chips",
        "guacamole and nachos",
    ),
)

BY_NAME: dict[str, Dish] = {dish.name: dish for dish in DISHES}
CUISINES: tuple[str, ...] = tuple(sorted({dish.cuisine for dish in DISHES}))
