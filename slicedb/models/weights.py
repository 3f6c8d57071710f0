"""Load weights files into modules."""

from __future__ import annotations

import mmap
import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slicedb.errors import ClassesError, ModelError
from slicedb.show import numbers

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_SEED = 0
_SWELLS = 10
"""How many times its size an archive of tensors may unpack to."""
_SLACK = 1 << 24
_BYTES = b"bytearray"
"""What the unpickler of tensors makes in any size; no tensor is written with it."""
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
    refuse_swollen(file)
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
    for _ in range(len(_WRAPPED)):  # a mapping may hold itself
        if not isinstance(held, Mapping) or any(hasattr(v, "shape") for v in held.values()):
            break
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


def refuse_swollen(file: Path) -> None:
    """Refuse a file of tensors that takes many times its size once it is read.

    torch writes tensors as they are; a small file that unpacks to gigabytes, or that asks for so
    many empty bytes by name, was made to fill the memory.

    Raises:
        ModelError: it is such a file.
    """
    size = file.stat().st_size
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            swells = total > _SWELLS * size + _SLACK
            asks = not swells and any(
                _BYTES in archive.read(m) for m in members if m.filename.endswith(".pkl")
            )
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, RuntimeError):
        swells, asks = False, _holds(file, _BYTES)  # no archive: one pickle after the other
    if swells or asks:
        much = f"would unpack to {numbers.size(total)}" if swells else "asks for empty bytes"
        raise ModelError(
            f"'{file}' has {numbers.size(size)} and {much}.",
            "such a file is damaged or made to fill the memory; ask for it again where it is from.",
        )


def _holds(file: Path, text: bytes) -> bool:
    if file.suffix == ".safetensors" or not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(text) >= 0


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
        (name, _shape(tensors[name]), _shape(own[name]))
        for name in own
        if name in tensors and _shape(tensors[name]) != _shape(own[name])
    ]
    missing = [name for name in own if name not in tensors]
    extra = [name for name in tensors if name not in own]
    if wrong and not missing and not extra and classes is not None:
        widths = {have[0] for _, have, want in wrong if have and want and want[0] == len(classes)}
        if len(widths) == 1 and all(have[1:] == want[1:] for _, have, want in wrong):
            raise ClassesError(
                f"{numbers.count(len(classes), 'class name')} "
                f"{numbers.verb(len(classes), 'is', 'are')} given, the weights in '{path}' have "
                f"{numbers.count(widths.pop(), 'output')}.",
                "give one name for each output, in the order of the logits.",
            )
    if wrong or missing or extra:
        raise ModelError(
            f"The weights in '{path}' do not fit {what}: {_differences(wrong, missing, extra)}.",
            "check the architecture the weights were trained with.",
        )
    try:
        module.load_state_dict(tensors)
    except Exception as error:  # sparse, quantised or on no device at all
        raise ModelError(
            f"The weights in '{path}' do not fit {what}: {first_line(error)}"
        ) from error


def _shape(value: object) -> tuple[int, ...]:
    """Return the shape of a tensor, () of what a state holds beside tensors."""
    return tuple(getattr(value, "shape", ()))


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
