"""Corrupt images: 15 kinds at five severities, flips and crops, and those of packages.

The kinds and severities are those of ImageNet-C (Hendrycks & Dietterich, "Benchmarking Neural
Network Robustness to Common Corruptions and Perturbations", ICLR 2019), written anew for batches:
lengths are meant for 224 pixels and grow with the picture; the ice of `frost` is drawn, and the
pixels of `glass_blur` move all at once instead of one after the other.

A sample's key seeds its random numbers, the same ones at every severity, so that a picture comes
out the same whatever the order, the batch, the number of threads or the process.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np

from slicedb.errors import CheckError, PluginError, did_you_mean
from slicedb.expectations.corruption import CORRUPTIONS, Corruption
from slicedb.media import n_threads
from slicedb.show.numbers import count

if TYPE_CHECKING:
    import torch

Images = TypeVar("Images", "np.ndarray", "torch.Tensor")
Strengths: TypeAlias = tuple[tuple[float, ...], ...]

_CPU_PIXELS = 3 * 224 * 224
"""Pixels a thread works on at a time: more fall out of the caches, fewer cost more steps."""
_GPU_PIXELS = 64 * 224 * 224
_SHARES = 4
"""Tasks per thread: waking one for each picture would cost as much as the cheap kinds."""


@dataclass(frozen=True)
class BuiltIn:
    """A corruption that SliceDB brings: a function of this package and its settings."""

    name: str
    family: str
    """The module that has the function."""
    settings: Strengths
    """The settings of each severity, from 1."""

    @property
    def severities(self) -> int:
        """How many degrees there are."""
        return len(self.settings)

    @property
    def about(self) -> str:
        """The first line of the function's docstring, as a part of a sentence."""
        text = (self._function.__doc__ or "").strip().split("\n")[0].rstrip(".")
        return text[:1].lower() + text[1:]

    def apply(self, images: torch.Tensor, severity: int, keys: np.ndarray) -> torch.Tensor:
        """See `Corruption.apply`."""
        from slicedb.behaviour.corruptions.pixels import stream_of

        streams = [stream_of(int(key), self.name) for key in keys]
        return self._function(images, streams, *self.settings[severity - 1])

    @property
    def _function(self) -> Callable[..., torch.Tensor]:
        """Does it: (uint8 (n, h, w, 3), streams, *settings) -> uint8 (n, h, w, 3)."""
        module = import_module(f"slicedb.behaviour.corruptions.{self.family}")
        function: Callable[..., torch.Tensor] = getattr(module, self.name)
        return function


_TABLE = """
gaussian_noise    noise    0.08 0.12 0.18 0.26 0.38
shot_noise        noise    60 25 12 5 3
impulse_noise     noise    0.03 0.06 0.09 0.17 0.27
defocus_blur      blur     3,0 4,1 6,1 8,1 10,1
glass_blur        blur     0.7,1,2 0.9,2,1 1,2,3 1.1,3,2 1.5,4,2
motion_blur       blur     10,3 15,5 15,8 15,12 20,15
zoom_blur         blur     1.1,0.01 1.15,0.01 1.2,0.02 1.24,0.02 1.3,0.03
snow              weather 0.1,0.3,3,0.5,10,4,0.8 0.2,0.3,2,0.5,12,4,0.7 0.55,0.3,4,0.9,12,8,0.7
                           0.55,0.3,4.5,0.85,12,8,0.65 0.55,0.3,2.5,0.85,12,12,0.55
frost             weather  1,0.4 0.8,0.6 0.7,0.7 0.65,0.7 0.6,0.75
fog               weather  1.5,2 2,2 2.5,1.7 2.5,1.5 3,1.4
brightness        weather  0.1 0.2 0.3 0.4 0.5
contrast          digital  0.4 0.3 0.2 0.1 0.05
elastic_transform digital  488,171,24.4 488,19.5,48.8 12.2,2.44,4.88 17.1,2.44,4.88 29.3,2.44,4.88
pixelate          digital  0.6 0.5 0.4 0.3 0.25
jpeg_compression  digital  25 18 15 10 7
flip_horizontal   geometry -
flip_vertical     geometry -
crop              geometry 0.95 0.9 0.8 0.7 0.6
"""
"""Kind, family, and the settings of each severity; a line that begins with a space goes on."""


def _built_in(row: str) -> BuiltIn:
    name, family, *settings = row.split()
    return BuiltIn(name, family, tuple(_numbers(each) for each in settings))


def _numbers(text: str) -> tuple[float, ...]:
    """Return the settings of one severity, whole numbers as such; "-" stands for none."""
    given = [] if text == "-" else text.split(",")
    return tuple(int(part) if part.isdigit() else float(part) for part in given)


BUILT_IN = list(map(_built_in, re.sub(r"\n +", " ", _TABLE).strip().splitlines()))

