"""A real Jupyter kernel: every result shows itself with pictures, charts and tables."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import fakes_blocks
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import slicedb
from slicedb.schema import SAMPLES, keys_of

nbformat = pytest.importorskip("nbformat", reason="the test extra has nbclient and nbformat")
nbclient = pytest.importorskip("nbclient", reason="the test extra has nbclient and nbformat")
pytest.importorskip("ipykernel", reason="the test extra has ipykernel")

pytestmark = pytest.mark.slow

CELLS = {
    # what is shown: the least number of pictures, of SVG charts, of tables
    "db": (0, 0, 1),
    "db.info()": (0, 0, 1),
    "db.query('v3.loss > 0 ORDER BY v3.loss DESC LIMIT 4')": (4, 0, 0),
    "db.query('SELECT id, width, v3.confidence FROM samples ORDER BY id LIMIT 3')": (3, 0, 0),
    "db.query(\"split = 'val' AND det.loss >= 0\")": (2, 0, 0),
    "db.query('FROM det.matches')": (4, 0, 0),
    "db.query('SELECT label, count(*) n FROM samples GROUP BY ALL')": (0, 0, 1),
    "db.sql('SELECT label, count(*) n FROM samples GROUP BY ALL')": (0, 0, 1),
    "db.slices.list()": (0, 0, 1),
    "db.slices.get('val')": (1, 0, 0),
    "db.slices.overlap()": (0, 0, 2),
    "db.slices.coverage('v3')": (0, 0, 1),
    "db.slices.breakdown()": (0, 0, 1),
    "db.evaluate(['v3', 'v4'], metrics=['accuracy', 'log_loss'])": (0, 12, 3),
    "db.evaluate('det', metrics=['map', 'recall'], per_class=True)": (0, 6, 3),
    "db.compare('v4', 'v3')": (0, 3, 1),
    "db.confusion('v3')": (0, 0, 1),
    "db.confusion('det')": (0, 0, 1),
    "db.test(model='v3', baseline='v4', write=False)": (1, 2, 2),
    "db.errors('v3')": (5, 0, 3),
    "db.errors('det')": (5, 0, 3),
    "db.cost('v3', ask=0.2)": (0, 2, 2),
    "db.cost('v3', positive='snow')": (0, 5, 2),
    "db.calibration('v3')": (0, 2, 1),
    "db.power('v4', 'v3')": (0, 0, 1),
    "db.models.show('net')": (0, 0, 0),
    "slicedb.open(db.path.replace('blocks', 'days')).drift(\"split = 'a'\", \"split = 'b'\")": (
        0,
        0,
        1,
    ),
}


class Tags(HTMLParser):
    """Counts tags, and holds the closing ones against the opening ones."""

    EMPTY = ("img", "br", "hr", "meta", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.counts: dict[str, int] = {}
        self.classes: set[str] = set()
        self.styled: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attributes:
            self.classes |= set((value or "").split()) if name == "class" else set()
            self.styled += [tag] if name == "style" or name.startswith("on") else []
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag


def write(folder: Path) -> slicedb.Database:
    """Write photos of blocks, two classifiers, a detector and a registered model."""
    db = slicedb.open(folder / "blocks.slicedb")
    db.ingest(fakes_blocks.write(folder / "photos"))
    ids = sorted(fakes_blocks.WORLD)
    db.attach(pa.table({"id": ids, "weight": [1.0, 2, 3, 4, 5]}))
    for i, name in enumerate(ids):
        db.relabel(f"id = '{name}'", ("snow", "sun")[i % 2])
    splits = pa.table({"id": ids, "split": ["train", "val"] * 2 + ["val"]})
    db.store.upsert("samples", splits, insert=False)
    rng = np.random.default_rng(0)
    for name in ("v3", "v4"):
        p = rng.dirichlet([2.0, 2.0], len(ids))
        table = pa.table({"id": ids, "probabilities": p.tolist()})
        db.log_predictions(name, table, classes=["snow", "sun"])
    found = [
        [{"label": label, "bbox": list(map(float, b)), "score": 0.9} for label, b in blocks[:1]]
        for _, _, blocks in (fakes_blocks.WORLD[name] for name in ids)
    ]
    db.log_predictions("det", pa.table({"id": ids, "objects": found}), classes=["snow", "sun"])
    db.slices.add("val", "split = 'val'", expect=["accuracy >= 0.99"], decide="point")
    db.slices.add("heavy", "weight > 1", expect=["accuracy >= 0.2"], decide="point")
    days = slicedb.open(folder / "days.slicedb")
    ids = [f"d{i}" for i in range(80)]
    rows = {"id": ids, "key": keys_of(ids), "status": ["ok"] * 80, "split": ["a", "b"] * 40}
    days.store.append(SAMPLES, pa.table(rows | {"label": ["rain", "sun", "sun", "sun"] * 20}))
    return db


def test_every_result_shows_itself_in_a_real_kernel(tmp_path: Path) -> None:
    db = write(tmp_path)
    first = f"import slicedb\ndb = slicedb.open({db.path!r})"
    model = (
        "import torch\nfrom slicedb.models import TorchClassifier\n"
        "net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),"
        " torch.nn.Linear(3, 2))\n"
        "db.models.add('net', TorchClassifier(net, classes=['snow', 'sun'], input_size=32))"
    )
    cells = [first, model, *CELLS]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3")
    client.execute()
    for text, cell in zip(CELLS, book.cells[2:]):
        least_pictures, least_charts, least_tables = CELLS[text]
        (data,) = [output.data for output in cell.outputs if "data" in output]
        shown, plain = data["text/html"], data["text/plain"]
        assert "object at 0x" not in plain and "<slicedb" not in plain, text
        tags = Tags()
        tags.feed(shown)
        assert not tags.open, text
        counts = tags.counts
        assert counts.get("img", 0) >= least_pictures, text
        assert counts.get("svg", 0) >= least_charts, text
        assert counts.get("table", 0) >= least_tables, text
        assert not tags.styled, text
        assert "data-tip" not in shown and "<script" not in shown and "http" not in shown, text
        for encoded in re.findall(r"data:image/jpeg;base64,([^\"]+)", shown):
            picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
            picture.load()
            assert 150 <= max(picture.size) <= 180, text
    by_text = dict(zip(CELLS, [cell.outputs for cell in book.cells[2:]]))
    (pictures,) = [o.data["text/html"] for o in by_text["db.errors('v3')"] if "data" in o]
    assert "v3: " in pictures and "loss" in pictures and "label sun" in pictures
    (select,) = [
        o.data["text/html"] for t, outs in by_text.items() if "v3.confidence" in t for o in outs
    ]
    assert "width 64" in select and "confidence 0." in select
    (table,) = [o.data["text/plain"] for o in by_text[next(t for t in CELLS if "db.sql" in t)]]
    assert table.splitlines()[0].split() == ["label", "n"]


RESULTS: dict[str, Any] = {
    "info": lambda db: db.info(),
    "slices": lambda db: db.slices.list(),
    "slice": lambda db: db.slices.get("val"),
    "database": lambda db: db,
    "query": lambda db: db.query("split = 'val'"),
    "evaluate": lambda db: db.evaluate("v3"),
    "errors": lambda db: db.errors("det"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> slicedb.Database:
    return write(tmp_path_factory.mktemp("shown"))


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_converts(written: slicedb.Database, name: str) -> None:
    result = RESULTS[name](written)
    assert len(result.to_pandas()) == result.to_arrow().num_rows > 0
    assert "object at" not in repr(result)
    assert "<" in result._repr_html_()


def test_a_list_of_slices_is_a_list_and_info_a_dictionary(written: slicedb.Database) -> None:
    slices = written.slices.list()
    assert [s.name for s in slices] == ["heavy", "val"] and slices[0].name == "heavy"
    assert "accuracy >= 0.99" in repr(slices)
    info = written.info()
    assert info["samples"] == 5 and "samples: 5" in repr(info) and dict(info)["slices"]
