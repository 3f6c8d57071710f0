"""Label errors beside cleanlab, and what to label next beside random choice.

    python benchmarks/labels.py scores
    python benchmarks/labels.py noise --cifar ../shared/data/cifar10-train.parquet
    python benchmarks/labels.py boxes --bccd ../shared/data/bccd
    python benchmarks/labels.py sampling --cifar ../shared/data/cifar10-train.parquet --seeds 20

cleanlab is looked for where Python finds it, and then in `--beside FOLDER` (site-packages of
another environment); without it our figures stand alone.

`scores`: the largest difference of each formula on 50,000 x 10, and processor times as a ratio.
`noise`: CIFAR's labels with 10 and 20 % changed, to any class or to one particular class, and
average precision of each ranking. The model is small: logistic regression on responses to 128
whitened random patches (Coates, Lee and Ng 2011), out of fold.
`boxes`: BCCD with 10 % of the boxes dropped, moved by 25 to 45 % of their sides, or called
otherwise, each by itself and all at once, and predictions simulated from the clean boxes (jitter
doubles, boxes about nothing) of three detectors that differ in how sure they are. Average
precision over predicted boxes (overlooked: it shows a dropped one) or annotated ones (the others).
`sampling`: labels asked for in rounds by `db.sample` from an unlabelled pool, and the accuracy on
held-out samples of logistic regression on the labels so far.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from slicedb.curate import confident
from slicedb.curate.boxscores import box_scores
from slicedb.curate.noise import noise
from slicedb.curate.probe import probe
from slicedb.curate.wronglabels import _scored
from slicedb.metrics.boxes import Boxes, iou_matrix

OURS: dict[str, str] = {
    "self-confidence": "self_confidence",
    "margin": "normalized_margin",
    "entropy": "confidence_weighted_entropy",
}
"""Our names of rankings, and cleanlab's."""
NEXT = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3, 0: 8, 1: 9, 6: 2, 7: 4, 8: 0}
"""The particular class that CIFAR's classes are changed to, a similar one."""


def cleanlab(beside: str | None) -> Any:
    """Return the package, None where it is not installed."""
    if beside:
        sys.path.append(beside)
    try:
        import cleanlab.count
        import cleanlab.filter
        import cleanlab.object_detection.rank
        import cleanlab.rank
    except ImportError:
        print("cleanlab is not installed (pip install cleanlab): our figures stand alone.")
        return None
    print(f"cleanlab {cleanlab.__version__}")
    return cleanlab


def precision(is_wrong: np.ndarray, score: np.ndarray) -> float:
    """Return the average precision of ascending scores, equal ones at their common precision."""
    order = np.argsort(score, kind="stable")
    hits = np.cumsum(is_wrong[order])
    last = np.append(np.diff(score[order]) > 0, True)
    n = np.flatnonzero(last) + 1
    new = np.diff(np.append(0, hits[last]))
    return float((new * hits[last] / n).sum() / max(1, is_wrong.sum()))


def fastest(run: Callable[[], object], times: int = 7) -> float:
    """Return the least processor time of several runs."""
    best = np.inf
    for _ in range(times):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


# --- scores --------------------------------------------------------------------------------------


