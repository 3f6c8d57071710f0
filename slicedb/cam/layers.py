"""Find the layer to explain: the last feature map that still has the layout of the image.

    CNN            the output of the last block before pooling                      (n, c, h, w)
    Swin and such  the same, channels last                                          (n, h, w, c)
    ViT            the norm in front of the last attention, reshaped to its patches (n, t, d)
    MLP-Mixer      the last tokens of a network that has no attention               (n, t, d)

One black picture is run through the network, and the outputs of its modules are recorded in order.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import torch

from slicedb.errors import ModelError, did_you_mean

Modules: TypeAlias = dict[str, torch.nn.Module]
"""By name, as `named_modules` gives them; the whole network is ''."""

Forward: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Maps images (n, 3, h, w) to scores (n, c)."""

AxisOrder: TypeAlias = Literal["channels first", "channels last", "tokens"]

_MOST_PREFIX = 16
"""Class and register tokens in front of the patches, at most."""


@dataclass(frozen=True)
class Layer:
    """A module and how its output lies over the picture."""

    name: str
    """Its path in the network, as in `named_modules`."""
    module: torch.nn.Module
    layout: AxisOrder
    grid: tuple[int, int]
    """Rows and columns of the map."""
    prefix: int = 0
    """Tokens in front of the patches."""

    def to_maps(self, output: torch.Tensor) -> torch.Tensor:
        """Return an output of the module as (n, c, rows, columns)."""
        if self.layout == "channels first":
            return output
        if self.layout == "channels last":
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.prefix :].reshape(len(output), *self.grid, -1)
        return patches.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Event:
    name: str
    module: torch.nn.Module
    shape: tuple[int, ...]
    output: int
    """Identity of the tensor, so that a block and the module it ends with are seen as one."""
    inside: bool
    """Within an attention module."""


@dataclass
class _Record:
    """What happened in a forward pass, in order."""

    events: list[_Event] = field(default_factory=list)
    attention: list[int] = field(default_factory=list)
    """How many events there were when each attention began."""
    kept: list[torch.Tensor] = field(default_factory=list)
    """Outputs, kept so that no identity is used twice."""
    depth: int = 0


def find(modules: Modules, forward: Forward, images: torch.Tensor, name: str) -> Layer:
    """Return the layer to explain a network by.

    Args:
        modules: by name, as `named_modules` gives them.
        images: float32 (1, 3, h, w).

    Raises:
        ModelError: no convolution, attention or tokens with a map over the picture.
    """
    record = _run(modules, forward, images)
    calls = Counter(event.name for event in record.events)
    size = (images.shape[2], images.shape[3])
    layer = (
        _mixed_tokens(record, calls, size)
        or _last_map(record, calls, size)
        or _last_tokens(record, calls, size)
    )
    if layer is None:
        raise ModelError(
            f"{name} has no convolution or attention layer whose output is a map of the picture.",
            "grad-cam needs one; name a layer with layer='...' if it was overlooked.",
        )
    return layer


def named(
    modules: Modules,
    forward: Forward,
    images: torch.Tensor,
    name: str,
    layer: str | torch.nn.Module,
) -> Layer:
    """Return the layer the user names, with its layout.

    Raises:
        ModelError: it is not there, or its output has no place in the picture.
    """
    chosen = (
        layer
        if isinstance(layer, str)
        else next((path for path, module in modules.items() if module is layer), "?")
    )
    if chosen not in modules:
        raise ModelError(
            f"{name} has no layer '{chosen}'.", did_you_mean(chosen, filter(None, modules))
        )
    record = _run(modules, forward, images)
    size = (images.shape[2], images.shape[3])
    for i, event in enumerate(record.events):
        if event.name == chosen:
            made = _as_map(event, size) or _as_tokens(event, record.events[:i], size)
            if made is not None:
                return made
    raise ModelError(
        f"The output of layer '{chosen}' of {name} is no map of the picture.",
        "name a layer before the pooling.",
    )


def _run(modules: Modules, forward: Forward, images: torch.Tensor) -> _Record:
    record = _Record()
    handles = []
    for path, module in modules.items():
        attends = _is_attention(module)
        handles.append(module.register_forward_pre_hook(_before(record, attends)))
        handles.append(module.register_forward_hook(_after(record, path, attends)))
    try:
        with torch.no_grad(), no_fast_path():
            forward(images)
    finally:
        for handle in handles:
            handle.remove()
    return record


def _before(record: _Record, attends: bool) -> Callable[..., None]:
    def hook(_module: object, _inputs: object) -> None:
        if attends:
            if not record.depth:
                record.attention.append(len(record.events))
            record.depth += 1

    return hook


