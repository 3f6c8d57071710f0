"""Addresses of what lies in a bucket or on a web server: their service, bucket and path."""

from __future__ import annotations

from typing import NamedTuple

from slicedb.errors import SourceError, did_you_mean

SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss", "azure", "adl", "https", "http", "memory")
"""Schemes of addresses that are reached through a client."""


class Address(NamedTuple):
    """The two parts of the address of an object."""

    root: str
    """Scheme and bucket, "s3://photos"; of az:// the container."""
    key: str
    """The path in the bucket, without a slash at either end."""

    @property
    def scheme(self) -> str:
        """The service: "s3", "gs", "az", "https", "http" or "memory"."""
        scheme = self.root.split("://", 1)[0]
        if scheme in ("abfs", "abfss", "azure", "adl"):
            return "az"
        return "s3" if scheme == "s3a" else scheme


def is_remote(text: str) -> bool:
    """Return whether an address is reached through a client.

    >>> is_remote("s3://photos/1.jpg"), is_remote("photos/1.jpg"), is_remote("file:///a")
    (True, False, False)
    """
    return "://" in text and not text.startswith("file://")


def address(text: str) -> Address:
    """Return the parts of an address.

    >>> address("s3://photos/2024/1.jpg")
    Address(root='s3://photos', key='2024/1.jpg')

    Raises:
        SourceError: the scheme is unknown, or there is no bucket.
    """
    scheme, _, rest = text.partition("://")
    if scheme.lower() not in SCHEMES:
        known = ", ".join(f"{name}://" for name in ("s3", "gs", "az", "https"))
        raise SourceError(
            f"'{text}' has the scheme '{scheme}', which is not known.",
            did_you_mean(scheme, SCHEMES, "schemes") or f"give a path, or {known}.",
        )
    bucket, _, key = rest.partition("/")
    if not bucket and scheme != "memory":
        raise SourceError(f"'{text}' names no bucket.", f"write {scheme}://BUCKET/PATH.")
    return Address(f"{scheme.lower()}://{bucket}", key.strip("/"))
