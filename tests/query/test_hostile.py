"""Some hostile texts of each kind, one after the other: each ends, and the process answers on."""

from __future__ import annotations

import pytest
from fakes_judge import small_store
from hostile import HOSTILE

import slicedb
from slicedb import Database
from slicedb.errors import SliceDBError
from slicedb.query.run.clock import allocated

SECONDS, MEMORY = 0.5, 200_000_000
EACH = 1
"""Texts of each kind; `benchmarks/hostile.py` asks all."""


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = small_store(tmp_path_factory.mktemp("hostile"))[0].path
    return slicedb.open(path, timeout=SECONDS, memory="200MB")


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_text_ends_and_the_process_answers_on(db: Database, kind: str) -> None:
    before = allocated()
    for text in HOSTILE[kind][:EACH]:
        try:
            db.query(text).to_arrow()
        except SliceDBError as error:
            assert len(str(error)) < 2_000
    assert db.query("label = 'cat'").count() > 0
    assert allocated() - before < 3 * MEMORY


def test_the_benchmark_has_two_hundred_texts() -> None:
    assert sum(map(len, HOSTILE.values())) >= 200
