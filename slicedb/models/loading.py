"""Loading: from the text a user gives to a model that runs."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slicedb.errors import ClassesError, ModelError, UnknownModelError, did_you_mean
from slicedb.models.detector import TorchDetector
from slicedb.models.model import Model, TorchClassifier
from slicedb.models.weights import first_line, load_weights, read_program

PRETRAINED = "pretrained"
RANDOM = "random"
_SEED = 0
_PROGRAMS = (".pt", ".ts", ".torchscript", ".pt2", ".onnx")


def load(
    spec: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    allow_pickle: bool = False,
    name: str = "",
) -> Model:
    """Load a model and run one black image through it, so that a mismatch shows at once.

    Args:
        spec: `torchvision:NAME`, `timm:NAME`, `path/to/file.py:factory` (a function that returns
            a `Model` or a `torch.nn.Module`; one with `task = "detection"` becomes a
            `TorchDetector`), or a program that holds its own structure:
            TorchScript (`.pt`, `.ts`), `torch.export` (`.pt2`) or ONNX.
        weights: a `.safetensors` file or a checkpoint of tensors (`.pt`, `.pth`, `.bin`).
            "pretrained" asks for a download from the library's own place, "random" for the same
            random numbers each time. Nothing is downloaded unless asked for.
        classes: class names in the order of the logits, where the model does not bring them.
        allow_pickle: read checkpoints that hold whole Python objects. They can run any code when
            opened: only for files you trust.
        name: what messages call the model.

    Raises:
        UnknownModelError: the library has no such model.
        ModelError: the file, the factory or the weights cannot be loaded.
        ClassesError: class list and output differ in number.
    """
    path = os.fspath(weights) if weights is not None else None
    kind, _, rest = spec.partition(":")
    if kind in _LIBRARIES and rest:
        model = _LIBRARIES[kind](rest, path, classes, allow_pickle)
    elif ".py:" in spec:
        model = _from_file(spec, path, classes, allow_pickle)
    elif Path(spec).suffix.lower() in _PROGRAMS:
        model = _from_program(spec, path, classes)
    else:
        raise ModelError(
            f"'{spec}' does not say where the model is.",
            "write torchvision:NAME, timm:NAME, path/to/file.py:factory, or a .pt2 or .onnx file.",
        )
    model.name = name or model.name or spec
    model.check()
    return model


def _from_torchvision(
    name: str, weights: str | None, classes: Sequence[str] | None, allow_pickle: bool
) -> Model:
    from torchvision import models

    known = models.list_models(module=models)
    detectors = models.list_models(module=models.detection)
    if name in detectors:
        return _torchvision_detector(name, weights, classes, allow_pickle)
    if name not in known:
        known += detectors
        raise UnknownModelError(
            f"torchvision has no classifier or detector '{name}'.",
            did_you_mean(name, known, "models"),
        )
    default = models.get_model_weights(name).DEFAULT
    own = list(default.meta["categories"])
    build = _builder(lambda n: models.get_model(name, weights=None, num_classes=n))
    if weights == PRETRAINED:
        module = _download(lambda: models.get_model(name, weights=default), name)
    else:
        module = build(len(_names(classes, own, weights, name)))
        _fill(module, weights, classes, allow_pickle, f"torchvision:{name}")
    crop = default.transforms()
    return TorchClassifier(
        module,
        classes=_pretrained_names(classes, own, weights),
        input_size=crop.crop_size[0],
        resize=max(crop.resize_size[0], crop.crop_size[0]),
        mean=crop.mean,
        std=crop.std,
        interpolation=crop.interpolation.value,
        name=name,
    )


def _torchvision_detector(
    name: str, weights: str | None, classes: Sequence[str] | None, allow_pickle: bool
) -> Model:
    """Return a detection model; its label 0 is the background, which has no name here."""
    from torchvision import models

    default = models.get_model_weights(name).DEFAULT
    own = _distinct(list(default.meta["categories"])[1:])
    build = _builder(
        lambda n: models.get_model(name, weights=None, weights_backbone=None, num_classes=n + 1)
    )
    if weights == PRETRAINED:
        module = _download(lambda: models.get_model(name, weights=default), name)
    else:
        module = build(len(_names(classes, own, weights, name)))
        _fill(module, weights, classes, allow_pickle, f"torchvision:{name}")
    return TorchDetector(module, classes=_pretrained_names(classes, own, weights), name=name)


def _from_timm(
    name: str, weights: str | None, classes: Sequence[str] | None, allow_pickle: bool
) -> Model:
    import timm
    from timm.data import ImageNetInfo, resolve_data_config

    if not timm.is_model(name):
        known = timm.list_models() + timm.list_pretrained()
        raise UnknownModelError(f"timm has no model '{name}'.", did_you_mean(name, known, "models"))
    info = ImageNetInfo()
    own = _distinct([info.index_to_description(i) for i in range(info.num_classes())])
    build = _builder(lambda n: timm.create_model(name, pretrained=False, num_classes=n))
    if weights == PRETRAINED:
        module = _download(lambda: timm.create_model(name, pretrained=True), name)
    else:
        module = build(len(_names(classes, own, weights, name)))
        _fill(module, weights, classes, allow_pickle, f"timm:{name}")
    about = resolve_data_config({}, model=module)
    height, width = about["input_size"][1:]
    return TorchClassifier(
        module,
        classes=_pretrained_names(classes, own, weights),
        input_size=(height, width),
        resize=math.floor(max(height, width) / about["crop_pct"]),
        mean=about["mean"],
        std=about["std"],
        interpolation=about["interpolation"],
        name=name,
    )


_LIBRARIES: dict[str, Callable[[str, str | None, Sequence[str] | None, bool], Model]] = {
    "torchvision": _from_torchvision,
    "timm": _from_timm,
}


def _builder(build: Callable[[int], Any]) -> Callable[[int], Any]:
    """Return a function that builds with the same random numbers each time."""

    def seeded(n: int) -> Any:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            return build(n)

    return seeded


def _download(fetch: Callable[[], Any], name: str) -> Any:
    try:
        return fetch()
    except Exception as error:  # URLError, HTTPError, hub errors, timeouts: a tree a library
        raise ModelError(
            f"The pretrained weights of '{name}' could not be fetched: {first_line(error)}",
            "fetch them on a machine with a network and give the file as weights=FILE.",
        ) from error


def _names(
    classes: Sequence[str] | None, own: list[str], weights: str | None, name: str
) -> list[str]:
    """Return the class names, and refuse to guess what a file or no weights at all mean."""
    if weights is None:
        raise ModelError(
            f"No weights given for '{name}'.",
            "give weights=FILE, or 'pretrained' to download them, or 'random' for a dry run.",
        )
    if classes is None and weights != RANDOM:
        raise ClassesError(
            f"No class names given for the weights in '{weights}'.",
            "give them in the order of the logits (classes=..., --classes FILE).",
        )
    return list(classes) if classes is not None else own


def _pretrained_names(
    classes: Sequence[str] | None, own: list[str], weights: str | None
) -> list[str]:
    return own if classes is None or not len(classes) else list(classes)


def _distinct(names: list[str]) -> list[str]:
    """Number repeated names: ImageNet has two 'crane' and two 'maillot'."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    count: dict[str, int] = {}
    out = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        out.append(f"{name} ({count[name]})" if seen[name] > 1 else name)
    return out


