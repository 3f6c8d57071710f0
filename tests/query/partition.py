"""Random predicates over every function of the language, checked without an oracle.

What a predicate `p` means must not depend on how it is asked: `p`, `NOT p` and `p IS NULL` are a
partition of the samples; a plan that leaves rows out before it scores them gives what one gives
that scores all; and what is kept from an earlier query gives what a new engine gives.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from slicedb.query import Engine

WORDS = ("red", "green", "blue", "dull", "a red picture", "something green and blue")
IDS = ("a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2", "c3")
SLICES = ("reds", "wrong", "wrong_reds", "reddish", "top_two", "listed", "held")
TAGS = ("'night'", "'rain'", "label", "NULL")
SPLITS = ("'test'", "'train'", "split", "NULL")
LASSOS = ("[[-0.5, -0.5], [1.5, -0.5], [1.5, 1.5]]", "[[-2, -3], [3, 3], [3, -3], [-2, 3]]")
WIDTHS = ("0.1", "0.25")
BOXES = ("car", "person", "dog", "cat")
PLAIN = (
    "m1.correct",
    "NOT m2.correct",
    "label = 'red'",
    "split = 'test'",
    "lux > 3",
    "weather IS NULL",
    "weather <> 'sunny'",
    "m1.loss < m2.loss",
    "width % 20 = 0",
    "list_contains(tags, 'night')",
    "m1.probabilities['red'] > 0.3",
    "label = m1.prediction",
    "captured_at > TIMESTAMP '2024-01-05'",
    "caption LIKE '%e%'",
    "lux > (SELECT avg(lux) FROM samples)",
)


class Predicates:
    """Writes random predicates; `functions` names those whose calls it can write.

    Args:
        seed: of every choice.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.functions: dict[str, Callable[[], str]] = {
            "similarity": lambda: f"similarity({self.targets()}) {self.compare()} {self.cosine()}",
            "matches": lambda: f"matches({self.texts()}{self.one('', '', ', 0.2', ', 0.9')})",
            "nearest": lambda: f"nearest({self.target()}, {self.random.randint(1, 6)})",
            "sample": lambda: f"similarity({self.sample()}) {self.compare()} {self.cosine()}",
            "weighted": lambda: (
                f"similarity('red', weighted({self.sample()}, {self.weight()})) > {self.cosine()}"
            ),
            "without": lambda: (
                f"similarity({self.mixed()}, without({self.text()})) < {self.cosine()}"
            ),
            "search": lambda: f"search('{self.one(*WORDS)}') {self.one('> 0.4', 'IS NOT NULL')}",
            "in_slice": lambda: f"in_slice('{self.one(*SLICES)}')",
            "has_tag": lambda: f"has_tag({self.one(*TAGS)})",
            "in_split": lambda: f"in_split({self.one(*SPLITS)})",
            "has_object": lambda: f"has_object({self.box()})",
            "count_objects": lambda: (
                f"count_objects({self.box()}) {self.compare()} {self.random.randint(0, 2)}"
            ),
            "any_iou": lambda: (
                f"any_iou({self.detectors()}, min_iou => {self.one('0.3', '0.5', '0.9')})"
            ),
            "best_iou": lambda: f"best_iou({self.detectors()}) {self.compare()} {self.share()}",
            "cam_border": lambda: (
                f"cam_border(m1, width => {self.one(*WIDTHS)}) {self.compare()} {self.share()}"
            ),
            "cam_mass_in": lambda: f"cam_mass_in({self.area()}) {self.compare()} {self.share()}",
            "pixel_share": lambda: f"pixel_share('road') {self.compare()} {self.share()}",
            "map_x": lambda: f"map_x('flat') {self.compare()} {self.share()}",
            "map_y": lambda: f"map_y('flat') {self.compare()} {self.share()}",
            "in_map": lambda: f"in_map('flat', {self.one(*LASSOS)})",
            "cam_points_at": lambda: f"cam_points_at({self.area()})",
        }

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def compare(self) -> str:
        return self.one("<", "<=", ">", ">=")

    def cosine(self) -> str:
        return self.one("-0.5", "0", "0.2", "0.3", "0.7071", "0.95", "1")

    def weight(self) -> str:
        return self.one("0.5", "2", "-0.3")

    def share(self) -> str:
        return self.one("0", "0.1", "0.5", "0.75", "1")

    def sample(self) -> str:
        return f"sample('{self.one(*IDS)}')"

    def mixed(self) -> str:
        """Return a sample that is none of the axes, so that no text cancels it out."""
        return f"sample('{self.one('a2', 'b2', 'c2')}')"

    def text(self) -> str:
        return f"'{self.one(*WORDS)}'"

    def target(self) -> str:
        return self.random.choice((self.sample, self.text))()

    def targets(self) -> str:
        return ", ".join((self.sample(), self.text())[: self.random.randint(1, 2)])

    def texts(self) -> str:
        return f"'{self.one('red', 'green', 'a red picture')}'" + self.one(
            "", "", ", without('dull')", ", 'blue'"
        )

    def box(self) -> str:
        options = self.random.sample(
            (
                f"min_area => {self.one('20', '100', '900')}",
                "max_share => 0.5",
                f"inside => [0, 0, {self.one('0.3', '0.6')}, 1]",
                f"found_by => '{self.one('d1', 'd2')}'",
                f"missed_by => '{self.one('d1', 'd2')}'",
            ),
            self.random.randint(0, 2),
        )
        label = [f"'{self.one(*BOXES)}'"] if self.random.random() < 0.8 else []
        return ", ".join([*label, *options])

    def detectors(self) -> str:
        return self.one("d1", "d2", "d1, d2", "d2, d1")

    def area(self) -> str:
        return self.one("'car'", "'person'", "0, 0, 0.5, 0.5", "0.25, 0.25, 0.5, 0.75")

    def predicate(self, name: str = "", depth: int = 2) -> str:
        """Return a predicate that calls a function, or any of them, among other conditions."""
        call = self.functions[name or self.one(*self.functions)]()
        shape = self.random.random()
        if depth <= 0 or shape < 0.25:
            return call
        other = self.one(*PLAIN) if shape < 0.6 else self.predicate(depth=depth - 1)
        return self.one(
            f"{call} AND {other}",
            f"({call} OR {other})",
            f"NOT ({call}) AND {other}",
            f"{other} AND ({call})",
            f"CASE WHEN {other} THEN {call} END",
            f"coalesce({call}, {other})",
            f"({call}) = ({other})",
        )


