"""Make the picture that opens the README: Explore on the demo's own scenes.

    python benchmarks/picture.py --dir SCRATCH [--out queries/page.jpg]

The demo is rendered into the scratch folder unless it lies there already; a headless Chromium shows
where the demo's second model fails, and a JPEG keeps the picture small.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

import slicedb
from slicedb.demo import tour

QUERY = "cutlery = 'fork' AND food_v1.correct AND NOT food_v2.correct"
WIDE, HIGH = 1280, 800


def main() -> None:
    """Render, show, shrink, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("queries/page.jpg"))
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    options = parser.parse_args()
    if not (options.dir / "data.slicedb").exists():
        tour.run(options.dir)
    shown = Image.open(io.BytesIO(screenshot(options.dir / "data.slicedb", options.chromium)))
    shown.convert("RGB").save(options.out, quality=70, optimize=True, subsampling="4:2:0")
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")


def screenshot(db: Path, chromium: str) -> bytes:
    """Return a PNG of Explore when all of it is there."""
    from playwright.sync_api import sync_playwright

    server = slicedb.open(db, create=False).app(browser=False, port=0)
    try:
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": WIDE, "height": HIGH}, color_scheme="light")
            page.goto(server.link())
            page.wait_for_url(lambda url: "token" not in url)
            page.goto(f"{server.address.rstrip('/')}{server.site.explore(QUERY)}")
            page.wait_for_selector("#grid img.picture")
            page.wait_for_selector("#facets .facet")
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(500)
            shot = page.screenshot()
            browser.close()
    finally:
        server.stop()
    return shot


if __name__ == "__main__":
    main()
