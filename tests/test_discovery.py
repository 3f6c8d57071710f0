"""Discovery: what is planted is found and proved on samples that nothing was chosen on."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from fakes_boxes import box, objects
from fakes_discovery import clusters, planted

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.curate.cells import cells_of
from slicedb.curate.proof import Proof, fisher, half_of
from slicedb.curate.sliceline import Evidence, Score, SliceLine, conjunctions
from slicedb.embedding import load_encoder
from slicedb.errors import (
    CheckError,
    EmbeddingError,
    PredictionError,
    SliceError,
    UnknownEmbeddingError,
    UnknownModelError,
)


def drawn(n: int, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "site": np.array([f"site{k}" for k in rng.integers(0, 5, n)]),
        "light": pa.array([["day", "night", None][k] for k in rng.integers(0, 3, n)]),
        "camera": rng.integers(0, 4, n),
        "age": rng.normal(50, 12, n),
        "indoors": rng.random(n) < 0.5,
        "kind": np.array([f"k{k}" for k in rng.integers(0, 3, n)]),
    }


def is_null(column: pa.Array) -> np.ndarray:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False))


@pytest.mark.parametrize("score", [SliceLine, Evidence])
@pytest.mark.parametrize("graded", [False, True])
def test_no_conjunction_scores_higher_than_those_returned(score: type[Score], graded: bool) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        n = 300
        rows = pa.table({f"a{k}": rng.integers(0, 3, n) for k in range(5)})
        cells = cells_of(rows, rows.column_names)
        values = rng.random(n) if graded else (rng.random(n) < 0.3).astype(float)
        among, price = rng.random(n) < 0.8, rng.random(len(cells)) * 0.1
        members = np.zeros((n, len(cells)), bool)
        members[cells.sample, cells.cell] = True
        of, expected = score(values[among]), []
        for length in (1, 2, 3):
            for combination in itertools.combinations(range(1, len(cells)), length):
                mask = members[:, combination].all(axis=1) & among
                if len(set(cells.column[list(combination)])) == length and mask.sum() >= 9:
                    value = of(np.array([mask.sum()]), np.array([values[mask].sum()]))[0]
                    value -= price[list(combination)].sum()
                    if value > 0:
                        expected.append((-value, combination))
        best = conjunctions(cells, values, among, least=9, most=6, score=score, price=price)
        assert [c.cells for c in best] == [cells for _, cells in sorted(expected)[:6]]
        assert [-c.score for c in best] == pytest.approx([v for v, _ in sorted(expected)[:6]])


def test_the_score_is_that_of_the_paper() -> None:
    values = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    score = SliceLine(values, alpha=0.9)
    # 0.9 (0.5 / 0.25 - 1) - 0.1 (8 / 4 - 1)
    assert score(np.array([4]), np.array([2.0])) == pytest.approx([0.8])


def test_the_exact_test_is_that_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for k, n, wrong, total in ((3, 4, 4, 8), (0, 5, 2, 9), (40, 60, 90, 900), (5, 5, 5, 5)):
        expected = stats.hypergeom.sf(k - 1, total, wrong, n)
        assert fisher(k, n, wrong, total) == pytest.approx(expected, rel=1e-9)


def test_planted_conjunctions_are_found_exactly(tmp_path: Path) -> None:
    n = 4000
    columns = drawn(n)
    first = (columns["site"] == "site3") & (columns["camera"] == 1)
    second = is_null(columns["light"]) & columns["indoors"] & (columns["kind"] == "k0")
    third = columns["age"] < np.quantile(columns["age"], 0.1999)
    rng = np.random.default_rng(1)
    rate = np.select([first, second, third], [0.8, 0.6, 0.25], 0.04)
    db = planted(tmp_path / "d.slicedb", columns, rng.random(n) < rate)
    report = db.discover("m")
    found = [f.query for f in report.confirmed]
    assert set(found[:2]) == {
        "site = 'site3' AND camera = 1",
        "light IS NULL AND indoors = true AND kind = 'k0'",
    }
    assert found[2].startswith("age < ") and len(found) == 3
    for finding, mask in zip(report.confirmed, (first, second)):
        if finding.query.startswith("light"):
            mask = second
        elif finding.query.startswith("site"):
            mask = first
        assert sorted(db.query(finding.query).ids()) == [f"s{i:06d}" for i in np.flatnonzero(mask)]
    for finding in report.findings:
        wrong = db.query(f"{finding.query} AND NOT m.correct").count()
        assert (db.query(finding.query).count(), wrong) == (finding.n, finding.n_errors)
        assert finding.low < finding.error < finding.high
        assert finding.rest_high < finding.low or not finding.confirmed
        assert 0 < finding.n_tested < finding.n
    left = db.query(report.unexplained_query).count()
    assert report.unexplained == pytest.approx(left / report.n_errors) and report.unexplained > 0.1
    shown = str(report)
    assert "site = 'site3' AND camera = 1" in shown and "slicedb slice add" in shown
    assert "in no confirmed finding: NOT m.correct AND NOT coalesce(" in shown
    assert report.to_arrow()["query"].to_pylist() == [f.query for f in report.findings]
    assert "<table" in report._repr_html_() and "site = &#x27;site3&#x27;" in report._repr_html_()


def test_ranges_next_to_one_another_become_one(tmp_path: Path) -> None:
    n = 3000
    rng = np.random.default_rng(2)
    size = rng.random(n)
    wrong = rng.random(n) < np.where((size >= 0.2) & (size < 0.6), 0.5, 0.05)
    report = planted(tmp_path / "d.slicedb", {"size": size}, wrong).discover("m")
    assert len(report.findings) == 1
    low, high = (float(part.split()[-1]) for part in report.findings[0].query.split(" AND "))
    assert abs(low - 0.2) < 0.02 and abs(high - 0.6) < 0.02


def test_a_condition_is_true_of_the_samples_that_are_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    n = 300
    texts: list[Any] = ["a'b", "x or y", "", None]
    columns = {
        "few": pa.array(rng.choice([0.1, 0.2, 0.3], n), pa.float32()),
        "real": pa.array(rng.normal(size=n), pa.float32()),
        "nan": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
        "moment": pa.array(rng.integers(0, 10**15, n), pa.timestamp("us", tz="UTC")),
        "big": rng.integers(0, 2**60, n),
        "order": pa.array([texts[k] for k in rng.integers(0, 4, n)]),
        "parts": pa.array([["it's", "b"][: rng.integers(0, 3)] for _ in range(n)]),
    }
    db = planted(tmp_path / "d.slicedb", columns, rng.random(n) < 0.3)
    rows = db.store.take(schema.SAMPLES, db.keys(), list(columns))
    cells = cells_of(rows, list(columns))
    counted = [f"count(*) FILTER (WHERE {query})" for query in cells.queries[1:]]
    said = db.sql(f"SELECT {', '.join(counted)} FROM samples").to_pylist()[0]
    assert list(said.values()) == np.bincount(cells.cell, minlength=len(cells))[1:].tolist()


def test_where_nothing_is_planted_nothing_is_confirmed(tmp_path: Path) -> None:
    n = 1200
    confirmed = 0
    for seed in range(6):
        wrong = np.random.default_rng(seed + 50).random(n) < 0.15
        db = planted(tmp_path / f"{seed}.slicedb", drawn(n, seed), wrong)
        report = db.discover("m")
        confirmed += len(report.confirmed)
        if not report.findings:
            assert "Nothing was found: 7 columns tell no samples with more errors." in str(report)
            assert report.unexplained == 1
    assert confirmed == 0


@pytest.mark.parametrize("kind", ["rare", "correlated", "noisy"])
def test_clusters_of_vectors_become_predicates(tmp_path: Path, kind: str) -> None:
    vectors, labels, wrong, inside = clusters(kind, seed=3)
    db = planted(tmp_path / "d.slicedb", {}, wrong, labels)
    ids = db.query().ids()
    db.log_embeddings("mine", {"id": ids, "vector": vectors})
    report = db.discover("m")
    finding = next(f for f in report.confirmed if "vectors" in f.kind)
    assert finding == report.findings[0]
    score = finding.query[finding.query.index("similarity(") :].rpartition(" >= ")[0]
    top = db.query(f"{finding.query} ORDER BY {score} DESC LIMIT 10").ids()
    assert np.mean([inside[int(name[1:])] for name in top]) >= 0.8
    assert db.query(finding.query).count() == finding.n
    assert report.embedding == "mine" and report.phrases == 0
    assert "No phrases were searched: The vectors of 'mine' were logged without" in str(report)
    with pytest.raises(EmbeddingError, match="logged without an encoder"):
        db.discover("m", vocabulary=["a cat"])


@pytest.mark.slow
def test_phrases_tell_what_no_column_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    encoder = load_encoder("slicedb-tiny")
    n = 900
    texts = ["a doughnut at night", "sushi", "a dog", "a ship", "a fork", "watermelon"]
    means = encoder.encode_texts(texts)  # (6, d)
    shown = rng.integers(0, len(texts), n)
    vectors = means[shown] + 0.2 * rng.normal(size=(n, means.shape[1])) / means.shape[1] ** 0.5
    wrong = rng.random(n) < np.where(shown == 1, 0.6, 0.06)
    db = planted(tmp_path / "d.slicedb", drawn(n), wrong)
    db.log_embeddings("default", {"id": db.query().ids(), "vector": vectors}, encoder=encoder)
    words = tmp_path / "words.txt"
    words.write_text("sushi\na ship\n\na dog\nsushi\n")
    report = db.discover("m", vocabulary=words)
    assert report.phrases == 3
    first = report.confirmed[0]
    assert first.kind == "meaning" and "'sushi'" in first.query and first.name == "sushi"
    assert {int(i[1:]) for i in db.query(first.query).ids()} == {*np.flatnonzero(shown == 1)}
    usual = db.discover("m")
    assert usual.phrases > 50  # labels, and what the encoder's background names
    assert "'sushi'" in usual.confirmed[0].query


def test_words_of_captions_and_entries_of_lists_are_conditions(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    n = 1200
    nouns = ["table", "forks", "window", "bowl", "plate", "lamp"]
    chosen = rng.integers(0, 6, (n, 2))
    caption = [f"A photo {i} of a {nouns[a]}, a {nouns[b]}." for i, (a, b) in enumerate(chosen)]
    tags = [["wet", "dark"][: rng.integers(0, 3)] for _ in range(n)]
    has = (chosen == 1).any(axis=1)
    dark = np.array([len(each) == 2 for each in tags])
    wrong = rng.random(n) < np.select([has, dark], [0.6, 0.4], 0.05)
    db = planted(tmp_path / "d.slicedb", {"caption": caption, "tags": tags}, wrong)
    report = db.discover("m")
    assert [f.name for f in report.confirmed] == ["caption_forks", "tags_dark"]
    assert db.query(report.confirmed[0].query).count() == has.sum()
    assert report.confirmed[1].query == "list_contains(tags, 'dark')"


def test_confirmed_findings_become_slices_with_an_expectation(tmp_path: Path) -> None:
    n = 1500
    columns = drawn(n)
    bad = columns["site"] == "site2"
    wrong = np.random.default_rng(3).random(n) < np.where(bad, 0.7, 0.05)
    db = planted(tmp_path / "d.slicedb", columns, wrong)
    assert "one of its own for most samples: status" not in str(db.discover("m"))
    assert "for most samples: status." in str(db.discover("m", by=["site", "status"]))
    report = db.discover("m", by=["site"], add=True)
    accuracy = 1 - wrong.mean()
    bound = np.floor(accuracy * 1000) / 1000
    assert report.expectation == f"accuracy >= {bound:g}"
    kept = db.slices.get("site_site2")
    assert kept.text == "site = 'site2'" and kept.expect == (f"accuracy >= {bound:g}",)
    assert report.findings[0].slice == "site_site2"
    assert f"slice site_site2: expects accuracy >= {bound:g}" in str(report)
    again = db.discover("m", by=["site"], add=True)
    assert again.findings[0].slice == "site_site2" and len(db.slices) == 1
    assert str(db.test(model="m").results[0].verdict) == "FAIL"
    db.slices.add("label_cat", "label = 'cat'")
    inside = db.discover("m", "label_cat", by=["site"], add=True)
    assert inside.findings[0].query == "in_slice('label_cat') AND site = 'site2'"
    assert db.slices.get("site_site2_2").text == inside.findings[0].query
    assert "in_slice('label_cat') AND NOT m.correct" in inside.unexplained_query


def test_groups_lie_in_one_half_and_count_as_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    n, n_groups = 1200, 40
    video = rng.integers(0, n_groups, n)
    keys = schema.keys_of([f"s{i:06d}" for i in range(n)])
    half = half_of(keys, video)
    assert all(len(set(half[video == k])) == 1 for k in range(n_groups)) and 0.2 < half.mean() < 0.8
    order = rng.permutation(n)
    assert (half_of(keys[order], video[order]) == half[order]).all()
    # Whole videos are wrong, whatever the column that happens to go with three of them says.
    bad_video = rng.permutation(n_groups)[:9]
    wrong = np.isin(video, bad_video) & (rng.random(n) < 0.9) | (rng.random(n) < 0.03)
    lucky = np.isin(video, [*bad_video[:4], *range(12)])
    columns = {"video": [f"v{k:02d}" for k in video], "lens": np.where(lucky, "a", "b")}
    db = planted(tmp_path / "d.slicedb", columns, wrong)
    alone = db.discover("m", by=["lens"])
    together = db.discover("m", by=["lens"], group="video")
    assert alone.confirmed and not together.confirmed
    proof = Proof(wrong.astype(float), video)
    assert proof.rate(lucky).low < Proof(wrong.astype(float)).rate(lucky).low


def test_losses_of_detectors_are_explained_per_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    n = 240
    db = slicedb.open(tmp_path / "d.slicedb")
    ids = [f"s{i:03d}" for i in range(n)]
    truth = [[box("cell", 5, 5, 20, 20), box("cell", 60, 60, 20, 20)] for _ in ids]
    dim = rng.random(n) < 0.3
    said = [
        [box("cell", 5, 5, 20, 20, 0.9)]
        + ([] if is_dim and rng.random() < 0.8 else [box("cell", 60, 60, 20, 20, 0.8)])
        for is_dim in dim
    ]
    rows = {"id": ids, "key": schema.keys_of(ids), "status": ["ok"] * n}
    db.store.append(schema.SAMPLES, pa.table(rows))
    db.attach({"id": ids, "objects": truth, "light": np.where(dim, "dim", "bright")}, partial=True)
    db.log_predictions("det", pa.table({"id": ids, "objects": objects(said)}))
    report = db.discover("det", add=True)
    assert report.measure == "loss" and report.findings[0].query == "light = 'dim'"
    assert report.findings[0].confirmed and report.expectation.startswith("map >= 0.")
    assert "a mean loss of" in str(report) and report.unexplained_query == ""
    errors = db.discover("det", measure="error")
    assert errors.findings[0].query == "light = 'dim'"
    assert errors.findings[0].n_errors == db.query("light = 'dim' AND NOT det.correct").count()


def test_another_truth_and_an_earlier_commit_are_judged(tmp_path: Path) -> None:
    n = 600
    columns = drawn(n)
    db = planted(tmp_path / "d.slicedb", columns, np.zeros(n, bool))
    rng = np.random.default_rng(9)
    labels = db.sql("SELECT id, label FROM samples ORDER BY id")
    swapped = (columns["site"] == "site1") & (rng.random(n) < 0.8)
    second = [
        {"cat": "dog", "dog": "cat"}[name] if bad else name
        for name, bad in zip(labels["label"].to_pylist(), swapped)
    ]
    db.attach({"id": labels["id"].to_pylist(), "second": second})
    db.commit("before", tag="before")
    db.delete("site = 'site1' AND second = label")
    report = db.at("before").discover("m", truth="second", by=["site"])
    assert report.findings[0].query == "site = 'site1'"
    assert db.at("before").query(report.unexplained_query).count() == 0 == report.unexplained
    keyed = db.discover("m", db.keys("label = 'cat'"), truth="second", by=["site"])
    assert keyed.n < 300 and "queries speak of all samples" in str(keyed)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"model": "n"}, UnknownModelError, "No predictions of a model 'n'. Hint: predictions: m"),
        ({"on": "id < 's000020'"}, CheckError, "Only 20 samples can be judged"),
        ({"on": "site = 'nowhere'"}, SliceError, "There are no samples"),
        ({"on": "m.correct"}, CheckError, "'m' has all of 150 samples right"),
        ({"on": "NOT m.correct"}, CheckError, "'m' has all of 50 samples wrong"),
        ({"by": ["sight"]}, CheckError, "no column 'sight'.*'site'"),
        ({"group": "sight"}, CheckError, "No column 'sight' to group by"),
        ({"vocabulary": ["a cat"]}, CheckError, "there are none.*slicedb embed"),
        ({"vocabulary": []}, CheckError, "there are none|has 0 phrases"),
        ({"depth": 0}, CheckError, "depth is 0"),
        ({"embedding": "clip"}, UnknownEmbeddingError, "No embedding 'clip'"),
        ({"on": "true ORDER BY id LIMIT 40"}, CheckError, "is not a predicate"),
    ],
)
def test_wrong_input_is_told(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    n = 200
    site = np.array(["a", "b"])[np.arange(n) % 3 % 2]
    db = planted(tmp_path / "d.slicedb", {"site": site}, np.arange(n) % 4 == 1)
    with pytest.raises(error, match=says):
        db.discover(**{"model": "m", **options})


def test_one_class_is_told_and_a_scope_of_one_is_not(tmp_path: Path) -> None:
    wrong = np.arange(300) % 10 < 3
    db = planted(tmp_path / "d.slicedb", {"site": np.where(wrong, "a", "b")}, wrong)
    assert db.discover("m", "label = 'cat'").confirmed[0].query == "label = 'cat' AND site = 'a'"
    db.relabel("label = 'cat'", "dog")
    with pytest.raises(CheckError, match="'m' predicted 300 samples, all of one class"):
        db.discover("m")


def test_samples_that_nobody_judged_are_told(tmp_path: Path) -> None:
    db = planted(tmp_path / "d.slicedb", {}, np.arange(60) % 5 == 0)
    ids = db.query().ids()
    db.relabel(f"id >= '{ids[40]}'", None)
    with pytest.raises(PredictionError, match="None of the 20 samples has both"):
        db.discover("m", f"id >= '{ids[40]}'")
    assert db.discover("m").left_out == 20


def test_a_model_is_not_explained_by_samples_that_it_has_seen(tmp_path: Path) -> None:
    n = 300
    split = np.where(np.arange(n) < 200, "train", "test")
    wrong = np.random.default_rng(0).random(n) < 0.3
    db = planted(tmp_path / "d.slicedb", {"split": split}, wrong)
    clean = db.commit("clean", tag="clean")
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2)
    )
    model = slicedb.models.TorchClassifier(net, classes=["cat", "dog"])
    db.models.add("m", model, trained_on="clean", replace=True)
    assert db.models.show("m").trained_on == clean.id
    with pytest.raises(PredictionError, match=r"'m' was trained on 200 of the 300.*split IS"):
        db.discover("m")
    assert db.discover("m", "split = 'test'").n == 100


def test_the_command_line_says_the_same(tmp_path: Path) -> None:
    n = 1000
    columns = drawn(n)
    wrong = np.random.default_rng(3).random(n) < np.where(columns["camera"] == 2, 0.6, 0.05)
    path = str(tmp_path / "d.slicedb")
    planted(Path(path), columns, wrong)

    def run(*args: str) -> str:
        command = ["--db", path, "discover", "m", *args]
        result = CliRunner().invoke(verbs, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    assert "camera = 2" in run() and "No vectors were searched" in run()
    assert "camera" not in run("--by", "site,light", "--most", "1")
    assert run("--format", "csv").splitlines()[1].startswith("camera = 2,columns,True,")
    assert "slice camera_2: expects accuracy >= 0.8" in run("--add")
