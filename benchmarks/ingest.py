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

Each row runs in a fresh process, whose peak memory is shown; imports are not timed. Read the
ratios: the seconds are those of the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
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


def pillow(paths: list[str]) -> None:
    """Read, hash and decode with Pillow."""
    from PIL import Image

    for path in paths:
        data = read(path)
        hashlib.sha256(data).hexdigest()
        Image.open(io.BytesIO(data)).load()


def turbo(paths: list[str]) -> None:
    """Read, hash and decode with libjpeg-turbo."""
    import simplejpeg

    for path in paths:
        data = read(path)
        hashlib.sha256(data).hexdigest()
        simplejpeg.decode_jpeg(data, "RGB")


def peak_mb() -> float:
    """Return the peak memory of this process in MB, without that of the one it was forked from."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def chunks(paths: list[str], size: int) -> list[list[str]]:
    """Return the paths in runs of `size`."""
    return [paths[i : i + size] for i in range(0, len(paths), size)]


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(what: str, folder: Path, db: Path) -> dict[str, float]:
    """Run one row in this process; return seconds and peak MB by row name."""
    if what.startswith("ingest"):
        import lance  # noqa: F401  (its import is not timed)

        from slicedb.ingest import ingest
        from slicedb.store import Store

        store = Store.open(db)
        seconds = timed(lambda: ingest(store, folder, progress=False))
    else:
        import simplejpeg  # noqa: F401
        from PIL import Image

        Image.init()
        paths = files(folder)
        loop = pillow if what.startswith("pillow") else turbo
        if what.endswith("2 processes"):
            import multiprocessing

            context = multiprocessing.get_context("spawn")
            with context.Pool(2) as workers:
                workers.map(pillow, [paths[:2], paths[2:4]])
                halves = chunks(paths, -(-len(paths) // 2))
                seconds = timed(lambda: workers.map(loop, halves, chunksize=1))
        elif what.endswith("threads"):
            with ThreadPoolExecutor(THREADS) as pool:
                seconds = timed(lambda: list(pool.map(loop, chunks(paths, 64))))
        else:
            seconds = timed(lambda: loop(paths))
    return {"seconds": seconds, "peak": peak_mb()}


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
        names = ("pillow, 1 process", "pillow, 2 processes", "turbo, 1 thread",
                 f"turbo, {THREADS} threads", "ingest", "ingest again")  # fmt: skip
        found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(arguments.repeat):
            shutil.rmtree(Path(scratch) / "db", ignore_errors=True)
            for name in names:
                found[name].append(fresh(name, folder, Path(scratch) / "db"))
    seconds = {name: min(one["seconds"] for one in runs) for name, runs in found.items()}
    print(f"{n:,} JPEG files, {THREADS} cores, best of {arguments.repeat}\n")
    print(f"{'':<22}{'s':>8}{'images/s':>12}{'ingest is':>12}{'peak MB':>10}")
    for name in names:
        share = seconds[name] / seconds["ingest"]
        peak = max(one["peak"] for one in found[name])
        rate = n / seconds[name]
        print(f"{name:<22}{seconds[name]:>8.2f}{rate:>12,.0f}{share:>11.2f}x{peak:>10.0f}")


if __name__ == "__main__":
    main()
