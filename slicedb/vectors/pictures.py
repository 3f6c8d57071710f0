"""Pictures that a caller hands in with a query, to compare samples with."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from slicedb import media
from slicedb.errors import MediaError
from slicedb.show.numbers import size

MOST_BYTES = 64 << 20
MOST_PIXELS = 1 << 26
"""Of one picture: 67 million pixels take 200 MB while they are decoded."""
KEPT = "ingest the picture and write sample('its id'), which stays."
"""The way out where a picture would have to be kept."""
_NAMED = re.compile(r"'(upload:[0-9a-f]{16})'")


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture, by the name that stands for it in a text: `image('upload:3f2a91c04be7d812')`."""

    name: str
    data: bytes = field(repr=False)


def picture_of(value: object) -> Picture:
    """Return a picture that was handed in, decoded once to see that it can be.

    The name is a hash of its bytes, so that the same text always speaks of the same picture.

    Args:
        value: encoded bytes, a Pillow image, or uint8 (h, w, 3).

    Raises:
        MediaError: it does not decode, or has more bytes or pixels than a picture may.
        ModelError: it is no picture.
    """
    from slicedb.models.trying import encoded

    data = encoded(value)
    if len(data) > MOST_BYTES:
        raise MediaError("too_large", f"{size(len(data))} are more than {size(MOST_BYTES)}.")
    media.decode_rgb(data, max_pixels=MOST_PIXELS)
    return Picture(f"upload:{sha256(data).hexdigest()[:16]}", data)


def named_in(text: str) -> list[str]:
    """Return the names of the pictures that a text speaks of.

    >>> named_in("similarity(image('upload:3f2a91c04be7d812')) > 0.3")
    ['upload:3f2a91c04be7d812']
    """
    return _NAMED.findall(text) if "'upload:" in text else []


def is_name(value: str) -> bool:
    """Return whether a value stands for a picture that was handed in."""
    return _NAMED.fullmatch(f"'{value}'") is not None


class Pictures:
    """The pictures that some query holds; once no query does, they are gone. Safe for threads."""

    def __init__(self) -> None:
        self._held = weakref.WeakValueDictionary[str, Picture]()
        self._lock = threading.Lock()

    def hold(self, pictures: Iterable[Picture], text: str) -> tuple[Picture, ...]:
        """Return the pictures that a text speaks of: new ones, and those held already."""
        new = {picture.name: picture for picture in pictures}
        with self._lock:
            for name, picture in new.items():
                self._held.setdefault(name, picture)
            found = [self._held.get(name) for name in named_in(text)]
        return tuple(picture for picture in found if picture is not None)

    def find(self, name: str) -> Picture | None:
        """Return a picture by its name, as long as a query holds it."""
        with self._lock:
            return self._held.get(name)
