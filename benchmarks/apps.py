"""Time the pages of SliceDB, FiftyOne, LightlyStudio and embedding-atlas on the same pictures.

    python benchmarks/apps.py --dir SCRATCH --data DATA [--n 10000] [--repeat 5]
        [--fiftyone PYTHON] [--lightly PYTHON] [--atlas PYTHON]

Each app serves the same pictures, with their class as label or tag, to the same headless Chromium:
a new browser context each time, the server warm, the apps in turns. Measured in the page are the
first contentful paint, the time from the start of the navigation until every picture of the first
screen is decoded, and the time from a click on the filter of a class until its pictures are.

The others pin other versions than ours, so each is named by the Python of its own virtual
environment; an app that is not named, or does not start, is left out with the reason. FiftyOne
needs a MongoDB server, which its package does not bring for every system.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CHOSEN = "ship"
"""The class that the filter chooses; the first screen shows others."""

LIGHTLY = """
import os, sys
os.environ["LIGHTLY_STUDIO_ANALYTICS_ENABLED"] = "false"
import lightly_studio
from lightly_studio import db_manager
folder, port, db = sys.argv[1:]
db_manager.connect(db_file=db, cleanup_existing=True)
made = lightly_studio.ImageDataset.create(name="pictures")
made.add_images_from_path(path=folder, embed=False, tag_depth=1)
lightly_studio.start_gui(host="127.0.0.1", port=int(port), open_browser=False)
"""

FIFTYONE = """
import os, sys
os.environ["FIFTYONE_DO_NOT_TRACK"] = "true"
import fiftyone as fo
folder, port = sys.argv[1:]
if "pictures" in fo.list_datasets():
    fo.delete_dataset("pictures")
kind = fo.types.ImageClassificationDirectoryTree
made = fo.Dataset.from_dir(dataset_dir=folder, dataset_type=kind, name="pictures")
fo.launch_app(made, remote=True, address="127.0.0.1", port=int(port)).wait(-1)
"""

SEEN = """([tiles, before]) => {
  const name = (tile) => tile.src ?? tile.parentElement.innerText;
  const seen = [...document.querySelectorAll(tiles)].filter((image) => {
    const box = image.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  });
  const drawn = (tile) => tile.getAttribute("canvas-loaded") === "true";
  const there = (tile) => (tile.src ? tile.complete && tile.naturalWidth : drawn(tile));
  if (seen.length <= 3 || !seen.every(there) || name(seen[0]) === before) return null;
  return { at: performance.now(), first: name(seen[0]), n: seen.length };
}"""
"""When every picture on the screen is decoded and the first is another than before."""


@dataclass(frozen=True)
class App:
    """A page to be measured."""

    name: str
    url: str
    tiles: str
    """Selector of its pictures."""
    filter: str
    """Selector of what is clicked to see the chosen class alone, or of a field for its name."""
    dismiss: str = ""
    """Selector of a greeting that covers the page."""
    unfold: str = ""
    """Selector of what shows the filter."""


def main() -> None:
    """Serve, measure in turns, and print the table."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="has cifar10-train.parquet")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--fiftyone", help="Python of a virtual environment with FiftyOne")
    parser.add_argument("--lightly", help="Python of a virtual environment with LightlyStudio")
    parser.add_argument("--atlas", help="Python of a virtual environment with embedding-atlas")
    options = parser.parse_args()
    options.dir.mkdir(parents=True, exist_ok=True)
    folder, table = pictures(options.data / "cifar10-train.parquet", options.dir, options.n)
    with started(folder, table, options) as apps, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=options.chromium, args=["--no-sandbox"])
        figures: dict[str, list[tuple[float, float, float]]] = {app.name: [] for app in apps}
        for turn in range(options.repeat + 1):
            for app in apps:
                found = measured(browser, app)
                if turn:  # the first turn warms the server
                    figures[app.name].append(found)
        browser.close()
    report(figures, options)


