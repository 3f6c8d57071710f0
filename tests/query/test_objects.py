"""Queries over boxes against loops over the same boxes."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import engine_of

from slicedb.errors import SliceDBError
from slicedb.query import Engine
from slicedb.schema import PREDICTIONS, SAMPLES, keys_of
from slicedb.store import Store
from slicedb.tasks import TASKS

sys.path.insert(0, str(Path(__file__).parents[1]))

from test_boxes import reference_iou

LABELS = ["car", "dog", "person"]
W, H = 40, 20


def some_boxes(rng: np.random.Generator, scored: bool) -> list[dict[str, Any]] | None:
    if rng.random() < 0.15:
        return None
    return [
        {
            "label": LABELS[rng.integers(3)],
            "bbox": [*rng.integers(0, 7, 2).tolist(), *rng.integers(3, 12, 2).tolist()],
            "score": float(rng.integers(0, 11)) / 10 if scored else None,
            "attributes": json.dumps({"iscrowd": int(rng.random() < 0.1), "n": i})
            if not scored
            else None,
        }
        for i in range(int(rng.integers(0, 7)))
    ]


def seen(rng: np.random.Generator, truth: list[dict[str, Any]] | None) -> Any:
    """Return what a detector says: some of the boxes, moved a little, and others."""
    found = some_boxes(rng, True)
    for box in truth or []:
        if found is not None and rng.random() < 0.7:
            x, y, w, h = box["bbox"]
            moved = [x + int(rng.integers(0, 2)), y, w, h + int(rng.integers(0, 3))]
            score = float(rng.integers(0, 11)) / 10
            found.append({**box, "bbox": moved, "score": score, "attributes": None})
    return found


class Street:
    """Forty samples with boxes, and a detector that has seen most of them."""

    def __init__(self, path: Path) -> None:
        rng = np.random.default_rng(5)
        self.truth = {f"s{i:02d}": some_boxes(rng, False) for i in range(40)}
        self.found = {n: seen(rng, boxes) for n, boxes in self.truth.items() if n != "s03"}
        self.store = Store.open(path)
        rows = [
            {"id": n, "width": W, "height": H, "status": "ok", "label": "x", "objects": boxes}
            for n, boxes in self.truth.items()
        ]
        for row in rows:
            row["key"] = int(keys_of([str(row["id"])])[0])
        schema = pa.schema([f for f in self.store.schema(SAMPLES) if f.name in rows[0]])
        self.store.append(SAMPLES, pa.Table.from_pylist(rows, schema=schema))
        found = [
            {"id": n, "key": int(keys_of([n])[0]), "objects": boxes}
            for n, boxes in self.found.items()
        ]
        self.store.create(PREDICTIONS + "det", TASKS["detection"].schema(None))
        table = pa.Table.from_pylist(found[::-1], schema=TASKS["detection"].schema(None))
        self.store.append(PREDICTIONS + "det", table)
        self.engine = engine_of(self.store)

    def both(self) -> dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
        """Samples where both lists are there."""
        lists = {n: (boxes, self.found.get(n)) for n, boxes in self.truth.items()}
        return {n: (t, f) for n, (t, f) in lists.items() if t is not None and f is not None}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    return Street(tmp_path_factory.mktemp("street") / "street.slicedb")


def crowd(box: dict[str, Any]) -> bool:
    return json.loads(box["attributes"])["iscrowd"] == 1


def outcomes(truth: list[Any], found: list[Any], least: float, same: bool) -> Counter[str]:
    """COCO's rule for one image."""
    count: Counter[str] = Counter()
    free = set(range(len(truth)))
    for box in sorted(found, key=lambda b: -b["score"]):
        near = [
            (not crowd(t), value, i)
            for i, t in enumerate(truth)
            if (t["label"] == box["label"] or not same)
            and (i in free or crowd(t))
            and (value := reference_iou(box["bbox"], t["bbox"], crowd(t))) >= least
        ]
        if not near:
            count["fp"] += 1
            continue
        plain, _, i = max(near)
        count["tp" if plain else "ignored"] += 1
        free.discard(i)
    count["fn"] += sum(not crowd(truth[i]) for i in free)
    count["ignored"] += sum(map(crowd, truth))
    return count


@pytest.mark.parametrize(("least", "same"), [(0.5, True), (0.3, True), (0.2, False)])
def test_matches_are_cocos(street: Street, least: float, same: bool) -> None:
    rule = f"iou => {least}, same_label => {str(same).lower()}"
    found = street.engine.sql(
        f"SELECT id, outcome, count(*) n FROM det.matches({rule}) GROUP BY ALL"
    )
    got: dict[str, Counter[str]] = {}
    for row in found.to_pylist():
        got.setdefault(row["id"], Counter())[row["outcome"]] = row["n"]
    wanted = {n: +outcomes(t, f, least, same) for n, (t, f) in street.both().items()}
    assert got == {n: c for n, c in wanted.items() if c}
    assert sum(c["tp"] for c in got.values()) > 10
    assert sum(c["ignored"] for c in got.values()) > 5


