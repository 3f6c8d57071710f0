"""Verdicts over many looks: the error rate is spent over them, and every look is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes_judge import CLASSES, add_predictions, add_samples
from scipy.special import ndtri

import slicedb
from slicedb import stats
from slicedb.cli import main
from slicedb.database import Database
from slicedb.errors import SliceDBError, SliceError
from slicedb.expectations import Check
from slicedb.judge import settings
from slicedb.judge.evidence import Evidence
from slicedb.judge.looks import Look, asked, looks_of
from slicedb.judge.trials import JudgedSlice, Trial
from slicedb.slices import Slice
from slicedb.stats.sequential import spent

NIGHT = 60


# --- the error rate over looks -------------------------------------------------------------------


def test_all_looks_together_err_as_often_as_was_spent() -> None:
    sizes = [100, 104, 130, 131, 260, 400, 800, 801, 1600, 3000]
    critical = [-ndtri(stats.level_of_look(sizes[:k], 0.05)) for k in range(1, len(sizes) + 1)]
    steps = np.sqrt(np.diff([0, *sizes]))
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(200_000, len(sizes))) * steps).cumsum(axis=1) / np.sqrt(sizes)
    crossed = (z > critical).any(axis=1).mean()
    assert crossed == pytest.approx(0.05 * spent(30), abs=0.0015)
    assert 0.05 * spent(30) == pytest.approx(0.0445, abs=1e-4)


def test_levels_of_looks_have_these_values() -> None:
    assert stats.level_of_look([100], 0.05) == pytest.approx(0.02)
    nights = [100 * (night + 1) for night in range(30)]
    assert stats.level_of_look(nights, 0.05) == pytest.approx(0.00105, abs=1e-5)
    # what lies before the last sixty sizes counts as spent, and levels stay positive
    years = list(range(1000, 1400))
    assert 0 < stats.level_of_look(years, 0.05) < 0.02


# --- which looks belong together -----------------------------------------------------------------


def now(n: int, value: float) -> Evidence:
    rows = np.arange(n)
    scope = JudgedSlice(Slice("night", "true"), rows, rows)
    return Evidence(trial=Trial(scope, Check("accuracy", ">=", 0.5), "m"), n=n, value=value)


def test_more_samples_go_on_and_the_same_samples_spend_nothing() -> None:
    earlier = [Look("m", "a", 100, 0.5), Look("m", "a", 100, 0.5), Look("m", "a", 150, 0.6)]
    looks = looks_of(now(150, 0.6), "a", earlier, 10)
    assert (looks.times, looks.place, looks.sizes) == (4, 1, (100, 150))
    assert looks.level(0.05) == stats.level_of_look([100, 150], 0.025)


@pytest.mark.parametrize(
    ("identity", "n", "value"),
    [
        ("b", 100, 0.5),  # another candidate, or another definition
        ("a", 100, 0.51),  # other labels or predictions on as many samples
        ("a", 99, 0.5),  # samples were taken out
    ],
)
def test_what_is_not_more_of_the_same_begins_anew(identity: str, n: int, value: float) -> None:
    looks = looks_of(now(n, value), identity, [Look("m", "a", 100, 0.5)], 10)
    assert (looks.place, looks.sizes) == (2, (n,))
    assert looks.level(0.06) == pytest.approx(0.06 / 6 * 0.4)


def test_looks_that_decide_nothing_spend_nothing() -> None:
    looks = looks_of(now(40, 0.5), "a", [Look("m", "a", 9, 0.1), Look("n", "b", 8, 0.3)], 10)
    assert (looks.times, looks.candidates, looks.place, looks.sizes) == (3, 2, 1, (40,))


def test_the_baseline_of_a_run_goes_by_its_word() -> None:
    check = "accuracy no worse than 'food v3' by 0.01"
    assert asked(check, "food v3", "food v3") == "accuracy no worse than baseline by 0.01"
    assert asked(check, "food v3", "food v2") == check


# --- suites --------------------------------------------------------------------------------------


@pytest.fixture
def db(tmp_path: Path) -> Database:
    """A night's samples of each class, and two models that are right in 80 and 75 %."""
    database = slicedb.open(str(tmp_path / "looks.slicedb"))
    add_night(database, 0)
    expect = ["accuracy >= 0.5", "accuracy no worse than baseline by 0.3", "count >= 10"]
    database.slices.add("night", "label IS NOT NULL", expect=expect)
    return database


