"""One sample on one sheet: everything that is known, and what could not be told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from fakes_models import png

import slicedb
from slicedb.cli import verbs
from slicedb.errors import CheckError, UnknownSampleError


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    """Six pictures, one of them broken, with boxes, two models, slices, vectors and edits."""
    folder = tmp_path_factory.mktemp("sheet")
    (folder / "photos").mkdir()
    for i in range(6):
        data = png((i * 40, 3, 4))
        (folder / "photos" / f"{i}'s.png").write_bytes(data if i else data[:30])
    made = slicedb.open(folder / "s.slicedb")
    made.ingest(folder / "photos", progress=False)
    made.attach({"id": made.query().ids(), "label": list("aabbb"), "lux": [1.0, 2, 3, 4, 5]})
    made.edit("2's.png", add_box="label=cat,bbox=1,2,3,4", author="ada")
    made.edit("2's.png", label="b", author="bob")
    made.log_predictions("v1", {"id": ["1's.png", "2's.png"], "prediction": ["a", "a"]})
    made.log_predictions("v2", {"id": ["1's.png"], "prediction": ["b"], "confidence": [0.75]})
    made.slices.add("dim", "lux < 2.5")
    made.slices.add("broken", "status <> 'ok'")
    vectors = np.eye(5, 4, dtype=np.float32) + 0.1
    ids = made.query("ORDER BY id").ids()
    made.log_embeddings("own", {"id": ids, "vector": list(vectors)})
    return made


def test_a_sheet_has_all_that_is_known(db: slicedb.Database) -> None:
    sheet = db.show("2's.png", neighbours=3)
    assert sheet.row["lux"] == 2.0 and sheet.row["label"] == "b"
    assert [(b.label, b.xywh) for b in sheet.truth.boxes] == [("cat", (1.0, 2.0, 3.0, 4.0))]
    assert list(sheet.predictions) == ["v1", "v2"] and sheet.predictions["v2"] is None
    said = sheet.predictions["v1"]
    assert said is not None and (said.shown.prediction, said.correct) == ("a", False)
    assert sheet.slices == ("dim",) and sheet.notes == ()
    assert [edit.author for edit in sheet.edits] == ["ada", "bob"]
    assert "2's.png" not in [n.id for n in sheet.neighbours] and len(sheet.neighbours) == 3
    distances = [n.distance for n in sheet.neighbours]
    assert distances == sorted(distances)
    shown = str(sheet)
    for words in ("2's.png", "lux", "cat", "1, 2, 3, 4", "slices: dim", "ada", "v2", "none"):
        assert words in shown, words
    assert "data:image/jpeg" in sheet._repr_html_()
    kinds = sheet.to_arrow()["kind"].to_pylist()
    assert [kinds.count(k) for k in ("prediction", "box", "slice", "neighbour", "edit")] == [
        *(2, 1, 1, 3, 2)
    ]


def test_a_broken_sample_is_shown_with_what_is_missing(db: slicedb.Database) -> None:
    sheet = db.show("0's.png")
    assert sheet.row["status"] != "ok" and sheet.slices == ("broken",)
    assert set(sheet.predictions.values()) == {None} and sheet.edits == ()
    assert sheet.neighbours == () and any("no neighbours" in note for note in sheet.notes)
    assert "no picture" in sheet._repr_html_()


def test_a_slice_that_cannot_be_asked_is_a_note(db: slicedb.Database) -> None:
    db.attach({"id": db.query().ids(), "weather": ["sun"] * 5})
    db.slices.add("sunny", "weather = 'sun'")
    db.store.drop_columns("samples", ["weather"])
    sheet = db.show("1's.png", neighbours=0)
    assert sheet.slices == ("dim",) and sheet.neighbours == ()
    assert [note.partition(":")[0] for note in sheet.notes] == ["slice sunny"]
    db.slices.drop("sunny")


def test_an_unknown_sample_is_told_with_the_nearest(db: slicedb.Database) -> None:
    with pytest.raises(UnknownSampleError, match=r"no sample '2s\.png'.*2's\.png"):
        db.show("2s.png")
    with pytest.raises(CheckError, match="neighbours=-1"):
        db.show("2's.png", neighbours=-1)


def test_the_command_line_shows_it(db: slicedb.Database) -> None:
    args = ["--db", db.path, "show", "2's.png", "--neighbours", "2"]
    done = CliRunner().invoke(verbs, [*args, "-f", "json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.output)
    assert {"kind": "slice", "name": "dim", "value": "in_slice('dim')"} in rows
    assert sum(row["kind"] == "neighbour" for row in rows) == 2
