"""A store that goes away for good in the middle of a verb: `outages.py --only gone`.

Each verb is run once on a whole store, which tells how many requests it makes and how the database
looks afterwards. Then it is run on copies whose store is gone from the middle of those requests on,
in each of the ways of `fakes_proxy.ENDS`, and where the host has no address. It has to end with one
line, exit status 1 and within a minute, and the same command has to lead to the same state after.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import obstore
from fakes_bucket import create
from fakes_proxy import ENDS, Faults, proxy
from fakes_verbs import state

import slicedb
from slicedb.sources import client

KEYS = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region": "us-east-1"}
NO_HOST = "no address"
HOWS = (*ENDS, NO_HOST)
SUITE = "/*\nslice: reds\nexpect: [accuracy >= 0.5]\n*/\nlabel = 'red'\n"
LIMIT = 60.0
"""Seconds in which a verb has to end."""


@dataclass(frozen=True)
class Verb:
    """What is said in the shell; `{photos}` and the like are filled in."""

    name: str
    words: tuple[str, ...]
    code: str
    """The same in Python."""
    is_source: bool = False
    """Whether the source lies in the bucket, and the database here."""


VERBS = (
    Verb(
        "query", ("query", "label = 'red'", "--format", "json"), "db.query(\"label = 'red'\").ids()"
    ),
    Verb("ingest", ("ingest", "{more}"), "db.ingest('{more}')"),
    Verb("predict", ("predict", "n"), "db.predict('n')"),
    Verb("embed", ("embed",), "db.embed()"),
    Verb("commit", ("commit", "all of it"), "db.commit('all of it')"),
    Verb(
        "relabel",
        ("relabel", "id = 'red/0.png'", "green"),
        "db.relabel(\"id = 'red/0.png'\", 'green')",
    ),
    Verb("tag", ("tag", "label = 'blue'", "seen"), "db.tag(\"label = 'blue'\", 'seen')"),
    Verb("test", ("test", "{suite}", "--model", "m"), "db.test('{suite}', model='m')"),
    Verb("evaluate", ("evaluate", "m"), "db.evaluate('m')"),
    Verb(
        "export",
        ("export", "label = 'red'", "{dest}.csv"),
        "db.export(\"label = 'red'\", '{dest}.csv')",
    ),
    Verb("sync", ("sync", "{source}"), "db.sync('{source}')", is_source=True),
    Verb("ingest s3", ("ingest", "{source}"), "db.ingest('{source}')", is_source=True),
    Verb(
        "reference",
        ("ingest", "{source}", "--reference"),
        "db.ingest('{source}', reference=True)",
        is_source=True,
    ),
)
PYTHON = """
import sys, slicedb
from slicedb.errors import UnreachableError
from slicedb.sources import use
use({root!r}, {options!r})
try:
    db = slicedb.open({where!r})
    {code}
except UnreachableError as error:
    sys.exit(f"Error: {{error}}")
