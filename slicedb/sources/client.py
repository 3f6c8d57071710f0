"""The door to object stores: one client a bucket, its settings, and its errors in words.

obstore is Lance's own client (the Rust crate `object_store`), so addresses, settings and
environment variables are the same for the tables of a database and for the pictures of a source.
"""

from __future__ import annotations

import configparser
import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from slicedb.errors import SourceError, did_you_mean

if TYPE_CHECKING:
    from obstore.store import ObjectStore

SCHEMES = ("s3", "s3a", "gs", "az", "abfs", "abfss", "azure", "adl", "https", "http", "memory")
"""Schemes of addresses that are reached through a client."""
_WEB = ("http", "https")
_CLIENT_OPTIONS = frozenset(
    "allow_http allow_invalid_certificates connect_timeout default_content_type http1_only "
    "http2_only pool_idle_timeout pool_max_idle_per_host proxy_url timeout user_agent".split()
)
"""Settings of the connection; the others are the store's own."""
_WAYS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket "
    "give --storage-option skip_signature=true (storage_options={'skip_signature': 'true'}).",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file; for a public bucket give "
    "--storage-option skip_signature=true (storage_options={'skip_signature': 'true'}).",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or a SAS token.",
}


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


_lock = threading.Lock()
_settings: dict[str, dict[str, str]] = {}
_clients: dict[tuple[str, bool], ObjectStore] = {}


def use(root: str, options: Mapping[str, str]) -> None:
    """Take settings for a bucket, in the words of `object_store`; those given before stay.

    Args:
        root: "s3://photos".
        options: such as {"endpoint": "http://localhost:9000", "allow_http": "true"}.
    """
    with _lock:
        known = _settings.setdefault(root, {})
        if any(known.get(name.lower()) != value for name, value in options.items()):
            known.update({name.lower(): value for name, value in options.items()})
            for quick in (False, True):
                _clients.pop((root, quick), None)


def settings(root: str) -> dict[str, str]:
    """Return the settings that were given for a bucket."""
    return dict(_settings.get(root, {}))


def all_settings() -> dict[str, dict[str, str]]:
    """Return the settings that were given for every bucket, for another process to `use`."""
    with _lock:
        return {root: dict(given) for root, given in _settings.items()}


def settings_for_lance(root: str) -> dict[str, str]:
    """Return the settings of a bucket as Lance takes them, which reads no profile of its own."""
    given = settings(root)
    if "allow_http" not in given and _is_plain(root, given):
        given["allow_http"] = "true"
    return {**_profile(given), **given} if Address(root, "").scheme == "s3" else given


def put_in(root: str, store: ObjectStore) -> None:
    """Reach a bucket through a client that is open already, such as one in memory."""
    with _lock:
        for quick in (False, True):
            _clients[root, quick] = store


def client(root: str, *, quick: bool = False) -> ObjectStore:
    """Return the client of a bucket, which threads may share.

    Args:
        root: "s3://photos".
        quick: it gives up after some four seconds, for the first look at a bucket; the others try
            for a minute.

    Raises:
        SourceError: a setting is unknown, or something is missing that the service needs.
    """
    with _lock:
        if (root, quick) not in _clients:
            _clients[root, quick] = _open(root, quick)
        return _clients[root, quick]


def _open(root: str, quick: bool) -> ObjectStore:
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    given = settings(root)
    connection: dict[str, str | bool] = {
        name: value for name, value in given.items() if name in _CLIENT_OPTIONS
    }
    connection.setdefault("connect_timeout", "2s" if quick else "10s")
    connection.setdefault("timeout", "4s" if quick else "60s")
    if "allow_http" not in connection and _is_plain(root, given):
        connection["allow_http"] = "true"
    own = {name: value for name, value in given.items() if name not in _CLIENT_OPTIONS}
    if Address(root, "").scheme == "s3":
        own = {**_profile(own), **own}
    retries = {
        "max_retries": 1 if quick else 10,
        "retry_timeout": timedelta(seconds=3 if quick else 60),
    }
    try:
        if root.startswith("memory:"):
            return from_url("memory:///")
        return from_url(root, client_options=connection, retry_config=retries, **own)  # type: ignore[call-overload, no-any-return]
    except (BaseError, ValueError, TypeError) as error:
        raise explain(error, root) from error


def _is_plain(root: str, given: Mapping[str, str]) -> bool:
    """Return whether the user named a place without encryption, which is then meant."""
    named = [given.get(name, "") for name in ("endpoint", "aws_endpoint", "endpoint_url")]
    named += [os.environ.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT")]
    return root.startswith("http://") or any(name.startswith("http://") for name in named)


def _profile(given: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of ~/.aws/credentials, which `object_store` does not read itself."""
    names = {"aws_access_key_id", "access_key_id", "skip_signature", "aws_skip_signature"}
    if names & set(given) or "AWS_ACCESS_KEY_ID" in os.environ:
        return {}
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")).expanduser()
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file)
        section = parser[os.environ.get("AWS_PROFILE", "default")]
    except (OSError, KeyError, configparser.Error, UnicodeDecodeError):
        return {}
    wanted = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    return {name: section[name] for name in wanted if name in section}


def explain(error: BaseException, text: str, doing: str = "read") -> SourceError:
    """Return a client's error in words, with the way out.

    Args:
        error: obstore's.
        text: the address that was asked for.
        doing: what was to be done there: "read", or "write to".
    """
    import obstore.exceptions as kinds

    if isinstance(error, SourceError):
        return error
    scheme = Address(text, "").scheme
    whole = str(error).split("Debug source", 1)[0]
    said = unquote(str(error).split("\n", 1)[0])
    way = _WAYS.get(scheme, "check the address.")
    if isinstance(error, kinds.UnknownConfigurationKeyError):
        return SourceError(f"{said}.", "name settings as object_store and Lance do.")
    if "169.254." in said or "metadata.google" in said or "Account must be" in said:
        return SourceError(f"There are no credentials for '{text}'.", way)
    if isinstance(error, kinds.UnauthenticatedError) or "InvalidAccessKeyId" in said:
        return SourceError(f"The credentials for '{text}' are not accepted.", way)
    if isinstance(error, kinds.PermissionDeniedError) or "403" in said:
        return SourceError(f"There is no permission to {doing} '{text}'.", way)
    if any(word in whole for word in ("NoSuchBucket", "ContainerNotFound", "bucket does not")):
        return SourceError(f"There is no bucket for '{text}'.", "check its name and region.")
    if isinstance(error, FileNotFoundError):
        return SourceError(f"There is nothing at '{text}'.", "check the address.")
    if "PROPFIND" in said:
        return SourceError(
            f"'{text}' cannot be listed: a web server names no folders.",
            "give a CSV, Parquet or JSON file there, or a table with a column of addresses.",
        )
    reason = said.split(" - ", 1)[-1]
    return SourceError(f"Cannot reach '{text}': {reason}.", "check the address and the network.")
