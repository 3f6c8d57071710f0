"""The handle, as the user writes it: every promise of the README on a small database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

import slicedb
from slicedb.database import Database
from slicedb.errors import (
    BindError,
    ClassesError,
    FormatError,
    ParseError,
    SandboxError,
    SliceDBError,
    SourceError,
    UnknownModelError,
    UnknownSliceError,
)


@pytest.fixture
def db(scenes: Path) -> Database:
    return slicedb.open(scenes / "data.slicedb", create=False)


@pytest.fixture
def warm(db: Database, scenes: Path) -> Database:
    db.models.add("warm", f"{scenes / 'model.py'}:build")
    return db


def test_a_query_counts_lists_and_shows_itself(db: Database) -> None:
    query = db.query("light = 'night' ORDER BY id")
    assert query.count() == len(query.ids()) == len(query.keys()) == len(query.to_pandas())
    assert query.ids() == sorted(query.ids())
    assert query.images(2)[0].size == (96, 96)
    html = db.query("ORDER BY similarity('a bowl of soup') DESC LIMIT 3")._repr_html_()
    assert html.count("<img") == 3
    assert "light = 'night'" in repr(query)


def test_text_image_and_sample_targets_in_one_statement(db: Database, scenes: Path) -> None:
    some = db.query("LIMIT 1").ids()[0]
    file = next((scenes / "pictures").rglob("*.jpg"))
    text = (
        f"similarity('a plate of food', sample('{some}')) > -1 "
        f"ORDER BY similarity(image('{file}')) DESC LIMIT 5"
    )
    query = db.query(text)
    assert len(query.ids()) == 5
    assert np.all(np.diff(query.scores()) <= 0)
    assert Path(query.ids()[0]).name == file.name or query.scores()[0] > 0.99


def test_errors_come_when_the_query_is_built(db: Database) -> None:
    with pytest.raises(BindError) as caught:
        db.query("label = 'Soup' AND\n  lihgt = 'night'")
    error = caught.value
    assert (error.line, error.column, error.token) == (2, 3, "lihgt")
    assert "did you mean 'light'" in str(error)
    for text, kind in {
        "label = ": ParseError,
        "nobody.correct": BindError,
        "in_slice('nothing')": BindError,
        "DELETE FROM samples": SandboxError,
        "SELECT * FROM read_text('/etc/passwd')": SandboxError,
    }.items():
        with pytest.raises(kind):
            db.query(text)


def test_predict_covers_the_union_once_and_then_only_what_is_missing(warm: Database) -> None:
    warm.slices.add("night", "light = 'night'")
    warm.slices.add("dessert", "label = 'Dessert'")
    union = warm.query("in_slice('night') OR in_slice('dessert')").count()
    assert warm.predict("warm", ["night", "dessert"]).predicted == union
    assert warm.predict("warm", ["night", "dessert"]).predicted == 0
    everything = warm.predict("warm")
    assert everything.predicted == warm.query().count() - union


def test_a_relabelled_sample_is_judged_by_its_new_label(warm: Database) -> None:
    warm.predict("warm")
    row = warm.sql(
        "SELECT id, warm.prediction AS p FROM samples WHERE NOT warm.correct ORDER BY id LIMIT 1"
    ).to_pylist()[0]
    assert warm.relabel(f"id = '{row['id']}'", row["p"]) == 1
    assert warm.query(f"id = '{row['id']}' AND warm.correct").count() == 1


def test_frozen_slices_survive_ingest_relabel_and_cleanup(warm: Database, scenes: Path) -> None:
    from slicedb.demo.scenes import write

    warm.slices.add("night", "light = 'night'")
    before = warm.slices.freeze("night").ids()
    report = warm.ingest(write(scenes / "more", 30, 5000), id_by="sha256")
    assert report.added == 30
    warm.tag(f"id = '{before[0]}'", "seen")
    warm.store.cleanup(older_than=timedelta(0))
    assert warm.slices.get("night").ids() == before
    assert warm.query("in_slice('night')").count() == len(before)
    assert warm.query("light = 'night'").count() > len(before)
    assert len(warm.slices.diff("night").added) == warm.query("light = 'night'").count() - len(
        before
    )


def test_logging_from_a_training_loop(db: Database) -> None:
    classes = sorted({r["label"] for r in db.sql("SELECT DISTINCT label FROM samples").to_pylist()})
    loader = db.query("split = 'test'").to_torch(size=32).loader(batch_size=16, shuffle=True)
    with db.log_predictions("run7", classes=classes) as log:
        for images, _, ids in loader:
            log.add(
                ids, logits=np.tile(np.arange(len(classes), dtype=np.float32), (len(images), 1))
            )
    assert db.query("run7.prediction IS NOT NULL").count() == db.query("split = 'test'").count()


def test_a_slice_feeds_training_without_its_holdout(db: Database) -> None:
    db.slices.add("night", "light = 'night'", holdout="50%")
    held = set(
        db.store.take("samples", db.slices.get("night").holdout_keys(), ["id"])["id"].to_pylist()
    )
    dataset = db.slices.get("night").to_torch(size=32)
    assert held and not held & set(dataset.ids)
    assert len(dataset.ids) + len(held) == db.slices.get("night").count()


def test_a_suite_judges_writes_down_and_names_the_worst(warm: Database) -> None:
    warm.slices.add("night", "light = 'night'", expect=["accuracy >= 0.99", "count >= 5"])
    report = warm.test(model="warm")
    verdicts = {r.check: r.verdict for r in report.results}
    assert list(verdicts.values()) == ["FAIL", "PASS"]
    assert report.exit_code == 1
    assert report.results[0].worst_ids
    assert warm.store.count("tests") == 2
    assert warm.store.count("runs") == 1


def test_what_is_not_there_is_named_with_its_neighbours(warm: Database) -> None:
    warm.slices.add("night", "light = 'night'")
    with pytest.raises(UnknownModelError, match=r"wram.*did you mean 'warm'"):
        warm.predict("wram")
    with pytest.raises(UnknownSliceError, match=r"nihgt.*did you mean 'night'"):
        warm.slices.get("nihgt")
    with pytest.raises(SliceDBError, match=r"No model to test"):
        warm.test()


def test_a_class_list_that_does_not_fit_the_weights_is_refused(db: Database) -> None:
    import torch

    from slicedb.models import TorchClassifier

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 4))
    model = TorchClassifier(net, classes=["a", "b", "c"], input_size=8)
    with pytest.raises(ClassesError, match=r"3.*4|4.*3"):
        db.models.add("odd", model)
    assert not db.store.has("models") or not db.models.list()


def test_sources_that_are_missing_empty_or_unreadable(db: Database, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        db.ingest(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError):
        db.ingest(tmp_path / "empty")


def test_a_newer_format_is_refused(db: Database) -> None:
    db.store.set_metadata("samples", {"slicedb:format": "99"})
    with pytest.raises(FormatError, match="format 99"):
        slicedb.open(db.path)


def test_lancedb_opens_every_table(warm: Database) -> None:
    import lancedb

    warm.predict("warm")
    warm.slices.add("night", "light = 'night'", expect=["count >= 1"])
    warm.test(model="warm")
    warm.commit("all kinds of tables")
    connection = lancedb.connect(warm.path)
    names = sorted(connection.list_tables().tables)
    assert names == warm.store.names()
    assert {"samples", "images", "embeddings__default", "predictions__warm"} <= set(names)
    for name in names:
        assert connection.open_table(name).count_rows() == warm.store.count(name)


def test_info_tells_what_is_there(warm: Database) -> None:
    warm.predict("warm")
    about = warm.info()
    assert about["status"] == {"ok": 120}
    assert (about["embeddings"], about["predictions"]) == (["default"], ["warm"])


def test_values_are_given_beside_the_text(db: Database) -> None:
    night = db.query("light = $light", {"light": "night"})
    assert night.text == "light = 'night'" and night.count() > 10
    counted = db.sql("SELECT count(*) AS n FROM samples WHERE light = ?", ["night"])
    assert counted["n"].to_pylist() == [night.count()]


def test_one_slice_is_not_a_list_of_letters(warm: Database) -> None:
    warm.slices.add("night", "light = 'night'")
    one = warm.evaluate("warm", "night", metrics=["count"]).to_arrow()
    assert one.equals(warm.evaluate("warm", ["night"], metrics=["count"]).to_arrow())


@pytest.mark.parametrize(
    "text",
    ["random() < 0.5", "ORDER BY uuid() LIMIT 3", "FROM samples SELECT id USING SAMPLE 5 ROWS"],
)
def test_a_slice_is_never_drawn_anew_each_time(db: Database, text: str) -> None:
    assert db.query(text).count() >= 0  # asked once it is a query like any other
    with pytest.raises(SliceDBError, match=r"other samples each time.*ORDER BY hash"):
        db.slices.add("lucky", text)


def test_a_verb_predicts_again_only_where_something_changed(
    db: Database, scenes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    class Shift(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.by = torch.nn.Parameter(torch.tensor([1.0, 0.0]))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(1, 2, 3))[:, None] * 0 + self.by  # (n, 3, h, w) -> (n, 2)

    net = Shift()
    labels = db.sql("SELECT label, count(*) n FROM samples GROUP BY ALL ORDER BY n DESC LIMIT 2")
    classes = labels["label"].to_pylist()
    db.models.add("shift", slicedb.models.TorchClassifier(net, classes=classes, input_size=8))
    asked: list[str] = []
    predict = Database.predict

    def counted(self: Database, model: str, *args: object, **options: object) -> object:
        asked.append(model)
        return predict(self, model, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "predict", counted)
    on = f"label IN ('{classes[0]}', '{classes[1]}')"

    def first_share() -> float:
        return float(db.evaluate("shift", slices=[on]).to_pandas()["value"].iloc[0])

    before = first_share()
    assert first_share() == before and len(asked) == 2  # one predicts, one finds nothing to do
    assert first_share() == before and len(asked) == 2
    with torch.no_grad():
        net.by.copy_(torch.tensor([0.0, 1.0]))
    assert first_share() == pytest.approx(1 - before) and len(asked) == 3
    one = db.query(f"label = '{classes[0]}'").ids()[0]
    db.relabel(f"id = '{one}'", classes[1])
    assert first_share() > 1 - before and len(asked) == 4
