"""A proxy before an object store that fails: it refuses, cuts, loses answers, or is gone.

Whether a request fails is drawn from a seed. Of those that do, a third get 503 as S3 says it when
it is busy; of a third the connection is cut before the store hears of it; and of a third the store
does what it is asked for and the answer is lost, so that the client asks again for what is done.
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


class Faults:
    """What goes wrong from now on; may be changed while the proxy runs."""

    def __init__(self, share: float = 0.0, seed: int = 0) -> None:
        self.share = share
        self.kinds: tuple[str, ...] = ("busy", "cut", "lost")
        self.left: int | None = None
        """Requests that are answered before the store is gone; None is for ever."""
        self.hangs = False
        """Whether a store that is gone takes connections and never answers."""
        self.asked = self.failed = 0
        self._random = random.Random(seed)
        self._lock = threading.Lock()

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
    target = urlsplit(endpoint).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with contextlib.suppress(ConnectionError, TimeoutError):
                super().handle_one_request()
                return
            self.close_connection = True

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.draw()
            if fault == "gone" and faults.hangs:
                time.sleep(600)
            if fault in ("cut", "gone"):
                self.close_connection = True
                return
            if fault == "busy":
                self._answer(503, [], _BUSY)
                return
            connection = http.client.HTTPConnection(target, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
            connection.close()
            if fault == "lost":
                self.close_connection = True
                return
            self._answer(answer.status, answer.getheaders(), data)

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do

        def _answer(self, status: int, headers: list[tuple[str, str]], data: bytes) -> None:
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
                self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
