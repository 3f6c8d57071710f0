"""Load weights files into modules."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slicedb.errors import ClassesError, ModelError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_SEED = 0
_WRAPPED = ("state_dict", "model_state_dict", "model_state", "model", "net", "module", "weights")
_PREFIXES = ("module.", "_orig_mod.", "model.")


def read_tensors(path: str, *, allow_pickle: bool = False) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file, by name, on the CPU.

    Checkpoints that wrap the tensors (`{"state_dict": ...}`) are unwrapped.

    Args:
        path: `.safetensors`, else a file of `torch.save`.
        allow_pickle: accept whole Python objects, which can run any code when opened.

    Raises:
        ModelError: there is no such file, it is damaged, or it holds more than tensors.
    """
    import torch

    file = Path(path).expanduser()
    if not file.is_file():
        raise ModelError(f"No weights file '{file}'.", "the path is relative to where you are.")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        held = torch.load(file, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"'{file}' holds Python objects besides tensors.",
            "save the state_dict, better as .safetensors; allow_pickle=True (--allow-pickle) "
            "opens it, and runs any code that is in it.",
        ) from error
    except Exception as error:
        raise ModelError(f"'{file}' cannot be read: {first_line(error)}") from error
    return _unwrap(held, file)


def _unwrap(held: object, file: Path) -> dict[str, torch.Tensor]:
    if hasattr(held, "state_dict"):
        return dict(held.state_dict())
    while isinstance(held, Mapping) and not any(hasattr(v, "shape") for v in held.values()):
        inner = next((held[name] for name in _WRAPPED if name in held), None)
        if inner is None:
            break
        held = inner.state_dict() if hasattr(inner, "state_dict") else inner
    if not isinstance(held, Mapping) or not any(hasattr(v, "shape") for v in held.values()):
        raise ModelError(
            f"'{file}' holds no tensors by name but a {type(held).__name__}.",
            "save model.state_dict().",
        )
    return {str(name): tensor for name, tensor in held.items()}


def load_weights(
    module: torch.nn.Module,
    path: str,
    *,
    classes: Sequence[str] | None = None,
    allow_pickle: bool = False,
    what: str = "the model",
) -> None:
    """Load a weights file into a module; every tensor has to find its place.

    Args:
        module: a `torch.nn.Module`.
        path: see `read_tensors`.
        classes: class names; a last layer of another width is reported with both numbers.
        allow_pickle: see `read_tensors`.
        what: what messages call the module.

    Raises:
        ClassesError: the weights are for another number of classes.
        ModelError: names or shapes differ.
    """
    tensors = _renamed(read_tensors(path, allow_pickle=allow_pickle), module)
    own = module.state_dict()
    wrong = [
        (name, tuple(tensors[name].shape), tuple(own[name].shape))
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    missing = [name for name in own if name not in tensors]
    extra = [name for name in tensors if name not in own]
    if wrong and not missing and not extra and classes is not None:
        widths = {have[0] for _, have, want in wrong if have and want and want[0] == len(classes)}
        if len(widths) == 1 and all(have[1:] == want[1:] for _, have, want in wrong):
            raise ClassesError(
                f"{len(classes)} class names are given, the weights in '{path}' have "
                f"{widths.pop()} outputs.",
                "give one name for each output, in the order of the logits.",
            )
    if wrong or missing or extra:
        raise ModelError(
            f"The weights in '{path}' do not fit {what}: {_differences(wrong, missing, extra)}.",
            "check the architecture the weights were trained with.",
        )
    module.load_state_dict(tensors)


def _renamed(tensors: dict[str, torch.Tensor], module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Take off the prefix that DataParallel, torch.compile or Lightning put before each name."""
    own = set(module.state_dict())
    for prefix in _PREFIXES:
        if tensors and not own & set(tensors) and all(n.startswith(prefix) for n in tensors):
            tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    return tensors


def _differences(
    wrong: list[tuple[str, tuple, tuple]], missing: list[str], extra: list[str]
) -> str:
    said = []
    if wrong:
        name, have, want = wrong[0]
        said.append(f"{len(wrong)} of another shape ({name} has {have}, needs {want})")
    if missing:
        said.append(f"{len(missing)} missing ({missing[0]})")
    if extra:
        said.append(f"{len(extra)} unknown ({extra[0]})")
    return ", ".join(said)


def seeded(build: Callable[[], T]) -> T:
    """Return what a function builds, with the same random numbers each time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return build()


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, or its type where it has none."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
