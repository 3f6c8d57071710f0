"""Load the model that a user's text names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from slicedb.errors import ModelError
from slicedb.models.model import Model
from slicedb.models.settings import Settings
from slicedb.models.types import MODEL_TYPES, ModelSpec, ModelType


def load(
    spec: str,
    *,
    weights: str | os.PathLike[str] | None = None,
    classes: Sequence[str] | None = None,
    allow_pickle: bool = False,
    name: str = "",
    settings: Settings | None = None,
) -> Model:
    """Load a model and run one black image through it, so that a mismatch shows at once.

    Args:
        spec: `torchvision:NAME`, `timm:NAME`, `path/to/file.py:factory` (a function that returns
            a `Model` or a `torch.nn.Module`; one with `task = "detection"` becomes a
            `TorchDetector`), a file of `torch.save` with a whole module (`.pth`, `.pt`; it is a
            pickle and needs `allow_pickle`), or a program that holds its own structure:
            TorchScript (`.pt`, `.ts`), `torch.export` (`.pt2`) or ONNX. Installed packages add
            other kinds, see `ModelType`.
        weights: a `.safetensors` file or a checkpoint of tensors (`.pt`, `.pth`, `.bin`).
            "pretrained" asks for a download from the library's own place, "random" for the same
            random numbers each time. Nothing is downloaded unless asked for.
        classes: class names in the order of the logits, where the model does not bring them.
        allow_pickle: read checkpoints that hold whole Python objects. They can run any code when
            opened: only for files you trust.
        name: what messages call the model.
        settings: of its preprocessing, in place of the model's own.

    Raises:
        UnknownModelError: the library has no such model.
        ModelError: the file, the factory or the weights cannot be loaded.
        ClassesError: class list and output differ in number.
    """
    model = type_of(spec).load(
        ModelSpec(
            spec,
            None if weights is None else os.fspath(weights),
            None if classes is None else tuple(classes),
            allow_pickle,
        )
    )
    model.name = name or model.name or spec
    if settings is not None:
        settings.apply(model)
    model.check()
    return model


def type_of(spec: str) -> ModelType:
    """Return the kind of a spec.

    Raises:
        ModelError: it is of none.
    """
    kind = next((kind for kind in MODEL_TYPES.values() if kind.matches(spec)), None)
    if kind is None:
        forms = [kind.form for kind in MODEL_TYPES.values()]
        raise ModelError(
            f"'{spec}' does not say where the model is.",
            f"write {', '.join(forms[:-1])} or {forms[-1]}.",
        )
    return kind
