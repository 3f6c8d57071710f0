"""The pytest plug-in: slice files are test files, expectations are tests.

    pytest queries/ --slicedb-db food.slicedb --slicedb-model v4 --slicedb-baseline v3

Nothing is collected unless a database is named, on the command line, in the ini file or by
SLICEDB_DB, so that the `.sql` files of other projects are left alone; the summary then says which
slice files were not collected. A path in the ini file is relative to that file. The expectations of
a folder are judged together, once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr, TracebackStyle

    from slicedb.database import Database
    from slicedb.judge import Result
    from slicedb.report import Report
    from slicedb.slices import SliceFile

_OPTIONS = {
    "db": "the database that slice files are tested on",
    "model": "the model under test",
    "baseline": "the model that 'baseline' stands for in expectations",
    "truth": "a model, or a column of samples, that stands in place of the ground truth",
}


_NAMED = ("model", "baseline", "truth")
_GIVEN = (*_NAMED, "strict")
"""Options that go on to `Database.test`."""

_EXPECTS = re.compile(r"^\s*(?:/\*\s*)?expect\s*:", re.MULTILINE)
"""What the head of a slice file with a test holds; any SQL may contain the word `expect`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, each also an ini setting."""
    group = parser.getgroup("slicedb", "slices of a vision dataset as tests")
    for name, text in _OPTIONS.items():
        group.addoption(f"--slicedb-{name}", default=None, metavar=name.upper(), help=text)
        parser.addini(f"slicedb_{name}", text, default="")
    strict = "INCONCLUSIVE fails instead of being skipped"
    group.addoption("--slicedb-strict", action="store_true", default=None, help=strict)
    parser.addini("slicedb_strict", strict, type="bool", default=False)


def _option(config: pytest.Config, name: str) -> str | bool | None:
    given = config.getoption(f"--slicedb-{name}", None)
    return given if given is not None else config.getini(f"slicedb_{name}") or None


def _db(config: pytest.Config) -> str | None:
    """Return the database that is named, if any: a URI, or a path from the root of all paths."""
    start, where = config.invocation_params.dir, config.getoption("--slicedb-db", None)
    if where is None and config.inipath is not None:
        start, where = config.inipath.parent, config.getini("slicedb_db") or None
    if where is None:
        start, where = config.invocation_params.dir, os.environ.get("SLICEDB_DB") or None
    return where if where is None or "://" in where else str(start / where)


@pytest.fixture(scope="session")
def slicedb_db(request: pytest.FixtureRequest) -> Database:
    """The database that --slicedb-db, the ini file or SLICEDB_DB names."""
    import slicedb

    where = _db(request.config)
    if where is None:
        pytest.skip("no database is named: --slicedb-db PATH, or slicedb_db in the ini file")
    return slicedb.open(where, create=False)


@pytest.fixture(scope="session")
def slicedb_model(request: pytest.FixtureRequest) -> str:
    """The name of the model that --slicedb-model or the ini file names."""
    name = _option(request.config, "model")
    if name is None:
        pytest.skip("no model is named: --slicedb-model NAME, or slicedb_model in the ini file")
    return str(name)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which database and models the slice files are tested on."""
    where = _db(config)
    if where is None:
        return None
    tested = {"db": where} | {name: _option(config, name) for name in _NAMED}
    return f"slicedb: {', '.join(f'{name} {value}' for name, value in tested.items() if value)}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> QueryFile | None:
    """Collect `.sql` files that have expectations, when a database is named."""
    if file_path.suffix != ".sql":
        return None
    text = file_path.read_text(encoding="utf-8", errors="replace")
    if not _EXPECTS.search(text):
        return None
    if _db(parent.config) is None:
        if re.search(r"^slice:", text, re.MULTILINE):
            parent.config.stash.setdefault(_LEFT, []).append(file_path)
        return None
    return QueryFile.from_parent(parent, path=file_path)


