"""Models in files of the user: factories in Python, and programs that hold their own structure."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicedb.errors import ClassesError, ModelError, did_you_mean
from slicedb.models.detector import TorchDetector
from slicedb.models.model import Model, TorchClassifier
from slicedb.models.programs import read_program
from slicedb.models.saved import SUFFIXES, is_saved, read_module
from slicedb.models.segmenter import TorchSegmenter
from slicedb.models.types import RANDOM, ModelSpec, ModelType
from slicedb.models.weights import first_line, load_weights, seeded

if TYPE_CHECKING:
    import torch

_PROGRAMS = (".ts", ".torchscript", ".pt2", ".onnx", *SUFFIXES)


class _Factory(ModelType):
    name, form = "factory", "path/to/file.py:factory"

    def matches(self, text: str) -> bool:
        return ".py:" in text

    def load(self, spec: ModelSpec) -> Model:
        make = _factory(*resolve(spec.text))
        wants = set(inspect.signature(make).parameters)
        classes = None if spec.classes is None else list(spec.classes)
        given = {"weights": spec.weights, "classes": classes}
        passed = {key: value for key, value in given.items() if key in wants and value is not None}
        try:
            made = seeded(lambda: make(**passed))
        except (Exception, SystemExit) as error:
            raise ModelError(
                f"The factory '{spec.text}' failed: {type(error).__name__}: {first_line(error)}",
                "it is called without arguments, or with weights= and classes= where it takes "
                "them.",
            ) from error
        model = _as_model(made, spec.text, spec.classes)
        if spec.weights is not None and "weights" not in passed and spec.weights != RANDOM:
            _fill(model, spec)
        return model

    def absolute(self, text: str) -> str:
        path, factory = resolve(text)
        return f"{path}:{factory}"


class _Program(ModelType):
    name, form = "program", "a .pt2, .onnx or .pth file"

    def matches(self, text: str) -> bool:
        return Path(text).suffix.lower() in _PROGRAMS

    def load(self, spec: ModelSpec) -> Model:
        if spec.weights is not None:
            raise ModelError(f"'{spec.text}' holds its own weights.", "leave --weights away.")
        path = Path(spec.text).expanduser().absolute()
        if not path.is_file():
            raise ModelError(f"No file '{path}'.")
        if is_saved(path):
            module = read_module(path, allow_pickle=spec.allow_pickle)
            model = _as_model(module, spec.text, spec.classes)
            model.name = path.stem
            return model
        if spec.classes is None:
            raise ClassesError(
                f"No class names given for '{spec.text}'.",
                "give them in the order of the logits (classes=..., --classes FILE).",
            )
        module, size = read_program(path, allow_pickle=spec.allow_pickle)
        return TorchClassifier(module, classes=spec.classes, input_size=size or 224, name=path.stem)

    def absolute(self, text: str) -> str:
        path = os.path.expanduser(text)
        return os.path.abspath(path) if os.path.exists(path) else text


TYPES = [_Factory(), _Program()]


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


def function_of(spec: str) -> Callable[..., Any]:
    """Return the function that `path/to/file.py:function` names.

    Raises:
        ModelError: there is no such file, it does not run, or it has no such function.
    """
    return _factory(*resolve(spec))


def _factory(path: Path, name: str) -> Callable[..., object]:
    unique = f"slicedb_model_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    about = importlib.util.spec_from_file_location(unique, path)
    assert about is not None
    module = importlib.util.module_from_spec(about)
    sys.modules[unique] = module  # dataclasses and pickles look their module up
    try:
        # Compiled from the text that is there: Python's own cache takes a file that was written
        # twice within a second, to the same size, for unchanged.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
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


def _as_model(made: object, spec: str, classes: Sequence[str] | None) -> Model:
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
            f"The module of '{spec}' comes without class names.",
            "give them in the order of the logits (classes=..., --classes A,B,C or FILE); a "
            "factory may return TorchClassifier or TorchDetector(module, classes=...).",
        )
    settings: tuple[str, ...]
    if _does(made, "detection"):
        settings = ("transform", "confidence", "first_label", "longest", "min_score", "most")
        return TorchDetector(made, classes=names, **_settings(made, settings))
    if _does(made, "segmentation"):
        settings = ("transform", "input_size", "longest", "mean", "std")
        return TorchSegmenter(made, classes=names, **_settings(made, settings))
    settings = ("transform", "input_size", "mean", "std", "resize", "interpolation")
    return TorchClassifier(made, classes=names, **_settings(made, settings))


def _does(module: torch.nn.Module, task: str) -> bool:
    """Return whether a module says so itself, or is one of torchvision's for that task."""
    homes = {base.__module__ for base in type(module).__mro__}
    return getattr(module, "task", "") == task or any(
        home.startswith(f"torchvision.models.{task}") for home in homes
    )


def _settings(module: torch.nn.Module, names: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of those names that a module has; torchvision's `transform` is none."""
    held = {name: getattr(module, name) for name in names if hasattr(module, name)}
    return {k: v for k, v in held.items() if k != "transform" or not hasattr(v, "parameters")}


def _fill(model: Model, spec: ModelSpec) -> None:
    """Load the weights into the module of a model that a factory returned without them."""
    module = getattr(model, "module", None)
    if module is None or spec.weights is None:
        raise ModelError(
            f"'{spec.text}' returns a model that weights cannot be loaded into.",
            "let the factory take `weights`, or return a torch.nn.Module.",
        )
    load_weights(
        module, spec.weights, classes=model.classes, allow_pickle=spec.allow_pickle, what=spec.text
    )
