"""What to label next: typical first, then uncertain, with quotas and costs, each with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from slicedb import schema
from slicedb.cli import verbs
from slicedb.curate.herding import farthest, herd
from slicedb.curate.probe import probe
from slicedb.database import Database
from slicedb.errors import CheckError, UnknownModelError
from slicedb.store import Store

CENTRES = np.eye(6, dtype=np.float32)[:4]


def clusters(sizes: list[int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors (n, 6) around axes, and the cluster of each."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(len(sizes)), sizes)
    x = CENTRES[which] + rng.normal(0, 0.15, (len(which), 6)).astype(np.float32)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), which


def filled(path: Path, sizes: list[int], labelled: int = 0, **columns: object) -> Database:
    """Clusters of vectors; the first samples of each have a label."""
    x, which = clusters(sizes)
    db = Database(Store.open(path / "picks.slicedb"))
    ids = [f"{i:04}" for i in range(len(x))]
    place = np.concatenate([np.arange(n) for n in sizes])
    labels = [f"c{k}" if p < labelled else None for k, p in zip(which, place)]
    rows = {"id": ids, "key": schema.keys_of(ids), "label": labels, "status": ["ok"] * len(x)}
    db.store.append(schema.SAMPLES, pa.table(rows))
    if columns:
        db.attach({"id": ids, **columns})
    db.log_embeddings("own", pa.table({"id": ids, "vector": x.tolist()}))
    return db


def cluster_of(ids: list[str], sizes: list[int]) -> list[int]:
    return np.searchsorted(np.cumsum(sizes), [int(name) for name in ids], side="right").tolist()


# --- the choice ----------------------------------------------------------------------------------


def test_the_first_choices_are_one_of_each_cluster_the_largest_first() -> None:
    x, which = clusters([80, 40, 20, 10])
    rows, gains = herd(x, x[:0], 4)
    assert which[rows].tolist() == [0, 1, 2, 3]
    assert (np.diff(gains) < 0).all()
    more, _ = herd(x, x[:0], 9)
    assert more[:4].tolist() == rows.tolist()  # what is chosen first does not depend on n
    assert len(set(more.tolist())) == 9


def test_the_lazy_choice_is_the_greedy_one() -> None:
    x, _ = clusters([30, 20, 10, 5], seed=3)
    rows, gains = herd(x, x[:3], 12)
    distance = np.sqrt(np.maximum(2 - 2 * x @ x.T, 0))
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, len(x), (2, 4096))
    cosine = (x[left] * x[right]).sum(axis=1)[left != right]
    width = 0.5 * np.sqrt(2 - 2 * np.median(cosine))
    near = np.exp(-((distance / width) ** 2))
    covered = near[:3].max(axis=0)
    for row, gain in zip(rows, gains):
        adds = np.maximum(near - covered, 0).mean(axis=1)
        assert gain == pytest.approx(adds.max(), abs=1e-4)
        assert adds[row] == pytest.approx(adds.max(), abs=1e-4)
        covered = np.maximum(covered, near[row])


def test_what_is_labelled_stands_for_its_cluster() -> None:
    x, which = clusters([80, 40, 20, 10])
    rows, _ = herd(x, x[which == 0][:2], 2)
    assert which[rows].tolist() == [1, 2]


def test_what_counts_more_is_stood_for_first() -> None:
    x, which = clusters([80, 40, 20, 10])
    worth = np.where(which == 3, 20.0, 1.0)
    rows, gains = herd(x, x[:0], 4, worth=worth)
    assert which[rows].tolist() == [3, 0, 1, 2]
    assert (np.diff(gains) < 0).all()


def test_the_farthest_is_chosen_next() -> None:
    x = np.array([[1, 0], [0.8, 0.6], [0, 1], [-1, 0]], np.float32)
    rows, distances = farthest(x, x[:1], 3)
    assert rows.tolist() == [3, 2, 1]
    assert distances.round(4).tolist() == [2.0, 1.0, 0.2]


def test_the_probe_tells_clusters_apart() -> None:
    x, which = clusters([40, 40, 40, 40])
    p = probe(x[::4], which[::4], x)
    assert (p.argmax(axis=1) == which).mean() > 0.97
    assert p.sum(axis=1) == pytest.approx(1, abs=1e-5)


# --- the verb ------------------------------------------------------------------------------------

SIZES = [60, 30, 20, 10]


def test_typical_samples_come_first_then_uncertain_ones(tmp_path: Path) -> None:
    db = filled(tmp_path, SIZES)
    picks = db.sample(4)
    assert (picks.strategy, picks.pool, picks.labelled) == ("typical", 120, 0)
    assert cluster_of(picks.ids, SIZES) == [0, 1, 2, 3]
    assert picks.rows["reason"][0].as_py().startswith("typical: stands for ")
    assert db.query(picks.query).ids() == picks.ids
    assert list(db.keys(picks.query)) == list(picks.keys)
    for name, cluster in zip(picks.ids, "0123"):
        db.relabel(f"id = '{name}'", f"c{cluster}")
    assert db.sample(4).labelled == 4
    assert not set(db.sample(4).ids) & set(picks.ids)


def test_ten_labels_a_class_are_enough_for_doubt(tmp_path: Path) -> None:
    db = filled(tmp_path, [40, 40, 40, 40], labelled=10)
    picks = db.sample(6)
    assert picks.strategy == "margin"
    assert "as the labels so far have it" in picks.rows["reason"][0].as_py()
    assert db.query("label IS NULL").count() == picks.pool == 120
    entropy = db.sample(6, strategy="entropy")
    assert 0 < entropy.rows["score"][0].as_py() <= 1


def test_a_model_says_what_it_doubts(tmp_path: Path) -> None:
    db = filled(tmp_path, SIZES)
    p = np.full((120, 2), [0.95, 0.05])
    p[5] = [0.52, 0.48]
    p[70] = [0.45, 0.55]
    ids = [f"{i:04}" for i in range(120)]
    db.log_predictions("m", pa.table({"id": ids, "probabilities": p.tolist()}), classes=["a", "b"])
    picks = db.sample(2, model="m", strategy="margin")
    assert set(picks.ids) == {"0005", "0070"}
    row = next(r for r in picks.rows.to_pylist() if r["id"] == "0005")
    assert (round(row["score"], 4), row["reason"]) == (0.96, "uncertain: m says a at 0.52")


def test_slices_have_quotas(tmp_path: Path) -> None:
    db = filled(tmp_path, SIZES, site=["north"] * 110 + ["south"] * 10)
    db.slices.add("south", "site = 'south'")
    picks = db.sample(8, per_slice={"south": 5})
    assert len(picks.ids) == len(set(picks.ids)) == 8
    quota = [r["id"] for r in picks.rows.to_pylist() if r["reason"].endswith("; quota of south")]
    assert len(quota) == 5 and min(quota) >= "0110"
    with pytest.raises(CheckError, match="add up to 9, and n is 8"):
        db.sample(8, per_slice={"south": 9})


@pytest.mark.parametrize("strategy", ["typical", "diverse", "random", "margin"])
def test_a_budget_is_kept(tmp_path: Path, strategy: str) -> None:
    minutes = np.tile([1.0, 5.0], 60)
    db = filled(tmp_path, [30, 30, 30, 30], labelled=10, minutes=minutes)
    picks = db.sample(50, strategy=strategy, cost="minutes", budget=20)
    cost = picks.rows["cost"].to_numpy()
    assert 15 < cost.sum() <= 20 and len(picks.ids) == len(set(picks.ids))
    if strategy in ("typical", "margin"):
        assert (cost == 1).mean() > 0.9  # what is cheap and tells as much comes first
    assert any("of 20" in note for note in picks.notes)


def test_samples_without_a_vector_are_counted(tmp_path: Path) -> None:
    db = filled(tmp_path, SIZES)
    db.store.delete("embeddings__own", ["0000", "0001"])
    picks = db.sample(3)
    assert any("2 samples have no vector in 'own'" in note for note in picks.notes)


def test_labelled_samples_without_a_vector_teach_nothing(tmp_path: Path) -> None:
    db = filled(tmp_path, [40, 40], labelled=12)
    db.store.delete("embeddings__own", [f"{i:04}" for i in range(40, 52)])
    assert len(db.sample(3, strategy="typical").ids) == 3
    with pytest.raises(CheckError, match="Fewer than two classes of labelled samples"):
        db.sample(3)


def test_what_cannot_be_chosen_is_refused(tmp_path: Path) -> None:
    db = filled(tmp_path, SIZES, free=[0] * 120, words=["a"] * 120)
    with pytest.raises(CheckError, match="no samples to choose from"):
        db.sample(3, on="label = 'c9'")
    with pytest.raises(CheckError, match=r"no model is named, and 0 classes of labels teach none"):
        db.sample(3, strategy="margin")
    with pytest.raises(CheckError, match="cost 'free' is NULL, 0 or negative for 120 of 120"):
        db.sample(3, cost="free", budget=1)
    with pytest.raises(CheckError, match="cost 'words' is string"):
        db.sample(3, cost="words", budget=1)
    with pytest.raises(CheckError, match="no column says what a sample costs"):
        db.sample(3, budget=1)
    with pytest.raises(UnknownModelError, match="No predictions of a model 'm'"):
        db.sample(3, model="m", strategy="margin")
    ids = [f"{i:04}" for i in range(120)]
    db.log_predictions("bare", pa.table({"id": ids, "prediction": ["a"] * 120}), classes=["a", "b"])
    with pytest.raises(CheckError, match="120 samples have no prediction of 'bare'"):
        db.sample(3, model="bare", strategy="margin")
    x = clusters(SIZES)[0]
    db.log_embeddings("two", pa.table({"id": ids, "vector": x[:, :3].tolist()}))
    with pytest.raises(CheckError, match="of several embeddings name one"):
        db.sample(3)


def test_the_command_writes_what_to_label(tmp_path: Path) -> None:
    db = filled(tmp_path, SIZES)
    db.slices.add("rare", "id >= '0110'")
    place = ["--db", str(tmp_path / "picks.slicedb")]
    said = CliRunner().invoke(verbs, ["sample", "-n", "5", *place, "--per-slice", "rare=2"])
    assert said.exit_code == 0, said.output
    assert "5 samples to label next of 120, by typical" in said.output
    said = CliRunner().invoke(verbs, ["sample", "-n", "5", *place, "--per-slice", "rare"])
    assert said.exit_code == 2 and "such as night=20" in said.output
    file = tmp_path / "todo.csv"
    said = CliRunner().invoke(verbs, ["sample", "-n", "5", *place, "-o", str(file)])
    assert file.read_text().startswith("place,id,score,cost,reason\n1,")
