"""Time what the page asks its server for at 1,000,000 rows, by HTTP as a browser asks it.

    python benchmarks/page.py --dir SCRATCH [--rows 1000000] [--only tiles,counts,...]

The rows are those of `query.py`, without pictures: each tile is the gray one of a lost picture.
`slicedb app` runs as a process of its own. Wall milliseconds as a reader waits for them, and the
processor milliseconds of the server, which other work on the machine does not change.

| part | what |
| --- | --- |
| tiles | a query that nobody asked before, until its first 120 tiles have come |
| counts | six facets and two histograms of such a query |
| jumps | 120 tiles at a random place of a sorted query, of an unsorted one, of a SELECT; the last |
| typing | completions of columns, and of the values of a column |
| start | the first query, and the first search by text (250 scenes), of a server just started |
| leaves | seconds until the query of a reader who has left takes no processor time |
| crowd | 50 readers and one writer: errors, and how long tiles and pictures took |
| polls | what a look at the jobs costs, which each tab takes twice a second while one runs |
| memory | what the server has allocated over 1,000 queries, after a ResNet-50 has tried a picture
picture and the encoder was searched with: torch is loaded |
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

from query import build

TILES = 120
FACETS = "label,split,weather,camera,a.prediction,a.correct"
NUMBERS = "lux,a.confidence"
LONG = "SELECT count(*) AS n FROM range(1000000) a(i), range(1000000) b(j) WHERE i * j % 7 = 3"
FORMS = {
    "a column": "lux > {x:.6f}",
    "columns": "weather = 'night' AND lux < {x:.6f} AND camera < 400",
    "a model": "label <> a.prediction AND a.confidence > {x:.6f}",
    "two models": "a.correct AND NOT b.correct AND lux < {x:.6f}",
    "sorted by loss": "lux > {x:.6f} ORDER BY a.loss DESC",
    "sorted by label": "lux > {x:.6f} ORDER BY label",
    "a SELECT": "SELECT id, a.loss FROM samples WHERE lux > {x:.6f} ORDER BY a.loss LIMIT 5000",
}


SEARCH = "lux > {x:.6f} ORDER BY similarity('a plate of {x:.6f} noodles') DESC"
EMBEDDED, WIDTH = 100_000, 128
"""Samples that have a vector, and its length, which is that of the bundled encoder."""


class Page:
    """A running server, and the sessions on it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._links: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._follow, daemon=True).start()
        self.place = ""

    def _follow(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            for link in re.findall(r"http://\S+\?token=\S+", line):
                self._links.put(link)

    def reader(self) -> Reader:
        """Return one more reader, with a session of its own."""
        link = self._links.get(timeout=120)
        self.place = urlsplit(link).netloc
        with urlopen(link) as answer:
            return Reader(self.place, answer.headers["set-cookie"].partition(";")[0])

    def seconds(self) -> float:
        """Return the processor seconds that it has taken."""
        words = (
            Path(f"/proc/{self.process.pid}/stat")
            .read_text(encoding="utf-8")
            .rpartition(")")[2]
            .split()
        )
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def allocated(self) -> int:
        """Return its bytes without the files that it maps."""
        words = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="utf-8").split()
        return (int(words[1]) - int(words[2])) * os.sysconf("SC_PAGE_SIZE")


