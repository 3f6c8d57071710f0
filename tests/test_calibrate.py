"""Calibrating a slice: rankings, cuts, directions, and the verb from every side."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from slicedb.errors import BindError, SliceError
from slicedb.query import Engine
from slicedb.schema import EMBEDDINGS, SAMPLES, embeddings_schema, keys_of
from slicedb.slices import Slices
from slicedb.stats.curves import N_FAMILY, N_WIDE, by_rank, by_score, spread
from slicedb.stats.cuts import at_rank, balance, choose, labels_needed, shares
from slicedb.stats.ranking import Draws, Ranking
from slicedb.stats.refine import refine
from slicedb.store import Store

# --- rankings and cuts ----------------------------------------------------------------------------


def test_curves_are_shares_and_sum_to_their_prevalence() -> None:
    fine, coarse = by_rank(np.linspace(0, 1, 101)), by_rank([0.0, 1.0])[:, 0]
    assert fine.shape == (40_960, 100) and fine.min() > 0 and fine.max() < 1
    assert coarse.min() < 2e-4 and coarse.max() > 0.9998
    quarter, half = np.quantile(coarse[:N_FAMILY], [0.25, 0.5])
    assert (quarter, half) == (pytest.approx(0.058, abs=0.002), pytest.approx(0.5, abs=0.01))
    # between kept ranks a curve is straight, and a share is clipped under 1
    assert np.abs(fine.mean(axis=1) - coarse).max() < 1e-2


def test_curves_outside_the_family_have_positives_anywhere() -> None:
    thirds = by_rank(np.linspace(0, 1, 4))
    falls = thirds[:, 0] - thirds[:, 2]
    family, wide, free = np.split(falls, [N_FAMILY, N_FAMILY + N_WIDE])
    assert (family > -1e-6).mean() > 0.99  # the text means what is labelled
    assert 0.2 < (wide < 0).mean() < 0.5 and 0.4 < (free < 0).mean() < 0.6
    middle = thirds[:, 1] > np.maximum(thirds[:, 0], thirds[:, 2]) + 0.05
    assert middle[N_FAMILY : N_FAMILY + N_WIDE].any() and middle[N_FAMILY + N_WIDE :].any()


def test_points_are_spread_evenly() -> None:
    found = spread(1000, 3)
    assert np.abs(found.mean(axis=0) - 0.5).max() < 0.01
    assert np.abs((found < 0.1).mean(axis=0) - 0.1).max() < 0.01


def test_curves_by_score_fall_with_the_score() -> None:
    found = by_score([4.0, 1.0, -3.0])
    assert found.shape == (4096, 3) and (np.diff(found, axis=1) <= 0).all()


def test_strata_grow_and_end_behind_ties() -> None:
    ranking = Ranking(np.arange(100.0)[::-1])
    assert ranking.edges.tolist() == [0, 8, 12, 17, 24, 34, 43, 53, 62, 72, 81, 91, 100]
    assert ranking.cuts[6:12].tolist() == [6, 7, 8, 9, 10, 11]
    tied = Ranking(np.array([3.0] * 10 + [1.0] * 5))
    assert tied.edges.tolist() == [0, 10, 15]
    # none is longer than a tenth of all samples: positives may lie at the end
    assert Ranking(np.arange(1000.0)[::-1]).edges[-7:].tolist() == [
        449,
        541,
        632,
        724,
        816,
        908,
        1000,
    ]


def test_all_labels_are_found_when_the_budget_is_the_population() -> None:
    ranking = Ranking(np.arange(30.0)[::-1])
    zero = np.zeros(len(ranking.edges) - 1, int)
    wanted = ranking.allocate(zero, zero, 30, np.random.default_rng(0))
    assert wanted.tolist() == np.diff(ranking.edges).tolist()
    truth = np.arange(30) < 7
    draws = ranking.draws(np.arange(30), truth, np.random.default_rng(0), 50)
    assert (draws.positives[:, -1] == 7).all()
    cut = at_rank(ranking, draws, 8)
    assert (cut.precision.low, cut.precision.high) == (0.875, 0.875)
    assert (cut.recall.low, cut.recall.high) == (1.0, 1.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.integers(0, 60), st.integers(0, 2**31))
def test_an_allocation_is_what_was_asked_for_and_fits(n: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    ranking = Ranking(np.sort(rng.normal(size=n))[::-1])
    sizes = np.diff(ranking.edges)
    asked = rng.integers(0, sizes + 1)
    yes = rng.integers(0, asked + 1)
    wanted = ranking.allocate(yes, asked, count, rng)
    assert (wanted >= 0).all() and (wanted <= sizes - asked).all()
    assert wanted.sum() == min(count, (sizes - asked).sum())


def test_shares_of_nothing() -> None:
    recall, precision = shares(np.array([[0]]), np.array([0]), np.array([[0]]))
    assert (recall[0, 0], precision[0, 0]) == (1.0, 1.0)


def test_the_precision_of_no_match_is_unknown() -> None:
    ranking, _, positives = _labelled(0)
    cut = at_rank(ranking, positives, 0)
    assert (cut.precision.low, cut.precision.high) == (0.0, 1.0)
    assert (cut.recall.low, cut.recall.high) == (0.0, 0.0)


def test_intervals_stretch_away_from_their_middle_in_log_odds() -> None:
    ranking, _, draws = _labelled(0)
    plain, wide = (at_rank(ranking, draws, 400, stretch=k) for k in (1.0, 1.25))
    for a, b in ((plain.precision, wide.precision), (plain.recall, wide.recall)):
        middle, ends = logit(a.value), logit([a.low, a.high])
        assert a.value == b.value
        assert logit([b.low, b.high]) == pytest.approx(middle + 1.25 * (ends - middle))
    loose, strict = (choose(ranking, draws, "recall", 0.8, stretch=k) for k in (1.0, 2.0))
    assert strict.rank > loose.rank


@pytest.mark.slow
def test_as_many_labels_as_are_said_to_be_needed_show_the_precision() -> None:
    asked = shown = 0
    for seed in range(8):
        ranking, draws, n = _precise(seed, 40)
        wanted = labels_needed(ranking, draws, 0.85, n)
        if choose(ranking, draws, "precision", 0.85).reached or wanted > 600:
            continue
        ranking, draws, _ = _precise(seed + 100, int(wanted))
        asked, shown = asked + 1, shown + choose(ranking, draws, "precision", 0.85).reached
    assert asked >= 4 and shown / asked >= 0.6


def _precise(seed: int, budget: int) -> tuple[Ranking, Draws, int]:
    """Return a ranking whose first samples are positive in 93 %, its draws, and their labels."""
    rng, z = np.random.default_rng(seed), np.linspace(6, -6, 4000)
    ranking, truth = Ranking(z), rng.random(len(z)) < 0.93 / (1 + np.exp(-3 * (z - 4)))
    k, ranks = len(ranking.edges) - 1, np.empty(0, int)
    for _ in range(4):
        strata = ranking.strata(ranks)
        told, yes = np.bincount(strata, minlength=k), np.bincount(strata, truth[ranks], k)
        counts = ranking.allocate(yes, told, budget // 4, rng, aim="precision", least=0.85)
        for stratum in np.flatnonzero(counts):
            free = np.setdiff1d(np.arange(*ranking.edges[stratum : stratum + 2]), ranks)
            count = min(int(counts[stratum]), len(free))
            ranks = np.append(ranks, rng.choice(free, count, replace=False))
    return ranking, ranking.draws(ranks, truth[ranks], rng), len(ranks)


def test_a_precision_beyond_every_cut_takes_no_number_of_labels() -> None:
    ranking, _, draws = _labelled(0)
    none = Draws(np.zeros_like(draws.positives), draws.kinds)
    assert labels_needed(ranking, none, 0.5, 80) == np.inf


def _labelled(
    seed: int, n: int = 4000, middle: float = 4.8
) -> tuple[Ranking, np.ndarray, np.ndarray]:
    """Return a ranking of which about the first tenth is positive, and its draws from 80 labels."""
    rng = np.random.default_rng(seed)
    z = np.linspace(6, -6, n)
    ranking, truth = Ranking(z), rng.random(n) < 1 / (1 + np.exp(-3 * (z - middle)))
    zero = np.zeros(len(ranking.edges) - 1, int)
    asked, yes, ranks = zero.copy(), zero.copy(), []
    for _ in range(4):
        wanted = ranking.allocate(yes, asked, 20, rng)
        for stratum in np.flatnonzero(wanted):
            a, b = ranking.edges[stratum : stratum + 2]
            free = np.setdiff1d(np.arange(a, b), ranks)
            ranks += rng.choice(free, wanted[stratum], replace=False).tolist()
        strata = ranking.strata(ranks)
        asked = np.bincount(strata, minlength=len(zero))
        yes = np.bincount(strata, weights=truth[ranks], minlength=len(zero)).astype(int)
    at = np.array(ranks)
    return ranking, truth, ranking.draws(at, truth[at], rng)


def test_cuts_reach_their_aims_and_intervals_hold_the_truth() -> None:
    held, reached = [], []
    for seed in range(12):
        ranking, truth, positives = _labelled(seed)
        for aim in ("recall", "precision", "f1"):
            cut = choose(ranking, positives, aim, 0.9)  # type: ignore[arg-type]
            recall, precision = truth[: cut.rank].sum() / truth.sum(), truth[: cut.rank].mean()
            held.append(cut.recall.low <= recall <= cut.recall.high)
            held.append(cut.precision.low <= precision <= cut.precision.high)
            reached.append({"recall": recall, "precision": precision, "f1": 1}[aim] >= 0.9)
            assert cut.recall.high - cut.recall.low < 0.5
    assert np.mean(held) >= 0.9 and np.mean(reached) >= 0.9


@pytest.mark.parametrize("middle", [-2.4, -4.8, -99.0])  # 70 %, 90 % and all are positives
def test_intervals_hold_the_truth_where_most_samples_are_positives(middle: float) -> None:
    held = []
    for seed in range(6):
        ranking, truth, positives = _labelled(seed, middle=middle)
        for aim in ("recall", "f1"):
            cut = choose(ranking, positives, aim, 0.9)  # type: ignore[arg-type]
            recall, precision = truth[: cut.rank].sum() / truth.sum(), truth[: cut.rank].mean()
            held.append(cut.recall.low <= recall <= cut.recall.high)
            held.append(cut.precision.low <= precision <= cut.precision.high)
    assert np.mean(held) >= 0.85


@pytest.mark.parametrize(
    ("aim", "start", "end"), [("recall", 100, 4000), ("f1", 100, 800), ("precision", 100, 800)]
)
def test_labels_go_where_the_aim_may_be_reached(aim: Any, start: int, end: int) -> None:
    ranking = Ranking(np.linspace(6, -6, 4000))
    asked = np.full(len(ranking.edges) - 1, 4)
    yes = np.where(ranking.edges[1:] <= 200, 4, 0)
    wanted = ranking.allocate(yes, asked, 40, np.random.default_rng(0), aim=aim)
    near = (ranking.edges[1:] > start) & (ranking.edges[:-1] < end)
    assert wanted[near].sum() > 20 and wanted[ranking.edges[1:] <= 50].sum() < 8


def _against(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return scores and truth of a text that ranks against a fifth of the samples."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.2
    z = rng.normal(size=n) - truth
    order = np.argsort(-z)
    return z[order], truth[order]


@pytest.mark.parametrize("budget", [32, 100])
def test_a_text_that_ranks_against_its_class_is_found_out(budget: int) -> None:
    held, reached = [], []
    for seed in range(8):
        z, truth = _against(seed)
        for aim in ("recall", "f1"):
            ranking, draws = _drawn(z, truth, budget, aim, seed)
            cut = choose(ranking, draws, aim, 0.9)  # type: ignore[arg-type]
            recall, precision = truth[: cut.rank].sum() / truth.sum(), truth[: cut.rank].mean()
            held.append(cut.recall.low <= recall <= cut.recall.high)
            held.append(cut.precision.low <= precision <= cut.precision.high)
            reached.append(aim == "f1" or recall >= 0.9)
    assert np.mean(held) >= 0.9 and np.mean(reached) >= 0.9


def _drawn(
    z: np.ndarray, truth: np.ndarray, budget: int, aim: Any, seed: int
) -> tuple[Ranking, Draws]:
    """Return a ranking, and its draws after four rounds of labels for an aim."""
    rng, ranking = np.random.default_rng([seed, 1]), Ranking(z)
    asked = np.zeros(len(ranking.edges) - 1, int)
    yes, ranks = asked.copy(), np.zeros(0, int)
    for _ in range(4):
        wanted = ranking.allocate(yes, asked, budget // 4, rng, aim=aim)
        for stratum in np.flatnonzero(wanted):
            free = np.setdiff1d(np.arange(*ranking.edges[stratum : stratum + 2]), ranks)
            ranks = np.append(ranks, rng.choice(free, wanted[stratum], replace=False))
        strata = ranking.strata(ranks)
        asked = np.bincount(strata, minlength=len(asked))
        yes = np.bincount(strata, truth[ranks], minlength=len(asked)).astype(int)
    return ranking, ranking.draws(ranks, truth[ranks], rng)


def test_labels_that_are_all_no_do_not_prove_that_a_class_is_rare() -> None:
    ranking = Ranking(np.linspace(6, -6, 5000))
    ranks = np.concatenate([np.arange(17), np.linspace(60, 4990, 13).astype(int)])
    draws = ranking.draws(ranks, np.zeros(30, bool), np.random.default_rng(0))
    cut = at_rank(ranking, draws, 5000)
    assert cut.precision.low < 1e-3 and cut.precision.high > 0.1  # 13 times "no" of a tenth: 0.25


def test_a_recall_costs_more_samples_the_higher_it_is() -> None:
    ranking, _, positives = _labelled(2)
    ranks = [choose(ranking, positives, "recall", least).rank for least in (0.5, 0.7, 0.9, 1.0)]
    assert ranks == sorted(ranks) and ranks[0] < ranks[-1]


def test_the_present_cut_is_left_only_for_one_that_is_seldom_worse() -> None:
    ranking, truth, draws = _labelled(3)
    best = choose(ranking, draws, "f1")
    assert abs(choose(ranking, draws, "f1", now=400).rank - 400) < 60  # it is among the best
    assert choose(ranking, draws, "f1", now=3000).rank < 1000
    assert choose(ranking, draws, "f1", now=best.rank).rank == best.rank
    values = balance(ranking, draws, 400)
    f1 = 2 * truth[:400].sum() / (400 + truth.sum())
    assert np.quantile(values, 0.025) < f1 < np.quantile(values, 0.975)


def test_a_direction_is_kept_where_labels_held_out_do_not_speak_against_it() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 16))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    z = rng.normal(size=120)
    found = refine(z, x, x[:, 3] > 0)
    assert found is not None and int(np.abs(found.direction).argmax()) == 3
    assert refine(z[:12], x[:12], np.arange(12) < 3) is None
    # labels that the score explains leave its ranking nearly as it is, or as it is
    for seed in range(5):
        explained = np.random.default_rng(seed).random(120) < 1 / (1 + np.exp(-z))
        kept = refine(z, x, explained)
        score = z if kept is None else kept.slope * z + x @ kept.direction
        assert np.corrcoef(score, z)[0, 1] > 0.8


def test_a_direction_is_judged_by_labels_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 8))
    found = refine(np.zeros(60), x, x[:, 0] > 0)
    assert found is not None and len(found.parts) == 5
    judges = np.concatenate([part.judges for part in found.parts])
    assert sorted(judges.tolist()) == list(range(60))
    yes = x[:, 0] > 0
    assert all(0 < yes[part.judges].mean() < 1 for part in found.parts)


def test_the_samples_labelled_count_as_what_they_are() -> None:
    """Labels tell the others' places from where they would rank unseen, and their own from where
    they rank."""
    ranking = Ranking(np.arange(40.0)[::-1])
    places, yes = np.arange(40), np.arange(40) < 10
    draws = ranking.draws(
        places, yes, np.random.default_rng(0), 20, held_out=np.random.default_rng(1).permutation(40)
    )
    assert (at_rank(ranking, draws, 10).precision.low, draws.positives[0, -1]) == (1.0, 10)


# --- the verb -------------------------------------------------------------------------------------


class Reds:
    """An encoder of one axis."""

    name, dim, logit_scale, fingerprint = "reds", 4, 20.0, {}
    background = ("dull",)

    def encode_prompt(self, text: str, templates: Any = None) -> np.ndarray:
        axis = {"red": 0, "green": 1}.get(text, 2)
        return np.eye(4, dtype=np.float32)[axis]


@pytest.fixture(scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 samples that turn from red to dull; the first 90 are labelled red, 10 are unknown."""
    path = tmp_path_factory.mktemp("reds") / "db"
    store = Store.open(path)
    ids = [f"{n:03}.png" for n in range(600)]
    label = ["red" if n < 90 else None if n >= 590 else "dull" for n in range(600)]
    angles = np.linspace(0, np.pi / 2, 600)
    vectors = np.zeros((600, 4), np.float32)
    vectors[:, 0], vectors[:, 2] = np.cos(angles), np.sin(angles)
    keys = keys_of(ids)
    rows = [
        {"id": i, "key": int(k), "uri": i, "label": v, "status": "ok"}
        for i, k, v in zip(ids, keys, label)
    ]
    schema = pa.schema([f for f in store.schema(SAMPLES) if f.name in rows[0]])
    store.append(SAMPLES, pa.Table.from_pylist(rows, schema=schema))
    store.create(EMBEDDINGS + "default", embeddings_schema(4))
    table = [
        {"id": i, "key": int(k), "content": 1, "vector": v.tolist()}
        for i, k, v in zip(ids, keys, vectors)
    ]
    store.append(EMBEDDINGS + "default", pa.Table.from_pylist(table, schema=embeddings_schema(4)))
    return path


