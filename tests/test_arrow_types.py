"""Columns of a Parquet file keep their Arrow type through Lance and DuckDB, or the report tells."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import slicedb
from slicedb import Database

MOMENT = dt.datetime(2024, 1, 2, 3, 4, 5)
NUMBERS = {
    "bool": pa.array([True, None]),
    "int8": pa.array([-128, None], pa.int8()),
    "int16": pa.array([1, -2], pa.int16()),
    "int32": pa.array([2**31 - 1, 2], pa.int32()),
    "int64": pa.array([2**60 + 1, None]),
    "uint8": pa.array([255, None], pa.uint8()),
    "uint16": pa.array([65535, 1], pa.uint16()),
    "uint32": pa.array([2**32 - 1, None], pa.uint32()),
    "uint64": pa.array([2**64 - 1, 1], pa.uint64()),
    "float16": pa.array([1.5, None], pa.float16()),
    "float32": pa.array([1.25, None], pa.float32()),
    "float64": pa.array([0.1, None]),
    "decimal": pa.array([Decimal("123456789012345678.91"), None], pa.decimal128(20, 2)),
}
TIMES = {
    "date32": pa.array([dt.date(2024, 1, 2), None]),
    "date64": pa.array([dt.date(2024, 1, 2), None], pa.date64()),
    "time_s": pa.array([dt.time(1, 2, 3), None], pa.time32("s")),
    "time_us": pa.array([dt.time(1, 2, 3, 456), None], pa.time64("us")),
    "time_ns": pa.array([3_723_000_000_789, None], pa.time64("ns")),
    "ts_s": pa.array([MOMENT, None], pa.timestamp("s")),
    "ts_us": pa.array([MOMENT, None], pa.timestamp("us")),
    "ts_ns": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns")),
    "ts_utc": pa.array([MOMENT, None], pa.timestamp("us", "UTC")),
    "ts_paris": pa.array([MOMENT, None], pa.timestamp("us", "Europe/Paris")),
    "duration": pa.array([dt.timedelta(days=1, seconds=5), None]),
}
NESTED = {
    "text": pa.array(["a", None]),
    "large_text": pa.array(["a", None], pa.large_string()),
    "dictionary": pa.array(["a", None]).dictionary_encode(),
    "list": pa.array([[1, 2], None]),
    "fixed_list": pa.array([[1.5, 2.5], None], pa.list_(pa.float32(), 2)),
    "struct": pa.array([{"a": 1, "b": "x"}, None]),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())),
    "list_of_structs": pa.array([[{"a": 1}], None]),
    "list_of_decimals": pa.array([[Decimal("1.50")], None], pa.list_(pa.decimal128(5, 2))),
    "nothing": pa.nulls(2),
}
COLUMNS = NUMBERS | TIMES | NESTED
WIDENED = {
    **dict.fromkeys("int8 int16 int32 uint8 uint16 uint32".split(), pa.int64()),
    **dict.fromkeys("float16 float32".split(), pa.float64()),
    **dict.fromkeys("large_text dictionary nothing".split(), pa.string()),
    "date64": pa.date32(),
    "time_s": pa.time64("us"),
    "ts_s": pa.timestamp("us"),
    "fixed_list": pa.list_(pa.float64()),
}
"""Column to the wider type that it is stored in, which holds the same values."""
LOSSY = {
    "digits": pa.array([Decimal("1.5"), None], pa.decimal256(50, 1)),
    "zoned_ns": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
    "bytes": pa.array([b"\0", None]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("types")
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (8, 8), colour).save(folder / f"{name}.png")
    frame = {"id": ["a", "b"], "path": ["a.png", "b.png"]}
    pq.write_table(pa.table(frame | COLUMNS), folder / "types.parquet")
    pictures = pa.array([(folder / f"{name}.png").read_bytes() for name in "ab"])
    pq.write_table(pa.table({"image": pictures} | LOSSY), folder / "lossy.parquet")
    return folder


@pytest.fixture(scope="module")
def db(folder: Path) -> Database:
    db = slicedb.open(folder / "types.slicedb")
    report = db.ingest(folder / "types.parquet")
    assert (report.added, report.quarantined, report.notes) == (2, 0, ())
    return db


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_keeps_its_type_and_its_values(db: Database, name: str) -> None:
    column = db.sql("FROM samples ORDER BY id")[name]
    kind = WIDENED.get(name, COLUMNS[name].type)
    assert column.type == kind
    # The cast is exact, or raises.
    assert column.combine_chunks().to_pylist() == COLUMNS[name].cast(kind).to_pylist()


@pytest.mark.parametrize("name", ["ts_utc", "ts_paris", "duration"])
def test_a_column_keeps_its_type_however_it_is_asked_for(db: Database, name: str) -> None:
    for text in (
        "FROM samples",
        "SELECT * FROM (FROM samples)",
        f"SELECT id, {name} FROM samples",
        f"SELECT id, {name} FROM samples WHERE id = 'none'",
        f"SELECT *, 1 AS one FROM samples WHERE {name} IS NOT NULL OR id = 'b'",
    ):
        assert db.sql(text)[name].type == COLUMNS[name].type
    assert db.sql("SELECT * FROM (FROM samples)")[name] == db.sql("FROM samples")[name]


def test_an_interval_of_months_is_no_duration(db: Database) -> None:
    text = "SELECT duration + INTERVAL 1 MONTH AS duration FROM samples WHERE id = 'a'"
    assert db.sql(text)["duration"].type == pa.month_day_nano_interval()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("map['a']", 1),
        ("decimal * 100 = 12345678901234567891", True),
        ("date32 + INTERVAL 1 DAY = TIMESTAMP '2024-01-03'", True),
        ("time_us > TIME '01:02:03'", True),
        ("epoch_ns(ts_ns) % 1000", 789),
        ("ts_utc = TIMESTAMPTZ '2024-01-02 03:04:05+00'", True),
        ("ts_paris = ts_utc", True),
        ("duration > INTERVAL 1 DAY", True),
        ("uint64::HUGEINT + 1 = 18446744073709551616", True),
        ("list_of_decimals[1]::VARCHAR", "1.50"),
    ],
)
def test_duckdb_reads_a_column_as_what_it_is(db: Database, text: str, value: object) -> None:
    table = db.sql(f"SELECT {text} AS v FROM samples WHERE id = 'a'")
    assert table["v"].to_pylist() == [value]


def test_a_second_ingest_changes_nothing(db: Database, folder: Path) -> None:
    report = db.ingest(folder / "types.parquet")
    assert (report.added, report.changed, report.unchanged) == (0, 0, 2)


def test_the_report_names_what_a_column_loses(folder: Path) -> None:
    db = slicedb.open(folder / "lossy.slicedb")
    notes = db.ingest(folder / "lossy.parquet").notes
    assert notes == (
        "Column 'digits' loses its type and becomes text, since a DECIMAL of DuckDB has at "
        "most 38 digits.",
        "Column 'zoned_ns' loses digits below the microsecond, which DuckDB does not keep "
        "with a zone.",
        "Column 'bytes' was left out: it holds bytes.",
    )
    table = db.sql("SELECT digits, epoch_us(zoned_ns) AS us FROM samples WHERE digits <> ''")
    assert table.to_pylist() == [{"digits": "1.5", "us": 1_700_000_000_123_456}]