def scores(options: argparse.Namespace) -> None:
    other = cleanlab(options.beside)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(10, 0.5), 50_000)
    label = (p.cumsum(axis=1) < rng.random((50_000, 1))).sum(axis=1).clip(0, 9)

    def whole() -> None:
        confident.suspects(label, p)
        np.argsort(confident.margin(label, p))

    print(f"likely errors, ranked: {fastest(whole) * 1e3:.2f} ms")
    if other is None:
        return
    theirs = lambda: other.filter.find_label_issues(  # noqa: E731
        label, p, n_jobs=1, return_indices_ranked_by="normalized_margin"
    )
    print(f"  cleanlab takes {fastest(theirs) / fastest(whole):.1f} times as long")
    for name, method in OURS.items():
        own = lambda name=name: confident.SCORES[name](label, p)  # noqa: E731
        its = lambda method=method: other.rank.get_label_quality_scores(  # noqa: E731
            label, p, method=method
        )
        gap = np.abs(own() - its()).max()
        print(f"{name}: difference {gap:.1e}, {fastest(its) / fastest(own):.1f} times as fast")
    counted = confident.joint(label, p)
    mine = counted.calibrated(label)
    it = other.count.compute_confident_joint(label, p, calibrate=True)
    ratio = fastest(lambda: other.count.compute_confident_joint(label, p)) / fastest(
        lambda: confident.joint(label, p).calibrated(label)
    )
    print(f"confident joint: difference {np.abs(mine - it).max()}, {ratio:.1f} times as fast")
    issues = other.filter.find_label_issues(label, p, filter_by="confident_learning", n_jobs=1)
    same = bool((issues == confident.suspects(label, p)).all())
    print(f"confident learning: the same {int(issues.sum()):,} of 50,000: {same}")


# --- noise ---------------------------------------------------------------------------------------


