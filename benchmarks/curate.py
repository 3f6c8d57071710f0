"""Curation beside what people take for it: duplicates, quality and their cost at ingest.

    python benchmarks/curate.py --data DATA --only planted hashes quality ingest vectors queue

What is compared with is used where it is installed: cleanvision, imagededup, ImageHash. Processor
seconds of this process, so that other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import slicedb
from slicedb import media
from slicedb.curate.hashes import Hashes
from slicedb.curate.neighbours import nearest, vector_pairs
from slicedb.progress import Bar, Progress
from slicedb.vectors import Matrix


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def transforms(image: Image.Image) -> dict[str, bytes]:
    """Return the five copies that are to be found."""
    width, height = image.size
    inner = (int(width * 0.1), int(height * 0.1), int(width * 0.9), int(height * 0.9))
    half = image.resize((width // 2, height // 2), Image.Resampling.BILINEAR)
    return {
        "crop": encoded(image.crop(inner)),
        "mirrored": encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        "upside": encoded(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)),
        "turned": encoded(image.rotate(5, Image.Resampling.BILINEAR)),
        "resized": encoded(half, 50),
    }


def photos(data: Path) -> list[Path]:
    return [p for p in sorted((data / "photos").rglob("*")) if p.suffix.lower() in media.EXTENSIONS]


def cifar(data: Path, n: int) -> pa.Table:
    table = pq.read_table(data / "cifar10-train.parquet", columns=["path", "image"])
    return table.take(np.random.default_rng(0).permutation(len(table))[:n])


def processor(work: Callable[[], Any], times: int = 1) -> tuple[Any, float]:
    """Return what work gives, and the least processor seconds it took."""
    least, result = float("inf"), None
    for _ in range(times):
        started = time.process_time()
        result = work()
        least = min(least, time.process_time() - started)
    return result, least


def planted(data: Path, folder: Path, encoder: str | None, pretrained: str | None) -> None:
    """Hide copies of photos among others, and count which are found."""
    ids, images = [], []
    for i, path in enumerate(photos(data)):
        image = Image.open(path).convert("RGB")
        for kind, content in {"whole": path.read_bytes(), **transforms(image)}.items():
            ids.append(f"photo{i:03d}-{kind}.jpg")
            images.append(content)
    others = cifar(data, 10_000)
    ids += [f"other-{name.replace('/', '-')}" for name in others["path"].to_pylist()]
    images += others["image"].to_pylist()
    source = folder / "planted.parquet"
    pq.write_table(pa.table({"path": ids, "image": pa.array(images, pa.binary())}), source)
    db = slicedb.open(folder / "planted")
    db.ingest(source, progress=False)
    db.embed(*([encoder] if encoder else []), pretrained=pretrained, progress=False)
    names = dict(zip(db.keys().tolist(), db.query().ids()))
    for by in ("hash", "both"):
        found, seconds = processor(lambda by=by: db.duplicates(by=by, progress=False))  # type: ignore[misc]
        counts: Counter[str] = Counter()
        for left, right in zip(*(found.pairs[s].to_pylist() for s in ("left", "right"))):
            one, other = sorted((names[left], names[right]), key=lambda n: "whole" not in n)
            if one.startswith("photo") and one[:8] == other[:8]:
                counts["right"] += 1
                if "whole" in one:
                    counts[other[9:-4]] += 1
            else:
                counts["others" if one[:5] == other[:5] == "other" else "wrong"] += 1
        n = len(photos(data))
        recall = {kind: round(counts[kind] / n, 3) for kind in transforms(image)}
        precision = counts["right"] / max(1, counts["right"] + counts["wrong"])
        print(f"planted, by {by}: recall {recall}, of all {sum(recall.values()) / 5:.3f}")
        print(
            f"  precision {precision:.4f} ({counts['right']} right, {counts['wrong']} wrong); "
            f"{counts['others']} pairs of CIFAR beside them, to be looked at; {seconds:.1f} s"
        )
        for null in found.nulls:
            print(f"  {null.what}: threshold {null.threshold:.3g} ({null.why})")


def hashes(data: Path) -> None:
    """Compare all pairs of 100,000 hashes, and hash and compare beside other libraries."""
    gray = np.stack([media.inspect(d).gray for d in cifar(data, 50_000)["image"].to_pylist()])
    upside = np.ascontiguousarray(gray[:, ::-1, ::-1][:, :16].repeat(2, axis=1))
    looks = [media.looks(part) for part in (gray, upside)]
    turned, signs = (np.concatenate([one[i] for one in looks]) for i in (0, 1))
    all_of_them = Hashes(turned, signs[:, :32])
    started = time.perf_counter()
    found, seconds = processor(lambda: all_of_them.pairs(32, Bar()))
    print(
        f"hashes: all pairs of {len(all_of_them):,} in eight orientations: {seconds:.1f} s of "
        f"processor, {time.perf_counter() - started:.1f} s of wall; {len(found.left)} pairs"
    )
    files = [path.read_bytes() for path in photos(data)]
    _, ours = processor(lambda: [media.inspect(one).gray for one in files], 3)
    with contextlib.suppress(ImportError):
        import imagehash

        def theirs() -> list[Any]:
            opened = (Image.open(io.BytesIO(one)) for one in files)
            return [[imagehash.phash(i.transpose(t)) for t in Image.Transpose] for i in opened]

        _, other = processor(theirs)
        print(f"hashes: ImageHash, orientations of {len(files)} photos: {other / ours:.0f} times")
    with contextlib.suppress(ImportError), tempfile.TemporaryDirectory() as folder:
        from imagededup.methods import PHash

        for i, content in enumerate(cifar(data, 5000)["image"].to_pylist()):
            (Path(folder) / f"{i}.jpg").write_bytes(content)
        method = PHash(verbose=False)
        codes = method.encode_images(folder, num_enc_workers=0)
        _, other = processor(
            lambda: method.find_duplicates(
                encoding_map=codes, max_distance_threshold=10, num_dist_workers=0
            )
        )
        some = Hashes(turned[:5000], signs[:5000, :32])
        _, ours = processor(lambda: some.pairs(32, Bar()), 3)
        print(f"hashes: imagededup, pairs of 5,000, upright only: {other / ours:.0f} times")


def quality(data: Path, folder: Path) -> None:
    """Compare the measures of photos with cleanvision's scores, and the time."""
    from scipy.stats import spearmanr

    db = slicedb.open(folder / "photos")
    db.ingest(data / "photos", progress=False)
    _, ours = processor(lambda: db.quality(progress=False))
    try:
        from cleanvision import Imagelab
    except ImportError:
        print("quality: cleanvision is not installed")
        return
    lab = Imagelab(data_path=str(data / "photos"))
    names = ("dark", "light", "blurry", "low_information", "odd_aspect_ratio")
    types: dict[str, dict[str, Any]] = {name: {} for name in names}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _, theirs = processor(lambda: lab.find_issues(types, n_jobs=1, verbose=False))
    scores = lab.issues
    scores.index = [Path(name).name for name in scores.index]
    rows = db.query().to_pandas()
    rows.index = [Path(name).name for name in rows["id"]]
    rows = rows.loc[scores.index]
    told = {
        "dark": rows["quality_dark"],
        "light": 1 - rows["quality_light"],
        "blurry": rows["quality_sharpness"],
        "low_information": rows["quality_entropy"],
        "odd_aspect_ratio": (rows["width"] / rows["height"]).map(lambda r: min(r, 1 / r)),
    }
    for name, values in told.items():
        correlation = spearmanr(values, scores[f"{name}_score"]).statistic
        print(f"quality: {name}: rank correlation {correlation:.4f} with cleanvision")
    print(f"quality: cleanvision takes {theirs / ours:.1f} times the processor time")


