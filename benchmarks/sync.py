"""Follow a bucket: what is read, what is kept in memory, and what kills and failures leave.

    python benchmarks/sync.py --dir SCRATCH
    python benchmarks/sync.py --dir SCRATCH --only big --keys 100000
    python benchmarks/sync.py --dir SCRATCH --only kills --kills 10

`big`: a bucket in memory. `pages`: each page of the listing fails once. `kills`: `slicedb sync` of
2,000 objects on moto's S3, ended with SIGKILL at random moments and said again, beside one clean
run. `writers`: four processes that sync four folders into one database on moto's S3.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import obstore
from obstore.store import MemoryStore
from PIL import Image

import slicedb
from slicedb.errors import SliceDBError
from slicedb.ingest.sync import sync
from slicedb.sources import client, remote

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes_bucket import Bucket, create, serve

ASKED = "SELECT id, uri, sha256, label, status FROM samples ORDER BY id"


def picture(seed: int) -> bytes:
    """Return a small PNG that differs by its seed."""
    import io

    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG", compress_level=0)
    return out.getvalue()


def big(folder: Path, n: int) -> None:
    """Sync many objects, then one in a hundred of them changed, then all in other parts."""
    store = MemoryStore()
    client.put_in("memory://big", store)
    for i in range(n):
        obstore.put(store, f"{i % 10}/{i:07d}.png", picture(i))
    db = slicedb.open(folder / "big.slicedb")
    calls = {"read": 0, "head": 0, "list": 0}
    count(remote, "read", calls)
    count(obstore, "head", calls)
    count(obstore, "list", calls)
    before = peak()
    told("first sync", db, calls)
    for i in range(0, n, 100):
        obstore.put(store, f"{i % 10}/{i:07d}.png", picture(n + i))
    told("1 % changed", db, calls)
    told("nothing changed", db, calls)
    real = remote._list
    remote._list = lambda *args: in_other_parts(real(*args))
    told("all in other parts", db, calls)
    remote._list = real
    print(
        f"peak memory {peak():,.0f} MiB, of which {before:,.0f} before the first sync (the bucket)"
    )


def in_other_parts(found: remote.Listing) -> remote.Listing:
    """Return a listing with other etags, as an upload in other parts has."""
    etags = [f'"{i}-7"' for i in range(len(found))]
    return remote.Listing(found.root, found.prefix, found.keys, found.sizes, etags, found.modified)


def count(module: object, name: str, calls: dict[str, int]) -> None:
    """Count the calls of a function."""
    real = getattr(module, name)

    def counted(*args: object, **named: object) -> object:
        calls[name] += 1
        return real(*args, **named)

    setattr(module, name, counted)


def told(title: str, db: slicedb.Database, calls: dict[str, int]) -> None:
    """Sync once and print what it took."""
    calls.update(dict.fromkeys(calls, 0))
    start, cpu = time.perf_counter(), time.process_time()
    report = sync(db.store, "memory://big")
    print(
        f"{title:20} {time.perf_counter() - start:6.1f} s, {time.process_time() - cpu:6.1f} "
        f"processor s: {calls['read']:,} reads, {calls['head']:,} heads, {calls['list']:,} lists; "
        f"{report.added:,} added, {report.changed:,} changed, {report.unchanged:,} unchanged, "
        f"{report.same_bytes:,} the same bytes, {report.vanished:,} vanished"
    )


def peak() -> float:
    """Return the most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def pages(folder: Path) -> None:
    """Let each page of a listing fail, and see that nothing vanishes."""
    store = MemoryStore()
    client.put_in("memory://pages", store)
    for i in range(20):
        obstore.put(store, f"{i:03d}.png", picture(i))
    db = slicedb.open(folder / "pages.slicedb")
    sync(db.store, "memory://pages")
    real = obstore.list
    wrong = 0
    for page in range(20):

        def failing(store: object, prefix: object = None, *, chunk_size: int = 50) -> object:
            for i, one in enumerate(real(store, prefix, chunk_size=1)):
                if i == page and chunk_size > 1:  # noqa: B023
                    raise obstore.exceptions.GenericError("HTTP error: connection closed")
                yield one

        obstore.list = failing
        with contextlib.suppress(SliceDBError):
            sync(db.store, "memory://pages")
            wrong += 1
        wrong += db.query("vanished_at IS NOT NULL").count()
    obstore.list = real
    print(f"listings that failed at each of 20 pages: {wrong} wrong")


