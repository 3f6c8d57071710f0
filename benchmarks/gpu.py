"""Inference on a GPU beside the bare model, in one run of at most eight minutes.

    python benchmarks/gpu.py [--minutes 7] [--only predict embed detect ...]
    python benchmarks/gpu.py --device cpu --small

It needs torch, torchvision, numpy, Pillow and pyarrow, and neither Lance nor DuckDB nor a network
nor a file: pictures are drawn (JPEG, 500 x 375), weights are random. Without simplejpeg torchvision
decodes on the cores, and without open_clip torchvision's ViT-B/32 embeds; both are said.
Every line is printed as soon as it is known; with OUT in the environment, `$OUT/gpu.json` has all
of them, written anew after each. Each part has a budget of time, a case that fails says so and the
others go on, and a call that hangs is given up at the end.

bare      the model alone, on a batch of decoded and normalised tensors that lie on the device;
          the same precision (bfloat16 autocast on a GPU, detectors and maps single), channels last
decode    `Preprocessing.fill` in a thread per core: the decode limit of the cores
slicedb   `inference.predict`, or `inference.run` of an encoder, from encoded bytes to the host

Medians of rounds that take turns. `of limit` is our rate over the smaller of both others where
decoder and model are on different chips, over 1 / (1/bare + 1/decode) where both want the same
cores; the bar is 0.9. Tolerances: bfloat16 moves the logits of these networks by 0.006 of their
spread, and TF32, which torch's convolutions use, a map by 0.001 and one box in twenty (all three
simulated on a CPU).
"""

from __future__ import annotations

import argparse
import functools
import platform
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from gpubench import Bench, Calls, against, stand_in

CORES_DECODE_BY = stand_in()

from slicedb import inference  # noqa: E402
from slicedb.inference.decoding import Decoding  # noqa: E402
from slicedb.inference.fitting import fit_all  # noqa: E402
from slicedb.inference.jpegs import GpuJpegs  # noqa: E402
from slicedb.inference.lists import run_lists  # noqa: E402
from slicedb.inference.runner import default_batch_size  # noqa: E402
from slicedb.media import n_threads  # noqa: E402
from slicedb.models import Model, TorchClassifier, TorchDetector  # noqa: E402

CLASSES = [f"class {i}" for i in range(1000)]
NETWORKS = ("resnet50", "mobilenet_v2")
DETECTOR = "fasterrcnn_resnet50_fpn"


# --- models and what is timed ---------------------------------------------------------------------


def network(name: str, bench: Bench) -> TorchClassifier:
    """Return a classifier of torchvision with random weights."""
    import torchvision

    torch.manual_seed(0)
    module = getattr(torchvision.models, name)(weights=None)
    size, resize = (64, 72) if bench.small else (224, 256)
    return TorchClassifier(module, classes=CLASSES, input_size=size, resize=resize, name=name)


def encoder(bench: Bench) -> tuple[str, Any]:
    """Return a ViT-B/32 with random weights: open_clip's image tower, or else torchvision's."""
    try:
        from slicedb.embedding import load_encoder

        return "ViT-B-32 (open_clip)", load_encoder("ViT-B-32", "random", device=bench.device)
    except Exception as error:  # open_clip, or something that it needs, is not installed
        import torchvision

        print(f"No open_clip: {error}", file=sys.stderr)
        torch.manual_seed(0)
        side = 64 if bench.small else 224
        module = torchvision.models.vit_b_32(weights=None, image_size=side)
        module.heads = torch.nn.Identity()
        name = "ViT-B/32 (torchvision)"
        return name, TorchClassifier(module, classes=CLASSES, input_size=side, name=name)


def detector(small: bool) -> TorchDetector:
    """Return a detector of torchvision with random weights."""
    import torchvision

    torch.manual_seed(0)
    sizes = {"min_size": 160, "max_size": 224} if small else {}
    module = torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=91, **sizes
    )
    return TorchDetector(module, classes=[f"thing {i}" for i in range(90)], name=DETECTOR)


