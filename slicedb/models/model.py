"""The contract that a model fulfils, and the wrapper for any `torch.nn.Module`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, overload

from slicedb.errors import ModelError
from slicedb.metrics.detections import CONFIDENCE
from slicedb.models.contract import check_names, check_width
from slicedb.models.fingerprint import code_text, combine, tensors_digest
from slicedb.models.inuse import in_use
from slicedb.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from slicedb.models.reach import reached, under
from slicedb.models.resizing import Interpolation
from slicedb.show.numbers import count
from slicedb.tasks import TASKS, About
from slicedb.tasks.probabilities import Given, are_probabilities, as_logits

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import torch
    from PIL import Image

    from slicedb.inference import Predicted
    from slicedb.progress import Watch

    Transform = Callable[[Image.Image], torch.Tensor]

Picture: TypeAlias = "str | os.PathLike[str] | bytes | Image.Image | np.ndarray"
"""A picture that is in no database: a path, encoded bytes, a Pillow image, or uint8 (h, w, 3)."""

_GIVES = "_gives"
"""Attribute of a model with what its last check saw it give."""
_VOLATILE = "_volatile"
"""Attribute of a model with the paths of what running it changes."""
_LIBRARIES = {"torch", "torchvision", "timm", "open_clip"}
"""Their structure is in the module's `repr`; for classes of the user the source counts too."""