@pytest.fixture
def slices(_built: Path, tmp_path: Path) -> Slices:
    import shutil

    store = Store.open(shutil.copytree(_built, tmp_path / "db"))
    encoder: Any = Reds()
    engine = Engine(
        store,
        slice_named=lambda name: found.definitions.text_or_keys(name),
        encoder=lambda _: encoder,
        calibration_named=lambda name: found.definitions.calibrated(name),
    )
    found = Slices(store, lambda text: engine.query(text, files=False))
    found.add("reds", "matches('red') AND id < '580'")
    return found


def test_truth_moves_the_cut_and_is_stored(slices: Slices) -> None:
    before = slices.get("reds").count()
    made = slices.calibrate("reds", truth="label = 'red'", precision=0.8, budget=80)
    assert before > 250 and 60 <= made.count() <= 120
    assert made.version == 2 and slices.get("reds@1").count() == before
    kept = slices.get("reds").calibration
    assert kept is not None and (kept.labels, kept.population, kept.aim) == (80, 580, "precision")
    assert kept.matched == made.count() and kept.precision.low > 0.7 and kept.recall.high == 1
    assert "calibrated for precision >= 0.8 on 80 labels" in str(slices.show("reds"))


def test_the_cut_is_obeyed_wherever_the_slice_is_used(slices: Slices) -> None:
    made = slices.calibrate("reds", truth="label = 'red'", precision=0.8, budget=80)
    ask = made.ask
    assert ask is not None
    assert ask("in_slice('reds')").ids() == made.ids()
    assert ask("matches('red', calibrated => 'reds') AND id < '580'").ids() == made.ids()
    frozen = slices.freeze("reds")
    assert sorted(frozen.ids()) == sorted(made.ids())
    assert slices.thaw("reds").ids() == made.ids()