def problem(engine: Engine, fresh: Engine, predicate: str) -> str:
    """Return how the ways to ask a predicate disagree, "" where they do not.

    Args:
        engine: has answered others before.
        fresh: an engine over the same database that keeps nothing of `engine`.
        predicate: a predicate over samples.
    """
    every = engine.query("").ids()
    parts = {
        "p": engine.query(f"({predicate})").ids(),
        "NOT p": engine.query(f"NOT ({predicate})").ids(),
        "p IS NULL": engine.query(f"({predicate}) IS NULL").ids(),
    }
    counts = {name: len(ids) for name, ids in parts.items()}
    if sorted(id_ for ids in parts.values() for id_ in ids) != sorted(every):
        return f"no partition of {len(every)}: {counts}"
    members = parts["p"]
    if members != [id_ for id_ in every if id_ in set(members)]:
        return f"p is not in stored order: {members}"
    ways = {
        "without pruning": lambda: [
            row["id"]
            for row in engine.sql(f"SELECT id, ({predicate}) AS t FROM samples").to_pylist()
            if row["t"]
        ],
        "bare": lambda: engine.query(predicate).ids(),
        "again": lambda: engine.query(f"({predicate})").ids(),
        "in a new engine": lambda: fresh.query(f"({predicate})").ids(),
        "beside true": lambda: engine.query(f"({predicate}) AND length(id) > 0").ids(),
        "~~": lambda: (~~engine.query(predicate)).ids(),
    }
    for name, ask in ways.items():
        if (ids := ask()) != members:
            return f"{name}: {ids}, not {members}"
    if (count := engine.query(predicate).count()) != len(members):
        return f"count: {count}, not {len(members)}"
    return ""
