"""Share work between processes and between the actors of Ray, beside one process.

    python benchmarks/scaling.py --dir SCRATCH --images 20000 --workers 2

MobileNetV2 with random weights predicts CIFAR photos (`--cifar`: the Parquet file with a column
`image`), at 96 pixels: once in this process, once in processes of this machine, once in actors of
Ray. Starting is left out: rates are counted from the first word about progress to the last. Seconds
of processors are those of this process and all that descend from it. Afterwards the three tables
must be equal, row by row and bit by bit.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

import slicedb
from slicedb.progress import Progress

CODE = """
import torch, torchvision
from slicedb.models import TorchClassifier

def build():
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v2(num_classes=10).eval()
    return TorchClassifier(net, classes=list("abcdefghij"), input_size=96)
"""


class Processors:
    """Counts what this process and all that descend from it use, those that have ended too."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}

    def seconds(self) -> float:
        """Return the seconds of processors so far."""
        import psutil

        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used = times.user + times.system
                self._seen[process.pid] = max(self._seen.get(process.pid, 0.0), used)
        return sum(self._seen.values())


class Rate:
    """Milliseconds per image between the first word about progress and the last."""

    def __init__(self) -> None:
        self._words: list[tuple[int, float, float]] = []
        self._processors = Processors()

    def __call__(self, progress: Progress) -> None:
        """Note how far the work is."""
        if progress.total is not None and progress.done:
            self._words.append((progress.done, time.perf_counter(), self._processors.seconds()))

    def milliseconds(self) -> tuple[float, float]:
        """Return the wall time and the processor time of an image."""
        (n, began, used), (m, ended, spent) = self._words[0], self._words[-1]
        return 1000 * (ended - began) / (m - n), 1000 * (spent - used) / (m - n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--cifar", type=Path, default=Path("../shared/data/cifar10-train.parquet"))
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    cifar = args.cifar.absolute()
    shutil.rmtree(args.dir, ignore_errors=True)
    args.dir.mkdir(parents=True)
    os.chdir(args.dir)
    Path("net.py").write_text(CODE, encoding="utf-8")
    cut = Path("some.parquet").absolute()
    pq.write_table(pq.read_table(cifar).slice(0, args.images), cut)
    db = slicedb.open("one.slicedb")
    db.ingest(cut, image_column="image", progress=False)
    ways: dict[str, Callable[[slicedb.Database, Rate], object]] = {
        "one process": lambda db, rate: db.predict("one", progress=rate),
        "processes": lambda db, rate: db.predict("two", progress=rate, workers=args.workers),
        "Ray": lambda db, rate: db.predict(
            "three", progress=rate, workers=args.workers, engine="ray"
        ),
    }
    print(f"{args.images:,} photos of CIFAR, {args.workers} workers, {os.cpu_count()} cores")
    print(f"{'':12} {'wall ms':>8} {'ratio':>6} {'cpu ms':>8} {'ratio':>6} {'with start':>10}")
    first: tuple[float, float] | None = None
    for (title, run), name in zip(ways.items(), ("one", "two", "three")):
        db.models.add(name, "net.py:build")
        rate, began = Rate(), time.perf_counter()
        run(db, rate)
        whole = time.perf_counter() - began
        wall, used = rate.milliseconds()
        first = first or (wall, used)
        print(
            f"{title:12} {wall:8.3f} {wall / first[0]:6.2f} {used:8.3f} {used / first[1]:6.2f} "
            f"{whole:9.1f}s",
            flush=True,
        )
    tables = [
        db.store.table(f"predictions__{name}").sort_by("id") for name in ("one", "two", "three")
    ]
    assert len(tables[0]) == args.images
    assert all(table.equals(tables[0]) for table in tables)
    print("the three tables are equal")


if __name__ == "__main__":
    main()
