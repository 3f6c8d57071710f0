"""Overlays of stored maps, from the module and from the handle."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from fakes_models import fill, png
from test_cam import plain

import slicedb
from slicedb.cam import cam, overlay_of, overlays
from slicedb.errors import CheckError, UnknownSampleError, UnknownTableError
from slicedb.media import decode
from slicedb.models import TorchClassifier
from slicedb.schema import keys_of


@pytest.fixture
def db(tmp_path: Path) -> slicedb.Database:
    found = slicedb.open(tmp_path / "d.slicedb")
    pictures = {f"{i}": png((i, 90, 200 - i), (64, 32)) for i in range(3)}
    fill(found.store, pictures | {"bad": b"no picture"})
    found.models.add("m", TorchClassifier(plain(), classes=["a", "b", "c"], input_size=32))
    return found


def test_overlays_come_in_the_order_asked_and_none_where_there_is_no_map(
    db: slicedb.Database,
) -> None:
    source = TorchClassifier(plain(), classes=["a", "b", "c"], input_size=32)
    cam(db.store, "m", source, keys_of(["0", "1", "bad"]))
    made = overlays(db.store, "m", keys_of(["1", "2", "bad", "0"]), side=32)
    assert [picture is not None for picture in made] == [True, False, False, True]
    assert made[0] is not None and made[0].size == (32, 16)
    whole = overlay_of(db.store, "m", int(keys_of(["1"])[0]))
    assert whole is not None and whole.size == (64, 32)


def test_the_handle_gives_overlays_by_id_and_the_report_shows_them(
    db: slicedb.Database, tmp_path: Path
) -> None:
    with pytest.raises(CheckError, match="run `slicedb cam MODEL` first"):
        db.cams.overlay("0")
    report = db.cam("m")
    assert db.cams.models() == ["m"]
    assert db.cams.overlay("0").size == (64, 32)
    assert db.cams.table("m").num_rows == 4
    assert report._repr_html_().count("<img alt=") == 3
    with pytest.raises(UnknownSampleError, match="No map of 'bad'"):
        db.cams.overlay("bad", "m")
    with pytest.raises(UnknownTableError, match="No maps of model 'mm'"):
        db.cams.overlay("0", "mm")


def test_a_query_that_names_maps_shows_them(db: slicedb.Database) -> None:
    db.cam("m", on="id <> '2'")
    html = db.query("cam_border(m) >= 0")._repr_html_()
    assert html.count("<img alt=") == 2
    shown = html.split("base64,")[1].split("'")[0]
    colours = np.asarray(decode(base64.b64decode(shown)), int).reshape(-1, 3)
    assert np.ptp(colours[:, 0]) > 40  # the picture itself is of one colour
