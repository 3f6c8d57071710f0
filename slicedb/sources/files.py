"""The files of a database's own folder, on this machine or in a bucket.

Tables are read and written by Lance; this is for what stands beside them, and for their names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from slicedb.errors import SourceError
from slicedb.sources import local
from slicedb.sources.address import address, is_remote
from slicedb.sources.client import client, settings, settings_for_lance, use
from slicedb.sources.entry import Kind
from slicedb.sources.failure import explain, tried

_PROBE = ".slicedb-probe"


class Files(Protocol):
    """The files below a folder; paths are relative to it, with slashes."""

    root: str
    """The path or address of the folder, without a slash at the end."""

    @property
    def is_local(self) -> bool:
        """Whether they lie on this machine."""

    @property
    def options(self) -> dict[str, str] | None:
        """The settings of the bucket in the words of Lance; None on this machine."""

    @property
    def settings(self) -> dict[str, str] | None:
        """The settings given for the bucket, for another process; None on this machine."""

    def kind(self) -> Kind | None:
        """Return what lies at the folder's place; None where nothing does."""

    def names(self) -> list[str]:
        """Return the names of the files and folders right in it; none where it is not there."""

    def sizes(self) -> dict[str, int]:
        """Return the bytes below each name right in the folder; in a bucket, of one listing."""

    def make(self) -> None:
        """Make the folder.

        Raises:
            SourceError: a bucket whose writes are not conditional.
        """

    def read(self, path: str) -> bytes:
        """Return the bytes of a file.

        Raises:
            OSError: it cannot be read.
            SourceError: its bucket cannot be reached.
        """

    def write(self, path: str, data: bytes) -> None:
        """Write a file in place of what was there."""

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""

    def remove_folder(self, path: str) -> None:
        """Remove a folder and all in it."""


