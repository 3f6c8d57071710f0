"""Run any callable over pictures: a list of RGB Pillow images in, a value for each out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa

from slicedb import media
from slicedb.errors import MediaError, ModelError
from slicedb.inference.batches import Item, pictures
from slicedb.models.fingerprint import code_text, combine
from slicedb.models.reach import reached, under
from slicedb.models.weights import first_line
from slicedb.show.numbers import count

if TYPE_CHECKING:
    from PIL import Image

Captioner: TypeAlias = "Callable[[list[Image.Image]], Sequence[Any]]"
"""From RGB Pillow images to one value each: texts, numbers, truth values, or None."""

BATCH = 8
_TEXT = "generated_text"
"""Where the pipelines of transformers put what they wrote."""
_KINDS: tuple[tuple[type, pa.DataType], ...] = (
    (str, pa.string()),
    (bool, pa.bool_()),
    (int, pa.int64()),
    (float, pa.float64()),
)


def fingerprint_of(function: Captioner) -> str:
    """Return a hex digest of the code of a callable, and of what it reaches.

    It is run on one black picture, to leave out what running it changes: counters and caches.
    """
    from PIL import Image

    before = reached(function)
    with contextlib.suppress(Exception):  # what is wrong is told where it is used
        function([Image.new("RGB", (32, 32))])
    after = reached(function)
    moved = {k for k in {*before, *after} if before.get(k) != after.get(k)}
    kept = {k: v for k, v in after.items() if not under(k, moved)}
    return combine({"code": code_text(function), "reached": kept})


def title_of(function: Captioner) -> str:
    """Return what messages call a callable."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def run(
    function: Captioner, items: Iterable[Item], *, size: int, threads: int | None
) -> Generator[tuple[list[str], list[Any], list[str | None]], None, None]:
    """Yield the ids of a batch, the values, and why a picture has none.

    Args:
        function: what is run.
        items: id and encoded picture.
        size: pictures given to it at once.
        threads: that decode; None is one per core.

    Raises:
        ModelError: it fails, or does not give a value for each picture.
    """
    feed = pictures(items, _decoded, size=size, threads=threads)
    with contextlib.closing(feed):
        for ids, decoded in feed:
            images = [image for image in decoded if not isinstance(image, str)]
            values = iter(_called(function, images) if images else [])
            errors = [image if isinstance(image, str) else None for image in decoded]
            yield ids, [None if error else next(values) for error in errors], errors


def column_of(values: Sequence[Any], kind: pa.DataType | None, place: str) -> pa.Array:
    """Return values as a column.

    Args:
        values: what was given.
        kind: the type of earlier ones; None takes that of these.
        place: what errors call the callable.

    Raises:
        ModelError: a value is of another kind than the others, or of none that can be stored.
    """
    given = [value for value in values if value is not None]
    kinds = {_kind_of(value, place) for value in given}
    if kinds == {pa.int64(), pa.float64()} or (kind == pa.float64() and kinds == {pa.int64()}):
        kinds = {pa.float64()}
    if kind is not None:
        kinds.add(kind)
    if len(kinds) > 1:
        raise ModelError(
            f"{place} gave values of several types: {', '.join(sorted(map(str, kinds)))}.",
            "return texts, numbers or truth values for all pictures; None where there is nothing.",
        )
    return pa.array(values, next(iter(kinds), pa.string()))


def _decoded(name: str, data: bytes) -> Image.Image | str:
    from PIL import Image

    try:
        return Image.fromarray(media.decode_rgb(data))
    except MediaError as error:
        return error.why


def _called(function: Captioner, images: list[Image.Image]) -> list[Any]:
    place = title_of(function)
    try:
        values = function(images)
    except Exception as error:
        raise ModelError(
            f"{place} failed on {count(len(images), 'picture')}: {type(error).__name__}: "
            f"{first_line(error)}",
            "it is called with a list of RGB Pillow images.",
        ) from error
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise ModelError(
            f"{place} returned {type(values).__name__} for a list of "
            f"{count(len(images), 'picture')}.",
            "it takes a list of RGB Pillow images, and returns a list of the same length.",
        )
    if len(values) != len(images):
        raise ModelError(
            f"{place} returned {count(len(values), 'value')} for {count(len(images), 'picture')}.",
            "return one value per picture; None where there is nothing to say.",
        )
    return [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    """Return a value as Python has it; of a pipeline of transformers, the text it wrote."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict) and _TEXT in value:
        value = value[_TEXT]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and value != value else value


def _kind_of(value: object, place: str) -> pa.DataType:
    for kind, stored in _KINDS:
        if isinstance(value, kind):
            return stored
    raise ModelError(
        f"{place} gave a {type(value).__name__}: {str(value)[:60]}.",
        "return a text, a number or a truth value for each picture.",
    )
