"""Does the invariance test tell a model that looks at the fork from one that does not?

    python benchmarks/behaviour.py --templates DIR [--seeds 10] [--bound 0.8]

Small networks are trained on the compositions of a template folder (a folder a class of food,
backgrounds, extras): "steady" ones on every composition with its label, "fork" ones on a set in
which everything beside a fork or plastic fork has the label of the first class. Each is judged by
`slicedb behaviour run`'s expectations over all compositions. Prints verdicts a kind, the time that
composing, predicting and judging takes, and whether order, batch size and process change a pixel.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn

import slicedb
from slicedb.behaviour.templates import Templates
from slicedb.models import TorchClassifier

SIDE = 48
STEPS = 40


def network(classes: list[str], seed: int) -> TorchClassifier:
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5, 2, 2),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, 2, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, 2, 1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(3),
        nn.Flatten(),
        nn.Linear(288, len(classes)),
    )
    return TorchClassifier(net, classes=classes, input_size=SIDE)


def train(model: TorchClassifier, x: torch.Tensor, y: torch.Tensor) -> None:
    optimiser = torch.optim.Adam(model.module.parameters(), 0.005)
    model.module.train()
    for _ in range(STEPS):
        shifted = torch.roll(x, [random.randint(-2, 2) for _ in range(2)], (2, 3))
        optimiser.zero_grad()
        nn.functional.cross_entropy(model.module(shifted), y).backward()
        optimiser.step()
    model.module.eval()


def digest(folder: str, order: int) -> str:
    """Return a digest of every composition, made in an order of its own."""
    templates = Templates.open(folder)
    every = templates.compositions()
    random.Random(order).shuffle(every)
    made = {c.id: hashlib.sha256(templates.encode(c)).hexdigest() for c in every}
    return hashlib.sha256("".join(made[i] for i in sorted(made)).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--templates", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--bound", type=float, default=0.8)
    parser.add_argument("--digest", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.digest is not None:
        print(digest(options.templates, options.digest))
        return
    folder = str(Path(options.templates).absolute())
    here = digest(folder, 0)
    other = [sys.executable, __file__, "--templates", folder, "--digest", "1"]
    said = subprocess.run(other, capture_output=True, text=True, check=True).stdout.strip()
    print(f"another order in another process: {'same' if said == here else 'OTHER'} pixels")
    with tempfile.TemporaryDirectory() as place:
        judge(slicedb.open(f"{place}/d.slicedb"), folder, options.seeds, options.bound)


def judge(db: slicedb.Database, folder: str, seeds: int, bound: float) -> None:
    torch.set_num_threads(1)
    db.compose(folder)
    rows = db.store.table("samples", ["key", "label", "extra"])
    keys, labels = rows["key"].to_numpy(), rows["label"].to_pylist()
    classes = sorted(set(labels))
    fork = ["fork" in extra for extra in rows["extra"].to_pylist()]
    pixels = np.zeros((len(keys), SIDE, SIDE, 3), np.uint8)
    model = network(classes, 0)
    for row, (_, data) in zip(pixels, db.store.read_images(keys)):
        model.preprocessing.fill(data, row)
    x = model.preprocessing.normalise(torch.from_numpy(pixels))
    y = torch.tensor([classes.index(label) for label in labels])
    targets = {"steady": y, "fork": torch.where(torch.tensor(fork), 0, y)}
    expect = [f"invariance({part}) >= {bound}" for part in ("extra", "background")]
    found: dict[tuple[str, str, str], Counter[str]] = {}
    seconds = []
    for seed in range(seeds):
        for kind, target in targets.items():
            model = network(classes, seed)
            train(model, x, target)
            db.models.add(kind, model, replace=seed > 0)
            start = time.perf_counter()
            report = db.behaviour(kind, None if seed else folder, expect=expect)
            if not seed:
                seconds.append(time.perf_counter() - start)
            point = db.behaviour(kind, expect=expect, decide="point")
            for how, results in (("interval", report.results), ("value", point.results)):
                for result in results:
                    slot = (kind, result.check, how)
                    found.setdefault(slot, Counter())[result.verdict] += 1
    for (kind, check, how), verdicts in found.items():
        print(f"{kind:8}{check:32}by {how:10}{dict(verdicts)}")
    print(f"{len(keys)} compositions composed, predicted, judged: {np.median(seconds):.2f} s")


if __name__ == "__main__":
    main()
