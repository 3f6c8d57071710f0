"""Inference on a GPU beside the bare model, in one run of at most eight minutes.

    python benchmarks/gpu.py [--minutes 7] [--only predict embed detect ...]
    python benchmarks/gpu.py --device cpu --small

It needs torch, torchvision, Pillow, pyarrow and simplejpeg, open_clip_torch (with ftfy and wcwidth)
for the encoder, and neither Lance nor DuckDB nor a network nor a file: pictures are drawn (JPEG,
500 x 375), weights are random.
Every line is printed as soon as it is known; with OUT in the environment, `$OUT/gpu.json` has all
of them, written anew after each. A part that fails says so and the others go on.

bare      the model alone, on a batch of decoded and normalised tensors that lie on the device;
          the same precision (bfloat16 autocast on a GPU, detectors float32), channels last
decode    `Preprocessing.fill` in a thread per core: the decode limit of the cores
slicedb   `inference.predict`, or `inference.run` of an encoder, from encoded bytes to the host

Medians of rounds that take turns. `of limit` is our rate over the smaller of both others where
decoder and model are on different chips, over 1 / (1/bare + 1/decode) where both want the same
cores; the bar is 0.9.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from slicedb import inference
from slicedb.inference.lists import run_lists
from slicedb.inference.runner import default_batch_size
from slicedb.media import n_threads
from slicedb.models import Model, TorchClassifier, TorchDetector

Items = list[tuple[str, bytes]]
CLASSES = [f"class {i}" for i in range(1000)]
NETWORKS = ("resnet50", "mobilenet_v2")
DETECTOR = "fasterrcnn_resnet50_fpn"
BAR = 0.9


@dataclass
class Bench:
    """What every part uses: the device, the pictures, the clock, and where lines go."""

    device: torch.device
    small: bool
    minutes: float
    lines: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return self.minutes * 60 - (time.perf_counter() - self.started)

    @property
    def is_gpu(self) -> bool:
        """Whether decoder and model are on different chips."""
        return self.device.type == "cuda"

    @cached_property
    def pictures(self) -> list[bytes]:
        """Return drawn photos: blobs of colour and noise, of the size in bytes of real ones."""
        rng = np.random.default_rng(0)
        made = []
        for _ in range(8 if self.small else 64):
            coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3)).astype(np.uint8))
            wide = np.asarray(coarse.resize((500, 375), Image.Resampling.BICUBIC), np.int16)
            grain = rng.normal(0, 24, (375, 500, 1))
            noisy = Image.fromarray(np.clip(wide + grain, 0, 255).astype(np.uint8))
            out = io.BytesIO()
            noisy.filter(ImageFilter.GaussianBlur(0.7)).save(out, "JPEG", quality=90)
            made.append(out.getvalue())
        return made

    def items(self, n: int) -> Items:
        """Return n encoded pictures."""
        return [(f"{i}.jpg", self.pictures[i % len(self.pictures)]) for i in range(n)]

    def wait(self) -> None:
        """Wait until the device has done what it was told."""
        if self.is_gpu:
            torch.cuda.synchronize(self.device)

    def seconds(self, call: Callable[[], object]) -> float:
        """Return the seconds that a call takes, the work it queued counted."""
        self.wait()
        start = time.perf_counter()
        call()
        self.wait()
        return time.perf_counter() - start

    def enough(self, call: Callable[[int], object], unit: int) -> int:
        """Return a number of images, whole batches, that keeps a call busy for some seconds."""
        call(unit)
        rate = unit / self.seconds(lambda: call(unit))
        aim = 0.1 if self.small else 3.0
        return unit * max(2 if self.small else 4, min(200, round(rate * aim / unit)))

    def say(self, part: str, **facts: Any) -> None:
        """Print a line, and keep it."""
        self.lines.append({"part": part, **facts})
        shown = "  ".join(f"{k} {_short(v)}" for k, v in facts.items())
        print(f"{part:9}{shown}", flush=True)
        if folder := os.environ.get("OUT"):
            (Path(folder) / "gpu.json").write_text(json.dumps(self.lines, indent=1))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def network(name: str, bench: Bench) -> TorchClassifier:
    """Return a classifier of torchvision with random weights."""
    import torchvision

    torch.manual_seed(0)
    module = getattr(torchvision.models, name)(weights=None)
    size, resize = (64, 72) if bench.small else (224, 256)
    return TorchClassifier(module, classes=CLASSES, input_size=size, resize=resize, name=name)


def has_open_clip(bench: Bench, part: str) -> bool:
    """Return whether open_clip is installed, and say so where it is not."""
    if importlib.util.find_spec("open_clip") is None:
        bench.say(part, model="ViT-B-32", left_out="open_clip is not installed")
        return False
    return True


def encoder(bench: Bench) -> Any:
    """Return ViT-B-32 of open_clip with random weights."""
    from slicedb.embedding import load_encoder

    return load_encoder("ViT-B-32", "random", device=bench.device)


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


def against(
    bench: Bench,
    part: str,
    title: str,
    calls: dict[str, Callable[[int], object]],
    unit: int,
) -> None:
    """Time bare, decode and ours in turns, and print rates and what ours reaches of the limit."""
    n = bench.enough(calls["slicedb"], unit)
    rounds = 3 if bench.small else 5
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(bench.seconds(lambda call=call: call(n)))  # type: ignore[misc]
        if bench.left < 20:
            break
    rate = {name: n / statistics.median(seconds) for name, seconds in times.items()}
    bare, decode = rate["bare"], rate.get("decode", float("inf"))
    limit = min(bare, decode) if bench.is_gpu else 1 / (1 / bare + 1 / decode)
    reached = rate["slicedb"] / limit
    bench.say(
        part,
        model=title,
        batch=unit,
        images=n,
        **{f"{name}/s": value for name, value in rate.items()},
        of_bare=rate["slicedb"] / bare,
        of_limit=reached,
        bound="decode" if decode < bare else "model",
        bar="met" if reached >= BAR else f"MISSED ({BAR})",
    )


def predict_part(bench: Bench) -> None:
    """Classifiers, several sizes of batch."""
    for name in NETWORKS:
        model = network(name, bench)
        usual = default_batch_size(model.preprocessing.size, bench.device, model.n_parameters())
        sizes = [usual] if bench.small else [usual, 64, 1024] if bench.is_gpu else [usual]
        for size in sizes if name == NETWORKS[0] else sizes[:1]:
            # The usual size is left to SliceDB, which on a CPU then decodes for several batches.
            asked = None if size == usual else size
            with model.session(bench.device):
                calls: dict[str, Callable[[int], object]] = {
                    "bare": bare_model(model, bench, size),
                    "decode": decoder(model, bench),
                    "slicedb": lambda n, asked=asked, model=model: sum(  # type: ignore[misc]
                        len(batch)
                        for batch in inference.predict(
                            model, bench.items(n), batch_size=asked, device=bench.device
                        )
                    ),
                }
                against(bench, "predict", name, calls, size)


def embed_part(bench: Bench) -> None:
    """The image tower of a CLIP."""
    if not has_open_clip(bench, "embed"):
        return
    model = encoder(bench)
    size = default_batch_size(model.preprocessing.size, bench.device, model.n_parameters())
    with model.session(bench.device):
        calls: dict[str, Callable[[int], object]] = {
            "bare": bare_model(model, bench, size),
            "decode": decoder(model, bench),
            "slicedb": lambda n: sum(
                len(out.ids) for out in inference.run(model, bench.items(n), device=bench.device)
            ),
        }
        against(bench, "embed", "ViT-B-32", calls, size)


def two_part(bench: Bench) -> None:
    """Two models that take turns on one device, batch by batch, beside one after the other."""
    models = [network(name, bench) for name in NETWORKS]
    n = 16 if bench.small else 4096
    size = 8 if bench.small else 256

    def outputs(model: Model) -> Iterator[object]:
        return inference.predict(model, bench.items(n), batch_size=size, device=bench.device)

    def in_turns() -> None:
        for _ in zip(*map(outputs, models), strict=True):
            pass

    def in_a_row() -> None:
        for model in models:
            for _ in outputs(model):
                pass

    in_a_row()
    row, turns = bench.seconds(in_a_row), bench.seconds(in_turns)
    bench.say("two", images=n, one_after_the_other=row, in_turns=turns, ratio=turns / row)


def detect_part(bench: Bench) -> None:
    """A detector, in single precision, on pictures as they are."""
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

    def ours(n: int) -> int:
        outputs = run_lists(model, bench.items(n), batch_size=size, device=bench.device)
        return sum(len(out.ids) for out in outputs)

    with model.session(bench.device):
        calls: dict[str, Callable[[int], object]] = {
            "bare": bare,
            "decode": decode,
            "slicedb": ours,
        }
        against(bench, "detect", DETECTOR, calls, size)


def values_of(model: Model, bench: Bench, n: int, device: str, **how: Any) -> np.ndarray:
    """Return what a model says of n pictures on a device."""
    outputs = inference.run(model, bench.items(n), device=device, **how)
    return np.concatenate([out.values for out in outputs])


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return probabilities, float64."""
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(wide / wide.sum(axis=1, keepdims=True))


