"""Who may do what: links that work once, the sessions they open, and their roles."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from slicedb.cache import Cache
from slicedb.errors import CheckError

Role = Literal["viewer", "editor"]
ROLES: tuple[Role, ...] = ("viewer", "editor")
"""What a reader may do; each may do what those before it may."""

_MOST = 1000
"""Sessions and unused links kept; those used longest ago are forgotten."""


@dataclass(frozen=True)
class Session:
    """A browser that opened a link."""

    name: str
    """What the server calls it; no secret."""
    role: Role


class Access:
    """The links that were given out and the sessions that they opened; only hashes are kept.

    Args:
        read_only: every session is a viewer's, whatever its link said.
        on_use: told the role of a link when it was used up, so that a new one can be shown.
    """

    def __init__(
        self, *, read_only: bool = False, on_use: Callable[[Role], None] | None = None
    ) -> None:
        self.read_only = read_only
        self._on_use = on_use
        self._links: Cache[bytes, Role] = Cache(_MOST)
        self._sessions: Cache[bytes, Session] = Cache(_MOST)
        self._lock = threading.Lock()

    def link(self, role: Role = "editor") -> str:
        """Return a new token that opens one session.

        Raises:
            CheckError: there is no such role.
        """
        if role not in ROLES:
            raise CheckError(f"There is no role '{role}'.", f"take one of {', '.join(ROLES)}.")
        token = secrets.token_urlsafe(32)
        self._links.put(_hashed(token), "viewer" if self.read_only else role)
        return token

    def is_unused(self, token: str) -> bool:
        """Return whether a token still opens a session."""
        return self._links.find(_hashed(token)) is not None

    def exchange(self, token: str) -> str | None:
        """Use a link up: return the secret of its session, None where the link opens none."""
        with self._lock:
            role = self._links.find(_hashed(token))
            if role is None:
                return None
            self._links.drop(_hashed(token))
            secret = secrets.token_urlsafe(32)
            self._sessions.put(_hashed(secret), Session(secrets.token_hex(4), role))
        if self._on_use is not None:
            self._on_use(role)
        return secret

    def session(self, secret: str) -> Session | None:
        """Return the session of a secret, None where there is none."""
        return self._sessions.find(_hashed(secret))


def _hashed(secret: str) -> bytes:
    """Return what is kept of a secret: neither a dump of memory nor timing gives it away."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
