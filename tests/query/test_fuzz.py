"""Any text at all: an answer or an error of ours, soon, and nothing else touched."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes_copies import LONG
from fuzzing import Fuzzer, known_texts
from world import build, engine_of

from slicedb.errors import SliceDBError
from slicedb.query import Engine
from slicedb.store import Store

LIMIT = 2.0
"""Seconds of CPU a text may take."""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Engine, Store, Path]:
    """A world of its own in an empty folder, with one file that no query may read."""
    store = build(tmp_path / "world.slicedb")
    (tmp_path / "x.csv").write_text("id\nsecret\n")
    monkeypatch.chdir(tmp_path)
    return engine_of(store, timeout=LIMIT), store, tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of every file, the caches left out."""
    files = (f for f in folder.rglob("*") if f.is_file() and ".cache" not in f.parts)
    return {str(f): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


_OPENED: list[tuple[str, str]] = []
_watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in ("open", "socket.connect", "subprocess.Popen", "os.system"):
        _OPENED.append((event, str(arguments[0]) if event == "open" else ""))


def run(engine: Engine, texts: Iterator[str]) -> dict[str, int]:
    """Ask every text; returns how many gave rows and how many gave errors of ours."""
    done = {"answers": 0, "errors": 0}
    for text in texts:
        started = time.process_time()
        try:
            query = engine.query(text, files=False)
            query.ids() if query.is_rows else query.to_arrow()
            done["answers"] += 1
        except SliceDBError as error:
            assert str(error).strip(), text
            done["errors"] += 1
        except Exception as error:
            raise AssertionError(f"{type(error).__name__} from {text!r}: {error}") from error
        spent = time.process_time() - started
        assert spent < LIMIT, f"{spent:.1f} s of CPU for {text!r}"
    return done


def check(world: tuple[Engine, Store, Path], n: int, seed: int) -> None:
    global _watching
    engine, store, folder = world
    run(engine, iter(known_texts()))  # loads what queries load
    texts = list(Fuzzer(seed).texts(n))
    before, versions = contents(folder), store.versions()
    sys.addaudithook(_watch)
    _OPENED.clear()
    _watching = True
    try:
        done = run(engine, iter(texts))
    finally:
        _watching = False
    assert contents(folder) == before and store.versions() == versions
    own = str(folder / "world.slicedb")
    strange = {w for w in _OPENED if w[0] != "open" or not w[1].startswith((own, sys.prefix))}
    assert strange <= {w for w in _OPENED if w[1].endswith((".py", ".pyc"))}
    assert done["answers"] > 0.05 * n and done["errors"] > 0.3 * n


@pytest.mark.slow
def test_thousands_of_random_texts(world: tuple[Engine, Store, Path]) -> None:
    check(world, 10_000 if LONG else 3000, seed=2)
