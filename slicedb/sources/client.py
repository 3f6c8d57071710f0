"""The door to object stores: one client a bucket, its settings, and how long it waits.

obstore is Lance's own client (the Rust crate `object_store`), so addresses, settings and
environment variables are the same for the tables of a database and for the pictures of a source.

A store that is gone has to be told within a minute. Lance lists six times before it gives up and
reads a range four times, whatever its settings, so that each of its requests may take a sixth of
that. Settings that a user gives win: `--storage-option read_timeout=60s` for a slow store.
"""

from __future__ import annotations

import configparser
import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from slicedb.sources.address import Address
from slicedb.sources.failure import explain

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_CLIENT_OPTIONS = frozenset(
    "allow_http allow_invalid_certificates connect_timeout default_content_type http1_only "
    "http2_only pool_idle_timeout pool_max_idle_per_host proxy_ca_certificate proxy_excludes "
    "proxy_url randomize_addresses read_timeout timeout user_agent".split()
)
"""Settings of the connection; the others are the store's own."""
_LANCE = {
    "client_max_retries": "10",
    "client_retry_timeout": "3",
    "connect_timeout": "4s",
    "download_retry_count": "1",
    "lance_aimd_max_retries": "0",
    "read_timeout": "7s",
    "timeout": "300s",
}
"""How long Lance waits: seconds from a request on in which it is asked again, and seconds without a
byte. The whole of an answer may take long, for a slow line reads much at once."""
_LANCE_OPTIONS = ("client_max_retries", "client_retry_timeout", "download_retry_count")
"""Settings that Lance alone knows; of the first two our own client takes the values."""
_PARTS = "2"
"""Parts of a file that are written at once. A request may take no longer than `read_timeout` to be
sent, and of Lance's ten parts of 5 MB none would be through in time on a slow line."""

_SERVICES = ("AWS_", "AZURE_", "GOOGLE_")
"""How environment variables begin that object_store reads, by service."""
_HERE = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_SERVICE_ACCOUNT",
    "GOOGLE_SERVICE_ACCOUNT_PATH",
)
"""Those that name a file of this machine."""
_KEYS = ("KEY", "TOKEN", "CREDENTIALS", "CLIENT", "SAS", "PROFILE", "SERVICE_ACCOUNT")
"""Parts of the names of those that let somebody in; others name a region or a bundle."""

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


def credentials() -> dict[str, str]:
    """Return the environment variables that stores let this process in by, for another machine.

    Keys of ~/.aws/credentials, which another machine has not, are among them.
    """
    known = {k: v for k, v in os.environ.items() if k.startswith(_SERVICES) and k not in _HERE}
    return {**{name.upper(): key for name, key in _profile({}).items()}, **known}


def take_credentials(given: Mapping[str, str]) -> None:
    """Take the environment variables of another process, but of no service with keys here."""
    for service in _SERVICES:
        mine = [k for k in os.environ if k.startswith(service)]
        if not any(part in name.removeprefix(service) for name in mine for part in _KEYS):
            os.environ.update({k: v for k, v in given.items() if k.startswith(service)})


def settings_for_lance(root: str) -> dict[str, str]:
    """Return the settings of a bucket as Lance takes them, which reads no profile of its own."""
    given = settings(root)
    if "allow_http" not in given and _is_plain(root, given):
        given["allow_http"] = "true"
    if not root.startswith("memory:"):
        os.environ.setdefault("LANCE_UPLOAD_CONCURRENCY", _PARTS)
        given = {**_LANCE, **given}
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
            for twenty.

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
    connection.setdefault("connect_timeout", "2s" if quick else "5s")
    connection.setdefault("read_timeout", "4s" if quick else "10s")
    connection.setdefault("timeout", "4s" if quick else "300s")
    if "allow_http" not in connection and _is_plain(root, given):
        connection["allow_http"] = "true"
    ours = (*_CLIENT_OPTIONS, *_LANCE_OPTIONS)
    own = {k: v for k, v in given.items() if k not in ours and not k.startswith("lance_")}
    if Address(root, "").scheme == "s3":
        own = {**_profile(own), **own}
    retries = {
        "max_retries": 1 if quick else int(given.get("client_max_retries", 10)),
        "retry_timeout": timedelta(
            seconds=3 if quick else float(given.get("client_retry_timeout", 15))
        ),
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
