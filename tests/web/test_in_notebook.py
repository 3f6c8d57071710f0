"""The page of a notebook: a frame through Jupyter's proxy, or a link."""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import slicedb
from slicedb.web import notebook
from slicedb.web.serve import Server

HUB = "hub.example.org"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Make this process look like the kernel of a notebook."""
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    return monkeypatch


@pytest.fixture
def framed(kernel: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The page of a notebook of a JupyterHub."""
    kernel.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    app = slicedb.open(tmp_path / "d.slicedb").app()
    yield app
    app.stop()


def ask(
    app: Server, path: str, host: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    """Send a request as a proxy does, which keeps the host by which it was called."""
    connection = http.client.HTTPConnection("127.0.0.1", app.port, timeout=20)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = "{}" if method == "POST" else None
    connection.request(method, path, body, {"Host": host, **named})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text


def token_of(shown: str) -> str:
    (token,) = set(re.findall(r"token=([\w-]+)", shown))
    return token


def test_a_hub_shows_the_page_in_a_frame(
    framed: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = framed._repr_html_()
    frame = rf'<iframe src="/user/ann/proxy/{framed.port}/\?token=[\w-]+"'
    assert re.match(frame, shown) and "style=" not in shown
    assert framed.url == f"http://127.0.0.1:{framed.port}/user/ann/proxy/{framed.port}/"
    assert repr(framed).startswith("SliceDB shows ") and "token" not in repr(framed)
    assert capsys.readouterr().err == ""


def test_the_name_of_a_hub_is_learnt_from_an_unused_link_alone(framed: Server) -> None:
    token = token_of(framed._repr_html_())
    assert ask(framed, "/", HUB)[0] == 421
    assert ask(framed, "/?token=guess", HUB)[0] == 421
    status, headers, _ = ask(framed, f"/?token={token}", HUB)
    assert status == 200
    cookie, _, more = headers["set-cookie"].partition("; ")
    assert more == f"HttpOnly; SameSite=Strict; Path=/user/ann/proxy/{framed.port}"
    assert ask(framed, "/about.json", HUB, cookie=cookie)[0] == 200
    assert ask(framed, "/about.json", "evil.example", cookie=cookie)[0] == 421
    assert ask(framed, f"/?token={token}", "evil.example")[0] == 421  # it was used
    write = {"cookie": cookie, "x_slicedb": "1", "content_type": "application/json"}
    own = ask(framed, "/api/jobs/none/cancel", HUB, "POST", origin=f"https://{HUB}", **write)
    assert own[0] == 404
    other = ask(
        framed, "/api/jobs/none/cancel", HUB, "POST", origin="https://evil.example", **write
    )
    assert other[0] == 403


def test_outside_a_proxy_a_cell_has_a_link_and_no_name_is_learnt(
    kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel.setattr(notebook, "find_spec", lambda name: None)
    app = slicedb.open(tmp_path / "d.slicedb").app()
    shown = app._repr_html_()
    assert "<iframe" not in shown and f'href="http://127.0.0.1:{app.port}/?token=' in shown
    assert ask(app, f"/?token={token_of(shown)}", HUB)[0] == 421
    assert ask(app, f"/?token={token_of(shown)}", f"127.0.0.1:{app.port}")[0] == 200
    app.stop()
    with pytest.raises(ConnectionError):
        ask(app, "/about.json", f"127.0.0.1:{app.port}")


def test_a_jupyter_server_is_found_by_its_process(
    kernel: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("jupyter_core", reason="the test extra has ipykernel")
    kernel.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    kernel.setenv("JPY_PARENT_PID", "4711")
    kernel.setattr(notebook, "find_spec", lambda name: object())
    assert notebook.proxied() == ""
    about = tmp_path / "jpserver-4711.json"
    for base, prefix in (("/", "/proxy/{port}"), ("/lab/ann/", "/lab/ann/proxy/{port}")):
        about.write_text(json.dumps({"base_url": base, "port": 8888}))
        assert notebook.proxied() == prefix
    about.write_text("{")
    assert notebook.proxied() == ""
    kernel.setitem(sys.modules, "IPython", None)
    kernel.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ann/")
    assert notebook.proxied() == ""  # no notebook: a script on a hub


def test_the_port_stands_in_a_prefix_that_was_given(tmp_path: Path) -> None:
    app = slicedb.open(tmp_path / "d.slicedb").app(browser=False, root_path="/x/{port}/")
    assert app.url == f"http://127.0.0.1:{app.port}/x/{app.port}/"
    app.stop()


@pytest.mark.slow
def test_a_real_kernel_shows_and_ends_the_page(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="the test extra has nbclient and nbformat")
    nbclient = pytest.importorskip("nbclient", reason="the test extra has nbclient and nbformat")
    pytest.importorskip("ipykernel", reason="the test extra has ipykernel")
    cells = [
        f"import slicedb\napp = slicedb.open({str(tmp_path / 'd.slicedb')!r}).app()\napp",
        "from urllib.request import urlopen\nurlopen(app.link()).status",
        "app.stop()\ntry:\n    urlopen(app.url)\nexcept OSError as error:\n    print('ended')",
    ]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    hub = {**os.environ, "JUPYTERHUB_SERVICE_PREFIX": "/user/ann/"}
    client = nbclient.NotebookClient(book, timeout=120, kernel_name="python3")
    client.execute(env=hub)
    (shown,) = [output.data["text/html"] for output in book.cells[0].outputs]
    assert shown.startswith('<iframe src="/user/ann/proxy/')
    assert book.cells[1].outputs[0].data["text/plain"] == "200"
    assert book.cells[2].outputs[0].text == "ended\n"
