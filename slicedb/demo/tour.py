"""`slicedb demo`: the whole path on rendered pictures, with nothing to download.

Two small classifiers come with the package. `food_v2` scores well on average, and has two planted
faults: a fork on the table pulls it to one class, and it has hardly seen Indian desserts.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.show.numbers import count

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.report import Report

MODELS = ("food_v1", "food_v2")
_HERE = Path(__file__).parent


def queries() -> Path:
    """Return the folder of the demo's slice files, in a checkout or in the installed package."""
    packaged = _HERE / "queries" / "demo"
    return packaged if packaged.is_dir() else _HERE.parents[1] / "queries" / "demo"


def run(
    folder: str | os.PathLike[str] = "slicedb-demo",
    *,
    scenes: int = 2000,
    seed: int = 0,
    echo: Callable[[str], object] = print,
) -> Report:
    """Render, ingest, embed, apply, predict and test; print what a newcomer should see.

    Args:
        folder: where the pictures, the database and the slice files go; kept afterwards.
        scenes: number of pictures to render.
        seed: seed of the first scene.
        echo: what prints a line.

    Returns:
        the report of the test, with its verdicts.
    """
    import slicedb
    from slicedb.demo.scenes import write

    root = Path(folder)
    step = _Headings(echo)
    table = root / "pictures" / "metadata.csv"
    if not table.exists():
        step(f"render {count(scenes, 'plate')} of food")
        write(root / "pictures", scenes, seed)
    step("ingest: decode every picture in full, hash it, store it")
    db = slicedb.open(root / "data.slicedb")
    echo(f"  {db.ingest(table)}")
    step("embed with the bundled tiny CLIP")
    echo(f"  {db.embed()}")
    step("apply the slices of queries/")
    shutil.copytree(queries(), root / "queries", dirs_exist_ok=True)
    db.apply(root / "queries")
    _show_slices(db, echo)
    step("predict with two models, one pass over the union of the slices")
    _add_models(db)
    for name in MODELS:
        echo(f"  {name}: {db.predict(name, [s.name for s in db.slices.list()])}")
    step("evaluate: slice x model")
    echo(str(db.evaluate(MODELS, predict=False)))
    step("test food_v2 against food_v1: slicedb test queries/ --model food_v2 --baseline food_v1")
    report = db.test(root / "queries", model="food_v2", baseline="food_v1")
    echo(str(report))
    echo(_next(root, step.seconds()))
    return report


def _add_models(db: Database) -> None:
    known = {model.name for model in db.models.list()}
    for name in MODELS:
        if name not in known:
            db.models.add(name, f"{_HERE / 'classifiers.py'}:{name}")


def _show_slices(db: Database, echo: Callable[[str], object]) -> None:
    for each in db.slices.list():
        echo(f"  {each.name:24}{each.count():>6,}  {each.description}")


def _next(root: Path, seconds: float) -> str:
    return f"""
{seconds:.0f} seconds. One number said food_v2 is fine; the slices say where it is not: it fails on
Indian desserts, and whenever a fork lies on the table. Go on from here:

  cd {root}
  slicedb app                   # look at it in a browser (pip install 'slicedb[app]')
  slicedb discover food_v2      # finds both faults without being told where to look
  slicedb "food_v1.correct AND NOT food_v2.correct AND cutlery = 'fork'" --columns id,label
  slicedb "ORDER BY similarity('a doughnut on a wooden table at night') DESC LIMIT 5"
  slicedb "SELECT cuisine, count(*) n, avg(food_v2.correct::INT) acc FROM samples \\
           GROUP BY ALL ORDER BY acc"
  slicedb slice add forks_at_night "in_slice('night') AND cutlery = 'fork'" \\
          --expect "accuracy >= 0.7"
  slicedb test queries/ --model food_v2 --baseline food_v1 --junit report.xml
"""


class _Headings:
    """Numbered headings, and the time since the first."""

    def __init__(self, echo: Callable[[str], object]) -> None:
        self._echo = echo
        self._start = time.perf_counter()
        self._n = 0

    def __call__(self, text: str) -> None:
        self._n += 1
        self._echo(f"\n{self._n}. {text}  [{self.seconds():.1f} s]")

    def seconds(self) -> float:
        return time.perf_counter() - self._start
