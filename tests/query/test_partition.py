"""`p`, `NOT p` and `p IS NULL` partition the samples, and every way to ask `p` agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes_copies import LONG
from partition import Predicates, problem
from world import build, engine_of

from slicedb.query import Engine
from slicedb.query.functions.registry import FUNCTIONS

WITHOUT = {"image": "reads a file", "fuse": "ranks the rows that WHERE leaves"}
EACH = 4 if LONG else 2
"""Predicates of each function; `benchmarks/differential.py --partition` asks thousands."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    store = build(tmp_path_factory.mktemp("partition") / "world.slicedb")
    return engine_of(store), engine_of(store)


def test_every_documented_function_is_asked() -> None:
    assert set(Predicates(0).functions) == set(FUNCTIONS.builtin) - set(WITHOUT)


@pytest.mark.slow
@pytest.mark.parametrize("name", Predicates(0).functions)
def test_a_predicate_partitions_the_samples(engines: tuple[Engine, Engine], name: str) -> None:
    for seed in range(EACH):
        predicate = Predicates(seed).predicate(name)
        assert problem(*engines, predicate) == "", predicate


def test_plain_predicates_partition_the_samples_too(
    engines: tuple[Engine, Engine], tmp_path: Path
) -> None:
    for predicate in ("lux > 3", "label = 'red' OR lux > 5", "m1.correct AND NOT m2.correct"):
        assert problem(*engines, predicate) == ""