def kills(folder: Path, bucket: Bucket, n: int) -> None:
    """Kill `slicedb sync` at random moments, and say it again."""
    for i in range(2000):
        bucket.put(f"kills/{i % 7}/{i:05d}.png", picture(i))
    command = [sys.executable, "-c", "from slicedb.cli import main; main()"]
    clean = slicedb_at(folder / "clean.slicedb", command, f"{bucket.uri}/kills")
    start = time.perf_counter()
    wanted = clean.sql(ASKED)
    took = run(command, folder / "timed.slicedb", f"{bucket.uri}/kills")
    wrong = 0
    rng = random.Random(0)
    for k in range(n):
        path = folder / f"killed{k}.slicedb"
        for _ in range(3):
            process = subprocess.Popen(
                [*command, "--db", str(path), "sync", f"{bucket.uri}/kills"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(rng.uniform(0.3, took))
            process.kill()
            process.wait()
        again = slicedb_at(path, command, f"{bucket.uri}/kills")
        wrong += not again.sql(ASKED).equals(wanted)
        wrong += again.doctor() != []
        shutil.rmtree(path)
    print(f"{3 * n} kills: {wrong} wrong ({time.perf_counter() - start:.0f} s)")


def slicedb_at(path: Path, command: list[str], where: str) -> slicedb.Database:
    """Sync to the end and open the database."""
    run(command, path, where)
    return slicedb.open(path, create=False)


def run(command: list[str], path: Path | str, where: str) -> float:
    """Run one sync, and return the seconds it took."""
    start = time.perf_counter()
    subprocess.run([*command, "--db", str(path), "sync", where], check=True, capture_output=True)
    return time.perf_counter() - start


def writers(bucket: Bucket) -> None:
    """Let four processes sync four folders into one database in a bucket."""
    for i in range(400):
        bucket.put(f"in/{i % 4}/{i:05d}.png", picture(i))
    database = f"{bucket.uri}/data.slicedb"
    slicedb.open(database)
    command = [sys.executable, "-c", "from slicedb.cli import main; main()", "--db", database]
    running = [
        subprocess.Popen(
            [*command, "sync", f"{bucket.uri}/in/{i}", "--prefix", str(i)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for i in range(4)
    ]
    said = [process.communicate()[1].decode() for process in running]
    ids = slicedb.open(database).query("true").ids()
    print(
        f"4 writers: {len(ids)} samples, {len(set(ids))} different, of 400; "
        f"exit statuses {[p.returncode for p in running]}"
    )
    for text in said:
        if text.strip():
            print("   ", text.strip().splitlines()[-1])


def main() -> None:
    """Read the options and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--only", choices=["big", "pages", "kills", "writers"])
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    folder = options.dir / "sync"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if options.only in (None, "big"):
        big(folder, options.keys)
    if options.only in (None, "pages"):
        pages(folder)
    if options.only in (None, "kills", "writers"):
        with serve() as endpoint:
            os.environ.update(
                AWS_ENDPOINT_URL=endpoint,
                AWS_ACCESS_KEY_ID="a",
                AWS_SECRET_ACCESS_KEY="b",
                AWS_REGION="us-east-1",
                AWS_ALLOW_HTTP="true",
            )
            bucket = create(endpoint, "bench")
            if options.only != "writers":
                kills(folder, bucket, options.kills)
            if options.only != "kills":
                writers(bucket)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
