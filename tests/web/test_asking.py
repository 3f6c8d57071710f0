"""What Explore asks the server: rows, pictures, counts; and what a query of a reader cannot do."""

from __future__ import annotations

import http.client
import io
import json
import re
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import apps
import pytest
from PIL import Image

import slicedb

LONG = "SELECT count(*) AS n FROM range(1000000) a(i), range(1000000) b(j) WHERE i * j % 7 = 3"


def raw(app: apps.App, path: str, **params: object) -> bytes:
    url = f"{app.url}{path}?{urlencode(params)}"
    with urlopen(Request(url, headers={"Cookie": app.cookie, "X-SliceDB": "1"})) as answer:
        body: bytes = answer.read()
        return body


def jpeg(width: int, height: int, colour: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, "JPEG")
    return out.getvalue()


def until(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_page_is_that_of_the_query(server: apps.App, web_scenes: Path) -> None:
    db = slicedb.open(web_scenes)
    text = "label <> 'Soup' AND good.confidence > 0.5"
    expected = db.query(text)
    answer = server.ask("/api/page", q=text, a=3, b=9, columns="label,good.confidence")
    assert [row["id"] for row in answer["rows"]] == expected.ids()[3:9]
    assert (answer["a"], answer["b"], answer["count"]) == (3, 9, expected.count())
    assert {*answer["rows"][0]} == {"id", "label", "good.confidence"}
    counted = server.ask("/api/count", q=text)
    assert (counted["count"], counted["total"], counted["kind"]) == (expected.count(), 120, "rows")
    assert counted["version"] == answer["version"]
    beyond = server.ask("/api/page", q=text, a=500, b=510)
    assert (beyond["rows"], beyond["b"]) == ([], 500)


@pytest.mark.parametrize("text", ["", "ORDER BY label", "label <> 'Soup' LIMIT 30", "label > 'B';"])
@pytest.mark.parametrize("sort", ["-good.confidence", "width", "lower(label)"])
def test_sort_gives_the_same_samples_in_another_order(
    server: apps.App, web_scenes: Path, text: str, sort: str
) -> None:
    expected = slicedb.open(web_scenes).query(text).sorted(sort)
    answer = server.ask("/api/page", q=text, sort=sort, a=0, b=200)
    assert [row["id"] for row in answer["rows"]] == expected.ids()
    assert answer["count"] == len(expected.ids()) == server.ask("/api/count", q=text)["count"]


def test_a_pack_holds_the_rows_and_their_pictures(server: apps.App) -> None:
    body = raw(server, "/api/pack", q="label = 'Soup'", a=0, b=4, side=64, columns="split")
    (size,) = struct.unpack("<I", body[:4])
    head = json.loads(body[4 : 4 + size])
    assert [row["split"] for row in head["rows"]] and len(head["sizes"]) == len(head["rows"]) == 4
    assert sum(head["sizes"]) == len(body) - 4 - size
    first = Image.open(io.BytesIO(body[4 + size : 4 + size + head["sizes"][0]]))
    assert first.format == "JPEG" and max(first.size) == 64
    assert b'"key"' not in body[: 4 + size]


def test_a_picture_is_made_anew_and_never_the_file(server: apps.App) -> None:
    id = server.ask("/api/page", q="", a=0, b=1)["rows"][0]["id"]
    picture = Image.open(io.BytesIO(raw(server, "/api/picture", id=id, side=48)))
    assert (picture.format, max(picture.size)) == ("JPEG", 48)


def test_facets_and_histograms_say_what_a_click_adds(server: apps.App) -> None:
    text = "good.confidence > 0.6"
    columns = {"by": "label,split,tags,good.prediction", "histograms": "good.confidence,width"}
    answer = server.ask("/api/facets", q=text, most=5, **columns)
    assert [f["column"] for f in answer["facets"]] == columns["by"].split(",")
    value = answer["facets"][0]["values"][0]
    narrowed = server.ask("/api/count", q=f"{text} AND {value['predicate']}")
    assert narrowed["count"] == value["n"] <= value["total"]
    histogram = answer["histograms"][0]
    assert len(histogram["edges"]) == len(histogram["counts"]) + 1 == len(histogram["totals"]) + 1
    assert sum(histogram["counts"]) + histogram["n_null"] == answer["count"]
    bar = next(i for i, n in enumerate(histogram["counts"]) if n)
    narrowed = server.ask("/api/count", q=f"{text} AND {histogram['predicates'][bar]}")
    assert narrowed["count"] == histogram["counts"][bar]


def test_figures_are_a_table(server: apps.App) -> None:
    text = "SELECT label, count(*) AS n, avg(width) / 0 AS odd FROM samples GROUP BY 1 ORDER BY 1"
    assert server.ask("/api/count", q=text)["kind"] == "table"
    table = server.ask("/api/table", q=text, a=1, b=3)
    assert [c["name"] for c in table["columns"]] == ["label", "n", "odd"]
    assert len(table["rows"]) == 2 < table["count"]
    assert table["rows"][0][2] is None  # JSON has no infinity


@pytest.mark.slow  # an encoder of pictures is loaded
def test_an_uploaded_picture_is_searched_by(server: apps.App) -> None:
    id = server.ask("/api/page", q="", a=0, b=1)["rows"][0]["id"]
    upload = server.ask("/api/uploads", body=raw(server, "/api/picture", id=id, side=512))
    assert upload["name"].startswith("u_") and upload["width"] > 0
    p = json.dumps({"like": upload["name"]})
    found = server.ask("/api/page", q="ORDER BY similarity(image($like)) DESC", p=p, a=0, b=1)
    assert found["rows"][0]["id"] == id
    gone = json.dumps({"like": "u_" + "0" * 16})
    error = server.ask("/api/count", q="nearest(image($like), 3)", p=gone)["error"]
    assert error["message"] == "The uploaded picture is not held any more."


@pytest.mark.parametrize("bad", [b"", b"no picture", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture_is_refused(server: apps.App, bad: bytes) -> None:
    assert server.ask("/api/uploads", body=bad)["error"]["kind"] == "MediaError"


def test_a_picture_that_unpacks_to_too_many_pixels_is_refused(server: apps.App) -> None:
    out = io.BytesIO()
    Image.new("L", (12_000, 12_000)).save(out, "PNG")
    assert len(out.getvalue()) < 200_000
    began = time.monotonic()
    error = server.ask("/api/uploads", body=out.getvalue())["error"]
    assert error["kind"] == "MediaError" and "12000" in error["message"].replace(",", "")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "text",
    [
        "FROM '{}'",
        "FROM read_text('{}')",
        "FROM read_csv('{}')",
        "FROM read_parquet('{}')",
        "FROM read_blob('{}')",
        "FROM glob('{}')",
        "SELECT * FROM query('FROM ''{}''')",
        "COPY samples TO '{}'",
        "ATTACH '{}' AS x",
        "PRAGMA import_database('{}')",
        "INSTALL '{}'",
        "similarity(image('{}')) > 0",
        "ORDER BY similarity('dish', weighted(image('{}'), 2))",
        "nearest(image('{}'), 3)",
    ],
)
@pytest.mark.parametrize("path", ["/api/count", "/api/page", "/api/facets", "/api/table"])
def test_no_query_reads_a_file_or_tells_whether_there_is_one(
    server: apps.App, tmp_path: Path, text: str, path: str
) -> None:
    there = tmp_path / "a.png"
    there.write_bytes(jpeg(8, 8))
    kept = next(f for f in (server.database / "samples.lance").rglob("*") if f.is_file())
    names = [str(there), str(tmp_path / "b.png"), str(kept), f"file://{there}", "http://[::1]:9/x"]
    said = set()
    for name in names:
        answer = server.ask(path, q=text.format(name), a=0, b=1, by="label")
        said.add(json.dumps(answer["error"]).replace(json.dumps(name)[1:-1], "FILE"))
    where = {json.loads(error)["message"] for error in said}
    assert len(where) == 1, said


@pytest.mark.parametrize(
    "id", ["../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "a\0b", "%2e%2e%2f", "x" * 5000]
)
def test_an_id_is_no_path(server: apps.App, id: str) -> None:
    error = server.ask("/api/picture", id=id, side=64)["error"]
    assert error["kind"] == "UnknownSampleError" and "passwd" not in error["hint"]


@pytest.mark.parametrize(
    ("path", "params", "words"),
    [
        ("/api/page", {"a": 0, "b": 100_000}, "no range of places"),
        ("/api/page", {"a": -1, "b": 3}, "no range of places"),
        ("/api/page", {"a": 5, "b": 3}, "no range of places"),
        ("/api/page", {"a": 1 << 62, "b": (1 << 62) + 1}, "no range of places"),
        ("/api/page", {"a": "x", "b": 3}, "integer"),
        ("/api/pack", {"a": 0, "b": 300}, "no range of places"),
        ("/api/pack", {"a": 0, "b": 3, "side": 100_000}, "100000 pixels"),
        ("/api/picture", {"id": "x", "side": 1}, "1 pixels"),
        ("/api/facets", {"by": "lable"}, "lable"),
        ("/api/facets", {"by": ",".join(["label"] * 30)}, "30 columns"),
        ("/api/facets", {"by": "label", "most": 10_000}, "most=10000"),
        ("/api/facets", {"by": "label", "histograms": "width", "bins": 10_000}, "bins=10000"),
        ("/api/count", {"q": "label = $l", "p": "[1]"}, "no JSON object"),
        ("/api/count", {"q": "label = $l", "p": "{"}, "no JSON"),
        ("/api/count", {"q": "label = $l"}, "no value"),
        ("/api/count", {"q": "label = 'x", "commit": "never"}, "never"),
        ("/api/page", {"sort": "lable", "a": 0, "b": 1}, "lable"),
        ("/api/page", {"sort": "label) LIMIT (1", "a": 0, "b": 1}, "not one column"),
    ],
)
def test_a_wrong_question_is_answered_in_words(
    server: apps.App, path: str, params: dict[str, object], words: str
) -> None:
    error = server.ask(path, **params)["error"]
    assert re.search(words, error["message"]), error


def test_an_error_says_where_it_is(server: apps.App) -> None:
    error = server.ask("/api/count", q="label = 'Soup'\nAND lable = 'x'")["error"]
    assert error["kind"] == "BindError" and "label" in error["hint"]
    assert error["where"]["line"] == 2 and error["where"]["token"] == "lable"


def test_the_box_is_helped_while_one_types(server: apps.App) -> None:
    answer = server.ask("/api/complete", text="label = 'So AND width > 3", place=11)
    assert (answer["from"], answer["to"]) == (8, 11)
    assert answer["options"][0]["insert"] == "'Soup'"
    assert server.ask("/api/complete", text="good.conf")["options"][0]["label"] == "confidence"
    assert server.ask("/api/complete", text="-- x")["options"] == []
    assert server.ask("/api/check", text="label = 'Soup'") == {"errors": []}
    (error,) = server.ask("/api/check", text="in_slice('forks') AND lable = 1")["errors"]
    assert (error["start"], error["end"], error["token"]) == (22, 27, "lable")
    assert server.ask("/api/check", text="label = $l", p=json.dumps({"l": "x"})) == {"errors": []}


def test_what_a_text_may_name_is_listed(server: apps.App) -> None:
    answer = server.ask("/api/columns")
    columns = {column["column"]: column for column in answer["columns"]}
    assert columns["label"]["facet"] and not columns["label"]["histogram"]
    assert columns["good.confidence"]["histogram"] and not columns["uri"]["facet"]
    assert columns["uri"]["aside"] and not columns["label"]["aside"]
    assert columns["label"]["sort"] and not columns["tags"]["sort"]
    internal = {
        "key",
        "stamp",
        "row_stamp",
        "phash",
        "turned_phash",
        "dct_hash",
        "sha256",
        "source",
    }
    internal |= {"good.content", "good.fingerprint", "good.id"}
    assert not internal & columns.keys()
    assert {*answer["models"]} == {"good", "weak"} and "forks" in answer["slices"]
    assert any(row["name"] == "similarity" for row in answer["functions"])


def test_an_error_of_a_column_marks_nothing_in_the_box(server: apps.App) -> None:
    error = server.ask("/api/facets", q="label = 'Soup'", by="lable")["error"]
    assert error["where"] is None and "lable" in error["message"]


class Reader:
    """Asks one question and can leave before the answer comes."""

    def __init__(self, app: apps.App, path: str, **params: object) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(app.url).netloc, timeout=60)
        headers = {"Cookie": app.cookie, "X-SliceDB": "1"}
        self.connection.request("GET", f"{path}?{urlencode(params)}", headers=headers)

    def leave(self) -> None:
        self.connection.close()

    def answer(self) -> tuple[int, Any]:
        response = self.connection.getresponse()
        return response.status, json.loads(response.read())


def processor_seconds(app: apps.App) -> float:
    ticks = (
        Path(f"/proc/{app.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    )
    return (int(ticks[11]) + int(ticks[12])) / 100


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_the_query_of_a_reader_who_leaves_ends(own_server: apps.App) -> None:
    reader = Reader(own_server, "/api/count", q=LONG)
    before = processor_seconds(own_server)
    until(lambda: processor_seconds(own_server) > before + 0.5)
    reader.leave()
    time.sleep(1.0)
    then = processor_seconds(own_server)
    time.sleep(1.0)
    assert processor_seconds(own_server) < then + 0.3
    assert own_server.ask("/api/count", q="label = 'Soup'")["count"] > 0


def test_one_who_asks_a_hundred_slow_queries_keeps_nobody_waiting(own_server: apps.App) -> None:
    app, busy = own_server, [Reader(own_server, "/api/count", q=LONG) for _ in range(100)]
    try:
        statuses: list[int] = []
        for reader in busy[50:]:
            threading.Thread(
                target=lambda r=reader: statuses.append(r.answer()[0]),  # type: ignore[misc]
                daemon=True,
            ).start()
        until(lambda: statuses)
        assert {*statuses} == {429}
        other = app.sign_in()
        began = time.monotonic()
        for text in ("label = 'Soup'", "label = 'Bread'", "ORDER BY label"):
            assert app.ask("/api/page", q=text, a=0, b=3, cookie=other)["rows"]
        id = app.ask("/api/page", q="", a=0, b=1, cookie=other)["rows"][0]["id"]
        assert raw(app, "/api/picture", id=id, side=32)[:2] == b"\xff\xd8"
        assert time.monotonic() - began < 20
    finally:
        for reader in busy:
            reader.leave()