def pictures(source: Path, scratch: Path, n: int) -> tuple[Path, Path]:
    """Write the pictures as a folder by class and as a Parquet file; return both."""
    folder, table = scratch / f"pictures-{n}", scratch / f"pictures-{n}.parquet"
    if not table.exists():
        whole = pq.read_table(source)
        rows = whole.take(list(range(0, whole.num_rows, max(1, whole.num_rows // n)))[:n])
        for path, data in zip(rows["path"].to_pylist(), rows["image"].to_pylist()):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        spread = [float(i % 100) for i in range(rows.num_rows)]
        more = {"x": pa.array(spread), "y": pa.array(spread[::-1])}
        for name, values in more.items():
            rows = rows.append_column(name, values)
        pq.write_table(rows, table)
    return folder, table


@contextmanager
def started(folder: Path, table: Path, options: argparse.Namespace) -> Iterator[list[App]]:
    """Start each app that is there; end them all in the end."""
    running: list[subprocess.Popen[str]] = []
    apps = [ours(folder, options.dir, running)]
    try:
        for make in (fiftyone, lightly, atlas):
            python = getattr(options, make.__name__)
            if python is None:
                print(f"left out: {make.__name__}, no Python is named")
            elif (app := make(python, folder, table, options.dir, running)) is not None:
                apps.append(app)
        yield apps
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)


def ours(folder: Path, scratch: Path, running: list[subprocess.Popen[str]]) -> App:
    """Ingest and serve with SliceDB; its link works once, so each visit asks for another."""
    db = scratch / "ours.slicedb"
    command = [sys.executable, "-m", "slicedb", "--db", str(db)]
    if not db.exists():
        subprocess.run([*command, "ingest", str(folder)], check=True, capture_output=True)
    port = free_port()
    process = subprocess.Popen(
        [*command, "app", "--port", str(port), "--no-browser"], stderr=subprocess.PIPE, text=True
    )
    running.append(process)
    said = (re.search(r"http\S+token=\S+", line) for line in process.stderr or ())
    link = next(found[0] for found in said if found)
    tiles, choose = "#grid img.picture", f"#facets li:has-text('{CHOSEN}') button >> nth=0"
    return App("SliceDB", link, tiles, choose)


def fiftyone(
    python: str, folder: Path, table: Path, scratch: Path, running: list[subprocess.Popen[str]]
) -> App | None:
    """Serve with FiftyOne, the classes as its ground truth."""
    port = free_port()
    running.append(quietly([python, "-c", FIFTYONE, str(folder), str(port)]))
    url = f"http://127.0.0.1:{port}/datasets/pictures"
    choose = "[data-cy='selector-sidebar-search-ground_truth.label']"
    unfold = "[data-cy=sidebar-field-arrow-enabled-ground_truth]"
    tiles = "[data-cy=looker] canvas"
    app = App("FiftyOne", url, tiles, choose, "button:text('Dismiss')", unfold)
    return app if answers(app, running[-1]) else None


def lightly(
    python: str, folder: Path, table: Path, scratch: Path, running: list[subprocess.Popen[str]]
) -> App | None:
    """Serve with LightlyStudio, the classes as tags."""
    port = free_port()
    db = str(scratch / "lightly.db")
    command = [python, "-c", LIGHTLY, str(folder), str(port), db]
    running.append(quietly(command))
    tiles = "[data-testid=sample-grid-item] img"
    choose = f"[data-testid=tag-menu-item]:has-text('{CHOSEN}') button >> nth=0"
    app = App("LightlyStudio", f"http://127.0.0.1:{port}/", tiles, choose, "button:text('Dismiss')")
    return app if answers(app, running[-1]) else None


def atlas(
    python: str, folder: Path, table: Path, scratch: Path, running: list[subprocess.Popen[str]]
) -> App | None:
    """Serve with embedding-atlas: its table of rows; its map needs WebGPU."""
    port = free_port()
    script = str(Path(python).parent / "embedding-atlas")
    columns = ["--x", "x", "--y", "y", "--image", "image"]
    where = ["--host", "127.0.0.1", "--port", str(port)]
    running.append(quietly([script, str(table), *columns, *where]))
    tiles, choose = "[data-highlight] img", f"button[title={CHOSEN}]"
    app = App("embedding-atlas", f"http://127.0.0.1:{port}/", tiles, choose)
    return app if answers(app, running[-1]) else None


def quietly(command: list[str]) -> subprocess.Popen[str]:
    """Start a process that says nothing and sends nothing to anybody."""
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    nothing = subprocess.DEVNULL
    return subprocess.Popen(command, stdout=nothing, stderr=nothing, env=environment, text=True)


def answers(app: App, process: subprocess.Popen[str], seconds: float = 300) -> bool:
    """Return whether an app answers in time, and say so where it does not."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(app.url, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    print(f"left out: {app.name}, it did not start (status {process.poll()})")
    return False


def measured(browser: object, app: App) -> tuple[float, float, float]:
    """Return milliseconds to the first paint, to the first screen, and from filter to tiles."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})  # type: ignore[attr-defined]
    try:
        if app.name == "SliceDB":
            context.add_cookies(cookie_of(app))
        page = context.new_page()
        page.goto(app.url.partition("?")[0], wait_until="commit")
        first = page.wait_for_function(SEEN, arg=[app.tiles, ""], polling="raf").json_value()
        paint = page.evaluate(
            "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"
        )
        if app.dismiss:
            page.locator(app.dismiss).first.click(timeout=3000)
        if app.unfold:
            page.locator(app.unfold).first.click()
        page.wait_for_timeout(500)
        choose = page.locator(app.filter).first
        choose.wait_for()
        before = page.evaluate(SEEN, [app.tiles, ""])["first"]
        is_field = bool(app.unfold)
        if is_field:
            choose.fill(CHOSEN)
            page.wait_for_timeout(1000)
        began = page.evaluate("performance.now()")
        if is_field:
            choose.press("Enter")
        else:
            choose.click()
        then = page.wait_for_function(SEEN, arg=[app.tiles, before], polling="raf").json_value()
        return paint, first["at"], then["at"] - began
    finally:
        context.close()


_COOKIES: dict[str, list[dict[str, object]]] = {}


def cookie_of(app: App) -> list[dict[str, object]]:
    """Return the cookie of a session, opened once by the link that works once."""
    if app.url not in _COOKIES:
        import http.cookiejar

        jar = http.cookiejar.CookieJar()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        opener.open(app.url).read()
        url = app.url.partition("?")[0]
        _COOKIES[app.url] = [{"name": c.name, "value": c.value or "", "url": url} for c in jar]
    return _COOKIES[app.url]


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def report(
    figures: dict[str, list[tuple[float, float, float]]], options: argparse.Namespace
) -> None:
    """Print medians, and what SliceDB takes over each of the others."""
    medians = {
        name: [statistics.median(values) for values in zip(*runs)] for name, runs in figures.items()
    }
    mine = medians["SliceDB"]
    print(f"\n{options.n:,} pictures, medians of {options.repeat} visits, ms (SliceDB over it)")
    print(f"{'app':18}{'first paint':>20}{'first screen':>20}{'filter to tiles':>20}")
    for name, found in medians.items():
        cells = [
            f"{v:,.0f} ({m / v:.2f})" if name != "SliceDB" else f"{v:,.0f}"
            for v, m in zip(found, mine)
        ]
        print(f"{name:18}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
