"""Read what a user says of processes, and choose a device and threads for each."""

from __future__ import annotations

import os
from collections.abc import Sequence

from slicedb.errors import OptionError
from slicedb.media import n_threads
from slicedb.progress import Watch
from slicedb.scale.processes import Processes
from slicedb.show.numbers import count
from slicedb.store.shares import Crew, Place

RAY = "ray"
_MOST = 4
"""Threads of a process on a CPU, where nobody says: more of them in one wait for one another."""


def crew_of(
    engine: str | None = None,
    workers: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    show: Watch = None,
    decode: str = "cpu",
) -> Crew | None:
    """Return the processes that do some work; None where this process does it.

    Args:
        engine: "ray", or with the address of a running cluster: "ray@10.0.0.1:6379" or
            "ray://10.0.0.1:10001"; None stays on this machine.
        workers: how many processes; None is one for each device.
        device: one torch device, or several with commas; of a cluster, the kind of device.
        threads: of each process; None divides the cores.
        show: whether what was chosen is said.
        decode: which chip decodes pictures in each process.

    Raises:
        OptionError: a word is none of these, or Ray is not installed.
    """
    if workers is not None and workers < 1:
        raise OptionError(f"workers={workers}.", "give the number of processes, at least 1.")
    devices = [part.strip() for part in str(device or "").split(",") if part.strip()]
    if engine is not None:
        from slicedb.scale.cluster import Cluster

        address = _address(engine)
        if len(devices) > 1:
            raise OptionError(
                f"On Ray each worker has the device that Ray gives it, not one of '{device}'.",
                "leave out device=, or give cpu or cuda.",
            )
        device = devices[0] if devices else None
        return Cluster(address, workers, device, threads, show, decode)
    if workers is None and len(devices) < 2:
        return None
    return Processes(_places(workers or len(devices), devices, threads, decode), show)


def is_engine(text: object) -> bool:
    """Return whether a text names an engine.

    >>> is_engine("ray"), is_engine("ray://head:10001"), is_engine("rays"), is_engine(None)
    (True, True, False, False)
    """
    return isinstance(text, str) and (text == RAY or text.startswith(("ray://", "ray@")))


def _address(engine: str) -> str | None:
    """Return the address of a cluster; None is the one that RAY_ADDRESS names, or a new one."""
    if not is_engine(engine):
        raise OptionError(f"No engine '{engine}'.", "give ray, ray@HOST:PORT or ray://HOST:PORT.")
    if engine == RAY:
        return os.environ.get("RAY_ADDRESS") or None
    return engine if engine.startswith("ray://") else engine.removeprefix("ray@")


def _places(workers: int, devices: Sequence[str], threads: int | None, decode: str) -> list[Place]:
    """Return a place for each process: devices in turn, and its part of the cores."""
    from slicedb.inference.runner import pick_device

    if not devices:
        devices = _gpus() or ["cpu"]
    for device in devices:
        pick_device(device)  # here, so that a wrong one is told before anything starts
    if len(devices) > workers:
        raise OptionError(
            f"{count(len(devices), 'device')} and {count(workers, 'worker')}.",
            "leave out workers=, for there is one for each device.",
        )
    each = threads or max(1, n_threads() // workers)
    return [Place(devices[i % len(devices)], each, decode) for i in range(workers)]


def _gpus() -> list[str]:
    import torch

    return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
