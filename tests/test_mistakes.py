"""Error analysis: review sets, top losses, confused pairs, shares; every finding is a query."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes_curate import ask, made_store

from slicedb.analysis import errors
from slicedb.analysis.mistakes import Mistakes
from slicedb.errors import (
    BindError,
    CheckError,
    PredictionError,
    SliceError,
    UnknownModelError,
)
from slicedb.schema import keys_of
from slicedb.store import Store

CLASSES = ("Bread", "Chef's soup", "Rice")
SLICES = {"night": "hour >= 20", "day": "hour < 20 OR hour IS NULL"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    rng = np.random.default_rng(5)
    n = 400
    label = rng.integers(0, 3, n)
    hour = rng.integers(0, 24, n)
    noise = np.where(hour >= 20, 2.5, 0.8)[:, None]
    z = 2.0 * np.eye(3)[label] + noise * rng.normal(size=(n, 3))
    p = np.exp(2 * z)
    p /= p.sum(axis=1, keepdims=True)
    p[:3] = [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.25, 0.5, 0.25]]  # on the very bounds
    labels = [CLASSES[i] for i in label]
    labels[0], labels[1], labels[2] = "Rice", "Rice", "Rice"
    labels[7], labels[8] = None, "Tiramisu"  # unlabelled; a class the model lacks
    weather = [["sun", "rain", None][i % 3] for i in range(n)]
    return made_store(
        tmp_path_factory.mktemp("mistakes"), labels, p, CLASSES, hour=hour, weather=weather
    )


@pytest.fixture(scope="module")
def found(store: Store) -> Mistakes:
    members = {name: ask(store, text).keys() for name, text in SLICES.items()}
    return errors(store, "food_v2", slices=members, by=["label", "weather"])


def test_samples_without_a_label_are_left_out(found: Mistakes) -> None:
    assert (found.n, found.left_out) == (399, 1)


def test_every_finding_is_a_query_of_its_own_samples(store: Store, found: Mistakes) -> None:
    assert [f.name for f in found.findings] == [
        "sure_and_wrong",
        "wrong_in_between",
        "unsure_and_wrong",
        "unsure_and_right",
    ]
    first = found.finding("sure_and_wrong")
    assert first.query == "food_v2.confidence >= 0.9 AND NOT food_v2.correct"
    for finding in found.findings:
        assert finding.n > 0
        assert set(ask(store, finding.query).keys()) == set(finding.keys)
        assert finding.n == len(finding.keys) == round(finding.share * found.n)
    assert set(keys_of(["0000", "0001"])) <= set(first.keys)  # exactly 0.9 in float32
    assert keys_of(["0002"])[0] in found.finding("wrong_in_between").keys
    wrong = sum(f.n for f in found.findings[:3])
    assert wrong == found.n_errors == ask(store, "NOT food_v2.correct").count()
    assert found.tags["sure_and_wrong"] is first.keys


def test_review_sets_begin_with_the_largest_loss(store: Store, found: Mistakes) -> None:
    keys = found.finding("unsure_and_wrong").keys
    loss = store.take("predictions__food_v2", keys, ["loss"])["loss"].to_numpy()
    assert (np.diff(loss[~np.isnan(loss)]) <= 0).all()


def test_top_losses_are_those_of_the_query(store: Store, found: Mistakes) -> None:
    assert found.top.column_names == [
        "id",
        "label",
        "prediction",
        "loss",
        "confidence",
        "margin",
        "correct",
    ]
    assert len(found.top) == 20
    assert found.top["id"].to_pylist() == ask(store, found.top_query).ids()
    assert errors(store, "food_v2", n=2).top["id"].to_pylist() == found.top["id"].to_pylist()[:2]


def test_confused_pairs_count_what_their_query_finds(store: Store, found: Mistakes) -> None:
    assert sum(p.n for p in found.pairs) == found.n_errors
    assert sum(p.share for p in found.pairs) == pytest.approx(1.0)
    assert [p.n for p in found.pairs] == sorted((p.n for p in found.pairs), reverse=True)
    for pair in found.pairs:
        assert ask(store, pair.query).count() == pair.n
        of_class = "'" + pair.truth.replace("'", "''") + "'"
        assert pair.rate == pair.n / ask(store, f"label = {of_class}").count()
        assert pair.low <= pair.rate <= pair.high
    assert ("Tiramisu", 1) in [(p.truth, p.n) for p in found.pairs]


def test_shares_of_slices_and_columns_have_queries_and_intervals(
    store: Store, found: Mistakes
) -> None:
    for share in found.shares:
        assert ask(store, share.query, **SLICES).count() == share.n_errors
        assert share.low <= share.share_of_errors <= share.high
    by_name = {share.slice: share for share in found.shares}
    night, day = by_name["night"], by_name["day"]
    assert night.n + day.n == found.n
    assert night.share_of_errors + day.share_of_errors == pytest.approx(1.0)
    assert night.is_heavy and not day.is_heavy and night.lift > 1.5 > 1 > day.lift
    assert night.query == "in_slice('night') AND NOT food_v2.correct"
    assert {"weather IS NULL", "weather = 'sun'", "label = 'Chef''s soup'"} <= set(by_name)
    assert [s.lift for s in found.shares] == sorted((s.lift for s in found.shares), reverse=True)


def test_scope_stands_in_every_query(store: Store) -> None:
    keys = ask(store, SLICES["day"]).keys()
    part = errors(store, "food_v2", keys, scope=SLICES["day"])
    sure = part.finding("sure_and_wrong")
    assert sure.query == (
        "(hour < 20 OR hour IS NULL) AND food_v2.confidence >= 0.9 AND NOT food_v2.correct"
    )
    assert set(ask(store, sure.query).keys()) == set(sure.keys)
    assert ask(store, part.top_query).ids() == part.top["id"].to_pylist()
    assert sum(ask(store, p.query).count() for p in part.pairs) == part.n_errors


def test_bounds_of_the_review_sets_can_be_set(store: Store) -> None:
    part = errors(store, "food_v2", sure=0.99, unsure=0.6)
    for finding in part.findings:
        assert set(ask(store, finding.query).keys()) == set(finding.keys)


def test_a_table_and_a_text_of_everything(found: Mistakes) -> None:
    table = found.to_arrow()
    assert table.column_names == ["kind", "name", "n", "share", "query"]
    assert len(table) == len(found.findings) + len(found.pairs) + len(found.shares)
    text = str(found)
    assert text.startswith(f"food_v2: {found.n_errors} errors in 399 samples (")
    assert "food_v2.confidence >= 0.9 AND NOT food_v2.correct" in text


def test_a_model_without_mistakes_has_empty_findings(tmp_path: Path) -> None:
    store = made_store(tmp_path, ["a", "b"], np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "b"])
    none = errors(store, "food_v2")
    assert (none.n_errors, none.pairs) == (0, ())
    assert none.finding("sure_and_wrong").n == 0
    assert all(np.isnan(share.share_of_errors) for share in none.shares)
    assert "0 errors in 2 samples" in str(none)


def test_samples_of_no_status_count_and_names_with_a_dash_are_quoted(tmp_path: Path) -> None:
    p = np.array([[0.95, 0.05], [0.2, 0.8]])
    store = made_store(tmp_path, ["b", "b"], p, ["a", "b"], model="run7-epoch3", status=None)
    found = errors(store, "run7-epoch3")
    query = found.finding("sure_and_wrong").query
    assert query == '"run7-epoch3".confidence >= 0.9 AND NOT "run7-epoch3".correct'
    assert ask(store, query).ids() == ["0000"]


def test_bad_input_is_a_clear_error(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'food_v2'"):
        errors(store, "food_v3")
    with pytest.raises(SliceError, match="no samples to judge"):
        errors(store, "food_v2", np.empty(0, np.int64))
    with pytest.raises(SliceError, match="None of the 1 sample has a label"):
        errors(store, "food_v2", keys_of(["0007"]))
    with pytest.raises(BindError, match=r"No column 'wether'.*did you mean 'weather'"):
        errors(store, "food_v2", by=["wether"])
    with pytest.raises(SliceError, match=r"'id' has 399 values"):
        errors(store, "food_v2", by=["id"])
    with pytest.raises(CheckError, match=r"unsure is 0.9 and sure 0.5"):
        errors(store, "food_v2", sure=0.5, unsure=0.9)
    with pytest.raises(CheckError, match="not a predicate"):
        errors(store, "food_v2", scope="label = 'Rice' LIMIT 10")
    store.delete("predictions__food_v2", ["0399"])
    with pytest.raises(PredictionError, match="slicedb predict food_v2"):
        errors(store, "food_v2", keys_of(["0399"]))
