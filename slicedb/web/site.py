"""What the server holds open, and how a page asks the database."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import inspect
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import jinja2
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from slicedb.errors import CheckError, SliceDBError
from slicedb.runs import recorded
from slicedb.show import charts, numbers
from slicedb.show.html import Html, prose
from slicedb.web.access import Access, Role, Session
from slicedb.web.jobs import Jobs
from slicedb.web.plain import dumped
from slicedb.web.turns import Turns
from slicedb.web.uploads import Uploads

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.query import Query
    from slicedb.query import Request as Bounded

T = TypeVar("T")
Handler = Callable[..., Awaitable[Any]]
Decorator = Callable[[Handler], Handler]

_HERE = Path(__file__).parent
STATIC = _HERE / "static"
_ASKING, _PICTURES, _TYPING, _WRITING, _ORDERING = 64, 4, 2, 2, 2
"""Threads that ask the database, make pictures, help who types, write, and sort ahead. Most of
those that ask wait: the database runs few queries at once, and gives them their turns by
session."""
_LOOK = 0.25
"""Seconds between two looks whether a reader is still there."""
_SECONDS, _MEMORY = 60.0, "25%"
"""What one question of a reader may take: time, and of the memory that the database allows."""
_LAG = 10.0
"""Seconds for which a large database may be shown as it was, while what others write is loaded."""


class NotAllowed(Exception):
    """A viewer asks for what only an editor may do."""


class Site:
    """The database, the sessions, the threads that work, and the pages.

    Args:
        db: what is shown.
        access: the sessions.
        root: the prefix under which a proxy shows the server, such as `/slicedb`, or empty.
    """

    def __init__(self, db: Database, access: Access, *, root: str = "") -> None:
        self.db = db
        self.access = access
        self.root = root
        self.router = APIRouter()
        self.menu: list[tuple[str, str]] = []
        """Path and title of the pages in the menu, in its order."""
        self.turns = Turns()
        self.jobs = Jobs(db)
        self.uploads = Uploads()
        self._asking = ThreadPoolExecutor(_ASKING, "slicedb-ask")
        self._pictures = ThreadPoolExecutor(_PICTURES, "slicedb-picture")
        self._typing = ThreadPoolExecutor(_TYPING, "slicedb-typing")
        self._writing = ThreadPoolExecutor(_WRITING, "slicedb-write")
        self._sorting = ThreadPoolExecutor(_ORDERING, "slicedb-order")
        self._ordering: dict[str, _Ordering] = {}
        self._digest = _digest(STATIC)
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["prose"] = prose
        self._templates.globals |= {
            "asset": self.asset,
            "charts": charts,
            "data": _data,
            "explore": self.explore,
            "menu": self.menu,
            "numbers": numbers,
            "root": root,
            "url": self.url,
        }

    def close(self) -> None:
        """Cancel what runs, and let the threads end."""
        self.jobs.close()
        self.db.cancel()
        pools = (self._asking, self._pictures, self._typing, self._writing, self._sorting)
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)

    # Addresses

    def url(self, path: str, **parameters: object) -> str:
        """Return the address of a path of this server, below its prefix.

        Parameters that are None or empty are left out.
        """
        given = {name: value for name, value in parameters.items() if value not in (None, "")}
        return f"{self.root}{path}" + (f"?{urlencode(given)}" if given else "")

    def explore(self, text: str, **state: object) -> str:
        """Return the address that shows a query in Explore."""
        return self.url("/", q=text, **state)

    def asset(self, name: str) -> str:
        """Return the address of a static file; it changes with the files, so it may be kept."""
        return f"{self.root}/static/{self._digest}/{name}"

    @property
    def digest(self) -> str:
        """What the addresses of static files hold: a hash of them all."""
        return self._digest

    # Asking

    async def ask(self, request: Request, work: Callable[[Database], T]) -> T:
        """Run work that asks the database, in a thread; it ends when its reader leaves.

        Raises:
            Busy: the reader's session has too many questions already.
        """
        async with self.turns.of(_session(request).name):
            return await self._run(request, self._asking, work)

    async def look(self, request: Request, work: Callable[[Database], T]) -> T:
        """Run work that shows samples: it waits for one turn, and is answered from one moment.

        Where other processes write to a large database, that moment may be some seconds ago; see
        `Database.request`. What is written through this server is seen at once.

        Raises:
            Busy: the reader's session has too many questions already.
        """

        def in_turn(db: Database) -> T:
            with db.engine.turn():
                return work(db)

        async with self.turns.of(_session(request).name):
            return await self._run(request, self._asking, in_turn, _LAG)

    async def typing(self, request: Request, work: Callable[[Database], T]) -> T:
        """Run quick work for a reader who types, in threads that no query holds up."""
        return await self._run(request, self._typing, work)

    async def picture(self, request: Request, work: Callable[[Database], T]) -> T:
        """Run work that makes pictures, in threads that no query holds up."""
        return await self._run(request, self._pictures, work)

    async def write(self, request: Request, work: Callable[[Database], T]) -> T:
        """Run work that changes the database; it goes on to its end when its reader leaves."""
        asked = self.db.request(files=False)
        future = self._writing.submit(self._writes, asked, work)
        return await asyncio.shield(asyncio.wrap_future(future))

    def _writes(self, asked: Bounded, work: Callable[[Database], T]) -> T:
        try:
            return self._inside(asked, work)
        finally:
            self.db.engine.renew()

    async def _run(
        self,
        request: Request,
        pool: ThreadPoolExecutor,
        work: Callable[[Database], T],
        lag: float = 0.0,
    ) -> T:
        asked = self._bounded(_session(request).name, lag=lag)
        is_recorded = self.records_looks(request)
        future: Future[T] = pool.submit(self._inside, asked, work, is_recorded)
        waiting = asyncio.wrap_future(future)
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=_LOOK)
                if not waiting.done() and await request.is_disconnected():
                    raise asyncio.CancelledError
            return await waiting
        except asyncio.CancelledError:
            asked.cancel()
            future.cancel()
            waiting.add_done_callback(_forgotten)
            raise

    def order(self, request: Request, query: Query, version: str, is_known: bool) -> None:
        """Work out the order of all samples of a query, before its reader jumps to the middle.

        That happens while nobody waits for an answer. Of one session only the query that was asked
        last is worked on.

        Args:
            request: of the reader.
            query: what was asked.
            version: what its answer rests on.
            is_known: whether there is nothing to work out.
        """
        name, what = _session(request).name, (query.text, version)
        before = self._ordering.get(name)
        if before is not None and before.what == what:
            return
        if before is not None:
            before.asked.cancel()
            self._ordering.pop(name, None)
        if is_known:
            return
        asked = self._bounded(f"the order for {name}", patient=True)
        ordering = self._ordering[name] = _Ordering(what, asked)

        def work(db: Database) -> None:
            with contextlib.suppress(SliceDBError):
                query.keys()
            if self._ordering.get(name) is ordering:
                self._ordering.pop(name, None)

        self._sorting.submit(self._inside, asked, work)

    def _bounded(self, client: str, *, lag: float = 0.0, patient: bool = False) -> Bounded:
        """Return what bounds the queries of one question of a reader; they read no files."""
        return self.db.request(
            timeout=_SECONDS,
            memory=_MEMORY,
            client=client,
            files=False,
            lag=lag,
            patient=patient,
        )

    def _inside(self, asked: Bounded, work: Callable[[Database], T], is_recorded: bool = True) -> T:
        with asked, recorded(is_recorded):
            return work(self.db)

    # Readers

    def session(self, request: Request) -> Session:
        """Return who asks."""
        return _session(request)

    def records_looks(self, request: Request) -> bool:
        """Return whether what this reader looks at is written down, as `runs` does.

        Who may not change the database leaves no record of a look in it either, and no GET writes.
        """
        is_editor = _session(request).role == "editor" and not self.access.read_only
        return is_editor and request.method == "POST"

    def check_role(self, request: Request, role: Role) -> None:
        """Raise NotAllowed where whoever asks may only look."""
        if role == "editor" and _session(request).role != "editor":
            raise NotAllowed("You may look, not change.")

    # Routes

    def page(self, path: str, title: str, template: str, *, menu: bool = True) -> Decorator:
        """Register a page and its twin in JSON, of one handler that returns what both show.

        Args:
            path: `/slices`; its twin is `/slices.json`, that of `/` is `/explore.json`.
            title: of the page, and in the menu.
            template: in templates/; it gets what the handler returns by name.
            menu: whether the menu lists it.
        """
        if menu:
            self.menu.append((path, title))

        def register(handler: Handler) -> Handler:
            async def shown(request: Request, values: dict[str, object]) -> Response:
                text = await self._rendered(request, template, title, path, values)
                return HTMLResponse(text)

            twin = "/explore.json" if path == "/" else f"{path}.json"
            self.router.get(path)(_wrapped(handler, shown))
            self.router.get(twin)(_wrapped(handler, _as_json))
            return handler

        return register

    def get(self, path: str) -> Decorator:
        """Register a handler that reads; what it returns is sent as JSON, a `Response` as it is."""
        return lambda handler: self._registered(self.router.get(path), handler)

    def post(self, path: str, *, role: Role = "editor") -> Decorator:
        """Register a handler that writes, for readers of a role.

        A handler with a parameter `body` gets the JSON object of the request, one with `data` its
        bytes.
        """

        def register(handler: Handler) -> Handler:
            names = inspect.signature(handler).parameters

            async def checked(request: Request, **values: object) -> object:
                self.check_role(request, role)
                if "body" in names:
                    values["body"] = _object(await request.body())
                if "data" in names:
                    values["data"] = await request.body()
                return await handler(request, **values)

            checked.__name__ = handler.__name__
            checked.__signature__ = _without(_resolved(handler), {"body", "data"})  # type: ignore[attr-defined]
            self._registered(self.router.post(path), checked)
            return handler

        return register

    def _registered(self, route: Callable[[Handler], Handler], handler: Handler) -> Handler:
        route(_wrapped(handler, _as_json))
        return handler

    async def _rendered(
        self,
        request: Request,
        template: str,
        title: str,
        path: str,
        values: dict[str, object],
    ) -> str:
        shown = {
            "path": path,
            "title": title,
            "role": _session(request).role,
            "read_only": self.access.read_only,
            "database": self.db.path,
            **values,
        }
        return self._templates.get_template(template).render(shown)

    def render(self, request: Request, template: str, values: dict[str, object]) -> str:
        """Return a page that belongs to no handler, such as that of an error."""
        asked = request.scope.get("state", {}).get("session")
        shown = {
            "path": "",
            "title": "SliceDB",
            "role": asked.role if asked else "viewer",
            "read_only": self.access.read_only,
            "database": self.db.path,
            **values,
        }
        return self._templates.get_template(template).render(shown)


@dataclass(frozen=True)
class _Ordering:
    """An order that is worked out ahead."""

    what: tuple[str, str]
    """Text and version of the query."""
    asked: Bounded


def _forgotten(waiting: asyncio.Future[Any]) -> None:
    """Look at the error of work that nobody waits for, so that nothing warns of it."""
    if not waiting.cancelled():
        waiting.exception()


def _session(request: Request) -> Session:
    session: Session = request.scope["state"]["session"]
    return session


async def _as_json(request: Request, value: object) -> Response:
    if isinstance(value, Response):
        return value
    return Response(await asyncio.to_thread(dumped, value), media_type="application/json")


def _wrapped(handler: Handler, answer: Callable[[Request, Any], Awaitable[Response]]) -> Handler:
    """Return a handler whose value is made a response, with the parameters of the one inside."""

    async def wrapped(request: Request, **values: object) -> Response:
        return await answer(request, await handler(request, **values))

    wrapped.__signature__ = _resolved(handler)  # type: ignore[attr-defined]
    wrapped.__name__ = handler.__name__
    return wrapped


def _resolved(handler: Handler) -> inspect.Signature:
    """Return the signature with types instead of their names."""
    signature = inspect.signature(handler, eval_str=True)
    return signature.replace(return_annotation=inspect.Signature.empty)


def _without(signature: inspect.Signature, names: set[str]) -> inspect.Signature:
    left = [p for name, p in signature.parameters.items() if name not in names]
    return signature.replace(parameters=left)


def _object(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        CheckError: it is none.
    """
    try:
        value = json.loads(body or b"{}")
    except ValueError as error:
        raise CheckError(f"The request is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise CheckError("The request is no JSON object.")
    return value


def _data(value: object) -> Html:
    """Return an element that hands values to the scripts of a page; `data()` reads them."""
    text = dumped(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Html(f'<script type="application/json" id="data">{text}</script>')


def _digest(folder: Path) -> str:
    """Return a hash of the names and the bytes of all files of a folder."""
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            found.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return found.hexdigest()[:12]
