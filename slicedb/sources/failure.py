"""Say in words why a store failed, and tell one that is gone from an object that is.

A store is gone if nobody answers, if it answers that it cannot serve anybody now, if the bucket is
not there, or if it no longer takes the credentials. What is asked of it next would fail as well, so
that this ends a run; an object that is missing or may not be read is one sample of many.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import unquote

from slicedb.errors import SourceError, UnreachableError
from slicedb.sources.address import Address

_T = TypeVar("_T")
_WAITS = (0.1, 0.5)
"""Seconds before a listing is made a second and a third time."""
_SLOW = 3.0
"""Seconds after which an answer that ended is one that stopped, and is not waited for again."""
WEB = ("https", "http")
"""Services whose addresses are of many machines, each of which fails for itself."""
_WAYS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; for a public bucket "
    "give --storage-option skip_signature=true (storage_options={'skip_signature': 'true'}).",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file; for a public bucket give "
    "--storage-option skip_signature=true (storage_options={'skip_signature': 'true'}).",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or a SAS token.",
}
_AGAIN = "check the network; what was written is kept, and the same command goes on from there."
_REFUSED = re.compile(
    "ExpiredToken|InvalidToken|TokenRefreshRequired|InvalidAccessKeyId|SignatureDoesNotMatch|"
    "RequestTimeTooSkewed|RequestExpired|AuthenticationFailed|InvalidAuthenticationInfo|"
    "401 Unauthorized"
)
"""Codes of S3, GCS and Azure for credentials that are wrong, or not valid any more."""
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound|bucket does not")
_STATUS = re.compile(r"status code: (\d{3}) ?([A-Za-z ]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_SAID = re.compile(r"<Message>([^<]{1,120})</Message>")
_SILENT = (
    "error sending request",
    "response body error",
    "error decoding response body",
    "connection closed before",
    "operation timed out",
)
_REASONS = (
    (re.compile("dns error|failed to lookup|name resolution", re.I), "no host has its name"),
    (re.compile("certificate|InvalidCertificate|UnknownIssuer"), "its certificate is not trusted"),
    (re.compile(r"Connection ?Refused", re.I), "the connection is refused"),
    (re.compile(r"TimedOut|Timeout\b|timed out", re.I), "it does not answer"),
    (re.compile("body error|decoding response|Interrupted"), "its answers break off"),
)


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
    said = unquote(str(error).split("\n", 1)[0])
    way = _WAYS.get(scheme, "check the address.")
    if isinstance(error, kinds.InvalidPathError):
        return SourceError(
            f"'{text}' holds an object that cannot be named: {said.split(': ', 1)[-1]}.",
            "a key may have no empty part, '.' or '..' between its slashes and no control "
            "character; move it, or give a deeper folder.",
        )
    if isinstance(error, kinds.UnknownConfigurationKeyError):
        return SourceError(f"{said}.", "name settings as object_store and Lance do.")
    if "169.254." in said or "metadata.google" in said or "Account must be" in said:
        return UnreachableError(f"There are no credentials for '{text}'.", way)
    if gone := unreachable(str(error), text):
        return gone
    if isinstance(error, kinds.UnauthenticatedError):
        return UnreachableError(f"The credentials for '{text}' are not accepted.", way)
    if isinstance(error, kinds.PermissionDeniedError) or "status code: 403" in said:
        return SourceError(f"There is no permission to {doing} '{text}'.", way)
    if isinstance(error, FileNotFoundError):
        return SourceError(f"There is nothing at '{text}'.", "check the address.")
    if "PROPFIND" in said:
        return SourceError(
            f"'{text}' cannot be listed: a web server names no folders.",
            "give a CSV, Parquet or JSON file there, or a table with a column of addresses.",
        )
    reason = said.split(" - ", 1)[-1]
    return SourceError(f"Cannot reach '{text}': {reason}.", "check the address and the network.")


def unreachable(said: str, text: str) -> UnreachableError | None:
    """Return the error for a store that is gone, from what a client or Lance said; else None.

    Args:
        said: the whole message.
        text: the address that was asked for.
    """
    way = _WAYS.get(Address(text, "").scheme, "check the address.")
    plain = said.split("Debug source", 1)[0]
    if code := _REFUSED.search(plain):
        told = _SAID.search(plain)
        why = f"{code.group(0)}: {told.group(1).rstrip('.')}" if told else code.group(0)
        return UnreachableError(f"The credentials for '{text}' are not accepted ({why}).", way)
    if _NO_BUCKET.search(plain):
        return UnreachableError(f"There is no bucket for '{text}'.", "check its name and region.")
    status = _STATUS.search(plain)
    if status and status.group(1)[0] != "5" and status.group(1) not in ("429", "408", "400"):
        if status.group(1) == "403" and "list request" in plain:
            return UnreachableError(f"There is no permission to list '{text}'.", way)
        return None
    if status:
        words = [status.group(1), status.group(2).strip(), *_CODE.findall(plain)[:1]]
        return UnreachableError(f"Cannot reach '{text}': it answers {' '.join(words)}.", _AGAIN)
    if any(sign in plain for sign in _SILENT):
        silent = UnreachableError(f"Cannot reach '{text}': {_why(said)}.", _AGAIN)
        silent.is_silent = True
        return silent
    return None


def _why(said: str) -> str:
    found = (reason for pattern, reason in _REASONS if pattern.search(said))
    return next(found, "it does not answer")


def tried(listing: Callable[[], _T]) -> _T:
    """Return a listing, made anew where an answer ended early: clients do not ask that again."""
    for wait in _WAITS:
        began = time.monotonic()
        try:
            return listing()
        except Exception as error:
            is_cut = "body error" in str(error).split("Debug source", 1)[0]
            if not is_cut or time.monotonic() - began > _SLOW:
                raise
            time.sleep(wait)
    return listing()