def autocast(bench: Bench) -> Any:
    """Return the precision of the bare model: that of `inference` on the device."""
    return torch.autocast(bench.device.type, torch.bfloat16, enabled=bench.is_gpu)


def usual_size(model: Model, bench: Bench) -> int:
    """Return the images of a batch where nobody says."""
    return default_batch_size(model.preprocessing.size, bench.device, model.n_parameters())


def batch_of(model: Model, bench: Bench, size: int) -> torch.Tensor:
    """Return decoded and normalised tensors on the device."""
    height, width = model.preprocessing.size
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (size, height, width, 3)).astype(np.uint8)
    return model.preprocessing.normalise(torch.from_numpy(pixels).to(bench.device))


def bare_model(model: Model, bench: Bench, size: int) -> Callable[[int], None]:
    """Return a call that runs the model on n tensors that are there already."""
    batch = batch_of(model, bench, size)

    def call(n: int) -> None:
        with torch.inference_mode(), autocast(bench):
            for start in range(0, n, size):
                model.predict_batch(batch[: min(size, n - start)])

    return call


def decoder(model: Model, bench: Bench) -> Callable[[int], None]:
    """Return a call that decodes n pictures with a thread per core."""
    height, width = model.preprocessing.size
    out = np.empty((256, height, width, 3), np.uint8)
    fill, pictures = model.preprocessing.fill, bench.pictures

    def part(start: int, stop: int) -> None:
        for i in range(start, stop):
            fill(pictures[i % len(pictures)], out[i % len(out)])

    def call(n: int) -> None:
        with ThreadPoolExecutor(n_threads()) as pool:
            list(pool.map(lambda start: part(start, min(start + 16, n)), range(0, n, 16)))

    return call


def on_gpu(jpegs: GpuJpegs, model: Model, bench: Bench, fits: bool = True) -> Callable[[int], None]:
    """Return a call that decodes n pictures on the GPU, and resizes them there."""

    def call(n: int) -> None:
        with jpegs.stream():
            for _ in range(0, n, len(bench.pictures)):
                decoded = jpegs.decode(bench.pictures)
                if fits:
                    fit_all(decoded, model.preprocessing)

    return call


def predicted(model: Model, bench: Bench, n: int, size: int | None, how: str = "cpu") -> int:
    """Predict n pictures; returns how many there were."""
    outputs = inference.predict(
        model, bench.items(n), batch_size=size, device=bench.device, decoding=Decoding(how)
    )
    return sum(len(batch) for batch in outputs)


