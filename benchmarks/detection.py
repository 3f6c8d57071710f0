"""mAP over slices and resamples: ours beside a loop over faster-coco-eval, and equal to it.

    python benchmarks/detection.py [--images 500] [--replicates 1000] [--theirs 5] [--coverage]

500 images, 10 classes, about 12 annotated and 40 predicted boxes each, for two models; paired
bootstrap replicates of the difference in mAP. The loop evaluates what it is given whole, images
repeated as drawn, which is what one would write today; it runs `--theirs` replicates and is
scaled. Seconds are of the processor, all threads together. `--coverage` counts how often intervals
of nominally 90 % hold the mAP of the population that their images are drawn from.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb import metrics, stats
from slicedb.metrics import Detections
from slicedb.schema import OBJECT

CLASSES = tuple(f"class{i}" for i in range(10))


def draw(n: int, seed: int, skill: float) -> tuple[list[Any], list[Any]]:
    """Return (found, truth): shifted copies of the truth, and boxes where nothing is."""
    rng, noise = np.random.default_rng(seed), np.random.default_rng(int(skill * 1000))
    found, truth = [], []
    for _ in range(n):
        k = int(rng.integers(4, 21))
        xywh = np.column_stack([rng.uniform(0, 500, (k, 2)), rng.uniform(8, 160, (k, 2))])
        label = rng.integers(0, 10, k)
        truth.append([_box(c, b) for c, b in zip(label, xywh)])
        said = []
        for c, b in zip(label, xywh):
            if noise.random() < skill:
                moved = np.maximum(b + noise.normal(0, 0.06, 4) * b[[2, 3, 2, 3]], 1)
                said.append(_box(c, moved, noise.beta(4, 2)))
        for _ in range(40 - len(said)):
            b = np.concatenate([noise.uniform(0, 500, 2), noise.uniform(8, 160, 2)])
            said.append(_box(noise.integers(0, 10), b, noise.beta(1, 5)))
        found.append(said)
    return found, truth


def _box(code: int, xywh: Any, score: float | None = None) -> dict[str, Any]:
    values = [float(v) for v in xywh]
    return {"label": CLASSES[int(code)], "bbox": values, "score": score, "attributes": None}


def coco_map(found: list[Any], truth: list[Any]) -> float:
    """Return mAP by faster-coco-eval."""
    from faster_coco_eval import COCO, COCOeval_faster

    code = {name: i + 1 for i, name in enumerate(CLASSES)}
    notes = [
        {
            "image_id": i + 1,
            "category_id": code[o["label"]],
            "bbox": o["bbox"],
            "iscrowd": 0,
            "area": o["bbox"][2] * o["bbox"][3],
        }
        for i, row in enumerate(truth)
        for o in row
    ]
    for number, note in enumerate(notes, 1):
        note["id"] = number
    said = [
        {"image_id": i + 1, "category_id": code[o["label"]], "bbox": o["bbox"], "score": o["score"]}
        for i, row in enumerate(found)
        for o in row
    ]
    about = {
        "images": [{"id": i + 1, "width": 700, "height": 700} for i in range(len(truth))],
        "annotations": notes,
        "categories": [{"id": v, "name": k} for k, v in code.items()],
    }
    truths = COCO(about)
    judge = COCOeval_faster(truths, truths.loadRes(said), "bbox", print_function=lambda *_: None)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return float(judge.stats_as_dict["AP_all"])


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result, the processor's seconds and the clock's."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - cpu, time.perf_counter() - wall


def coverage(samples: int = 200) -> None:
    """Print how often intervals of mAP hold the truth, the plain percentiles' beside ours."""
    metric = metrics.find("map")
    assert metric.weighted is not None
    for n in (40, 150):
        rows: list[list[bool]] = []
        for skill in (0.6, 0.9):
            found, truth = draw(3000, 1, skill)
            columns = [pa.array(side, pa.list_(OBJECT)) for side in (found, truth)]
            population = Detections.of(*columns, CLASSES)
            whole = float(metric.weighted(population)(np.ones((1, population.n)))[0])
            rng = np.random.default_rng(2)
            for _ in range(samples // 2):
                part = population.take(rng.integers(0, population.n, n))
                ours = metric.compute(metric.name, part)
                weighted = metric.weighted(part)
                plain = np.quantile(stats.bootstrap_draws(weighted, n), [0.05, 0.95])
                low, high = (float(x[0]) for x in metrics.interval(metric, ours, 0.9))
                rows.append([low <= whole, whole <= high, plain[0] <= whole, whole <= plain[1]])
        share = 1 - np.mean(rows, axis=0)
        print(
            f"{n} images, {len(rows)} samples: the truth lies below the interval in "
            f"{share[0]:.1%}, above in {share[1]:.1%} (plain percentiles {share[2]:.1%} and "
            f"{share[3]:.1%}); 5 % each are meant"
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--replicates", type=int, default=1000)
    parser.add_argument("--theirs", type=int, default=5)
    parser.add_argument("--coverage", action="store_true")
    options = parser.parse_args()
    if options.coverage:
        coverage()
        return
    n = options.images
    good, truth = draw(n, 0, 0.8)
    poor, _ = draw(n, 0, 0.75)
    column = [pa.array(rows, pa.list_(OBJECT)) for rows in (truth, good, poor)]
    weighted = metrics.find("map").weighted
    assert weighted is not None

    def ours() -> Any:
        sides = [weighted(Detections.of(found, column[0], CLASSES)) for found in column[1:]]
        values = [float(side(np.ones((1, n)))[0]) for side in sides]
        difference = lambda w: sides[0](w) - sides[1](w)  # noqa: E731
        return values, stats.bootstrap_draws(difference, n, replicates=options.replicates)

    (values, draws), cpu, wall = timed(ours)
    boxes = sum(map(len, truth)), sum(map(len, good)), sum(map(len, poor))
    print(f"{n} images, {boxes[0]:,} true boxes, {boxes[1]:,} and {boxes[2]:,} predicted")
    print(
        f"mAP {values[0]:.4f} and {values[1]:.4f}; difference of {options.replicates:,} paired "
        f"replicates {draws.mean():+.4f} (standard error {draws.std():.4f})"
    )
    print(f"ours: {cpu:.2f} s of the processor, {wall:.2f} s by the clock, matching and all")

    rng = np.random.default_rng(0)
    picked = rng.integers(0, n, (options.replicates, n))[: options.theirs]

    def theirs() -> Any:
        sides = [
            [coco_map([rows[i] for i in sorted(p)], [truth[i] for i in sorted(p)]) for p in picked]
            for rows in (good, poor)
        ]
        return np.subtract(*sides)

    found, cpu_theirs, _ = timed(theirs)
    gap = float(np.abs(found - draws[: options.theirs]).max())
    each = cpu_theirs / options.theirs
    print(
        f"faster-coco-eval in a loop: {each:.2f} s a replicate, {each * options.replicates:,.0f} "
        f"s for all, {each * options.replicates / cpu:,.0f} times ours; largest difference "
        f"{gap:.1e}"
    )


if __name__ == "__main__":
    main()
