"""What several verbs take: the types of their arguments, and their short forms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from slicedb.errors import CheckError, SliceDBError

if TYPE_CHECKING:
    import torch

    from slicedb.judge import OtherTruth
    from slicedb.selection import On, Several

Device: TypeAlias = "str | torch.device | None"
Names: TypeAlias = "Sequence[str] | None"
Labels: TypeAlias = "Mapping[str, str] | Sequence[str] | str | os.PathLike[str]"
GrayRange: TypeAlias = "Mapping[str, Sequence[float]] | Sequence[float] | Sequence[str] | None"
Path: TypeAlias = "str | os.PathLike[str]"


def texts(names: Names) -> tuple[str, ...]:
    """Return texts, of which one may come by itself."""
    return (names,) if isinstance(names, str) else tuple(names or ())


def either(slices: Several, on: Several) -> Several:
    """Return what a verb works on, by whichever of its two names it was given.

    Raises:
        CheckError: both are given.
    """
    if on is None:
        return slices
    if slices is not None:
        raise CheckError("slices= and on= are two names of one argument.", "give one of them.")
    return on


def title_of(on: On) -> str:
    """Return what a set of samples is called in a report."""
    if on is None:
        return "all samples"
    text = on if isinstance(on, str) else getattr(on, "name", "") or getattr(on, "text", "")
    return text or "the keys that were given"


def other_truth(name: str | None, score: float | None) -> OtherTruth | None:
    """Return what the user named in place of the ground truth."""
    from slicedb.judge import OtherTruth

    if name is None:
        if score is not None:
            raise SliceDBError(
                f"truth_score is {score:g}, and no truth is named.", "name a detector: truth=."
            )
        return None
    return OtherTruth(name, score)
