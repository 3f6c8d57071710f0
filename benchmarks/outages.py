"""A database in a bucket that fails: 15 % faults, an outage that lasts, and kill -9.

    python benchmarks/outages.py --dir SCRATCH --seeds 50
    python benchmarks/outages.py --dir SCRATCH --only gone
    python benchmarks/outages.py --dir SCRATCH --only gone --ways silent cut --verbs commit query
    python benchmarks/outages.py --dir SCRATCH --only gone --python
    python benchmarks/outages.py --dir SCRATCH --only kills --kills 10

`faults`: ingest, predict and commit through a proxy before moto's S3 that fails 15 % of requests:
503, cut, or done with the answer lost; what raises is said again, as a user would. Then everything
is read past the proxy: every picture once, every prediction once and of the picture that is there,
and every commit that was made stands for versions that are there. `gone`: the store goes away for
good in the middle of each verb, in ten ways (`gone.py`). `kills`: the shell, ended with SIGKILL at
random moments and said again. Both are held against one clean run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
from PIL import Image

import slicedb
from slicedb.database import Database
from slicedb.errors import SliceDBError

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from fakes_bucket import create, serve
from fakes_proxy import Faults, proxy
from gone import HOWS, KEYS, Scene, gone
from gone import VERBS as GONE

N = 24
CODE = """
from slicedb.models import Model

class MeanColour(Model):
    classes = ("red", "green", "blue")
    input_size = 8
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

    def predict_batch(self, images):
        return 10.0 * images.mean((2, 3))

def build():
    return MeanColour()