def test_the_cut_stays_with_the_text_and_goes_with_another(slices: Slices) -> None:
    count = slices.calibrate("reds", truth="label = 'red'", recall=0.9, budget=40).count()
    same = slices.add("reds", "matches('red') AND id < '580'", description="x", replace=True)
    assert same.count() == count and same.calibration is not None
    assert slices.add("reds", "matches('red')", replace=True).calibration is None
    with pytest.raises(SliceError, match="'reds' is not calibrated"):
        slices.definitions.calibrated("reds")


def test_files_keep_the_cut_of_the_slice_they_define(slices: Slices, tmp_path: Path) -> None:
    file = tmp_path / "reds.sql"
    file.write_text("matches('red') AND id < '580'")
    slices.add("reds", file.read_text(), replace=True)
    count = slices.calibrate("reds", truth="label = 'red'", precision=0.8, budget=60).count()
    assert [s.count() for s in slices.load(file)] == [count]
    slices.apply(file)
    assert slices.get("reds").count() == count


def test_no_label_leaves_the_slice_as_it_is(slices: Slices) -> None:
    before = slices.get("reds").ids()
    for aim in ({}, {"recall": 0.9}, {"precision": 0.9}):
        made = slices.calibrate("reds", truth="label = 'red'", budget=0, **aim)
        assert made.ids() == before
        assert made.calibration is not None and made.calibration.labels == 0


