"""Kinds of model specs: how the text that a user gives becomes a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from slicedb.models.model import Model
from slicedb.plugins import Registry

PRETRAINED = "pretrained"
"""In place of a weights file: download them from the library's own place."""
RANDOM = "random"
"""In place of a weights file: the same random numbers each time."""


@dataclass(frozen=True)
class ModelSpec:
    """What a user says of a model that is to be loaded."""

    text: str
    """Where it comes from, such as "timm:resnet18"."""
    weights: str | None = None
    """A file, `PRETRAINED` or `RANDOM`."""
    classes: tuple[str, ...] | None = None
    """Names in the order of the logits; None where the model brings them."""
    allow_pickle: bool = False
    """Whether checkpoints may hold Python objects, which can run any code when opened."""


class ModelType(ABC):
    """One kind of model specs.

    The built-in kinds are objects of this class, and so are those of an installed package: it
    declares them as entry points in the group `slicedb.models`, and `slicedb model add` and
    `db.models.add` then take their specs.

    >>> from slicedb.models import Model
    >>> class Constant(ModelType):
    ...     name, form = "constant", "constant:CLASS"
    ...
    ...     def load(self, spec):
    ...         model = Model()
    ...         model.classes = (self.rest(spec.text),)
    ...         return model
    >>> Constant().matches("constant:cat"), Constant().load(ModelSpec("constant:cat")).classes
    (True, ('cat',))
    """

    name: str
    form: str
    """How a spec of this kind is written, for messages."""

    def matches(self, text: str) -> bool:
        """Return whether a spec is of this kind; by default one that begins with `<name>:`."""
        return text.startswith(f"{self.name}:") and bool(self.rest(text))

    def rest(self, text: str) -> str:
        """Return what follows the name of the kind."""
        return text.partition(":")[2]

    @abstractmethod
    def load(self, spec: ModelSpec) -> Model:
        """Return the model.

        Raises:
            UnknownModelError: there is no such model.
            ModelError: the file, the factory or the weights cannot be loaded.
            ClassesError: class names are missing.
        """

    def absolute(self, text: str) -> str:
        """Return a spec that means the same in every folder."""
        return text


def problem_of(member: object) -> str:
    """Return what keeps an object from being a kind of model specs, "" if nothing does."""
    if isinstance(member, ModelType) and isinstance(getattr(member, "form", None), str):
        return ""
    return f"{member!r} is not a slicedb.models.ModelType with a name and a form."


MODEL_TYPES: Registry[ModelType] = Registry(
    "slicedb.models",
    ["slicedb.models.libraries:TYPES", "slicedb.models.files:TYPES"],
    check=problem_of,
)
"""Every kind of model specs, by its name."""