def features(path: Path, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (n, 256) and labels of some of CIFAR's pictures.

    Responses to random whitened patches, both signs, averaged over quadrants, then principal
    components.
    """
    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(path)
    table = table.take(pa.array(np.random.default_rng(seed).permutation(len(table))[:n]))
    label = np.unique(np.array(table["label"].to_pylist()), return_inverse=True)[1]
    images = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            for data in table["image"].to_pylist()
        ]
    )
    rng = np.random.default_rng(0)
    corners = zip(*(rng.integers(0, most, 8000) for most in (n, 27, 27)))
    patches = _even(
        np.stack([images[i, a : a + 6, b : b + 6].reshape(-1) for i, a, b in corners]).astype("f4")
    )
    mean = patches.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov((patches - mean).T))
    white = (axes / np.sqrt(values + 0.1)) @ axes.T
    filters = ((patches - mean) @ white)[rng.choice(len(patches), 128, replace=False)]
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    weights, offset = (white @ filters.T).astype("f4"), (mean @ white @ filters.T).astype("f4")
    pooled = np.concatenate(
        [_pooled(images[i : i + 500].astype("f4"), weights, offset) for i in range(0, n, 500)]
    )
    pooled = (pooled - pooled.mean(axis=0)) / (pooled.std(axis=0) + 1e-3)
    _, axes = np.linalg.eigh(np.cov(pooled.T))
    x = (pooled @ axes[:, ::-1][:, :256]).astype("f4")
    return x / np.linalg.norm(x, axis=1, keepdims=True), label


def _even(patches: np.ndarray) -> np.ndarray:
    centred = patches - patches.mean(axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(centred.var(axis=-1, keepdims=True) + 10))


def _pooled(images: np.ndarray, weights: np.ndarray, offset: np.ndarray) -> np.ndarray:
    views = np.lib.stride_tricks.sliding_window_view(images, (6, 6), axis=(1, 2))[:, ::2, ::2]
    flat = views.transpose(0, 1, 2, 4, 5, 3).reshape(-1, 108)
    said = (_even(flat) @ weights - offset).reshape(len(images), 14, 14, -1)
    both = np.concatenate([np.maximum(said - 0.25, 0), np.maximum(-said - 0.25, 0)], axis=-1)
    return both.reshape(len(images), 2, 7, 2, 7, -1).mean(axis=(2, 4)).reshape(len(images), -1)


def out_of_fold(x: np.ndarray, label: np.ndarray, seed: int, folds: int = 5) -> np.ndarray:
    """Return float64 (n, c): what models say of the fold that they did not see."""
    fold = np.random.default_rng(seed).integers(0, folds, len(x))
    p = np.empty((len(x), int(label.max()) + 1))
    for k in range(folds):
        p[fold == k] = probe(x[fold != k], label[fold != k], x[fold == k])
    return p


def changed(label: np.ndarray, kind: str, rate: float, seed: int) -> np.ndarray:
    """Return labels of which a share is changed."""
    rng = np.random.default_rng(seed)
    flips = rng.random(len(label)) < rate
    if kind == "any class":
        to = (label + rng.integers(1, 10, len(label))) % 10
    else:
        to = np.array([NEXT[k] for k in range(10)])[label]
    return np.where(flips, to, label)


def noises(options: argparse.Namespace) -> None:
    other = cleanlab(options.beside)
    x, truth = features(options.cifar, options.n)
    for kind in ("any class", "one class"):
        for rate in (0.1, 0.2):
            table: dict[str, list[float]] = {}
            chosen = set()
            for seed in range(options.seeds):
                label = changed(truth, kind, rate, seed)
                p = out_of_fold(x, label, seed)
                how, score, _ = _scored(label, p, "auto")
                chosen.add(how)
                ranks = {"default": score, "posterior": noise(label, p).posterior(label, p)}
                ranks |= {name: rank(label, p) for name, rank in confident.SCORES.items()}
                if other is not None:
                    ranks |= {
                        f"cleanlab {method}": other.rank.get_label_quality_scores(
                            label, p, method=method
                        )
                        for method in OURS.values()
                    }
                for name, values in ranks.items():
                    table.setdefault(name, []).append(precision(label != truth, values))
            print(f"{rate:.0%} changed to {kind}; the default took {' and '.join(sorted(chosen))}")
            for name, values in table.items():
                print(f"  {name:38} {np.mean(values):.3f}")


# --- boxes ---------------------------------------------------------------------------------------

Picture = tuple[np.ndarray, np.ndarray]
"""Boxes as corners (k, 4), and their classes (k,)."""
Said = tuple[np.ndarray, np.ndarray, np.ndarray]
"""The same with scores (k,)."""
CLASSES = ("RBC", "WBC", "Platelets")
KINDS = ("overlooked", "badly placed", "swapped")


def annotated(folder: Path) -> list[Picture]:
    """Return the boxes of each picture of BCCD."""
    pictures = []
    for file in sorted(folder.rglob("*.xml")):
        corners, labels = [], []
        for one in ElementTree.parse(file).getroot().iter("object"):
            box = [float(one.findtext(f"bndbox/{k}") or 0) for k in "xmin ymin xmax ymax".split()]
            if box[2] > box[0] and box[3] > box[1]:
                corners.append(box)
                labels.append(CLASSES.index(one.findtext("name") or ""))
        pictures.append((np.array(corners).reshape(-1, 4), np.array(labels, int)))
    return pictures


def detected(picture: Picture, rng: np.random.Generator, sure: tuple[float, float]) -> Said:
    """Return what a detector says of a picture, ordered by class as cleanlab flattens it."""
    boxes, labels, score = [], [], []

    def say(box: np.ndarray, label: int, value: float) -> None:
        boxes.append(box)
        labels.append(label)
        score.append(value)

    for box, label in zip(*picture):
        sides = np.tile(box[2:] - box[:2], 2)
        if rng.random() < 0.93:
            say(box + rng.normal(0, 0.05, 4) * sides, label, rng.beta(*sure))
        if rng.random() < 0.06:
            other = (label + rng.integers(1, 3)) % 3
            say(box + rng.normal(0, 0.07, 4) * sides, other, rng.beta(2, 3))
        if rng.random() < 0.1:
            say(box + rng.normal(0, 0.2, 4) * sides, label, rng.beta(1.5, 4))
    for _ in range(rng.poisson(1.0)):
        corner, size = rng.uniform(0, [560, 400]), rng.uniform(30, 100, 2)
        say(np.append(corner, corner + size), int(rng.integers(3)), rng.beta(1.5, 3))
    order = np.argsort(labels, kind="stable")
    placed = np.array(boxes).reshape(-1, 4)[order]
    placed[:, 2:] = np.maximum(placed[:, 2:], placed[:, :2] + 2)
    return placed, np.array(labels, int)[order], np.array(score)[order]


def planted(
    picture: Picture, kinds: Sequence[str], rng: np.random.Generator
) -> tuple[Picture, dict[str, np.ndarray], Picture]:
    """Return the annotation with errors, its wrong boxes by kind, and the boxes dropped."""
    boxes, labels = picture[0].copy(), picture[1].copy()
    draw = rng.random(len(labels))
    is_of = {kind: (draw >= 0.1 * k) & (draw < 0.1 * (k + 1)) for k, kind in enumerate(kinds)}
    nowhere = np.zeros(len(labels), bool)
    dropped, moved, renamed = (is_of.get(kind, nowhere) for kind in KINDS)
    sides = boxes[:, 2:] - boxes[:, :2]
    step = rng.choice([-1, 1], sides.shape) * sides * rng.uniform(0.25, 0.45, sides.shape)
    boxes[moved] += np.tile(step, 2)[moved]
    labels[renamed] = (labels[renamed] + rng.integers(1, 3, int(renamed.sum()))) % 3
    left = {kind: rows[~dropped] for kind, rows in is_of.items()}
    return (boxes[~dropped], labels[~dropped]), left, (picture[0][dropped], picture[1][dropped])


def xywh(corners: np.ndarray) -> np.ndarray:
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


def as_boxes(rows: list[Any], *, scored: bool) -> Boxes:
    image = np.repeat(np.arange(len(rows)), [len(row[1]) for row in rows])
    corners, label = (np.concatenate([row[k] for row in rows]) for k in (0, 1))
    score = np.concatenate([row[2] for row in rows]) if scored else None
    return Boxes(image, xywh(corners), label, score)


def shows_dropped(said: Said, dropped: Picture) -> np.ndarray:
    """Return bool (k,): a predicted box shows an object whose box was dropped."""
    near = iou_matrix(xywh(said[0]), xywh(dropped[0])) >= 0.5
    return np.asarray((near & (said[1][:, None] == dropped[1][None])).any(axis=1))


def objectlab(other: Any, given: list[Picture], said: list[Said], kind: str) -> np.ndarray:
    """Return ObjectLab's score of each box, NaN (not judged) as 1."""
    rank = other.object_detection.rank
    labels = [{"bboxes": boxes, "labels": label} for boxes, label in given]
    predicted = [
        [np.column_stack([boxes[label == k], score[label == k]]) for k in range(len(CLASSES))]
        for boxes, label, score in said
    ]
    name = {"overlooked": "overlooked", "badly placed": "badloc", "swapped": "swap"}[kind]
    compute = getattr(rank, f"compute_{name}_box_scores")
    return np.nan_to_num(np.concatenate(compute(labels=labels, predictions=predicted)), nan=1.0)


def boxes(options: argparse.Namespace) -> None:
    other = cleanlab(options.beside)
    every = annotated(options.bccd)
    print(f"{len(every)} pictures, {sum(len(labels) for _, labels in every):,} boxes")
    for sure in ((25, 0.8), (6, 1.2), (3, 2)):
        print(f"scores of right boxes from Beta{sure}: {sure[0] / sum(sure):.2f} on average")
        for kinds in (*((kind,) for kind in KINDS), KINDS):
            values: dict[str, list[list[float]]] = {}
            for seed in range(options.seeds):
                rng = np.random.default_rng(seed)
                pictures = [every[i] for i in rng.permutation(len(every))[: options.n]]
                said = [detected(picture, rng, sure) for picture in pictures]
                for kind, row in _judged(pictures, said, kinds, rng, other):
                    values.setdefault(kind, []).append(row)
            for kind, rows in values.items():
                ours, *its = np.mean(rows, axis=0)
                named = f"{kind}{', all three planted' if len(kinds) > 1 else ''}"
                beside = f", ObjectLab {its[0]:.3f}; {its[1]:.0f} times as fast" if its else ""
                print(f"  {named:33} average precision {ours:.3f}{beside}")


def _judged(
    pictures: list[Picture],
    said: list[Said],
    kinds: Sequence[str],
    rng: np.random.Generator,
    other: Any,
) -> Iterator[tuple[str, list[float]]]:
    """Yield each kind with our average precision, ObjectLab's, and the ratio of times."""
    rows = [planted(picture, kinds, rng) for picture in pictures]
    given = [row[0] for row in rows]
    start = time.process_time()
    found = box_scores(as_boxes(said, scored=True), as_boxes(given, scored=False))
    took = time.process_time() - start
    for kind in kinds:
        if kind == "overlooked":
            wrong = np.concatenate([shows_dropped(s, row[2]) for s, row in zip(said, rows)])
        else:
            wrong = np.concatenate([row[1][kind] for row in rows])
        values = [precision(wrong, getattr(found, kind.replace(" ", "_")))]
        if other is not None:
            start = time.process_time()
            values.append(precision(wrong, objectlab(other, given, said, kind)))
            values.append((time.process_time() - start) / max(took, 1e-9))
        yield kind, values


# --- sampling ------------------------------------------------------------------------------------


def rounds(
    x: np.ndarray, truth: np.ndarray, budgets: list[int], seed: int, folder: Path
) -> Iterator[tuple[int, float, float]]:
    """Yield labels, accuracy after `db.sample`, and accuracy after random choice."""
    import slicedb
    from slicedb import schema

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(x))
    pool, held = order[:2500], order[2500:4500]
    db = slicedb.open(folder / f"{seed}.slicedb")
    ids = [f"{i:05}" for i in pool]
    rows = {"id": ids, "key": schema.keys_of(ids), "status": ["ok"] * len(ids)}
    db.store.append(schema.SAMPLES, pa.table(rows))
    db.log_embeddings("own", pa.table({"id": ids, "vector": x[pool].tolist()}))
    chosen: list[int] = []
    for budget in budgets:
        picks = [int(name) for name in db.sample(budget - len(chosen), seed=seed).ids]
        chosen += picks
        table = {"id": [f"{i:05}" for i in picks], "label": [f"c{truth[i]}" for i in picks]}
        db.attach(table, partial=True)
        yield (
            budget,
            *(
                float((probe(x[rows], truth[rows], x[held]).argmax(axis=1) == truth[held]).mean())
                for rows in (np.array(chosen), pool[:budget])
            ),
        )