class Reader:
    """One session, on one connection that is kept."""

    def __init__(self, place: str, cookie: str) -> None:
        self._place, self._cookie = place, cookie
        self._connection = http.client.HTTPConnection(place, timeout=120)

    def send(self, path: str, **parameters: object) -> None:
        """Ask without waiting for the answer."""
        headers = {"Cookie": self._cookie, "X-SliceDB": "1"}
        self._connection.request("GET", f"{path}?{urlencode(parameters)}", headers=headers)

    def ask(self, path: str, **parameters: object) -> bytes:
        """Return the answer.

        Raises:
            OSError: it is an error.
        """
        self.send(path, **parameters)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} {path} {parameters}: {body[:300]!r}")
        return body

    def post(self, path: str, body: bytes | dict[str, object]) -> dict[str, object]:
        """Send a picture, or JSON; returns the answer."""
        kind = "octet-stream" if isinstance(body, bytes) else "json"
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Cookie": self._cookie, "X-SliceDB": "1", "Content-Type": f"application/{kind}"}
        self._connection.request("POST", path, body=data, headers=headers)
        answer: dict[str, object] = json.loads(self._connection.getresponse().read())
        return answer

    def leave(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._connection = http.client.HTTPConnection(self._place, timeout=120)


@contextmanager
def page_on(database: Path) -> Iterator[Page]:
    """Run the server on a database until the block ends."""
    command = [sys.executable, "-m", "slicedb", "--db", str(database), "app", "--no-browser"]
    process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        yield Page(process)
    finally:
        process.terminate()
        process.wait(timeout=30)


def timed(page: Page, ask: Callable[[], object], repeat: int) -> str:
    """Return median and 95th percentile of the wall, and the median of the processor, in ms."""
    walls, spent = [], []
    for _ in range(repeat):
        before, began = page.seconds(), time.perf_counter()
        ask()
        walls.append(1000 * (time.perf_counter() - began))
        spent.append(1000 * (page.seconds() - before))
    late = sorted(walls)[min(int(0.95 * repeat), repeat - 1)]
    return f"{statistics.median(walls):9.0f}{late:9.0f}{statistics.median(spent):9.0f}"


class Fresh:
    """Texts that nobody asked before."""

    def __init__(self) -> None:
        self._random = random.Random(0)

    def text(self, form: str) -> str:
        return form.format(x=0.2 + 0.6 * self._random.random())

    def place(self, n: int) -> int:
        return self._random.randrange(max(n - TILES, 1))


def tiles(reader: Reader, text: str, a: int = 0) -> bytes:
    return reader.ask("/api/pack", q=text, a=a, b=a + TILES, side=160, columns="label")


def measure(page: Page, parts: set[str], repeat: int) -> None:
    """Print the parts that one reader measures on a warm server."""
    reader, fresh = page.reader(), Fresh()
    for form in FORMS.values():  # loads the columns
        tiles(reader, fresh.text(form))
    head = f"{'':34}{'median':>9}{'p95':>9}{'CPU':>9}  ms"
    if "tiles" in parts:
        print(f"query to first {TILES} tiles\n{head}")
        for name, form in FORMS.items():
            ask = lambda form=form: tiles(reader, fresh.text(form))  # noqa: E731
            print(f"  {name:32}{timed(page, ask, repeat)}", flush=True)
    if "counts" in parts:
        print(f"six facets and two histograms\n{head}")
        for name, form in list(FORMS.items())[:5]:
            ask = lambda form=form: reader.ask(  # noqa: E731
                "/api/facets", q=fresh.text(form), by=FACETS, histograms=NUMBERS
            )
            ask()
            print(f"  {name:32}{timed(page, ask, max(repeat // 3, 3))}", flush=True)
    if "jumps" in parts:
        print(f"{TILES} tiles at a random place\n{head}")
        for name in ("a column", "sorted by loss", "a SELECT"):
            text = fresh.text(FORMS[name])
            n = json.loads(reader.ask("/api/count", q=text))["count"]
            began = time.perf_counter()
            tiles(reader, text, fresh.place(n))
            first = 1000 * (time.perf_counter() - began)
            jump = lambda text=text, n=n: tiles(reader, text, fresh.place(n))  # noqa: E731
            print(f"  {name:32}{timed(page, jump, repeat)}   the first {first:.0f}", flush=True)
            size = int.from_bytes((body := tiles(reader, text, n - 1))[:4], "little")
            assert len(json.loads(body[4 : 4 + size])["rows"]) == 1, "the last one is reached"
    if "typing" in parts:
        print(f"completions\n{head}")
        for text in ("lab", "label = 'class_1", "a.prediction IN ('class_2', "):
            ask = lambda text=text: reader.ask("/api/complete", text=text)  # noqa: E731
            ask()
            print(f"  {text:32}{timed(page, ask, repeat)}", flush=True)


def start(folder: Path, database: Path, repeat: int = 3) -> None:
    """Print the first query and the first search by text of a server that was just started."""
    scenes = folder / "scenes.slicedb"
    if not scenes.exists():
        import slicedb
        from slicedb.demo.scenes import write

        db = slicedb.open(scenes)
        db.ingest(write(folder / "scenes", 250, 0), progress=False)
        db.embed(progress=False)
    asked = {
        "the first query, a million rows": (database, "lux > 0.5 AND a.correct"),
        "the first search by text": (scenes, "ORDER BY similarity('a bowl on a table {}') DESC"),
    }
    print(f"after start\n{'':34}{'median':>9}{'most':>9}{'CPU':>9}  ms")
    for name, (path, text) in asked.items():
        walls, spent = [], []
        for run in range(repeat):
            with page_on(path) as page:
                reader = page.reader()
                before, began = page.seconds(), time.perf_counter()
                tiles(reader, text.format(f"{run} {time.time()}"))
                walls.append(1000 * (time.perf_counter() - began))
                spent.append(1000 * (page.seconds() - before))
        figures = statistics.median(walls), max(walls), statistics.median(spent)
        print(f"  {name:32}{''.join(f'{x:9.0f}' for x in figures)}", flush=True)


def leaves(page: Page) -> None:
    """Print how long the query of a reader who left goes on."""
    reader = page.reader()
    reader.send("/api/count", q=LONG)
    before = page.seconds()
    while page.seconds() < before + 1.0:
        time.sleep(0.05)
    reader.leave()
    left = last = time.perf_counter()
    seen = page.seconds()
    while time.perf_counter() < left + 5:
        time.sleep(0.1)
        before, seen = seen, page.seconds()
        if seen - before > 0.03:  # a server that idles takes a hundredth
            last = time.perf_counter()
    print(f"a reader leaves: its query goes on for {last - left:.2f} s", flush=True)


def crowd(page: Page, database: Path, readers: int, seconds: float) -> None:
    """Print errors and waits of many readers while another process relabels."""
    code = (
        "import sys, time, slicedb; db = slicedb.open(sys.argv[1]); turn = 0\n"
        "ends = time.monotonic() + float(sys.argv[2]); keys = db.query('LIMIT 200').keys()\n"
        "while time.monotonic() < ends:\n"
        "    turn += 1; db.relabel(keys, f'class_{turn % 2}'); time.sleep(1)\n"
        "print(turn)"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, str(database), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    spent = page.seconds()
    waits: dict[str, list[float]] = {"tiles": [], "counts": [], "a picture": []}
    errors: list[str] = []
    ends = time.monotonic() + seconds
    every = [page.reader() for _ in range(readers)]

    def read(reader: Reader, seed: int) -> None:
        chance, fresh = random.Random(seed), Fresh()
        fresh._random = chance
        forms = list(FORMS.values())

        def took(what: str, ask: Callable[[], object]) -> None:
            began = time.perf_counter()
            try:
                ask()
                waits[what].append(1000 * (time.perf_counter() - began))
            except OSError as error:
                errors.append(str(error))

        while time.monotonic() < ends:
            text = fresh.text(chance.choice(forms[:-1]))
            took("tiles", lambda text=text: tiles(reader, text))
            number = chance.randrange(100_000)
            took(
                "a picture",
                lambda n=number: reader.ask("/api/picture", id=f"train/{n:08d}.jpg", side=160),
            )
            if chance.random() < 0.2:
                took(
                    "counts",
                    lambda text=text: reader.ask(
                        "/api/facets", q=text, by="label,split", histograms="lux"
                    ),
                )
            time.sleep(chance.random() * 4)

    threads = [threading.Thread(target=read, args=(r, i)) for i, r in enumerate(every)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    out, _ = writer.communicate()
    print(f"{readers} readers, one writer who wrote {out.strip()} times: {len(errors)} errors")
    n = sum(map(len, waits.values()))
    print(f"  {n} answers, {1000 * (page.seconds() - spent) / n:.0f} ms CPU of the server each")
    print("\n".join(sorted({error[:300] for error in errors})[:5]))
    for what, times in waits.items():
        ordered = sorted(times) or [float("nan")]
        late = ordered[int(0.95 * (len(ordered) - 1))]
        print(
            f"  {what:12} {len(times):6} times, median {statistics.median(ordered):.0f} ms, "
            f"p95 {late:.0f} ms, most {ordered[-1]:.0f} ms",
            flush=True,
        )


def polls(page: Page, times: int = 400) -> None:
    """Print what a look at the jobs costs, of fifty that are over."""
    reader = page.reader()
    for _ in range(50):
        reader.post("/api/jobs", {"kind": "project", "of": "none"})
        while json.loads(reader.ask("/api/jobs"))["jobs"][0]["state"] == "running":
            time.sleep(0.05)
    before, began = page.seconds(), time.perf_counter()
    size = sum(len(reader.ask("/api/jobs")) for _ in range(times)) // times
    spent, passed = page.seconds() - before, time.perf_counter() - began
    print(
        f"a look at the jobs: {1000 * spent / times:.2f} ms CPU, {1000 * passed / times:.1f} ms, "
        f"{size} bytes",
        flush=True,
    )


def equip(database: Path) -> None:
    """Give a database a network of torch, and vectors of the bundled encoder for a part of it."""
    import numpy as np
    import pyarrow as pa
    import torch
    import torchvision

    import slicedb
    from slicedb.schema import EMBEDDINGS

    db = slicedb.open(database)
    if not db.models.can_load("net"):
        weights = database.with_name("net.pt")
        torch.save(torchvision.models.resnet50(num_classes=11).state_dict(), weights)
        classes = [f"class_{i}" for i in range(11)]
        db.models.add("net", "torchvision:resnet50", weights=weights, classes=classes)
    if not db.store.has(EMBEDDINGS + "default"):
        ids = [f"train/{i:08d}.jpg" for i in range(EMBEDDED)]
        vectors = np.random.default_rng(0).standard_normal((EMBEDDED, WIDTH)).astype(np.float32)
        rows = pa.table({"id": ids, "vector": list(vectors)})
        db.log_embeddings("default", rows, encoder="slicedb-tiny")


def memory(page: Page, queries: int) -> None:
    """Print what the server has allocated while it answers many queries, torch loaded."""
    reader, fresh = page.reader(), Fresh()
    forms = [*FORMS.values(), SEARCH]
    figures = [f"{page.allocated() / 1e6:.0f} at start"]
    name = reader.post("/api/uploads", jpeg())["name"]
    reader.ask("/api/try", model="net", picture=name)
    similar = "ORDER BY similarity(image($upload)) DESC"
    reader.ask("/api/page", q=similar, a=0, b=20, p=json.dumps({"upload": name}))
    figures.append(f"{page.allocated() / 1e6:.0f} with torch")
    for number in range(queries + 1):
        if number % (queries // 5) == 0:
            time.sleep(2)
            figures.append(f"{page.allocated() / 1e6:.0f}")
        text = fresh.text(forms[number % len(forms)])
        tiles(reader, text)
        if number % 10 == 0:
            reader.ask("/api/facets", q=text, by="label,split", histograms="lux")
    print(f"memory over {queries} queries, MB: {', '.join(figures)}", flush=True)


def jpeg() -> bytes:
    """Return a picture."""
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.linear_gradient("L").resize((800, 600)).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def main() -> None:
    """Build what is missing, and print the parts."""
    every = "tiles,counts,jumps,typing,start,leaves,crowd,polls,memory"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--only", default=every, help=every)
    parser.add_argument("--readers", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--queries", type=int, default=1000)
    options = parser.parse_args()
    parts = {part.strip() for part in options.only.split(",")}
    options.dir.mkdir(parents=True, exist_ok=True)
    database = Path(build(options.dir, options.rows, vectors=False).path)
    if parts & {"tiles", "counts", "jumps", "typing"}:
        with page_on(database) as page:
            measure(page, parts, options.repeat)
    if "start" in parts:
        start(options.dir, database)
    if "leaves" in parts:
        with page_on(database) as page:
            leaves(page)
    if "crowd" in parts:
        with page_on(database) as page:
            crowd(page, database, options.readers, options.seconds)
    if "polls" in parts:
        with page_on(database) as page:
            polls(page)
    if "memory" in parts:
        equip(database)
        with page_on(database) as page:
            memory(page, options.queries)


if __name__ == "__main__":
    main()
