"""Time Explore in a real browser: first screen, queries, figures, jumps, wheel steps, memory.

    python benchmarks/browser.py --dir SCRATCH --data DATA [--rows 60000 1000000] [--only jumps]
    python benchmarks/browser.py --dir SCRATCH --data DATA --photos

The samples are made up as those of `query.py`; their pictures are 20,000 files of CIFAR-10, in
turn. `--photos` takes the photographs of natural size of DATA instead: a first screen whose small
pictures are not made yet, and one whose are. Chromium is found as in the tests, and has no GPU. A
time ends when every tile on the screen has its decoded picture. "Blank" are steps of the wheel
after which, two frames later, a tile on the screen has none. Printed are medians, the 95th
percentile and the bar.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from query import predictions
from query import samples as rows_of

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "web"))

import apps
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from watching import find_chromium

PICTURES = 20_000
QUERIES = (
    "label = 'class_3'",
    "a.correct AND weather = 'night'",
    "weather <> 'fog' ORDER BY a.loss DESC",
    "label <> a.prediction AND a.confidence > 0.9",
    "lux BETWEEN 0.2 AND 0.4 ORDER BY lux",
    "split = 'test' AND NOT a.correct ORDER BY a.confidence DESC",
    "camera < 20",
    "a.loss > 2",
)
FACETS = ["label", "split", "weather", "a.prediction", "a.correct", "b.correct"]
HISTOGRAMS = ["lux", "a.loss"]

HELPERS = """
window.full = () => {
  const grid = document.getElementById("grid");
  if (!grid) return false;
  const box = grid.getBoundingClientRect();
  const shown = [...grid.querySelectorAll(".tile")].filter((tile) => {
    const at = tile.getBoundingClientRect();
    return at.bottom > box.top && at.top < box.bottom;
  });
  const isFilled = (tile) => {
    const picture = tile.querySelector(".picture");
    return picture && (picture.localName !== "img" || picture.naturalWidth > 0);
  };
  return shown.length > 0 && shown.every(isFilled);
};
window.frame = () => new Promise((done) => requestAnimationFrame(done));
window.untilFull = async (isReady = () => true) => {
  const began = performance.now();
  while (!(isReady() && window.full())) {
    if (performance.now() - began > 60000) throw new Error("not full after a minute");
    await window.frame();
  }
  return performance.now() - began;
};
"""


def pictures(folder: Path, data: Path) -> list[tuple[str, str]]:
    """Write the pictures as files; return their addresses and hashes."""
    import hashlib

    folder.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(data / "cifar10-train.parquet", columns=["image"]).slice(0, PICTURES)
    found = []
    for i, image in enumerate(table["image"].to_pylist()):
        file = folder / f"{i % 100:02d}" / f"{i:05d}.jpg"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(image)
        found.append((file.as_uri(), hashlib.sha256(image).hexdigest()))
    return found


def build(folder: Path, rows: int, data: Path) -> Path:
    """Build a database of made-up samples with real pictures, once."""
    from slicedb.schema import PREDICTIONS, SAMPLES
    from slicedb.store import Store
    from slicedb.tasks import TASKS

    path = folder / f"browser-{rows}.slicedb"
    if path.exists():
        return path
    known = itertools.cycle(pictures(folder / "pictures", data))
    store = Store.open(path)
    extra = {"weather": pa.string(), "lux": pa.float64(), "camera": pa.int64()}
    store.add_columns(SAMPLES, [pa.field(name, kind) for name, kind in extra.items()])

    def with_pictures() -> Iterator[pa.RecordBatch]:
        for batch in rows_of(rows):
            uris, hashes = zip(*itertools.islice(known, len(batch)))
            at = batch.schema.get_field_index("uri")
            batch = batch.set_column(at, "uri", pa.array(uris))
            yield batch.append_column("sha256", pa.array(hashes))

    store.append(SAMPLES, with_pictures())
    table = store.table(SAMPLES, ["id", "label"])
    ids, labels = (np.array(table[name].to_pylist()) for name in ("id", "label"))
    for seed, model in enumerate(("a", "b"), 1):
        store.create(PREDICTIONS + model, TASKS["classification"].schema(None))
        store.append(PREDICTIONS + model, predictions(labels, ids, seed))
    return path


class Bench:
    """A signed-in browser on a page."""

    def __init__(self, app: apps.App, browser: Browser) -> None:
        self.app = app
        self.context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 800})
        self.context.add_init_script(HELPERS)
        wish = {"by": FACETS, "histograms": HISTOGRAMS}
        script = "localStorage.setItem('slicedb.facets', JSON.stringify(%s))"
        self.context.add_init_script(script % str(wish).replace("'", '"'))
        app.enter(self.context)
        self.page: Page = self.context.new_page()

    def open(self, path: str = "/") -> None:
        """Open a path and wait for its first screen."""
        self.page.goto(self.app.url + path)
        self.page.evaluate("() => untilFull()")

    def close(self) -> None:
        """End the browser's profile."""
        self.context.close()


