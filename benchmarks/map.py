"""Time the page's map in a real browser without a GPU: first points, a pan, a lasso, a named slice.

    python benchmarks/map.py --dir SCRATCH [--rows 100000 1000000]

Samples without pictures, in twelve clouds of points. The browser is Debian's `chromium`, headless,
driven by Playwright; the server is the real one, in this process. "First" runs from the request
for the page to the frame that shows all points, of a server that has shown the map before
("cold": that has not). A pan is one frame of a drag, painted; a lasso lasts from the release of
the button to the frame in which what it leaves out is gray.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

import slicedb
from slicedb.schema import MAPS, MAPS_SCHEMA, SAMPLES, keys_of
from slicedb.vectors.projection import ABOUT
from slicedb.web import server

if TYPE_CHECKING:
    from playwright.sync_api import Page

CLOUDS = 12
LISTEN = """
window.told = {painted: [], outlined: [], all: null, coloured: null};
for (const name of ["painted", "outlined"])
  document.addEventListener(name, (event) => told[name].push(event.detail.seconds));
document.addEventListener("painted", (event) => {
  const legend = document.querySelector("#legend tbody tr");
  if (told.all === null && event.detail.points === ROWS) told.all = performance.now();
  if (told.coloured === null && legend) told.coloured = performance.now();
});
"""

NAME = """async ([url, body]) => {
  const headers = {"X-SliceDB": "1", "Content-Type": "application/json"};
  const answer = await fetch(url, {method: "POST", body: JSON.stringify(body), headers});
  return (await answer.json()).count;
}"""


def filled(folder: Path, n: int) -> slicedb.Database:
    """Return a database of n samples with a map, made where it is missing."""
    path = folder / f"map-{n}.slicedb"
    is_there = path.exists()
    db = slicedb.open(path)
    if is_there:
        return db
    random = np.random.default_rng(0)
    cloud = random.integers(0, CLOUDS, n)
    ids = pa.array([f"s{i:07d}" for i in range(n)])
    own = {"id": ids, "key": keys_of(ids)}
    labels = pa.array([f"class {i:02d}" for i in range(CLOUDS)]).take(pa.array(cloud))
    ok = {"label": labels, "status": pa.repeat("ok", n)}
    db.store.append(SAMPLES, pa.table(own | ok))
    turn = cloud * 2.4
    middle = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (1 + cloud[:, None] / 4)
    at = (middle + random.normal(0, 0.35, (n, 2))).astype(np.float32)
    more = {"fingerprint": np.zeros(n, np.int64), "fit": np.ones(n, bool)}
    points = own | {"x": at[:, 0], "y": at[:, 1]} | more
    made = {"method": "pca", "embedding": "default", "fingerprint": {}, "dim": 2, "model": {}}
    schema = MAPS_SCHEMA.with_metadata({ABOUT: json.dumps(made)})
    db.store.create(MAPS + "pca", schema, pa.table(points, schema=schema))
    return db


def lasso(page: Page, corners: int) -> None:
    """Drag around about half of the points."""
    box: Any = page.locator("#points").bounding_box()
    page.mouse.move(box["x"] + 0.64 * box["width"], box["y"] + 0.5 * box["height"])
    page.mouse.down()
    for i in range(corners + 1):
        turn, far = 2 * math.pi * i / corners, 0.19 + 0.015 * math.sin(i)
        x = 0.45 + far * math.cos(turn)
        y = 0.5 + 1.3 * far * math.sin(turn)
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.mouse.up()


def count(page: Page) -> int:
    text = page.locator("#count").inner_text()
    return int(text.split(" ")[0].replace(",", "")) if text else -1


def visit(page: Page, url: str, n: int) -> tuple[float, float]:
    """Open the map; return seconds until all points are there, and until they have colours."""
    page.goto(url)
    page.locator("#legend tbody tr").first.wait_for(timeout=60_000)
    page.wait_for_timeout(300)
    told = page.evaluate("[told.all, told.coloured]")
    return told[0] / 1000, told[1] / 1000


def measured(db: slicedb.Database, n: int, path: str, repeat: int) -> None:
    """Print the figures of one database."""
    from playwright.sync_api import sync_playwright

    app = server(db, port=0)
    app.start()
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(LISTEN.replace("ROWS", str(n)))
        page.goto(app.link())
        page.wait_for_url(lambda url: "token" not in url)
        url = f"{app.address}map"
        cold = visit(page, url, n)
        warm = [visit(page, url, n) for _ in range(repeat)]
        first, coloured = (statistics.median(each) for each in zip(*warm))
        page.evaluate("told.painted = []")
        box: Any = page.locator("#points").bounding_box()
        page.mouse.move(box["x"] + 400, box["y"] + 300)
        page.mouse.down()
        page.mouse.move(box["x"] + 600, box["y"] + 350, steps=40)
        page.mouse.up()
        pans = page.evaluate("told.painted")
        page.keyboard.press("0")
        page.keyboard.press("f")
        taken, whole, length = [], [], 0
        for _ in range(repeat):
            page.evaluate("told.outlined = []")
            lasso(page, 300)
            began = time.perf_counter()
            while count(page) == n or not page.locator("#text").input_value():
                page.wait_for_timeout(5)
            asked = page.locator("#text").input_value()
            name = f"half_{time.time_ns()}"
            half = page.evaluate(NAME, [f"{app.address}api/slices", {"name": name, "text": asked}])
            whole.append(time.perf_counter() - began)
            taken.append(page.evaluate("told.outlined[0]"))
            length = len(asked)
            assert count(page) == half and n * 0.3 < half < n * 0.7, (count(page), half)
            page.go_back()
            while count(page) != n:
                page.wait_for_timeout(20)
            page.locator("#points").focus()
        browser.close()
    app.stop()
    print(f"{n:,} points, 1280 x 800")
    print(f"  first: {first:.2f} s all points, {coloured:.2f} s coloured (cold {cold[0]:.2f} s)")
    print(f"  pan: median {statistics.median(pans) * 1000:.1f} ms, most {max(pans) * 1000:.1f} ms")
    print(f"  lasso: median {statistics.median(taken) * 1000:.0f} ms of {len(taken)}")
    print(f"  lasso of {half:,} to a named slice and its count: {statistics.median(whole):.2f} s")
    print(f"  its query: {length:,} bytes")


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    for n in options.rows:
        measured(filled(options.dir, n), n, options.chromium, options.repeat)


if __name__ == "__main__":
    main()
