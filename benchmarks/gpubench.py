"""What every part of `gpu.py` uses: the clock and its budgets, drawn pictures, where lines go.

Imports nothing of SliceDB, so that `stand_in` can come first.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import json
import os
import statistics
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

Calls = dict[str, Callable[[int], object]]
Items = list[tuple[str, bytes]]
BAR = 0.9
_ROUNDS = (3, 7)
"""Rounds of a comparison: at least, unless time is out, and at most."""
_BATCHES = 24
"""Batches of a measured call at least: the first one is decoded while nothing else runs, and the
last is computed while nothing is decoded, which is an eighth of 16 and less than a tenth of 24."""
_GRACE = 25.0
"""Seconds over the time given after which a call that hangs is given up."""


def stand_in() -> str:
    """Return which decoder the CPU uses, and put one in the place of simplejpeg if it is missing.

    torchvision has libjpeg-turbo, too. Its pixels are laid out by channels and are copied once.
    """
    if importlib.util.find_spec("simplejpeg") is not None:
        return "simplejpeg"
    from torchvision.io import ImageReadMode, decode_jpeg

    def header(data: bytes, *_: object) -> tuple[int, int, str, str]:
        try:
            with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
                spaces = {"RGB": "YCbCr", "L": "Gray", "CMYK": "CMYK"}
                return image.height, image.width, spaces[image.mode], "420"
        except (OSError, KeyError) as error:
            raise ValueError(str(error)) from error

    def decode(data: bytes, space: str = "RGB", **_: object) -> np.ndarray:
        mode = ImageReadMode.GRAY if space == "GRAY" else ImageReadMode.RGB
        try:
            pixels = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        return pixels.permute(1, 2, 0).contiguous().numpy()

    module = types.ModuleType("simplejpeg")
    module.decode_jpeg_header, module.decode_jpeg = header, decode  # type: ignore[attr-defined]
    sys.modules["simplejpeg"] = module
    return "torchvision (simplejpeg is not installed)"


@dataclass
class Bench:
    """The device, the pictures, the clock, and the lines."""

    device: torch.device
    small: bool
    minutes: float
    lines: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.perf_counter)
    until: float = float("inf")
    """Seconds since the start at which the part that runs has used its budget."""
    failed: int = 0

    @property
    def passed(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    @property
    def left(self) -> float:
        """Seconds until the end, or until the budget of the part is used."""
        return min(self.minutes * 60, self.until) - self.passed

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

    @contextlib.contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        """Give a part so many seconds."""
        self.until = self.passed + seconds
        try:
            yield
        finally:
            self.until = float("inf")

    @contextlib.contextmanager
    def case(self, part: str, title: str) -> Iterator[None]:
        """Let a case fail alone, and give back the memory that it took."""
        try:
            yield
        except Exception as error:
            self.failed += 1
            traceback.print_exc()
            first = next(iter(str(error).splitlines()), "")
            self.say(part, model=title, failed=f"{type(error).__name__}: {first}"[:300])
        gc.collect()
        if self.is_gpu:
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()

    def is_late(self, part: str, title: str, needs: float) -> bool:
        """Return whether less time is left than a case needs, and say so."""
        if self.left >= needs:
            return False
        self.say(part, model=title, left_out=f"{self.left:.0f} s are left")
        return True

    def say(self, part: str, **facts: Any) -> None:
        """Print a line, and keep it."""
        self.lines.append({"part": part, "at": round(self.passed, 1), **facts})
        shown = "  ".join(f"{k} {_short(v)}" for k, v in facts.items())
        print(f"{part:9}{shown}", flush=True)
        if folder := os.environ.get("OUT"):
            (Path(folder) / "gpu.json").write_text(json.dumps(self.lines, indent=1))

    def hold(self, part: str, title: str, what: str, value: float, most: float) -> None:
        """Say a difference, and whether it is within its tolerance."""
        met = "met" if value <= most else "MISSED"  # NaN is missed
        self.say(part, model=title, what=what, value=value, tolerance=most, bar=met)

    def watch(self) -> None:
        """End the process where a call hangs; the lines until then are written."""

        def give_up() -> None:
            self.say("end", failed="a call hangs", seconds=self.passed)
            sys.stdout.flush()
            os._exit(4)

        timer = threading.Timer(self.minutes * 60 + _GRACE, give_up)
        timer.daemon = True
        timer.start()


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def against(
    bench: Bench, part: str, title: str, calls: Calls, unit: int, seconds: float, **facts: Any
) -> dict[str, float]:
    """Time bare, decode and ours in turns, and print rates and what ours reaches of the limit.

    The limit is the smaller rate of the bare model and of the decoder where they are on different
    chips. Where both want the same cores, an image takes the seconds of both.

    Args:
        bench: the clock.
        part: begins the line.
        title: of the model.
        calls: from a number of images; "slicedb", "bare", and "decode" unless nothing is decoded.
        unit: images of a batch.
        seconds: that this may take, roughly.
        facts: are said, too.

    Returns:
        Images a second of each.
    """
    n = _images(bench, calls, unit, seconds)
    times: dict[str, list[float]] = {name: [] for name in calls}
    end = bench.passed + seconds
    for number in range(_ROUNDS[1]):
        started = bench.passed
        for name, call in calls.items():
            times[name].append(bench.seconds(lambda call=call: call(n)))  # type: ignore[misc]
        each = bench.passed - started
        if bench.left < each or (number + 1 >= _ROUNDS[0] and bench.passed + each > end):
            break
    rate = {name: n / statistics.median(several) for name, several in times.items()}
    bare, decode = rate["bare"], rate.get("decode", float("inf"))
    limit = min(bare, decode) if bench.is_gpu else 1 / (1 / bare + 1 / decode)
    reached = rate["slicedb"] / limit
    bench.say(
        part,
        model=title,
        batch=unit,
        **facts,
        images=n,
        rounds=len(times["slicedb"]),
        **{f"{name}/s": value for name, value in rate.items()},
        of_bare=rate["slicedb"] / bare,
        of_limit=reached,
        bound="decode" if decode < bare else "model",
        bar="met" if reached >= BAR else f"MISSED ({BAR})",
    )
    return rate


def _images(bench: Bench, calls: Calls, unit: int, seconds: float) -> int:
    """Return how many images a call is timed with: whole batches, so that rounds fit the time."""
    each = 0.0
    for call in calls.values():
        call(unit)  # memory is taken, kernels are loaded
        each += bench.seconds(lambda call=call: call(2 * unit)) / (2 * unit)  # type: ignore[misc]
    fit = int(seconds / (_ROUNDS[0] * each * unit))
    least = 2 if bench.small else _BATCHES
    return unit * max(2, min(200, fit if fit < least else max(least, int(0.9 * fit))))
