"""Let in only requests that a browser of ours made for a reader of ours, and bound their size.

A page on loopback can be reached by every other page that the same browser shows, by names that
point there (DNS rebinding), and by other people of the machine. Host, Origin and Sec-Fetch-Site
tell where a request comes from, the cookie whose it is. The methods are those of OWASP's cheat
sheets on cross-site request forgery and on headers.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from slicedb.errors import CheckError
from slicedb.web.access import Access

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
"""The content security policy of every response."""

MOST_BYTES = 10 * 2**20
"""Of a body."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "SAMEORIGIN",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
"""What every response says."""

_HOST = re.compile(
    r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::(?P<port>\d{1,5}))?"
)
_READS = ("GET", "HEAD")
_BODIES = ("application/json", "application/octet-stream")
"""Types that no form of another page can send without asking first."""


class Refused(Exception):
    """A request that is not let in.

    Args:
        status: of the response.
        message: what is wrong, and the way out.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(message)


class Hosts:
    """The names by which the server may be called.

    Args:
        port: its own; loopback is called with it.
        names: further names, such as `box.local` (any port) or `box.local:8421` (this one).
        learns: whether a name is learnt from whoever opens an unused link by it.

    Raises:
        CheckError: a name is none.
    """

    def __init__(self, port: int, names: Sequence[str] = (), *, learns: bool = False) -> None:
        self.learns = learns
        own = [f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")]
        if port == 80:
            own += ["127.0.0.1", "localhost", "[::1]"]
        self._exact = set(own)
        self._any_port: set[str] = set()
        for name in names:
            found = _HOST.fullmatch(name.lower())
            if found is None:
                raise CheckError(f"'{name}' is no host.", "write it as box.local or box.local:80.")
            (self._exact if found["port"] else self._any_port).add(name.lower())

    def learn(self, host: str) -> None:
        """Let a name in as it was said; one that is none is passed over."""
        if _HOST.fullmatch(host.lower()):
            self._exact.add(host.lower())

    def __contains__(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        return host.lower() in self._exact or found["name"] in self._any_port


class Guard:
    """ASGI middleware: checks a request before any of it reaches a page.

    Args:
        app: what is guarded.
        access: the sessions.
        hosts: the names by which the server may be called.
        cookie: the name of the cookie that holds the secret of a session.
        root: the prefix under which a proxy shows the server, such as `/slicedb`, or empty.
    """

    def __init__(
        self, app: ASGIApp, *, access: Access, hosts: Hosts, cookie: str, root: str = ""
    ) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts
        self._cookie = cookie
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        said = _with_headers(send)
        try:
            headers = _headers(scope)
            token = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token", "")
            self._learn(headers, token)
            self._check_origin(scope, headers)
            scope = self._without_root(scope)
            if scope["path"] == "/favicon.ico":  # of pages without our head; browsers ask anyway
                await _respond(said, 204, "image/x-icon", "")
                return
            session = self._access.session(self._secret(headers))
            if token and scope["method"] == "GET" and not scope["path"].startswith("/api/"):
                await self._open(scope, said, token, is_in=session is not None)
                return
            if session is None:
                raise Refused(403, "This page needs the link that `slicedb app` prints: open that.")
            if scope["method"] not in _READS:
                _check_body(scope, headers)
            state = {**scope.get("state", {}), "session": session}
            await self._app({**scope, "state": state}, _bounded(receive), said)
        except Refused as refused:
            await _say(said, scope, refused)

    def _without_root(self, scope: Scope) -> Scope:
        """Return the scope below the prefix, whether the proxy took it off or not."""
        path = scope["path"]
        if self._root and (path == self._root or path.startswith(f"{self._root}/")):
            path = path[len(self._root) :] or "/"
        return {**scope, "path": path, "raw_path": path.encode("utf-8"), "root_path": ""}

    def _learn(self, headers: dict[str, list[str]], token: str) -> None:
        """Learn the name of a proxy from a reader who has an unused link, which nobody can guess.

        A notebook does not know by what name its hub is called. A page that had its own name point
        here has no such link, so that it stays out.
        """
        hosts = headers.get("host", [])
        if self._hosts.learns and token and len(hosts) == 1 and self._access.is_unused(token):
            self._hosts.learn(hosts[0])

    def _check_origin(self, scope: Scope, headers: dict[str, list[str]]) -> None:
        hosts = headers.get("host", [])
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            name = ", ".join(hosts)[:100] or "no host"
            message = f"This server is not called '{name}'. `--allow-host NAME` lets a name in."
            raise Refused(421, message)
        for origin in headers.get("origin", []):
            scheme, sign, host = origin.partition("://")
            if not sign or scheme not in ("http", "https") or host not in self._hosts:
                raise Refused(403, "The request comes from another page.")
        for site in headers.get("sec-fetch-site", []):
            is_read = scope["method"] in _READS
            if site == "same-origin" or (is_read and site == "none"):
                continue
            is_link = headers.get("sec-fetch-mode") == ["navigate"]
            if not (is_read and is_link and headers.get("sec-fetch-dest") == ["document"]):
                raise Refused(403, "The request comes from another page.")

    def _secret(self, headers: dict[str, list[str]]) -> str:
        try:
            cookies = SimpleCookie("; ".join(headers.get("cookie", [])))
        except CookieError:
            return ""
        return cookies[self._cookie].value if self._cookie in cookies else ""

    async def _open(self, scope: Scope, send: Send, token: str, *, is_in: bool) -> None:
        """Open the session of a link, and go to its page without the token.

        The page goes on by itself, not by a redirect: the cookie is of this site alone, and after
        a click on another site a redirect would still count as that site's.
        """
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        secret = self._access.exchange(token)
        if secret is None and not is_in:
            raise Refused(403, "This link was used already. `slicedb app` printed a new one.")
        to = html.escape(f"{self._root}{scope['path']}" + (f"?{rest}" if rest else ""))
        body = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>SliceDB</title>'
            f'<meta http-equiv="refresh" content="0;url={to}"></head>'
            f'<body><a href="{to}">Go on to SliceDB</a></body></html>'
        )
        extra = {}
        if secret is not None:
            path = self._root or "/"
            extra = {
                "set-cookie": f"{self._cookie}={secret}; HttpOnly; SameSite=Strict; Path={path}"
            }
        await _respond(send, 200, "text/html; charset=utf-8", body, extra)


def _headers(scope: Scope) -> dict[str, list[str]]:
    """Return the values of each header, names in lower case."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _check_body(scope: Scope, headers: dict[str, list[str]]) -> None:
    """Refuse what a form of another page could send, and what is too large."""
    if headers.get("x-slicedb") != ["1"]:
        raise Refused(403, "The request lacks the header `X-SliceDB: 1`.")
    kind = headers.get("content-type", [""])[0].partition(";")[0].strip().lower()
    if kind not in _BODIES:
        raise Refused(415, f"The body is '{kind[:50]}'; send {' or '.join(_BODIES)}.")
    length = headers.get("content-length", ["0"])[0]
    if not length.isdecimal() or int(length) > MOST_BYTES:
        raise Refused(413, f"The body has more than {MOST_BYTES >> 20} MB.")


