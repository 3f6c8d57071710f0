"""Prediction against its parts and against a plain loader, in one run.

    python benchmarks/predict.py --data ../shared/data
    python benchmarks/predict.py --data ../shared/data --device cuda

Prints a Markdown table. Rounds alternate in one process, bare, ours, bare, ours, ..., so that each
run of ours is set against the bare runs right before and after it; the ratio's least, median and
most are printed, of wall-clock and of processor seconds (all threads):

- `bare decode` and `bare model`: each alone, at its best batching, on all cores; their sum is what
  a sequential program could reach on a CPU.
- `slicedb`: `inference.predict` from encoded bytes to record batches.
- `loader`: `ImageFolder` + `DataLoader` + the same network, 0 and 2 workers, in the first rounds.
- `together`: two models in one pass, beside a pass for each.
- `database`: `predictions.predict` into a fresh database; then 20 overlapping slices, then 1 % of
  new samples.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

from slicedb import inference, predictions
from slicedb.inference.batches import n_threads
from slicedb.inference.runner import default_batch_size
from slicedb.models import Model, TorchClassifier, load
from slicedb.schema import IMAGES, IMAGES_SCHEMA, SAMPLES, keys_of
from slicedb.store import Store

Items = list[tuple[str, bytes]]
Timed = tuple[float, float]
"""Wall-clock and processor seconds."""


def photos(data: Path, n: int) -> Items:
    """Return the photos, repeated up to n of them."""
    files = sorted((data / "photos").glob("*.JPEG"))
    bytes_of = [file.read_bytes() for file in files]
    return [(f"n{i % len(files):03d}/{i}.jpg", bytes_of[i % len(files)]) for i in range(n)]


def enlarged(items: Items, n: int) -> Items:
    """Return n photos of 12 megapixels, as a phone takes them: eight of the photos, enlarged."""
    made = []
    for _, data in items[:8]:
        out = io.BytesIO()
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image.resize((4032, 3024), Image.Resampling.BICUBIC).save(out, "JPEG", quality=92)
        made.append(out.getvalue())
    return [(f"{i}.jpg", made[i % len(made)]) for i in range(n)]


def cifar(data: Path, n: int) -> Items:
    """Return n CIFAR images, every class its share."""
    table = pq.read_table(data / "cifar10-train.parquet", columns=["path", "image"])
    table = table.take(list(range(0, len(table), len(table) // n))[:n])
    return list(zip(table["path"].to_pylist(), table["image"].to_pylist()))


def small() -> Model:
    """Return a small network for 32 x 32 pixels (about 80,000 parameters)."""
    torch.manual_seed(0)

    def block(inside: int, outside: int) -> nn.Module:
        parts = (nn.Conv2d(inside, outside, 3, 2, 1), nn.BatchNorm2d(outside), nn.ReLU())
        return nn.Sequential(*parts)

    net = nn.Sequential(
        block(3, 24),
        block(24, 48),
        block(48, 96),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(96, 10),
    )
    return TorchClassifier(net, classes=list("abcdefghij"), input_size=32, name="small")


def bare_decode(model: Model, items: Items) -> None:
    """Decode and resize with a thread a core, in chunks."""
    fill, size = model.preprocessing.fill, model.preprocessing.size
    out = np.empty((64, *size, 3), dtype=np.uint8)

    def chunk(start: int) -> None:
        for row, (_, data) in enumerate(items[start : start + 32]):
            fill(data, out[row % 64])

    with ThreadPoolExecutor(n_threads()) as pool:
        list(pool.map(chunk, range(0, len(items), 32)))


def bare_model(model: Model, items: Items, device: torch.device, size: int) -> None:
    """Run the network on tensors that are there already."""
    net: Any = model.module.eval().to(device, memory_format=torch.channels_last)  # type: ignore[attr-defined]
    height, width = model.preprocessing.size
    batch = torch.rand(size, 3, height, width, device=device)
    batch = batch.contiguous(memory_format=torch.channels_last)
    cuda = device.type == "cuda"
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=cuda):
        for start in range(0, len(items), size):
            net(batch[: min(size, len(items) - start)])
    if cuda:
        torch.cuda.synchronize()


def ours(model: Model, items: Items, device: torch.device) -> None:
    """Predict from bytes to record batches."""
    assert sum(len(b) for b in inference.predict(model, items, device=device)) == len(items)


def loader(model: Model, folder: Path, device: torch.device, workers: int, size: int) -> None:
    """Predict with ImageFolder and DataLoader, as the torchvision examples do."""
    from torchvision import datasets
    from torchvision import transforms as t

    settings = model.preprocessing
    steps = [t.Resize(settings.resize), t.CenterCrop(settings.size), t.ToTensor()]
    chain = t.Compose([*steps, t.Normalize(settings.mean, settings.std)])
    images = datasets.ImageFolder(str(folder), transform=chain)
    net: Any = model.module.eval().to(device)  # type: ignore[attr-defined]
    batches = torch.utils.data.DataLoader(
        images,
        batch_size=size,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        multiprocessing_context="forkserver" if workers else None,
    )
    with torch.inference_mode():
        for pictures, _ in batches:
            net(pictures.to(device)).softmax(1).cpu()


def write_folder(items: Items, folder: Path) -> None:
    """Write items as class/file."""
    for name, data in items:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def timed(run: Callable[[], None]) -> float:
    """Return the seconds one call takes."""
    return clocked(run)[0]


def clocked(run: Callable[[], None]) -> Timed:
    """Return the wall-clock and the processor seconds of one call, all threads counted."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def compare(
    title: str,
    model: Model,
    items: Items,
    device: torch.device,
    size: int,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Time all of them by turns, print a line each, and return the median seconds."""
    runs: dict[str, list[Timed]] = {}

    def run(name: str, work: Callable[[], None]) -> None:
        runs.setdefault(name, []).append(clocked(work))
        print(f"{title}: {name} {runs[name][-1][0]:.2f} s", file=sys.stderr)

    def bare() -> None:
        if device.type == "cpu":
            run("bare decode", lambda: bare_decode(model, items))
        run("bare model", lambda: bare_model(model, items, device, size))

    bare_decode(model, items)
    bare_model(model, items, device, size)
    ours(model, items, device)  # all of them are warm now
    with tempfile.TemporaryDirectory() as folder:
        write_folder(items, Path(folder))
        for number in range(options.rounds):
            bare()
            run("slicedb", lambda: ours(model, items, device))
            if number == options.rounds - 1:
                bare()
            if number < options.loader_rounds:
                for n in options.workers:
                    run(
                        f"loader, {n} workers",
                        lambda n=n: loader(model, Path(folder), device, n, 64),
                    )  # type: ignore[misc]
    return table(title, runs, len(items), device)


def table(
    title: str, runs: dict[str, list[Timed]], n: int, device: torch.device
) -> dict[str, float]:
    """Print what was timed; return the median wall-clock seconds by name."""
    parts = [runs[name] for name in ("bare decode", "bare model") if name in runs]
    bare = [tuple(map(sum, zip(*both))) for both in zip(*parts)]  # (wall, cpu) of each round
    label = " + ".join(name for name in ("bare decode", "bare model") if name in runs)
    medians = {name: statistics.median(wall for wall, _ in times) for name, times in runs.items()}
    print(f"\n{title}: {n:,} images, {device}\n")
    print("| run | runs | median s | CPU s | images/s |\n| --- | --- | --- | --- | --- |")
    for name, times in (runs | {f"({label})": bare}).items():
        wall, cpu = (statistics.median(column) for column in zip(*times))
        print(f"| {name} | {len(times)} | {wall:.2f} | {cpu:.2f} | {n / wall:,.0f} |")
    for what, clock in (("wall-clock", 0), ("processor", 1)):
        around = [(a[clock] + b[clock]) / 2 for a, b in pairwise(bare)]
        ratios = [ours[clock] / both for ours, both in zip(runs["slicedb"], around)]
        least, middle, most = min(ratios), statistics.median(ratios), max(ratios)
        print(f"\nslicedb / ({label}), {what}: {middle:.2f} (from {least:.2f} to {most:.2f})")
    return medians


def fill(store: Store, items: Items) -> np.ndarray:
    """Add samples and their images; returns the keys."""
    ids = [name for name, _ in items]
    keys = keys_of(ids)
    digests = [hashlib.sha256(data + name.encode()).hexdigest() for name, data in items]
    labels = [name.split("/")[0] for name in ids]
    columns = {"id": ids, "key": keys, "sha256": digests, "label": labels}
    store.append(SAMPLES, pa.table({**columns, "status": ["ok"] * len(ids)}))
    store.create(IMAGES, IMAGES_SCHEMA)
    encoded = pa.array([data for _, data in items], pa.large_binary())
    store.append(IMAGES, pa.table({"id": ids, "key": keys, "image": encoded}))
    return keys


def database(model: Model, items: Items, device: torch.device, plain: float) -> None:
    """Time whole database runs: all of it, again, overlapping slices, 1 % more."""
    new = len(items) // 100
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(Path(folder) / "bench.slicedb")
        keys = fill(store, items[new:])
        half = keys[: len(keys) // 2]
        slices = [rng.choice(half, len(half) // 2, replace=False) for _ in range(20)]
        union = len(np.unique(np.concatenate(slices)))

        def run(name: str, wanted: np.ndarray | None, expected: int) -> Timed:
            spent = clocked(
                lambda: reports.append(
                    predictions.predict(store, name, model, wanted, device=device, progress=False)
                )
            )
            assert reports[-1].predicted == expected, reports[-1]
            return spent

        reports: list[Any] = []
        run("warm", keys[:64], min(64, len(keys)))
        everything = run("m", None, len(keys))
        again = run("m", None, 0)
        fill(store, items[:new])
        more = run("m", None, new)
        sliced = run("s", np.concatenate(slices), union)
    print("\n| database | seconds | processor seconds | |\n| --- | --- | --- | --- |")

    def line(name: str, spent: Timed, remark: str) -> None:
        print(f"| {name} | {spent[0]:.2f} | {spent[1]:.2f} | {remark} |")

    line("predict all", everything, f"{everything[0] / plain:.2f} of inference alone")
    line("predict again", again, "0 images")
    (wall, cpu), share = (a / b for a, b in zip(more, everything)), new / len(items)
    line("1 % new", more, f"{wall:.1%} of all ({cpu:.1%}), for {share:.1%} of the images")
    rows = sum(map(len, slices))
    wall, cpu = (a / b for a, b in zip(sliced, everything))
    line(
        f"20 overlapping slices, {rows:,} rows",
        sliced,
        f"{union:,} images: {wall:.2f} of all ({cpu:.2f}), "
        f"for {union / len(keys):.2f} of the images",
    )


def together(title: str, models: list[Model], items: Items, options: argparse.Namespace) -> None:
    """Print what one pass of several models takes over a pass for each, and check equality."""
    wanted = [(name, data, range(len(models))) for name, data in items]
    rows: dict[str, list[pa.Table]] = {}

    def one_pass() -> None:
        made: list[list[pa.RecordBatch]] = [[] for _ in models]
        for said in inference.predict_several(models, wanted, device=options.device):
            made[said.model].append(said.batch)
        rows["one"] = [pa.Table.from_batches(part).combine_chunks() for part in made]

    def passes() -> None:
        rows["each"] = [
            pa.Table.from_batches(
                list(inference.predict(model, items, device=options.device))
            ).combine_chunks()
            for model in models
        ]

    passes()
    ratios = []
    for _ in range(options.rounds):
        (wall, cpu), (own, own_cpu) = clocked(passes), clocked(one_pass)
        ratios.append((own / wall, own_cpu / cpu))
    walls, cpus = (sorted(column) for column in zip(*ratios))
    alike = "equal" if rows["one"] == rows["each"] else "DIFFERENT"
    print(
        f"| {title} | {len(items)} | {statistics.median(walls):.2f} "
        f"({walls[0]:.2f} to {walls[-1]:.2f}) | {statistics.median(cpus):.2f} | {alike} |",
        flush=True,
    )


def print_together(options: argparse.Namespace) -> None:
    """Print the table of passes that models share."""
    print("\n| models in one pass | photos | time over a pass for each | processor time | rows |")
    print("| --- | --- | --- | --- | --- |")
    names = ("mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5")
    mobile, less, least = (load(f"torchvision:{name}", weights="random") for name in names)
    few = photos(options.data, options.photos)
    phone = enlarged(few, max(8, options.photos // 5))
    together("two small networks at 32", [small(), small()], few, options)
    together("MobileNetV3-small, ShuffleNetV2-x0.5", [less, least], few, options)
    together("the same two, 12 megapixels", [less, least], phone, options)
    together("MobileNetV2, MobileNetV3-small", [mobile, less], few, options)
    # They resize to 232 and to 256, which are two fractions of a phone's photo.
    together("the same two, 12 megapixels at 2/8 and 3/8", [mobile, less], phone, options)


def best_size(model: Model, device: torch.device, items: Items) -> int:
    """Return the batch at which the bare network is fastest."""
    usual = default_batch_size(model.preprocessing.size, device)
    sizes, few = (usual // 2, usual, usual * 2), items[: min(len(items), 4 * usual)]
    bare_model(model, few, device, usual)
    seconds = {s: timed(lambda s=s: bare_model(model, few, device, s)) for s in sizes}
    return min(seconds, key=lambda s: seconds[s])


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--loader-rounds", type=int, default=2, help="rounds with the loader")
    parser.add_argument("--photos", type=int, default=500)
    parser.add_argument("--cifar", type=int, default=10_000)
    parser.add_argument("--only", choices=("photos", "cifar", "together"), help="one part")
    parser.add_argument("--workers", type=int, nargs="*", default=[0, 2], help="of the loader")
    options = parser.parse_args()
    device = torch.device(options.device)
    cases = (
        (
            "MobileNetV2 at 224, photos",
            load("torchvision:mobilenet_v2", weights="random"),
            photos(options.data, options.photos),
        ),
        ("Small network at 32, CIFAR", small(), cifar(options.data, options.cifar)),
    )
    for title, model, items in cases:
        if options.only and options.only not in title.lower():
            continue
        size = best_size(model, device, items)
        medians = compare(title, model, items, device, size, options)
        database(model, items, device, medians["slicedb"])
    if options.only in (None, "together"):
        print_together(options)


if __name__ == "__main__":
    main()