def values_of(model: Model, bench: Bench, n: int, device: object, **how: Any) -> np.ndarray:
    """Return what a model says of n pictures on a device, float32 (n, c)."""
    outputs = inference.run(model, bench.items(n), device=str(device), **how)
    return np.concatenate([out.values for out in outputs])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest distance of the logits of an image over their spread."""
    apart = np.linalg.norm(one - other, axis=1)
    spread = np.linalg.norm(one - one.mean(axis=1, keepdims=True), axis=1)
    return float((apart / spread).max())


def gpu_decoder(bench: Bench, part: str, model: Model) -> str | None:
    """Return what decodes on the GPU, None where nothing does, and say why."""
    decoding = Decoding("auto")
    if decoding.open(bench.device, model) is None:
        bench.say(part, by="GPU", left_out="; ".join(decoding.decoded.why))
        return None
    return ", ".join(decoding.decoded.by)


# --- the parts ------------------------------------------------------------------------------------


def equal_part(bench: Bench) -> None:
    """Hold what the device says against what the CPU says."""
    n = 4 if bench.small else 64
    for name in NETWORKS:
        with bench.case("equal", name):
            model = network(name, bench)
            here, there = (values_of(model, bench, n, d) for d in ("cpu", bench.device))
            what = "distance of logits to the CPU's over their spread"
            bench.hold("equal", name, what, distance(here, there), 0.05)
    with bench.case("equal", "each place"):
        _each_place(bench, "cpu")
    with bench.case("equal", "ViT"):
        name, clip = encoder(bench)
        here, there = (_unit(values_of(clip, bench, n, d)) for d in ("cpu", bench.device))
        cosine = float((here * there).sum(axis=1).min())
        bench.hold("equal", name, "1 - least cosine to the CPU's", 1 - cosine, 1e-3)
    with bench.case("equal", DETECTOR):
        model = detector(True)
        few = bench.items(2 if bench.small else 8)
        boxes = [
            [value for out in run_lists(model, few, device=str(d)) for value in out.values]
            for d in ("cpu", bench.device)
        ]
        alone = max(_unmatched(a, b) for a, b in zip(*boxes, strict=True))
        n_boxes = sum(len(one.xywh) for one in boxes[0])
        what = f"largest share of boxes without a partner, of {n_boxes}"
        bench.hold("equal", DETECTOR, what, alone, 0.1)


def _each_place(bench: Bench, how: str) -> None:
    """Predict each picture in many places of many batches: its logits must not depend on them.

    They would where memory is written while work that is queued still reads it.
    """
    model = network("mobilenet_v2", bench)
    size, times = (4, 3) if bench.small else (48, 40)
    n = len(bench.pictures) * times
    said = values_of(model, bench, n, bench.device, batch_size=size, decoding=Decoding(how))
    by_picture = said.reshape(times, len(bench.pictures), -1)
    most = max(distance(by_picture[0], one) for one in by_picture[1:])
    what = f"distance of logits of one picture in {times} places, decoded by {how}"
    bench.hold("equal", "mobilenet_v2", what, most, 0.02)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _unmatched(one: Any, other: Any) -> float:
    """Return the share of boxes without one of the same class that overlaps them by 0.95."""
    import torchvision

    if not len(one.xywh) or not len(other.xywh):
        return float(len(one.xywh) != len(other.xywh))
    corners = [
        torch.tensor(np.hstack([b[:, :2], b[:, :2] + b[:, 2:]])) for b in (one.xywh, other.xywh)
    ]
    overlap = torchvision.ops.box_iou(*corners).numpy()
    same = one.label[:, None] == other.label[None, :]
    return float(1 - ((overlap > 0.95) & same).any(axis=1).mean())


def predict_part(bench: Bench) -> None:
    """Classifiers, several sizes of batch."""
    more = [64, 1024] if bench.is_gpu and not bench.small else []
    cases = [(NETWORKS[0], None), (NETWORKS[1], None), *((NETWORKS[0], size) for size in more)]
    for number, (name, asked) in enumerate(cases):
        seconds = bench.left / (len(cases) - number)
        with bench.case("predict", name):
            model = network(name, bench)
            # The usual size is left to SliceDB, which on a CPU then decodes for several batches.
            size = asked or usual_size(model, bench)
            with model.session(bench.device):
                calls: Calls = {
                    "bare": bare_model(model, bench, size),
                    "decode": decoder(model, bench),
                    "slicedb": functools.partial(_predicted, model, bench, asked, "cpu"),
                }
                against(bench, "predict", name, calls, size, 0.85 * seconds)


def _predicted(model: Model, bench: Bench, size: int | None, how: str, n: int) -> int:
    return predicted(model, bench, n, size, how)


def embed_part(bench: Bench) -> None:
    """The image tower of a CLIP."""
    name, model = encoder(bench)
    size = usual_size(model, bench)

    def ours(n: int) -> int:
        outputs = inference.run(model, bench.items(n), device=bench.device)
        return sum(len(out.ids) for out in outputs)

    with bench.case("embed", name), model.session(bench.device):
        calls: Calls = {
            "bare": bare_model(model, bench, size),
            "decode": decoder(model, bench),
            "slicedb": ours,
        }
        against(bench, "embed", name, calls, size, 0.85 * bench.left)


def decode_part(bench: Bench) -> None:
    """Decoders of JPEGs, each with the resize: those of the cores, and those of the GPU."""
    model = network("mobilenet_v2", bench)
    n = 64 if bench.small else 4096
    cores = decoder(model, bench)
    cores(64)
    rate = n / bench.seconds(lambda: cores(n))
    by = f"{CORES_DECODE_BY}, {n_threads()} threads"
    bench.say("decode", by=by, images=n, per_second=rate)
    if (by_gpu := gpu_decoder(bench, "decode", model)) is None:
        return
    with bench.case("decode", by_gpu):
        _decoded_on_gpu(bench, model, by_gpu, n, rate)
    with bench.case("decode", "nvImageCodec"):
        _nvimgcodec(bench, n, rate)


def _decoded_on_gpu(bench: Bench, model: Model, by: str, n: int, cores: float) -> None:
    """Time nvJPEG with and without the resize, and hold its pixels against the CPU's."""
    jpegs = GpuJpegs(bench.device)
    for fits in (True, False):
        call = on_gpu(jpegs, model, bench, fits)
        call(n // 8)
        rate = n / bench.seconds(lambda call=call: call(n))  # type: ignore[misc]
        title = f"{by}, {'with' if fits else 'without'} the resize"
        bench.say("decode", by=title, per_second=rate, over_cores=rate / cores)
    with jpegs.stream():
        fitted = fit_all(jpegs.decode(bench.pictures), model.preprocessing).cpu().numpy()
    expected = np.empty_like(fitted)
    for picture, row in zip(bench.pictures, expected):
        model.preprocessing.fill(picture, row)
    levels = np.abs(fitted.astype(np.int16) - expected)
    bench.say("decode", by=by, largest_levels=int(levels.max()))
    bench.hold("decode", by, "levels to the CPU's pixels on average", float(levels.mean()), 2.0)


def _nvimgcodec(bench: Bench, n: int, cores: float) -> None:
    """Time nvImageCodec, which SliceDB does not use, without a resize."""
    try:
        from nvidia import nvimgcodec
    except ImportError:
        bench.say("decode", by="nvImageCodec", left_out="not installed")
        return
    codec = nvimgcodec.Decoder()

    def call(n: int) -> None:
        for _ in range(0, n, len(bench.pictures)):
            codec.decode(bench.pictures)

    call(n // 8)
    rate = n / bench.seconds(lambda: call(n))
    by = f"nvImageCodec {_version('nvidia-nvimgcodec-cu13')}, without the resize"
    bench.say("decode", by=by, per_second=rate, over_cores=rate / cores)


def nvjpeg_part(bench: Bench) -> None:
    """Prediction with `decode="gpu"` beside `decode="cpu"`."""
    if gpu_decoder(bench, "nvjpeg", network("mobilenet_v2", bench)) is None:
        return
    with bench.case("nvjpeg", "each place"):
        _each_place(bench, "gpu")
    n = 16 if bench.small else 256
    for number, name in enumerate(NETWORKS):
        seconds = bench.left / (len(NETWORKS) - number)
        with bench.case("nvjpeg", name):
            model = network(name, bench)
            size = usual_size(model, bench)
            there, here = (
                values_of(model, bench, n, bench.device, decoding=Decoding(how))
                for how in ("gpu", "cpu")
            )
            what = "distance of logits to those of decode='cpu' over their spread"
            bench.hold("nvjpeg", name, what, distance(here, there), 0.05)
            with model.session(bench.device):
                calls: Calls = {
                    "bare": bare_model(model, bench, size),
                    "decode": on_gpu(GpuJpegs(bench.device), model, bench),
                    "cpu": functools.partial(_predicted, model, bench, None, "cpu"),
                    "slicedb": functools.partial(_predicted, model, bench, None, "gpu"),
                }
                rate = against(bench, "nvjpeg", name, calls, size, 0.8 * seconds)
                bench.say("nvjpeg", model=name, gpu_over_cpu=rate["slicedb"] / rate["cpu"])


def two_part(bench: Bench) -> None:
    """Two models over pictures that are decoded once, beside one after the other."""
    from slicedb.inference import predict_several

    models = [network(name, bench) for name in NETWORKS]
    n = 16 if bench.small else 4096

    def together() -> list[Any]:
        items = ((name, data, (0, 1)) for name, data in bench.items(n))
        said = predict_several(models, items, device=bench.device)
        return [[one.batch for one in said if one.batch is not None]]

    def in_a_row() -> None:
        for model in models:
            predicted(model, bench, n, None)

    with bench.case("two", " and ".join(NETWORKS)):
        together(), in_a_row()
        row, once = bench.seconds(in_a_row), bench.seconds(together)
        rows = sum(len(batch) for batches in together() for batch in batches)
        assert rows == 2 * n, f"{rows} rows"
        title = " and ".join(NETWORKS)
        bench.say("two", model=title, images=n, in_a_row=row, together=once, ratio=once / row)


def detect_part(bench: Bench) -> None:
    """A detector, in single precision, on pictures as they are, decoded by either chip."""
    model = detector(bench.small)
    size = 2 if bench.small else 16
    read = [model.read("", data) for data in bench.pictures[:size]]
    pixels = [one.pixels for one in read if not isinstance(one, str)]
    tensors = [one.float().div(255).to(bench.device) for one in pixels]

    def bare(n: int) -> None:
        with torch.inference_mode():
            for _ in range(0, n, size):
                model.predict_batch(tensors)

    def decode(n: int) -> None:
        with ThreadPoolExecutor(n_threads()) as pool:
            list(pool.map(lambda item: model.read(*item), bench.items(n)))

    def ours(how: str, n: int) -> int:
        where: dict[str, Any] = {"device": bench.device, "decoding": Decoding(how)}
        outputs = run_lists(model, bench.items(n), batch_size=size, **where)
        return sum(len(out.ids) for out in outputs)

    chips = ["cpu"]
    if bench.is_gpu and gpu_decoder(bench, "detect", model):
        chips.append("gpu")
    for number, how in enumerate(chips):
        seconds = bench.left / (len(chips) - number)
        with bench.case("detect", DETECTOR), model.session(bench.device):
            calls: Calls = {"bare": bare}
            if how == "cpu":
                calls["decode"] = decode
            calls["slicedb"] = functools.partial(ours, how)
            against(bench, "detect", DETECTOR, calls, size, 0.85 * seconds, decoded_by=how)


class Frugal(TorchClassifier):
    """Runs out of memory beyond so many images, as a small GPU would."""

    most = 3

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("out of memory (made for the benchmark)")
        return super().predict_batch(images)


def memory_part(bench: Bench) -> None:
    """Let memory run out, really where there is a GPU, and compare with a batch that fits."""
    model = network(NETWORKS[0], bench)
    n = 16 if bench.small else 1024
    with bench.case("memory", NETWORKS[0]):
        if bench.is_gpu:
            size, total = 1024, torch.cuda.get_device_properties(bench.device).total_memory
            torch.cuda.empty_cache()
            torch.cuda.set_per_process_memory_fraction(3e9 / total, bench.device)
        else:
            model.__class__, size = Frugal, 8
        try:
            with inference.running(model, batch_size=size, device=bench.device) as side:
                batch = torch.zeros((size, *model.preprocessing.size, 3), dtype=torch.uint8)
                with torch.inference_mode():
                    side(batch)
                fits = side.size
            halved = values_of(model, bench, n, bench.device, batch_size=size)
        finally:
            if bench.is_gpu:
                torch.cuda.set_per_process_memory_fraction(1.0, bench.device)
        fitting = network(NETWORKS[0], bench)
        plain = values_of(fitting, bench, n, bench.device, batch_size=fits)
        apart = distance(plain, halved)
        met = "met" if fits < size and apart <= 0.02 else "MISSED"
        bench.say("memory", asked=size, fits=fits, rows=len(halved), difference=apart, bar=met)


class Pictures:
    """What `cam` reads pictures from."""

    def __init__(self, bench: Bench, n: int) -> None:
        self.items = bench.items(n)

    def read_images(self, keys: np.ndarray) -> Any:
        """Yield key and bytes."""
        return ((key, self.items[key][1]) for key in keys.tolist())


def cam_part(bench: Bench) -> None:
    """Grad-CAM from encoded bytes beside a forward and a backward pass, and the CPU's maps."""
    from slicedb.cam import GradCam

    model = network(NETWORKS[0], bench)
    size = 4 if bench.small else 64
    with bench.case("cam", NETWORKS[0]):
        few = batch_of(model, Bench(torch.device("cpu"), True, 1), 4)
        here = GradCam(model)(few).maps
        with model.session(bench.device):
            explain, batch = GradCam(model), batch_of(model, bench, size)
            there = explain(few.to(bench.device)).maps
            apart = float(np.abs(here - there).max())
            bench.hold("cam", NETWORKS[0], "largest difference to the CPU's maps", apart, 0.05)
            calls: Calls = {
                "bare": functools.partial(_backward, model, batch),
                "decode": decoder(model, bench),
                "slicedb": functools.partial(_explained, bench, model, explain, size),
            }
            title = "resnet50, beside forward + backward"
            against(bench, "cam", title, calls, size, 0.8 * bench.left)


def _backward(model: TorchClassifier, batch: torch.Tensor, n: int) -> None:
    """Make the gradients of n images as an autograd user does, down to the pixels."""
    for _ in range(0, n, len(batch)):
        pixels = batch.clone().requires_grad_(True)
        torch.autograd.grad(model.module(pixels).amax(1).sum(), pixels)


def _explained(bench: Bench, model: Model, explain: Any, size: int, n: int) -> int:
    """Make the rows of n maps from encoded bytes, as the verb does before it writes them."""
    import pyarrow as pa

    from slicedb.cam.shares import explained_rows

    keys = list(range(n))
    names, nothing = [str(key) for key in keys], [None] * n
    columns = {"id": names, "key": keys, "label": nothing, "width": nothing, "height": nothing}
    store: Any = Pictures(bench, n)
    rows = explained_rows(
        store, explain, model, pa.table(columns), "prediction", size, None, Decoding()
    )
    return sum(row["map"] is not None for row in rows)


PARTS: dict[str, tuple[Callable[[Bench], None], float]] = {
    "equal": (equal_part, 50),
    "predict": (predict_part, 110),
    "decode": (decode_part, 20),
    "nvjpeg": (nvjpeg_part, 60),
    "embed": (embed_part, 30),
    "detect": (detect_part, 50),
    "two": (two_part, 20),
    "cam": (cam_part, 30),
    "memory": (memory_part, 20),
}
"""Each part, and its seconds; together they leave half a minute of the seven."""


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def machine(bench: Bench) -> None:
    """Say what everything runs on."""
    name = torch.cuda.get_device_name(bench.device) if bench.is_gpu else "CPU"
    bench.say(
        "machine",
        device=name,
        cores=n_threads(),
        cores_decode_by=CORES_DECODE_BY,
        cuda=torch.version.cuda,
        python=platform.python_version(),
        **{package: _version(package) for package in ("torch", "torchvision", "numpy", "pillow")},
    )


def main() -> None:
    """Run the parts, each while there is time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="seconds a part, for a CPU and tests")
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    bench = Bench(torch.device(options.device), options.small, options.minutes)
    bench.watch()
    machine(bench)
    for part in options.only:
        run, seconds = PARTS[part]
        if bench.is_late(part, "", 5 if bench.small else 15):
            continue
        with bench.budget(seconds / 20 if bench.small else seconds), bench.case(part, ""):
            run(bench)
    missed = [line for line in bench.lines if str(line.get("bar", "")).startswith("MISSED")]
    for line in missed:
        where = {key: line[key] for key in ("model", "what", "batch", "decoded_by") if key in line}
        bench.say("missed", of=line["part"], **where)
    bench.say("end", missed=len(missed), failed=bench.failed, seconds=bench.passed)
    sys.exit(1 if bench.failed else 0)


if __name__ == "__main__":
    main()
