"""Ingest against a bare read, decode and hash loop, in one run on one machine.

    python benchmarks/ingest.py --data ../shared/data --rows 50000

Unpacks `cifar10-train.parquet` of the data folder as an image folder, then measures, by turns and
best of `--repeat`:

    pillow, 1 process     read, sha256, full decode with Pillow
    pillow, 2 processes   the same, half of the files each
    turbo, 1 thread       read, sha256, full RGB decode with simplejpeg, the decoder ingest uses
    turbo, N threads      the same, with as many threads as ingest, 64 files a task
    ingest                the whole thing: verified, hashed, written, synced
    ingest again          of the unchanged folder

Each row runs in a fresh process, whose peak memory is shown; imports are not timed. "ingest is"
compares rates: 0.60x is the bar. Read the ratios, and on a busy machine those of CPU seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, sorted."""
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def read(path: str) -> bytes:
    """Return a file's bytes, as cheaply as Python can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, os.fstat(handle).st_size)
    finally:
        os.close(handle)


def pillow(paths: list[str]) -> float:
    """Read, hash and decode with Pillow; return the CPU seconds."""
    from PIL import Image

    started = time.thread_time()
    for path in paths:
        data = read(path)
        hashlib.sha256(data).hexdigest()
        Image.open(io.BytesIO(data)).load()
    return time.thread_time() - started


def turbo(paths: list[str]) -> float:
    """Read, hash and decode with libjpeg-turbo; return the CPU seconds."""
    import simplejpeg

    started = time.thread_time()
    for path in paths:
        data = read(path)
        hashlib.sha256(data).hexdigest()
        simplejpeg.decode_jpeg(data, "RGB")
    return time.thread_time() - started


def peak_mb() -> float:
    """Return the peak memory of this process in MB, without that of the one it was forked from."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def chunks(paths: list[str], size: int) -> list[list[str]]:
    """Return the paths in runs of `size`."""
    return [paths[i : i + size] for i in range(0, len(paths), size)]


def whole(store: Any, folder: Path) -> float:
    """Ingest; return the CPU seconds of all threads."""
    from slicedb.ingest import ingest

    started = time.process_time()
    ingest(store, folder, progress=False)
    return time.process_time() - started


def measure(what: str, folder: Path, db: Path) -> dict[str, float]:
    """Run one row in this process; return seconds, CPU seconds and peak MB."""
    with contextlib.ExitStack() as stack:
        work: Callable[[], list[float]]
        if what.startswith("ingest"):
            import lance  # noqa: F401  (its import is not timed)

            from slicedb.store import Store

            store = Store.open(db)
            work = lambda: [whole(store, folder)]  # noqa: E731
        else:
            paths = files(folder)
            loop = pillow if what.startswith("pillow") else turbo
            loop(paths[:4])
            if what.endswith("2 processes"):
                context = multiprocessing.get_context("spawn")
                workers = stack.enter_context(context.Pool(2))
                workers.map(loop, [paths[:2], paths[2:4]], chunksize=1)
                halves = chunks(paths, -(-len(paths) // 2))
                work = lambda: workers.map(loop, halves, chunksize=1)  # noqa: E731
            elif what.endswith("threads"):
                pool = stack.enter_context(ThreadPoolExecutor(THREADS))
                work = lambda: list(pool.map(loop, chunks(paths, 64)))  # noqa: E731
            else:
                work = lambda: [loop(paths)]  # noqa: E731
        started = time.perf_counter()
        cpu = sum(work())
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "cpu": cpu, "peak": peak_mb()}


def fresh(what: str, folder: Path, db: Path) -> dict[str, float]:
    """Run one row in a process of its own."""
    command = [sys.executable, __file__, "--row", what, "--folder", str(folder), "--db", str(db)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def unpack(data: Path, folder: Path, rows: int) -> int:
    """Write the first rows as an image folder; return how many."""
    import pyarrow.parquet as pq

    table = pq.read_table(data / "cifar10-train.parquet").slice(0, rows)
    for path, image in zip(table["path"].to_pylist(), table["image"].to_pylist()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(image)
    return len(table)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--db", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(arguments.row, arguments.folder, arguments.db)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "cifar"
        n = unpack(arguments.data, folder, arguments.rows)
        names = (
            "pillow, 1 process",
            "pillow, 2 processes",
            "turbo, 1 thread",
            f"turbo, {THREADS} threads",
            "ingest",
            "ingest again",
        )
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(arguments.repeat):
            shutil.rmtree(Path(scratch) / "db", ignore_errors=True)
            for name in names:
                found[name].append(fresh(name, folder, Path(scratch) / "db"))
    best = {name: min(one["seconds"] for one in runs) for name, runs in found.items()}
    cpu = {name: min(one["cpu"] for one in runs) for name, runs in found.items()}
    print(f"{n:,} JPEG files, {THREADS} cores, best of {arguments.repeat}\n")
    print(f"{'':<22}{'s':>8}{'images/s':>12}{'ingest is':>12}{'CPU s':>9}{'by CPU':>9}{'MB':>7}")
    for name in names:
        share, by_cpu = best[name] / best["ingest"], cpu[name] / cpu["ingest"]
        peak = max(one["peak"] for one in found[name])
        print(
            f"{name:<22}{best[name]:>8.2f}{n / best[name]:>12,.0f}{share:>11.2f}x"
            f"{cpu[name]:>9.2f}{by_cpu:>8.2f}x{peak:>7.0f}"
        )


if __name__ == "__main__":
    main()
