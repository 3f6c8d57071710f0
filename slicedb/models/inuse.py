"""Prepare a network for inference once, however many threads use it at the same time."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class _Use:
    """One network in use: by how many, and what is put back after the last of them."""

    device: str
    before: torch.device | None
    training: list[Any]
    n: int = 0
    threads: set[int] = field(default_factory=set)


_USES: weakref.WeakKeyDictionary[Any, _Use] = weakref.WeakKeyDictionary()
_CHANGED = threading.Condition()


@contextlib.contextmanager
def in_use(
    module: Any,
    device: torch.device | str,
    layout: torch.memory_format,
) -> Iterator[None]:
    """Keep a network on a device and out of training mode; put both back after its last user.

    Whoever wants it on another device waits until the others are done: it cannot be moved under
    them. Without this, the first to end would switch dropout on again for those who still run.

    Args:
        module: the network.
        device: where it is to run.
        layout: the memory format of the weights there.
    """
    me = threading.get_ident()
    with _CHANGED:
        use = _USES.get(module)
        while use is not None and use.device != str(device) and me not in use.threads:
            _CHANGED.wait()
            use = _USES.get(module)
        if use is None:
            training = [m for m in getattr(module, "modules", tuple)() if m.training]
            if training:
                module.eval()
            before = _device(module)
            if hasattr(module, "to") and before is not None:
                module.to(device=device, memory_format=layout)
            use = _USES[module] = _Use(str(device), before, training)
        use.n += 1
        is_first = me not in use.threads
        use.threads.add(me)
    try:
        yield
    finally:
        with _CHANGED:
            use.n -= 1
            if is_first:
                use.threads.discard(me)
            if not use.n:
                _put_back(module, use)
                del _USES[module]
                _CHANGED.notify_all()


def _put_back(module: Any, use: _Use) -> None:
    for part in use.training:
        part.training = True
    if use.before is not None and use.before != _device(module):
        module.to(device=use.before)


def _device(module: Any) -> torch.device | None:
    return next((tensor.device for tensor in getattr(module, "parameters", tuple)()), None)