def ingest(data: Path, folder: Path) -> None:
    """Compare ingest with and without `quality`, in turns."""
    small = folder / "cifar.parquet"
    pq.write_table(cifar(data, 10_000), small)
    for name, source in (("photos", data / "photos"), ("CIFAR", small)):
        least = {False: float("inf"), True: float("inf")}
        for _ in range(5):
            for asked in least:
                shutil.rmtree(folder / "ingested", ignore_errors=True)
                db = slicedb.open(folder / "ingested")
                _, seconds = processor(
                    lambda db=db, source=source, asked=asked: db.ingest(  # type: ignore[misc]
                        source, quality=asked, progress=False
                    )
                )
                least[asked] = min(least[asked], seconds)
        print(f"ingest: {name} with quality: {least[True] / least[False] - 1:+.1%} processor time")


class Enough(Bar):
    """A bar that stops the work after some rows."""

    def __init__(self, rows: int) -> None:
        self.left = rows

    def advance(self, n: int = 1) -> None:
        """Count down, and stop."""
        self.left -= n
        if self.left <= 0:
            raise KeyboardInterrupt


def vectors(folder: Path, n: int) -> None:
    """Compare the first rows of n vectors of 512 numbers with all, and print the memory."""
    file = folder / "vectors.npy"
    matrix = np.lib.format.open_memmap(file, "w+", np.float16, (n, 512))
    rng = np.random.default_rng(0)
    for start in range(0, n, 10_000):
        block = rng.normal(size=(min(10_000, n - start), 512)).astype(np.float32)
        matrix[start : start + 10_000] = block / np.linalg.norm(block, axis=1, keepdims=True)
    matrix.flush()
    del matrix
    held = Matrix(np.arange(n), np.load(file, mmap_mode="c"))
    before = resident()
    for name, work in (
        ("pairs", lambda bar: vector_pairs(held, np.arange(n), 0.9, bar)),
        ("nearest", lambda bar: nearest(held, np.arange(n), 8, bar)),
    ):
        rows = 2048
        started = time.process_time()
        with contextlib.suppress(KeyboardInterrupt):
            work(Enough(rows))
        seconds = time.process_time() - started
        print(
            f"vectors: {name}, {rows:,} of {n:,} rows with all: {seconds:.0f} s of processor; "
            f"anonymous memory grew by {(resident() - before) / 2**20:,.0f} MB, peak with mapped "
            f"file {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GB"
        )


