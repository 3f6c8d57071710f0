"""Load what `torch.save` wrote: a whole module, or tell what is missing where it is weights alone.

A module that was saved whole is a pickle: it names classes, and opening it runs whatever code it
names. It is opened only with `allow_pickle`; what it holds is told from its bytes before that.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.errors import ModelError
from slicedb.models.weights import first_line, refuse_swollen
from slicedb.show.numbers import count

if TYPE_CHECKING:
    import torch

SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".safetensors")

_WRAPPERS = ("model", "net", "module", "network", "state_dict", "model_state_dict", "model_state")
"""Where a checkpoint has its module or its weights."""
_NEAREST = 16
"""Architectures of torchvision that weights are held against, those with as many numbers."""
_PLUMBING = "torch torchvision collections builtins __builtin__ numpy _codecs sys".split()
"""Packages whose classes hold a module together; a user's own says more."""


def is_saved(path: Path) -> bool:
    """Return whether a file is one of `torch.save` or safetensors, and no TorchScript program."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    if not zipfile.is_zipfile(path):
        return True
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return not any(name.endswith("/constants.pkl") or "/code/" in name for name in names)


def read_module(path: Path, *, allow_pickle: bool = False) -> torch.nn.Module:
    """Return the module in a file.

    Args:
        path: a file of `torch.save`, of a whole module or of a checkpoint with one.
        allow_pickle: open a pickle, which runs any code that is in it.

    Raises:
        ModelError: it holds weights alone, or nothing that is a module; or it is a pickle, and
            `allow_pickle` is not given.
    """
    import torch

    refuse_swollen(path)
    held = _opened(path, allow_pickle)
    for _ in range(len(_WRAPPERS)):
        if isinstance(held, torch.nn.parallel.DataParallel):
            held = held.module
        if isinstance(held, torch.nn.Module):
            return held
        if not isinstance(held, Mapping) or any(hasattr(v, "shape") for v in held.values()):
            break
        inside = next((held[name] for name in _WRAPPERS if name in held), None)
        if inside is None:
            break
        held = inside
    if isinstance(held, Mapping) and any(hasattr(v, "shape") for v in held.values()):
        raise _weights_alone(path, held)
    raise ModelError(
        f"'{path}' holds a {type(held).__name__} and no module.",
        "save the network: torch.save(model, FILE), better its state_dict beside its code.",
    )


def _opened(path: Path, allow_pickle: bool) -> object:
    import torch

    try:
        if path.suffix.lower() == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not allow_pickle:
            raise ModelError(
                f"'{path}' holds {_named_class(path)}, saved whole: to open it runs the code that "
                "it names.",
                "--allow-pickle (allow_pickle=True) opens it, for a file that you trust. Safer are "
                "weights beside code: torch.save(model.state_dict(), FILE), then `slicedb model "
                "add NAME file.py:factory --weights FILE`.",
            ) from error
    except Exception as error:
        why = f"{type(error).__name__}: {first_line(error)}"
        raise ModelError(f"'{path}' is no file of torch.save ({why}).") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (AttributeError, ImportError) as error:
        raise ModelError(
            f"'{path}' needs code that is not here: {first_line(error)}",
            "a module that was saved whole has no code in it. Put the file that defines its class "
            "on PYTHONPATH; a class of a script or notebook (__main__) has to move into a file, "
            "and the model to be saved again.",
        ) from error
    except Exception as error:
        raise ModelError(f"'{path}' cannot be opened: {first_line(error)}") from error


def _named_class(path: Path) -> str:
    """Return what a pickle holds, by the first class in it that is no plumbing; nothing is run."""
    names = _globals_of(_pickle_in(path))
    own = [name for name in names if name.split(".")[0] not in _PLUMBING]
    known = [name for name in names if name.startswith(("torchvision.models", "torch.nn.modules"))]
    first = next(iter([*own, *known]), "")
    return f"a Python object ({first})" if first else "Python objects"


def _pickle_in(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        name = next((n for n in archive.namelist() if n.endswith("data.pkl")), None)
        return b"" if name is None else archive.read(name)


def _globals_of(data: bytes) -> list[str]:
    """Return the dotted names of the classes and functions that a pickle asks for."""
    names, texts, stream = [], [""], io.BytesIO(data)
    try:
        while stream.tell() < len(data):  # older files are several pickles, one after the other
            for opcode, argument, _ in pickletools.genops(stream):
                if opcode.name == "GLOBAL":
                    names.append(str(argument).replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL" and len(texts) > 1:
                    names.append(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
    except Exception:  # the numbers after the last pickle, or one that is cut off
        return names
    return names


# --- weights alone --------------------------------------------------------------------------------


def _weights_alone(path: Path, held: Mapping[str, object]) -> ModelError:
    """Return the error for weights without a network, with the way to both."""
    tensors = {
        str(name).removeprefix("module."): tuple(value.shape)
        for name, value in held.items()
        if hasattr(value, "shape")
    }
    first = next(iter(tensors))
    fits = _fitting(tensors)
    spec, classes = fits or ("file.py:factory", 0)
    guess = f"; their names and shapes are those of {spec}" if fits else ""
    many = f" ({classes} names)" if classes else ""
    return ModelError(
        f"'{path}' holds weights alone ({count(len(tensors), 'tensor')}, such as {first}): what is "
        f"missing is the network they belong to{guess}.",
        f"`slicedb model add NAME {spec} --weights {path.name} --classes FILE`{many}; a spec is "
        "torchvision:NAME, timm:NAME, or file.py:factory with a function that returns the network.",
    )


def _fitting(tensors: Mapping[str, tuple[int, ...]]) -> tuple[str, int] | None:
    """Return the torchvision model that has tensors of these shapes, and its classes.

    The last layers may have another width; the number of classes is 0 for detectors. Networks are
    built on no device, without numbers.
    """
    import math
    import warnings

    import torch
    from torchvision import models

    total = sum(math.prod(shape) for shape in tensors.values())
    detectors = set(models.list_models(module=models.detection))
    sizes = {
        name: int(models.get_model_weights(name).DEFAULT.meta["num_params"])
        for name in [*models.list_models(module=models), *sorted(detectors)]
    }
    near = sorted(sizes, key=lambda name: abs(math.log(sizes[name] / max(total, 1))))
    for name in near[:_NEAREST]:
        try:
            with warnings.catch_warnings(), torch.device("meta"):
                warnings.simplefilter("ignore")
                own = {"weights_backbone": None} if name in detectors else {}
                state = models.get_model(name, weights=None, **own).state_dict()
        except (
            NotImplementedError,
            RuntimeError,
        ):  # some are filled with numbers as they are built
            continue
        if set(state) != set(tensors):
            continue
        other = [k for k, value in state.items() if tuple(value.shape) != tensors[k]]
        if all(tensors[k][1:] == tuple(state[k].shape)[1:] for k in other):
            last = list(state)[-1]
            return f"torchvision:{name}", 0 if name in detectors else tensors[last][0]
    return None
