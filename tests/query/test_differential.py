"""Valid SQL means what bare DuckDB says, also in all that is derived from a query."""

from __future__ import annotations

from pathlib import Path

import pytest
from differential import Maker, World, build, difference, written
from fakes_copies import LONG


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return build(tmp_path_factory.mktemp("differential"))


CHUNKS = 12 if LONG else 6


@pytest.mark.parametrize(
    "chunk", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, CHUNKS))]
)
def test_generated_queries_answer_as_duckdb_does(world: World, chunk: int) -> None:
    for seed in range(chunk * 40, chunk * 40 + 40):
        text = written(Maker(seed).any(), world.ids)
        problem = difference(world, text, derived=seed % 4 == 0, seed=seed)
        assert not problem, f"seed {seed}: {text.ours}\n{problem}"


def test_the_comparison_sees_a_difference(world: World, tmp_path: Path) -> None:
    text = written(Maker(1).predicate(), world.ids)
    text.bare = "SELECT id FROM samples WHERE i = 5"
    text.ours = "i IN (5, 6)"
    assert difference(world, text).startswith("ids(): 2, not 1; place 1")