def _fill(
    module: Any,
    weights: str | None,
    classes: Sequence[str] | None,
    allow_pickle: bool,
    what: str,
) -> None:
    if weights not in (None, RANDOM):
        assert weights is not None
        load_weights(module, weights, classes=classes, allow_pickle=allow_pickle, what=what)


def _from_file(
    spec: str, weights: str | None, classes: Sequence[str] | None, allow_pickle: bool
) -> Model:
    path, factory = resolve(spec)
    make = _factory(path, factory)
    wants = set(inspect.signature(make).parameters)
    given = {"weights": weights, "classes": list(classes) if classes is not None else None}
    passed = {key: value for key, value in given.items() if key in wants and value is not None}
    try:
        made = _builder(lambda _: make(**passed))(0)
    except Exception as error:
        raise ModelError(
            f"The factory '{spec}' failed: {type(error).__name__}: {first_line(error)}",
            "it is called without arguments, or with weights= and classes= where it takes them.",
        ) from error
    model = _as_model(made, spec, classes)
    if weights is not None and "weights" not in passed and weights != RANDOM:
        module = getattr(model, "module", None)
        if module is None:
            raise ModelError(
                f"'{spec}' returns a model that weights cannot be loaded into.",
                "let the factory take `weights`, or return a torch.nn.Module.",
            )
        load_weights(module, weights, classes=model.classes, allow_pickle=allow_pickle, what=spec)
    return model


