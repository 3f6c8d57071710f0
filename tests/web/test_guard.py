"""Requests that no browser of ours made are refused before they reach a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import slicedb
from slicedb.errors import CheckError
from slicedb.web import server
from slicedb.web.guard import HEADERS, MOST_BYTES, POLICY, Hosts
from slicedb.web.serve import Server

Header = tuple[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = server(slicedb.open(tmp_path_factory.mktemp("guard") / "d.slicedb"), port=0)
    made._tell = lambda line: None
    yield made
    made.site.close()
    made.stop()


class Answer:
    """What an ASGI application said."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = {k.decode(): v.decode() for k, v in messages[0]["headers"]}
        self.body = b"".join(m.get("body", b"") for m in messages[1:])
        self.n_cookies = sum(k == b"set-cookie" for k, _ in messages[0]["headers"])


def ask(
    site: Server,
    path: str = "/about.json",
    *,
    method: str = "GET",
    headers: list[Header] | None = None,
    more: list[Header] | None = None,
    body: bytes = b"",
    cookie: str | None = "",
) -> Answer:
    """Send one request; `cookie=""` is that of a fresh editor, None none."""
    given = [("host", f"127.0.0.1:{site.port}")] if headers is None else headers
    if cookie == "":
        cookie = site.access.exchange(site.access.link()) or ""
    if cookie is not None:
        given = [*given, ("cookie", f"slicedb_{site.port}={cookie}")]
    route, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": route,
        "raw_path": route.encode(),
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in [*given, *(more or [])]],
        "scheme": "http",
        "server": ("127.0.0.1", site.port),
        "client": ("127.0.0.1", 1),
        "root_path": "",
    }
    said: list[dict[str, Any]] = []
    parts = [body[i : i + 2**20] for i in range(0, len(body), 2**20)] or [b""]
    waiting = [
        {"type": "http.request", "body": part, "more_body": i < len(parts) - 1}
        for i, part in enumerate(parts)
    ]

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.sleep(3600)  # the reader stays
        return waiting.pop(0)

    async def send(message: Any) -> None:
        said.append(message)

    asyncio.run(site.app(scope, receive, send))
    return Answer(said)


POST = [("x-slicedb", "1"), ("content-type", "application/json")]


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["evil.example:{port}"],
        ["127.0.0.1:1"],
        ["127.0.0.1"],
        ["127.0.0.1:{port}", "127.0.0.1:{port}"],
        ["127.0.0.1:{port}", "evil.example"],
        ["127.0.0.1:{port}@evil.example"],
        ["127.0.0.1:{port}.evil.example"],
        ["evil.example/127.0.0.1:{port}"],
        ["[::1]"],
        ["0.0.0.0:{port}"],
        ["localhost.:{port}"],
        [""],
        [],
    ],
)
def test_a_forged_host_is_refused(site: Server, hosts: list[str]) -> None:
    headers = [("host", host.format(port=site.port)) for host in hosts]
    assert ask(site, headers=headers).status == 421


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_loopback_is_let_in_by_its_names(site: Server, name: str) -> None:
    assert ask(site, headers=[("host", f"{name}:{site.port}")]).status == 200


def test_a_name_that_was_allowed_is_let_in() -> None:
    hosts = Hosts(8421, ["box.local", "db.example:443"])
    assert "box.local" in hosts and "box.local:99" in hosts and "db.example:443" in hosts
    assert "db.example" not in hosts and "db.example:80" not in hosts and "x.box.local" not in hosts
    with pytest.raises(CheckError, match="'a b' is no host"):
        Hosts(8421, ["a b"])


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "header",
    [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", "http://127.0.0.1:1"),
        ("origin", "file://127.0.0.1:{port}"),
        ("origin", "http://127.0.0.1:{port}.evil.example"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("sec-fetch-site", "nonsense"),
    ],
)
def test_another_origin_is_refused(site: Server, header: Header, method: str) -> None:
    more = [(header[0], header[1].format(port=site.port))]
    more += POST if method == "POST" else []
    assert ask(site, method=method, more=more, body=b"{}").status == 403


def test_a_link_of_another_page_may_be_followed_but_not_framed_or_posted(site: Server) -> None:
    follow = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]
    assert ask(site, more=[*follow, ("sec-fetch-dest", "document")]).status == 200
    assert ask(site, more=[*follow, ("sec-fetch-dest", "iframe")]).status == 403
    posted = [*follow, ("sec-fetch-dest", "document"), *POST]
    assert ask(site, method="POST", more=posted, body=b"{}").status == 403
    assert ask(site, method="POST", more=[("sec-fetch-site", "none"), *POST]).status == 403


@pytest.mark.parametrize("path", ["/", "/about.json", "/api/count", "/static/x/base.js", "/none"])
def test_nothing_is_told_without_a_session(site: Server, path: str) -> None:
    for cookie in (None, "wrong", "a" * 43):
        answer = ask(site, path, cookie=cookie)
        assert answer.status == 403 and site.site.db.path.encode() not in answer.body
    assert ask(site, "/?token=wrong", cookie=None).status == 403


def test_the_icon_that_browsers_ask_for_is_no_error(site: Server) -> None:
    assert ask(site, "/favicon.ico", cookie=None).status == 204
    assert ask(site, "/favicon.ico", cookie=None, headers=[("host", "evil.example")]).status == 421


