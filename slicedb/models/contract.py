"""Hold what a model says, and what it gives, against the contract of `Model`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slicedb.errors import ClassesError, ModelError
from slicedb.show.numbers import count

if TYPE_CHECKING:
    from slicedb.models.model import Model


def check_width(model: Model, logits: object, n: int) -> None:
    """Hold an output against the contract: (n, c), c the number of class names or 1.

    Raises:
        ClassesError: the width is another one.
        ModelError: it is no matrix with a row an image.
    """
    shape = tuple(getattr(logits, "shape", ()))
    if len(shape) != 2 or shape[0] != n:
        got = f"shape {shape}" if shape else f"a {type(logits).__name__}"
        raise ModelError(
            f"{model} returned {got} for {count(n, 'image')}.",
            f"predict_batch returns a tensor of shape ({n}, {model.n_outputs}).",
        )
    if shape[1] == 1 and model.task == "classification" and len(model.classes) == 2:
        return  # a binary head: the logit of the second class
    if shape[1] != model.n_outputs:
        if model.n_outputs != len(model.classes):
            raise ModelError(
                f"{model} gives {shape[1]} numbers per image.",
                f"{'one is' if model.n_outputs == 1 else f'{model.n_outputs} are'} asked for.",
            )
        raise ClassesError(
            f"{model} has {count(len(model.classes), 'class name')}, its output has {shape[1]}.",
            "give one name for each output, in the order of the logits; for a single output, give "
            "two names: that of 0, and that of 1.",
        )


def check_names(model: Model) -> None:
    """Hold the class names of a model against what tables and queries need.

    Raises:
        ClassesError: there are none, one comes twice, or one is no text.
    """
    names = list(model.classes)
    if not names:
        raise ClassesError(
            f"{model} has no class names.", "give them in the order of the logits (classes=...)."
        )
    if len(names) == 1 and model.task == "classification":
        raise ClassesError(
            f"{model} has one class name, {names[0]!r}: every picture would be of that class.",
            "give both names, first that of 0 (classes=['no', 'yes']); a single logit is that of "
            "the second.",
        )
    twice = sorted({str(n) for n in names if names.count(n) > 1})
    if twice:
        raise ClassesError(f"{model} has the class name {twice[0]!r} twice.", "names are unique.")
    wrong = [n for n in names if not isinstance(n, str) or not n]
    if wrong:
        raise ClassesError(f"{model} has the class name {wrong[0]!r}.", "names are text.")