class QueryFile(pytest.File):
    """A slice file."""

    def collect(self) -> Iterator[Expectation]:
        """Yield one test per expectation."""
        from slicedb.slices import read_file

        file = read_file(self.path)
        judge = _judge(self.config)
        for check in file.expect:
            judge.files[self.path] = file
            yield Expectation.from_parent(self, name=str(check), slice_name=file.name)

    def repr_failure(  # type: ignore[override]
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        """Show errors of ours as their message."""
        return _message(excinfo) or super().repr_failure(excinfo)


class Expectation(pytest.Item):
    """One expectation of a slice."""

    def __init__(self, *, name: str, parent: QueryFile, slice_name: str) -> None:
        super().__init__(name, parent)
        self.slice_name = slice_name

    def runtest(self) -> None:
        """Fail where the expectation fails, and skip where it is not decided yet."""
        report = _judge(self.config).report(self.path)
        for broken in report.broken:
            if broken.name == self.slice_name:
                raise broken.error or ExpectationFailed((), broken.message)
        results = [
            r for r in report.results if r.slice == self.slice_name and r.expectation == self.name
        ]
        if not results:
            raise ExpectationFailed((), f"{self.slice_name}: {self.name} was not judged")
        failed = [r for r in results if report.is_failure(r)]
        if failed:
            raise ExpectationFailed(failed)
        unsure = [r for r in results if r.verdict == "INCONCLUSIVE"]
        if unsure:
            pytest.skip("; ".join(_sentence(r) for r in unsure))

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: TracebackStyle | None = None
    ) -> str | TerminalRepr:
        """Show verdict, value, interval, n and the worst samples."""
        return _message(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """Return the file and the title."""
        return self.path, None, f"{self.slice_name}: {self.name}"


class ExpectationFailed(AssertionError):
    """An expectation does not hold."""

    def __init__(self, results: Iterable[Result], *before: str) -> None:
        lines = [*before]
        for r in results:
            # The value comes first: a short summary shows no more of a line than the terminal is
            # wide, and what was expected of which slice stands in the test's name.
            lines.append(f"{r.verdict}: {r.message} ({r.slice}: {r.check})")
            if r.worst_ids:
                lines += ["worst samples:", *(f"  {i}" for i in r.worst_ids)]
        super().__init__("\n".join(lines))


class Judge:
    """Runs each top folder of collected files once, at the first test that asks."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.files: dict[Path, SliceFile] = {}
        self._reports: dict[Path, Report | Exception] = {}
        self._database: Database | None = None

    def report(self, path: Path) -> Report:
        """Return the run of the folder that a file belongs to."""
        folders = {p.parent for p in self.files}
        top = min((f for f in folders if f in path.parents), key=lambda f: len(f.parts))
        if top not in self._reports:
            try:
                self._reports[top] = self._run(top)
            except Exception as error:
                self._reports[top] = error
        report = self._reports[top]
        if isinstance(report, Exception):
            raise report
        return report

    def warnings(self) -> list[str]:
        """Return the warnings of the runs so far."""
        names = {file.name for file in self.files.values()}
        warnings: list[str] = []
        for report in self._reports.values():
            if not isinstance(report, Exception):
                warnings += report.warnings
                others = (b for b in report.broken if b.name not in names)  # that have no test
                warnings += (f"{b.name}: {b.short}" for b in others)
        return warnings

    def _run(self, folder: Path) -> Report:
        import slicedb
        from slicedb import judge
        from slicedb.slices import sound_slices

        if self._database is None:
            where = _db(self.config)
            assert where is not None
            self._database = slicedb.open(where, create=False)
        names = [file.name for path, file in self.files.items() if folder in path.parents]
        given = {name: _option(self.config, name) for name in _GIVEN}
        settings: dict[str, Any] = {**judge.settings(folder)}
        settings |= {name: value for name, value in given.items() if value}
        sound, broken = sound_slices(self._database.slices, folder, register=True)
        known = {s.name for s in sound}
        report = self._database.test([name for name in names if name in known], **settings)
        return replace(report, broken=(*broken, *report.broken))


_JUDGE = pytest.StashKey[Judge]()
_LEFT = pytest.StashKey[list[Path]]()
"""Slice files that were not collected, since no database is named."""


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was not tested, and what to know before the verdicts are believed."""
    left = config.stash.get(_LEFT, [])
    if left:
        files = "1 slice file was" if len(left) == 1 else f"{len(left)} slice files were"
        names = left[0].name + (", ..." if len(left) > 1 else "")
        how = "--slicedb-db, slicedb_db in the ini file or SLICEDB_DB names the database."
        terminalreporter.write_line(f"slicedb: {files} not collected ({names}); {how}", yellow=True)
    if _JUDGE not in config.stash:
        return
    if config.getoption("tbstyle") == "no":
        _reasons(terminalreporter)
    for line in config.stash[_JUDGE].warnings():
        terminalreporter.write_line(f"slicedb warning: {line}", yellow=True)


def _reasons(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why expectations failed, in full, where pytest shows no failures and cuts its summary."""
    for report in terminalreporter.stats.get("failed", []):
        if ".sql::" in report.nodeid and report.longrepr:
            terminalreporter.write_line(f"{report.nodeid}: {report.longreprtext.splitlines()[0]}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the database while Python still can; DuckDB reports what is left at its exit."""
    if _JUDGE in config.stash:
        del config.stash[_JUDGE]


def _judge(config: pytest.Config) -> Judge:
    if _JUDGE not in config.stash:
        config.stash[_JUDGE] = Judge(config)
    return config.stash[_JUDGE]


def _sentence(r: Result) -> str:
    return f"{r.check}: {r.verdict}: {r.message}"


def _message(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    from slicedb.errors import SliceDBError

    known = (ExpectationFailed, SliceDBError)
    return str(excinfo.value) if isinstance(excinfo.value, known) else None
