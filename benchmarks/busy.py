"""Measure prediction and embedding beside busy processes, over the same on the machine as it is.

    python benchmarks/busy.py [--busy 4] [--images 400] [--repeats 3]

Each figure is images a second of a process of its own: MobileNetV2 with random weights through
`db.predict`, and the bundled tiny CLIP through `db.embed`, over pictures made here. The processes
beside it count in a loop. It is repeated with torch's own wait policy of OpenMP, which SliceDB
replaces (`OMP_WAIT_POLICY=PASSIVE`), by turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np


def main() -> None:
    """Run the measurements and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=4, help="processes that keep the cores busy")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(_rate(options.one, options.images))
        return
    rates: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for _ in range(options.repeats):
        for policy in ("PASSIVE", "ACTIVE"):
            for verb in ("predict", "embed"):
                for state, n in (("as it is", 0), ("busy", options.busy)):
                    rate = _measure(verb, policy, n, options.images)
                    rates[verb, policy, state].append(rate)
    print(f"| verb | policy | images/s | beside {options.busy} busy processes | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for verb, policy in sorted({key[:2] for key in rates}):
        idle, busy = (statistics.median(rates[verb, policy, s]) for s in ("as it is", "busy"))
        print(f"| {verb} | {policy} | {idle:.0f} | {busy:.0f} | {busy / idle:.2f} |")


def _measure(verb: str, policy: str, busy: int, images: int) -> float:
    loop = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(loop) for _ in range(busy)]
    try:
        command = [sys.executable, __file__, "--one", verb, "--images", str(images)]
        environment = {**os.environ, "OMP_WAIT_POLICY": policy}
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        )
        return float(result.stdout.split()[-1])
    finally:
        for other in others:
            other.kill()
            other.wait()


def _rate(verb: str, n: int) -> float:
    """Return images a second of one verb, the loading of models left out."""
    import torch
    from PIL import Image
    from torchvision.models import mobilenet_v2

    import slicedb

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for i in range(n):
            (folder / "images").mkdir(exist_ok=True)
            pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{i}.jpg")
        db = slicedb.open(folder / "data.slicedb")
        db.ingest(folder / "images", progress=False)
        first = db.query("LIMIT 8")
        if verb == "embed":
            encoder_ready = db.embed(on=first, progress=False)
            assert encoder_ready.embedded
            start = time.perf_counter()
            db.embed(progress=False)
        else:
            names = [f"class_{i}" for i in range(1000)]
            model = slicedb.models.TorchClassifier(mobilenet_v2(), classes=names, input_size=128)
            db.models.add("net", model)
            db.predict("net", on=first, progress=False)
            start = time.perf_counter()
            db.predict("net", progress=False)
        return (n - 8) / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