def test_labelling_goes_on_where_it_was_left(slices: Slices) -> None:
    asked: list[str] = []

    def answer(question: Any) -> bool:
        if len(asked) == 7:
            raise KeyboardInterrupt
        asked.append(question.sample)
        return question.sample < "090"

    with pytest.raises(KeyboardInterrupt):
        slices.calibrate("reds", answer=answer, budget=12)
    assert slices.labelled("reds") == 7 and slices.get("reds").version == 1
    more: list[str] = []

    def go_on(question: Any) -> bool | None:
        more.append(question.sample)
        return None if len(more) == 1 else question.sample < "090"

    made = slices.calibrate("reds", answer=go_on, budget=12).calibration
    assert len(more) == 6 and not set(more) & set(asked)
    assert made is not None and made.labels == 12


@pytest.mark.slow
def test_the_same_seed_asks_the_same_and_ends_the_same(slices: Slices) -> None:
    def run(name: str) -> tuple[list[str], Any]:
        slices.add(name, "matches('red') AND id < '580'")
        asked: list[str] = []

        def answer(question: Any) -> bool:
            asked.append(question.sample)
            return question.sample < "090"

        made = slices.calibrate(name, answer=answer, budget=30, seed=3).calibration
        return asked, made

    assert run("one") == run("two")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_csv_round_trip(slices: Slices, tmp_path: Path) -> None:
    todo = tmp_path / "todo.csv"
    assert slices.write_questions("reds", todo, budget=25) == 25
    rows = _rows(todo)
    assert list(rows[0]) == ["sample", "picture", "question", "answer"] and len(rows) == 25
    for row in rows[:-5]:
        row["answer"] = "Y" if row["sample"] < "090" else "no"
    with todo.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    made = slices.calibrate("reds", read=todo, recall=0.8).calibration
    assert made is not None and made.labels == 20
    assert slices.write_questions("reds", todo, budget=25) == 5
    assert {r["sample"] for r in _rows(todo)} == {r["sample"] for r in rows[-5:]}