"""
AGAIN = 8
"""How often a verb is said again that failed."""


def prepare(folder: Path) -> tuple[Path, str]:
    """Write pictures of all colours, and a model; returns the folder and the spec."""
    for i in range(N):
        colour = ("red", "green", "blue")[i % 3]
        file = folder / "photos" / colour / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16 + i, 12), colour if colour != "green" else "lime").save(file)
    (folder / "model.py").write_text(CODE)
    return folder / "photos", f"{folder / 'model.py'}:build"


def facts(db: Database) -> list[tuple[object, ...]]:
    """Return a row per sample and prediction, which two equal databases share."""
    asked = "SELECT id, sha256, label, status, m.prediction, m.confidence, m.correct, m.loss "
    return [tuple(row.values()) for row in db.sql(asked + "FROM samples ORDER BY id").to_pylist()]


def doubled(db: Database) -> list[str]:
    """Return tables in which an id stands twice, or a prediction is of another picture."""
    wrong = []
    for name in db.store.names():
        ids = db.store.table(name, ["id"])["id"].to_pylist()
        if len(ids) != len(set(ids)):
            wrong.append(name)
    samples = db.store.table("samples", ["key", "sha256"])
    content = dict(zip(samples["key"].to_pylist(), samples["sha256"].to_pylist()))
    rows = db.store.table("predictions__m", ["key", "content"])
    for key, number in zip(rows["key"].to_pylist(), rows["content"].to_pylist()):
        if int(content[key][:15], 16) != number:
            wrong.append(f"stale {key}")
    return wrong


def insisting(what: object) -> int:
    """Call a function until it does not fail; returns how often it did."""
    for times in range(AGAIN):
        try:
            what()  # type: ignore[operator]
            return times
        except SliceDBError as error:
            last = error
    raise last


def steps(where: str, endpoint: str, photos: Path, spec: str) -> tuple[Database, int]:
    """Ingest, predict, commit; returns the database and how often something was said again."""
    options = {"endpoint": endpoint, **KEYS} if "://" in where else None
    opened: list[Database] = []
    said = insisting(lambda: opened.append(slicedb.open(where, storage_options=options)))
    db = opened[-1]
    said += insisting(lambda: db.ingest(photos, progress=False))
    said += insisting(lambda: db.models.add("m", spec, replace=True))
    said += insisting(lambda: db.predict("m", progress=False))
    said += insisting(lambda: db.commit("all of it"))
    return db, said


def faults(folder: Path, endpoint: str, seeds: int, share: float) -> None:
    photos, spec = prepare(folder)
    clean, _ = steps(str(folder / "clean.slicedb"), endpoint, photos, spec)
    wanted = facts(clean)
    bad: list[str] = []
    again = asked = failed = commits = 0
    began = time.perf_counter()
    for seed in range(seeds):
        create(endpoint, f"faults-{seed}")
        where, wrong = f"s3://faults-{seed}/x.slicedb", Faults(share, seed)
        with proxy(endpoint, wrong) as address:
            db, said = steps(where, address, photos, spec)
            through = facts(db)
        again, asked, failed = again + said, asked + wrong.asked, failed + wrong.failed
        slicedb.sources.use(f"s3://faults-{seed}", {"endpoint": endpoint})
        past = slicedb.open(where, create=False)
        listed = past.commits.history()
        commits += len(listed)
        if facts(past) != wanted or through != wanted:
            bad.append(f"seed {seed}: other rows")
        bad += [f"seed {seed}: {what}" for what in doubled(past)]
        bad += [f"seed {seed}: no commit"] if not listed else []
        for one in listed:  # a manifest's row is written last: what it names is there
            if facts(past.at(one.id)) != wanted:
                bad.append(f"seed {seed}: commit {one.id} is not what was committed")
    print(
        f"faults: {seeds} seeds, {failed:,} of {asked:,} requests failed ({failed / asked:.0%}); "
        f"{again} verbs said again, {commits} commits; {len(bad)} wrong "
        f"({time.perf_counter() - began:.0f} s)"
    )
    for line in bad[:10]:
        print(f"  {line}")


def shell(where: str, address: str, *words: str) -> list[str]:
    given = [f"--storage-option={k}={v}" for k, v in {"endpoint": address, **KEYS}.items()]
    return [sys.executable, "-m", "slicedb", "--db", where, *given, *words]


VERBS = ("ingest", "predict", "commit")


def words_of(verb: str, photos: Path) -> list[str]:
    """Return the words of a verb in the shell."""
    own = {"ingest": [str(photos)], "predict": ["m"], "commit": ["all of it"]}
    return [verb, *own[verb]]


def kills(folder: Path, endpoint: str, n: int) -> None:
    photos, spec = prepare(folder)
    clean, _ = steps(str(folder / "clean.slicedb"), endpoint, photos, spec)
    wanted, bad, landed = facts(clean), 0, 0
    chance = random.Random(0)
    for i in range(n):
        create(endpoint, f"kills-{i}")
        where = f"s3://kills-{i}/x.slicedb"
        options = {"endpoint": endpoint, **KEYS}
        verb = VERBS[i % 3]
        if verb != "ingest":
            db = slicedb.open(where, storage_options=options)
            db.ingest(photos, progress=False)
            db.models.add("m", spec)
        command = shell(where, endpoint, *words_of(verb, photos))
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.0 + chance.random() * 4)
        landed += child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
        after, _ = steps(where, endpoint, photos, spec)
        bad += facts(after) != wanted or bool(doubled(after))
    print(f"kills: {n} with SIGKILL, {landed} in the midst; {bad} differ from a clean run")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--only", choices=("faults", "gone", "kills"))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--share", type=float, default=0.15)
    parser.add_argument("--kills", type=int, default=9)
    parser.add_argument("--ways", nargs="+", choices=HOWS, default=HOWS)
    parser.add_argument("--verbs", nargs="+", choices=[verb.name for verb in GONE], default=())
    parser.add_argument("--python", action="store_true", help="say the verbs in Python")
    parser.add_argument("--at-once", type=int, default=3)
    args = parser.parse_args()
    shutil.rmtree(args.dir, ignore_errors=True)
    args.dir.mkdir(parents=True)
    os.environ["XDG_CACHE_HOME"] = str(args.dir / "cache")
    os.environ["SLICEDB_CONFIG"] = str(args.dir / "settings")
    pa.set_cpu_count(2)
    with serve() as endpoint:
        if args.only in (None, "faults"):
            faults(args.dir, endpoint, args.seeds, args.share)
        if args.only in (None, "gone"):
            scene = Scene(args.dir, endpoint, *prepare(args.dir), in_python=args.python)
            gone(scene, args.ways, args.verbs, args.at_once)
        if args.only in (None, "kills"):
            kills(args.dir, endpoint, args.kills)


if __name__ == "__main__":
    main()
