"""Serve the page's modules alone, with its policy, to test one of them in a browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tools
from watching import POLICY

HTML = """<!doctype html><html lang="en"><title>bench</title>
<link rel="icon" href="/bench.js"><main><h1>bench</h1><div id="host"></div></main>
<script type="module" src="/bench.js"></script></html>"""


class _Files(SimpleHTTPRequestHandler):
    script = ""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def do_GET(self) -> None:
        own = {"/": ("text/html", HTML), "/bench.js": ("text/javascript", self.script)}
        if self.path not in own:
            return super().do_GET()
        kind, text = own[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())
        return None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def serve(script: str) -> Iterator[str]:
    """Give the address of a page that runs a module and shows nothing else."""
    kind = type("_Bench", (_Files,), {"script": script})
    handler = partial(kind, directory=str(tools.STATIC))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
