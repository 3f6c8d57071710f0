"""Run `slicedb app` as a user does: a process of its own, whose printed link opens a session."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext


@dataclass
class App:
    """A running page."""

    database: Path
    process: subprocess.Popen[str]
    links: queue.Queue[str] = field(default_factory=queue.Queue)
    """Links that were printed and not used yet; each opens one session."""
    lines: list[str] = field(default_factory=list)
    """All that it printed."""
    cookie: str = ""
    """Of the session that `enter` gives to browsers."""
    url: str = ""
    """Its address, without a slash at the end."""
    _profiles: list[BrowserContext] = field(default_factory=list)

    def sign_in(self) -> str:
        """Use a printed link up; return the cookie of the new session."""
        link = self.links.get(timeout=60)
        self.url = link.partition("/?")[0]
        with urlopen(link) as answer:
            return answer.headers["set-cookie"].partition(";")[0]

    def enter(self, context: BrowserContext) -> None:
        """Let a browser profile in."""
        name, _, value = self.cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": self.url}])
        self._profiles.append(context)

    def close_pages(self) -> None:
        """Close the tabs that were let in: a tab that asks a server which has ended has a fault."""
        for context in self._profiles:
            for page in list(context.pages):
                page.close()

    def ask(
        self, path: str, *, body: object = None, cookie: str | None = None, **params: object
    ) -> Any:
        """Return the JSON of a path; with a body it is a POST, and bytes are sent as they are.

        An error that the server tells of is returned as well: it has the key "error".
        """
        url = self.url + path + (f"?{urlencode(params)}" if params else "")
        headers = {"X-SliceDB": "1", "Cookie": self.cookie if cookie is None else cookie}
        data = body if isinstance(body, bytes) else None
        if data is None and body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            kind = "octet-stream" if isinstance(body, bytes) else "json"
            headers["Content-Type"] = f"application/{kind}"
        try:
            with urlopen(Request(url, data, headers)) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                return json.load(error)

    def follow(self) -> None:
        """Collect what it prints."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            for link in re.findall(r"http://\S+\?token=\S+", line):
                self.links.put(link)


@contextmanager
def run(database: Path, *options: str, port: int = 0, first: str = "") -> Iterator[App]:
    """Run the page on a database, on a free port, until the block ends.

    Args:
        database: what it shows.
        options: of the command.
        port: 0 takes a free one.
        first: Python that its process runs before.
    """
    start = ["-c", f"{first}\nfrom slicedb.cli import main; main()"] if first else ["-m", "slicedb"]
    command = [sys.executable, *start, "--db", str(database), "app"]
    command += ["--no-browser", "--port", str(port), *options]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    )
    app = App(database, process)
    reader = threading.Thread(target=app.follow, daemon=True)
    reader.start()
    try:
        try:
            app.cookie = app.sign_in()
        except queue.Empty:
            raise AssertionError("no link was printed:\n" + "".join(app.lines)) from None
        yield app
        app.close_pages()
    finally:
        process.terminate()
        process.wait(timeout=20)
        reader.join(timeout=5)
        assert process.stderr is not None
        process.stderr.close()