"""
"""A verb in Python: any other error is a traceback, which is more than one line."""


class Scene:
    """What every case starts from a copy of: a database here and in a bucket, and pictures.

    Args:
        folder: scratch.
        endpoint: of the store.
        photos: a folder of pictures.
        spec: of a model.
        in_python: whether verbs are said in Python.
    """

    def __init__(
        self, folder: Path, endpoint: str, photos: Path, spec: str, in_python: bool = False
    ) -> None:
        self.in_python = in_python
        self.folder, self.endpoint, self.photos, self.spec = folder, endpoint, photos, spec
        self._n, self._lock = 0, threading.Lock()
        self._local = folder / "base.slicedb"
        self._far = self._bucket()
        (folder / "suite").mkdir()
        (folder / "suite" / "reds.sql").write_text(SUITE)
        more = folder / "more" / "red"
        more.mkdir(parents=True)
        for i, file in enumerate(sorted(photos.rglob("*.png"))[:8]):
            shutil.copy(file, more / f"more-{i}.png")
        for where in (str(self._local), f"{self._far}/x.slicedb"):
            db = slicedb.open(where)
            db.ingest(photos, progress=False)
            db.models.add("m", spec)
            db.models.add("n", spec)
            db.predict("m", progress=False)
        for file in sorted(photos.rglob("*.png")):
            key = f"photos/{file.relative_to(photos).as_posix()}"
            obstore.put(client.client(self._far), f"new/{key}", file.read_bytes())

    def _bucket(self) -> str:
        """Make a bucket that this process reaches without the proxy."""
        with self._lock:
            self._n += 1
            name = f"gone-{self._n}"
        root = create(self.endpoint, name).uri
        client.use(root, {"endpoint": self.endpoint, **KEYS})
        return root

    def copied(self, verb: Verb) -> tuple[str, str]:
        """Return a copy: the database, and the bucket that is asked for."""
        root = self._bucket()
        start = "new/" if verb.is_source else "x.slicedb/"
        for page in obstore.list(client.client(self._far), start):
            for one in page:
                data = bytes(obstore.get(client.client(self._far), one["path"]).bytes())
                obstore.put(client.client(root), one["path"], data)
        if not verb.is_source:
            return f"{root}/x.slicedb", root
        where = self.folder / root.rpartition("/")[2]
        shutil.copytree(self._local, where)
        return str(where), root

    def command(self, verb: Verb, where: str, root: str, address: str) -> list[str]:
        """Return a verb as it is said in the shell, or in Python."""
        given = {"more": self.folder / "more", "suite": self.folder / "suite"}
        filled = {
            **{name: str(path) for name, path in given.items()},
            "source": f"{root}/new/photos",
            "dest": str(self.folder / f"out-{root.rpartition('/')[2]}"),
        }
        given_options = {"endpoint": address, **KEYS}
        if self.in_python:
            code = verb.code.format(**filled)
            text = PYTHON.format(root=root, options=given_options, where=where, code=code)
            return [sys.executable, "-c", text]
        words = [word.format(**filled) for word in verb.words]
        options = [f"--storage-option={k}={v}" for k, v in given_options.items()]
        return [sys.executable, "-m", "slicedb", "--db", where, words[0], *options, *words[1:]]

    def left(self, verb: Verb, root: str, where: str) -> dict[str, object]:
        """Return what a verb left behind: the rows, and the file that it wrote."""
        out = self.folder / f"out-{root.rpartition('/')[2]}.csv"
        own = re.compile(rf"{root}|http://127\.0\.0\.1:\d+")  # of this case
        rows = {k: own.sub("", v) for k, v in state(slicedb.open(where)).items()}
        return {**rows, "file": out.read_text() if out.exists() else ""}


@dataclass(frozen=True)
class Case:
    """How one verb ended."""

    verb: str
    how: str
    status: int
    seconds: float
    lines: list[str]
    other: str
    """What differs from a clean run after the second one; "" is nothing."""

    @property
    def is_right(self) -> bool:
        """Whether it ended as it should, or did its work all the same."""
        ended = self.status == 1 and len(self.lines) == 1 and self.seconds <= LIMIT
        return not self.other and (ended or self.status == 0)


def _clean(scene: Scene, verb: Verb) -> tuple[int, dict[str, object]]:
    """Return how many requests a verb makes, and what it leaves behind."""
    where, root = scene.copied(verb)
    faults = Faults()
    began = time.perf_counter()
    with proxy(scene.endpoint, faults) as address:
        done = subprocess.run(
            scene.command(verb, where, root, address), capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    print(f"whole store: {verb.name}, {faults.asked} requests, {time.perf_counter() - began:.1f} s")
    return faults.asked, scene.left(verb, root, where)


def _case(scene: Scene, verb: Verb, how: str, asked: int, clean: dict[str, object]) -> Case:
    where, root = scene.copied(verb)
    faults = Faults()
    with proxy(scene.endpoint, faults) as address:
        if how == NO_HOST:
            port = address.rpartition(":")[2]
            command = scene.command(verb, where, root, f"http://no-host.invalid:{port}")
        else:
            command = scene.command(verb, where, root, address)
            faults.end, faults.left = how, asked // 2
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True)
        seconds = time.perf_counter() - began
        faults.mend()
        again = subprocess.run(
            scene.command(verb, where, root, address), capture_output=True, text=True
        )
    left = scene.left(verb, root, where)
    other = ", ".join(name for name in {**clean, **left} if clean.get(name) != left.get(name))
    if again.returncode:
        other = f"exit {again.returncode}: {again.stderr[-200:]}"
    lines = done.stderr.strip().splitlines()
    return Case(verb.name, how, done.returncode, seconds, lines, other)


def gone(
    scene: Scene, hows: Sequence[str] = HOWS, verbs: Sequence[str] = (), at_once: int = 3
) -> None:
    """Run every verb against a store that is gone in every way, and print how each ended."""
    chosen = [verb for verb in VERBS if not verbs or verb.name in verbs]
    began, cases = time.perf_counter(), []
    with ThreadPoolExecutor(at_once) as pool:
        known = dict(zip(chosen, pool.map(lambda verb: _clean(scene, verb), chosen)))
        asked = [(verb, how) for how in hows for verb in chosen]
        for case in pool.map(lambda a: _case(scene, *a, *known[a[0]]), asked):
            cases.append(case)
            line = case.lines[-1][:110] if case.lines else ""
            print(
                f"gone, {case.how:10} {case.verb:10} exit {case.status}, {case.seconds:5.1f} s, "
                f"{len(case.lines)} line; again equals a clean run: {case.other or True}"
                f"{'' if case.is_right else '  <-- WRONG'}\n  {line}",
                flush=True,
            )
    ended = [case for case in cases if case.status]
    print(
        f"gone: {len(cases)} cases, {len(cases) - len(ended)} did their work all the same; "
        f"{sum(not case.is_right for case in cases)} wrong; the longest took "
        f"{max((case.seconds for case in ended), default=0.0):.0f} s of {LIMIT:.0f} "
        f"({os.getloadavg()[0]:.0f} processes at work, {time.perf_counter() - began:.0f} s)"
    )
