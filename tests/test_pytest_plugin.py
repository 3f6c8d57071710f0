"""The pytest plug-in, in pytest runs of its own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes_judge import add_predictions, add_samples, write

import slicedb
from slicedb.database import Database
from slicedb.report import Report

pytest_plugins = ["pytester"]

CATS = """/*
slice: cats
expect:
  - accuracy >= 50%
  - accuracy >= 0.99
  - accuracy >= 0.92
  - accuracy no worse than baseline by 0.05
*/
in_slice('pets') AND label = 'cat'
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    """200 cats of which the last 20 are called dogs by `new` and half of them by `old`."""
    path = str(tmp_path_factory.mktemp("plugin") / "d.slicedb")
    db = slicedb.open(path)
    ids = [f"{i:03}.jpg" for i in range(200)]
    add_samples(db.store, ids, ["cat"] * 200)
    add_predictions(db.store, "new", ids, ["cat"] * 180 + ["dog"] * 20)
    add_predictions(db.store, "old", ids, ["cat"] * 100 + ["dog"] * 100)
    # A run inside a run forgets the modules it was the first to import, and a library of native
    # code does not survive a second import: everything is imported here once.
    db.slices.add("warm_up", "true", expect=["f1 no worse than baseline", "accuracy > 0.95"])
    db.test(["warm_up"], model="new", baseline="old")
    db.slices.drop("warm_up")
    return path


@pytest.fixture
def queries(database: str, pytester: pytest.Pytester) -> Path:
    return write(pytester.path / "queries", cats=CATS, pets="label IN ('cat', 'dog')")


def test_an_expectation_that_was_not_judged_does_not_pass(
    pytester: pytest.Pytester, queries: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = Database.test

    def forgetful(db: Database, *of: Any, **options: Any) -> Report:
        report = test(db, *of, **options)
        return replace(report, results=report.results[:1])

    monkeypatch.setattr(Database, "test", forgetful)
    options = (f"--slicedb-db={database}", "--slicedb-model=new", "--slicedb-baseline=old")
    result = pytester.runpytest("queries", *options)
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(["cats: accuracy >= 0.99 was not judged"])


def test_each_expectation_is_a_test(
    pytester: pytest.Pytester, queries: Path, database: str
) -> None:
    result = pytester.runpytest(
        "queries",
        "-rs",
        "-v",
        f"--slicedb-db={database}",
        "--slicedb-model=new",
        "--slicedb-baseline=old",
    )
    result.assert_outcomes(passed=2, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            f"slicedb: db {database}, model new, baseline old",
            "queries/cats.sql::accuracy >= 0.5 PASSED*",
            "queries/cats.sql::accuracy >= 0.99 FAILED*",
            "*cats: accuracy >= 0.99 *",
            "FAIL: 0.9000 [[]*, *[]], n = 200*(cats: accuracy >= 0.99)",
            "worst samples:",
            "  1??.jpg",
            "*SKIPPED*accuracy >= 0.92: INCONCLUSIVE: *samples would settle it*",
        ]
    )
    assert result.ret == 1


def test_the_reason_survives_a_summary_alone(
    pytester: pytest.Pytester, queries: Path, database: str
) -> None:
    options = f"--slicedb-db={database}", "--slicedb-model=new", "--tb=no", "-q"
    result = pytester.runpytest("queries", *options)
    result.stdout.fnmatch_lines(
        [
            "queries/cats.sql::accuracy >= 0.99: FAIL: 0.9000 [[]*, *[]], n = 200; *"
            "(cats: accuracy >= 0.99)",
            "FAILED queries/cats.sql::accuracy >= 0.99 - FAIL: 0.9000*",
        ]
    )


