"""Health: one line per thing that can be wrong with a collection, each with its query and bound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from slicedb.curate.bounds import SHARES
from slicedb.errors import CancelledError, DatabaseError, SliceDBError
from slicedb.progress import Watch
from slicedb.schema import SAMPLES
from slicedb.show import numbers
from slicedb.show.tabular import Grid, Tabular
from slicedb.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from slicedb.commits import Commits
    from slicedb.curate.drift import Drift
    from slicedb.curate.duplicates import Duplicates
    from slicedb.curate.leaks import Leaks
    from slicedb.curate.quality import Quality
    from slicedb.curate.suspects import LabelErrors
    from slicedb.doctor import Finding
    from slicedb.show.tabular import Part
    from slicedb.slices import Slices

_BROKEN = "status <> 'ok' AND status <> 'unverified'"


class Checked(Protocol):
    """What a health report asks of a database."""

    @property
    def store(self) -> Store: ...
    @property
    def slices(self) -> Slices: ...
    @property
    def commits(self) -> Commits: ...
    def sql(self, text: str) -> pa.Table: ...
    def duplicates(self, *, progress: Watch) -> Duplicates: ...
    def leaks(self, *, models: Sequence[str], progress: Watch) -> Leaks: ...
    def quality(self, *, progress: Watch) -> Quality: ...
    def labels(self, model: str, *, progress: Watch) -> LabelErrors: ...
    def drift(self, *, since: str, progress: Watch) -> Drift: ...
    def doctor(self) -> list[Finding]: ...


@dataclass(frozen=True)
class Line:
    """One thing that can be wrong."""

    name: str
    """As `health.toml` has it."""
    value: float | None
    """A share of samples, or a count; None where it was not looked at."""
    bound: float
    n: int
    """Samples, slices or findings behind the value."""
    query: str
    """Shows them; a query, or the command that lists them; "" where there are none."""
    note: str = ""
    """Why it was not looked at, or what is behind it."""

    @property
    def is_ok(self) -> bool:
        """Whether it is within its bound; what was not looked at is."""
        return self.value is None or self.value <= self.bound + 1e-12


@dataclass(frozen=True)
class Health(Tabular):
    """How healthy a collection is."""

    lines: tuple[Line, ...]
    n: int
    """Samples."""

    @property
    def ok(self) -> bool:
        """Whether every line is within its bound."""
        return all(line.is_ok for line in self.lines)

    @property
    def exit_code(self) -> int:
        """0, or 1 when a line is beyond its bound."""
        return 0 if self.ok else 1

    def to_arrow(self) -> pa.Table:
        """Return one row per line."""
        return pa.Table.from_pylist([{**asdict(line), "is_ok": line.is_ok} for line in self.lines])

    def parts(self) -> Iterable[Part]:
        """Yield the verdict, and one row per line, those beyond their bound first."""
        bad = [line for line in self.lines if not line.is_ok]
        skipped = sum(line.value is None for line in self.lines)
        verdict = f"{len(bad)} beyond the bound" if bad else "all within their bounds"
        yield (
            f"{numbers.count(self.n, 'sample')}, {numbers.count(len(self.lines), 'line')}: "
            f"{verdict}{f', {skipped} not looked at' if skipped else ''}."
        )
        cells = []
        for line in sorted(self.lines, key=lambda line: (line.is_ok, line.value is None)):
            state = "-" if line.value is None else "ok" if line.is_ok else "BAD"
            value = "" if line.value is None else _written(line.name, line.value)
            about = " ".join(filter(None, (line.query, f"({line.note})" if line.note else "")))
            cells.append((state, line.name, value, _written(line.name, line.bound), line.n, about))
        yield Grid(["", "what", "value", "bound", "n", "see"], cells, align="<<>>><")


def _written(name: str, value: float) -> str:
    return numbers.percent(value) if name in SHARES else f"{value:,.0f}"


Check = Callable[[Checked, int], "tuple[float, int, str, str]"]
"""Gives value, count, query and note."""


class _SkippedError(Exception):
    """Why a line was not looked at."""


def health(
    db: Checked, bounds: Mapping[str, float], model: str | None, progress: Watch = None
) -> Health:
    """Look at everything that can be wrong; see `Database.health`."""
    n = db.store.count(SAMPLES) if db.store.has(SAMPLES) else 0
    duplicates = cache(lambda: db.duplicates(progress=progress))
    checks: dict[str, Check] = {
        "quarantined": _quarantined,
        "unlabelled": _unlabelled,
        "duplicates": lambda _, n: _duplicates(duplicates(), n),
        "label_conflicts": lambda _, n: _conflicts(duplicates()),
        "leaks": lambda db, n: _leaks(db, n, progress),
        "quality": lambda db, n: _quality(db, n, progress),
        "label_errors": lambda db, n: _label_errors(db, n, model, progress),
        "drift": lambda db, n: _drift(db, n, progress),
        "stale_slices": lambda db, n: _slices(db, "stale"),
        "broken_slices": lambda db, n: _slices(db, "broken"),
        "holdout_looks": _looks,
        "doctor": _doctor,
    }
    lines = []
    for name, check in checks.items():
        try:
            value, count, query, note = check(db, n)
            lines.append(Line(name, value, bounds[name], count, query, note))
        except _SkippedError as reason:
            lines.append(Line(name, None, bounds[name], 0, "", str(reason)))
        except (DatabaseError, CancelledError):  # neither is a line that may be passed over
            raise
        except SliceDBError as error:  # said, and no reason to keep the other lines back
            lines.append(Line(name, None, bounds[name], 0, "", str(error).partition(" Hint:")[0]))
    return Health(tuple(lines), n)


def _count(db: Checked, where: str) -> int:
    return int(db.sql(f"SELECT count(*) AS n FROM samples WHERE {where}")["n"][0].as_py())


def _share(db: Checked, where: str, n: int) -> tuple[float, int, str, str]:
    count = _count(db, where)
    return count / max(1, n), count, where if count else "", ""


def _quarantined(db: Checked, n: int) -> tuple[float, int, str, str]:
    return _share(db, _BROKEN, n)


def _unlabelled(db: Checked, n: int) -> tuple[float, int, str, str]:
    return _share(db, "label IS NULL AND labels IS NULL AND objects IS NULL", n)


def _duplicates(report: Duplicates, n: int) -> tuple[float, int, str, str]:
    redundant = len(report.redundant)
    return redundant / max(1, n), redundant, "slicedb duplicates" if redundant else "", ""


def _conflicts(report: Duplicates) -> tuple[float, int, str, str]:
    groups = report.conflicts
    note = "groups of duplicates with different labels" if groups else ""
    return len(groups), len(groups), "slicedb duplicates" if groups else "", note


def _leaks(db: Checked, n: int, progress: Watch) -> tuple[float, int, str, str]:
    parts = db.sql("SELECT count(DISTINCT split) AS n FROM samples WHERE split <> 'gap'")
    if parts["n"][0].as_py() < 2:
        raise _SkippedError("no split of two parts")
    report = db.leaks(models=(), progress=progress)
    held = len(report.keys)
    outside = sum(report.sizes.values()) - max(report.sizes.values())
    return held / max(1, outside), held, "slicedb leaks" if held else "", ""


def _quality(db: Checked, n: int, progress: Watch) -> tuple[float, int, str, str]:
    if not any(name.startswith("quality_") for name in db.store.schema(SAMPLES).names):
        raise _SkippedError("`slicedb quality` was never run")
    found = [
        issue for issue in db.quality(progress=progress).issues if issue.n and issue.cut == "fixed"
    ]
    if not found:
        return 0.0, 0, "", ""
    query = " OR ".join(f"({issue.query})" for issue in found)
    value, count, query, _ = _share(db, query, n)
    return value, count, query, ", ".join(issue.name for issue in found)


def _label_errors(
    db: Checked, n: int, model: str | None, progress: Watch
) -> tuple[float, int, str, str]:
    if model is None:
        raise _SkippedError("model= (--model) names one that did not see the labels")
    report = db.labels(model, progress=progress)
    found = len(report.keys)
    return found / max(1, report.samples), found, report.query, f"by {model}"


def _drift(db: Checked, n: int, progress: Watch) -> tuple[float, int, str, str]:
    commits = db.commits.history()
    if not commits:
        raise _SkippedError("no commit to compare with")
    report = db.drift(since=commits[0].id, progress=progress)
    names = ", ".join(row.column for row in report.alarms)
    query = f"slicedb drift --since {commits[0].id}" if report.alarms else ""
    return len(report.alarms), len(report.alarms), query, names


def _slices(db: Checked, kind: str) -> tuple[float, int, str, str]:
    names = [s.name for s, state, _ in db.slices.states() if state.kind == kind]
    return len(names), len(names), "slicedb slice list" if names else "", ", ".join(names)


def _looks(db: Checked, n: int) -> tuple[float, int, str, str]:
    from slicedb.runs.looks import times

    looked = times(db.store, [s for s in db.slices.list() if s.holdout is not None])
    if not looked:
        raise _SkippedError("no slice is held out")
    name, most = max(looked.items(), key=lambda item: item[1])
    return most, len(looked), f"slicedb slice show {name}" if most else "", f"most: {name}"


def _doctor(db: Checked, n: int) -> tuple[float, int, str, str]:
    findings = db.doctor()
    return len(findings), len(findings), "slicedb doctor" if findings else "", ""
