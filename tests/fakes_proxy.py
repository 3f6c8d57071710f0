"""A proxy before an object store that fails: it refuses, cuts, loses answers, or is gone.

Whether a request fails is drawn from a seed. Of those that do, a third get 503 as S3 says it when
it is busy; of a third the connection is cut before the store hears of it; and of a third the store
does what it is asked for and the answer is lost, so that the client asks again for what is done.
How a store is gone is one of `ENDS`.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_BUSY = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_OWN = ("connection", "transfer-encoding", "content-length")
_DENIED = {
    "403": (403, "AccessDenied", "Access Denied"),
    "404": (404, "NoSuchBucket", "The specified bucket does not exist"),
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
}
ENDS = ("cut", "refused", "silent", "half", "stalled", *_DENIED)
"""How a store is gone: connections are cut, or refused; it takes requests and never answers; it
ends in the middle of a body, or stops there and keeps the connection; or it answers an error."""


class Faults:
    """What goes wrong from now on; may be changed while the proxy runs."""

    def __init__(self, share: float = 0.0, seed: int = 0) -> None:
        self.share = share
        self.kinds: tuple[str, ...] = ("busy", "cut", "lost")
        self.left: int | None = None
        """Requests that are answered before the store is gone; None is for ever."""
        self.end = "cut"
        """How a store is gone, one of `ENDS`."""
        self.asked = self.failed = 0
        self.opened = threading.Event()
        """Set when a port that refused connections takes them again."""
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def mend(self) -> None:
        """Let the store be there again."""
        is_closed = self.end == "refused" and self.left is not None and self.left < 0
        self.left = None
        if is_closed:
            self.opened.wait(10)
        self.opened.clear()

    def wait(self) -> None:
        """Wait until the store is there again."""
        while self.left is not None:
            time.sleep(0.05)

    def draw(self) -> str:
        """Return what happens to the next request: "", "busy", "cut", "lost" or "gone"."""
        with self._lock:
            self.asked += 1
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    return "gone"
            if self._random.random() >= self.share:
                return ""
            self.failed += 1
            return self._random.choice(self.kinds)


@contextlib.contextmanager
def proxy(endpoint: str, faults: Faults) -> Iterator[str]:
    """Stand before an object store, and yield the address of the proxy."""
    door = _Door(urlsplit(endpoint).netloc, faults)
    door.open()
    try:
        yield f"http://127.0.0.1:{door.port}"
    finally:
        door.close()


class _Door:
    """A port that can be closed, and opened again."""

    def __init__(self, target: str, faults: Faults) -> None:
        self.target, self.faults, self.port = target, faults, 0
        self._server: ThreadingHTTPServer | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Take connections."""
        handler = type("Handler", (_Handler,), {"door": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def refuse_while_gone(self) -> None:
        """Close the port until the store is there again."""
        if self._server is not None:
            self.close()
            threading.Thread(target=self._reopen, daemon=True).start()

    def _reopen(self) -> None:
        while self.faults.left is not None:
            time.sleep(0.02)
        self.open()
        self.faults.opened.set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    door: _Door

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle_one_request()
            return
        self.close_connection = True

    def do(self) -> None:
        faults = self.door.faults
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = faults.draw()
        if fault == "gone":
            fault = faults.end
        if fault == "refused":
            self.door.refuse_while_gone()
        if fault == "silent":
            faults.wait()
        if fault in ("cut", "refused", "silent"):
            self.close_connection = True
        elif fault == "busy":
            self._answer(503, [], _BUSY)
        elif fault in _DENIED:
            status, code, message = _DENIED[fault]
            text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
            self._answer(status, [("Content-Type", "application/xml")], text.encode())
        else:
            self._pass_on(body, fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do

    def _pass_on(self, body: bytes, fault: str) -> None:
        """Let the store answer; of the answer nothing, or half of the body, may come through."""
        connection = http.client.HTTPConnection(self.door.target, timeout=60)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault == "lost":
            self.close_connection = True
            return
        most = len(data) // 2 if fault in ("half", "stalled") else None
        self._answer(answer.status, answer.getheaders(), data, most)
        if fault == "stalled":
            self.door.faults.wait()
        if most is not None:
            self.close_connection = True

    def _answer(
        self, status: int, headers: list[tuple[str, str]], data: bytes, most: int | None = None
    ) -> None:
        self.send_response_only(status)
        length = str(len(data))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            if name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data[:most])
            self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
