"""Read label maps that were made elsewhere: arrays, PNG files, run-length codes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slicedb.errors import MediaError, PredictionError, did_you_mean
from slicedb.media.labelmap import codes_in, png_of
from slicedb.media.rle import mask_of
from slicedb.tasks.given import GivenBatch, numpy_of
from slicedb.tasks.labelmaps import IGNORE, LabelMap

_FORMS = (
    "give whole numbers (h, w), the bytes or the path of a palette or gray PNG, or run-length "
    'codes by class: {"road": {"size": [h, w], "counts": ...}}.'
)


def maps_from(batch: GivenBatch, name: str) -> list[LabelMap]:
    """Return the label maps of a batch.

    Args:
        batch: predictions made elsewhere.
        name: of the values: arrays, encoded pictures, paths, or run-length codes.

    Raises:
        PredictionError: one is none, or has a number or a name that is no class.
    """
    values = batch.values[name]
    rows = values.to_pylist() if hasattr(values, "to_pylist") else list(values)  # type: ignore[call-overload]
    batch.check_length(len(rows), name)
    if not batch.classes:
        raise PredictionError(
            "There are label maps, and nobody said of which classes.",
            "give classes= (--classes) in the order of their numbers.",
        )
    maps = []
    for i, value in enumerate(rows):
        try:
            maps.append(map_from(value, batch.classes))
        except (MediaError, ValueError) as error:
            raise PredictionError(f"The mask of {batch.row(i)}: {error}", _FORMS) from error
    return maps


def in_files(values: Any) -> Any:
    """Return label maps that are arrays as PNG files, so that a column can hold them.

    What is no array of whole numbers stays as it is, and is refused where it is read.
    """
    rows = numpy_of(values)
    if not isinstance(rows, list | tuple | np.ndarray):
        return values
    arrays = [np.asarray(numpy_of(row)) if hasattr(row, "ndim") else row for row in rows]
    return [png_of(a) if _is_map(a) else a for a in arrays] if any(map(_is_map, arrays)) else values


def _is_map(value: object) -> bool:
    if not isinstance(value, np.ndarray) or value.ndim != 2 or not value.size:
        return False
    return value.dtype.kind in "iub" and 0 <= int(value.min()) <= int(value.max()) < 1 << 16


def map_from(value: Any, classes: Sequence[str], ignore: int | None = IGNORE) -> LabelMap:
    """Return one label map.

    Args:
        value: whole numbers (h, w), a PNG as bytes or as a path, run-length codes or JSON of them.
        classes: names by number.
        ignore: the number of pixels that count for nothing; None: there are none.

    Raises:
        MediaError: it does not decode.
        ValueError: it is of another form, or a number or a name is no class.
    """
    named = tuple(classes)
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, str | os.PathLike):
        with open(value, "rb") as file:
            value = file.read()
    if isinstance(value, bytes | bytearray | memoryview):
        codes: npt.NDArray[Any] = codes_in(bytes(value))
    elif isinstance(value, Mapping) or (_is_listed(value)):
        codes = _painted(value, named, ignore)
    else:
        codes = np.asarray(numpy_of(value))
    return LabelMap(_checked(codes, named, ignore), named, ignore)


def _is_listed(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _checked(
    codes: npt.NDArray[Any], classes: tuple[str, ...], ignore: int | None
) -> npt.NDArray[Any]:
    """Return the numbers of a label map.

    Raises:
        ValueError: they are no matrix of whole numbers, or one is no class.
    """
    if codes.ndim != 2 or codes.dtype.kind not in "iub" or not codes.size:
        raise ValueError(f"it is {codes.dtype} of shape {codes.shape}, not whole numbers (h, w)")
    known = np.unique(codes)
    wrong = known[(known < 0) | (known >= len(classes))]
    wrong = wrong[wrong != ignore] if ignore is not None else wrong
    if len(wrong):
        raise ValueError(
            f"the value {wrong[0]} is none of the {len(classes)} classes (0 to "
            f"{len(classes) - 1}){'' if ignore is None else f', nor the ignored {ignore}'}"
        )
    return codes.astype(np.uint16 if known[-1] >= 256 else np.uint8)


def _painted(
    value: Mapping[str, Any] | list[dict[str, Any]], classes: tuple[str, ...], ignore: int | None
) -> npt.NDArray[Any]:
    """Return run-length codes of classes as one label map; later ones lie over earlier ones."""
    parts: list[tuple[Any, Any]]
    if isinstance(value, Mapping):
        parts = list(value.items())
    else:
        parts = [(one.get("label", one.get("class")), one) for one in value]
    if not parts:
        raise ValueError("it holds no run-length code")
    codes: npt.NDArray[Any] | None = None
    for name, code in parts:
        number = _number(name, classes)
        mask = mask_of(code.get("segmentation", code))
        if codes is None:
            codes = np.full(mask.shape, len(classes) if ignore is None else ignore, np.uint16)
        if mask.shape != codes.shape:
            raise ValueError(f"its masks are of {codes.shape} and of {mask.shape} pixels")
        codes[mask] = number
    assert codes is not None
    return codes


def _number(name: object, classes: tuple[str, ...]) -> int:
    if isinstance(name, int) and 0 <= name < len(classes):
        return name
    if name not in classes:
        hint = did_you_mean(str(name), classes, "classes")
        raise ValueError(f"{name!r} is no class: {hint}")
    return classes.index(str(name))
