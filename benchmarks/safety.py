"""What the safety of writes costs: the same work with another checkout of SliceDB, by turns.

    python benchmarks/safety.py --before ../slicedb-before --rounds 5

Each round runs ingest, predict, 60 edits, a relabel of half, ten commits and three tests in a fresh
process of either checkout, after the same on eight pictures. Printed are the least processor
seconds of each step and their ratio; 1.05x is the bar. Pictures are drawn, nothing is downloaded.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


def draw(folder: Path, n: int) -> None:
    """Write n JPEG pictures of two classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for i in range(n):
        place = folder / ("cat", "dog")[i % 2] / f"{i:05}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        small = rng.integers(0, 255, (12, 12, 3)).astype(np.uint8)
        Image.fromarray(small).resize((96, 96)).save(place, quality=90)


def steps(folder: Path, path: Path) -> Iterator[tuple[str, float]]:
    """Do the work; yield each step with its processor seconds."""
    import torch

    import slicedb
    from slicedb.models import TorchClassifier

    torch.set_num_threads(1)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, 2), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    ).append(torch.nn.Linear(8, 2))
    db = slicedb.open(path)
    at = time.process_time()

    def took() -> float:
        nonlocal at
        before, at = at, time.process_time()
        return at - before

    db.ingest(folder, progress=False)
    yield "ingest", took()
    db.models.add("m", TorchClassifier(net, classes=("cat", "dog"), input_size=32))
    took()
    db.predict("m", progress=False)
    yield "predict", took()
    ids = db.query("ORDER BY id LIMIT 60").ids()
    took()
    for i, name in enumerate(ids):
        db.tag(f"id = '{name}'", f"t{i % 3}")
    yield "60 edits", took()
    db.relabel("label = 'cat'", "dog")
    yield "relabel half", took()
    for i in range(10):
        db.commit(f"commit {i}")
    yield "10 commits", took()
    db.slices.add("s", "label = 'dog'", expect=["accuracy >= 0.1"])
    for _ in range(3):
        db.test(["s"], model="m")
    yield "3 tests", took()


def run(checkout: Path, folder: Path) -> dict[str, float]:
    """Return the processor seconds of each step, in a fresh process of a checkout."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, __file__, "--child", scratch, "--pictures", str(folder)]
        env = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr[-800:]}")
    return dict(json.loads(done.stdout.strip().split("\n")[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--before", type=Path, help="a checkout to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n", type=int, default=2_000, help="pictures")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pictures", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        # A few pictures first: what is imported once is not what safety costs.
        draw(options.child / "few", 8)
        list(steps(options.child / "few", options.child / "few.slicedb"))
        print(json.dumps(list(steps(options.pictures, options.child / "d.slicedb"))))
        return
    here = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as scratch:
        draw(Path(scratch), options.n)
        both = {"before": options.before.resolve(), "now": here}
        taken: dict[str, list[dict[str, float]]] = {name: [] for name in both}
        for number in range(options.rounds):
            for name in list(both)[:: 1 if number % 2 else -1]:
                taken[name].append(run(both[name], Path(scratch)))
    for step in taken["now"][0]:
        before, now = (min(r[step] for r in taken[name]) for name in both)
        print(f"{step:14} {before:7.3f} s before {now:7.3f} s now {now / before:5.2f}x")


if __name__ == "__main__":
    main()
