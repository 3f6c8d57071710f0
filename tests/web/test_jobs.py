"""Jobs: one at a time of a kind, with progress, cancel, and an end that keeps what was done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import slicedb
from slicedb.errors import CheckError, ConflictError, UnknownJobError
from slicedb.progress import bar, note
from slicedb.web.jobs import Job, Jobs


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(slicedb.open(tmp_path / "data.slicedb"))
    yield jobs
    jobs.close()


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


class Steps:
    """A kind of job that takes one step whenever it is let."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.n = 0

    def __call__(self, db: Any, options: Any, watch: Any) -> dict[str, object]:
        note("beginning", watch)
        with bar(3, "step", watch, unit="step") as shown:
            for _ in range(3):
                self.let.acquire()
                self.n += 1
                shown.advance()
        return {"n": self.n, "of": options["of"], "nan": float("nan")}


def added(jobs: Jobs, name: str = "steps") -> Steps:
    steps = Steps()
    jobs.add(name, steps, title=lambda options: f"take steps of {options['of']}")
    return steps


def ended(job: Job) -> bool:
    return job.state != "running"


def test_a_job_tells_how_far_it_is_and_what_came_out(jobs: Jobs) -> None:
    steps = added(jobs)
    job = jobs.start("steps", {"of": "stone"})
    assert job.about()["title"] == "take steps of stone"
    until(lambda: job.progress)
    steps.let.release()
    until(lambda: job.progress and steps.n == 1)
    assert job.about()["state"] == "running" and job.seconds is None
    for _ in range(2):
        steps.let.release()
    until(lambda: ended(job))
    whole = jobs.get(job.id).about(whole=True)
    assert (whole["state"], whole["done"], whole["total"], whole["unit"]) == ("done", 3, 3, "step")
    assert whole["result"] == {"n": 3, "of": "stone", "nan": None}
    assert whole["notes"] == ["beginning"]


def test_one_of_a_kind_runs_and_other_kinds_beside_it(jobs: Jobs) -> None:
    steps, others = added(jobs), added(jobs, "others")
    job = jobs.start("steps", {"of": "stone"})
    with pytest.raises(ConflictError, match="take steps of stone is running"):
        jobs.start("steps", {"of": "wood"})
    other = jobs.start("others", {"of": "wood"})
    for _ in range(3):
        others.let.release()
    until(lambda: ended(other))
    assert other.state == "done" and job.state == "running"
    assert [one.id for one in jobs.list()] == [other.id, job.id]
    for _ in range(3):
        steps.let.release()
    until(lambda: ended(job))
    assert jobs.start("steps", {"of": "wood"}).state == "running"
    with pytest.raises(UnknownJobError, match=r"no job 'step'.*did you mean 'steps'"):
        jobs.start("step", {})
    with pytest.raises(UnknownJobError, match="no job 'none'"):
        jobs.get("none")
    for _ in range(3):
        steps.let.release()


def test_a_job_is_cancelled_at_its_next_step(jobs: Jobs) -> None:
    steps = added(jobs)
    job = jobs.start("steps", {"of": "stone"})
    assert jobs.cancel(job.id).about()["is_stopping"] is True
    steps.let.release()
    until(lambda: ended(job))
    said = job.about()
    assert said["state"] == "cancelled" and steps.n <= 1
    assert "was cancelled after" in str(said["message"])
    assert jobs.cancel(job.id).state == "cancelled"  # which it stays


def test_the_query_of_a_job_is_cancelled_with_it(jobs: Jobs) -> None:
    begun = threading.Event()

    def work(db: Any, options: Any, watch: Any) -> dict[str, object]:
        begun.set()
        rows = db.sql("SELECT sum(a.i * b.i) AS s FROM range(4000000) a(i), range(40000) b(i)")
        return {"rows": len(rows)}

    jobs.add("slow", work, title=lambda options: "a slow query")
    job = jobs.start("slow", {})
    begun.wait(10)
    time.sleep(0.3)
    began = time.monotonic()
    jobs.cancel(job.id)
    until(lambda: ended(job))
    assert job.state == "cancelled" and time.monotonic() - began < 10


def test_what_fails_is_said(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    def ours(db: Any, options: Any, watch: Any) -> dict[str, object]:
        raise CheckError("There is no such thing.", "name another.")

    def theirs(db: Any, options: Any, watch: Any) -> dict[str, object]:
        raise ZeroDivisionError("of a model")

    jobs.add("ours", ours, title=lambda options: "ours")
    jobs.add("theirs", theirs, title=lambda options: "theirs")
    job, other = jobs.start("ours", {}), jobs.start("theirs", {})
    until(lambda: ended(job) and ended(other))
    said = job.about()
    assert (said["state"], said["message"], said["hint"]) == (
        "failed",
        "There is no such thing.",
        "name another.",
    )
    assert other.about()["message"] == "ZeroDivisionError: of a model"
    assert "ZeroDivisionError: of a model" in capsys.readouterr().err


def test_jobs_end_with_the_server_and_none_begins_afterwards(jobs: Jobs) -> None:
    steps = added(jobs)
    job = jobs.start("steps", {"of": "stone"})
    threading.Timer(0.1, steps.let.release).start()
    jobs.close()
    assert job.state == "cancelled"
    with pytest.raises(ConflictError, match="is ending"):
        jobs.start("steps", {"of": "wood"})


def test_the_last_fifty_are_remembered(jobs: Jobs) -> None:
    jobs.add("quick", lambda db, options, watch: {}, title=lambda options: "quick")
    ids = []
    for _ in range(55):
        job = jobs.start("quick", {})
        ids.append(job.id)
        until(lambda job=job: ended(job))
    assert {job.id for job in jobs.list()} == set(ids[5:])


def test_a_viewer_looks_and_starts_nothing(tmp_path: Path) -> None:
    import json
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    from slicedb.web import server

    running = server(slicedb.open(tmp_path / "data.slicedb"), port=0)
    running.start()
    try:
        cookies = {}
        for role in ("viewer", "editor"):
            with urlopen(running.link(role)) as answer:
                cookies[role] = answer.headers["set-cookie"].partition(";")[0]

        def ask(role: str, path: str, body: dict[str, str] | None = None) -> tuple[int, Any]:
            headers = {
                "X-SliceDB": "1",
                "Cookie": cookies[role],
                "Content-Type": "application/json",
            }
            data = None if body is None else json.dumps(body).encode()
            request = Request(running.address.rstrip("/") + path, data, headers)
            try:
                with urlopen(request) as answer:
                    return answer.status, json.load(answer)
            except HTTPError as error:
                with error:
                    return error.code, json.load(error)

        assert ask("viewer", "/api/jobs", {"kind": "quality"})[0] == 403
        assert ask("viewer", "/api/health/tag", {"token": "x", "tag": "y"})[0] == 403
        status, job = ask("editor", "/api/jobs", {"kind": "quality"})
        assert status == 200
        assert ask("viewer", "/api/jobs")[1]["jobs"][0]["id"] == job["id"]
        assert ask("viewer", f"/api/jobs/{job['id']}/cancel", {})[0] == 403
        assert ask("viewer", "/api/jobs/none")[0] == 404
    finally:
        running.stop()
