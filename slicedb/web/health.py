"""Health and drift: what the curation verbs find, each finding opening as a query."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from fastapi import Request

from slicedb.cache import Cache
from slicedb.errors import CheckError
from slicedb.show import numbers
from slicedb.show.html import element
from slicedb.show.tabular import Figure, Grid, Tabular
from slicedb.web.jobs import word

if TYPE_CHECKING:
    from slicedb.database import Database
    from slicedb.progress import Cancel
    from slicedb.web.site import Site

Options = Mapping[str, object]
_LONG = 4000
"""Characters of a query from which on it is kept here, and samples are tagged to be opened."""
_HELD = 200


@dataclass(frozen=True)
class Found:
    """One finding as the page shows it."""

    name: str
    n: int | None
    about: str
    query: str
    """What opens; "" where nothing does."""
    state: str = ""
    """One word for the eye, such as "ok" or "BAD"; "-" where nothing was looked at."""
    link: str = ""
    """Another check of this page, or a page, where the finding is told in full."""


@dataclass(frozen=True)
class Check:
    """One verb of curation on the page."""

    kind: str
    title: str
    about: str
    asks: tuple[str, ...]
    """What a reader may choose: model, column, a, b, since."""
    run: Callable[[Database, Options, Cancel], Tabular]
    findings: Callable[[Tabular], Iterable[Found]]


def add(site: Site) -> None:
    """Register the page, a job for each check, and the tags of findings that name many ids."""
    held: Cache[str, str] = Cache(_HELD)

    def job(check: Check) -> Callable[[Database, Options, Cancel], dict[str, object]]:
        def work(db: Database, options: Options, watch: Cancel) -> dict[str, object]:
            report = check.run(db, options, watch)
            return {
                "findings": [_sent(found, held) for found in check.findings(report)],
                **_drawn(report),
            }

        return work

    for check in CHECKS:
        site.jobs.add(check.kind, job(check), title=partial(_title, check))

    @site.page("/health", "Health", "health.html")
    async def health(request: Request) -> dict[str, object]:
        return await site.ask(request, _offered)

    @site.post("/api/health/tag")
    async def tag(request: Request, body: dict[str, object]) -> dict[str, object]:
        name, text = word(body, "tag"), held.find(word(body, "token") or "")
        if text is None or name is None:
            raise CheckError("The finding is not held any more.", "run the check again.")
        remove = body.get("remove") is True
        n = await site.write(request, lambda db: db.tag(text, name, remove=remove))
        quoted = name.replace("'", "''")
        return {"n": n, "query": f"has_tag('{quoted}')"}


def _title(check: Check, options: Options) -> str:
    chosen = [str(options[name]) for name in check.asks if options.get(name)]
    return f"{check.kind} {' '.join(chosen)}".strip()


def _offered(db: Database) -> dict[str, object]:
    from slicedb.predictions.tables import models_of

    commits = db.commits.history()
    return {
        "checks": [
            {"kind": c.kind, "title": c.title, "about": c.about, "asks": c.asks} for c in CHECKS
        ],
        "models": sorted(models_of(db.store)),
        "columns": [c for c in db.query("").columns if c == "split" or c.endswith("split")]
        or ["split"],
        "commits": [{"id": c.id, "said": ", ".join(c.tags) or c.message} for c in commits[:20]],
        "samples": db.query("").count(),
    }


def _sent(found: Found, held: Cache[str, str]) -> dict[str, object]:
    """Return a finding for the reader; the text of one with many ids stays here."""
    said: dict[str, object] = {**vars(found), "token": ""}
    if len(found.query) > _LONG:
        token = secrets.token_hex(8)
        held.put(token, found.query)
        said |= {"query": "", "token": token}
    return said


def _drawn(report: Tabular) -> dict[str, object]:
    """Return the first line of a report, and the rest as HTML without its pictures."""
    first, blocks = "", []
    for part in report.parts():
        if isinstance(part, Figure):
            continue
        if isinstance(part, Grid):
            blocks.append(element("div", part.to_html(), class_="wide"))
        elif part.strip():
            if not first:
                first = part
            else:
                blocks.append(element("p", part, class_="pre"))
    return {"headline": first, "html": "".join(blocks)}


# --- the checks -----------------------------------------------------------------------------------

_ELSEWHERE = {"slicedb duplicates": "duplicates", "slicedb leaks": "leaks"}


def _health(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.health import Health

    assert isinstance(report, Health)
    for line in sorted(report.lines, key=lambda line: (line.is_ok, line.value is None)):
        state = "-" if line.value is None else "ok" if line.is_ok else "BAD"
        is_command = line.query.startswith("slicedb ")
        link = _ELSEWHERE.get(line.query, "") if is_command else ""
        link = "drift" if line.query.startswith("slicedb drift") else link
        link = "/slices" if line.query == "slicedb slice list" else link
        about = ", ".join(filter(None, (_bounded(line.value, line.bound), line.note)))
        query = "" if is_command else line.query
        yield Found(line.name.replace("_", " "), line.n, about, query, state, link)


def _bounded(value: float | None, bound: float) -> str:
    return "" if value is None else f"{value:.4g} of {bound:.4g} allowed"


def _duplicates(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.duplicates import Duplicates

    assert isinstance(report, Duplicates)
    for one in report.findings:
        if one.n:
            yield Found(one.name, one.n, one.description, one.query)
    for group in report.groups[:20]:
        labels = f"; labels {' / '.join(group.labels)}" if len(group.labels) > 1 else ""
        about = f"by {group.kind}; keep {group.ids[0]}: {group.reason}{labels}"
        yield Found(f"group {group.number}", len(group.ids), about, group.query)


def _leaks(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.leaks import Leaks

    assert isinstance(report, Leaks)
    for row in report.rows:
        about = f"{numbers.percent(row.share)} of what lies outside of the largest part"
        yield Found(f"leak by {row.kind}", row.held, about, row.query)
    for told in report.telling:
        about = f"tells the part: AUC {told.auc:.3f}, q {numbers.p_value(told.q)}"
        yield Found(told.what, None, about, told.query)


def _quality(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.quality import Quality

    assert isinstance(report, Quality)
    for issue in report.issues:
        if issue.n:
            about = f"{issue.description} ({issue.cut} cut-off, {numbers.percent(issue.share)})"
            yield Found(issue.name, issue.n, about, issue.query)


def _labels(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.suspects import LabelErrors

    assert isinstance(report, LabelErrors)
    if report.query and len(report.keys):
        about = f"samples with a likely error, ranked by {report.rank}"
        yield Found("all", len(report.keys), about, report.query)
    for one in report.findings:
        about = f"{one.label or 'nothing'} should be {one.suggested}" if one.suggested else one.kind
        yield Found(one.name, one.samples, about, one.query)


def _drift(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.drift import Drift

    assert isinstance(report, Drift)
    for driver in report.drivers:
        about = f"{numbers.percent(driver.share_b)} of B, {numbers.percent(driver.share_a)} of A"
        name = driver.said or "a population without a common column"
        yield Found(f"new in B: {name}", driver.n_b, about, driver.query)
    alarms = set(report.alarms)
    for row in report.rows:
        about = f"{row.kind} {row.effect:.3f}, q {numbers.p_value(row.q)}"
        if row.query:
            shares = numbers.percent(row.share_a), numbers.percent(row.share_b)
            about += f"; A {shares[0]}, B {shares[1]}"
        yield Found(row.column, None, about, row.query, "differs" if row in alarms else "alike")


def _discovered(report: Tabular) -> Iterable[Found]:
    from slicedb.curate.findings import Discovery

    assert isinstance(report, Discovery)
    for one in report.findings:
        about = f"{report.measure} {one.error:.3f} [{one.low:.3f}, {one.high:.3f}], elsewhere "
        about += f"{one.rest:.3f} (n = {one.n_tested:,} held out)"
        state = "confirmed" if one.confirmed else "not confirmed"
        yield Found(one.query, one.n, about, one.query, state)


def _drifted(db: Database, options: Options, watch: Cancel) -> Tabular:
    since = word(options, "since")
    if since is not None:
        return db.drift(since=since, progress=watch)
    a, b = word(options, "a"), word(options, "b")
    if a is None or b is None:
        raise CheckError("Drift compares two sets.", "write two predicates, or choose a commit.")
    return db.drift(a, b, progress=watch)


def _model(options: Options) -> str:
    name = word(options, "model")
    if name is None:
        raise CheckError("No model is named.", "choose one that predicted these samples.")
    return name


CHECKS = (
    Check(
        "health",
        "Health",
        "Everything that can be wrong, one line each, against its bound.",
        ("model",),
        lambda db, o, watch: db.health(model=word(o, "model"), progress=watch),
        _health,
    ),
    Check(
        "duplicates",
        "Duplicates",
        "Samples that show the same picture: same bytes, mirrored, turned, resized, cropped.",
        (),
        lambda db, o, watch: db.duplicates(progress=watch),
        _duplicates,
    ),
    Check(
        "leaks",
        "Leaks",
        "What lies in more than one part of a split, and what tells the parts.",
        ("column",),
        lambda db, o, watch: db.leaks(word(o, "column") or "split", progress=watch),
        _leaks,
    ),
    Check(
        "quality",
        "Quality",
        "Pictures that are blurred, dark, overexposed, gray, framed or of an odd size.",
        (),
        lambda db, o, watch: db.quality(progress=watch),
        _quality,
    ),
    Check(
        "labels",
        "Label errors",
        "Labels that are likely wrong, by a model that did not see them.",
        ("model",),
        lambda db, o, watch: db.labels(_model(o), progress=watch),
        _labels,
    ),
    Check(
        "drift",
        "Drift",
        "In what two sets of samples differ: columns, predictions, vectors.",
        ("a", "b", "since"),
        _drifted,
        _drift,
    ),
    Check(
        "discover",
        "Discover",
        "Where a model errs more than elsewhere, without being told a column.",
        ("model",),
        lambda db, o, watch: db.discover(_model(o), progress=watch),
        _discovered,
    ),
)
