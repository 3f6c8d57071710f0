"""Hold the pictures that readers upload to search by, for an hour."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from slicedb.errors import CheckError

_SECONDS = 3600.0
_MOST, _MOST_BYTES = 200, 100 << 20
"""Pictures, and bytes of them, that are held; the oldest make room."""
_NAME = re.compile(r"u_[0-9a-f]{16}")
_PIXELS = 50_000_000
"""Of the largest picture that is decoded for a reader."""


@dataclass(frozen=True)
class _Upload:
    data: bytes
    until: float


class Uploads:
    """Encoded pictures by a name that nobody can guess."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Upload] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, data: bytes) -> dict[str, object]:
        """Keep a picture; returns its name and size.

        Raises:
            MediaError: it is no picture that can be decoded, or has too many pixels.
        """
        from slicedb import media

        found = media.inspect(data, max_pixels=_PIXELS)
        name = f"u_{secrets.token_hex(8)}"
        with self._lock:
            self._forget()
            self._held[name] = _Upload(data, time.monotonic() + _SECONDS)
        return {"name": name, "width": found.width, "height": found.height}

    def filled(self, params: Mapping[str, object]) -> dict[str, object]:
        """Return parameters with pictures in place of their names.

        Raises:
            CheckError: a picture is not held any more.
        """
        return {name: self._value(value) for name, value in params.items()}

    def get(self, name: str) -> bytes:
        """Return an uploaded picture.

        Raises:
            CheckError: there is none of that name, or it is not held any more.
        """
        found = self._value(name)
        if not isinstance(found, bytes):
            raise CheckError(f"There is no uploaded picture '{name}'.", "upload one.")
        return found

    def _value(self, value: object) -> object:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return value
        with self._lock:
            self._forget()
            found = self._held.get(value)
        if found is None:
            raise CheckError("The uploaded picture is not held any more.", "upload it again.")
        return found.data

    def _forget(self) -> None:
        now = time.monotonic()
        while self._held:
            name, first = next(iter(self._held.items()))
            size = sum(len(one.data) for one in self._held.values())
            if first.until > now and len(self._held) < _MOST and size < _MOST_BYTES:
                return
            del self._held[name]