def queue(data: Path, folder: Path, n: int) -> None:
    """Find the duplicates of n small pictures, by hashes, vectors and pixels, and say what it took.

    Vectors are the gray pictures at 8 x 8 pixels, so that neighbours look alike.
    """
    pictures = folder / "queue.parquet"
    pq.write_table(cifar(data, n), pictures)
    db = slicedb.open(folder / "queue.slicedb")
    db.ingest(pictures, id_column="path", progress=False)
    ids, vectors = [], []
    for name, image in zip(*cifar(data, n).to_pydict().values()):
        gray = Image.open(io.BytesIO(image["bytes"] if isinstance(image, dict) else image))
        small = np.asarray(gray.convert("L").resize((8, 8), Image.Resampling.BOX), np.float32)
        ids.append(name)
        vectors.append(small.ravel() - small.mean() + 1e-3)
    db.log_embeddings("default", pa.table({"id": ids, "vector": vectors}))
    db.duplicates(progress=False)  # what is computed once is stored now
    seconds: Counter[str] = Counter()
    stage, since = "read", time.process_time()

    def hear(told: Progress) -> None:
        nonlocal stage, since
        now = time.process_time()
        seconds[stage] += now - since  # type: ignore[assignment]
        stage, since = told.stage, now

    found, whole = processor(lambda: db.duplicates(progress=hear))
    parts = ", ".join(f"{name} {s:.1f}" for name, s in seconds.most_common(4))
    print(
        f"queue: {n:,} pictures, {len(found.groups):,} groups: {whole:.0f} s of processor ({parts})"
    )


def resident() -> int:
    """Return the bytes of this process's own memory, without mapped files."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024


def chosen(only: list[str], options: argparse.Namespace, folder: Path) -> Iterator[None]:
    """Run what was asked for, one after the other."""
    data = options.data
    work: dict[str, Callable[[], None]] = {
        "planted": lambda: planted(data, folder, options.encoder, options.pretrained),
        "hashes": lambda: hashes(data),
        "quality": lambda: quality(data, folder),
        "ingest": lambda: ingest(data, folder),
        "vectors": lambda: vectors(folder, options.vectors),
        "queue": lambda: queue(data, folder, options.pictures),
    }
    for name in only or work:
        if name not in work:
            sys.exit(f"No part '{name}'; there are {', '.join(work)}.")
        yield work[name]()


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--encoder", help="by default the bundled one")
    parser.add_argument("--pretrained")
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=int, default=50_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for _ in chosen(options.only, options, Path(folder)):
            pass


if __name__ == "__main__":
    main()
