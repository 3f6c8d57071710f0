"""Two models side by side, sample sizes, and samples that are not independent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fakes_judge import FakeAsk, add_predictions, add_samples
from scipy import stats as reference
from statsmodels.stats.contingency_tables import mcnemar

from slicedb import judge, metrics, schema, stats
from slicedb.errors import CheckError, SliceError, UnknownModelError
from slicedb.judge import compare, evaluate, groups_of, power, resampled
from slicedb.metrics import Outcomes
from slicedb.schema import keys_of
from slicedb.slices import Slice
from slicedb.store import Store

N = 400
IDS = [f"{i:03}.jpg" for i in range(N)]
LABELS = ["cat" if i % 2 else "dog" for i in range(N)]
FLIP = {"cat": "dog", "dog": "cat"}


def said(wrong: range) -> list[str]:
    return [FLIP[label] if i in wrong else label for i, label in enumerate(LABELS)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """400 cats and dogs in 40 videos of ten frames; `old` lost 30-49, `new` 40-99."""
    store = Store.open(str(tmp_path_factory.mktemp("compare") / "c.slicedb"))
    add_samples(store, IDS, LABELS)
    add_samples(store, ["nolabel.jpg"], [None])
    video = pa.array([f"v{i // 10}" for i in range(N)] + [None], pa.string())
    store.add_columns(schema.SAMPLES, [pa.field("video", pa.string())])
    store.upsert(
        schema.SAMPLES, pa.table({"id": [*IDS, "nolabel.jpg"], "video": video}), insert=False
    )
    add_predictions(store, "old", IDS, said(range(30, 50)))
    add_predictions(store, "new", IDS, said(range(40, 100)))
    add_predictions(store, "some", IDS[:200], said(range(30, 50))[:200])
    return store


def members() -> dict[str, np.ndarray]:
    return {
        "all": keys_of([*IDS, "nolabel.jpg"]),
        "head": keys_of(IDS[:60]),
        "tail": keys_of(IDS[200:]),
        "none": keys_of([]),
    }


def test_wins_losses_and_ties_are_counted_and_tested(store: Store) -> None:
    found = compare(store, "new", "old", members())
    row = found.row("all")
    assert [row[k] for k in ("n", "left_out", "wins", "losses", "ties")] == [400, 1, 10, 50, 340]
    assert row["difference"] == pytest.approx(-0.1) and row["accuracy_b"] == pytest.approx(0.95)
    assert row["p"] == pytest.approx(mcnemar([[330, 10], [50, 10]], exact=True).pvalue, abs=1e-12)
    assert (row["low"], row["high"]) == pytest.approx(tuple(stats.paired_interval(10, 50, 400)))
    tail = found.row("tail")
    assert (tail["p"], tail["difference"], tail["ties"]) == (1.0, 0.0, 200)
    none = found.row("none")
    assert none["n"] == 0 and np.isnan([none["difference"], none["p"], none["p_adjusted"]]).all()


def test_flipped_samples_are_a_query(store: Store) -> None:
    found = compare(store, "new", "old", members(), scopes={"all": "", "head": "id < '060.jpg'"})
    assert found.query("all", "lost") == "old.correct AND NOT new.correct"
    assert found.query("head", "won") == "id < '060.jpg' AND new.correct AND NOT old.correct"
    assert found.query("tail") == (
        "(in_slice('tail') AND new.correct AND NOT old.correct) OR "
        "(in_slice('tail') AND old.correct AND NOT new.correct)"
    )
    with pytest.raises(SliceError, match=r"'tial' was not compared.*'tail'"):
        found.query("tial")


def test_p_is_adjusted_for_the_slices_looked_at(store: Store) -> None:
    for correction in ("holm", "benjamini-hochberg", "none", "max-t"):
        row = compare(store, "new", "old", members(), correction=correction).row("head")
        assert row["p"] == pytest.approx(float(stats.mcnemar(10, 10)))
        assert row["p_adjusted"] >= row["p"]
    raw = [r["p"] for r in compare(store, "new", "old", members()).to_arrow().to_pylist()]
    holm = compare(store, "new", "old", members(), correction="holm").to_arrow()
    np.testing.assert_allclose(holm["p_adjusted"].to_numpy(), stats.holm(raw))
    with pytest.raises(SliceError, match=r"'hollm'.*'holm'"):
        compare(store, "new", "old", members(), correction="hollm")  # type: ignore[arg-type]


def test_adjusted_p_is_no_less_than_the_exact_p_alone(store: Store) -> None:
    for last in range(58, 72):
        chosen = {"s": keys_of(IDS[30:last]), "tail": keys_of(IDS[200:])}
        row = compare(store, "new", "old", chosen).row("s")
        assert row["p"] <= row["p_adjusted"] <= row["p"] + 0.02


def test_two_slices_are_counted_as_two(store: Store) -> None:
    chosen = {"a": keys_of(IDS[50:55]), "b": keys_of(IDS[60:65])}
    row = compare(store, "new", "old", chosen).row("a")
    assert row["p"] == pytest.approx(1 / 16)
    assert row["p_adjusted"] == pytest.approx(1 - (15 / 16) ** 2, abs=0.01)


def test_only_samples_that_both_saw_count_and_the_text_says_so(store: Store) -> None:
    found = compare(store, "new", "some", members())
    assert (found.row("all")["n"], found.row("all")["left_out"]) == (200, 201)
    assert "not seen by both: 201 of all, 200 of tail" in str(found)
    assert "A = new, B = some" in str(found) and "<table>" in found._repr_html_()
    with pytest.raises(UnknownModelError, match=r"'sone'.*'some'"):
        compare(store, "new", "sone", members())


def test_two_sided_max_t_of_one_slice_is_mcnemars_test() -> None:
    d = np.array([-1.0] * 12 + [1.0] * 3)
    p = stats.max_t(d, np.ones((1, 15), bool), sides=2, replicates=40_000, enough=None).p[0]
    assert p == pytest.approx(float(stats.mcnemar(3, 12)), abs=0.004)


def test_max_t_by_group_flips_whole_groups() -> None:
    d = np.repeat([-1.0] * 6 + [1.0], 10)  # 70 frames of 7 videos: seven coins, not seventy
    members_ = np.ones((1, 70), bool)
    p = stats.max_t(d, members_, groups=np.repeat(np.arange(7), 10), replicates=40_000).p[0]
    assert p == pytest.approx(8 / 128, abs=0.005)  # P(at most one of seven is positive)
    assert stats.max_t(d, members_).p[0] < 0.001


def test_a_model_against_itself_has_no_groups_to_flip() -> None:
    found = stats.max_t(np.zeros(9), np.ones((2, 9), bool), groups=np.arange(9) // 3)
    assert np.isnan(found.p).all() and np.isnan(found.statistic).all()


def test_weights_shift_the_error_rate_and_none_is_equal_weights() -> None:
    rng = np.random.default_rng(3)
    d, members_ = rng.choice([-1.0, 0, 1], 300), rng.random((5, 300)) < 0.4
    plain = stats.max_t(d, members_, enough=None).p
    np.testing.assert_allclose(
        stats.max_t(d, members_, weights=np.full(5, 0.2), enough=None).p, plain
    )
    worst = int(np.argmin(plain))
    heavy = np.where(np.arange(5) == worst, 0.96, 0.01)
    assert stats.max_t(d, members_, weights=heavy, enough=None).p[worst] < plain[worst]


def test_detection_weights_go_to_slices_that_need_little_to_find_the_drop() -> None:
    n, m = [50, 1000, 1000, 20_000], [10, 180, 180, 3500]
    weights = stats.detection_weights(n, m, 0.05)
    assert weights.sum() == pytest.approx(1) and (weights > 0).all()
    assert weights[1] == weights[2] > weights[3] == pytest.approx(weights[0])
    few = stats.detection_weights([1000] + [20_000] * 99, [180] + [3500] * 99, 0.05)
    assert few[0] > 12 * few[1]  # Bonferroni would give both a hundredth
    with pytest.raises(ValueError, match="drop is 0"):
        stats.detection_weights(n, m, 0)


# --- samples that are not independent -------------------------------------------------------------


def test_samples_without_a_group_are_not_one_group(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "g.slicedb"))
    add_samples(store, ["a", "b", "c", "d"], ["cat"] * 4)
    store.add_columns(schema.SAMPLES, [pa.field("video", pa.string())])
    store.upsert(schema.SAMPLES, pa.table({"id": ["a", "b"], "video": ["v", "v"]}), insert=False)
    assert len(np.unique(groups_of(store, "video"))) == 3


def test_groups_of_a_column_leave_those_without_a_value_alone(store: Store) -> None:
    groups = groups_of(store, "video")
    assert len(groups) == N + 1 and len(np.unique(groups)) == 41
    with pytest.raises(CheckError, match=r"'vidoe'.*'video'"):
        groups_of(store, "vidoe")
    with pytest.raises(CheckError, match="one value per sample"):
        groups_of(store, "tags")


@pytest.mark.parametrize("name", ["accuracy", "f1", "log_loss", "ece", "auroc"])
def test_resampling_sums_by_group_equals_repeating_the_rows(name: str) -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet(np.ones(3), 60)
    label = [metrics_class(i) for i in rng.integers(0, 3, 60)]
    outcomes = Outcomes.of(label, [metrics_class(i) for i in p.argmax(1)], p, list("abc"))
    groups = rng.integers(0, 12, 60)
    metric = metrics.find(name)
    statistic, units = resampled(metric, outcomes, groups)
    assert units == 12
    weights = rng.multinomial(12, np.full(12, 1 / 12), 4).astype(float)
    for w, value in zip(weights, statistic(weights)):
        rows = np.repeat(np.arange(60), w[groups].astype(int))
        taken = outcomes.take(rows)
        one = metrics.Membership([np.arange(len(rows))], len(rows))
        if metric.state.kind == "ranked":
            expected = metrics.compute_ranked(metric, taken, one).value[0]
        else:
            expected = metrics.compute(metric, metrics.update(metric, taken, one)).value[0]
        assert value == pytest.approx(expected, abs=1e-9)


def metrics_class(i: int) -> str:
    return "abc"[i]


def test_evaluate_by_group_equals_scipys_bootstrap_of_group_sums(store: Store) -> None:
    keys = {"all": keys_of(IDS)}
    found = evaluate(store, "new", keys, group="video", bootstrap="bca").to_arrow().to_pylist()[0]
    right = np.array([label == s for label, s in zip(LABELS, said(range(40, 100)))], float)
    by_video = right.reshape(40, 10).mean(axis=1)
    expected = reference.bootstrap(
        (by_video,), np.mean, n_resamples=1000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    # the order of the groups differs, so the draws do: equal up to the error of 1,000 resamples
    assert (found["low"], found["high"]) == pytest.approx(tuple(expected), abs=0.03)
    alone = evaluate(store, "new", keys).to_arrow().to_pylist()[0]
    assert found["value"] == alone["value"] == 0.85
    assert found["high"] - found["low"] > 2 * (alone["high"] - alone["low"])


def a_suite(store: Store, *expect: str, group: str = "", **options: object) -> judge.Report:
    ask = FakeAsk(store)
    text = "label IS NOT NULL"
    chosen = Slice("s", text, expect=expect, group=group, answer=lambda: ask(text))
    return judge.run(store, [chosen], model="new", **options)  # type: ignore[arg-type]


def test_frames_of_few_videos_do_not_fail_what_independent_frames_do(store: Store) -> None:
    expect = ("accuracy >= 0.9", "accuracy no worse than old", "f1 no worse than old by 0.001")
    assert [r.verdict for r in a_suite(store, *expect).results] == ["FAIL"] * 3
    grouped = a_suite(store, *expect, group="video")
    assert [r.verdict for r in grouped.results] == ["INCONCLUSIVE"] * 3
    assert "n = 400 in 40 groups" in grouped.results[0].message


def test_slices_of_other_groups_flip_by_their_own(store: Store) -> None:
    half = pa.array([f"h{i // 13}" for i in range(N)], pa.string())
    store.add_columns(schema.SAMPLES, [pa.field("half", pa.string())])
    store.upsert(schema.SAMPLES, pa.table({"id": IDS, "half": half}), insert=False)
    ask = FakeAsk(store)
    text = "label IS NOT NULL"
    both = [
        Slice(
            column,
            text,
            expect=("accuracy no worse than old",),
            group=column,
            answer=lambda: ask(text),
        )
        for column in ("video", "half")
    ]

    def adjusted(*chosen: Slice) -> list[float]:
        found = judge.run(store, chosen, model="new").results
        return [r.p_adjusted for r in found]

    alone = [adjusted(s)[0] for s in both]
    assert alone[0] != alone[1] and max(alone) < 0.5
    assert adjusted(*both) == pytest.approx([2 * p for p in alone])


def test_an_undecided_comparison_tells_the_images_that_two_points_take(store: Store) -> None:
    found = a_suite(store, "accuracy no worse than new by 0.001").results[0]
    assert found.verdict == "INCONCLUSIVE"
    n = stats.n_for_paired(0.02, 0.02)  # a drop is itself a disagreement
    assert f"; detecting a 2-point drop here needs {n:,} images" in found.message


def test_too_few_groups_report_but_do_not_gate(store: Store) -> None:
    ask = FakeAsk(store)
    text = "id < '200.jpg'"
    chosen = Slice("s", text, expect=("accuracy >= 0.99",), answer=lambda: ask(text))
    found = judge.run(store, [chosen], model="new", group="video").results[0]
    assert found.verdict == "INCONCLUSIVE" and "below 30 groups" in found.message


def test_all_right_by_group_is_not_certain(store: Store) -> None:
    ask = FakeAsk(store)
    text = "label IS NOT NULL AND id >= '100.jpg'"
    expect = ("accuracy >= 0.95", "accuracy >= 1")
    chosen = Slice("s", text, expect=expect, answer=lambda: ask(text))
    found, perfect = judge.run(store, [chosen], model="new", group="video").results
    assert perfect.p == 1.0  # no resample speaks against it
    assert found.low == pytest.approx(float(stats.clopper_pearson(30, 30, sides=1).low))
    assert found.verdict == "INCONCLUSIVE"


# --- sample sizes ---------------------------------------------------------------------------------


def test_power_says_how_many_images_a_drop_needs(store: Store) -> None:
    found = power(store, "new", "old", members(), drop=0.05)
    row = found.to_arrow().to_pylist()[0]
    assert row["disagreement"] == pytest.approx(0.15)
    assert row["needed"] == stats.n_for_paired(0.15, 0.05) == 369 and row["enough"]
    assert row["finds"] == pytest.approx(0.048, abs=0.001)
    assert "all: detecting a 5-point drop here needs 369 images, there are 400" in found.sentences()
    assert "needed for 5.0%" in str(found)
    with pytest.raises(CheckError, match="drop is 5"):
        power(store, "new", "old", members(), drop=5)


def test_a_drop_is_itself_a_disagreement(store: Store) -> None:
    tail = power(store, "new", "old", members(), drop=0.02).to_arrow().to_pylist()[2]
    assert (tail["disagreement"], tail["needed"]) == (0.0, stats.n_for_paired(0.02, 0.02))
    d, z = tail["finds"], reference.norm.ppf
    assert (z(0.95) * np.sqrt(d) + z(0.8) * np.sqrt(d - d**2)) ** 2 / d**2 == pytest.approx(200)


@pytest.mark.parametrize("n", [60, 158, 1000, 50_000])
def test_drop_for_paired_is_the_inverse_of_n_for_paired(n: int) -> None:
    drop = stats.drop_for_paired(0.064, n)
    if np.isnan(drop):
        assert stats.n_for_paired(0.064, 0.064) > n
    else:
        assert stats.n_for_paired(0.064, drop) <= n < stats.n_for_paired(0.064, drop * 0.999) + 1


def test_newcombes_interval_equals_his_published_examples() -> None:
    # Statistics in Medicine 17 (1998), table III, method 10: (a, b, c, d) -> bounds
    low, high = stats.newcombe(12, 2, 36, 50)
    assert (low, high) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert stats.newcombe(0, 0, 53, 54).low == pytest.approx(-0.0729, abs=5e-5)


def test_newcombes_interval_without_correlation_is_two_wilson_intervals() -> None:
    # a*d = b*c: phi is 0, so the bounds are those for independent shares (method 10 of 1998b)
    low, high = stats.newcombe(20, 10, 40, 75)
    first, second = stats.wilson(60, 75), stats.wilson(50, 75)
    p, q = 60 / 75, 50 / 75
    assert low == pytest.approx(p - q - np.hypot(p - first.low, second.high - q), abs=1e-9)
    assert high == pytest.approx(p - q + np.hypot(first.high - p, q - second.low), abs=1e-9)
    assert np.isnan(stats.newcombe(0, 0, 0, 0)).all()