@pytest.mark.parametrize(
    ("line", "said"),
    [("{s},maybe", "line 2: 'maybe' is no answer"), ("nope.png,y", "'nope.png' was not asked")],
)
def test_a_csv_with_a_wrong_line_is_refused(
    slices: Slices, tmp_path: Path, line: str, said: str
) -> None:
    todo = tmp_path / "todo.csv"
    slices.write_questions("reds", todo, budget=3)
    sample = _rows(todo)[0]["sample"]
    todo.write_text("sample,answer\n" + line.format(s=sample) + "\n")
    with pytest.raises(SliceError, match=said):
        slices.calibrate("reds", read=todo)
    assert slices.labelled("reds") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("label = 'red'", "no matches"),
        ("matches('red') LIMIT 5", "LIMIT or QUALIFY"),
        ("NOT matches('red')", "do not match 'red'"),
        ("matches('red') OR matches('green')", "2 texts: 'red'; 'green'"),
        ("matches('red') AND label = 'blue'", "leaves no sample"),
    ],
)
def test_what_cannot_be_calibrated_says_why(slices: Slices, text: str, said: str) -> None:
    slices.add("odd", text)
    with pytest.raises(SliceError, match=said):
        slices.calibrate("odd", truth="label = 'red'")


def test_options_that_do_not_fit_are_refused(slices: Slices) -> None:
    truth = {"truth": "label = 'red'"}
    for options, said in (
        ({"recall": 0.9, "precision": 0.9}, "for a recall and for a precision"),
        ({"recall": 1.2}, "recall 1.2 is not in"),
        ({"confidence": 0.1}, "confidence 0.1 is not in"),
        ({"budget": -1}, "budget -1 is negative"),
        ({"answer": lambda q: True}, "several sides"),
        ({"term": "rad"}, "did you mean 'red'"),
    ):
        with pytest.raises(SliceError, match=said):
            slices.calibrate("reds", **{**truth, **options})
    with pytest.raises(BindError):
        slices.calibrate("reds", truth="lable = 'red'")
    slices.freeze("reds")
    with pytest.raises(SliceError, match="is frozen"):
        slices.calibrate("reds", **truth)


