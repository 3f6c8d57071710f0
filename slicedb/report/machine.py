"""Write reports for machines: JSON and JUnit XML."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from xml.etree import ElementTree as xml

from slicedb.judge import Result, SuiteRun, Verdict
from slicedb.show.numbers import escaped
from slicedb.show.text import clean
from slicedb.slices import BrokenSlice

VERDICTS: tuple[Verdict, ...] = ("PASS", "FAIL", "INCONCLUSIVE")

HEAD = "run ran_at ok model baseline confidence correction strict guard sequential".split()
"""What the JSON tells of a run first."""

COLUMNS = """
    slice check model verdict value low high n left_out needed baseline p p_adjusted message
    worst_ids suite path bound expectation looks looked_at candidates luck
""".split()
"""What the JSON tells of a result, in this order."""


_ERROR = ("name", "message", "path", "suite")


def to_json(run: SuiteRun) -> str:
    """Return the whole run as JSON; what is undefined is null."""
    whole = {
        **{name: getattr(run, name) for name in HEAD},
        "truth": None if run.truth is None else str(run.truth),
        "agreements": [vars(agreement) for agreement in run.agreements],
        "seconds": round(run.seconds, 3),
        "warnings": list(run.warnings),
        "counts": {v: run.count(v) for v in VERDICTS} | {"ERROR": len(run.broken)},
        "errors": [{name: getattr(b, name) for name in _ERROR} for b in run.broken],
        "results": [{name: getattr(r, name) for name in COLUMNS} for r in run.results],
        "facts": {
            "tables": run.provenance.tables,
            "fingerprints": run.provenance.fingerprints,
            "queries": run.queries,
        },
        "software": json.loads(run.provenance.software),
    }
    return escaped(json.dumps(_plain(whole), indent=2, ensure_ascii=False)) + "\n"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_junit(run: SuiteRun) -> str:
    """Return JUnit XML: a test suite a folder, a test case an expectation.

    INCONCLUSIVE is `skipped`, or a failure in a strict run.
    """
    root = xml.Element("testsuites", name="slicedb", tests=str(len(run.results) + len(run.broken)))
    root.set("failures", str(sum(run.is_failure(r) for r in run.results)))
    root.set("errors", str(len(run.broken)))
    root.set("time", f"{run.seconds:.3f}")
    groups: dict[str, list[Result]] = {}
    for r in run.results:
        groups.setdefault(r.suite or "queries", []).append(r)
    wrong: dict[str, list[BrokenSlice]] = {}
    for b in run.broken:
        wrong.setdefault(b.suite or "queries", []).append(b)
    for name in dict.fromkeys([*groups, *wrong]):
        results, broken = groups.get(name, []), wrong.get(name, [])
        failures = sum(run.is_failure(r) for r in results)
        skipped = sum(r.verdict == "INCONCLUSIVE" for r in results) if not run.strict else 0
        suite = xml.SubElement(root, "testsuite", name=_clean(name))
        suite.set("tests", str(len(results) + len(broken)))
        suite.set("failures", str(failures))
        suite.set("skipped", str(skipped))
        suite.set("errors", str(len(broken)))
        suite.set("timestamp", run.ran_at)
        for r in results:
            _case(suite, r, run)
        for b in broken:
            case = xml.SubElement(suite, "testcase", classname=_clean(b.name), name="slice file")
            case.set("time", "0")
            if b.path:
                case.set("file", _clean(b.path))
            error = xml.SubElement(case, "error", message=_clean(b.short), type="ERROR")
            error.text = _clean(b.message)
    xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + xml.tostring(root, "unicode") + "\n"


def _case(suite: xml.Element, r: Result, run: SuiteRun) -> None:
    case = xml.SubElement(suite, "testcase", classname=_clean(r.slice), name=_clean(r.check))
    case.set("time", "0")
    if r.path:
        case.set("file", _clean(r.path))
    text = f"{r.verdict}: {r.message}"
    if run.is_failure(r):
        failure = xml.SubElement(case, "failure", message=_clean(text), type=r.verdict)
        failure.text = _clean("\n".join([text, "worst samples:", *r.worst_ids]))
    elif r.verdict == "INCONCLUSIVE":
        xml.SubElement(case, "skipped", message=_clean(text))
    else:
        xml.SubElement(case, "system-out").text = _clean(text)


def _clean(text: str) -> str:
    """Return the text without what XML 1.0 cannot hold, or what would reorder a page."""
    return clean(text, keep="\n").replace("\ufffe", "").replace("\uffff", "")