def first_screen(bench: Bench, repeat: int) -> None:
    """Print first paint and all tiles, and what was loaded for them."""
    bench.open()
    painted, filled = [], []
    for _ in range(repeat):
        bench.page.goto(bench.app.url + "/", wait_until="commit")
        bench.page.wait_for_function("() => window.full?.()", polling=10)
        filled.append(bench.page.evaluate("() => performance.now()"))
        script = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"
        painted.append(bench.page.evaluate(script))
    _tell("first contentful paint, ms", painted, "<= 500")
    _tell("all tiles of the first screen, ms", filled, "<= 1500")
    fresh = Bench(bench.app, bench.context.browser)  # type: ignore[arg-type]
    fresh.open()
    sizes = fresh.page.evaluate(
        """() => performance.getEntriesByType('resource')
          .filter((one) => /\\.(js|css)$/.test(new URL(one.name).pathname))
          .map((one) => one.encodedBodySize)"""
    )
    fresh.close()
    print(f"  {'JavaScript and CSS of the first load, kB':52}{sum(sizes) / 1000:8.1f}      <= 200")


def queries(bench: Bench, repeat: int) -> None:
    """Print how long a query takes to its first tiles, and its figures after them."""
    bench.open()
    page = bench.page
    page.focus("#text")
    page.locator("#editor .cm-content").wait_for()
    tiles, figures = [], []
    script = """async (text) => {
      const grid = document.getElementById("grid");
      const old = grid.querySelector(".tile[data-id] img")?.src;
      const began = performance.now();
      document.getElementById("text").value = text;
      const editor = document.getElementById("editor").shadowRoot.querySelector(".cm-content");
      const enter = { key: "Enter", bubbles: true, cancelable: true };
      editor.dispatchEvent(new KeyboardEvent("keydown", enter));
      await untilFull(() => grid.querySelector(".tile[data-id] img")?.src !== old);
      const filled = performance.now();
      const facets = document.getElementById("facets");
      while (facets.dataset.of !== text) await frame();
      return [filled - began, performance.now() - filled];
    }"""
    for text in itertools.chain.from_iterable([QUERIES] * repeat):
        page.keyboard.press("/")
        page.keyboard.press("Control+a")
        page.keyboard.insert_text(text)
        shown, counted = page.evaluate(script, text)
        tiles.append(shown)
        figures.append(counted)
    _tell("query to its first tiles, ms", tiles, "<= 500 / 1000")
    _tell("six facets and two histograms after them, ms", figures, "<= 1000")


def jumps(bench: Bench, n: int) -> None:
    """Print how long a jump to a random place takes until nothing is blank."""
    bench.open("/?q=weather <> 'fog' ORDER BY a.loss DESC")
    script = """async (share) => {
      const grid = document.getElementById("grid");
      grid.scrollTop = share * (grid.scrollHeight - grid.clientHeight);
      await frame();
      await frame();
      return untilFull();
    }"""
    shares = np.random.default_rng(0).random(n)
    _tell(
        "random jump until nothing is blank, ms",
        [bench.page.evaluate(script, float(s)) for s in shares],
        "<= 300 / 600",
    )
    bench.page.focus("#grid")
    bench.page.keyboard.press("End")
    bench.page.evaluate("() => untilFull()")
    places = bench.page.locator(".tile[data-id]").evaluate_all(
        "tiles => tiles.map((tile) => Number(tile.dataset.index))"
    )
    count = int((bench.page.text_content("#count") or "").split()[0].replace(",", ""))
    print(f"  {'the last sample is reached':52}{max(places) + 1:>8,} of {count:,}")