def _after(record: _Record, path: str, attends: bool) -> Callable[..., None]:
    def hook(module: torch.nn.Module, _inputs: object, output: object) -> None:
        record.depth -= attends
        if isinstance(output, torch.Tensor):
            record.kept.append(output)
            shape = tuple(output.shape)
            inside = record.depth > 0 or attends
            record.events.append(_Event(path, module, shape, id(output), inside))

    return hook


@contextlib.contextmanager
def no_fast_path() -> Iterator[None]:
    """Keep torch's fused encoder away, which calls none of its modules."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def _kind(module: torch.nn.Module) -> str:
    return type(module).__name__.lower()


def _is_attention(module: torch.nn.Module) -> bool:
    kind = _kind(module)
    return "attention" in kind or ("attn" in kind and "pool" not in kind and "block" not in kind)


def _keeps_nothing(module: torch.nn.Module) -> bool:
    """Return whether a module only pools or passes on."""
    kind = _kind(module)
    return "pool" in kind or "dropout" in kind or kind in ("identity", "flatten")


def _last_map(record: _Record, calls: Counter[str], size: tuple[int, int]) -> Layer | None:
    """Return the last map of the whole picture, unless attention over tokens comes after it."""
    pooled = {e.output for e in record.events if _keeps_nothing(e.module)}
    pooled -= {e.output for e in record.events if _made_here(e)}
    began = record.attention[-1] if record.attention else -1
    for i in range(len(record.events) - 1, -1, -1):
        event = record.events[i]
        if event.inside or event.output in pooled or calls[event.name] > 1:
            continue
        made = _as_map(event, size)
        if made is not None:
            return made if i >= began else None
    return None


def _mixed_tokens(record: _Record, calls: Counter[str], size: tuple[int, int]) -> Layer | None:
    """Return the last tokens of a network without attention that come after its last map.

    MLP-Mixer, ResMLP and gMLP mix the patches by plain matrices. Their only map is the convolution
    that cuts the picture, whose gradient tells little of what the network looked at.
    """
    if record.attention:
        return None
    for i in range(len(record.events) - 1, -1, -1):
        event = record.events[i]
        if _keeps_nothing(event.module) or calls[event.name] > 1:
            continue
        if _as_map(event, size) is not None:
            return None
        made = _as_tokens(event, record.events[:i], size, guess=False)
        if made is not None:
            return made
    return None


def _made_here(event: _Event) -> bool:
    """Return whether a tensor is some module's own work, before others pass it on."""
    return not _keeps_nothing(event.module) and not list(event.module.children())


def _as_map(event: _Event, size: tuple[int, int]) -> Layer | None:
    if len(event.shape) != 4 or event.shape[0] != 1:
        return None
    first, last = event.shape[2:], event.shape[1:3]
    channels_last = _misfit(last, size) < _misfit(first, size)
    high, wide = last if channels_last else first
    if _misfit((high, wide), size) > max(size):
        return None
    layout: AxisOrder = "channels last" if channels_last else "channels first"
    return Layer(event.name, event.module, layout, (high, wide))


def _misfit(grid: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return how far rows and columns are from the proportions of the picture.

    Up to the longer side of the picture it is a row or a column of rounding.
    """
    high, wide = grid
    if high < 2 or wide < 2 or high > size[0] or wide > size[1]:
        return sys.maxsize
    return abs(high * size[1] - wide * size[0])


def _last_tokens(record: _Record, calls: Counter[str], size: tuple[int, int]) -> Layer | None:
    """Return the norm in front of the last attention over the tokens of the whole picture."""
    for began in reversed(record.attention):
        for i in range(began - 1, -1, -1):
            event = record.events[i]
            if event.inside or calls[event.name] > 1 or "norm" not in _kind(event.module):
                continue
            made = _as_tokens(event, record.events[:i], size)
            if made is not None:
                return made
    return None


def _as_tokens(
    event: _Event, earlier: list[_Event], size: tuple[int, int], *, guess: bool = True
) -> Layer | None:
    """Return tokens as a layer; `guess` allows any grid of the picture's proportions."""
    if len(event.shape) != 3 or event.shape[0] != 1:
        return None
    count = event.shape[1]
    grids = [made.grid for e in earlier if not e.inside and (made := _as_map(e, size))]
    for grid in reversed(grids):  # the convolution that cut the picture into patches
        prefix = count - grid[0] * grid[1]
        if 0 <= prefix <= _MOST_PREFIX:
            return Layer(event.name, event.module, "tokens", grid, prefix)
    for prefix in range(_MOST_PREFIX + 1) if guess else ():
        for high in range(2, count - prefix + 1):
            wide, rest = divmod(count - prefix, high)
            if not rest and high * size[1] == wide * size[0] and wide > 1:
                return Layer(event.name, event.module, "tokens", (high, wide), prefix)
    return None
