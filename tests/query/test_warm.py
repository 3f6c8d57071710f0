"""What is kept of loaded tables, in files and over edits, answers as a fresh copy does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_copies import LONG

import slicedb
from slicedb.query.hot.warm import WarmTables
from slicedb.schema import SAMPLES, keys_of
from slicedb.store import joining, merging

N = 400
IDS = [f"{i:04d}" for i in range(N)]
QUERIES = [
    "label = 'a' AND weight < 0.4",
    "label <> m.prediction AND m.confidence > 0.5",
    "ORDER BY m.confidence DESC, id LIMIT 15",
    "m.prediction = 'b' AND NOT o.prediction = 'b'",
    "m.probabilities[1] > 0.5 OR 'seen' IN tags",
    "status IS NOT NULL AND key % 7 = 3",
]
FIGURES = (
    "SELECT label, count(*) AS n, sum(m.confidence::DOUBLE) AS m, avg(o.confidence) AS o, "
    "count(m.prediction) AS p FROM samples GROUP BY ALL ORDER BY label"
)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tables of any size, and as often as they are asked to be kept."""
    monkeypatch.setattr(WarmTables, "least_rows", 1)
    monkeypatch.setattr(WarmTables, "seconds_between", 0.0)


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    made = slicedb.open(tmp_path / "warm.slicedb")
    fill(made, IDS)
    return made


