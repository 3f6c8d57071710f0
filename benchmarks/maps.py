"""Maps beside what a user would pick instead: projections, and lassos over many points.

    python benchmarks/maps.py             # 100,000 x 512 and a million points
    python benchmarks/maps.py --small     # a tenth of both

Prints the seconds of processor time and of the wall, and their ratios. PCA is scikit-learn's, on
vectors that are in memory; a lasso is matplotlib's `Path.contains_points`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

import slicedb
from slicedb.schema import EMBEDDINGS, MAPS, MAPS_SCHEMA, SAMPLES, embeddings_schema, keys_of

CORNERS = (12, 100, 400)


def timed(what: Callable[[], object], times: int = 1) -> tuple[float, float, object]:
    """Return the least wall seconds and processor seconds of several calls, and the value."""
    walls, cpus, value = [], [], None
    for _ in range(times):
        wall, cpu = time.perf_counter(), time.process_time()
        value = what()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return min(walls), min(cpus), value


def outline(n: int) -> list[list[float]]:
    """Return the corners of a ragged lasso around a third of the unit square."""
    random = np.random.default_rng(n)
    turn = np.sort(random.uniform(0, 2 * np.pi, n))
    far = 0.35 + random.uniform(-0.05, 0.05, n)
    at = np.stack([0.5 + far * np.cos(turn), 0.5 + far * np.sin(turn)], axis=1)
    return [[round(float(x), 3), round(float(y), 3)] for x, y in at]


def projecting(folder: Path, n: int, dim: int) -> None:
    """Compare PCA with scikit-learn's."""
    from sklearn.decomposition import PCA

    random = np.random.default_rng(0)
    vectors = random.normal(size=(n, dim)).astype(np.float32)
    vectors[:, :2] *= (3, 2)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    db, ids = filled(folder / "pca.slicedb", n)
    schema = embeddings_schema(dim)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), dim)
    columns = {"id": ids, "key": keys_of(ids), "content": np.zeros(n, np.int64), "vector": flat}
    db.store.create(EMBEDDINGS + "default", schema, pa.table(columns, schema=schema))
    cold = timed(lambda: db.project("pca", progress=False))
    wall, cpu, _ = timed(lambda: db.project("pca", replace=True, progress=False))
    again, _, _ = timed(lambda: db.project("pca", progress=False))
    theirs = timed(lambda: PCA(2, random_state=0).fit_transform(vectors))
    print(
        f"PCA of {n:,} x {dim}: first run {cold[0]:.2f} s, later {wall:.2f} s wall, {cpu:.2f} s cpu"
    )
    print(f"  with nothing new: {again:.2f} s")
    print(f"  scikit-learn, in memory: {theirs[0]:.2f} s wall, {theirs[1]:.2f} s cpu", end="")
    print(f" (ours takes {cpu / theirs[1]:.2f} times its processor time, reading and writing)")


def encircling(folder: Path, n: int) -> None:
    """Compare lassos with matplotlib's, where it is installed, and with the distance of NumPy."""
    random = np.random.default_rng(1)
    x, y = random.random((2, n), np.float32)
    db, ids = filled(folder / "lasso.slicedb", n)
    columns = {"id": ids, "key": keys_of(ids), "x": x, "y": y}
    more = {"fingerprint": np.zeros(n, np.int64), "fit": np.ones(n, bool)}
    db.store.create(MAPS + "pca", MAPS_SCHEMA, pa.table(columns | more, schema=MAPS_SCHEMA))
    first = timed(lambda: db.query(text(outline(3))).count())
    print(f"{n:,} points; the first lasso reads them: {first[0] * 1000:.0f} ms")
    at = np.stack([x, y], axis=1).astype(np.float64)
    for corners in CORNERS:
        wall, cpus = [], []
        for turn in range(5):  # other texts, so that no answer is kept
            lasso = [[a + turn * 1e-4, b] for a, b in outline(corners)]
            asked = text(lasso)
            took = timed(lambda asked=asked: db.query(asked).count())  # type: ignore[misc]
            wall.append(took[0])
            cpus.append(took[1])
        print(
            f"in_map, {corners} corners ({len(asked):,} B): median {np.median(wall) * 1000:.0f} ms",
            end="",
        )
        print(f", {np.median(cpus) * 1000:.0f} ms cpu: {took[2]:,} points", end="")
        try:
            from matplotlib.path import Path as Outline
        except ImportError:
            print("; matplotlib is not installed")
            continue
        theirs = timed(lambda lasso=lasso: int(Outline(lasso).contains_points(at).sum()))  # type: ignore[misc]
        print(f"; matplotlib {theirs[0] * 1000:.0f} ms: {theirs[2]:,} points", end="")
        print(f" ({theirs[1] / np.median(cpus):.1f} times ours)")


def text(corners: list[list[float]]) -> str:
    """Return a lasso as a query."""
    return f"in_map('pca', {[[round(a, 4), b] for a, b in corners]})"


def filled(path: Path, n: int) -> tuple[slicedb.Database, pa.Array]:
    """Return a database of n rows without pictures, and their ids."""
    db = slicedb.open(path)
    ids = pa.array([f"s{i:07d}" for i in range(n)])
    columns = {"id": ids, "key": keys_of(ids), "status": pa.array(["ok"] * n)}
    db.store.append(SAMPLES, pa.table(columns))
    return db, ids


def main() -> None:
    """Run both parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a tenth of both")
    part = 10 if parser.parse_args().small else 1
    with tempfile.TemporaryDirectory() as folder:
        projecting(Path(folder), 100_000 // part, 512)
        for n in (100_000 // part, 1_000_000 // part):
            encircling(Path(folder, str(n)), n)


if __name__ == "__main__":
    main()
