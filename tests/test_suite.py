"""Suites: verdicts, multiplicity, baselines, settings, and what is written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fakes_judge import FakeAsk, FakeQuery, add_predictions, add_samples

from slicedb import judge, stats
from slicedb.errors import CheckError, SliceError, UnknownModelError
from slicedb.report import Report, report_of
from slicedb.report.figures import figures_of
from slicedb.slices import Slice
from slicedb.store import Store

N = 400


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """400 cats and dogs; `good` has 90 % right, `bad` the first 60 %, `same` what good has."""
    store = Store.open(str(tmp_path_factory.mktemp("suite") / "s.slicedb"))
    ids = [f"{i:03}.jpg" for i in range(N)]
    labels = ["cat" if i % 2 else "dog" for i in range(N)]
    add_samples(store, ids, labels)
    add_samples(store, ["nolabel.jpg"], [None], split="train")

    def wrong_from(first: int) -> list[str]:
        flip = {"cat": "dog", "dog": "cat"}
        return [flip[label] if i >= first else label for i, label in enumerate(labels)]

    add_predictions(store, "good", [*ids, "nolabel.jpg"], [*wrong_from(360), "cat"])
    add_predictions(store, "bad", ids, wrong_from(240))
    add_predictions(store, "same", ids, wrong_from(360))
    add_predictions(store, "half", ids[:200], wrong_from(190)[:200])
    return store


@pytest.fixture(scope="module")
def slices(store: Store) -> FakeAsk:
    return FakeAsk(store)


def slice_of(ask: FakeAsk, name: str, text: str, *expect: str, **options: object) -> Slice:
    return Slice(name, text, expect=expect, answer=lambda: ask(text), **options)  # type: ignore[arg-type]


def run(store: Store, chosen: Slice | Sequence[Slice], **options: object) -> Report:
    several = [chosen] if isinstance(chosen, Slice) else chosen
    write = bool(options.pop("write", False))
    options = {"model": "good", **options}
    return report_of(store, judge.run(store, several, **options), write=write)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expect", "verdict"),
    [
        ("accuracy >= 85%", "PASS"),
        ("accuracy >= 0.9", "INCONCLUSIVE"),
        ("accuracy >= 0.89", "INCONCLUSIVE"),
        ("accuracy >= 0.95", "FAIL"),
        ("accuracy < 0.95", "PASS"),
        ("accuracy <= 0.5", "FAIL"),
        ("accuracy of cat >= 0.85", "PASS"),
        ("recall of cat >= 0.99", "FAIL"),
        ("precision of dog >= 0.8", "PASS"),
        ("balanced_accuracy >= 0.8", "PASS"),
        ("f1 >= 0.99", "FAIL"),
        ("log_loss <= 5", "PASS"),
        ("log_loss <= 0.001", "FAIL"),
        ("brier <= 2", "PASS"),
        ("ece <= 0.5", "PASS"),
        ("auroc of cat >= 0.7", "PASS"),
        ("average_precision >= 0.99", "FAIL"),
        ("top_2 >= 0.96", "INCONCLUSIVE"),
        ("count >= 400", "PASS"),
        ("count < 400", "FAIL"),
        ("share of test >= 0.99", "PASS"),
        ("share of train >= 0.5", "PASS"),
    ],
)
def test_verdicts_against_a_bound(store: Store, slices: FakeAsk, expect: str, verdict: str) -> None:
    result = run(store, slice_of(slices, "all", "true", expect)).results[0]
    assert result.verdict == verdict, result


def test_bounds_are_one_sided_clopper_pearson(store: Store, slices: FakeAsk) -> None:
    result = run(store, slice_of(slices, "all", "label IS NOT NULL", "accuracy >= 0.85")).results[0]
    assert (result.value, result.n, result.left_out) == (0.9, 400, 0)
    expected = stats.clopper_pearson(360, 400, 0.95, sides=1)
    assert (result.low, result.high) == pytest.approx(tuple(expected))


def test_inconclusive_says_how_many_samples_settle_it(store: Store, slices: FakeAsk) -> None:
    result = run(store, slice_of(slices, "all", "true", "accuracy >= 0.89")).results[0]
    assert result.verdict == "INCONCLUSIVE" and result.needed is not None
    z = 1.644854 * (result.value - 0.89) / (result.value - result.low)
    n = stats.n_to_settle(z, 400, 1.644854, 1.644854, 0.85)
    assert n is not None and result.needed == pytest.approx(n, rel=1e-3)
    far = stats.n_at_distance(z + 1.281552, 400, 1.644854, 0.85)
    assert f"about {result.needed:,} samples would settle it ({far:,} or more)" in result.message


def test_inconclusive_means_say_how_many_samples_settle_them(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "all", "true", "log_loss <= 0.4")
    result = run(store, chosen).results[0]
    assert result.verdict == "INCONCLUSIVE" and result.value < 0.4 < result.high
    z = 1.644854 * (0.4 - result.value) / (result.high - result.value)
    assert result.needed == pytest.approx(
        stats.n_to_settle(z, 400, 1.644854, 1.644854, 0.85), rel=1e-3
    )


@pytest.mark.parametrize(
    ("expect", "n"),
    [("recall of cat >= 0.5", 200), ("precision of cat >= 0.5", 191), ("f1 of cat >= 0.5", 211)],
)
def test_a_class_rests_on_its_own_samples(
    store: Store, slices: FakeAsk, expect: str, n: int
) -> None:
    text = "label = 'cat' OR label = 'dog' AND id < '381.jpg'"  # 191 dogs, of which 11 are wrong
    result = run(store, slice_of(slices, "most", text, expect)).results[0]
    assert result.n == n


def test_a_bound_equal_to_the_value_is_never_settled(store: Store, slices: FakeAsk) -> None:
    result = run(store, slice_of(slices, "all", "true", "accuracy >= 0.9")).results[0]
    assert result.needed is None and "leave a margin" in result.message


def test_decide_point_compares_the_value_alone(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "all", "true", "accuracy >= 0.9", "accuracy > 0.9", decide="point")
    assert [r.verdict for r in run(store, chosen).results] == ["PASS", "FAIL"]


def test_samples_without_a_label_are_left_out_and_said_so(store: Store, slices: FakeAsk) -> None:
    result = run(store, slice_of(slices, "all", "true", "accuracy >= 0.85")).results[0]
    assert (result.n, result.left_out) == (400, 1) and "1 without label" in result.message


def test_small_slices_report_but_do_not_gate(store: Store, slices: FakeAsk) -> None:
    few = slice_of(slices, "few", "id >= '391' AND id < '400'", "accuracy >= 0.9", "count >= 9")
    result, count = run(store, few).results
    assert (result.verdict, result.value, result.n) == ("INCONCLUSIVE", 0.0, 9)
    assert "does not gate" in result.message and result.needed == 10
    assert count.verdict == "PASS"
    assert run(store, few, minimum=5).results[0].verdict == "FAIL"


@pytest.mark.parametrize("minimum", [1, 10])
def test_a_slice_of_one_sample_decides_nothing(store: Store, slices: FakeAsk, minimum: int) -> None:
    shares, means = ("accuracy", "f1", "top_2", "precision of dog"), ("log_loss", "brier", "ece")
    expect = [f"{name} >= 0.97" for name in shares] + [f"{name} <= 0.9" for name in means]
    expect += [f"{name} no worse than bad by 0.02" for name in (*shares, *means)]
    one = slice_of(slices, "one", "id = '000.jpg'", *expect)
    report = run(store, one, minimum=minimum)
    assert {(r.verdict, r.n) for r in report.results} == {("INCONCLUSIVE", 1)}
    assert report.to_json() and "nan" not in str(report)


def test_a_bound_within_rounding_of_the_value_needs_no_trillions(
    store: Store, slices: FakeAsk
) -> None:
    value = run(store, slice_of(slices, "all", "true", "log_loss <= 1")).results[0].value
    near = f"log_loss <= {value + 1e-12:.15f}"
    result = run(store, slice_of(slices, "all", "true", near)).results[0]
    assert result.needed is None and "no number of samples settles it" in result.message


def test_an_empty_slice_is_undefined_not_zero(store: Store, slices: FakeAsk) -> None:
    empty = slice_of(slices, "none", "false", "accuracy >= 0.5", "count >= 1", "f1 of cat > 0.5")
    result, count, f1 = run(store, empty).results
    assert np.isnan(result.value) and result.verdict == f1.verdict == "INCONCLUSIVE"
    assert result.message == "undefined: the slice has no samples"
    assert (count.verdict, count.value) == ("FAIL", 0.0)


def test_per_class_is_one_result_a_class_that_the_slice_has(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "all", "true", "accuracy per class >= 0.8")
    report = run(store, chosen, strict=True)
    assert [(r.check, r.verdict) for r in report.results] == [
        ("accuracy of cat >= 0.8", "PASS"),
        ("accuracy of dog >= 0.8", "PASS"),
    ]
    assert report.ok and {r.expectation for r in report.results} == {"accuracy per class >= 0.8"}
    notes = [r.message.partition("; ")[2] for r in report.results]
    assert notes == ["not judged: 1 of 3 classes, which no sample has", ""]
    named = run(store, slice_of(slices, "all", "true", "accuracy of bird >= 0.8")).results[0]
    assert named.verdict == "INCONCLUSIVE" and "no sample has the label" in named.message


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        ("share of holiday <= 0.2", "no sample is in split 'holiday'"),
        ("recall of unicorn >= 0.5", "good has no class 'unicorn'"),
    ],
)
def test_an_expectation_of_nothing_names_itself_and_its_slice(
    store: Store, slices: FakeAsk, expect: str, problem: str
) -> None:
    with pytest.raises(CheckError, match=f"In '{expect}' of slice 'odd': {problem}"):
        run(store, slice_of(slices, "odd", "true", expect))


@pytest.mark.parametrize("expect", ["precision per class >= 0.8", "f1 per class no worse than bad"])
def test_per_class_of_an_empty_slice_is_one_result(
    store: Store, slices: FakeAsk, expect: str
) -> None:
    chosen = slice_of(slices, "none", "false", expect, "accuracy >= 0.1")
    result, plain = run(store, chosen).results
    assert (result.check, result.verdict) == (expect, "INCONCLUSIVE")
    assert result.message == plain.message
    assert result.message == "undefined: the slice has no samples"


def test_a_class_that_is_not_in_the_slice_does_not_fail_for_its_precision(
    store: Store, slices: FakeAsk
) -> None:
    chosen = slice_of(slices, "dogs", "label = 'dog'", "precision per class >= 0.5")
    assert [r.check for r in run(store, chosen, model="bad").results] == ["precision of dog >= 0.5"]


def test_the_worst_samples_come_first(store: Store, slices: FakeAsk) -> None:
    result = run(store, slice_of(slices, "all", "true", "accuracy >= 0.95")).results[0]
    assert len(result.worst_ids) == 5 and all(i >= "360.jpg" for i in result.worst_ids)


# --- baselines ------------------------------------------------------------------------------------


def test_a_worse_model_fails_against_its_baseline(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "all", "true", "accuracy no worse than baseline by 0.02")
    result = run(store, chosen, model="bad", baseline="good").results[0]
    assert result.verdict == "FAIL" and result.value == pytest.approx(-0.3)
    assert (result.low, result.high) == pytest.approx(
        tuple(stats.paired_interval(0, 120, 400, 0.95, sides=1))
    )
    assert all("240.jpg" <= i < "360.jpg" for i in result.worst_ids)  # those the baseline had


def test_a_class_is_compared_on_its_own_samples(store: Store, slices: FakeAsk) -> None:
    text = "label = 'cat' OR label = 'dog' AND id < '240.jpg'"  # dogs are right in both
    chosen = slice_of(slices, "s", text, "recall of cat no worse than good")
    result = run(store, chosen, model="bad").results[0]
    assert (result.n, result.left_out, result.value) == (200, 0, -0.3)
    assert result.p / 0.5**60 == pytest.approx(1.0) and result.verdict == "FAIL"


@pytest.mark.parametrize("metric", ["log_loss", "brier", "ece"])
def test_a_margin_of_a_loss_lies_above(store: Store, slices: FakeAsk, metric: str) -> None:
    chosen = slice_of(slices, "all", "true", f"{metric} no worse than good by 0.02")
    result = run(store, chosen, model="same").results[0]
    assert (result.value, result.bound, result.verdict) == (0.0, 0.02, "PASS")


@pytest.mark.parametrize(
    ("margin", "verdict"), [("by 0.02", "PASS"), ("by 0.001", "INCONCLUSIVE"), ("", "INCONCLUSIVE")]
)
def test_the_same_model_passes_with_a_margin(
    store: Store, slices: FakeAsk, margin: str, verdict: str
) -> None:
    chosen = slice_of(slices, "all", "true", f"accuracy no worse than baseline {margin}")
    result = run(store, chosen, model="same", baseline="good").results[0]
    assert (result.verdict, result.value) == (verdict, 0.0)
    assert result.baseline == "good" and "than good" in result.check


@pytest.mark.slow
@pytest.mark.parametrize(
    "metric",
    [
        "accuracy of cat",
        "balanced_accuracy",
        "f1",
        "precision of dog",
        "log_loss",
        "brier",
        "ece",
        "auroc",
        "top_1",
    ],
)
def test_every_metric_compares_with_a_baseline(store: Store, slices: FakeAsk, metric: str) -> None:
    chosen = slice_of(slices, "all", "true", f"{metric} no worse than good by 0.05")
    assert run(store, chosen, model="bad").results[0].verdict == "FAIL"
    chosen = slice_of(slices, "all", "true", f"{metric} no worse than bad by 0.05")
    assert run(store, chosen, model="good").results[0].verdict == "PASS"


def test_a_baseline_that_saw_other_samples_counts_the_common_ones(
    store: Store, slices: FakeAsk
) -> None:
    chosen = slice_of(slices, "all", "true", "accuracy no worse than half by 0.1")
    result = run(store, chosen).results[0]
    assert (result.verdict, result.n, result.left_out) == ("PASS", 200, 201)
    assert "201 not seen by both models left out" in result.message


def test_without_a_baseline_the_comparison_is_inconclusive(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "all", "true", "accuracy no worse than baseline")
    report = run(store, chosen)
    assert report.results[0].verdict == "INCONCLUSIVE" and report.ok
    assert "no baseline was named" in report.results[0].message
    assert run(store, chosen, strict=True).exit_code == 1


@pytest.mark.slow
def test_models_that_do_not_differ_are_not_shown_to_be_alike_by_few_samples(
    store: Store, slices: FakeAsk
) -> None:
    metrics = ("accuracy", "f1", "balanced_accuracy", "precision of cat", "auroc")
    expect = [f"{metric} no worse than good by 0.02" for metric in metrics]
    few = slice_of(slices, "few", "id < '060.jpg'", *expect)
    tango = stats.paired_interval(0, 0, 60, 0.95, sides=1)
    for result in run(store, few, model="same").results:
        assert (result.value, result.verdict) == (0.0, "INCONCLUSIVE"), result
        assert (result.low, result.high) == pytest.approx(tuple(tango))
    every = slice_of(slices, "all", "true", *expect)
    assert {r.verdict for r in run(store, every, model="same").results} == {"PASS"}


def test_a_model_compared_with_itself_is_told(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "all", "true", "accuracy no worse than baseline")
    (result,) = run(store, chosen, baseline="good").results
    assert result.message.endswith("; good is compared with itself")


# --- the suite ------------------------------------------------------------------------------------


@pytest.mark.slow
def test_fail_is_counted_over_the_suite(store: Store, slices: FakeAsk) -> None:
    border = slice_of(slices, "s", "label IS NOT NULL", "accuracy >= 0.926")
    assert run(store, border).results[0].verdict == "FAIL"
    many = [slice_of(slices, f"s{i}", "label IS NOT NULL", "accuracy >= 0.926") for i in range(20)]
    results = run(store, many).results
    assert {r.verdict for r in results} == {"INCONCLUSIVE"}
    assert "not with all tests" in results[0].message
    assert {r.verdict for r in run(store, many, correction="none").results} == {"FAIL"}


@pytest.mark.slow
def test_slices_that_do_not_gate_are_not_counted(store: Store, slices: FakeAsk) -> None:
    border = slice_of(slices, "s", "label IS NOT NULL", "accuracy >= 0.926")
    tiny = [slice_of(slices, f"t{i}", f"id = '{i:03}.jpg'", "accuracy >= 0.5") for i in range(20)]
    point = slice_of(slices, "p", "true", *["accuracy >= 0.5"] * 20, decide="point")
    for others in (tiny, [point]):
        assert run(store, [border, *others]).results[0].verdict == "FAIL"
    gating = [slice_of(slices, f"g{i}", "true", "accuracy >= 0.5") for i in range(20)]
    assert run(store, [border, *gating]).results[0].verdict == "INCONCLUSIVE"


@pytest.mark.slow
def test_detect_spends_the_error_rate_on_slices_that_can_show_the_drop(
    store: Store, slices: FakeAsk
) -> None:
    texts = ["id >= '168.jpg' AND id < '248.jpg'"]  # 80 samples, 8 lost: p = 2 ** -8
    texts += [
        f"id >= '{248 + 8 * i}.jpg' AND id < '{256 + 8 * i}.jpg' OR id < '003.jpg'"
        for i in range(14)
    ]
    chosen = [
        slice_of(slices, f"s{i}", text, "accuracy no worse than good")
        for i, text in enumerate(texts)
    ]

    def verdicts(detect: float | None) -> list[str]:
        return [r.verdict for r in run(store, chosen, model="bad", detect=detect).results]

    assert verdicts(None) == ["INCONCLUSIVE"] * 15
    assert verdicts(0.1) == ["FAIL"] + ["INCONCLUSIVE"] * 14


@pytest.mark.slow
def test_max_t_keeps_power_for_slices_that_overlap(store: Store, slices: FakeAsk) -> None:
    text = "id >= '352' AND id < '362' OR id < '100'"  # 8 regressions, 2 wrong in both
    many = [slice_of(slices, f"t{i}", text, "accuracy no worse than good") for i in range(20)]
    verdicts = {
        c: {r.verdict for r in run(store, many, model="bad", correction=c).results}
        for c in ("auto", "max-t", "holm")
    }
    assert verdicts == {"auto": {"FAIL"}, "max-t": {"FAIL"}, "holm": {"INCONCLUSIVE"}}


def test_an_average_over_classes_names_those_that_have_samples(
    store: Store, slices: FakeAsk
) -> None:
    chosen = slice_of(slices, "s", "label = 'cat'", "precision >= 0.1")
    assert "1 of 3 classes has samples: cat" in run(store, chosen).results[0].message


def test_top_k_with_ties_is_compared_as_a_mean(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "s", "label IS NOT NULL", "top_2 no worse than good")
    result = run(store, chosen, model="bad").results[0]
    assert result.verdict == "FAIL" and result.value < 0


@pytest.mark.slow
def test_many_resampled_comparisons_of_a_model_that_is_always_wrong_all_fail(
    store: Store, slices: FakeAsk
) -> None:
    names = [f"s{i}" for i in range(120)]
    many = [slice_of(slices, n, "label IS NOT NULL", "f1 no worse than good") for n in names]
    report = run(store, many, model="bad")
    assert {r.verdict for r in report.results} == {"FAIL"}
    assert max(r.p for r in report.results) < 1e-4


def test_a_slice_that_a_compared_model_chooses_reports_but_does_not_gate(
    store: Store, slices: FakeAsk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(query: FakeQuery) -> SimpleNamespace:
        models = {"good": frozenset({"confidence"})} if "confidence" in query.text else {}
        pool = SimpleNamespace(slices={})
        return SimpleNamespace(reads=SimpleNamespace(models=models), pool=pool)

    monkeypatch.setattr(FakeQuery, "plan", plan, raising=False)
    expect = ["accuracy no worse than good", "accuracy >= 0.99"]
    unsure = slice_of(slices, "unsure", "label IS NOT NULL AND 'confidence' <> ''", *expect)
    paired, plain = run(store, unsure, model="bad").results
    assert paired.verdict == "INCONCLUSIVE" and np.isnan(paired.p_adjusted)
    assert "the outputs of good choose the slice" in paired.message
    assert plain.verdict == "FAIL"
    other = slice_of(slices, "other", "label IS NOT NULL", expect[0])
    assert run(store, other, model="bad").results[0].verdict == "FAIL"


def test_max_t_keeps_apart_what_is_right_by_different_metrics(
    store: Store, slices: FakeAsk
) -> None:
    alone = slice_of(slices, "s", "label IS NOT NULL", "accuracy no worse than good")
    both = slice_of(
        slices, "s", "label IS NOT NULL", "accuracy no worse than good", "top_3 no worse than good"
    )
    worse = run(store, alone, model="bad").results[0]
    accuracy, top = run(store, both, model="bad").results
    assert (worse.verdict, accuracy.verdict, top.verdict) == ("FAIL", "FAIL", "INCONCLUSIVE")
    assert accuracy.p_adjusted == pytest.approx(2 * worse.p) and top.p_adjusted == 1.0


def test_exit_codes(store: Store, slices: FakeAsk) -> None:
    fail = slice_of(slices, "a", "true", "accuracy >= 0.99")
    unsure = slice_of(slices, "b", "true", "accuracy >= 0.89")
    assert (run(store, fail).ok, run(store, fail).exit_code) == (False, 1)
    assert (run(store, unsure).exit_code, run(store, unsure, strict=True).exit_code) == (0, 1)


def test_missing_predictions_of_all_models_are_filled_in_one_call(
    store: Store, slices: FakeAsk
) -> None:
    calls: list[tuple[list[str], int]] = []
    chosen = [
        slice_of(slices, "a", "label = 'cat'", "accuracy no worse than baseline"),
        slice_of(slices, "b", "label IS NOT NULL", "accuracy > 0.1"),
    ]
    run(store, chosen, baseline="bad", predict=lambda m, keys: calls.append((list(m), len(keys))))
    assert calls == [(["good", "bad"], 400)]


def test_the_holdout_alone_is_judged(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "a", "true", "accuracy >= 0.1", "count >= 400", holdout=0.25)
    accuracy, count = run(store, chosen).results
    assert 60 < accuracy.n < 140 and count.value == 401


@pytest.mark.parametrize(
    ("expect", "model", "message"),
    [
        ("accuracy of catt >= 0.5", "good", "no class 'catt'.*'cat'"),
        ("share of tset >= 0.5", "good", "split 'tset'.*'test'"),
        ("accuracy >= 0.5", "goood", "'goood'.*'good'"),
        ("accuracy no worse than bda", "good", "'bda'.*'bad'"),
    ],
)
def test_what_does_not_exist_comes_with_a_hint(
    store: Store, slices: FakeAsk, expect: str, model: str, message: str
) -> None:
    chosen = slice_of(slices, "a", "true", expect)
    with pytest.raises((CheckError, UnknownModelError), match=message):
        run(store, chosen, model=model)


def test_two_versions_of_a_slice_are_told_apart(store: Store, slices: FakeAsk) -> None:
    now = slice_of(slices, "s", "label = 'cat'", "count >= 1", version=2)
    before = slice_of(slices, "s", "true", "count >= 1", version=1, numbered=True)
    report = run(store, [now, before])
    assert [(r.slice, r.value) for r in report.results] == [("s", 200.0), ("s@1", 401.0)]
    assert report.queries == {"s": "label = 'cat'", "s@1": "true"}
    heat_map = figures_of(store, report).heat_map
    assert heat_map is not None and heat_map.slices == ["s", "s@1"]


def test_a_run_is_written_down(store: Store, slices: FakeAsk) -> None:
    chosen = slice_of(slices, "a", "true", "accuracy >= 0.85", "f1 of bird >= 0.5")
    report = run(store, chosen, write=True)
    row = next(r for r in store.table("runs").to_pylist() if r["id"] == report.run)
    assert json.loads(row["queries"]) == {"a": "true"}
    assert json.loads(row["tables"])["samples"] == store.version("samples")
    assert json.loads(row["fingerprints"]) == {"good": "f" * 8}
    assert "slicedb" in json.loads(row["software"]) and json.loads(row["summary"])["pass"] == 1
    tests = [r for r in store.table("tests").to_pylist() if r["run"] == report.run]
    assert [(t["check"], t["verdict"]) for t in tests] == [
        ("accuracy >= 0.85", "PASS"),
        ("f1 of bird >= 0.5", "INCONCLUSIVE"),
    ]


# --- suite.toml -----------------------------------------------------------------------------------


def test_settings_come_from_suite_toml(tmp_path: Path) -> None:
    assert judge.settings(tmp_path) == {}
    (tmp_path / "suite.toml").write_text('model = "m"\nconfidence = 0.9\nminimum = 30\n')
    (tmp_path / "a.sql").write_text("true")
    expected = {"model": "m", "confidence": 0.9, "minimum": 30}
    assert judge.settings(tmp_path) == judge.settings(tmp_path / "a.sql") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("confidense = 0.9", "unknown setting 'confidense'.*'confidence'"),
        ("confidence = 95", "confidence is 95"),
        ("correction = 'hollm'", "correction is 'hollm'.*'holm'"),
        ("model = 3", "model is 3"),
        ("model", "not TOML"),
    ],
)
def test_settings_that_are_not_right_name_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "suite.toml").write_text(text)
    with pytest.raises(SliceError, match=message) as raised:
        judge.settings(tmp_path)
    assert "suite.toml" in str(raised.value)