def equal_part(bench: Bench) -> None:
    """Hold what the device says against what the CPU says."""
    n, device = (4 if bench.small else 64), str(bench.device)
    for name in NETWORKS:
        here, there = (values_of(network(name, bench), bench, n, d) for d in ("cpu", device))
        apart = np.linalg.norm(here - there, axis=1)
        spread = np.linalg.norm(here - here.mean(axis=1, keepdims=True), axis=1)
        most = float((apart / spread).max())
        _hold(bench, name, "largest distance of logits over their spread", most, 0.05)
    if has_open_clip(bench, "equal"):
        clip = encoder(bench)
        here, there = (values_of(clip, bench, n, d) for d in ("cpu", device))
        cosine = float((here * there).sum(axis=1).min())
        _hold(bench, "ViT-B-32", "1 - least cosine", 1 - cosine, 1e-3)
    model = detector(True)
    few = bench.items(2 if bench.small else 8)
    boxes = [
        [value for out in run_lists(model, few, device=d) for value in out.values]
        for d in ("cpu", device)
    ]
    alone = max(_unmatched(a, b) for a, b in zip(*boxes, strict=True))
    _hold(bench, DETECTOR, "largest share of boxes without a partner", alone, 0.05)


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


def _hold(bench: Bench, model: str, what: str, value: float, most: float) -> None:
    met = "met" if value <= most else "MISSED"
    bench.say("equal", model=model, what=what, value=value, tolerance=most, bar=met)


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
        halved = values_of(model, bench, n, str(bench.device), batch_size=size)
    finally:
        if bench.is_gpu:
            torch.cuda.set_per_process_memory_fraction(1.0, bench.device)
    plain = values_of(network(NETWORKS[0], bench), bench, n, str(bench.device), batch_size=fits)
    apart = float(np.abs(softmax(halved) - softmax(plain)).max())
    met = "met" if fits < size and apart <= 1e-3 else "MISSED"
    bench.say("memory", asked=size, fits=fits, rows=len(halved), difference=apart, bar=met)


