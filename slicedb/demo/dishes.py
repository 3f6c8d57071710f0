"""The dishes of the demo: each is a name, a class, a cuisine, words for it and a drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from slicedb.demo.drawings import bakery, bowls, market, pan
from slicedb.demo.lists import phrases
from slicedb.demo.pen import Pen


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


_DRAWINGS: dict[str, Callable[[Pen], None]] = {
    name: draw for module in (bakery, bowls, market, pan) for name, draw in vars(module).items()
}
_SERVED = {"P": ("plate",), "B": ("bowl",), "PW": ("plate", "board"), "PB": ("plate", "bowl")}

_TABLE = """
Bread
  baguette     | French   | PW | a baguette, baguettes, baguette, a loaf of baguette
  naan         | Indian   | PW | naan, naan bread, a naan, flatbread
  croissant    | French   | PW | a croissant, croissants, croissant
Dairy product
  cheese       | French   | PW | cheese, a piece of cheese, a wedge of cheese
  mozzarella   | Italian  | P  | mozzarella, mozzarella with basil, mozzarella balls
  yogurt       | Greek    | B  | yogurt, yogurt with berries, yoghurt, a yogurt
Dessert
  doughnut     | American | P  | a doughnut, doughnuts, a donut, donuts, a glazed doughnut, doughnut
  cake         | American | P  | a slice of cake, cake, a piece of cake, a cake, cakes
  ice cream    | Italian  | PB | ice cream, scoops of ice cream, an ice cream, gelato
  mochi        | Japanese | P  | mochi, mochi sweets, mochi rice cakes
  gulab jamun  | Indian   | PB | gulab jamun, gulab jamuns, gulab jamun in syrup
  jalebi       | Indian   | P  | jalebi, jalebis, a jalebi, orange jalebi
  laddu        | Indian   | P  | laddu, laddus, laddu sweets, ladoo, a laddu
Egg
  fried eggs   | American | P  | fried eggs, a fried egg, sunny side up eggs
  boiled eggs  | German   | P  | boiled eggs, a boiled egg, halved boiled eggs
  omelette     | French   | P  | an omelette, omelette, omelettes, an omelet
Fried food
  french fries | American | P  | french fries, fries, chips with ketchup
  samosa       | Indian   | P  | samosa, samosas, a samosa, samosas with chutney
  tempura      | Japanese | P  | tempura, tempura prawns, a tempura
Meat
  steak        | American | PW | a steak, steak, grilled steak, steaks
  sausages     | German   | P  | sausages, a sausage, sausages with mustard, bratwurst
  tacos        | Mexican  | P  | tacos, a taco, beef tacos
Noodles/Pasta
  spaghetti    | Italian  | PB | spaghetti, spaghetti with tomato sauce, a spaghetti
  ramen        | Japanese | B  | ramen, ramen noodles, a ramen
  ravioli      | Italian  | P  | ravioli, ravioli in tomato sauce, stuffed ravioli
Rice
  biryani      | Indian   | PB | biryani, chicken biryani, a biryani
  onigiri      | Japanese | P  | onigiri, onigiri rice balls, rice balls
  fried rice   | Chinese  | PB | fried rice, egg fried rice, fried rice with vegetables
Seafood
  sushi        | Japanese | PW | sushi, salmon sushi, nigiri sushi
  grilled fish | Greek    | P  | grilled fish, a grilled fish, a fish with lemon, a whole fish
  prawns       | Spanish  | P  | prawns, shrimp, prawns with lemon, shrimps
Soup
  tomato soup  | Italian  | B  | tomato soup, a tomato soup, creamy tomato soup
  miso soup    | Japanese | B  | miso soup, a miso soup, miso soup with tofu
  dal          | Indian   | B  | dal, lentil soup, a dal, dal with chilli
Vegetable/Fruit
  salad        | Greek    | PB | salad, a salad, green salad, a greek salad, salads
  watermelon   | American | P  | watermelon, slices of watermelon, a watermelon, watermelon slices
  guacamole    | Mexican  | P  | guacamole, guacamole with tortilla chips, guacamole and nachos
"""
"""Each class and its dishes: name, cuisine, vessels, and words for it, the usual ones first."""


def _read(text: str) -> Iterator[Dish]:
    label = ""
    for line in text.strip().splitlines():
        if not line.startswith(" "):
            label = line
            continue
        name, cuisine, served, words = (cell.strip() for cell in line.split(" | "))
        draw = _DRAWINGS[name.replace(" ", "_")]
        yield Dish(name, label, cuisine, phrases(words), _SERVED[served], draw)


DISHES: tuple[Dish, ...] = tuple(_read(_TABLE))
CLASSES: tuple[str, ...] = tuple(dict.fromkeys(dish.label for dish in DISHES))
BY_NAME: dict[str, Dish] = {dish.name: dish for dish in DISHES}
CUISINES: tuple[str, ...] = tuple(sorted({dish.cuisine for dish in DISHES}))
