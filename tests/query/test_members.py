"""Members of a query are kept for as long as nothing that it reads changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from world import build, engine_of

from slicedb.query import Query
from slicedb.query.run.runner import Runner
from slicedb.schema import SAMPLES, keys_of


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts that are run, as they are."""
    texts: list[str] = []
    rows = Runner.rows

    def counted(self: Runner) -> pa.Table:
        texts.append(self._plan.text)
        return rows(self)

    monkeypatch.setattr(Runner, "rows", counted)
    return texts


def test_members_are_asked_once_and_again_after_a_change(tmp_path: Path, runs: list[str]) -> None:
    store = build(tmp_path / "world.slicedb")
    query = engine_of(store).query("label = 'red'")
    assert query.keys().tolist() == keys_of(["a1", "a2", "a3"]).tolist()
    query.keys()
    assert runs == ["label = 'red'"]
    store.upsert(SAMPLES, pa.table({"id": ["a2"], "label": ["blue"]}), insert=False)
    assert query.keys().tolist() == keys_of(["a1", "a3"]).tolist()
    assert len(runs) == 2


def test_what_a_caller_does_to_the_keys_stays_with_the_caller(tmp_path: Path) -> None:
    query = engine_of(build(tmp_path / "world.slicedb")).query("label = 'red'")
    query.keys()[:] = 0
    assert query.keys().tolist() == keys_of(["a1", "a2", "a3"]).tolist()


@pytest.mark.parametrize(
    "text", ["random() < 2", "captured_at < now()", "in_slice('timed')", "captured_at < today()"]
)
def test_chance_and_the_clock_are_asked_each_time(
    tmp_path: Path, runs: list[str], text: str
) -> None:
    engine = engine_of(
        build(tmp_path / "world.slicedb"), named=lambda name: "captured_at < current_date"
    )
    query: Query = engine.query(text)
    assert isinstance(query.keys(), np.ndarray)
    query.keys()
    assert len(runs) == 2
