"""Answer to the words of torch's DataLoader that our loader does not take."""

from __future__ import annotations

from collections.abc import Mapping

from slicedb.errors import SliceDBError, did_you_mean

_OWN = (
    "batch_size shuffle seed num_workers sampler drop_last pin_memory workers on_error prefetch "
    "distributed collate_fn device batch_transform"
).split()
_INSTEAD = {
    "batch_sampler": "give sampler= and batch_size=; a sampler may draw samples in any order.",
    "generator": "seed= decides the order, the same in every process and after a restart.",
    "worker_init_fn": "worker processes are seeded for each batch from seed, epoch and batch.",
    "persistent_workers": "leave it out: processes live as long as the loader, threads as long as "
    "an epoch.",
    "prefetch_factor": "prefetch= is the number of batches decoded ahead per worker.",
    "multiprocessing_context": "workers= is 'thread', 'spawn' or 'forkserver'.",
    "timeout": "leave it out: a worker that dies raises an error.",
    "pin_memory_device": "pin_memory=True pins for the GPU that there is.",
    "in_order": "leave it out: batches come in the order of the epoch.",
}


def refuse_foreign(others: Mapping[str, object]) -> None:
    """Refuse arguments that the loader has not, each with what does the same.

    Raises:
        SliceDBError: there is one.
    """
    for name in others:
        hint = _INSTEAD.get(name) or did_you_mean(name, _OWN, "arguments")
        raise SliceDBError(f"The loader has no argument '{name}'.", hint)
