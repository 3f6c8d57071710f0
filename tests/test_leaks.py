"""Leaks: each kind is found and counted, what tells the parts is said, and what it is worth."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from PIL import Image

import slicedb
from slicedb import schema
from slicedb.cli import verbs
from slicedb.errors import CheckError


def picture(seed: int, form: str = "PNG", flip: bool = False, **options: object) -> bytes:
    """A picture of coarse random blocks, which a hash tells from any other."""
    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 255, (6, 6, 3), np.uint8))
    image = blocks.resize((96, 96), Image.Resampling.BICUBIC)
    if flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """60 pictures to train on and 20 to test on, of which seven are in both."""
    folder = tmp_path_factory.mktemp("leaks")
    for part in ("train", "test"):
        (folder / part).mkdir()
    for i in range(60):
        (folder / "train" / f"{i:02}.png").write_bytes(picture(i))
    for i in range(20):
        path = folder / "test" / f"{i:02}"
        if i < 3:
            path.with_suffix(".png").write_bytes(picture(i))  # the same bytes
        elif i < 5:
            path.with_suffix(".png").write_bytes(picture(i, optimize=True, compress_level=1))
        elif i == 5:
            path.with_suffix(".jpg").write_bytes(picture(i, "JPEG", quality=60))
        elif i == 6:
            path.with_suffix(".png").write_bytes(picture(i, flip=True))
        else:
            path.with_suffix(".png").write_bytes(picture(100 + i))
    made = slicedb.open(folder / "l.slicedb")
    made.ingest(folder, split_folders=True, progress=False)
    rng = np.random.default_rng(0)
    ids = made.query().ids()
    is_test = [i.startswith("test") for i in ids]
    patient = [
        f"p{int(Path(i).stem) % 15}" if t else f"q{n}" for n, (i, t) in enumerate(zip(ids, is_test))
    ]
    made.attach(
        {
            "id": ids,
            "site": ["north" if t else rng.choice(["south", "east"]) for t in is_test],
            "light": rng.normal(size=80),
            "patient": patient,
        }
    )
    wrong = {f"test/{i:02}.png" for i in range(7, 17)}
    made.log_predictions(
        "m",
        {"id": ids, "prediction": ["b" if i in wrong else "a" for i in ids]},
        classes=["a", "b"],
    )
    made.relabel("true", "a")
    return made


def test_each_kind_of_duplicate_is_found(db: slicedb.Database) -> None:
    report = db.leaks()
    assert report.sizes == {"train": 60, "test": 20}
    assert [(row.kind, row.held) for row in report.rows] == [
        ("bytes", 3),
        ("pixels", 2),
        ("hash", 2),
    ]
    assert not report.is_clean and len(report.keys) == 7
    for row in report.rows:
        if row.held:
            assert db.query(row.query).count() == row.held, row


def test_a_column_that_tells_the_part_comes_first(db: slicedb.Database) -> None:
    report = db.leaks()
    first = report.telling[0]
    assert first.what == "site" and first.auc > 0.99 and first.q < 0.01
    light = next(t for t in report.telling if t.what == "light")
    assert 0.2 < light.auc < 0.75 and light.q > 0.05


def test_what_tells_by_chance_alone_does_not_stand_first(tmp_path: Path) -> None:
    """A dozen samples outside: fine bins of noise once gave an AUC of 0.74 beside a p of 0.97."""
    rng = np.random.default_rng(4)
    made = slicedb.open(tmp_path / "small.slicedb")
    ids = [f"s{i:02}" for i in range(60)]
    made.store.append(
        schema.SAMPLES, pa.table({"id": ids, "key": schema.keys_of(ids), "status": ["ok"] * 60})
    )
    noise = {f"n{k}": rng.normal(size=60) for k in range(12)}
    split = ["train"] * 48 + ["test"] * 12
    camera = ["a"] * 48 + ["b"] * 12
    made.attach({"id": ids, "split": split, "camera": camera, **noise})
    telling = made.leaks(by="bytes").telling
    assert telling[0].what == "camera" and telling[0].q < 0.05
    rest = [(t.q, -t.auc) for t in telling]
    assert rest == sorted(rest) and max(t.auc for t in telling[1:]) < 0.7


def test_the_worth_of_a_leak_has_its_interval(db: slicedb.Database) -> None:
    (worth,) = db.leaks().worth
    assert (worth.n, worth.leaked) == (20, 7)
    assert worth.accuracy == pytest.approx(10 / 20) and worth.clean == pytest.approx(3 / 13)
    assert worth.low <= worth.difference <= worth.high and worth.low > 0
    assert "the leak adds +0.269" in str(db.leaks())


def test_groups_that_cross_are_named(db: slicedb.Database) -> None:
    ids = db.query().ids()
    db.attach({"id": ids, "camera": ["c1"] * 5 + [f"c{i}" for i in range(2, 75)] + ["c1", "c1"]})
    report = db.leaks(group=["camera"], by="bytes")
    row = next(row for row in report.rows if row.kind == "camera")
    assert row.n == 7 and db.query(row.query).count() == row.held > 0
    assert [r.kind for r in report.rows] == ["bytes", "camera"]


def test_leaked_samples_are_tagged(db: slicedb.Database) -> None:
    db.leaks(tag=True)
    assert db.query("has_tag('leak')").count() == 7
    assert db.query("has_tag('leak') AND split = 'train'").count() == 0
    db.tag("has_tag('leak')", "leak", remove=True)


def test_parts_may_be_folds_and_gaps_are_none(db: slicedb.Database) -> None:
    db.split(folds=4)
    report = db.leaks("fold", by="bytes")
    assert set(report.sizes) == {"0", "1", "2", "3"}
    for row in report.rows:
        assert not row.held or db.query(row.query).count() == row.held


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"column": "splt"}, "did you mean 'split'"),
        ({"column": "label"}, "1 part with 80 samples"),
        ({"on": "id < 'test/05'"}, "1 part with 5 samples"),
        ({"group": "holes"}, "NULL for 40 of 80"),
        ({"by": "luck"}, "luck"),
    ],
)
def test_wrong_input_is_told(db: slicedb.Database, options: dict[str, object], says: str) -> None:
    if "holes" not in db.query().columns:
        db.attach({"id": db.query().ids(), "holes": [None] * 40 + ["x"] * 40})
    with pytest.raises(CheckError, match=says):
        db.leaks(**options)  # type: ignore[arg-type]


def test_the_command_line_says_the_same(db: slicedb.Database) -> None:
    args = ["--db", db.path, "leaks", "--by", "hash"]
    said = CliRunner().invoke(verbs, args, catch_exceptions=False).stdout
    assert "'split': train 60, against test 20." in said and "* site" in said
    rows = CliRunner().invoke(verbs, [*args, "-f", "csv"], catch_exceptions=False).stdout
    assert rows.startswith("kind,n,held,share,query\nbytes,6,3,0.15,")
