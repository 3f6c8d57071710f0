"""Run the server: its port, its links, its browser, its end."""

from __future__ import annotations

import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from slicedb.errors import CheckError
from slicedb.web import notebook
from slicedb.web.access import Access, Role

if TYPE_CHECKING:
    import uvicorn

    from slicedb.database import Database

PORT = 8421
"""The port that is tried first."""
_TRIED = 20
"""Ports above it that are tried where it is taken."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ANY = ("0.0.0.0", "::")


class Server:
    """A page on a database, not yet running.

    Args:
        db: what it shows; its queries can read no files.
        port: to listen on; by default 8421, or the next that is free.
        host: the address to listen on; anything but loopback lets other machines in.
        read_only: every reader may look only.
        allow_host: further names by which it may be called, such as those of a proxy.
        root_path: the prefix under which a proxy shows it, such as `/slicedb`, with `{port}` for
            the port; in a notebook by default that of Jupyter's proxy.
        tell: told each line about links; by default they go to stderr, and a notebook shows them.

    Raises:
        CheckError: the port is taken, the address is none of this machine, or a name is no host.
    """

    def __init__(
        self,
        db: Database,
        *,
        port: int | None = None,
        host: str = "127.0.0.1",
        read_only: bool = False,
        allow_host: Sequence[str] = (),
        root_path: str = "",
        tell: Callable[[str], object] | None = None,
    ) -> None:
        import uvicorn

        from slicedb.web.app import build
        from slicedb.web.guard import Hosts
        from slicedb.web.site import Site

        self._socket = _bound(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._is_framed = not root_path and bool(notebook.proxied())
        root = (root_path or notebook.proxied()).replace("{port}", str(self.port)).strip("/")
        self.root = f"/{root}" if root else ""
        self._tell = tell or (_nothing if notebook.is_kernel() else _print)
        self.access = Access(read_only=read_only, on_use=self._used)
        own = () if host in (*_LOOPBACK, *_ANY) else (f"{_bracketed(host)}:{self.port}",)
        try:
            hosts = Hosts(self.port, (*own, *allow_host), learns=self._is_framed)
            self._named = allow_host[0] if allow_host else ""
            self.site = Site(db, self.access, root=self.root)
            self.app = build(self.site, hosts, f"slicedb_{self.port}")
        except BaseException:
            self._socket.close()
            raise
        config = uvicorn.Config(
            self.app,
            access_log=False,
            lifespan="on",
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=2,
            ws="none",
        )
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where the page is, without a token."""
        name = "127.0.0.1" if self.host in _ANY else _bracketed(self.host)
        if self.host in _ANY and self._named:
            name = self._named.partition(":")[0]
        return f"http://{name}:{self.port}{self.root}/"

    @property
    def url(self) -> str:
        """Where the page is, as `address` says it."""
        return self.address

    def __repr__(self) -> str:
        return f"SliceDB shows {self.site.db.path} at {self.address}; link() opens it once"

    def _repr_html_(self) -> str:
        link = self.link()
        frame = f"{self.root}/{link.partition(self.address)[2]}" if self._is_framed else ""
        return notebook.shown(self.site.db.path, self.address, link, frame)

    def link(self, role: Role = "editor") -> str:
        """Return a link that opens the page once, in one browser."""
        return f"{self.address}?token={self.access.link(role)}"

    def run(self, *, browser: bool = True) -> None:
        """Serve until Ctrl-C.

        Args:
            browser: open the page in the machine's browser.
        """
        self._say(browser=browser, end="Ctrl-C ends it")
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def start(self, *, browser: bool = False) -> None:
        """Serve in a thread until `stop`; returns when requests are answered.

        Args:
            browser: open the page in the machine's browser.
        """
        self._server.config.log_level = "error"
        ready = threading.Event()
        began = self._server.startup

        async def startup(sockets: list[socket.socket] | None = None) -> None:
            await began(sockets=sockets)
            ready.set()

        self._server.startup = startup  # type: ignore[method-assign]
        self._thread = threading.Thread(
            target=self._server.run, args=[[self._socket]], name="slicedb-app", daemon=True
        )
        self._thread.start()
        while not ready.wait(0.1) and self._thread.is_alive():
            pass
        self._say(browser=browser, end="stop() ends it")

    def stop(self) -> None:
        """End what `start` began."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=10)
        self._socket.close()

    def _say(self, *, browser: bool, end: str) -> None:
        """Tell where the page is, and open it."""
        link = self.link()
        self._tell(f"SliceDB shows {self.site.db.path} at {self.address} ({end})")
        self._tell(f"  open once: {link}")
        if self.host not in _LOOPBACK:
            if not self.access.read_only:
                self._tell(f"  for one who may only look: {self.link('viewer')}")
            self._tell("  other machines can reach it, and what they send is not encrypted")
        if browser and not notebook.is_kernel():
            threading.Thread(target=webbrowser.open, args=[link], daemon=True).start()

    def _used(self, role: Role) -> None:
        self._tell(f"  a browser is in; for another: {self.link(role)}")


def _print(line: str) -> None:
    print(line, file=sys.stderr)


def _nothing(line: str) -> None:
    """Say nothing: the cell of a notebook shows the link."""


def _bound(host: str, port: int | None) -> socket.socket:
    """Return a socket that is bound: to the port, or to the first of some that is free."""
    tried = [port] if port is not None else [*range(PORT, PORT + _TRIED), 0]
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    why: OSError | None = None
    for number in tried:
        # With the protocol named, asyncio turns Nagle off, which with the browser's late
        # acknowledgements would hold each small answer back for 40 ms.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, number))
        except (OSError, OverflowError) as error:
            bound.close()
            if isinstance(error, OverflowError):
                raise CheckError(f"There is no port {number}.", "take 0 to 65535.") from error
            why = error
        else:
            bound.listen(128)
            return bound
    hint = "leave --port out for a free one, or name another address with --host."
    raise CheckError(f"Port {tried[0]} of '{host}' cannot be taken: {why}.", hint) from why


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
