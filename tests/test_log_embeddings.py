"""Own vectors: stored by id, checked by row, asked with or without texts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import slicedb
from slicedb.cli import main
from slicedb.embedding import load_encoder
from slicedb.errors import EmbeddingError, FingerprintError, IngestError
from slicedb.schema import SAMPLES, keys_of

IDS = ["a", "b", "c", "d"]
VECTORS = np.array([[2, 0, 0], [3, 4, 0], [0, 1, 0], [0, 0, 5]], np.float32)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    """Return a database of four samples without pictures."""
    made = slicedb.open(tmp_path / "data.slicedb")
    rows = {"id": IDS, "key": keys_of(IDS), "label": ["x"] * 4, "status": ["ok"] * 4}
    made.store.append(SAMPLES, pa.table(rows))
    return made


def table(ids: list[str | None] = IDS, vectors: object = VECTORS) -> pa.Table:  # type: ignore[assignment]
    """Return rows of ids and vectors."""
    lists = [None if row is None else list(map(float, row)) for row in vectors]  # type: ignore[attr-defined]
    return pa.table({"id": ids, "vector": pa.array(lists, pa.list_(pa.float64()))})


def test_vectors_are_stored_with_unit_length_and_compared_with_samples(
    db: slicedb.Database,
) -> None:
    report = db.log_embeddings("mine", table())
    assert (report.logged, report.dim, report.encoder) == (4, 3, "")
    stored = db.store.table("embeddings__mine", ["id", "vector"])
    assert stored["vector"].to_pylist()[1] == pytest.approx([0.6, 0.8, 0.0])
    near = "ORDER BY similarity(sample('a'), using => 'mine') DESC LIMIT 2"
    assert db.query(near).ids() == ["a", "b"]
    assert db.query("similarity(sample('c'), using => 'mine') > 0.5").ids() == ["b", "c"]
    assert db.query("nearest(sample('d'), 1, using => 'mine')").ids() == ["d"]


def test_without_an_encoder_texts_are_refused(db: slicedb.Database) -> None:
    db.log_embeddings("mine", table())
    for text in ("similarity('red', using => 'mine') > 0", "matches('red', using => 'mine')"):
        with pytest.raises(EmbeddingError, match=r"logged without an encoder.*sample"):
            db.query(text).ids()


def test_with_an_encoder_texts_are_compared(db: slicedb.Database) -> None:
    encoder = load_encoder("slicedb-tiny")
    vectors = encoder.encode_texts(["a cat", "a dog", "a ship", "a truck"])
    db.log_embeddings("default", {"id": IDS, "vector": vectors}, encoder="slicedb-tiny")
    assert db.query("ORDER BY similarity('a ship') DESC LIMIT 1").ids() == ["c"]
    with pytest.raises(EmbeddingError, match=r"do not have \d+ numbers \(one has 3\)"):
        db.log_embeddings("default", table(), encoder=encoder)


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (IDS, [[1, 0, 0], [1, 0], [1, 0, 0], [1]], r"2 of 4 .* 3 numbers .* 2\); .* row 2, 'b'"),
        (IDS, [[1, 0], [0, 1], [float("nan"), 1], [1, 1]], "1 of 4 .* NaN.* row 3, 'c'"),
        (IDS, [[1, 0], [0, float("inf")], [1, 1], [1, 1]], "1 of 4 .* infinity.* row 2, 'b'"),
        (IDS, [[0, 0], [0, 1], [0, 0], [1, 1]], "2 of 4 .* length zero.* row 1, 'a'"),
        (IDS, [[1, 0], None, [0, 0], [1, 1]], "1 of 4 .* missing.* row 2, 'b'"),
    ],
)
def test_a_bad_vector_is_named_by_its_row(
    db: slicedb.Database, ids: list[str | None], vectors: object, message: str
) -> None:
    before = db.store.versions()
    with pytest.raises(EmbeddingError, match=message):
        db.log_embeddings("mine", table(ids, vectors))
    assert db.store.versions() == before


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "c", "z"], "1 of 4 ids .* 'z'"),
        (["a", "b", "c", "a"], "1 id comes more than once .* 'a'"),
        (["a", None, "c", "d"], "no id, the first is row 2"),
    ],
)
def test_a_bad_id_is_named(db: slicedb.Database, ids: list[str | None], message: str) -> None:
    with pytest.raises(IngestError, match=message):
        db.log_embeddings("mine", table(ids))
    assert not db.store.has("embeddings__mine")


def test_columns_are_named_or_found(db: slicedb.Database) -> None:
    two = table().append_column("other", table()["vector"])
    with pytest.raises(EmbeddingError, match="2 columns of vectors: vector, other"):
        db.log_embeddings("mine", two)
    assert db.log_embeddings("mine", two, vector_column="other").logged == 4
    with pytest.raises(EmbeddingError, match="no column 'third'"):
        db.log_embeddings("mine", two, vector_column="third")
    with pytest.raises(EmbeddingError, match="0 columns of vectors"):
        db.log_embeddings("mine", pa.table({"id": IDS}))
    with pytest.raises(EmbeddingError, match="no name for an embedding"):
        db.log_embeddings("a b", table())


def test_vectors_of_two_kinds_are_not_mixed(db: slicedb.Database) -> None:
    db.log_embeddings("mine", table(["a", "b"], VECTORS[:2]))
    assert db.log_embeddings("mine", table(["b", "c"], VECTORS[1:3])).logged == 2
    assert db.store.count("embeddings__mine") == 3
    with pytest.raises(EmbeddingError, match="3 numbers"):
        db.log_embeddings("mine", table(IDS, np.eye(4)))
    with pytest.raises(FingerprintError, match="nobody named"):
        db.log_embeddings("mine", table(), encoder="slicedb-tiny")
    with pytest.raises(FingerprintError):
        db.embed(name="mine")
    assert db.log_embeddings("mine", table(IDS, np.eye(4)), replace=True).dim == 4
    assert db.query("similarity(sample('a'), using => 'mine') > 0.9").ids() == ["a"]


def test_log_embeddings_from_the_shell(
    db: slicedb.Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pq.write_table(table(), tmp_path / "vectors.parquet")
    with pytest.raises(SystemExit) as done:
        main(["log-embeddings", "mine", str(tmp_path / "vectors.parquet"), "--db", db.path])
    assert done.value.code == 0 and "4 vectors of 3 numbers logged" in capsys.readouterr().out


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"{}",
        lambda data: data[: len(data) // 2],
        lambda data: bytes(len(data)),
        lambda data: bytes(255 - byte for byte in data),
        lambda data: data[:-8] + bytes(8),  # the header is whole
    ],
    ids=["empty", "text", "cut", "zeros", "inverted", "end"],
)
def test_damaged_files_of_vectors_are_built_anew(
    db: slicedb.Database, damage: Callable[[bytes], bytes]
) -> None:
    db.log_embeddings("mine", table())
    query = "ORDER BY similarity(sample('a')) DESC, id"
    assert db.query(query).ids() == ["a", "b", "c", "d"]
    files = [f for f in db.store.cache_dir.glob("vectors/*/*") if f.is_file()]
    assert sorted(f.name for f in files) == ["about", "keys.npy", "vectors.npy"]
    for file in files:
        file.write_bytes(damage(file.read_bytes()))
    assert slicedb.open(db.path).query(query).ids() == ["a", "b", "c", "d"]


def test_files_of_vectors_are_not_those_of_a_backup(db: slicedb.Database, tmp_path: Path) -> None:
    backup = tmp_path / "backup.slicedb"
    shutil.copytree(db.path, backup)
    db.log_embeddings("mine", table())
    query = "ORDER BY similarity(sample('a')) DESC, id LIMIT 2"
    assert db.query(query).ids() == ["a", "b"]
    shutil.copytree(Path(db.path) / ".cache", backup / ".cache", dirs_exist_ok=True)
    again = slicedb.open(backup)
    again.log_embeddings("mine", table(vectors=VECTORS[[0, 3, 0, 2]]))
    assert again.store.version("embeddings__mine") == db.store.version("embeddings__mine")
    assert again.query(query).ids() == ["a", "c"]


def test_texts_need_no_encoder_once_its_vectors_are_logged(db: slicedb.Database) -> None:
    from slicedb.embedding.light import light_encoder

    encoder = load_encoder("slicedb-tiny")
    vectors = encoder.encode_texts(["a fork", "a spoon", "rice", "soup"])
    db.log_embeddings("mine", {"id": IDS, "vector": vectors}, encoder=encoder)

    def opened() -> None:
        raise AssertionError("the whole encoder was opened")

    light = light_encoder(db.store, "mine", opened)  # type: ignore[arg-type]
    assert light is not None
    expected = encoder.encode_prompt("a fork")
    assert np.abs(light.encode_prompt("a fork") - expected).max() < 1e-5


def test_a_matrix_that_is_written_out_in_parts_is_whole(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.vectors import files

    monkeypatch.setattr(files, "_WRITTEN", 3)
    monkeypatch.setattr(files, "_BATCH", 1)
    db.log_embeddings("mine", table())
    matrix = files.open_matrix(db.store, "mine", db.store.version("embeddings__mine"))
    assert matrix.vectors.tolist() == [
        [1, 0, 0],
        [0.60009765625, 0.7998046875, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]


def test_a_file_is_read_in_blocks_and_gives_what_a_table_gives(
    db: slicedb.Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from slicedb.embedding import given, logged

    pq.write_table(table(), tmp_path / "vectors.parquet", row_group_size=3)
    db.log_embeddings("whole", table())
    monkeypatch.setattr(given, "_BLOCK", 2 * 4 * 3)  # two rows of three numbers
    db.log_embeddings("blocks", tmp_path / "vectors.parquet")
    whole, blocks = (db.store.table(f"embeddings__{name}") for name in ("whole", "blocks"))
    assert blocks["id"].to_pylist() == IDS and blocks.equals(whole)
    monkeypatch.setattr(logged, "_AT_ONCE", 1)  # a block a commit
    db.log_embeddings("blocks", tmp_path / "vectors.parquet")  # over what is there
    assert len(db.store.table("embeddings__blocks")) == 4


@pytest.mark.parametrize(
    ("row", "vector", "message"),
    [
        (3, None, "1 of 4 vectors in .* are missing; the first is row 4, 'd'"),
        (3, [1.0], r"do not have 3 numbers \(one has 1\); the first is row 4, 'd'"),
        (2, [1.0, float("nan"), 0.0], "hold NaN or infinity; the first is row 3, 'c'"),
        (3, [0.0, 0.0, 0.0], "have length zero; the first is row 4, 'd'"),
    ],
)
def test_a_bad_vector_of_a_later_block_is_named_before_anything_is_written(
    db: slicedb.Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: int,
    vector: list[float] | None,
    message: str,
) -> None:
    from slicedb.embedding import given

    monkeypatch.setattr(given, "_BLOCK", 2 * 4 * 3)
    rows: list[list[float] | None] = [[1.0, float(i), 2.0] for i in range(4)]
    rows[row] = vector
    pq.write_table(pa.table({"id": IDS, "vector": rows}), tmp_path / "vectors.parquet")
    with pytest.raises(EmbeddingError, match=message):
        db.log_embeddings("mine", tmp_path / "vectors.parquet")
    assert not db.store.has("embeddings__mine")
