"""Loading a slice for training against its limits and its neighbour, in one run on one machine.

    python benchmarks/loader.py --data ../shared/data --rows 10000

Unpacks `cifar10-train.parquet` of the data folder as an image folder, ingests it and copies of the
photos beside it, and measures shuffled epochs over all of either, with 0 and 2 workers, by turns:

    limit        decode the same bytes from a list in RAM, in the same order, with the same
                 decoder and as many threads (0 workers: this one), and drop the pixels; for the
                 photos also resize and crop to 224 pixels, as every other step does
    decode       the photos' limit without the resize, which nothing that resizes can reach
    first epoch  a new dataset and loader: reads the database, decodes, makes batches
    later epoch  the second epoch of that loader
    folder       torchvision's ImageFolder and PIL, Resize and CenterCrop of torchvision, torch's
                 DataLoader with as many processes

Each ratio is the median of those of the rounds, since neighbouring runs meet the same machine; the
best ratio is of the fastest runs of both. CPU is the seconds of processor time, for the folder with
those of its worker processes. First batch is from the call of `iter` on, the loader new. Worker
processes of torch are started anew each epoch, as is its default; their start is timed apart, and
taken off the seconds, though not off the CPU.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from slicedb.ingest import ingest
from slicedb.media import decode_rgb
from slicedb.models import Preprocessing
from slicedb.schema import SAMPLES
from slicedb.store import Store
from slicedb.training import to_torch

WORKERS = (0, 2)
Timed = tuple[float, float]


def timed(work: Callable[[], Any]) -> Timed:
    """Return (wall, processor) seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def exhaust(batches: Iterable[Any]) -> None:
    """Use up an iterable."""
    for _ in batches:
        pass


def decode_all(blobs: list[bytes], workers: int, fit: Preprocessing | None) -> None:
    """Decode from RAM, resize when asked to, and keep nothing."""

    def part(start: int) -> None:
        out = None if fit is None else np.empty((*fit.size, 3), dtype=np.uint8)
        for data in blobs[start : start + 64]:
            if fit is None or out is None:
                decode_rgb(data)
            else:
                fit.fill(data, out)

    starts = range(0, len(blobs), 64)
    if not workers:
        exhaust(map(part, starts))
        return
    with ThreadPoolExecutor(workers) as pool:
        exhaust(pool.map(part, starts))


def folder_epoch(loader: DataLoader) -> Timed:
    """Return (wall, processor) seconds of an epoch, workers' too; wall without their start."""
    cpu = processor_seconds()
    wall, _ = timed_but_first(iter(loader))  # then the workers are joined, and their seconds count
    share = (len(loader.dataset) - loader.batch_size) / len(loader.dataset)  # type: ignore[arg-type]
    return wall / max(share, 1e-9), processor_seconds() - cpu


def timed_but_first(running: Iterator[Any]) -> Timed:
    """Return (wall, processor) seconds of what comes after the first batch."""
    next(running)
    return timed(lambda: exhaust(running))


