from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from world import build, engine_of


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(tmp_path_factory.mktemp("world") / "world.slicedb")


@pytest.fixture(scope="session")
def engine(store: Any) -> Iterator[Any]:
    yield engine_of(store)