def fill(made: slicedb.Database, ids: list[str], seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    made.store.add_columns(SAMPLES, [pa.field("weight", pa.float64())])
    made.store.append(SAMPLES, samples(ids, rng))
    for model in "mo":
        log(made, model, ids, rng)


def samples(ids: list[str], rng: np.random.Generator) -> pa.Table:
    return pa.table(
        {
            "id": ids,
            "key": keys_of(ids),
            "label": rng.choice(["a", "b", "c"], len(ids)),
            "weight": rng.random(len(ids)),
            "status": ["ok"] * len(ids),
        }
    )


def log(db: slicedb.Database, model: str, ids: list[str], rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(3), len(ids)).astype(np.float32)
    classes = np.array(["a", "b", "c"])
    table = pa.table(
        {
            "id": ids,
            "prediction": classes[p.argmax(axis=1)],
            "confidence": p.max(axis=1),
            "probabilities": list(p),
        }
    )
    db.log_predictions(model, table, classes=list(classes))


def answers(db: slicedb.Database) -> list[object]:
    return [*(db.query(text).ids() for text in QUERIES), db.sql(FIGURES).to_pydict()]


def fresh(db: slicedb.Database) -> list[object]:
    """Return the answers of a copy that has nothing kept."""
    copy = Path(db.path).with_name("fresh.slicedb")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(db.path, copy, ignore=shutil.ignore_patterns(".cache"))
    before, WarmTables.least_rows = WarmTables.least_rows, 10**9
    try:
        return answers(slicedb.open(copy))
    finally:
        WarmTables.least_rows = before


def keep(db: slicedb.Database) -> None:
    db.engine.session.tables.keep()


def files(db: slicedb.Database) -> list[Path]:
    return sorted((Path(db.path) / ".cache" / "hot").glob("*.duckdb"))


def reads(db: slicedb.Database, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows by every table whose columns are read whole."""
    read: list[str] = []
    table = db.store.table

    def watched(name: str, *args: object, **more: object) -> pa.Table:
        read.append(name)
        return table(name, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(db.store, "table", watched)
    return read


# --- files ----------------------------------------------------------------------------------------


def test_a_second_process_reads_nothing_from_the_store(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = answers(db)
    keep(db)
    assert [path.name.partition("-")[0] for path in files(db)] == [
        f"samples@{db.store.version(SAMPLES)}"
    ]
    again = slicedb.open(db.path)
    read = reads(again, monkeypatch)
    assert answers(again) == expected == fresh(db)
    assert read == []


def test_columns_are_loaded_when_a_query_reads_them(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.query("label = 'a'").ids()
    keep(db)
    again = slicedb.open(db.path)
    read = reads(again, monkeypatch)
    again.query("label = 'a'").ids()
    assert read == []
    again.query("label = 'a' AND weight < 0.5").ids()
    assert read == [SAMPLES]
    keep(again)
    third = slicedb.open(db.path)
    third.query("weight < 0.5 AND m.prediction = 'a'").ids()  # weight from the file, the rest not
    assert answers(third) == fresh(db)
    keep(third)
    assert len(files(db)) == 1
    assert answers(slicedb.open(db.path)) == fresh(db)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"hello" * 100),
        lambda path: os.truncate(path, path.stat().st_size // 2),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: flip(path, 100),
        lambda path: flip(path, 3 * 4096, 200_000),
        lambda path: path.unlink(),
        lambda path: foreign(path, "CREATE TABLE t (a INTEGER)"),
        lambda path: foreign(path, "CREATE TABLE sources (name VARCHAR, source VARCHAR)"),
    ],
    ids="empty text cut zeros header blocks gone other-tables other-columns".split(),
)
def test_a_damaged_file_costs_time_only(
    db: slicedb.Database, damage: Callable[[Path], object]
) -> None:
    expected = answers(db)
    keep(db)
    (path,) = files(db)
    damage(path)
    again = slicedb.open(db.path)
    assert answers(again) == expected
    keep(again)
    assert answers(slicedb.open(db.path)) == expected


def flip(path: Path, at: int, size: int = 8) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + size] = bytes(b ^ 0xFF for b in data[at : at + size])
    path.write_bytes(bytes(data))


def foreign(path: Path, statement: str) -> None:
    import duckdb

    other = path.with_name("other")
    with duckdb.connect(str(other)) as connection:
        connection.execute(statement)
        connection.execute("CREATE TABLE IF NOT EXISTS t (a INTEGER)")
    other.replace(path)


def test_a_file_that_breaks_while_it_is_open_costs_time_only(db: slicedb.Database) -> None:
    expected = answers(db)
    keep(db)
    again = slicedb.open(db.path)
    again.query("label = 'a'").ids()
    for path in files(db):
        flip(path, 3 * 4096, 10**6)
    assert answers(again) == expected


def test_the_folder_may_be_deleted_at_any_time(db: slicedb.Database) -> None:
    expected = answers(db)
    keep(db)
    again = slicedb.open(db.path)
    again.query("label = 'a'").ids()
    shutil.rmtree(Path(db.path) / ".cache")
    assert answers(again) == expected
    again.tag("id = '0003'", "seen")
    keep(again)
    assert answers(again) == fresh(db)


def test_without_a_folder_everything_stays_in_memory(db: slicedb.Database, tmp_path: Path) -> None:
    expected = answers(db)
    shutil.rmtree(Path(db.path) / ".cache")
    (Path(db.path) / ".cache").write_text("no folder can be made here")
    again = slicedb.open(db.path)
    assert answers(again) == expected
    keep(again)
    assert files(db) == []


def test_processes_that_write_at_once_do_no_harm(db: slicedb.Database) -> None:
    expected = answers(db)
    code = (
        "import sys, slicedb\n"
        "from slicedb.query.hot.warm import WarmTables\n"
        "WarmTables.least_rows = 1\n"
        "db = slicedb.open(sys.argv[1])\n"
        "for text in sys.argv[2:]: db.query(text).ids()\n"
        "for _ in range(5): db.engine.session.tables.keep()\n"
    )
    texts = [QUERIES[:2], QUERIES[2:4], QUERIES[4:]]
    running = [subprocess.Popen([sys.executable, "-c", code, db.path, *some]) for some in texts]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert answers(slicedb.open(db.path)) == expected
    assert not list((Path(db.path) / ".cache" / "hot").glob(".new-*"))


def test_a_process_keeps_what_it_loaded_when_it_ends(db: slicedb.Database) -> None:
    code = (
        "import sys, slicedb\n"
        "from slicedb.query.hot.warm import WarmTables\n"
        "WarmTables.least_rows = 1\n"
        "db = slicedb.open(sys.argv[1])\n"
        "print(len(db.query(\"label = 'a'\").ids()))\n"
    )
    command = [sys.executable, "-c", code, db.path]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert int(done.stdout) == db.query("label = 'a'").count()
    assert len(files(db)) == 1


def test_files_are_bounded_in_number_and_size(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(8):
        db.relabel(f"id = '{i:04d}'", "z")
        db.query("label = 'a'").ids()
        keep(db)
    assert len(files(db)) == 4
    monkeypatch.setattr("slicedb.query.hot.files._MOST_BYTES", 1)
    db.relabel("id = '0020'", "z")
    db.query("label = 'a'").ids()
    keep(db)
    assert len(files(db)) == 1
    assert answers(db) == fresh(db)


def test_a_query_cannot_read_the_files(db: slicedb.Database) -> None:
    db.query("label = 'a'").ids()
    keep(db)
    (path,) = files(db)
    again = slicedb.open(db.path)
    again.query("label = 'a'").ids()
    for text in (
        f"SELECT * FROM '{path}'",
        f"SELECT * FROM read_text('{path}')",
        f"SELECT * FROM read_blob('{path}')",
        f"SELECT * FROM glob('{path.parent}/*')",
        "SELECT * FROM hot1.t",
        'SELECT * FROM hot."samples@3"',
        "SELECT * FROM duckdb_databases()",
    ):
        with pytest.raises(slicedb.errors.SliceDBError):
            again.sql(text)


# --- edits ----------------------------------------------------------------------------------------


def tag(db: slicedb.Database) -> None:
    db.tag("id IN ('0009', '0250', '0399')", "seen")


def relabel(db: slicedb.Database) -> None:
    db.relabel("id > '0100' AND id < '0106'", "b")


def relabel_many(db: slicedb.Database) -> None:
    db.relabel("id > '0100' AND id < '0300'", "c")


def delete_few(db: slicedb.Database) -> None:
    db.delete("id IN ('0000', '0301')")


def delete_many(db: slicedb.Database) -> None:
    db.delete("id > '0150' AND id < '0250'")


def log_one(db: slicedb.Database) -> None:
    log(db, "m", ["0007"], np.random.default_rng(7))


def log_new(db: slicedb.Database) -> None:
    rng = np.random.default_rng(8)
    db.store.append(SAMPLES, samples(["new", "newer"], rng))
    log(db, "o", ["new"], rng)


def merge(db: slicedb.Database) -> None:
    rows = samples(["0005", "merged", "0320"], np.random.default_rng(9))
    db.store.upsert(SAMPLES, rows)


def quarantine(db: slicedb.Database) -> None:
    changed = pa.table({"id": ["0011", "0012"], "status": ["truncated", "ok"]})
    db.store.upsert(SAMPLES, changed, insert=False)


def forget_prediction(db: slicedb.Database) -> None:
    db.store.delete("predictions__m", ["0013", "0014"])


def compact(db: slicedb.Database) -> None:
    for name in (SAMPLES, "predictions__m", "predictions__o"):
        db.store.compact(name)


def make_column_anew(db: slicedb.Database) -> None:
    db.store.dataset(SAMPLES).drop_columns(["weight"])
    db.store.add_columns(SAMPLES, [pa.field("weight", pa.float64())])
    changed = pa.table({"id": IDS[:300], "weight": np.linspace(0, 1, 300)})
    db.store.upsert(SAMPLES, changed, insert=False)


def log_anew(db: slicedb.Database) -> None:
    db.store.drop("predictions__o")
    log(db, "o", IDS[50:], np.random.default_rng(11))


def reset(db: slicedb.Database) -> None:
    db.commit("then", tag="then")
    db.delete("id IN ('0021', '0022')")
    db.relabel("id = '0023'", "b")
    answers(db)
    keep(db)
    db.commits.reset("then")


def checkout_of_a_branch(db: slicedb.Database) -> None:
    db.commit("before")
    db.commits.branch("side")
    db.relabel("id = '0031'", "c")
    db.commit("on the side")
    answers(db)
    keep(db)
    db.commits.checkout("main")
    db.relabel("id = '0031'", "b")  # the same number of edits as on the other branch
    db.commit("on main")
    answers(db)
    db.commits.checkout("side")


def cleanup(db: slicedb.Database) -> None:
    from datetime import timedelta

    db.relabel("id = '0041'", "b")
    db.store.cleanup(timedelta(0))


EDITS = [
    tag,
    relabel,
    relabel_many,
    delete_few,
    delete_many,
    log_one,
    log_new,
    merge,
    quarantine,
    forget_prediction,
    compact,
    make_column_anew,
    log_anew,
    reset,
    checkout_of_a_branch,
    cleanup,
]


@pytest.mark.parametrize("edit", EDITS)
def test_after_an_edit_the_answers_are_those_of_a_fresh_copy(
    db: slicedb.Database, edit: Callable[[slicedb.Database], None]
) -> None:
    answers(db)
    keep(db)
    edit(db)
    expected = fresh(db)
    assert answers(slicedb.open(db.path)) == expected  # from the file of the version before
    assert answers(db) == expected  # from memory
    keep(db)
    assert answers(slicedb.open(db.path)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3 if LONG else 1))
def test_after_many_edits_the_answers_are_those_of_a_fresh_copy(
    db: slicedb.Database, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    other = slicedb.open(db.path)
    answers(db)
    for number in rng.choice(
        [i for i, edit in enumerate(EDITS) if edit not in (reset, log_anew)], 12
    ):
        if EDITS[number] is checkout_of_a_branch and "side" in db.commits.branches():
            continue
        EDITS[number](db if rng.random() < 0.6 else other)
        if rng.random() < 0.5:
            db.query(QUERIES[int(rng.integers(len(QUERIES)))]).ids()
        if rng.random() < 0.3:
            keep(db)
        if rng.random() < 0.5:
            assert answers(other) == fresh(db)
    assert answers(db) == answers(other) == answers(slicedb.open(db.path)) == fresh(db)


def test_an_edit_is_carried_over_without_reading_the_table(
    db: slicedb.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WarmTables, "few", 0.2)
    texts = [QUERIES[0], QUERIES[1], QUERIES[2], QUERIES[5]]
    for text in texts:
        db.query(text).ids()
    keep(db)
    for edit in (tag, relabel, delete_few, log_one, log_new, quarantine, forget_prediction):
        edit(db)
    again = slicedb.open(db.path)
    for asked in (again, db):
        read = reads(asked, monkeypatch)
        for text in texts:
            asked.query(text).ids()
        assert read == [], asked


@pytest.fixture
def _in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write columns anew where the rows stand, as is done for large tables."""
    monkeypatch.setattr(merging, "WIDE", 1)
    monkeypatch.setattr(joining, "WIDE", 1)
    monkeypatch.setattr(merging, "_SHARE", 1000)


@pytest.mark.usefixtures("_in_place")
def test_an_edit_that_no_query_sees_copies_no_row(db: slicedb.Database) -> None:
    texts = [QUERIES[0], QUERIES[1]]
    expected = [db.query(text).ids() for text in texts]
    keep(db)
    for edited in (db, slicedb.open(db.path)):  # in memory, and from the file of another process
        for text in texts:
            edited.query(text).ids()
        edited.tag(f"id = '{IDS[7]}'", "seen")
        assert [edited.query(text).ids() for text in texts] == expected
        loaded = edited.engine.session.tables._loaded
        places = {loaded[n].place for n in loaded if n.startswith(f"{SAMPLES}@")}
        assert len(places) == 1
        edited.relabel(f"id = '{IDS[7]}'", "z")
        assert edited.query("label = 'z'").ids() == [IDS[7]]
        assert edited.query(QUERIES[0]).ids() == [i for i in expected[0] if i != IDS[7]]
        edited.relabel(f"id = '{IDS[7]}'", "a")


@pytest.mark.usefixtures("_in_place")
def test_rows_that_were_altered_where_they_stand_are_found(tmp_path: Path) -> None:
    made = slicedb.open(tmp_path / "parts.slicedb")
    for start in range(0, 60, 20):
        part = [f"{i:02d}" for i in range(start, start + 20)]
        rows = pa.table({"id": part, "key": keys_of(part), "label": ["a"] * 20})
        made.store.append(SAMPLES, rows)
    before = made.store.version(SAMPLES)
    made.relabel("id = '25'", "b")
    made.relabel("id = '26'", None)
    made.delete("id = '21'")
    after = made.store.version(SAMPLES)
    changes = made.store.changes(SAMPLES, before, after, ["label"], most=6)
    assert changes is not None
    assert sorted(changes.altered) == sorted(keys_of(["25", "26"]))
    assert changes.gone.tolist() == [21]
    assert len(changes.new_keys) == 0
    assert made.store.changes(SAMPLES, before, after, ["label"], most=2) is None


def test_an_earlier_commit_is_answered_from_its_own_file(db: slicedb.Database) -> None:
    db.commit("first", tag="first")
    expected = answers(db)
    keep(db)
    relabel_many(db)
    log_one(db)
    now = answers(db)
    keep(db)
    again = slicedb.open(db.path)
    assert answers(again.at("first")) == expected
    assert answers(again) == now != expected


# --- the same number, other rows ------------------------------------------------------------------


def test_a_copy_that_goes_another_way_has_its_own_answers(
    db: slicedb.Database, tmp_path: Path
) -> None:
    answers(db)
    keep(db)
    other = tmp_path / "other.slicedb"
    shutil.copytree(db.path, other)
    db.relabel("id = '0050'", "y")
    second = slicedb.open(other)
    second.relabel("id = '0060'", "z")
    assert db.store.version(SAMPLES) == second.store.version(SAMPLES)
    answers(db), answers(second)
    keep(db), keep(second)
    # The kept files of one come to lie beside the tables of the other, as after a careless rsync.
    shutil.copytree(db.path + "/.cache", other / ".cache", dirs_exist_ok=True)
    assert answers(slicedb.open(other)) == fresh(second)


def test_a_database_that_is_brought_back_from_a_backup_is_read_anew(
    db: slicedb.Database, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(db.path, backup, ignore=shutil.ignore_patterns(".cache"))
    db.relabel("id < '0010'", "b")
    log_one(db)
    answers(db)
    keep(db)
    for name in os.listdir(backup):
        shutil.rmtree(f"{db.path}/{name}")
        shutil.copytree(backup / name, f"{db.path}/{name}")
    back = slicedb.open(db.path)
    back.relabel("id < '0012'", "c")
    log(back, "m", ["0100"], np.random.default_rng(99))
    assert answers(back) == fresh(back)


def test_two_databases_made_one_after_the_other_in_one_place(tmp_path: Path) -> None:
    place = tmp_path / "place.slicedb"
    for seed in (1, 2):
        if place.exists():
            for name in place.glob("*.lance"):
                shutil.rmtree(name)
        made = slicedb.open(place)
        fill(made, IDS, seed)
        assert answers(made) == fresh(made)
        keep(made)
        assert answers(slicedb.open(place)) == fresh(made)
