"""Checks of a collection tell how far they are, and stop when they are told to."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes_models import MeanColour
from PIL import Image

import slicedb
from slicedb import Database
from slicedb.errors import CancelledError
from slicedb.models.trying import encoded
from slicedb.progress import Cancel, Progress
from slicedb.web.health import CHECKS

N = 80
STAGES = {
    "leaks": {"compare hashes", "compare pixels", "compare columns", "compare vectors"},
    "drift": {"compare columns", "compare vectors", "search vectors"},
    "split": {"compare hashes", "compare parts"},
    "expected": {"resample"},
    "evaluate": {"predict mean"},
    "folds": {"predict mean"},
}
VERBS: dict[str, Callable[..., Any]] = {
    "leaks": lambda db, **o: db.leaks(models=(), **o),
    "drift": lambda db, **o: db.drift("split = 'train'", "split = 'test'", models=(), **o),
    "split": lambda db, **o: db.split(near_duplicates=True, into="part", dry_run=True, **o),
    "expected": lambda db, **o: db.expected("named", on="split = 'test'", **o),
    "evaluate": lambda db, **o: db.evaluate("mean", "split = 'train'", **o),
    "folds": lambda db, **o: db.folds("mean", "split", **o),
}


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """80 pictures in two parts, with vectors and the answers of a model."""
    root: Path = tmp_path_factory.mktemp("checks")
    rng = np.random.default_rng(0)
    db = slicedb.open(root / "data.slicedb")
    for i in range(N):
        folder = root / "photos" / ("train" if i < N // 2 else "test") / ("ab"[i % 2])
        folder.mkdir(parents=True, exist_ok=True)
        blocks = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8))
        image = blocks.resize((96, 96), Image.Resampling.BICUBIC)
        data = encoded(image)
        if i in (0, N // 2):  # one picture in both parts, in two encodings
            same, out = Image.linear_gradient("L").convert("RGB"), io.BytesIO()
            same.save(out, "PNG", compress_level=1 + i // 10)
            data = out.getvalue()
        (folder / f"{i:02}.png").write_bytes(data)
    db.ingest(root / "photos", progress=False)
    ids = db.query("").ids()
    vectors = rng.normal(size=(N, 8)).astype(np.float32)
    db.log_embeddings("default", {"id": ids, "vector": vectors})
    answers = {"id": ids, "prediction": ["a"] * N, "confidence": rng.random(N)}
    db.log_predictions("named", answers, classes=["a", "b"])
    db.models.add("mean", MeanColour())
    return db


@pytest.mark.slow
@pytest.mark.parametrize("verb", STAGES)
def test_a_check_tells_its_stages_and_stops_in_each(
    db: Database, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.progress._PAUSE", -1.0)
    for stage in sorted(STAGES[verb]):
        with pytest.raises(CancelledError, match=f"{stage} was cancelled"):
            VERBS[verb](db, progress=lambda progress, stage=stage: progress.stage != stage)
    heard: list[Progress] = []
    VERBS[verb](db, progress=heard.append)
    assert STAGES[verb] <= {progress.stage for progress in heard}
    for stage in STAGES[verb]:
        last = [progress for progress in heard if progress.stage == stage][-1]
        assert last.done == last.total, stage
    cancel = Cancel()
    cancel.cancel()
    if verb not in ("evaluate", "folds"):  # all is predicted, so there is nothing to stop
        with pytest.raises(CancelledError):
            VERBS[verb](db, progress=cancel)


@pytest.mark.parametrize("kind", ["leaks", "drift", "duplicates", "quality", "health"])
def test_a_job_of_the_page_gives_the_check_what_watches_it(db: Database, kind: str) -> None:
    (check,) = [check for check in CHECKS if check.kind == kind]
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(CancelledError):
        check.run(db, {"a": "split = 'train'", "b": "split = 'test'"}, cancel)