def test_both_sides_of_a_match_name_each_other(street: Street) -> None:
    pairs = street.engine.sql(
        "SELECT o.index, d.index, d.object, o.det.detection, o.det.iou, d.iou, o.det.score, d.score"
        " FROM objects o JOIN det.objects d ON o.key = d.key AND d.object = o.index"
        " WHERE o.det.found"
    ).to_pylist()
    assert len(pairs) > 10
    for row in pairs:
        index, other, place, detection, iou, same, score, own = row.values()
        assert (index, other, iou, score) == (place, detection, same, own)


def test_best_iou_is_the_largest_of_all_pairs(street: Street) -> None:
    rows = street.engine.sql(
        "SELECT id, best_iou(det) AS a, best_iou(det, same_label => false) AS b, "
        "best_iou(det, det, same_label => false) AS c FROM samples"
    ).to_pylist()
    both = street.both()
    seen = 0
    for row in rows:
        name = row["id"]
        if name not in both:
            assert row["a"] is None and row["b"] is None
            continue
        truth, found = both[name]
        pairs = [(t, f) for t in truth for f in found]
        same = [reference_iou(t["bbox"], f["bbox"]) for t, f in pairs if t["label"] == f["label"]]
        every = [reference_iou(t["bbox"], f["bbox"]) for t, f in pairs]
        own = [
            reference_iou(f["bbox"], g["bbox"]) for i, f in enumerate(found) for g in found[i + 1 :]
        ]
        assert row["a"] == pytest.approx(max(same, default=0))
        assert row["b"] == pytest.approx(max(every, default=0))
        assert row["c"] == pytest.approx(max(own, default=0))
        seen += row["a"] > 0
    assert seen > 10


bounds = st.one_of(st.none(), st.integers(0, 15))


@settings(max_examples=40, deadline=None)
@given(
    label=st.sampled_from([None, *LABELS]),
    low=bounds,
    high=bounds,
    wide=st.one_of(st.none(), st.sampled_from([0.5, 1, 2])),
    part=st.one_of(st.none(), st.tuples(*[st.sampled_from([0.0, 0.25, 0.5, 1.0])] * 4)),
    number=st.one_of(st.none(), st.integers(0, 3)),
    model=st.booleans(),
)
def test_counting_equals_a_loop(
    street: Street, label: Any, low: Any, high: Any, wide: Any, part: Any, number: Any, model: bool
) -> None:
    options = [f"'{label}'"] if label else []
    options += [f"min_area => {low * 10}"] if low is not None else []
    options += [f"max_width => {high}"] if high is not None else []
    options += [f"min_ratio => {wide}"] if wide is not None else []
    options += [f"inside => {list(part)}"] if part else []
    options += [f"attributes => {{n: {number}}}"] if number is not None and not model else []
    options += ["model => 'det'"] if model else []

    def fits(box: dict[str, Any]) -> bool:
        x, y, w, h = box["bbox"]
        cx, cy = (x + w / 2) / W, (y + h / 2) / H
        return (
            (label is None or box["label"] == label)
            and (low is None or w * h >= low * 10)
            and (high is None or w <= high)
            and (wide is None or w / h >= wide)
            and (
                not part
                or (part[0] <= cx <= part[0] + part[2] and part[1] <= cy <= part[1] + part[3])
            )
            and (number is None or model or json.loads(box["attributes"])["n"] == number)
        )

    call = ", ".join(options)
    rows = street.engine.sql(
        f"SELECT id, count_objects({call}) AS n, has_object({call}) AS any FROM samples"
    ).to_pylist()
    lists = street.found if model else street.truth
    for row in rows:
        boxes = lists.get(row["id"])
        wanted = None if boxes is None else sum(map(fits, boxes))
        assert row["n"] == wanted
        assert row["any"] == (None if wanted is None else wanted > 0)


def test_boxes_follow_a_new_version(tmp_path: Path) -> None:
    street = Street(tmp_path / "moving.slicedb")
    engine, store = street.engine, street.store
    query = engine.query("SELECT count(*) n FROM objects WHERE det.found AND label = 'horse'")
    before = store.versions()
    assert query.to_arrow()["n"].to_pylist() == [0]
    kind = TASKS["detection"].schema(None).field("objects").type
    horse = [{"label": "horse", "bbox": [0, 0, 5, 5], "score": 0.5}]
    change = pa.table({"id": ["s03"], "objects": pa.array([horse], kind)})
    store.upsert(SAMPLES, change, insert=False)
    assert engine.query("has_object('horse')").ids() == ["s03"]
    assert query.to_arrow()["n"].to_pylist() == [0]
    row = {"id": "s03", "key": int(keys_of(["s03"])[0]), "objects": horse}
    store.upsert(
        PREDICTIONS + "det", pa.Table.from_pylist([row], schema=TASKS["detection"].schema(None))
    )
    assert query.to_arrow()["n"].to_pylist() == [1]
    assert engine.query("has_object('horse')", at=before).ids() == []


