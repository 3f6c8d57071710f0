"""Four processes that change one database at the same moment, and what has to be there then."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from fakes_models import MeanColour
from fakes_server import server
from fakes_verbs import CLASSES, NAMED, ColourEncoder, guesses

import slicedb
from slicedb.database import Database
from slicedb.errors import SliceDBError

PROCESSES = 4
_INTERNAL = re.compile(
    r"lance|\.rs\b|retryable|merge.?insert|ambiguous|preempted|manifest|arrow|fragment|traceback",
    re.IGNORECASE,
)
"""Words that a message about another process may not hold."""


@dataclass(frozen=True)
class Act:
    """One verb as process `n` of four says it in round `at`, and whether its result is there."""

    run: Callable[[Database, int, int], object]
    is_there: Callable[[Database, int, int], bool]
    undone_by: tuple[str, ...] = ()
    """Acts that may take its result away again."""


def own(n: int) -> str:
    """Return the sample that process n changes."""
    return f"green/{n}.png" if n < 3 else "blue/0.png"


def _row(db: Database, sample: str) -> dict[str, Any]:
    rows: list[dict[str, Any]] = db.store.table(
        "samples", ["id", "label", "tags"], where=f"id = '{sample}'"
    ).to_pylist()
    return rows[0] if rows else {"tags": [], "label": None}


def _once(db: Database, table: str) -> bool:
    """Return whether every sample has one row: of none nothing is lost, of none two are kept."""
    ids = db.store.table(table, ["id"])["id"].to_pylist()
    samples = db.store.table("samples", ["id"])["id"].to_pylist()
    return len(ids) == len(set(ids)) and set(samples) <= set(ids)


def _vectors(n: int) -> pa.Table:
    rng = np.random.default_rng(n)
    return pa.table({"id": [own(n)], "vector": rng.random((1, 4)).tolist()})


def _adds(db: Database, n: int, at: int) -> None:
    db.models.add("shared", MeanColour(10.0 * at + n + 1), replace=True)


def _added(db: Database, n: int, at: int) -> bool:
    facts = db.models.show("shared")
    numbers = [old["version"] for old in facts.details.get("earlier", [])]
    return [*numbers, facts.version] == list(range(1, facts.version + 1)) and (
        MeanColour(10.0 * at + n + 1).fingerprint()[:8]
        in {f[:8] for f in [facts.fingerprint, *_earlier(facts.details)]}
    )


def _earlier(details: dict[str, Any]) -> list[str]:
    return [old["fingerprint"] for old in details.get("earlier", [])]


def _predicts(db: Database, n: int, at: int) -> None:
    db.models._loaded["mean"] = MeanColour()
    db.predict("mean", progress=False)


def _ingests(db: Database, n: int, at: int) -> None:
    uris = db.store.table("samples", ["uri"])["uri"].to_pylist()
    pictures = Path(uris[0]).parents[1]  # the same files, and ids, in each process
    db.ingest(pictures, prefix=f"p{at}", replace=True, progress=False)


def _ingested(db: Database, n: int, at: int) -> bool:
    for table in ("samples", "images"):
        ids = db.store.table(table, ["id"])["id"].to_pylist()
        if len([i for i in ids if i.startswith(f"p{at}/")]) != len(NAMED):
            return False
    return True


ACTS: dict[str, Act] = {
    "ingest": Act(_ingests, _ingested, ("reset",)),
    "tag": Act(
        lambda db, n, at: db.tag("label IS NOT NULL", f"t{n}.{at}"),
        lambda db, n, at: f"t{n}.{at}" in (_row(db, "red/0.png")["tags"] or []),
        ("reset",),
    ),
    "relabel": Act(
        lambda db, n, at: db.relabel(f"id = '{own(n)}'", f"l{n}.{at}"),
        lambda db, n, at: _row(db, own(n))["label"] == f"l{n}.{at}",
        ("reset",),
    ),
    "add slice": Act(
        lambda db, n, at: db.slices.add("s", f"key > {n} AND key > {at}", replace=True),
        lambda db, n, at: any(
            s.text == f"key > {n} AND key > {at}" for s in db.slices.history("s")
        ),
        ("reset",),
    ),
    "freeze": Act(
        lambda db, n, at: db.slices.freeze("seen"),
        lambda db, n, at: any(s.kind == "frozen" for s in db.slices.history("seen")),
        ("reset",),
    ),
    "commit": Act(
        lambda db, n, at: db.commit(f"c{n}.{at}", tag=f"c{n}.{at}"),
        lambda db, n, at: f"c{n}.{at}" in {t for c in db.commits.history() for t in c.tags},
    ),
    "log": Act(
        lambda db, n, at: db.log_predictions("m", guesses(CLASSES[(n + at) % 3])),
        lambda db, n, at: _once(db, "predictions__m"),
        ("reset", "ingest"),
    ),
    "log anew": Act(
        lambda db, n, at: db.log_predictions(
            "r", guesses(CLASSES[n % 3]), classes=CLASSES, replace=True
        ),
        lambda db, n, at: _once(db, "predictions__r"),
        ("reset", "ingest"),
    ),
    "log embeddings": Act(
        lambda db, n, at: db.log_embeddings("own", _vectors(n)),
        lambda db, n, at: _once(db, "embeddings__own"),
        ("reset", "ingest"),
    ),
    "predict": Act(
        _predicts, lambda db, n, at: _once(db, "predictions__mean"), ("reset", "ingest")
    ),
    "embed": Act(
        lambda db, n, at: db.embed(name="colours", encoder=ColourEncoder(), progress=False),
        lambda db, n, at: _once(db, "embeddings__colours"),
        ("reset", "ingest"),
    ),
    "add model": Act(_adds, _added, ("reset",)),
    "test": Act(
        lambda db, n, at: db.test(["reds"], model="m", predict=False),
        lambda db, n, at: all(
            len(t.points) == min(20, len(db.runs.list("test"))) for t in db.runs.trends("reds")
        ),
    ),
    "reset": Act(
        lambda db, n, at: db.commits.reset("first"),
        lambda db, n, at: db.commits.cut_off() is None,
    ),
}


@dataclass(frozen=True)
class Said:
    """What one process reports of one act."""

    number: int
    done: bool
    message: str = ""
    is_ours: bool = True

    @property
    def is_fit(self) -> bool:
        """Whether the message is one of ours that a user can act on."""
        return self.is_ours and not _INTERNAL.search(self.message)


class Four:
    """Four processes that do what they are told, at the same moment."""

    def __init__(self) -> None:
        context = server()
        self._barrier = barrier = context.Barrier(PROCESSES)
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(PROCESSES):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, barrier, number))
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def act(self, path: str | Path, names: tuple[str, ...], at: int) -> list[Said]:
        """Let process n do act n % len(names) at a database."""
        for number, pipe in enumerate(self._pipes):
            pipe.send((str(path), names[number % len(names)], at))
        return [pipe.recv() for pipe in self._pipes]

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.send(None)
        for process in self._processes:
            process.join()


@contextmanager
def four() -> Iterator[Four]:
    processes = Four()
    try:
        yield processes
    finally:
        processes.close()


def _serve(pipe: Connection, barrier: Barrier, number: int) -> None:
    opened: dict[str, Database] = {}
    while (wanted := pipe.recv()) is not None:
        path, name, at = wanted
        if path not in opened:
            opened = {path: slicedb.open(path, create=False)}
        db = opened[path]
        barrier.wait(120)
        try:
            ACTS[name].run(db, number, at)
            pipe.send(Said(number, True))
        except SliceDBError as error:
            pipe.send(Said(number, False, str(error)))
        except BaseException as error:
            pipe.send(Said(number, False, f"{type(error).__name__}: {error}", is_ours=False))


def wrong(path: str | Path, names: tuple[str, ...], at: int, said: list[Said]) -> list[str]:
    """Return what is not as it should be after a round."""
    db = slicedb.open(path, create=False)
    faults = [f"{names[s.number % len(names)]}: {s.message}" for s in said if not s.is_fit]
    for each in said:
        name = names[each.number % len(names)]
        act = ACTS[name]
        lasting = not set(act.undone_by) & set(names)
        if each.done and lasting and not act.is_there(db, each.number, at):
            faults.append(f"{name} of process {each.number} was acknowledged and is not there")
    harmless = ["stray pins", "cut-off checkout", "cut-off creation", "fragments"]
    if "reset" in names:  # which takes the samples of an ingest away after their images
        harmless.append("orphans")
    return faults + [str(f) for f in db.doctor() if f.problem not in harmless]