def add_night(database: Database, night: int, wrong: dict[str, int] | None = None) -> None:
    ids = [f"{night}_{i}" for i in range(NIGHT)]
    labels = [CLASSES[i % 3] for i in range(NIGHT)]
    add_samples(database.store, ids, labels)
    for model, every in (wrong or {"new": 5, "old": 4}).items():
        said = [CLASSES[(i + (i % every == 0)) % 3] for i in range(NIGHT)]
        add_predictions(database.store, model, ids, said)


def test_every_look_at_a_gating_slice_is_counted(db: Database) -> None:
    first = db.test(model="new", baseline="old")
    assert [r.looks for r in first.results] == [1, 1, 1] and "looks:" not in str(first)
    db.test(model="old", baseline="new")
    again = db.test(model="new", baseline="old")
    assert [r.looks for r in again.results] == [3, 3, 1]
    assert again.results[0].looked_at == {"new": 2, "old": 1}
    assert again.results[0].candidates == 2
    # sqrt(2 ln 2) standard errors of the side that looks better
    r = again.results[0]
    assert r.luck == pytest.approx(1.1774 * (r.high - r.value) / 1.6449, abs=1e-4)
    for text in (str(again), again.to_markdown(), again.to_html(), again.to_junit()):
        assert "look 3" in text and "the best of 2 equal candidates looks up to" in text
    shown = json.loads(again.to_json())["results"][0]
    assert (shown["looks"], shown["candidates"]) == (3, 2)
    assert shown["looked_at"] == {"new": 2, "old": 1} and shown["luck"] == r.luck
    assert db.slices.show("night").looks == "3 looks (new 3, old 3)"


def test_many_looks_at_a_gating_slice_are_warned_of(db: Database) -> None:
    for _ in range(3):
        report = db.test(model="new", baseline="old", looks=2)
    (warning,) = report.warnings
    assert warning.startswith(
        "slice 'night' was judged more than 2 times, 'night: accuracy >= 0.5'"
    )
    assert "sequential = true" in warning
    assert db.test(model="new", baseline="old", looks=0).warnings == ()
    assert db.test(model="new", baseline="old", looks=2, sequential=True).warnings == ()


def test_sequential_looks_have_wider_bounds_that_narrow_as_data_come(db: Database) -> None:
    alone = db.test(model="new", baseline="old").results
    reports = []
    for night in range(1, 4):
        add_night(db, night)
        reports.append(db.test(model="new", baseline="old", sequential=True))
    assert [r.results[0].n for r in reports] == [120, 180, 240]
    # exact bounds at the level of each look: 48 / 60 at first, then 96 / 120, ...
    level = stats.level_of_look([60, 120, 180, 240], 0.025)
    exact = stats.clopper_pearson(192, 240, 1 - level, sides=1)
    last = reports[-1].results[0]
    assert (last.low, last.high) == pytest.approx((float(exact.low), float(exact.high)))
    assert [r.verdict for r in reports[-1].results] == ["PASS", "PASS", "PASS"]
    assert reports[-1].sequential and "over all looks" in str(reports[-1])
    assert "every verdict counts them" in reports[-1].to_html()
    assert alone[0].low < last.low