def resolve(spec: str) -> tuple[Path, str]:
    """Return the absolute path and the name in `path/to/file.py:factory`.

    Raises:
        ModelError: there is no such file.
    """
    text, _, factory = spec.rpartition(":")
    path = Path(text).expanduser().absolute()
    if not path.is_file():
        raise ModelError(f"No file '{path}'.", "write path/to/file.py:factory.")
    return path, factory


def _factory(path: Path, name: str) -> Callable[..., Any]:
    unique = f"slicedb_model_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    about = importlib.util.spec_from_file_location(unique, path)
    assert about is not None and about.loader is not None
    module = importlib.util.module_from_spec(about)
    sys.modules[unique] = module  # dataclasses and pickles look their module up
    try:
        about.loader.exec_module(module)
    except Exception as error:
        beside = isinstance(error, ModuleNotFoundError) and _is_beside(path, error.name)
        raise ModelError(
            f"'{path}' cannot be imported: {type(error).__name__}: {first_line(error)}",
            f"it lies beside that file: PYTHONPATH='{path.parent}' finds it." if beside else "",
        ) from error
    made = getattr(module, name, None)
    if not callable(made):
        names = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise ModelError(f"'{path}' has no function '{name}'.", did_you_mean(name, names))
    return made  # type: ignore[no-any-return]


def _is_beside(path: Path, module: str | None) -> bool:
    """Whether a module or package lies in the folder of a file."""
    first = path.parent / (module or "").partition(".")[0]
    return first.with_suffix(".py").is_file() or (first != path.parent and first.is_dir())


def _as_model(made: Any, spec: str, classes: Sequence[str] | None) -> Model:
    import torch

    if isinstance(made, Model):
        if classes is not None:
            made.classes = tuple(classes)
        return made
    if not isinstance(made, torch.nn.Module):
        raise ModelError(
            f"'{spec}' returned a {type(made).__name__}.",
            "return a slicedb.models.Model or a torch.nn.Module.",
        )
    names = classes if classes is not None else getattr(made, "classes", None)
    if names is None:
        raise ClassesError(
            f"'{spec}' returned a module without class names.",
            "give classes=..., or return TorchClassifier or TorchDetector(module, classes=...).",
        )
    if _is_detector(made):
        kept = ("transform", "confidence", "first_label", "longest", "min_score", "most")
        return TorchDetector(made, classes=names, **_facts(made, kept))
    facts = ("transform", "input_size", "mean", "std", "resize", "interpolation")
    return TorchClassifier(made, classes=names, **_facts(made, facts))


def _is_detector(module: Any) -> bool:
    """Return whether a module says so itself, or is one of torchvision's."""
    of = {base.__module__ for base in type(module).__mro__}
    said: str = getattr(module, "task", "")
    return said == "detection" or any(m.startswith("torchvision.models.detection") for m in of)


def _facts(module: Any, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of those names that a module has; torchvision's `transform` is none."""
    held = {name: getattr(module, name) for name in names if hasattr(module, name)}
    return {k: v for k, v in held.items() if k != "transform" or not hasattr(v, "parameters")}


def _from_program(spec: str, weights: str | None, classes: Sequence[str] | None) -> Model:
    if weights is not None:
        raise ModelError(f"'{spec}' holds its own weights.", "leave --weights away.")
    if classes is None:
        raise ClassesError(
            f"No class names given for '{spec}'.",
            "give them in the order of the logits (classes=..., --classes FILE).",
        )
    path = Path(spec).expanduser().absolute()
    if not path.is_file():
        raise ModelError(f"No file '{path}'.")
    module, size = read_program(path)
    return TorchClassifier(module, classes=classes, input_size=size or 224, name=path.stem)
