"""Models of the libraries torchvision and timm, by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from slicedb.errors import ClassesError, ModelError, UnknownModelError, did_you_mean
from slicedb.models.detector import TorchDetector
from slicedb.models.model import Model, TorchClassifier
from slicedb.models.segmenter import TorchSegmenter
from slicedb.models.types import PRETRAINED, RANDOM, ModelSpec, ModelType
from slicedb.models.weights import first_line, load_weights, seeded

if TYPE_CHECKING:
    import torch


class _Torchvision(ModelType):
    name, form = "torchvision", "torchvision:NAME"

    def load(self, spec: ModelSpec) -> Model:
        from torchvision import models

        name = self.rest(spec.text)
        known = models.list_models(module=models)
        detectors = models.list_models(module=models.detection)
        if name in detectors:
            return _torchvision_detector(name, spec)
        segmenters = models.list_models(module=models.segmentation)
        if name in segmenters:
            return _torchvision_segmenter(name, spec)
        if name not in known:
            raise UnknownModelError(
                f"torchvision has no classifier, detector or segmenter '{name}'.",
                did_you_mean(name, [*known, *detectors, *segmenters], "models"),
            )
        default = models.get_model_weights(name).DEFAULT
        own = list(default.meta["categories"])
        module = _built(
            spec,
            name,
            own,
            lambda n: models.get_model(name, weights=None, num_classes=n),
            lambda: models.get_model(name, weights=default),
        )
        crop = default.transforms()
        return TorchClassifier(
            module,
            classes=spec.classes or own,
            input_size=crop.crop_size[0],
            resize=max(crop.resize_size[0], crop.crop_size[0]),
            mean=crop.mean,
            std=crop.std,
            interpolation=crop.interpolation.value,
            name=name,
        )


def _torchvision_detector(name: str, spec: ModelSpec) -> Model:
    """Return a detection model; its label 0 is the background, which has no name here."""
    from torchvision import models

    default = models.get_model_weights(name).DEFAULT
    own = _distinct(list(default.meta["categories"])[1:])
    module = _built(
        spec,
        name,
        own,
        lambda n: models.get_model(name, weights=None, weights_backbone=None, num_classes=n + 1),
        lambda: models.get_model(name, weights=default),
    )
    return TorchDetector(module, classes=spec.classes or own, name=name)


def _torchvision_segmenter(name: str, spec: ModelSpec) -> Model:
    """Return a segmentation model; its class 0 is the background."""
    from torchvision import models

    default = models.get_model_weights(name).DEFAULT
    module = _built(
        spec,
        name,
        list(default.meta["categories"]),
        lambda n: models.get_model(
            name, weights=None, weights_backbone=None, num_classes=n, aux_loss=None
        ),
        lambda: models.get_model(name, weights=default),
    )
    resize = default.transforms()
    return TorchSegmenter(
        module,
        classes=spec.classes or list(default.meta["categories"]),
        longest=2 * resize.resize_size[0],
        mean=resize.mean,
        std=resize.std,
        name=name,
    )


class _Timm(ModelType):
    name, form = "timm", "timm:NAME"

    def load(self, spec: ModelSpec) -> Model:
        import timm
        from timm.data import ImageNetInfo, resolve_data_config

        name = self.rest(spec.text)
        if not timm.is_model(name):
            known = timm.list_models() + timm.list_pretrained()
            hint = did_you_mean(name, known, "models")
            raise UnknownModelError(f"timm has no model '{name}'.", hint)
        info = ImageNetInfo()
        own = _distinct([info.index_to_description(i) for i in range(info.num_classes())])
        module = _built(
            spec,
            name,
            own,
            lambda n: timm.create_model(name, pretrained=False, num_classes=n),
            lambda: timm.create_model(name, pretrained=True),
        )
        about = resolve_data_config({}, model=module)
        height, width = about["input_size"][1:]
        return TorchClassifier(
            module,
            classes=spec.classes or own,
            input_size=(height, width),
            resize=math.floor(max(height, width) / about["crop_pct"]),
            mean=about["mean"],
            std=about["std"],
            interpolation=about["interpolation"],
            name=name,
        )


TYPES = [_Torchvision(), _Timm()]


def _built(
    spec: ModelSpec,
    name: str,
    own: Sequence[str],
    build: Callable[[int], torch.nn.Module],
    download: Callable[[], torch.nn.Module],
) -> torch.nn.Module:
    """Return the module with its weights.

    Args:
        spec: what the user asked for.
        name: of the model in its library.
        own: the library's class names.
        build: number of classes -> the module with random weights.
        download: the module with the library's weights.
    """
    if spec.weights == PRETRAINED:
        try:
            return download()
        except Exception as error:  # URLError, HTTPError, hub errors, timeouts: a tree a library
            raise ModelError(
                f"The pretrained weights of '{name}' could not be fetched: {first_line(error)}",
                "fetch them on a machine with a network and give the file as weights=FILE.",
            ) from error
    n = len(_names(spec, own, name))
    module = seeded(lambda: build(n))
    if spec.weights is not None and spec.weights != RANDOM:
        load_weights(
            module,
            spec.weights,
            classes=spec.classes,
            allow_pickle=spec.allow_pickle,
            what=spec.text,
        )
    return module


def _names(spec: ModelSpec, own: Sequence[str], name: str) -> Sequence[str]:
    """Return the class names, and refuse to guess what a file or no weights at all mean."""
    if spec.weights is None:
        raise ModelError(
            f"No weights given for '{name}'.",
            "give weights=FILE, or 'pretrained' to download them, or 'random' for a dry run.",
        )
    if spec.classes is None and spec.weights != RANDOM:
        raise ClassesError(
            f"No class names given for the weights in '{spec.weights}'.",
            "give them in the order of the logits (classes=..., --classes FILE).",
        )
    return spec.classes if spec.classes is not None else own


def _distinct(names: list[str]) -> list[str]:
    """Number repeated names: ImageNet has two 'crane' and two 'maillot'."""
    total: dict[str, int] = {}
    for name in names:
        total[name] = total.get(name, 0) + 1
    count: dict[str, int] = {}
    out = []
    for name in names:
        count[name] = count.get(name, 0) + 1
        out.append(f"{name} ({count[name]})" if total[name] > 1 else name)
    return out
