"""One tar of WebDataset: its samples, and where their pictures stand in it.

A sample is the members that have one name up to the first dot of its last part; they stand side by
side (https://github.com/webdataset/webdataset).
"""

from __future__ import annotations

import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from slicedb import media
from slicedb.errors import SourceError
from slicedb.ingest.source import Row
from slicedb.sources import Location

_NAME = re.compile(r"(?P<key>(?:.*/)?[^./][^./]*)\.(?P<ending>[^/]+)")
_TEXTS = ("txt", "caption", "text")
_LABELS = ("cls", "label")


@dataclass
class TarSample:
    """One sample of a tar, whose picture is not read yet."""

    key: str
    """Its name in the tar, without endings."""
    ending: str = ""
    """Of the picture, with its dot; "" where there is none."""
    start: int = 0
    """Where the picture begins in the tar, bytes."""
    size: int = 0
    """Bytes of the picture."""
    label: str | None = None
    caption: str | None = None
    about: Row = field(default_factory=dict)
    """What its JSON says."""


@dataclass
class Passed:
    """What is passed over in tars."""

    endings: Counter[str] = field(default_factory=Counter)
    """Members that nothing is made of, by their ending."""
    pictures: int = 0
    """Further pictures of samples."""
    without: int = 0
    """Samples without a picture."""


def samples_of(file: Location, passed: Passed) -> Iterator[TarSample]:
    """Yield the samples of a tar that have a picture, in order.

    Raises:
        SourceError: it is no tar, is cut off, or a member cannot be read.
    """
    total = file.size()
    current: TarSample | None = None
    try:
        with file.open() as opened, tarfile.open(fileobj=opened, mode="r:") as tar:
            for member in tar:
                if not member.isfile():
                    continue
                if member.offset_data + member.size > total:
                    raise SourceError(f"'{file}' is cut off in '{member.name}'.", "copy it again.")
                named = _NAME.fullmatch(member.name.removeprefix("./"))
                if named is None or named["key"].rsplit("/", 1)[-1].startswith("__"):
                    passed.endings["hidden or without ending"] += 1
                    continue
                if current is None or named["key"] != current.key:
                    yield from _whole(current, passed)
                    current = TarSample(named["key"])
                _take(current, tar, member, named["ending"], file, passed)
    except (tarfile.TarError, EOFError) as error:
        raise SourceError(
            f"'{file}' is no whole tar: {error}.",
            "it may be cut off, or compressed: unpack a .tar.gz first.",
        ) from error
    except OSError as error:
        raise SourceError(f"Cannot read '{file}': {error}.", "check the file.") from error
    yield from _whole(current, passed)


def _whole(sample: TarSample | None, passed: Passed) -> Iterator[TarSample]:
    """Yield a sample that has a picture; count one that has none."""
    if sample is not None and sample.ending:
        yield sample
    elif sample is not None:
        passed.without += 1


def _take(
    sample: TarSample,
    tar: tarfile.TarFile,
    member: tarfile.TarInfo,
    ending: str,
    file: Location,
    passed: Passed,
) -> None:
    """Add one member to its sample.

    Raises:
        SourceError: it is JSON that cannot be read.
    """
    kind = ending.lower()
    if f".{kind.rsplit('.', 1)[-1]}" in media.EXTENSIONS:
        if sample.ending:
            passed.pictures += 1
        else:
            sample.ending = f".{ending}"
            sample.start, sample.size = member.offset_data, member.size
    elif kind in _LABELS:
        sample.label = _text(tar, member)
    elif kind in _TEXTS:
        sample.caption = _text(tar, member)
    elif kind == "json":
        try:
            about = json.loads(_text(tar, member))
        except ValueError as error:
            raise SourceError(
                f"'{file}', '{member.name}': {error}.", "correct it; nothing was written."
            ) from error
        if isinstance(about, dict):
            sample.about = about
        else:
            passed.endings["json that is no object"] += 1
    else:
        passed.endings[f".{kind}"] += 1


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    inner = tar.extractfile(member)
    return "" if inner is None else inner.read().decode("utf-8", errors="replace").strip()


def picture(opened: BinaryIO, start: int, size: int) -> bytes:
    """Return the bytes of a picture in a tar that is open."""
    opened.seek(start)
    return opened.read(size)
