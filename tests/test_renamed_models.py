"""A model that gets another name takes the texts of slices with it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from fakes_judge import add_samples

import slicedb
from slicedb.slices.model_names import with_model


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("v3.correct", "v4.correct"),
        ("V3.correct AND NOT v33.correct", "v4.correct AND NOT v33.correct"),
        ("label = 'v3' AND caption = 'it''s v3.loss'", None),
        (
            "id IN (SELECT id FROM v3 WHERE v3.loss > 1)",
            "id IN (SELECT id FROM v4 WHERE v4.loss > 1)",
        ),
        ("cam_border(v3) > 0.7 -- v3", "cam_border(v4) > 0.7 -- v3"),
        ("x.v3 > 1 /* v3.loss */", None),
        ("v3.matches(confidence => 0.5)", "v4.matches(confidence => 0.5)"),
    ],
)
def test_names_follow_and_strings_and_comments_stay(text: str, renamed: str | None) -> None:
    assert with_model(text, "v3", "v4") == (text if renamed is None else renamed)


def test_slices_and_expectations_follow_and_files_are_named(tmp_path: Path) -> None:
    db = slicedb.open(tmp_path / "data.slicedb")
    add_samples(db.store, ["a", "b"], ["cat", "dog"])
    for name in ("v3", "v4"):
        db.log_predictions(name, pa.table({"id": ["a", "b"], "prediction": ["cat", "cat"]}))
    db.slices.add("wrong", "NOT v3.correct", expect=["accuracy no worse than v3 by 0.1"])
    db.slices.add("plain", "label = 'cat'")
    db.slices.add("frozen", "v3.correct")
    db.slices.freeze("frozen")
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "f.sql").write_text("/*\nslice: of_file\nexpect: accuracy >= 0.1\n*/\nv3.correct")
    db.apply(folder)
    before = db.query("NOT v3.correct").ids()
    notes = db.models.rename("v3", "old-3").notes
    assert db.slices.get("wrong").text == 'NOT "old-3".correct'
    assert db.slices.get("wrong").expect == ("accuracy no worse than old-3 by 0.1",)
    assert db.slices.get("wrong").ids() == before == ["b"]
    assert db.slices.get("frozen").predicted == ("old-3", "v4")
    assert db.slices.get("plain").text == "label = 'cat'"
    assert notes[0] == "slices that name it follow: wrong, frozen, of_file"
    assert "files that still name 'v3'" in notes[1] and "f.sql" in notes[1]
    assert db.test(["wrong"], model="v4").results[0].baseline == "old-3"