def test_one_of_several_texts_is_named_and_an_or_leaves_the_rest(slices: Slices) -> None:
    slices.add("either", "matches('green') OR id >= '300' OR matches('red')")
    made = slices.calibrate("either", truth="label = 'red'", term="red", budget=30, precision=0.8)
    assert made.calibration is not None and made.calibration.population == 300
    assert "matches('red', calibrated => 'either@2')" in made.question
    assert "matches('green') OR" in made.question


def test_a_precision_out_of_reach_is_said_and_answers_are_kept(slices: Slices) -> None:
    with pytest.raises(SliceError, match="No cut has a precision of") as raised:
        slices.calibrate("reds", truth="id LIKE '%7.png'", precision=0.95, budget=60)
    assert "more labels are not likely to show it" in str(raised.value)
    assert slices.labelled("reds") == 60 and slices.get("reds").calibration is None


def test_unknown_truth_is_skipped(slices: Slices) -> None:
    slices.add("all", "matches('red')")
    made = slices.calibrate("all", truth="label = 'red'", budget=600)
    assert made.calibration is not None
    assert (made.calibration.labels, made.calibration.positives) == (590, 90)


def test_forget_takes_the_cut_off_and_keeps_the_answers(slices: Slices) -> None:
    before = slices.get("reds").count()
    slices.calibrate("reds", truth="label = 'red'", budget=20, recall=0.9)
    assert slices.forget("reds").count() == before and slices.labelled("reds") == 20