def wheel(bench: Bench, n: int) -> None:
    """Print after how many steps of the wheel something is blank."""
    bench.open()
    bench.page.mouse.move(800, 500)
    blank = 0
    for _ in range(n):
        bench.page.mouse.wheel(0, 300)
        blank += not bench.page.evaluate(
            "async () => { await frame(); await frame(); return full(); }"
        )
        time.sleep(0.06)
    print(f"  {'wheel steps with a blank tile':52}{blank:8} of {n}")


def memory(bench: Bench, seconds: float) -> None:
    """Print the heap while somebody scrolls."""
    bench.open()
    session = bench.context.new_cdp_session(bench.page)

    def used() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6

    bench.page.mouse.move(800, 500)
    found = [used()]
    for _ in range(6):
        ends = time.monotonic() + seconds / 6
        while time.monotonic() < ends:
            bench.page.mouse.wheel(0, 600)
            time.sleep(0.05)
        found.append(used())
    told = " ".join(f"{one:.1f}" for one in found)
    nodes = bench.page.evaluate("() => document.getElementsByTagName('*').length")
    print(f"  heap over {seconds:.0f} s of scrolling, MB: {told}; {nodes:,} elements")


def photos(bench: Bench) -> None:
    """Print a first screen of photographs of natural size, cold and warm."""
    import slicedb

    cache = slicedb.open(bench.app.database).store.cache_dir / "thumbnails"
    for what, bar in (("cold", "<= 1500"), ("warm", "<= 600")):
        times = []
        for _ in range(3):
            if what == "cold":
                shutil.rmtree(cache, ignore_errors=True)
            bench.page.goto(bench.app.url + "/", wait_until="commit")
            bench.page.wait_for_function("() => window.full?.()", polling=10)
            times.append(bench.page.evaluate("() => performance.now()"))
        _tell(f"first screen of photographs, {what}, ms", times, bar)


def _tell(what: str, times: Sequence[float], bar: str) -> None:
    high = float(np.percentile(times, 95))
    print(f"  {what:52}{statistics.median(times):8.0f}{high:8.0f}      {bar}")


def main() -> None:
    """Build what is missing, run the page and a browser, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="*", default=[60_000, 1_000_000])
    parser.add_argument("--only", choices=["first", "queries", "jumps", "wheel", "memory"])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--photos", action="store_true")
    options = parser.parse_args()
    parts: dict[str, Callable[[Bench], None]] = {
        "first": lambda bench: first_screen(bench, options.repeat),
        "queries": lambda bench: queries(bench, max(1, options.repeat // 2)),
        "jumps": lambda bench: jumps(bench, 8 * options.repeat),
        "wheel": lambda bench: wheel(bench, 40),
        "memory": lambda bench: memory(bench, options.seconds),
    }
    if options.photos:
        parts = {"photos": photos}
        path = options.dir / "photos.slicedb"
        if not path.exists():
            import slicedb

            slicedb.open(path).ingest(options.data / "photos", progress=False)
        databases = {"photographs": path}
    else:
        databases = {f"{n:,} samples": build(options.dir, n, options.data) for n in options.rows}
    with sync_playwright() as playwright:
        flags: list[Any] = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=flags)
        for name, path in databases.items():
            print(f"{name}: median, 95th percentile, bar")
            with apps.run(path) as app:
                bench = Bench(app, browser)
                for part, measure in parts.items():
                    if options.only in (None, part):
                        measure(bench)
                bench.close()
        browser.close()


if __name__ == "__main__":
    main()