KINDS: tuple[str, ...] = tuple(c.name for c in BUILT_IN if c.family != "geometry")
"""The 15 kinds of ImageNet-C."""

SEVERITIES = (1, 2, 3, 4, 5)


def corrupt(
    images: Images, kind: str, severity: int = 3, *, keys: np.ndarray, threads: int | None = None
) -> Images:
    """Corrupt a batch of pictures.

    Args:
        images: uint8 (n, h, w, 3), a NumPy array or a torch tensor on any device; not changed.
        kind: one of `CORRUPTIONS`.
        severity: 1 to 5; a flip, which has no degrees, is the same at each.
        keys: int64 (n,), the samples' keys, which seed the random numbers.
        threads: how many work on a CPU; None takes the cores.

    Returns:
        uint8 (n, h, w, 3), of the type of `images`.

    Raises:
        CheckError: an unknown kind, severity or shape.

    >>> black = np.zeros((1, 8, 8, 3), np.uint8)
    >>> corrupt(black, "brightness", 1, keys=np.array([7]))[0, 0, 0].tolist()
    [26, 26, 26]
    """
    import torch

    chosen = corruption(kind)
    most = chosen.severities
    if severity not in (SEVERITIES if most == 1 else range(1, most + 1)):
        hint = f"severities are 1 to {most if most > 1 else SEVERITIES[-1]}."
        raise CheckError(f"Severity {severity} of '{kind}'.", hint)
    severity = min(severity, most)
    x = torch.from_numpy(np.ascontiguousarray(images)) if isinstance(images, np.ndarray) else images
    if x.ndim != 4 or x.shape[3] != 3 or x.dtype != torch.uint8:
        raise CheckError(
            f"Pictures of shape {tuple(x.shape)} and type {x.dtype}.",
            "give uint8 of shape (n, height, width, 3).",
        )
    if len(keys) != len(x):
        raise CheckError(
            f"{count(len(keys), 'key')} for {count(len(x), 'picture')}.",
            "give one key per picture.",
        )
    done = _run(chosen, severity, x.contiguous(), np.asarray(keys, np.int64), threads)
    if isinstance(images, np.ndarray):
        return np.asarray(done.numpy())
    return done


def corruption(kind: str) -> Corruption:
    """Return a kind by its name.

    Raises:
        CheckError: there is none of that name.
    """
    if kind not in CORRUPTIONS:
        raise CheckError(f"No corruption '{kind}'.", did_you_mean(kind, CORRUPTIONS, "corruptions"))
    return CORRUPTIONS[kind]


def _run(
    chosen: Corruption, severity: int, x: torch.Tensor, keys: np.ndarray, threads: int | None
) -> torch.Tensor:
    import torch

    out = torch.empty_like(x)
    cpu = x.device.type == "cpu"
    size = max(1, (_CPU_PIXELS if cpu else _GPU_PIXELS) // max(1, x.shape[1] * x.shape[2]))

    def work(starts: range) -> None:
        with torch.inference_mode():
            for start in starts:
                part = slice(start, start + size)
                made = chosen.apply(x[part], severity, keys[part])
                _check_made(chosen, x[part], made)
                out[part] = made

    starts = range(0, len(x), size)
    if not cpu:
        work(starts)
        return out
    threads = n_threads(threads or None)
    shares = _SHARES * threads
    list(_pool(os.getpid(), threads).map(work, [starts[i::shares] for i in range(shares)]))
    return out


def _check_made(chosen: Corruption, given: torch.Tensor, made: torch.Tensor) -> None:
    """Hold what a plug-in returns against the contract; writing it elsewhere would convert it."""
    shape, dtype = getattr(made, "shape", None), getattr(made, "dtype", None)
    if shape != given.shape or dtype != given.dtype:
        wanted = f"{given.dtype} {tuple(given.shape)}"
        got = f"{dtype} {tuple(shape)}" if shape is not None else type(made).__name__
        raise PluginError(f"The corruption '{chosen.name}' returned {got}.", f"return {wanted}.")


@functools.lru_cache(maxsize=4)
def _pool(_process: int, threads: int) -> ThreadPoolExecutor:
    """Return threads in which torch works alone.

    Each picture is a few hundred kilobytes: with torch's own threads every one of the many small
    steps would wait for the slowest core (on a busy machine 4 ms in place of 0.02).
    """
    import torch

    before = torch.get_num_threads()
    ready = threading.Barrier(threads + 1)

    def alone() -> None:
        torch.get_num_threads()  # sets this thread up, which would undo the next line later
        torch.set_num_threads(1)
        ready.wait()

    pool = ThreadPoolExecutor(threads, "corruptions", initializer=alone)
    for _ in range(threads):
        pool.submit(lambda: None)
    ready.wait()
    torch.set_num_threads(before)  # for threads to come; the pool keeps what it has
    return pool
