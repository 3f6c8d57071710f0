"""Nearest vectors whose pixels agree: parts of pictures, and pictures turned a little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_looks import encoded, fill, picture
from PIL import Image

import slicedb
from slicedb import media
from slicedb.curate.neighbours import nearest
from slicedb.curate.registered import agreement
from slicedb.progress import Bar
from slicedb.vectors import Matrix


def cut(image: Image.Image, size: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    """Return a part of a picture; x and y say where, 0 to 1."""
    width, height = image.size
    left, top = x * (1 - size) * width, y * (1 - size) * height
    return image.crop((int(left), int(top), int(left + size * width), int(top + size * height)))


def gray(*images: Image.Image) -> np.ndarray:
    return np.stack([media.inspect(encoded(image)).gray for image in images])


@pytest.mark.parametrize(
    "change",
    [
        lambda image: cut(image, 0.8),
        lambda image: cut(image, 0.75, 0.0, 1.0),
        lambda image: cut(image, 0.9, 1.0, 0.25),
        lambda image: image.rotate(5),
        lambda image: image.rotate(-7),
        lambda image: image.resize((90, 70)),
    ],
)
def test_parts_and_turned_pictures_agree_either_way_round(change: object) -> None:
    pictures = [picture(i) for i in range(6)]
    changed = [change(image) for image in pictures]  # type: ignore[operator]
    grays = gray(*pictures, *changed)
    one, other = np.arange(6), np.arange(6, 12)
    assert agreement(grays, one, other).min() > 0.85
    assert agreement(grays, other, one).tolist() == agreement(grays, one, other).tolist()
    assert agreement(grays, one, np.roll(other, 1)).max() < 0.6


def test_flat_pictures_agree_with_nothing() -> None:
    flat = np.full((2, 32, 32), 128, np.uint8)
    assert agreement(flat, np.array([0]), np.array([1])).tolist() == [0.0]


def test_nearest_vectors_are_those_of_a_plain_search() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 8)).astype(np.float16)
    left, right, cosines = nearest(Matrix(np.arange(50), vectors), np.arange(50), 3, Bar())
    unit = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -1)
    top = np.argsort(-scores, axis=1)[:, :3]
    expected = {(min(i, j), max(i, j)) for i in range(50) for j in top[i].tolist()}
    assert set(zip(left.tolist(), right.tolist())) == expected
    assert cosines == pytest.approx(scores[left, right], abs=1e-3)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """Pictures, parts of two of them, and vectors in which unrelated ones are near too."""
    files = {f"{i}.png": encoded(picture(i)) for i in range(12)}
    files |= {
        "0_part.png": encoded(cut(picture(0), 0.8)),
        "1_turned.png": encoded(picture(1).rotate(3)),
    }
    db = slicedb.open(tmp_path / "db")
    db.ingest(fill(tmp_path / "in", files), progress=False)
    rng = np.random.default_rng(0)
    base = rng.normal(size=16)
    vectors = base + 0.02 * rng.normal(size=(len(files), 16))
    vectors[-2:] = vectors[:2] + 0.001 * rng.normal(size=(2, 16))
    db.log_embeddings("default", pa.table({"id": list(files), "vector": vectors.tolist()}))
    return db


def test_pixels_decide_which_near_vectors_are_duplicates(db: slicedb.Database) -> None:
    found = db.duplicates(progress=False)
    assert {frozenset(group.ids) for group in found.groups} == {
        frozenset({"0.png", "0_part.png"}),
        frozenset({"1.png", "1_turned.png"}),
    }
    assert {group.kind for group in found.groups} == {"vectors"}
    assert all(row["cosine"] > 0.9 for row in found.pairs.to_pylist())
    assert db.duplicates(by="hash").groups == ()
    assert len(db.duplicates(by="vectors", cosine=0.9).groups) == 1  # all are near


def test_where_no_picture_can_be_read_cosines_have_to_do(
    db: slicedb.Database, tmp_path: Path
) -> None:
    db.store.delete("images", db.query("").ids())
    for file in (tmp_path / "in").iterdir():
        file.unlink()
    found = db.duplicates(by="vectors", progress=False)
    assert [null.what for null in found.nulls] == ["1 - cosine"]