@pytest.mark.slow
def test_a_run_over_logged_predictions_loads_neither_pandas_nor_torch(
    queries: Path, database: str
) -> None:
    (queries / "conftest.py").write_text(
        "import sys\ndef pytest_unconfigure():\n"
        "    heavy = {'pandas.core', 'torch.nn', 'matplotlib'}\n"
        "    print('loaded:', sorted(heavy & set(sys.modules)))\n"
    )
    # lance puts stand-ins for torch and pandas in place, which load them when they are used.
    (queries / "cats.sql").write_text("/*\nexpect: [accuracy >= 50%]\n*/\nlabel = 'cat'")
    words = ["-m", "pytest", str(queries), f"--slicedb-db={database}", "--slicedb-model=new", "-s"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert "loaded: []" in done.stdout and "1 passed" in done.stdout


def test_strict_makes_inconclusive_fail(
    pytester: pytest.Pytester, queries: Path, database: str
) -> None:
    result = pytester.runpytest(
        "queries", f"--slicedb-db={database}", "--slicedb-model=new", "--slicedb-strict"
    )
    result.assert_outcomes(passed=1, failed=3)


def test_the_ini_file_and_suite_toml_name_what_the_command_line_does_not(
    pytester: pytest.Pytester, queries: Path, database: str
) -> None:
    pytester.makeini(f"[pytest]\nslicedb_db = {database}\ntestpaths = queries\n")
    (queries / "suite.toml").write_text('model = "new"\nbaseline = "old"\n')
    pytester.runpytest().assert_outcomes(passed=2, failed=1, skipped=1)


def test_without_a_database_other_projects_sql_is_left_alone(
    pytester: pytest.Pytester, queries: Path
) -> None:
    pytester.makepyfile("def test_one(): pass")
    write(pytester.path / "migrations", a="SELECT 'expect nothing'")
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["slicedb: 1 slice file was not collected (cats.sql); *--slicedb-db*"]
    )


def test_the_database_is_named_by_the_environment_too(
    pytester: pytest.Pytester, queries: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLICEDB_DB", database)
    given = ("--slicedb-model=new", "--slicedb-baseline=old")
    pytester.runpytest("queries", *given).assert_outcomes(passed=2, failed=1, skipped=1)


def test_a_path_in_the_ini_file_is_relative_to_it(
    pytester: pytest.Pytester, queries: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pytester.path / "d.slicedb").symlink_to(database)
    pytester.makeini(
        "[pytest]\nslicedb_db = d.slicedb\nslicedb_model = new\nslicedb_baseline = old\n"
    )
    monkeypatch.chdir(queries)
    pytester.runpytest("--rootdir", str(pytester.path)).assert_outcomes(
        passed=2, failed=1, skipped=1
    )


def test_sql_without_expectations_is_no_test(pytester: pytest.Pytester, database: str) -> None:
    write(pytester.path / "migrations", a="CREATE TABLE t (x int); -- expect no rows")
    pytester.makepyfile("def test_one(): pass")
    pytester.runpytest(f"--slicedb-db={database}", "--slicedb-model=new").assert_outcomes(passed=1)


def test_a_file_that_does_not_parse_is_an_error_at_its_line(
    pytester: pytest.Pytester, database: str
) -> None:
    write(pytester.path, bad="/*\nexpect:\n  - acuracy > 0.5\n*/\ntrue")
    result = pytester.runpytest(f"--slicedb-db={database}", "--slicedb-model=new")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*bad.sql, line 3: *did you mean 'accuracy'*"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--slicedb-model=nwe"], "*'nwe'*"),
        ([], "*No model to test*"),
        (["--slicedb-db=nowhere.slicedb", "--slicedb-model=new"], "*nowhere.slicedb*"),
    ],
)
def test_what_is_missing_fails_with_its_message(
    pytester: pytest.Pytester, queries: Path, database: str, options: list[str], message: str
) -> None:
    result = pytester.runpytest("queries", f"--slicedb-db={database}", *options)
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_the_plug_in_imports_nothing_heavy() -> None:
    code = "import sys, slicedb.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "lance", "duckdb", "pyarrow", "numpy"}.isdisjoint(done.stdout.split())