@pytest.mark.slow
def test_the_command_line_asks_and_goes_on(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from slicedb.cli import verbs

    monkeypatch.chdir(scenes)
    monkeypatch.delenv("SLICEDB_DB", raising=False)
    run = CliRunner()
    run.invoke(verbs, ["slice", "add", "soup", "matches('a bowl of soup')"])
    stopped = run.invoke(verbs, ["slice", "calibrate", "soup", "--budget", "4"], input="y\nq\n")
    assert "'a bowl of soup'?" in stopped.output and ".jpg" in stopped.output
    done = run.invoke(
        verbs, ["slice", "calibrate", "soup", "--budget", "4"], input="n\ns\nx\ny\nn\n"
    )
    assert done.exit_code == 0, done.output
    assert "1 of 4 labels are there" in done.output and "on 4 labels (2 yes)" in done.output
    by_column = ["--truth", "label = 'Soup'", "--recall", "0.8", "--budget", "20"]
    found = run.invoke(verbs, ["slice", "calibrate", "soup", *by_column])
    assert found.exit_code == 0 and "calibrated for recall >= 0.8 on 20 labels" in found.output
    shown = run.invoke(verbs, ["slice", "show", "soup"])
    assert "precision" in shown.output and "recall" in shown.output
    run.invoke(verbs, ["slice", "calibrate", "soup", "--write-csv", "t.csv", "--budget", "30"])
    assert len((scenes / "t.csv").read_text().splitlines()) == 11
    assert "not calibrated" in run.invoke(verbs, ["slice", "calibrate", "soup", "--forget"]).output


@pytest.mark.realdata
@pytest.mark.slow
def test_photos_of_dogs(shared_data: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    import slicedb

    rows = pq.read_table(shared_data / "cifar10-train.parquet")
    pq.write_table(rows.take(pa.array(range(0, 50_000, 50))), tmp_path / "photos.parquet")
    db = slicedb.open(tmp_path / "db")
    db.ingest(tmp_path / "photos.parquet")
    db.embed()
    db.slices.add("dogs", "matches('a photo of a dog') AND bytes > 100")
    dogs = set(db.query("label = 'dog'").ids())
    made = db.slices.calibrate("dogs", truth="label = 'dog'", recall=0.8)
    found = set(db.query("in_slice('dogs')").ids())
    kept = made.calibration
    assert kept is not None and kept.labels == 100 and found == set(made.ids())
    assert len(found & dogs) / len(dogs) >= 0.8
    assert kept.recall.low <= len(found & dogs) / len(dogs) <= kept.recall.high
    assert kept.precision.low <= len(found & dogs) / len(found) <= kept.precision.high


def test_answers_a_few_at_a_time_give_what_all_at_once_gives(slices: Slices) -> None:
    labelling = slices.labelling("reds", recall=0.8)
    first = [q.sample for q in labelling.ask(5)]
    assert [q.sample for q in labelling.ask(5)] == first, "open questions come again"
    while labelling.n_labels < 40:
        asked = labelling.ask(min(5, 40 - labelling.n_labels))
        labelling.answer({q.sample: int(q.sample[:-4]) < 90 for q in asked})
    estimate = labelling.estimate()
    assert estimate.labels == 40 and slices.get("reds").version == 1, "nothing is written"
    saved = labelling.save()
    assert (saved.version, saved.calibration) == (2, estimate)
    assert slices.get("reds").calibration == estimate
    assert slices.labelled("reds") == 40


def test_an_answer_is_changed_and_one_that_was_not_asked_for_refused(slices: Slices) -> None:
    labelling = slices.labelling("reds")
    first, second = (q.sample for q in labelling.ask(2))
    labelling.answer({first: True, second: None})
    labelling.answer({first: False})
    assert (labelling.n_labels, labelling.estimate().positives) == (1, 0)
    open_now = {q.sample for q in labelling.ask(3)}
    other = next(
        i for i in (f"{n:03}.png" for n in range(600)) if i not in {first, second, *open_now}
    )
    with pytest.raises(SliceError, match="was not asked about"):
        labelling.answer({other: True})
    assert labelling.n_labels == 1