def test_a_later_candidate_on_the_same_samples_has_a_smaller_share(db: Database) -> None:
    low = []
    for i in range(4):
        ids = [f"0_{j}" for j in range(NIGHT)]
        said = [CLASSES[(j + (j % 5 == 0)) % 3] for j in range(NIGHT)]
        add_predictions(db.store, f"new{i}", ids, said)
        report = db.test(model=f"new{i}", baseline="old", sequential=True)
        low.append(report.results[0].low)
    shares = [0.05 * share * 0.4 for share in (1 / 2, 1 / 6, 1 / 12, 1 / 20)]
    exact = [float(stats.clopper_pearson(48, 60, 1 - level, sides=1).low) for level in shares]
    assert low == pytest.approx(exact)
    again = db.test(model="new0", baseline="old", sequential=True)
    assert again.results[0].low == low[0], "nothing is spent where nothing is new"


def test_a_sequential_failure_counts_all_tests_and_looks(db: Database) -> None:
    add_night(db, 1, {"bad": 1, "old": 4})
    db.slices.add("bad", "id LIKE '1_%'", expect=["accuracy >= 0.5", "log_loss <= 1"])
    report = db.test(["bad"], model="bad", sequential=True)
    assert [r.verdict for r in report.results] == ["FAIL", "FAIL"]
    assert "with all tests and looks counted" in report.results[0].message
    r = report.results[0]
    # the exact p of 0 / 60, doubled for two tests, at 0.4 of half of the error rate
    assert r.p == pytest.approx(0.5**60)
    assert r.p_adjusted == pytest.approx(2 * 0.5**60 / (0.4 / 2), rel=1e-6)


def test_a_sequential_look_is_written_down_or_refused(db: Database) -> None:
    with pytest.raises(SliceDBError, match="would not be written down"):
        db.test(model="new", baseline="old", sequential=True, write=False)


def test_suite_toml_and_the_command_line_take_sequential_and_guard(
    db: Database, tmp_path: Path
) -> None:
    folder = tmp_path / "queries"
    folder.mkdir()
    (folder / "suite.toml").write_text("sequential = true\nguard = 'pass'\nmodel = 'new'\n")
    (folder / "all.sql").write_text(
        "/*\nslice: all\nexpect: accuracy >= 0.5\n*/\nlabel IS NOT NULL\n"
    )
    assert settings(folder) == {"sequential": True, "guard": "pass", "model": "new"}
    report = db.test(folder)
    assert report.sequential and report.guard == "pass"
    assert "false PASS is controlled over the suite, too" in str(report)
    command = ["test", str(folder), "--db", str(tmp_path / "looks.slicedb")]
    given = ["--no-sequential", "--guard", "fail", "--json", str(tmp_path / "out.json")]
    with pytest.raises(SystemExit) as ended:
        main([*command, *given])
    assert ended.value.code == 0
    out = json.loads((tmp_path / "out.json").read_text())
    assert (out["sequential"], out["guard"]) == (False, "fail")
    (folder / "suite.toml").write_text("guard = 'both'\n")
    with pytest.raises(SliceError, match="guard is 'both'"):
        settings(folder)


# --- the guard of PASS ---------------------------------------------------------------------------


def test_guard_pass_counts_all_tests_for_pass(db: Database) -> None:
    # 48 of 60 against 0.7: p = 0.056; against 0.69: 0.040; against 0.5: 1.4e-6
    for name, bound in (("a", 0.69), ("b", 0.5), ("c", 0.69)):
        db.slices.add(name, "label IS NOT NULL", expect=[f"accuracy >= {bound}"])
    alone = db.test(["a", "b", "c"], model="new")
    assert [r.verdict for r in alone.results] == ["PASS", "PASS", "PASS"]
    report = db.test(["a", "b", "c"], model="new", guard="pass")
    assert [r.verdict for r in report.results] == ["INCONCLUSIVE", "PASS", "INCONCLUSIVE"]
    message = report.results[0].message
    assert "shown alone, not with all tests of the suite counted (guard: pass)" in message
    assert report.results[0].low == alone.results[0].low
    assert report.results[0].needed is not None and report.results[0].needed > 60