def processor_seconds() -> float:
    """Return the seconds used by this process and by those it started that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def measure(name: str, store: Store, keys: np.ndarray, folder: Path, options: Any) -> None:
    """Print one row a number of workers."""
    size = None if name == "cifar" else 224
    dataset = to_torch(store, keys, columns=(), size=size)
    blobs = [bytes(b) for b in dataset.read(dataset.loader(seed=1).order(0))]
    fit = None if size is None else Preprocessing(size=(size, size), resize=size)
    batch_size = min(256 if size is None else 64, len(keys) // 4)
    resize = [] if size is None else [v2.Resize(size), v2.CenterCrop(size)]
    tensor = v2.Compose([*resize, v2.PILToTensor()])
    images = ImageFolder(str(folder), transform=tensor)
    runs: dict[tuple[str, int], list[Timed]] = defaultdict(list)
    for number in range(options.repeat):
        for workers in WORKERS:
            loader = to_torch(store, keys, columns=(), size=size).loader(
                batch_size, seed=1, num_workers=workers
            )
            runs["first batch", workers].append(timed(lambda: next(iter(loader))))  # noqa: B023
            loader = to_torch(store, keys, columns=(), size=size).loader(
                batch_size, seed=1, num_workers=workers
            )
            steps: list[tuple[str, Callable[[], Any]]] = [
                ("limit", lambda: decode_all(blobs, workers, fit)),  # noqa: B023
                ("first epoch", lambda: exhaust(loader)),  # noqa: B023
                ("later epoch", lambda: exhaust(loader)),  # noqa: B023
                ("limit", lambda: decode_all(blobs, workers, fit)),  # noqa: B023
            ]
            if fit is not None:
                steps.append(("decode", lambda: decode_all(blobs, workers, None)))  # noqa: B023
            for step, work in steps:
                runs[step, workers].append(timed(work))
            if number < options.folder_repeat:
                other = DataLoader(images, batch_size, shuffle=True, num_workers=workers)
                runs["folder", workers].append(folder_epoch(other))
    for workers in WORKERS:
        report(name, workers, {step: times for (step, w), times in runs.items() if w == workers})


def report(name: str, workers: int, runs: dict[str, list[Timed]]) -> None:
    """Print the ratios of one number of workers."""
    limit = [(a[0] + b[0]) / 2 for a, b in zip(runs["limit"][::2], runs["limit"][1::2])]
    cpu = [(a[1] + b[1]) / 2 for a, b in zip(runs["limit"][::2], runs["limit"][1::2])]
    for step in ("first epoch", "later epoch"):
        wall = statistics.median(a / b[0] for a, b in zip(limit, runs[step]))
        used = statistics.median(a / b[1] for a, b in zip(cpu, runs[step]))
        best = min(t[0] for t in runs["limit"]) / min(t[0] for t in runs[step])
        epoch = statistics.median(t[0] for t in runs[step])
        faster = statistics.median(t[0] for t in runs["folder"]) / epoch
        spent = statistics.median(t[1] for t in runs["folder"]) / statistics.median(
            t[1] for t in runs[step]
        )
        ratios = [a / b[0] for a, b in zip(limit, runs[step])]
        line = (
            f"{name:6} {workers} workers  {step}: {epoch:6.2f} s, of the limit {wall:.2f} "
            f"(least {min(ratios):.2f}, most {max(ratios):.2f}, best {best:.2f}, CPU {used:.2f}), "
            f"ImageFolder takes {faster:.1f} times as long, {spent:.1f} times the CPU"
        )
        if "decode" in runs:
            alone = statistics.median(a[0] / b[0] for a, b in zip(runs["decode"], runs[step]))
            line += f"; of decoding alone {alone:.2f}"
        print(line, flush=True)
    first = statistics.median(t[0] for t in runs["first batch"])
    print(f"{name:6} {workers} workers  first batch after {first:.2f} s", flush=True)


def main() -> None:
    """Unpack, ingest, measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--photos", type=int, default=1000, help="files, copies of those there")
    parser.add_argument("--only", choices=("cifar", "photos"), help="one of the two")
    parser.add_argument("--repeat", type=int, default=7, help="rounds")
    parser.add_argument("--folder-repeat", type=int, default=2, help="rounds with ImageFolder")
    parser.add_argument("--scratch", type=Path, default=None)
    options = parser.parse_args()
    if options.scratch is not None:
        options.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        folder, photos = Path(scratch) / "cifar", Path(scratch) / "photos"
        sources = {"cifar": folder, "photos": photos}
        unpack = [sys.executable, str(options.data / "unpack.py"), str(folder), str(options.rows)]
        subprocess.run(unpack, check=True, stdout=subprocess.DEVNULL)
        files = sorted((options.data / "photos").iterdir())
        for i in range(options.photos):
            (photos / f"copy{i // len(files)}").mkdir(parents=True, exist_ok=True)
            file = files[i % len(files)]
            shutil.copy(file, photos / f"copy{i // len(files)}" / file.name)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
        for name in sources if options.only is None else (options.only,):
            store = Store.open(Path(scratch) / f"{name}.slicedb")
            ingest(store, sources[name], progress=False)
            rows = store.table(SAMPLES, ["key"], where="status = 'ok'")
            measure(name, store, rows["key"].to_numpy(), sources[name], options)


if __name__ == "__main__":
    main()