def test_old_matchings_and_versions_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slicedb.query.hot.boxes._KEEP", 2)
    street = Street(tmp_path / "long.slicedb")
    engine = street.engine
    counts = {}
    for least in (0.3, 0.4, 0.5, 0.6, 0.7, 0.3, 0.5):
        text = f"SELECT count(*) AS n FROM det.matches(iou => {least}) WHERE outcome = 'tp'"
        counts.setdefault(least, set()).add(engine.sql(text)["n"][0].as_py())
    assert all(len(found) == 1 for found in counts.values())
    assert sorted(counts[n].copy().pop() for n in counts)[0] < counts[0.3].copy().pop()
    truth = next(n for n in engine.session.tables._loaded if n.startswith("objects@"))
    states = [c for c in engine.session.tables.columns(truth) if c.endswith(".state")]
    assert len(states) == 2
    for _ in range(6):
        change = pa.table({"id": ["s00"], "fp": [1]})
        street.store.upsert(PREDICTIONS + "det", change, insert=False)
        engine.sql("SELECT count(*) FROM det.objects WHERE tp")
    assert sum(n.startswith("det.objects@") for n in engine.session.tables._loaded) == 4


def test_star_shows_no_columns_of_ours(engine: Engine) -> None:
    found = engine.query("has_object('car') AND any_iou(d1, d2)").to_arrow()
    assert not [name for name in found.column_names if "~" in name or "." in name]
    boxes = engine.sql("SELECT * FROM objects WHERE d1.found AND matches('red')")
    assert boxes.column_names == [
        "id",
        "index",
        "label",
        "x",
        "y",
        "w",
        "h",
        "cx",
        "cy",
        "area",
        "share",
        "ratio",
        "score",
        "attributes",
        "segmentation",
        "keypoints",
    ]


def test_a_word_without_a_name_is_shown_as_written(engine: Engine) -> None:
    text = "SELECT id, count_objects('car',\n min_area => 1), similarity('red', using => 'default')"
    table = engine.sql(f"{text}, any_iou(d1) AS near FROM samples WHERE id = 'a1'")
    assert table.to_pylist() == [
        {
            "id": "a1",
            "count_objects('car', min_area => 1)": 2,
            "similarity('red', using => 'default')": pytest.approx(1, abs=1e-3),
            "near": True,
        }
    ]


def test_explain_names_the_boxes(engine: Engine) -> None:
    shown = str(engine.query("has_object('car', missed_by => 'd1')").explain())
    assert "objects @" in shown and "d1.found" in shown and "d1.objects@" in shown


FROMS = ["objects", "d1.objects", "d2.matches(iou => 0.3) m", "samples", "objects AS samples", "m1"]
TERMS = [
    "d1.found",
    "NOT d2.found",
    "samples.weather = 'sunny'",
    "has_object(label)",
    "any_iou(d1, d2)",
    "best_iou(d2) < 0.5",
    "matches('red')",
    "in_slice('held')",
    "has_tag('night')",
    "m1.loss > 1",
    "label = 'car'",
    "tp",
    "outcome = 'fp'",
    "d1.objects.label = 'car'",
    "samples.m1.loss > 0.2",
    "status = 'ok'",
    "has_object(found_by => d1, missed_by => 'd2', iou => 0.7)",
    "EXISTS (SELECT 1 FROM objects q WHERE q.key = samples.key)",
    "d1.objects[1].score > 0.5",
]
SHAPES = [
    "SELECT * FROM {0} WHERE {1}",
    "{1}",
    "SELECT label, count(*) FROM {0} WHERE {1} GROUP BY ALL",
    "WITH t AS (FROM {0}) SELECT * FROM t WHERE {1}",
    "SELECT * EXCLUDE (id) FROM {0} WHERE {1}",
    "SELECT count(*) FROM {0} o JOIN samples USING (key) WHERE {1}",
]


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    source=st.sampled_from(FROMS),
    terms=st.lists(st.sampled_from(TERMS), min_size=1, max_size=3),
    word=st.sampled_from([" AND ", " OR "]),
)
def test_any_mix_of_boxes_is_answered_or_refused_in_our_words(
    engine: Engine, shape: str, source: str, terms: list[str], word: str
) -> None:
    try:
        query = engine.query(shape.format(source, word.join(terms)))
        table = query.to_arrow()
    except SliceDBError as error:
        assert "~" not in str(error)
        return
    assert not [name for name in table.column_names if name.startswith("~")]
    if query.is_rows:
        assert len(set(query.ids())) == query.count()


def test_no_boxes_anywhere(tmp_path: Path) -> None:
    engine = engine_of(Store.open(tmp_path / "empty.slicedb"))
    assert engine.query("has_object('car')").ids() == []
    assert engine.sql("FROM objects").num_rows == 0
