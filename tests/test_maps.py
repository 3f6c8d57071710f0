"""Maps: projections of embeddings that stay where they are, and lassos over them."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import slicedb
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import EmbeddingError, FingerprintError, QueryError
from slicedb.schema import MAPS
from slicedb.vectors.axes import fit_pca
from slicedb.vectors.lasso import inside
from slicedb.vectors.projection import marks_of


def rings(n: int, dim: int = 6, seed: int = 0) -> np.ndarray:
    """Return float32 (n, dim), of unit length, that vary most along two directions."""
    random = np.random.default_rng(seed)
    turn = random.uniform(0, 2 * np.pi, n)
    vectors = random.normal(0, 0.05, (n, dim))
    vectors[:, 0] += 3
    vectors[:, 1] += 2 * np.cos(turn)
    vectors[:, 2] += np.sin(turn)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def ids_of(n: int, first: int = 0) -> list[str]:
    return [f"s{i:05d}" for i in range(first, first + n)]


def vectors_table(ids: list[str], vectors: np.ndarray) -> pa.Table:
    flat = pa.array(vectors.reshape(-1))
    return pa.table({"id": ids, "v": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})


def samples(path: Path, n: int) -> Database:
    """Return a database of rows without pictures, which maps do not open."""
    from slicedb.schema import SAMPLES, keys_of

    db = slicedb.open(path)
    add(db, ids_of(n), keys_of)
    assert db.store.count(SAMPLES) == n
    return db


def add(db: Database, ids: list[str], keys_of: object = None) -> None:
    from slicedb.schema import SAMPLES
    from slicedb.schema import keys_of as key

    shas = [hashlib.sha256(i.encode()).hexdigest() for i in ids]
    labels = [("cat", "dog")[n % 2] for n in range(len(ids))]
    table = {
        "id": ids,
        "key": key(ids),
        "sha256": shas,
        "label": labels,
        "status": ["ok"] * len(ids),
    }
    db.store.append(SAMPLES, pa.table(table))


@pytest.fixture
def db(tmp_path: Path) -> Database:
    db = samples(tmp_path / "d.slicedb", 200)
    db.log_embeddings("default", vectors_table(ids_of(190), rings(190)))
    return db


def points(db: Database, name: str = "pca") -> dict[str, tuple[float, float]]:
    rows = db.sql(f"SELECT id, map_x('{name}') AS x, map_y('{name}') AS y FROM samples")
    at = zip(rows["x"].to_pylist(), rows["y"].to_pylist())
    return dict(zip(rows["id"].to_pylist(), at))


def test_pca_agrees_with_scikit_learn_and_has_one_sign() -> None:
    from sklearn.decomposition import PCA

    vectors = rings(500, 9)
    ours = fit_pca([vectors[:7], vectors[7:300], vectors[300:]], 9)
    theirs = PCA(2, svd_solver="full").fit(vectors.astype(np.float64))
    turns = np.sign((ours.directions * theirs.components_).sum(axis=1))
    assert ours.directions == pytest.approx(theirs.components_ * turns[:, None], abs=1e-4)
    assert ours.shares == pytest.approx(tuple(theirs.explained_variance_ratio_), abs=1e-5)
    at = ours.place(vectors)
    assert at == pytest.approx(theirs.transform(vectors) * turns, abs=1e-4)
    largest = np.abs(ours.directions).argmax(axis=1)
    assert (ours.directions[[0, 1], largest] > 0).all()
    whole = fit_pca([vectors], 9)
    assert whole.directions == pytest.approx(ours.directions, abs=1e-5)
    one = fit_pca([vectors[:, :1]], 1)  # a vector of one number has no second direction
    assert one.place(vectors[:, :1])[:, 1].tolist() == [0.0] * 500


def test_new_samples_are_placed_and_no_other_moves(db: Database) -> None:
    first = db.project()
    assert (first.placed, first.fitted_on, first.without_vector, first.unchanged) == (
        190,
        190,
        10,
        0,
    )
    assert "10 samples have no vector in 'default', and so no point: map_x('pca') IS NULL" in str(
        first
    )
    assert db.query("map_x('pca') IS NULL").count() == 10
    before = points(db)
    add(db, ids_of(50, 200))
    db.log_embeddings("default", vectors_table(ids_of(60, 190), rings(60, seed=1)))
    again = db.project("pca")
    assert (again.placed, again.fitted_on, again.unchanged, again.moved) == (60, 0, 190, 0)
    after = points(db)
    assert {i: after[i] for i in ids_of(190)} == {i: before[i] for i in ids_of(190)}
    assert all(after[i][0] is not None for i in ids_of(60, 190))
    still = db.project("pca")
    assert (still.placed, still.unchanged, still.removed) == (0, 250, 0)


def test_a_changed_vector_moves_its_point_alone_and_deleted_samples_lose_theirs(
    db: Database,
) -> None:
    db.project()
    before = points(db)
    db.log_embeddings("default", vectors_table(["s00003"], rings(1, seed=9)))
    db.delete("id = 's00005'")
    assert [f for f in db.doctor() if f.table != "samples"] == []
    told = db.project()
    assert (told.placed, told.moved, told.unchanged) == (0, 1, 188)
    after = points(db)
    assert [i for i in after if after[i] != before[i]] == ["s00003"]
    assert "s00005" not in db.store.table(MAPS + "pca", ["id"])["id"].to_pylist()
    assert db.info()["maps"] == ["pca"] and "maps: pca" in str(db.info())


def test_most_vectors_changed_is_said(db: Database) -> None:
    db.project()
    db.log_embeddings("default", vectors_table(ids_of(190), rings(190, seed=4)))
    told = db.project()
    assert told.moved > 180 and "replace=True (--replace) fits it again" in str(told)


def test_another_encoder_or_method_fits_again_only_when_asked(db: Database) -> None:
    db.project("m")
    db.log_embeddings("other", vectors_table(ids_of(190), rings(190)[:, ::-1].copy()))
    with pytest.raises(
        EmbeddingError, match=r"of the embedding 'default', not of 'other'.*replace"
    ):
        db.project("m", embedding="other")
    with pytest.raises(EmbeddingError, match="is by pca, not by tsne"):
        db.project("m", "tsne")
    wide = vectors_table(ids_of(190), rings(190, 8))
    db.log_embeddings("default", wide, replace=True)
    with pytest.raises(FingerprintError, match=r"dimensions \(6 and 8\) differ.*replace=True"):
        db.project("m")
    assert db.project("m", replace=True).fitted_on == 190
    assert db.project("m", embedding="other", replace=True).embedding == "other"
    assert db.project("m").embedding == "other"


def test_on_limits_what_is_fitted_and_placed(db: Database) -> None:
    told = db.project("cats", on="label = 'cat'")
    assert (told.fitted_on, told.placed) == (95, 95)
    assert db.project("cats").placed == 95  # the dogs, by the model of the cats


def test_a_map_needs_vectors(tmp_path: Path, db: Database) -> None:
    empty = samples(tmp_path / "e.slicedb", 4)
    with pytest.raises(EmbeddingError, match="no vector to project"):
        empty.project()
    with pytest.raises(QueryError, match="needs a map, there is none"):
        empty.query("in_map('pca', [[0, 0], [1, 0], [0, 1]])")
    empty.log_embeddings("default", vectors_table(ids_of(2), rings(2)))
    with pytest.raises(EmbeddingError, match="2 vectors shows nothing"):
        empty.project()
    with pytest.raises(EmbeddingError, match="No embedding 'defualt'"):
        db.project(embedding="defualt")
    with pytest.raises(EmbeddingError, match="no name for an embedding"):
        db.project("a b")
    with pytest.raises(EmbeddingError, match="No method 'umap'"):
        db.project("x", "umap")  # type: ignore[arg-type]
    empty.log_embeddings("default", vectors_table(ids_of(4), np.repeat(rings(1), 4, axis=0)))
    assert empty.project().placed == 4 and set(points(empty).values()) == {(0.0, 0.0)}


def test_a_lasso_is_a_live_slice_at_every_version(db: Database) -> None:
    db.project()
    db.commit("placed", tag="one")
    at = points(db)
    polygon = [[-1.0, -1.0], [0.0, -1.0], [0.1, 1.0], [-1.0, 1.0]]
    left = db.query("in_map('pca', $where)", params={"where": polygon})
    wanted = {i for i, (x, y) in at.items() if x is not None and x < 0.05 + y * 0.05}
    assert set(left.ids()) == wanted and 20 < len(wanted) < 170
    part = db.slices.add("left", left)
    cats = db.query("in_slice('left') AND label = 'cat'")
    assert cats.count() == len([i for i in wanted if int(i[1:]) % 2 == 0])
    db.slices.freeze("left")
    db.project(on="id < 's00100'", replace=True)
    assert set(db.query("in_map('pca', $p)", params={"p": polygon}).ids()) != wanted
    assert set(db.query(left.text, at="one").ids()) == wanted
    assert set(db.slices.get("left").ids()) == wanted and part.name == "left"
    assert left.plan().reads.tables == {MAPS + "pca"}


def test_points_in_polygons_agree_with_matplotlib() -> None:
    path = pytest.importorskip("matplotlib.path")
    random = np.random.default_rng(3)
    at = random.uniform(-1, 1, (4000, 2))
    at = at[np.argsort(at[:, 1])]
    for n in (3, 5, 40, 300):
        turn = np.sort(random.uniform(0, 2 * np.pi, n))
        far = random.uniform(0.2, 0.9, n)
        corners = np.stack([far * np.cos(turn), far * np.sin(turn)], axis=1)
        theirs = path.Path(corners).contains_points(at)
        ours = inside([(float(x), float(y)) for x, y in corners], at[:, 0], at[:, 1])
        assert ours.tolist() == theirs.tolist()


def test_a_star_is_hollow_and_tiles_share_no_point() -> None:
    corners = [(np.cos(a), np.sin(a)) for a in np.arange(5) * 4 * np.pi / 5 + np.pi / 2]
    spots = np.array([[0.0, -0.9], [0.0, 0.0], [0.0, 0.8]])
    assert inside(corners, spots[:, 0], spots[:, 1]).tolist() == [False, False, True]
    grid = np.array(list(itertools.product(np.arange(8) / 8, repeat=2)))[:, ::-1]
    x, y = grid[:, 0], grid[:, 1]
    tiles = [
        inside([(a, b), (a + 0.25, b), (a + 0.25, b + 0.25), (a, b + 0.25)], x, y)
        for a, b in itertools.product(np.arange(4) / 4, repeat=2)
    ]
    assert np.sum(tiles, axis=0).tolist() == [1] * 64


def test_the_fingerprint_of_a_vector_tells_small_changes() -> None:
    vectors = rings(300, 7).astype(np.float16)
    changed = vectors.copy()
    changed[:, 3] = np.nextafter(changed[:, 3], np.float16(2))
    swapped = vectors[:, ::-1].copy()
    marks = [marks_of(v) for v in (vectors, changed, swapped)]
    assert len(np.unique(np.concatenate(marks))) == 900 and (marks[0] >= 0).all()
    assert marks_of(vectors[5:6]).tolist() == marks[0][5:6].tolist()


@pytest.mark.slow
def test_tsne_places_new_samples_beside_their_neighbours(db: Database) -> None:
    pytest.importorskip("openTSNE")
    told = db.project("tsne", on="id < 's00120'")
    assert (told.method, told.fitted_on, told.placed) == ("tsne", 120, 120)
    before = points(db, "tsne")
    again = db.project("tsne")
    assert (again.placed, again.unchanged, again.fitted_on) == (70, 120, 0)
    after = points(db, "tsne")
    assert {i: after[i] for i in ids_of(120)} == {i: before[i] for i in ids_of(120)}
    vectors, at = rings(190), np.array([after[i] for i in ids_of(190)])
    nearest = (vectors[120:] @ vectors[:120].T).argmax(axis=1)
    apart = np.linalg.norm(at[120:] - at[nearest], axis=1)
    everyone = np.linalg.norm(at[120:, None] - at[None, :120], axis=2)
    assert np.median(apart) < 0.2 * np.median(everyone)


def test_the_command_says_what_was_placed(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--db", db.path, "map", "--on", "label = 'cat'"])
    assert ended.value.code == 0
    assert "pca (pca of 'default'): 95 placed, 0 unchanged" in capsys.readouterr().out