class LocalFiles:
    """Files of this machine.

    Args:
        text: path of the folder.
    """

    is_local = True
    options = None
    settings = None

    def __init__(self, text: str) -> None:
        self.root = str(Path(text).expanduser().absolute())

    def kind(self) -> Kind | None:
        """Return what lies at the folder's place."""
        return local.kind(self.root)

    def names(self) -> list[str]:
        """Return the names in it."""
        try:
            return os.listdir(self.root)
        except (FileNotFoundError, NotADirectoryError):
            return []

    def sizes(self) -> dict[str, int]:
        """Return the bytes below each name that is not hidden."""
        names = [name for name in self.names() if not name.startswith(".")]
        return {name: local.folder_bytes(os.path.join(self.root, name)) for name in names}

    def make(self) -> None:
        """Make the folder."""
        os.makedirs(self.root, exist_ok=True)

    def read(self, path: str) -> bytes:
        """Return the bytes of a file."""
        return Path(self.root, path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        Path(self.root, path).write_bytes(data)

    def remove(self, path: str) -> None:
        """Remove a file."""
        Path(self.root, path).unlink(missing_ok=True)

    def remove_folder(self, path: str) -> None:
        """Remove a folder."""
        shutil.rmtree(os.path.join(self.root, path), ignore_errors=True)


class BucketFiles:
    """Files in a bucket, where a folder is what keys begin with.

    Args:
        text: "s3://bucket/food.slicedb".
    """

    is_local = False

    def __init__(self, text: str) -> None:
        self.root = text.rstrip("/")
        self._bucket, self._key = address(text)

    @property
    def options(self) -> dict[str, str] | None:
        """The settings of the bucket in the words of Lance; None where there are none."""
        return settings_for_lance(self._bucket) or None

    @property
    def settings(self) -> dict[str, str] | None:
        """The settings that were given for the bucket; None where there are none."""
        return settings(self._bucket) or None

    def _at(self, path: str) -> str:
        return f"{self._key}/{path}" if self._key else path

    def kind(self) -> Kind | None:
        """Return what lies at the address; the first look gives up after some seconds."""
        import obstore
        from obstore.exceptions import BaseError

        quick = client(self._bucket, quick=True)
        try:
            some = tried(lambda: obstore.list_with_delimiter(quick, self._key or None))
            if some["objects"] or some["common_prefixes"] or not self._key:
                return "folder"
            obstore.head(quick, self._key)
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise explain(error, self.root) from error
            return None
        except (BaseError, ValueError) as error:
            raise explain(error, self.root) from error
        return "file"

    def names(self) -> list[str]:
        """Return the names right below the address."""
        import obstore
        from obstore.exceptions import BaseError

        store = client(self._bucket)
        try:
            some = tried(lambda: obstore.list_with_delimiter(store, self._key or None))
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise explain(error, self.root) from error
        paths = [one["path"] for one in some["objects"]] + list(some["common_prefixes"])
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]

    def sizes(self) -> dict[str, int]:
        """Return the bytes below each name right below the address."""
        import obstore
        from obstore.exceptions import BaseError

        start = f"{self._key}/" if self._key else ""

        def listed() -> dict[str, int]:
            totals: dict[str, int] = {}
            for page in obstore.list(client(self._bucket), start or None):
                for one in page:
                    name = one["path"].removeprefix(start).partition("/")[0]
                    totals[name] = totals.get(name, 0) + one["size"]
            return totals

        try:
            return tried(listed)
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise explain(error, self.root) from error

    def make(self) -> None:
        """See that what is written as new is refused where it is there, which commits rest on.

        Some servers take the second write as well, and then commits of two writers are lost.

        Raises:
            SourceError: it is not refused, or nothing can be written.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        store, place = client(self._bucket), self._at(_PROBE)
        try:
            obstore.put(store, place, b"", mode="create")
            try:
                obstore.put(store, place, b"", mode="create")
                refused = False
            except AlreadyExistsError:
                refused = True
            obstore.delete(store, place)
        except AlreadyExistsError:  # of a probe that was cut off
            obstore.delete(store, place)
            return
        except (BaseError, ValueError, NotImplementedError) as error:
            raise explain(error, self.root, doing="write to") from error
        if not refused:
            raise SourceError(
                f"The store of '{self.root}' takes a second write of a file that has to be new "
                "(If-None-Match), so that commits of two writers would be lost.",
                "use S3, GCS, Azure or MinIO, or a folder of this machine.",
            )

    def read(self, path: str) -> bytes:
        """Return the bytes of an object."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            return bytes(obstore.get(client(self._bucket), self._at(path)).bytes())
        except (BaseError, ValueError) as error:
            raise explain(error, f"{self.root}/{path}") from error

    def write(self, path: str, data: bytes) -> None:
        """Write an object."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(client(self._bucket), self._at(path), data)
        except (BaseError, ValueError) as error:
            raise explain(error, f"{self.root}/{path}", doing="write to") from error

    def remove(self, path: str) -> None:
        """Remove an object."""
        self._delete([self._at(path)])

    def remove_folder(self, path: str) -> None:
        """Remove all objects below a path."""
        import obstore
        from obstore.exceptions import BaseError

        store, below = client(self._bucket), f"{self._at(path)}/"
        try:
            keys = tried(lambda: [o["path"] for page in obstore.list(store, below) for o in page])
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise explain(error, self.root) from error
        self._delete(keys)

    def _delete(self, keys: list[str]) -> None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            if keys:
                obstore.delete(client(self._bucket), keys)
        except FileNotFoundError:
            pass
        except (BaseError, ValueError) as error:
            raise explain(error, self.root, doing="write to") from error


def files_of(text: str, options: Mapping[str, str] | None = None) -> Files:
    """Return the files of a database's folder.

    Args:
        text: its path or address.
        options: settings of its bucket, in the words of `object_store`; kept for this process.

    Raises:
        SourceError: the scheme is unknown, there are settings for a folder of this machine, or
            something is missing that the service needs.
    """
    text = local.path_of(text)
    if not is_remote(text):
        if options:
            raise SourceError(
                f"'{text}' is a folder of this machine, which has no storage options.",
                "leave out storage_options (--storage-option).",
            )
        return LocalFiles(text)
    if options:
        use(address(text).root, options)
    return BucketFiles(text)