def _bounded(receive: Receive) -> Receive:
    """Return `receive`, which ends a body that grows too large though its length was not told."""
    n_bytes = 0

    async def bounded() -> Message:
        nonlocal n_bytes
        message = await receive()
        n_bytes += len(message.get("body", b""))
        if n_bytes > MOST_BYTES:
            raise Refused(413, f"The body has more than {MOST_BYTES >> 20} MB.")
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    """Return `send`, which adds the headers that every response has."""

    async def said(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            names = {name.lower() for name, _ in given}
            added = {**HEADERS, "cache-control": "no-store"}
            given += [
                (name.encode(), value.encode())
                for name, value in added.items()
                if name.encode() not in names
            ]
            message = {**message, "headers": given}
        await send(message)

    return said


async def _say(send: Send, scope: Scope, refused: Refused) -> None:
    """Answer a request that is not let in."""
    if scope["path"].startswith("/api/") or scope["path"].endswith(".json"):
        error = {"kind": "Refused", "message": refused.message, "hint": "", "where": None}
        body = json.dumps({"error": error})
        await _respond(send, refused.status, "application/json", body)
        return
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>SliceDB</title></head>'
        f"<body><h1>SliceDB</h1><p>{html.escape(refused.message)}</p></body></html>"
    )
    await _respond(send, refused.status, "text/html; charset=utf-8", body)


async def _respond(
    send: Send, status: int, kind: str, text: str, extra: dict[str, str] | None = None
) -> None:
    body = text.encode()
    headers = {"content-type": kind, "content-length": str(len(body)), **(extra or {})}
    listed = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
