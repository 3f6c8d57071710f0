"""Put the pages together: routes, static files, what is said when something goes wrong."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import slicedb
from slicedb.errors import (
    ConflictError,
    SliceDBError,
    UnknownEmbeddingError,
    UnknownJobError,
    UnknownModelError,
    UnknownSampleError,
    UnknownSliceError,
    UnknownTableError,
)
from slicedb.web import (
    cleaning,
    explore,
    health,
    jobs,
    maps,
    models,
    naming,
    samples,
    testing,
    trying,
)
from slicedb.web.guard import Guard, Hosts, Refused
from slicedb.web.plain import error_of
from slicedb.web.site import STATIC, NotAllowed, Site
from slicedb.web.turns import Busy

PAGES = (
    explore,
    maps,
    naming,
    models,
    testing,
    cleaning,
    health,
    trying,
    samples,
)
"""Modules of pages, in the order of the menu; each has `add(site)`."""

_UNKNOWN = (
    UnknownEmbeddingError,
    UnknownJobError,
    UnknownModelError,
    UnknownSampleError,
    UnknownSliceError,
    UnknownTableError,
)
_CLOSED = 499
"""Status of a request whose reader has left; nobody sees it."""


def build(site: Site, hosts: Hosts, cookie: str) -> ASGIApp:
    """Return the server as an ASGI application.

    Args:
        site: what it shows.
        hosts: the names by which it may be called.
        cookie: the name of the cookie of its sessions.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        site.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    for module in PAGES:
        module.add(site)

    @site.get("/about.json")
    async def about(request: Request) -> dict[str, object]:
        return {
            "version": slicedb.__version__,
            "database": site.db.path,
            "role": request.scope["state"]["session"].role,
            "read_only": site.access.read_only,
        }

    jobs.add(site)
    app.include_router(site.router)
    files = GZipMiddleware(StaticFiles(directory=STATIC), minimum_size=500)
    app.mount(f"/static/{site.digest}", _Kept(files))
    for kind, status in ((Busy, 429), (NotAllowed, 403)):
        app.add_exception_handler(kind, _told(site, lambda error, status=status: status))
    app.add_exception_handler(SliceDBError, _told(site, _status_of))
    app.add_exception_handler(Refused, _told(site, lambda error: error.status))
    app.add_exception_handler(HTTPException, _told(site, lambda error: error.status_code))
    app.add_exception_handler(RequestValidationError, _told(site, lambda error: 400))
    app.add_middleware(_Unexpected, site=site)
    return Guard(app, access=site.access, hosts=hosts, cookie=cookie, root=site.root)


def _status_of(error: Exception) -> int:
    if isinstance(error, _UNKNOWN):
        return 404
    return 409 if isinstance(error, ConflictError) else 400


def _told(site: Site, status_of: Callable[..., int]) -> Callable[[Request, Exception], Response]:
    def told(request: Request, error: Exception) -> Response:
        status = status_of(error)
        return _answer(site, request, status, _said(request, error, status))

    return told


def _said(request: Request, error: Exception, status: int) -> dict[str, object]:
    """Return what is said of an error, as JSON has it."""
    if isinstance(error, SliceDBError):
        return error_of(error)
    said: dict[str, object] = {"kind": type(error).__name__, "hint": "", "where": None}
    if isinstance(error, Busy):
        said |= {"message": "Too many questions at once.", "hint": "wait until some are answered."}
    elif isinstance(error, RequestValidationError):
        first = error.errors()[0]
        said["message"] = f"{first['loc'][-1]}: {first['msg']}."
    elif status == 404:
        said |= {"message": "There is no such page.", "hint": "start from Explore."}
    elif isinstance(error, HTTPException):
        said["message"] = f"{error.detail}."
    else:
        said["message"] = str(error)
    return said


def _answer(site: Site, request: Request, status: int, said: dict[str, object]) -> Response:
    headers = {"retry-after": "1"} if status == 429 else {}
    path = request.url.path
    if path.startswith(("/api/", "/static/")) or path.endswith(".json"):
        return JSONResponse({"error": said}, status, headers)
    return HTMLResponse(site.render(request, "error.html", {"error": said}), status, headers)


class _Unexpected:
    """Says that something went wrong, and prints what to stderr; a reader that left is no error."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Refused:
            raise
        except asyncio.CancelledError:
            if not has_begun:
                await Response(status_code=_CLOSED)(scope, receive, send)
        except Exception:
            traceback.print_exc(file=sys.stderr)
            if has_begun:
                raise
            message = "Something went wrong here; the terminal of `slicedb app` says what."
            said: dict[str, object] = {
                "kind": "Error",
                "message": message,
                "hint": "",
                "where": None,
            }
            await _answer(self._site, Request(scope), 500, said)(scope, receive, send)


class _Kept:
    """Lets browsers keep static files: their address changes when they do."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def said(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                kept = (b"cache-control", b"private, max-age=31536000, immutable")
                message = {**message, "headers": [*message["headers"], kept]}
            await send(message)

        await self._app(scope, receive, said)
