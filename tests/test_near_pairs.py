"""Which samples are the same: hashes in eight orientations, thresholds from the null, groups."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_looks import copies, encoded, fill, picture

import slicedb
from slicedb import curate, media
from slicedb.curate import null
from slicedb.curate.hashes import Hashes
from slicedb.errors import CheckError
from slicedb.progress import Bar


def gray(n: int, seed: int = 0) -> np.ndarray:
    return np.stack([media.inspect(encoded(picture(seed + i, (64, 64)))).gray for i in range(n)])


def differing(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.bitwise_count(one ^ other).sum())


@pytest.mark.parametrize("number", range(1, 9))
def test_the_hash_of_an_orientation_follows_from_the_upright_one(number: int) -> None:
    upright = gray(6)
    turned = np.stack([media.turn(one, number) for one in upright])
    before, after = media.looks(upright), media.looks(turned)
    views = media.orientations(before.hashes[:, :32])
    hashes = np.ascontiguousarray(after.hashes[:, :32]).view(np.uint64)
    assert max(differing(a, b) for a, b in zip(views[number - 1], hashes)) <= 2
    assert before.turned.tolist() == after.turned.tolist()
    assert (before.hashes[:, 32] == after.hashes[:, 32]).all()


def test_the_signs_are_those_of_the_cosine_transform() -> None:
    from scipy.fft import dctn

    pictures = gray(3)
    for one, stored in zip(pictures, media.looks(pictures).hashes):
        waves = dctn(one.astype(float), norm="ortho")[:16, :16]
        signs = np.unpackbits(stored[:32]).reshape(16, 16)
        clear = np.abs(waves) > 0.2
        clear[0, 0] = False
        assert (signs[clear] == (waves > 0)[clear]).all() and clear.sum() > 100


def test_all_pairs_are_those_of_a_plain_comparison() -> None:
    base = gray(40)
    rng = np.random.default_rng(1)
    noisy = np.clip(base[:15] + rng.normal(0, 2, base[:15].shape), 0, 255).astype(np.uint8)
    turned = np.stack([media.turn(one, i % 8 + 1) for i, one in enumerate(noisy)])
    looks = media.looks(np.concatenate([base, turned]))
    hashes = Hashes(looks.turned, looks.hashes[:, :32])
    found = hashes.pairs(40, Bar())
    plain = {
        (i, j): min(differing(hashes.views[0][i], view[j]) for view in hashes.views)
        for i in range(55)
        for j in range(i + 1, 55)
    }
    expected = {pair: bits for pair, bits in plain.items() if bits <= 40}
    pairs = zip(found.left.tolist(), found.right.tolist())
    assert dict(zip(pairs, found.bits.tolist())) == expected
    assert {(i, 40 + i) for i in range(15)} <= expected.keys()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of 30 pictures, ten copies of another one, and two that are flat."""
    root = tmp_path_factory.mktemp("near")
    files = {f"other{i}.png": encoded(picture(100 + i)) for i in range(30)}
    files |= {f"a/{name}": data for name, data in copies(picture(1)).items()}
    files |= {"a/whole.png": encoded(picture(1)), "a/same.png": encoded(picture(1))}
    flat = {f"flat{i}.png": encoded(picture(0).point(lambda v: 128 + v // 64)) for i in range(1)}
    flat["flat_again.jpg"] = encoded(picture(0).point(lambda v: 128 + v // 64), "JPEG")
    slicedb.open(root / "db").ingest(fill(root / "in", files | flat), progress=False)
    return root / "db"


@pytest.fixture
def db(whole: Path, tmp_path: Path) -> slicedb.Database:
    return slicedb.open(shutil.copytree(whole, tmp_path / "db"))


def named(db: slicedb.Database, keys: np.ndarray) -> list[str]:
    ids: list[str] = db.store.take("samples", keys, ["id"])["id"].to_pylist()
    return ids


def test_every_copy_is_found_whatever_its_orientation(db: slicedb.Database) -> None:
    keys = db.keys()
    near = curate.near_pairs(db.store, keys, by="hash")
    pairs = near.pairs
    ids = dict(zip(keys.tolist(), named(db, keys)))
    of_a = [name for name in ids.values() if name.startswith("a/")]
    assert len(of_a) == 10 and len(pairs) == 45
    assert {ids[k][:2] for side in ("left", "right") for k in pairs[side].to_pylist()} == {"a/"}
    same = [row for row in pairs.to_pylist() if row["kind"] == "bytes"]
    assert [{ids[row["left"]], ids[row["right"]]} for row in same] == [
        {"a/same.png", "a/whole.png"}
    ]
    assert sorted(named(db, near.flat)) == ["flat0.png", "flat_again.jpg"]
    for row in pairs.to_pylist():
        sides = [next(db.store.read_images(np.array([row[s]])))[1] for s in ("left", "right")]
        left, right = (media.inspect(data).gray.astype(int) for data in sides)
        assert np.abs(left - media.turn(right, row["orientation"])).mean() < 6, row


def test_databases_of_before_get_their_hashes_when_they_are_wanted(db: slicedb.Database) -> None:
    keys = db.keys()
    before = curate.near_pairs(db.store, keys, by="hash")
    columns = ["id", "turned_phash", "dct_hash"]
    hashes = db.store.table("samples", columns).sort_by("id")
    db.store.drop_columns("samples", ["turned_phash", "dct_hash"])
    after = curate.near_pairs(db.store, keys, by="hash")
    assert (before.hashed, after.hashed) == (0, 42)
    assert after.pairs.equals(before.pairs)
    assert db.store.table("samples", columns).sort_by("id").equals(hashes)
    assert curate.near_pairs(db.store, keys, by="hash").hashed == 0


def test_an_ingest_into_a_database_of_before_adds_the_columns(
    db: slicedb.Database, tmp_path: Path
) -> None:
    db.store.drop_columns("samples", ["turned_phash", "dct_hash"])
    more = fill(tmp_path / "more", {"new.png": encoded(picture(7))})
    db.ingest(more, progress=False)
    known = db.sql("SELECT count(*) AS n, count(dct_hash) AS known FROM samples").to_pylist()
    assert known == [{"n": 43, "known": 1}]


def test_many_identical_pictures_make_few_pairs_and_one_group(tmp_path: Path) -> None:
    files = dict.fromkeys((f"{i:03d}.png" for i in range(80)), encoded(picture(1)))
    files["mirrored.png"] = copies(picture(1))["turn0.png"]
    db = slicedb.open(tmp_path / "db")
    db.ingest(fill(tmp_path / "in", files), progress=False)
    keys = db.keys()
    near = curate.near_pairs(db.store, keys, by="hash")
    assert len(near.pairs) == 80
    assert curate.groups(keys, near.pairs).tolist() == [0] * 81


def test_vectors_give_pairs_with_their_cosine(db: slicedb.Database) -> None:
    from slicedb.vectors import Vectors

    keys = db.keys()
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(keys), 24)).astype(np.float32)
    vectors[5] = vectors[4] + 0.05 * vectors[6]
    ids = pa.array(named(db, keys))
    given = pa.table({"id": ids, "vector": list(vectors)}).slice(0, 40)
    db.log_embeddings("own", given)
    options = {"by": "vectors", "vectors": Vectors(db.store), "name": "own", "cosine": 0.97}
    near = curate.near_pairs(db.store, keys, **options)  # type: ignore[arg-type]
    rows = [row for row in near.pairs.to_pylist() if row["kind"] == "vectors"]
    assert [(row["left"], row["right"]) for row in rows] == [(keys[4], keys[5])]
    one, other = vectors[4], vectors[5]
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert rows[0]["cosine"] == pytest.approx(cosine, abs=1e-3)
    assert near.without_vector.tolist() == keys[40:].tolist()


def test_what_the_null_expects_is_about_what_unrelated_pairs_give() -> None:
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2, (3000, 256), dtype=np.uint8)
    words = np.packbits(bits, axis=1).view(np.uint64)

    def distances(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.bitwise_count(words[left] ^ words[right]).sum(axis=1).astype(float)

    options = {"given": None, "cap": 256.0, "fixed": 32.0, "related": 0.0}
    found = null.estimate("bits", 3000, distances, false_pairs=1000.0, **options)
    left, right = np.triu_indices(3000, 1)
    beyond = int((distances(left, right) <= found.threshold).sum())
    assert found.expected(found.threshold) == pytest.approx(1000, rel=1e-6)
    assert 0 < beyond <= 1000  # the line lies above the tail


def test_groups_do_not_chain_unless_they_are_asked_to() -> None:
    keys = np.arange(10, 20)
    chain = [(10 + i, 11 + i, 0.1) for i in range(9)]
    pairs = pa.table([list(column) for column in zip(*chain)], ["left", "right", "distance"])
    assert curate.groups(keys, pairs).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert curate.groups(keys, pairs, chain=True).tolist() == [0] * 10
    assert curate.groups(keys, pairs.slice(0, 0)).tolist() == [-1] * 10


@pytest.mark.parametrize("seed", range(5))
def test_each_member_of_a_group_is_its_leaders_duplicate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = rng.permutation(60)
    left, right = rng.integers(0, 60, (2, 80))
    keep = left != right
    distance = rng.choice([0.0, 0.1], 80)
    pairs = pa.table({"left": left[keep], "right": right[keep], "distance": distance[keep]})
    near = {frozenset(pair) for pair in zip(left[keep].tolist(), right[keep].tolist())}
    equal = curate.groups(keys, pairs.filter(pa.array(distance[keep] == 0)), chain=True)
    found = curate.groups(keys, pairs)
    node = dict(zip(keys.tolist(), equal.tolist()))

    def same(one: int, other: int) -> bool:
        """Whether two are identical, directly or through others."""
        return one == other or (node[one] >= 0 and node[one] == node[other])

    for number in range(found.max() + 1):
        members = keys[found == number].tolist()
        assert len(members) > 1
        for member in members[1:]:
            assert (
                any(same(a, members[0]) and same(b, member) for a, b in map(tuple, near))
                or any(same(b, members[0]) and same(a, member) for a, b in map(tuple, near))
                or same(member, members[0])
            )


def test_thresholds_and_ways_that_make_no_sense_are_refused(db: slicedb.Database) -> None:
    with pytest.raises(CheckError, match="No by 'pixel'"):
        curate.near_pairs(db.store, db.keys(), by="pixel")  # type: ignore[arg-type]
    with pytest.raises(CheckError, match="A threshold of 200 bits of 256 makes no sense"):
        curate.near_pairs(db.store, db.keys(), bits=200)
    with pytest.raises(CheckError, match=r"A cosine of 1\.5 makes no threshold"):
        curate.near_pairs(db.store, db.keys(), cosine=1.5)


def test_one_sample_and_none_have_no_pairs(db: slicedb.Database) -> None:
    for n in (0, 1):
        near = curate.near_pairs(db.store, db.keys()[:n])
        assert (
            len(near.pairs) == 0 and curate.groups(db.keys()[:n], near.pairs).tolist() == [-1] * n
        )
