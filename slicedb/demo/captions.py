"""Word the captions of scenes: each is a text together with what it claims about the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from slicedb.demo.dishes import BY_NAME
from slicedb.demo.lists import table

Facts: TypeAlias = Mapping[str, Any]
"""What is in a scene: the values of its columns."""


@dataclass(frozen=True)
class Caption:
    """A text and the attributes it states; a scene fits when it agrees with every one."""

    text: str
    claims: dict[str, str | bool]
    """Column name to value: `{"dish": "doughnut", "light": "night"}`."""

    def fits(self, scene: Facts) -> bool:
        """Say whether every claim is true of the scene."""
        return all(scene[key] == value for key, value in self.claims.items())


TABLE_WORDS = table(
    """
    wooden: on a wooden table, on a wooden table, on a wood table, on wood
    marble: on a marble table, on a marble table, on a marble tabletop, on marble
    checkered: on a checkered tablecloth, on a checkered cloth, on a checkered table,
      on a table with a checkered cloth
    steel: on a steel table, on a steel table, on a metal table, on steel
    tiled: on a tiled table, on a tiled table, on blue tiles, on tiles
    """
)
LIGHT_WORDS = table(
    """
    day: in daylight, during the day, by day, in the daytime
    evening: in the evening, by candlelight, in evening light, in warm evening light
    night: at night, at night, by night, in the dark at night
    """
)
CUTLERY_WORDS = table(
    """
    none: without cutlery, with no cutlery
    fork: with a fork, with a fork on the table, next to a fork, and a fork
    spoon: with a spoon, with a spoon on the table, next to a spoon, and a spoon
    knife: with a knife, with a knife on the table, next to a knife, and a knife
    chopsticks: with chopsticks, with chopsticks on the table, next to chopsticks, and chopsticks,
      with a pair of chopsticks
    """
)
WORDS = {"table_top": TABLE_WORDS, "light": LIGHT_WORDS, "cutlery": CUTLERY_WORDS}


def plural_free(words: str) -> str:
    """Drop a leading article: `a doughnut` becomes `doughnut`."""
    for article in ("a ", "an ", "some "):
        if words.startswith(article):
            return words[len(article) :]
    return words


def plain(scene: Facts, rng: np.random.Generator) -> Caption:
    """Write the caption a scene is stored with: the dish and most of what else is seen."""
    words = BY_NAME[scene["dish"]].words[0]
    claims: dict[str, str | bool] = {"dish": scene["dish"]}
    if rng.random() < 0.4 and scene["vessel"] != "board":
        words = f"a {scene['vessel']} of {plural_free(words)}"
        claims["vessel"] = scene["vessel"]
    if scene["blurry"]:
        words = f"a blurry photo of {words}"
        claims["blurry"] = True
    parts = [words]
    for fact in ("cutlery", "table_top", "light"):
        value = scene[fact]
        if (fact == "cutlery" and value == "none") or (fact == "light" and value == "day"):
            continue
        if rng.random() < 0.8:
            parts.append(WORDS[fact][value][0])
            claims[fact] = value
    return Caption(" ".join(parts), claims)