def cam_part(bench: Bench) -> None:
    """Grad-CAM beside a forward and a backward pass, and beside the CPU's maps."""
    from slicedb.cam import GradCam

    model = network(NETWORKS[0], bench)
    size = 4 if bench.small else 64
    few = batch_of(model, Bench(torch.device("cpu"), True, 1), 4)
    here = GradCam(model)(few).maps
    with model.session(bench.device):
        explain, batch = GradCam(model), batch_of(model, bench, size)
        there = explain(few.to(bench.device)).maps
        apart = float(np.abs(here - there).max())
        met = "met" if apart <= 0.05 else "MISSED"
        bench.say("cam", what="largest difference to the CPU", value=apart, tolerance=0.05, bar=met)

        def bare(n: int) -> None:
            for _ in range(0, n, size):
                pixels = batch.clone().requires_grad_(True)
                model.module(pixels).amax(1).sum().backward()

        calls: dict[str, Callable[[int], object]] = {
            "bare": bare,
            "slicedb": lambda n: [explain(batch) for _ in range(0, n, size)],
        }
        against(bench, "cam", "resnet50, beside forward + backward", calls, size)


def decode_part(bench: Bench) -> None:
    """JPEG decoders: ours on all cores, and those of the GPU where they are at hand."""
    model = network("mobilenet_v2", bench)
    n = 64 if bench.small else 4096
    ours = decoder(model, bench)
    ours(64)
    rate = n / bench.seconds(lambda: ours(n))
    bench.say("decode", by=f"simplejpeg + resize, {n_threads()} threads", images=n, per_second=rate)
    if not bench.is_gpu:
        bench.say("decode", by="GPU", left_out="no GPU")
        return
    _nvjpeg(bench, n, rate)
    _nvimgcodec(bench, n, rate)


def _nvjpeg(bench: Bench, n: int, cores: float) -> None:
    import torchvision

    data = [torch.frombuffer(bytearray(picture), dtype=torch.uint8) for picture in bench.pictures]

    def call(n: int) -> None:
        for _ in range(0, n, len(data)):
            torchvision.io.decode_jpeg(data, device=bench.device)

    call(n // 8)
    rate = n / bench.seconds(lambda: call(n))
    bench.say("decode", by="torchvision on the GPU", per_second=rate, over_cores=rate / cores)


def _nvimgcodec(bench: Bench, n: int, cores: float) -> None:
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
    bench.say("decode", by="nvImageCodec", per_second=rate, over_cores=rate / cores)


PARTS: dict[str, Callable[[Bench], None]] = {
    "equal": equal_part,
    "predict": predict_part,
    "embed": embed_part,
    "detect": detect_part,
    "two": two_part,
    "memory": memory_part,
    "cam": cam_part,
    "decode": decode_part,
}


def main() -> None:
    """Run the parts, each while there is time."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="seconds a part, for a CPU and tests")
    parser.add_argument("--minutes", type=float, default=7)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    bench = Bench(torch.device(options.device), options.small, options.minutes)
    name = torch.cuda.get_device_name(bench.device) if bench.is_gpu else "CPU"
    bench.say("machine", device=name, torch=torch.__version__, cores=n_threads())
    failed = 0
    for part in options.only:
        if bench.left < (5 if bench.small else 30):
            bench.say(part, left_out=f"{bench.left:.0f} s are left")
            continue
        try:
            PARTS[part](bench)
        except Exception as error:
            failed += 1
            traceback.print_exc()
            bench.say(part, failed=f"{type(error).__name__}: {str(error).splitlines()[:1]}")
    missed = [line for line in bench.lines if str(line.get("bar", "")).startswith("MISSED")]
    bench.say("end", missed=len(missed), failed=failed, seconds=options.minutes * 60 - bench.left)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
