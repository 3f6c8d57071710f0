"""Read from the names and bytes of manifests what needs no Lance: which version is the newest.

Importing Lance takes a third of the time of a short command, and one whose columns lie in the
cache folder needs nothing of it but the number of a version and a schema.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import pyarrow as pa

from slicedb.store.files import put_file

_LAST = 2**64 - 1
"""Lance counts the names of manifests down from here, so that the newest is listed first."""
_DIGITS = 20
_DIGEST = 16


def manifest(folder: str, version: int) -> str:
    """Return the path of the manifest of a version.

    >>> manifest("samples.lance", 5)
    'samples.lance/_versions/18446744073709551610.manifest'
    """
    return f"{folder}/_versions/{_LAST - version:0{_DIGITS}}.manifest"


def newest(folder: str) -> int | None:
    """Return the newest version of a table on this machine, None where its names are others."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        # Lance's own hint may be behind, never by a gap.
        with open(f"{folder}/_versions/latest_version_hint.json", "rb") as file:
            version = int(json.load(file)["version"])
        if os.path.exists(manifest(folder, version)):
            while os.path.exists(manifest(folder, version + 1)):
                version += 1
            return version
    try:
        names = [n for n in os.listdir(f"{folder}/_versions") if n.endswith(".manifest")]
    except OSError:
        return None
    numbers = [name.removesuffix(".manifest") for name in names]
    if not numbers or not all(len(n) == _DIGITS and n.isdigit() for n in numbers):
        return None
    return _LAST - min(map(int, numbers))


def stamp_of(content: bytes) -> str:
    """Return what tells the content of a manifest from any other."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def read_schema(path: Path, stamp: str) -> pa.Schema | None:
    """Return the schema in a file, if it is that of the version with this stamp."""
    try:
        content = path.read_bytes()
        digest, rest = content[:_DIGEST], content[_DIGEST:]
        if not rest.startswith(stamp.encode()) or digest != _digest(rest):
            return None
        return pa.ipc.read_schema(pa.py_buffer(rest[len(stamp) :]))
    except (OSError, pa.ArrowException):
        return None


def write_schema(path: Path, stamp: str, schema: pa.Schema) -> None:
    """Keep a schema in a file, in place of the one before; without a folder it is not kept."""
    rest = stamp.encode() + schema.serialize().to_pybytes()
    put_file(path, _digest(rest) + rest)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