def tiny(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of the bundled tiny CLIP of pictures that it was not trained on."""
    from calibrate import photos

    x, label, _ = photos(path, 10)
    return x, np.unique(label, return_inverse=True)[1]


def sampling(options: argparse.Namespace) -> None:
    x, truth = tiny(options.cifar) if options.tiny else features(options.cifar, 6000)
    budgets = [10, 20, 50, 100, 200, 400]
    table: dict[int, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.first, options.first + options.seeds):
            for budget, ours, chance in rounds(x, truth, budgets, seed, Path(folder)):
                table.setdefault(budget, []).append((ours, chance))
    print(f"{options.seeds} seeds, {'tiny CLIP' if options.tiny else 'random patches'}: points")
    for budget, pairs in table.items():
        ours, chance = np.mean(pairs, axis=0) * 100
        error = np.std(np.diff(pairs, axis=1)) * 100 / np.sqrt(len(pairs))
        gain = f"{ours - chance:+.1f} (standard error {error:.1f})"
        print(f"  {budget:4} labels: sample {ours:.1f}, random {chance:.1f}, {gain}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=["scores", "noise", "boxes", "sampling"])
    parser.add_argument("--cifar", type=Path)
    parser.add_argument("--bccd", type=Path)
    parser.add_argument("--beside", metavar="FOLDER", help="site-packages with cleanlab")
    parser.add_argument("--n", type=int, help="pictures")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--tiny", action="store_true", help="vectors of the bundled encoder")
    options = parser.parse_args()
    options.n = options.n or (10_000 if options.what == "noise" else 120)
    run = {"scores": scores, "noise": noises, "boxes": boxes, "sampling": sampling}
    run[options.what](options)


if __name__ == "__main__":
    main()
