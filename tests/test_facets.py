"""Facets, histograms and pages of any query: counts as its own queries give them."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_models import png

import slicedb
from slicedb.cli import verbs
from slicedb.errors import BindError, QueryError

N = 40


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """40 pictures, two of them broken; lists with repeats, NULL, empty; NaN; a heavy tail."""
    folder = tmp_path_factory.mktemp("facets")
    for i in range(N):
        part = folder / "photos" / ("test" if i % 4 == 0 else "train") / ("a" if i % 2 else "b")
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{i:02}.png").write_bytes(png((i * 5, 3, 4)) if i > 1 else b"\x89PNG")
    made = slicedb.open(folder / "f.slicedb")
    made.ingest(folder / "photos", progress=False)
    ids = sorted(made.sql("SELECT id FROM samples WHERE status = status")["id"].to_pylist())
    i = np.arange(N)
    noises = [
        None if k % 5 == 0 else [] if k % 5 == 1 else ["hum", "hum", "it's"][: k % 4] for k in i
    ]
    columns = {
        "id": ids,
        "lux": pa.array(np.where(i % 7 == 3, np.nan, i * 0.1), pa.float32()),
        "noises": pa.array(noises, pa.list_(pa.string())),
        "price": pa.array([None if k % 9 == 0 else 10.0**12 if k == 20 else k % 10 for k in i]),
        "stars": pa.array(i % 5, pa.int16()),
        "seen": pa.array([datetime(2026, 1 + k % 3, 1 + k % 20, 12, 30, 1, k) for k in i]),
        "depths": pa.array([[0.5, float(k)] for k in i], pa.list_(pa.float64())),
        "is_wet": pa.array([bool(k % 3) for k in i]),
    }
    made.attach(pa.table(columns))
    train = made.query("split = 'train'").ids()
    label = ["b" if k % 3 else "a" for k in range(len(train))]
    made.log_predictions("m", {"id": train, "prediction": label})
    made.slices.add("bright", "lux > 1.5")
    return made


QUERIES = (
    "",
    "lux > 1",
    "label = 'a' -- of the folder",
    "ORDER BY lux DESC LIMIT 7",
    "SELECT id, lux FROM samples WHERE lux > 2",
    "status <> 'ok'",
    "in_slice('bright') OR m.prediction = 'a'",
    "label = 'none such'",
)
BY = ("label", "split", "noises", "lux", "stars", "is_wet", "m.prediction", "lux > 2", "seen")


@pytest.mark.parametrize("text", QUERIES)
def test_each_value_counts_what_its_query_gives(db: slicedb.Database, text: str) -> None:
    q = db.query(text)
    report = q.facets(BY, most=5)
    assert report.n == q.count() and [f.column for f in report.facets] == list(BY)
    for facet in report.facets:
        assert [db.query(v.query).count() for v in facet.values] == [v.n for v in facet.values]
        if not facet.is_list:
            assert sum(v.n for v in facet.values) + facet.n_rest == report.n


@pytest.mark.parametrize("text", QUERIES[1:6])
@pytest.mark.parametrize("column", ["lux", "price", "stars", "seen", "depths", "lux * 3 - 1"])
def test_each_bin_counts_what_its_query_gives(db: slicedb.Database, text: str, column: str) -> None:
    q = db.query(text)
    report = q.histogram(column, bins=5)
    assert len(report.bins) <= 5 + 2
    if column != "depths":  # whose bins count elements
        assert [db.query(b.query).count() for b in report.bins] == [b.n for b in report.bins]
        assert report.n + report.n_null + report.n_odd == q.count()
    assert sum(b.overall for b in report.bins) == report.overall


def test_facets_count_under_the_query_and_overall(db: slicedb.Database) -> None:
    report = db.query("stars = 2").facets(["label", "noises", "m.prediction"])
    assert (report.n, report.overall) == (8, 38)
    label = report["label"]
    assert [(v.value, v.n, v.overall) for v in label.values] == [("a", 4, 19), ("b", 4, 19)]
    everything = db.query().facets("noises")["noises"]
    assert everything.is_list and everything.n_values == 2
    assert everything[None].overall == db.query("noises IS NULL").count()
    assert everything["hum"].n == db.query("list_contains(noises, 'hum')").count()
    assert everything[[]].n == db.query("len(noises) = 0").count() > 0
    predictions = report["m.prediction"]
    assert predictions[None].overall == db.query("m.prediction IS NULL").count() > 0
    with pytest.raises(KeyError, match="does not list 'zebra'"):
        label["zebra"]


@pytest.mark.parametrize("text", QUERIES)
def test_a_summary_counts_what_facets_and_histograms_count(db: slicedb.Database, text: str) -> None:
    q = db.query(text)
    columns = ["lux", "seen", "depths"]
    report = q.summary(BY, columns, most=4, bins=6)
    assert repr(report.facets.facets) == repr(q.facets(BY, most=4).facets)  # nan is not nan
    assert list(report.histograms) == [q.histogram(column, bins=6) for column in columns]
    assert (report.n, report.overall) == (report.facets.n, report.facets.overall)
    assert report["label"] is report.facets["label"] and report["lux"] is report.histograms[0]
    rows = report.to_arrow()
    assert rows.num_rows == sum(len(f.values) for f in report.facets.facets) + sum(
        len(h.bins) for h in report.histograms
    )
    assert rows.column_names == ["column", "value", "low", "high", "n", "overall", "query"]


@pytest.mark.parametrize("most", [1, 20])
def test_what_other_queries_counted_changes_no_figure(
    db: slicedb.Database, tmp_path: Path, most: int
) -> None:
    db = slicedb.open(shutil.copytree(db.path, tmp_path / "copy.slicedb"))
    by, columns = ["label", "noises", "stars", "is_wet", "m.prediction"], ["lux", "depths", "seen"]

    def counted(of: slicedb.Database, text: str) -> str:
        return repr(of.query(text).summary(by, columns, most=most, bins=6))

    for text in ("", "status <> 'ok'"):  # counted among samples that are shown, and among all
        counted(db, text)
    kept = db.engine.session.overalls
    assert len(kept) == 2
    for text in QUERIES:
        assert counted(db, text) == counted(slicedb.open(db.path), text), text
    assert len(kept) == 2  # the others counted their own samples alone
    db.relabel("stars = 2", "other")
    for text in QUERIES[:3]:
        assert counted(db, text) == counted(slicedb.open(db.path), text), text
    assert len(kept) == 3


def test_a_facet_of_many_values_is_counted_anew(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.query.derived import overall

    monkeypatch.setattr(overall, "MOST_VALUES", 3)
    kept = len(db.engine.session.overalls)
    first, again = (db.query("lux > 1").facets("lower(id)", most=5) for _ in range(2))
    assert repr(first) == repr(again) and len(first["lower(id)"].values) == 5
    assert len(db.engine.session.overalls) == kept


def test_what_a_value_adds_is_said_beside_its_query(db: slicedb.Database) -> None:
    report = db.query("lux > 1").summary(["label", "noises"], "stars", bins=5)
    label, noise = report.facets["label"].values[0], report.facets["noises"]["hum"]
    assert label.predicate == f"label = '{label.value}'"
    assert noise.predicate == "list_contains(noises, 'hum')"
    assert report.histograms[0].bins[0].predicate == "stars >= 0.0e0 AND stars < 1.0e0"
    for value in (label, noise, report.histograms[0].bins[0]):
        assert db.query("lux > 1").where(value.predicate).count() == value.n


def test_boxes_are_counted_by_their_labels(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "boxes.slicedb")
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(png((i, 3, 4)))
    db.ingest(tmp_path, progress=False)
    ids = db.query("ORDER BY id").ids()
    boxes = {ids[0]: ["car", "car"], ids[1]: ["car", "dog's"], ids[2]: []}
    kind = pa.list_(pa.struct([("label", pa.string()), ("bbox", pa.list_(pa.float64()))]))
    column = [[{"label": n, "bbox": [0, 0, 2, 2]} for n in boxes[name]] for name in boxes]
    db.attach(pa.table({"id": ids[:3], "objects": pa.array(column, kind)}), partial=True)
    facet = db.query().facets("objects")["objects"]
    assert facet.is_list and [(v.value, v.n) for v in facet.values] == [
        ("car", 2),
        ("dog's", 1),
        (None, 1),
        ([], 1),
    ]
    assert [db.query(v.query).count() for v in facet.values] == [2, 1, 1, 1]
    assert [db.query(v.predicate).count() for v in facet.values] == [2, 1, 1, 1]


def test_extremes_do_not_press_the_rest_into_one_bin(db: slicedb.Database) -> None:
    report = db.query().histogram("price * 1.0", bins=10)
    assert report.most == 1e12
    values = {"id": db.query().ids(), "tail": np.append(np.arange(37.0), 1e12)}
    db.attach(values)
    tail = db.query("tail < 1e9").histogram("tail", bins=6)
    last = tail.bins[-1]
    assert (last.high, last.n, last.overall) == (None, 0, 1)
    assert db.query().histogram("stars", bins=9).to_arrow()["overall"].to_pylist() == [
        db.query(f"stars = {k}").count() for k in range(5)
    ]


@pytest.mark.parametrize("text", QUERIES)
def test_a_page_is_the_range_of_the_query(db: slicedb.Database, text: str) -> None:
    q = db.query(text)
    ids = q.ids()
    for a, b in ((0, 3), (2, 6), (5, 5), (0, 1000), (1000, 1010)):
        page = q.page(a, b, ["lux", "id", "m.prediction", "stars + 1"])
        assert page["id"].to_pylist() == ids[a:b]
        assert page.column_names == ["lux", "id", "m.prediction", "stars + 1"]
        assert q.page(a, b)["id"].to_pylist() == ids[a:b]
        assert q.page(a, b).column_names == q.columns


def test_a_page_of_figures_is_a_part_of_its_result(db: slicedb.Database) -> None:
    q = db.query("SELECT stars, count(*) AS n FROM samples GROUP BY ALL ORDER BY stars")
    assert q.kept() is q.kept()
    assert q.page(1, 3).to_pylist() == q.to_arrow().to_pylist()[1:3]
    assert q.page(7, 9).num_rows == 0
    with pytest.raises(QueryError, match=r"page\(\) needs samples"):
        q.page(0, 1, ["label"])
    twice = db.query("SELECT id, stars FROM samples, (VALUES (1), (2)) ORDER BY id")
    assert twice.kept()["id"].to_pylist() == twice.ids()
    assert db.query("SELECT random() AS r").kept() != db.query("SELECT random() AS r").kept()


def test_a_page_follows_the_tables(db: slicedb.Database) -> None:
    q = db.query("has_tag('paged') ORDER BY id")
    assert q.page(0, 9, ["id"]).num_rows == 0
    some = db.query("stars = 1").ids()
    db.tag("stars = 1", "paged")
    assert q.page(0, 9, ["id"])["id"].to_pylist() == some
    keys = q.keys()
    keys[:] = 0  # the caller's own: pages do not see it
    assert q.page(0, 9, ["id"])["id"].to_pylist() == some


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda q: q.facets(["lable"]), "lable"),
        (
            lambda q: q.summary(["label"], ["lux", "lux"]),
            "the column 'lux' twice",
        ),
        (lambda q: q.summary("label", "is_wet"), "BOOLEAN"),
        (lambda q: q.summary("label, split", "lux"), "no values to count"),
        (lambda q: q.facets([]), "no column"),
        (lambda q: q.facets(["label, split"]), "no values to count"),
        (lambda q: q.facets(["label) AS a, (split"]), "not one column"),
        (lambda q: q.facets(["count(*)"]), "GROUP BY"),
        (lambda q: q.histogram("max(lux)"), "GROUP BY"),
        (lambda q: q.page(0, 2, ["count(*)"]), "GROUP BY"),
        (lambda q: q.facets(["label", "label"]), "twice"),
        (lambda q: q.facets("label", most=0), "lists no value"),
        (lambda q: q.histogram("label"), "VARCHAR.*facets"),
        (lambda q: q.histogram("is_wet"), "BOOLEAN"),
        (lambda q: q.histogram("lux", bins=0), "bins=0"),
        (lambda q: q.histogram("lux", bins=1001), "bins=1001"),
        (lambda q: q.page(-1, 3), "no range"),
        (lambda q: q.page(3, 1), "no range"),
        (lambda q: q.page(0, 1, ["lux", "lux"]), "twice"),
        (lambda q: q.page(0, 1, ["lx"]), "lx"),
    ],
)
def test_what_cannot_be_counted_says_so(db: slicedb.Database, call: object, words: str) -> None:
    with pytest.raises((QueryError, BindError), match=words):
        call(db.query("lux > 1"))  # type: ignore[operator]


def test_status_is_counted_where_that_changes_no_sample(db: slicedb.Database) -> None:
    assert db.query("lux > -1").facets("status")["status"]["ok"].overall == 38
    everything = db.query("status = status").facets("status")["status"]
    assert [v.n for v in everything.values] == [38, 2]
    with pytest.raises(QueryError, match="status would change"):
        db.query("ORDER BY lux LIMIT 3").facets("status")


def test_chance_is_refused(db: slicedb.Database) -> None:
    with pytest.raises(QueryError, match="other samples each time"):
        db.query("random() < 0.5").facets("label")


def test_they_show_themselves(db: slicedb.Database) -> None:
    report = db.query("lux > 1").facets("label", most=1)
    assert "... 1 more value" in str(report) and "<table" in report._repr_html_()
    shown = db.query("lux > 1").histogram("lux", bins=3)
    assert "█" in str(shown) and "NaN or infinite: 5 of 5" in str(shown)
    runner = CliRunner()
    args = ["--db", db.path, "facets", "lux > 1", "--by", "label,coalesce(split, 'none')"]
    done = runner.invoke(verbs, [*args, "-f", "csv"])
    assert done.exit_code == 0 and "coalesce(split, 'none')" in done.output
    done = runner.invoke(verbs, ["--db", db.path, "histogram", "lux > 1", "lux", "--bins", "3"])
    assert done.exit_code == 0 and "█" in done.output, done.output


@pytest.mark.parametrize("text", [*QUERIES, "label = 'a' ORDER BY stars;", "lux > 1 LIMIT 9"])
@pytest.mark.parametrize("by", ["-lux", "label", "m.prediction", "-lux * 2"])
def test_sorted_gives_the_same_samples(db: slicedb.Database, text: str, by: str) -> None:
    q = db.query(text)
    other = q.sorted(by)
    assert sorted(other.ids()) == sorted(q.ids())
    values = other.page(0, 40, [by.removeprefix("-")]).column(0).to_pylist()
    given = [v for v in values if v is not None]
    assert values[: len(given)] == given  # NULL comes last
    if by == "label":
        assert given == sorted(given)


@pytest.mark.parametrize("by", ["lable", "label) LIMIT (1", "count(*)", ""])
def test_what_cannot_be_sorted_by_is_refused(db: slicedb.Database, by: str) -> None:
    with pytest.raises(QueryError):
        db.query("lux > 1").sorted(by)


def test_the_first_places_of_an_order_need_no_sort_of_all(db: slicedb.Database) -> None:
    q = db.query("lux < 99 ORDER BY -stars, id DESC")
    assert q.awaits_order
    first = q.page(0, 5, ["id"])["id"].to_pylist()
    assert q.awaits_order
    assert q.ids()[:5] == first and q.keys() is not None
    assert not q.awaits_order
    assert q.page(0, 5, ["id"])["id"].to_pylist() == first