class Model:
    """Base of every model, and of classifiers as it is: state the facts, write `predict_batch`.

    >>> class MeanColour(Model):
    ...     classes = ("red", "green", "blue")
    ...     input_size = 8
    ...     mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    ...
    ...     def predict_batch(self, images):
    ...         return images.mean((2, 3))  # (n, 3, h, w) -> (n, 3)
    >>> MeanColour().preprocessing.size
    (8, 8)
    """

    task: str = "classification"
    """What it does: the name of a task, see `slicedb.tasks.TASKS`."""
    takes_list: bool = False
    """Whether `predict_batch` takes a list of images, each of its own size."""
    confidence: float = CONFIDENCE
    """Score from which on a detector's box counts in tp, fp and fn."""
    target: str = "label"
    """Column of samples that a regression predicts."""
    output: Given = "auto"
    """What a classifier gives: logits, or probabilities where its network ends in a softmax or
    sigmoid. "auto" takes rows that are non-negative and sum to one for probabilities."""
    name: str = ""
    """What messages call the model."""
    classes: tuple[str, ...] = ()
    """Class names, in the order of the logits."""
    input_size: int | tuple[int, int] = 224
    """Pixels of the square input, or (height, width)."""
    resize: int | Literal["squash"] | None = None
    """Length of the shorter side before the centre crop; None is the longer side of the input.
    "squash" resizes the whole picture to the input, whatever its shape."""
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    interpolation: Interpolation = "bilinear"
    transform: Transform | None = None
    """From an RGB Pillow image to a float tensor (3, h, w); replaces the preprocessing."""

    _beside: tuple[str, ...] = ("name", "transform", "classes")
    """Attributes that are no part of `weights_digest`."""

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of a batch.

        Args:
            images: float32 tensor (n, 3, h, w), normalised, on the model's device.

        Returns:
            Tensor or numpy array (n, c), c = len(classes).
        """
        raise NotImplementedError(f"{type(self).__name__} has no predict_batch")

    def logits_of(self, output: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """Return what a classifier gave, (n, c), or (n, 1) for two classes, as logits (n, c)."""
        return as_logits(output, len(self.classes), self._given(output))

    def _given(self, output: npt.NDArray[np.floating]) -> Given:
        """Return whether an output is probabilities; one number tells by the network's end."""
        if self.output != "auto" or output.shape[1] != 1:
            return self.output
        parts = list(getattr(getattr(self, "module", None), "modules", list)())
        leaves = [type(part).__name__ for part in parts if not list(part.children())]
        ends = leaves[-1:] == ["Sigmoid"]
        return "probabilities" if ends else "logits"

    @overload
    def predict(self, images: Picture) -> dict[str, float]: ...

    @overload
    def predict(
        self,
        images: Iterable[Picture],
        *,
        batch_size: int | None = None,
        device: torch.device | str | None = None,
        threads: int | None = None,
        progress: Watch = None,
    ) -> Predicted: ...

    def predict(
        self,
        images: Picture | Iterable[Picture],
        *,
        batch_size: int | None = None,
        device: torch.device | str | None = None,
        threads: int | None = None,
        progress: Watch = None,
    ) -> dict[str, float] | Predicted:
        """Return what the model says of pictures that need not be in a database.

        Of one picture a classifier gives the probability of each class, the likeliest first. Of a
        list, or anything else that gives pictures, each model gives a `Predicted`: one row per
        picture, as `Database.predict` stores them, computed in batches; a picture that does not
        decode costs its own row.

        Args:
            images: a path, encoded bytes, a Pillow image, uint8 (h, w, 3), or several of them.
            batch_size: images per batch; by default what fits the device.
            device: where to run several: cpu, cuda, cuda:1 or mps; by default a GPU if there is
                one.
            threads: decoding threads; by default one per core.
            progress: what watches, see `slicedb.progress.Watch`.

        Raises:
            MediaError: the one picture does not decode.
            ModelError: something is no picture; one picture is given, and the model is no
                classifier.
        """
        from slicedb.models.trying import is_one, predicted, probabilities

        if is_one(images):
            return probabilities(self, images)
        several = cast("Iterable[Picture]", images)
        how = {"batch_size": batch_size, "device": device, "threads": threads}
        return cast("Predicted", predicted(self, several, progress=progress, **how))

    @property
    def n_outputs(self) -> int:
        """Numbers that `predict_batch` gives an image."""
        return TASKS[self.task].width(len(self.classes))

    def about(self, fingerprint: str = "") -> About:
        """Return what is true of all of its predictions."""
        return About(self.task, tuple(self.classes), fingerprint, self.confidence, self.target)

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to an image when there is no `transform`."""
        size = self.input_size
        height, width = (size, size) if isinstance(size, int) else size
        return Preprocessing(
            size=(height, width),
            resize=None if self.resize == "squash" else self.resize or max(height, width),
            mean=_three(self.mean, "mean"),
            std=_three(self.std, "std"),
            interpolation=self.interpolation,
        )

    @contextlib.contextmanager
    def session(self, device: torch.device | str) -> Iterator[None]:
        """Prepare for inference on a device, and put everything back at the end."""
        yield

    @property
    def device(self) -> torch.device | None:
        """The device the weights lie on now; None where the model has no say in it."""
        return None

    def architecture(self) -> str:
        """Return text that changes when the structure or the code of the model does."""
        return code_text(type(self))

    def weights_digest(self) -> str:
        """Return the sha256 of everything the model holds: modules, tensors, settings."""
        held: list[tuple[str, object]] = []
        for name, value in vars(self).items():
            if name in (*self._beside, _VOLATILE, _GIVES):
                continue
            if hasattr(value, "state_dict"):
                held += [(f"{name}.{key}", t) for key, t in value.state_dict().items()]
            else:
                held.append((name, code_text(value) if callable(value) else value))
        return tensors_digest(held)

    def preprocessing_text(self) -> str:
        """Return the preprocessing as JSON, or the code of the transform in its place."""
        if self.transform is not None:
            return json.dumps({"transform": code_text(self.transform)})
        return json.dumps(self.preprocessing.to_json())

    def fingerprint(self) -> str:
        """Return a hex digest of architecture, weights, preprocessing and class names.

        Rows predicted under another fingerprint are stale.
        """
        if _VOLATILE not in vars(self):
            with contextlib.suppress(Exception):  # what is wrong is told where the model is used
                self.check()
        volatile = vars(self).setdefault(_VOLATILE, frozenset())
        reached = self._reached()
        return combine(
            {
                "architecture": self.architecture(),
                "weights": self.weights_digest(),
                "preprocessing": self.preprocessing_text(),
                "classes": list(self.classes),
                "reached": {k: v for k, v in reached.items() if not under(k, volatile)},
            }
        )

    def _reached(self) -> dict[str, str]:
        """Return digests of what code and settings reach; see `slicedb.models.reach`."""
        skip = {*self._beside, _VOLATILE, _GIVES} - {"transform"}
        return reached(self, skip=skip, weights=self._tensors())

    def _tensors(self) -> set[int]:
        """Return the identities of the tensors that `weights_digest` is made of."""
        held = [value for value in vars(self).values() if hasattr(value, "state_dict")]
        return {identity for value in held for identity in _weights_of(value)}

    def _note_volatile(self, before: Mapping[str, str]) -> None:
        """Keep what running the model changed: counters and caches, which say nothing of it.

        Args:
            before: what `_reached` gave before it ran.
        """
        after = self._reached()
        moved = {k for k in {*before, *after} if before.get(k) != after.get(k)}
        roots = {k for k in moved if not under(k, moved - {k})}
        self.__dict__[_VOLATILE] = frozenset(self.__dict__.get(_VOLATILE, frozenset()) | roots)

    def n_parameters(self) -> int | None:
        """Return the number of parameters, None where that is not known."""
        return None

    def check(self) -> None:
        """Run one black image, and hold the class list against the width of the output.

        Raises:
            ClassesError: the two differ, or there are no or repeated class names.
            ModelError: the model does not run, or returns something else than logits (n, c).
        """
        import numpy as np
        import torch
        from PIL import Image

        if TASKS[self.task].has_classes:
            check_names(self)
        height, width = self.preprocessing.size
        if self.transform is not None:
            image = self.transform(Image.fromarray(np.zeros((height, width, 3), np.uint8)))[None]
        else:
            image = self.preprocessing.normalise(torch.zeros((1, height, width, 3)))
        before = self._reached()
        with self.session(self.device or "cpu"), torch.inference_mode():
            try:
                logits = self.predict_batch(image.to(self.device or "cpu"))
            except Exception as error:
                raise ModelError(
                    f"{self} does not run on an input of shape {tuple(image.shape)}: {error}",
                    "check input_size, the transform and predict_batch.",
                ) from error
        self._note_volatile(before)
        check_width(self, logits, 1)
        if self.task == "classification":
            vars(self)[_GIVES] = self._seen_to_give(logits)

    def _seen_to_give(self, output: Any) -> str:
        """Return "probabilities" or "logits", as `logits_of` takes an output (1, c) for."""
        plain = output.detach().float().cpu().numpy() if hasattr(output, "detach") else output
        given = self._given(plain)
        if given == "auto":
            return "probabilities" if are_probabilities(plain) else "logits"
        return given

    def notes(self) -> list[str]:
        """Return what is to be known of how its outputs are read, after a `check`."""
        if self.output != "auto" or vars(self).get(_GIVES) != "probabilities":
            return []
        return [
            f"{self} gives probabilities (non-negative, with a sum of one, or through a sigmoid): "
            "no softmax is put on top. output='logits' of the model says otherwise."
        ]

    def __str__(self) -> str:
        return f"Model '{self.name}'" if self.name else f"Model {type(self).__name__}"


class TorchModel(Model):
    """What wrappers of a `torch.nn.Module` share: device, mode, fingerprint."""

    module: torch.nn.Module

    @staticmethod
    def _layout() -> torch.memory_format:
        """Return the memory format of the weights."""
        import torch

        return torch.channels_last

    @property
    def device(self) -> torch.device | None:
        tensors: Iterable[torch.Tensor] = getattr(self.module, "parameters", tuple)()
        return next((tensor.device for tensor in tensors), None)

    @contextlib.contextmanager
    def session(self, device: torch.device | str) -> Iterator[None]:
        with in_use(self.module, device, self._layout()):
            yield

    def architecture(self) -> str:
        parts = getattr(self.module, "modules", lambda: [self.module])()
        own = {type(p) for p in parts if type(p).__module__.split(".")[0] not in _LIBRARIES}
        return "\n".join([*sorted(map(code_text, own)), repr(self.module)])

    def weights_digest(self) -> str:
        return tensors_digest(self.module.state_dict())

    def _tensors(self) -> set[int]:
        return set(_weights_of(self.module))

    def n_parameters(self) -> int | None:
        return sum(int(tensor.numel()) for tensor in self.module.parameters())


class TorchClassifier(TorchModel):
    """Wrap any `torch.nn.Module` that maps images (n, 3, h, w) to logits (n, c).

    Args:
        module: the network; training mode and device are put back after every use.
        classes: class names in the order of the logits.
        transform: from an RGB Pillow image to a float tensor (3, h, w); honoured exactly. None
            resizes the shorter side to `resize`, crops the centre and normalises.
        input_size: pixels of the square input, or (height, width).
        mean: subtracted from the channels in [0, 1]; three numbers.
        std: divides them after that; three numbers.
        name: what messages call the model.
        resize: length of the shorter side before the crop; None is the longer side of the input,
            "squash" resizes the whole picture to the input.
        interpolation: filter of the resize.
        output: what the network gives, see `Model.output`; one logit for two classes is that of
            the second.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        *,
        classes: Sequence[str],
        transform: Transform | None = None,
        input_size: int | tuple[int, int] = 224,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        name: str | None = None,
        resize: int | Literal["squash"] | None = None,
        interpolation: Interpolation = "bilinear",
        output: Given = "auto",
    ) -> None:
        self.module = module
        self.classes = tuple(classes)
        self.transform = transform
        self.input_size = input_size
        self.mean, self.std = tuple(mean), tuple(std)
        self.name = name or type(module).__name__
        self.resize = resize
        self.interpolation = interpolation
        if output not in ("auto", "logits", "probabilities"):
            raise ModelError(f"No output '{output}'.", "choose auto, logits or probabilities.")
        self.output = output

    def predict_batch(self, images: torch.Tensor) -> torch.Tensor:
        return self.module(images.to(float_type(self.module)))


def _weights_of(module: Any) -> Iterator[int]:
    """Yield the identities of the parameters and buffers in the `state_dict` of a module."""
    for part in getattr(module, "modules", list)():
        yield from (id(tensor) for tensor in part.parameters(recurse=False))
        aside = getattr(part, "_non_persistent_buffers_set", ())
        for name, buffer in part.named_buffers(recurse=False):
            if name not in aside:
                yield id(buffer)


def float_type(module: object) -> torch.dtype:
    """Return the precision of a module's weights; float32 where it has none."""
    import torch

    tensors: Iterable[torch.Tensor] = getattr(module, "parameters", tuple)()
    floating = (tensor.dtype for tensor in tensors if tensor.is_floating_point())
    return next(floating, torch.float32)


def _three(values: Sequence[float], what: str) -> tuple[float, float, float]:
    if len(values) != 3:
        raise ModelError(
            f"{what} has {count(len(values), 'value')}.", "images are RGB: give three."
        )
    first, second, third = (float(value) for value in values)
    return first, second, third
