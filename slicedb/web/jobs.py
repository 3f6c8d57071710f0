"""Work that takes longer than a reader waits: one at a time of a kind, watched from every page."""

from __future__ import annotations

import secrets
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fastapi import Request

from slicedb.errors import (
    CancelledError,
    CheckError,
    ConflictError,
    SliceDBError,
    UnknownJobError,
    did_you_mean,
)
from slicedb.progress import Cancel, Progress
from slicedb.web.access import Role
from slicedb.web.plain import error_of, plain

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.web.site import Site

State = Literal["running", "done", "failed", "cancelled"]
Work = Callable[["Database", Mapping[str, object], Cancel], dict[str, object]]
"""Does it: the database, what the reader chose, and what watches it; returns what came out."""

_KEPT = 50
"""Jobs that are remembered; the oldest make room."""
_END = 5.0
"""Seconds that the server waits for a job that it has cancelled."""


@dataclass(frozen=True)
class Kind:
    """A kind of job."""

    name: str
    title: Callable[[Mapping[str, object]], str]
    """What one is called, of what the reader chose."""
    work: Work
    role: Role
    """Who may start it."""


class Job:
    """One of them, running or over.

    Args:
        kind: what it does.
        options: what the reader chose.
        by: the session that started it.
    """

    def __init__(self, kind: Kind, options: Mapping[str, object], by: str) -> None:
        self.id = secrets.token_hex(6)
        self.kind, self.options, self.by = kind, options, by
        self.title = kind.title(options)
        self.state: State = "running"
        self.progress: Progress | None = None
        self.notes: list[str] = []
        self.result: dict[str, object] | None = None
        self.error: dict[str, object] | None = None
        self.began = time.time()
        self.seconds: float | None = None
        self.cancel = Cancel(self._tell)

    def _tell(self, progress: Progress) -> None:
        if progress.note:
            self.notes.append(progress.note)
        else:
            self.progress = progress

    def about(self, *, whole: bool = False) -> dict[str, object]:
        """Return what a reader sees of it; `whole` with what came out."""
        at = self.progress
        passed = time.time() - self.began if self.seconds is None else self.seconds
        said: dict[str, object] = {
            "id": self.id,
            "kind": self.kind.name,
            "title": self.title,
            "state": self.state,
            "stage": at.stage if at else "",
            "done": at.done if at else 0,
            "total": at.total if at else None,
            "unit": at.unit if at else "",
            "share": at.share if at else None,
            "began": self.began,
            "seconds": round(passed, 1),
            "message": self.error["message"] if self.error else "",
            "hint": self.error["hint"] if self.error else "",
            "is_stopping": self.state == "running" and self.cancel.is_cancelled,
        }
        return {**said, "notes": self.notes, "result": self.result} if whole else said


