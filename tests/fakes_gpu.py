"""A GPU that is none: its tensors lie on the host, and what is asked of it is written down.

Tensors on "cuda" are of a class of their own that computes on the CPU. Copies, waits and streams
are counted. Whatever torch would do behind our back that makes the process wait (an `.item()`, a
number made on the device) raises, as there is no driver.
"""

from __future__ import annotations

import concurrent.futures.thread
import contextlib
import io
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from slicedb.inference import jpegs

_SILENT = set(
    "detach lift_fresh view permute split slice reshape _has_compatible_shallow_copy_type".split()
)
"""What computes nothing."""


@dataclass
class Log:
    """What the device was asked for, in order."""

    entries: list[tuple[str, Any]] = field(default_factory=list)
    limit: int | None = None
    """Images from which on a batch does not fit into memory."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    locked: set[int] = field(default_factory=set)
    """Addresses of page-locked memory."""
    tape: list[tuple[Any, Any, Any, Any]] = field(default_factory=list)
    """What was computed while gradients were recorded: operation, arguments and result."""

    def add(self, kind: str, what: Any = None) -> None:
        self.entries.append((kind, what))

    def of(self, kind: str) -> list[Any]:
        """Return what was written down under a kind."""
        return [what for name, what in self.entries if name == kind]

    def order(self, *kinds: str) -> list[str]:
        """Return the entries of some kinds, in order."""
        return [name for name, _ in self.entries if name in kinds]


class Far(torch.Tensor):
    """A tensor that says it is on the GPU."""

    held: torch.Tensor
    log: Log
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor, where: torch.device, log: Log) -> Far:
        tensor = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=where,
        )
        tensor.held, tensor.log = held, log
        return tensor  # type: ignore[no-any-return]

    # In these, torch asks the driver before it asks the class.

    def requires_grad_(self, requires_grad: bool = True) -> Far:
        return self  # gradients are computed from the tape

    def __getitem__(self, at: Any) -> torch.Tensor:
        if isinstance(at, list | torch.Tensor):
            self.log.add("compute", "index")
        return Far(self.held[_near(at)], self.device, self.log)

    def contiguous(self, **how: Any) -> torch.Tensor:
        return self if self.held.is_contiguous(**how) else self.clone(**_format(how))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = next(leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Far))
        return _run(first.log, func, args, kwargs or {})  # type: ignore[attr-defined]


class _Mode(TorchDispatchMode):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(self.log, func, args, kwargs or {})


def _run(log: Log, func: Any, args: Any, kwargs: Any) -> Any:
    """Compute on the host, and write down what a GPU would have had to do."""
    name = func.overloadpacket.__name__
    far = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Far)]
    asked = [leaf for leaf in tree_leaves((args[1:], kwargs)) if isinstance(leaf, torch.device)]
    where = asked[0] if asked else far[0].device if far else torch.device("cpu")
    pinned = kwargs.pop("pin_memory", None)
    inner_args, inner_kwargs = tree_map(_near, (args, kwargs))
    if name in ("to", "_to_copy", "copy_"):
        _copy(log, name, args, kwargs, far, where)
    elif far and name not in _SILENT:
        batch = args[0].shape[0] if name == "conv2d" else 0
        if log.limit is not None and batch > log.limit:
            log.add("out of memory", batch)
            raise torch.OutOfMemoryError("CUDA out of memory (a fake)")
        log.add("compute", name)
    result = func(*inner_args, **inner_kwargs)
    if name == "copy_":
        return args[0]
    if pinned:
        log.locked.add(result.untyped_storage().data_ptr())
    is_far = where.type == "cuda"
    made = tree_map(lambda one: _wrapped(one, where, log) if is_far else one, result)
    if far and torch.is_grad_enabled():
        log.tape.append((func, args, kwargs, made))
    return made


def _gradients(log: Log, output: Far, inputs: list[Far]) -> tuple[Far, ...]:
    """Return gradients as `torch.autograd.grad` does, whose engine would start the driver.

    What was computed is computed again on the host, from the inputs on.
    """
    log.add("backward")
    leaves = {id(one): one.held.clone().requires_grad_() for one in inputs}
    known: dict[int, torch.Tensor] = dict(leaves)

    def near(leaf: Any) -> Any:
        return known.get(id(leaf), _near(leaf))

    with torch.enable_grad():
        for func, args, kwargs, results in log.tape:
            if any(id(leaf) in known for leaf in tree_leaves((args, kwargs))):
                again = func(*tree_map(near, args), **tree_map(near, kwargs))
                known.update((id(a), b) for a, b in zip(tree_leaves(results), tree_leaves(again)))
        made = _on_host(known[id(output)], [*leaves.values()])
    log.tape.clear()
    return tuple(Far(one, output.device, log) for one in made)


_on_host = torch.autograd.grad


def _copy(log: Log, name: str, args: Any, kwargs: Any, far: list[Far], where: torch.device) -> None:
    """Write down a copy between host and device; one that waits is told from one that does not."""
    if name == "copy_":
        source, waits = args[1], not (kwargs.get("non_blocking") or args[2:3] == (True,))
        goes_in, goes_out = isinstance(args[0], Far), isinstance(source, Far)
        locked = args[0] if goes_out else source
    else:
        source = locked = args[0]
        plain = [one for one in args[1:] if isinstance(one, bool)]
        waits = not (kwargs.get("non_blocking") or plain[:1] == [True])
        goes_in, goes_out = where.type == "cuda", isinstance(source, Far)
    if goes_in == goes_out:
        return
    near = _near(locked)
    is_locked = near.untyped_storage().data_ptr() in log.locked
    is_free = not waits and (is_locked if goes_in or name == "copy_" else False)
    kind = "in" if goes_in else "out"
    log.add(kind if is_free else f"{kind}, waiting", source.numel() * source.element_size())


def _format(how: dict[str, Any]) -> dict[str, Any]:
    return {"memory_format": how.get("memory_format", torch.contiguous_format)}


def _near(leaf: Any) -> Any:
    if isinstance(leaf, Far):
        return leaf.held
    if isinstance(leaf, torch.device) and leaf.type == "cuda":
        return torch.device("cpu")
    return leaf


def _wrapped(one: Any, where: torch.device, log: Log) -> Any:
    is_plain = isinstance(one, torch.Tensor) and not isinstance(one, Far)
    return Far(one, where, log) if is_plain else one


class _Stream:
    def __init__(self, log: Log, device: Any, name: str) -> None:
        self.log, self.device, self.name = log, torch.device(device), name

    def synchronize(self) -> None:
        self.log.add("stream done", self.name)

    def wait_stream(self, other: _Stream) -> None:
        self.log.add("stream waits", (self.name, other.name))


class _Event:
    def __init__(self, log: Log) -> None:
        self.log, self.number = log, next(log.numbers)

    def record(self, stream: _Stream) -> None:
        self.log.add("event", str(stream.device))

    def synchronize(self) -> None:
        self.log.add("wait", self.number)


@contextlib.contextmanager
def fake_gpu(
    monkeypatch: pytest.MonkeyPatch, limit: int | None = None, gradients: bool = False
) -> Iterator[Log]:
    """Let "cuda" be a device that writes down what it is asked for.

    Args:
        limit: images from which on a batch does not fit.
        gradients: whether they are computed; devices have to be named with their number then, as
            torch asks the driver for the present one.
    """
    log = Log(limit=limit)

    @contextlib.contextmanager
    def inside(stream: _Stream) -> Iterator[None]:
        log.add("stream", stream.name)
        yield

    @contextlib.contextmanager
    def autocast(kind: str, dtype: Any = None, enabled: bool = True) -> Iterator[None]:
        log.add("autocast", (kind, dtype))
        yield

    worker = concurrent.futures.thread._worker  # type: ignore[attr-defined]

    def working(*args: Any) -> None:
        """Let threads of a pool know the device; a mode is of one thread."""
        with torch.inference_mode(), _Mode(log):
            worker(*args)

    with monkeypatch.context() as patch:
        patch.setattr(concurrent.futures.thread, "_worker", working)
        patch.setattr(torch.version, "cuda", "13.0")
        patch.setattr(torch.backends.cudnn, "enabled", False)  # there is none for the host
        patch.setattr(torch.cuda, "get_allocator_backend", lambda: "native")
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch.autograd, "grad", lambda one, seen: _gradients(log, one, seen))
        patch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
        patch.setattr(torch.cuda, "empty_cache", lambda: log.add("freed"))
        patch.setattr(torch.cuda, "Stream", lambda device: _Stream(log, device, "copies"))
        patch.setattr(torch.cuda, "current_stream", lambda d: _Stream(log, d, "computing"))
        patch.setattr(torch.cuda, "stream", inside)
        patch.setattr(torch.cuda, "Event", lambda: _Event(log))
        patch.setattr(torch, "autocast", autocast)
        patch.setattr(torch.Tensor, "record_stream", lambda one, stream: log.add("kept"))
        before = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        try:
            with torch.inference_mode(not gradients), _Mode(log):
                yield log
        finally:
            torch.__future__.set_overwrite_module_params_on_conversion(before)


class FakeNvjpeg:
    """Decodes JPEGs into the memory of the fake GPU, a whole call or nothing, as nvJPEG does.

    Args:
        log: of the GPU.
        shift: added to every level, as another way of upsampling would.
        seconds: that a call takes.
    """

    def __init__(self, log: Log, shift: int = 0, seconds: float = 0.0) -> None:
        self.log, self.shift, self.seconds = log, shift, seconds
        self.refuses: set[bytes] = set()
        """Files that it fails at."""

    def __call__(self, files: list[torch.Tensor], device: torch.device) -> list[torch.Tensor]:
        self.log.add("nvjpeg", len(files))
        time.sleep(self.seconds)
        decoded = [self._pixels(bytes(file.numpy()), device) for file in files]
        if len(decoded) > (self.log.limit or len(decoded)):
            self.log.add("out of memory", len(decoded))
            raise torch.OutOfMemoryError("CUDA out of memory (a fake)")
        return decoded

    def _pixels(self, data: bytes, device: torch.device) -> torch.Tensor:
        if data in self.refuses:
            raise RuntimeError("nvjpegDecodeBatched failed: 6")
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("RGB")).astype(np.int16) + self.shift
        upright = torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
        return Far(upright.contiguous(), device, self.log)


def fake_nvjpeg(monkeypatch: pytest.MonkeyPatch, log: Log, **how: Any) -> FakeNvjpeg:
    """Let a fake be the library that decodes JPEGs on the GPU."""
    nvjpeg = FakeNvjpeg(log, **how)
    monkeypatch.setattr(jpegs, "_LIBRARIES", {"a fake": lambda: nvjpeg})
    return nvjpeg