def test_a_link_sets_a_strict_cookie_and_leaves_the_address(site: Server) -> None:
    link = site.link()
    path = link.removeprefix(f"http://127.0.0.1:{site.port}")
    answer = ask(site, f"{path}&q=label%20%3D%20%27a%22b%27", cookie=None)
    assert answer.status == 200 and "token" not in answer.body.decode()
    assert 'content="0;url=/?q=label+%3D+%27a%22b%27"' in answer.body.decode()
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"slicedb_{site.port}=")
    assert cookie.endswith("; HttpOnly; SameSite=Strict; Path=/")
    assert ask(site, path, cookie=None).status == 403
    again = ask(site, path)
    assert again.status == 200 and again.n_cookies == 0


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ([("content-type", "application/json")], 403),
        ([("x-slicedb", "1"), ("content-type", "text/plain")], 415),
        ([("x-slicedb", "1"), ("content-type", "application/x-www-form-urlencoded")], 415),
        ([("x-slicedb", "1"), ("content-type", "multipart/form-data; boundary=a")], 415),
        ([("x-slicedb", "1")], 415),
        ([*POST, ("content-length", str(MOST_BYTES + 1))], 413),
        ([*POST, ("content-length", "-1")], 413),
    ],
)
def test_a_post_that_a_form_could_send_is_refused(
    site: Server, more: list[Header], status: int
) -> None:
    assert ask(site, "/api/none", method="POST", more=more, body=b"{}").status == status


def test_a_body_that_does_not_tell_its_length_is_bounded(site: Server) -> None:
    posts = [r for r in site.site.router.routes if "POST" in getattr(r, "methods", ())]
    if not posts:
        pytest.skip("no page writes yet")
    path = str(posts[0].path)  # type: ignore[attr-defined]
    assert ask(site, path, method="POST", more=POST, body=b" " * (MOST_BYTES + 9)).status == 413


def test_every_answer_has_the_policy(site: Server) -> None:
    paths = ["/", "/about.json", "/none", f"/static/{site.site.digest}/base.js", "/static/x"]
    answers = [ask(site, path) for path in paths] + [ask(site, cookie=None), ask(site, headers=[])]
    for answer in answers:
        assert {k: answer.headers[k] for k in HEADERS} == HEADERS
    assert "unsafe" not in POLICY and "default-src 'none'" in POLICY
    assert answers[1].headers["cache-control"] == "no-store"
    assert "immutable" in answers[3].headers["cache-control"]


@pytest.mark.parametrize(
    "path",
    [
        "/static/{d}/../app.py",
        "/static/{d}/..%2fapp.py",
        "/static/{d}/%2e%2e%2fapp.py",
        "/static/{d}//etc/passwd",
        "/static/{d}/vendor/../../app.py",
        "/static/{d}/base.js\0",
        "/static/{d}/file:///etc/passwd",
    ],
)
def test_no_path_leaves_the_static_files(site: Server, path: str) -> None:
    answer = ask(site, path.format(d=site.site.digest))
    assert answer.status == 404 and b"root:" not in answer.body


def test_only_posts_write_and_each_says_who_may(site: Server) -> None:
    for route in site.site.router.routes:
        assert route.methods in ({"GET"}, {"POST"}), route.path  # type: ignore[attr-defined]


def test_a_viewer_changes_nothing(site: Server) -> None:
    viewer = site.access.exchange(site.access.link("viewer"))
    for route in site.site.router.routes:
        if "POST" not in route.methods:  # type: ignore[attr-defined]
            continue
        path = str(route.path)  # type: ignore[attr-defined]
        before = site.site.db.store.versions()
        answer = ask(site, path, method="POST", more=POST, body=b"{}", cookie=viewer)
        after = site.site.db.store.versions()
        assert before == after and answer.status != 500, path


def test_a_prefix_is_taken_off_and_put_on(tmp_path: Path) -> None:
    made = server(slicedb.open(tmp_path / "d.slicedb"), port=0, root_path="/team/db/")
    made._tell = lambda line: None
    try:
        for path in ("/team/db/", "/"):
            answer = ask(made, path)
            assert answer.status == 200 and b'href="/team/db/static/' in answer.body
        link = made.link()
        assert link.startswith(f"http://127.0.0.1:{made.port}/team/db/?token=")
        opened = ask(made, link.removeprefix(f"http://127.0.0.1:{made.port}"), cookie=None)
        assert 'content="0;url=/team/db/"' in opened.body.decode()
        assert opened.headers["set-cookie"].endswith("Path=/team/db")
    finally:
        made.site.close()
        made.stop()


def test_errors_say_what_is_wrong_and_where(site: Server) -> None:
    answer = ask(site, "/api/count?q=lable%20%3D%201")
    error = json.loads(answer.body)["error"]
    assert answer.status == 400 and error["kind"] == "BindError"
    assert error["message"] == "No column 'lable'." and error["where"]["column"] == 1
    assert ask(site, "/nothing").status == 404 and b"<h1>" in ask(site, "/nothing").body


def test_a_taken_port_is_said(site: Server) -> None:
    with pytest.raises(CheckError, match=f"Port {site.port} of '127.0.0.1' cannot be taken"):
        server(site.site.db, port=site.port)
