"""Count the files of the package that a warm verb enters, and its moves between them.

    python benchmarks/moves.py [--list] [--check]

A reader who follows a call opens the files that it enters. `sys.setprofile` sees every call and
return: a file counts once, and a move is a call or a return that changes the file, libraries in
between left out. `--list` prints the calls into each file; `--check` exits with 1 over a bar.
The database is made here: 60 small pictures of two classes, a registered model with its
predictions, and a live slice with one expectation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch
from PIL import Image

import slicedb

PACKAGE = str(Path(slicedb.__file__).parent) + "/"

BARS = {"evaluate": 30, "test": 40}
"""A verb must enter fewer files than this."""


class Colour(torch.nn.Module):
    """Tells two classes apart by the mean of red and of green."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))[:, :2]  # (n, 3, h, w) -> (n, 2)


def build(folder: Path) -> slicedb.Database:
    """Return a database with a model that has predicted, and a live slice with an expectation."""
    for i in range(60):
        file = folder / "pictures" / ("cat" if i % 2 else "dog") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (4 * i, 200 - 3 * i, i)).save(file)
    db = slicedb.open(folder / "data.slicedb")
    db.ingest(folder / "pictures", split="test")
    model = slicedb.models.TorchClassifier(Colour(), classes=["cat", "dog"], input_size=16)
    db.models.add("colour", model)
    db.predict("colour")
    db.slices.add("small", "label = 'cat' AND width < 100", expect=["accuracy >= 0.2"])
    return db


def follow(verb: Callable[[], object]) -> tuple[Counter[str], int]:
    """Run a verb; return the calls into each file of the package and the moves between files."""
    calls: Counter[str] = Counter()
    moves = 0

    def caller(frame: FrameType | None) -> str:
        while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
            frame = frame.f_back
        return "" if frame is None else frame.f_code.co_filename

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal moves
        file = frame.f_code.co_filename
        if event in ("call", "return") and file.startswith(PACKAGE):
            calls[file.removeprefix(PACKAGE)] += event == "call"
            moves += caller(frame.f_back) not in ("", file)

    sys.setprofile(see)
    try:
        verb()
    finally:
        sys.setprofile(None)
    return calls, moves


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print the calls into each file")
    parser.add_argument("--check", action="store_true", help="exit with 1 over a bar")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        db = build(Path(folder))
        verbs: dict[str, Callable[[], object]] = {
            "evaluate": lambda: db.evaluate("colour", slices=["small"]),
            "test": lambda: db.test(["small"], model="colour"),
        }
        over = 0
        print(f"{'warm verb':12}{'files':>6}{'bar':>6}{'moves':>7}")
        for name, verb in verbs.items():
            for _ in range(2):
                verb()
            calls, moves = follow(verb)
            over += len(calls) >= BARS[name]
            print(f"{name:12}{len(calls):6}{'< ' + str(BARS[name]):>6}{moves:7}")
            if options.list:
                for file, n in sorted(calls.items()):
                    print(f"    {n:6}  {file}")
    return int(options.check and over > 0)


if __name__ == "__main__":
    raise SystemExit(main())