class Jobs:
    """The jobs of a server.

    Args:
        db: what they work on.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._kinds: dict[str, Kind] = {}
        self._jobs: dict[str, Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._asking: dict[str, Callable[[], object]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def add(
        self,
        name: str,
        work: Work,
        *,
        title: Callable[[Mapping[str, object]], str],
        role: Role = "editor",
    ) -> None:
        """Add a kind of job; a page does so when it is registered."""
        self._kinds[name] = Kind(name, title, work, role)

    def kind(self, name: str) -> Kind:
        """Return a kind.

        Raises:
            UnknownJobError: there is none of that name.
        """
        if name not in self._kinds:
            raise UnknownJobError(
                f"There is no job '{name}'.", did_you_mean(name, self._kinds, "jobs")
            )
        return self._kinds[name]

    def start(self, name: str, options: Mapping[str, object], by: str = "") -> Job:
        """Start a job in a thread of its own.

        Raises:
            UnknownJobError: there is no such kind.
            ConflictError: one of the kind is running.
        """
        kind = self.kind(name)
        job = Job(kind, options, by)
        with self._lock:
            running = next((j for j in self._jobs.values() if j.kind is kind and _runs(j)), None)
            if running is not None:
                raise ConflictError(f"{running.title} is running.", "wait for it, or cancel it.")
            if self._is_closed:
                raise ConflictError("The server is ending.", "start it again.")
            for old in [j.id for j in self._jobs.values() if not _runs(j)][: -_KEPT + 1]:
                del self._jobs[old]
            self._jobs[job.id] = job
            thread = threading.Thread(
                target=self._run, args=[job], name=f"slicedb-job-{name}", daemon=True
            )
            self._threads[job.id] = thread
        thread.start()
        return job

    def _run(self, job: Job) -> None:
        """Do the work, and note how it ended."""
        state: State = "done"
        try:
            with self._db.request(client=f"job {job.kind.name}") as asking:
                self._asking[job.id] = asking.cancel
                if job.cancel.is_cancelled:
                    asking.cancel()
                job.result = plain(job.kind.work(self._db, job.options, job.cancel))
        except CancelledError as error:
            state, job.error = "cancelled", error_of(error)
        except SliceDBError as error:
            state, job.error = "failed", error_of(error)
        except Exception as error:  # of a model or a function of the user's: said, and printed
            traceback.print_exc(file=sys.stderr)
            about = f"{type(error).__name__}: {error}"
            hint = "the terminal of `slicedb app` says where."
            state, job.error = "failed", {"kind": "Error", "message": about, "hint": hint}
        finally:
            self._db.engine.renew()
            job.seconds = time.time() - job.began
            job.state = state  # last: whoever sees that it is over sees how
            self._asking.pop(job.id, None)
            self._threads.pop(job.id, None)

    def list(self) -> list[Job]:
        """Return the jobs, the one that began last first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.began, reverse=True)

    def get(self, id: str) -> Job:
        """Return a job.

        Raises:
            UnknownJobError: there is none, or it was forgotten.
        """
        job = self._jobs.get(id)
        if job is None:
            raise UnknownJobError(f"There is no job '{id}'.", "the last fifty are remembered.")
        return job

    def cancel(self, id: str) -> Job:
        """Stop a job at its next step; one that is over stays as it is."""
        job = self.get(id)
        if _runs(job):
            job.cancel.cancel()
            stop = self._asking.get(id)
            if stop is not None:
                stop()
        return job

    def close(self) -> None:
        """Cancel what runs and wait a little for it; what it has finished is kept."""
        with self._lock:
            self._is_closed = True
            threads = list(self._threads.items())
        until = time.monotonic() + _END
        for id, _ in threads:
            self.cancel(id)
        for _, thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def word(options: Mapping[str, object], name: str) -> str | None:
    """Return a text that a reader chose, None where it is left out or empty.

    Raises:
        CheckError: it is no text.
    """
    value = options.get(name)
    if value is not None and not isinstance(value, str):
        raise CheckError(f"{name} is no text.", "send a text.")
    return value or None


def _runs(job: Job) -> bool:
    return job.state == "running"


def add(site: Site) -> None:
    """Register what the pages ask about jobs."""

    @site.get("/api/jobs")
    async def listed(request: Request) -> dict[str, object]:
        return {"jobs": [job.about() for job in site.jobs.list()]}

    @site.get("/api/jobs/{id}")
    async def one(request: Request, id: str) -> dict[str, object]:
        return site.jobs.get(id).about(whole=True)

    @site.post("/api/jobs", role="viewer")
    async def start(request: Request, body: dict[str, object]) -> dict[str, object]:
        kind = site.jobs.kind(str(body.get("kind", "")))
        session = site.session(request)
        site.check_role(request, kind.role)
        options = {name: value for name, value in body.items() if name != "kind"}
        return site.jobs.start(kind.name, options, session.name).about()

    @site.post("/api/jobs/{id}/cancel", role="viewer")
    async def cancel(request: Request, id: str) -> dict[str, object]:
        if site.jobs.get(id).by != site.session(request).name:
            site.check_role(request, "editor")
        return site.jobs.cancel(id).about()
